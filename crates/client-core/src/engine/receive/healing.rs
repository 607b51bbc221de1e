//! Healing (docs/protocol.md, "What a client does with them"): what a verified peer sent and this device could not decrypt
//! is asked for again, in a new session; and what a peer could not decrypt, or lost, is encrypted anew for it.
//!
//! A failed decryption never alters a session. Both directions are bounded: one request an hour and three a day for
//! each device, 64 envelopes each, answered as rarely; a content is sent again at most twice, and only to the device it
//! went to before. A device that lost its store is sent everything that left for it, twice in 30 days.

use std::collections::HashSet;

use subrosa_wire::{AccountId, DeviceAddress, EnvelopeId, MessageId, limits::MAX_EXPIRY};

use crate::{
    api::ApiError,
    content::{Body, RestoreAnswer, RestoreOutcome, RestoreRequest, RetryAnswer, RetryRequest},
    conversation::ConversationId,
    engine::core::{Change, Core, arrival::Sender},
    limits::{MAX_QUARANTINED, MAX_RESENDS, MAX_RESTORE_GONE, MAX_RESTORED, RESTORE_ANSWERS_KEPT, millis},
    store::{
        self, again, deliveries,
        envelopes::Outcome,
        outbox,
        restores::{self, Turn},
        retries, sessions,
    },
};

/// What is sent again in one conversation.
struct Part {
    conversation: ConversationId,
    sent: u32,
    /// Lines among it.
    lines: u64,
    gone: Vec<MessageId>,
}

impl Change<'_> {
    /// Asks a device for what is in quarantine, if it may be asked now.
    pub(crate) fn ask_again(&mut self, device: &DeviceAddress) -> Result<(), ApiError> {
        let envelope_ids = retries::take_request(self.db, device, self.now_ms)?;
        if envelope_ids.is_empty() {
            return Ok(());
        }
        // The request is the first message of a new session: whatever is wrong with the old ones stays behind.
        sessions::archive(self.db, device)?;
        self.queue_for(&device.account, device.device, Body::RetryRequest(RetryRequest { envelope_ids }))
    }

    /// A device could not decrypt envelopes of ours. It is answered for ids that our log shows as sent to it, and as rarely
    /// as it may ask: an answer to anything else would tell whoever asks, unseen by the person, that this device is on.
    /// Whatever the envelopes carried is encrypted anew, from its encoded form: a receiver that has it after all drops it. What is
    /// not kept any more is named.
    pub(in crate::engine) fn send_again(
        &mut self,
        sender: &DeviceAddress,
        request: &RetryRequest,
    ) -> Result<Outcome, ApiError> {
        if !deliveries::any_sent(self.db, &request.envelope_ids, sender)?
            || !retries::take_answer(self.db, sender, self.now_ms)?
        {
            return Ok(Outcome::Applied);
        }
        let between_us = self.own.chat_with(&sender.account);
        let Some((lane, _)) = self.way_to(&between_us, &sender.account)? else { return Ok(Outcome::Applied) };
        let mut gone = Vec::new();
        for id in &request.envelope_ids {
            if outbox::send_again(self.db, id, sender, &lane.relay, MAX_RESENDS)? {
                self.wake_outbox();
            } else {
                gone.push(id.clone());
            }
        }
        if !gone.is_empty() {
            let answer = RetryAnswer { envelope_ids: gone };
            self.queue_for(&sender.account, sender.device, Body::RetryAnswer(answer))?;
        }
        Ok(Outcome::Applied)
    }

    /// Who sent them does not have these envelopes any more: what was in them cannot come.
    pub(in crate::engine) fn never_again(
        &mut self,
        sender: &DeviceAddress,
        answer: &RetryAnswer,
    ) -> Result<Outcome, ApiError> {
        let count = retries::gone(self.db, sender, &answer.envelope_ids)?;
        if count > 0 {
            let what = if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
            let text =
                format!("{what} that came and could not be read here cannot come again: not kept there any more");
            self.notice_from("not_kept", text, &sender.account)?;
        }
        Ok(Outcome::Applied)
    }

    /// A device lost what it was sent after the lines that it names: all that our log shows as sent to it goes once more, in its order.
    /// Believed in a session that it has just set up, as whoever has an older copy of its store has its older sessions.
    pub(in crate::engine) fn restore_to(
        &mut self,
        device: &DeviceAddress,
        sets_up: bool,
        request: &RestoreRequest,
    ) -> Result<Outcome, ApiError> {
        if !sets_up {
            return Ok(Outcome::Junk);
        }
        match restores::take_turn(self.db, device, &request.restore_id, self.now_ms)? {
            Turn::Yes => {}
            Turn::Known => return Ok(Outcome::Applied),
            Turn::TooOften => {
                if retries::take_answer(self.db, device, self.now_ms)? {
                    let conversation = self.own.chat_with(&device.account);
                    let none = Part { conversation, sent: 0, lines: 0, gone: Vec::new() };
                    self.answer(device, request, &none, 1, RestoreOutcome::AskedTooOften)?;
                }
                return Ok(Outcome::Applied);
            }
        }
        // What waited for room in its mailbox may go, too.
        deliveries::wake(self.db, &device.account)?;
        let mut conversations = again::conversations(self.db, device)?;
        let between_us = self.own.chat_with(&device.account);
        if !conversations.contains(&between_us) {
            conversations.push(between_us);
        }
        let (have, _) = request.lines_here.as_chunks::<8>();
        let have: HashSet<[u8; 8]> = have.iter().copied().collect();
        let mut parts = Vec::with_capacity(conversations.len());
        for conversation in conversations {
            parts.push(self.send_after(device, conversation, request, &have)?);
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for part in &parts {
            self.answer(device, request, part, count, RestoreOutcome::NotKept)?;
        }
        self.tell_restored(&device.account, &parts)?;
        self.wake_outbox();
        self.ask_once_more(device)?;
        Ok(Outcome::Applied)
    }

    fn send_after(
        &self,
        device: &DeviceAddress,
        conversation: ConversationId,
        request: &RestoreRequest,
        have: &HashSet<[u8; 8]>,
    ) -> Result<Part, ApiError> {
        let mut part = Part { conversation, sent: 0, lines: 0, gone: Vec::new() };
        let Some((lane, _)) = self.way_to(&conversation, &device.account)? else { return Ok(part) };
        let last = request.last_lines.iter().find(|last| last.conversation == conversation.0);
        let (place, clock) = match last {
            Some(last) => {
                let message = MessageId(store::array(&last.line_id, "restore request")?);
                (again::place_of(self.db, device, &conversation, &message, last.clock)?, last.clock)
            }
            None => (0, 0),
        };
        let has = |message: &MessageId| message.0.first_chunk::<8>().is_some_and(|begins| have.contains(begins));
        let expires_ms = self.now_ms.saturating_add(millis(MAX_EXPIRY));
        let rows = again::sent_after(self.db, device, &conversation, place)?;
        let oldest = rows.len().saturating_sub(MAX_RESTORED);
        part.gone.extend(rows.iter().take(oldest).filter_map(|row| row.message).take(MAX_RESTORE_GONE));
        for row in rows.into_iter().skip(oldest) {
            if row.message.as_ref().is_some_and(has) {
                continue;
            }
            if row.gone {
                part.gone.extend(row.message);
                continue;
            }
            again::send(self.db, &row, &lane.relay, expires_ms)?;
            part.sent = part.sent.saturating_add(1);
            part.lines += u64::from(row.message.is_some());
        }
        let own = &self.own.address.account;
        // What is younger is in the log of the device that wrote it. Of what was written long before the other side was there for the
        // first time nothing is missing.
        if device.account != *own && last.is_some() {
            let since = self.now_ms.saturating_sub(millis(RESTORE_ANSWERS_KEPT));
            let older = again::older_lines(self.db, &conversation, own, clock, since, MAX_RESTORE_GONE)?;
            part.gone.extend(older.into_iter().filter(|message| !has(message)));
        }
        part.gone.sort_unstable();
        part.gone.dedup();
        part.gone.truncate(MAX_RESTORE_GONE);
        Ok(part)
    }

    /// Stands behind all that is sent again in a conversation: what is queued later leaves later.
    fn answer(
        &mut self,
        device: &DeviceAddress,
        request: &RestoreRequest,
        part: &Part,
        parts: u32,
        outcome: RestoreOutcome,
    ) -> Result<(), ApiError> {
        let answer = RestoreAnswer {
            restore_id: request.restore_id.clone(),
            conversation: part.conversation.0.to_vec(),
            answers_in_all: parts,
            contents_sent: part.sent,
            lines_gone: part.gone.iter().map(|message| message.0.to_vec()).collect(),
            restore_outcome: outcome.into(),
        };
        self.queue_in(&part.conversation, device, Body::RestoreAnswer(answer))
    }

    /// Who sends again is told, too.
    fn tell_restored(&mut self, account: &AccountId, parts: &[Part]) -> Result<(), ApiError> {
        if *account == self.own.address.account {
            return Ok(());
        }
        let lines: u64 = parts.iter().map(|part| part.lines).sum();
        let gone: usize = parts.iter().map(|part| part.gone.len()).sum();
        // Also when nothing went: nobody finds out unseen that we are here.
        let name = self.name_of(account)?;
        let mut text = format!("{name} lost what a device of theirs had received (a backup was put back)");
        text.push_str(&match lines {
            0 => ": nothing of yours goes to it again".to_owned(),
            1 => ": 1 message of yours goes to it again".to_owned(),
            lines => format!(": {lines} messages of yours go to it again"),
        });
        if gone > 0 {
            text.push_str(&format!("; {gone} more cannot: what was sent is kept for 30 days"));
        }
        self.notice_about("sent_again", text, account)
    }

    /// Sets an envelope of a verified device aside and asks for it again.
    pub(in crate::engine) fn set_aside(
        &mut self,
        id: &EnvelopeId,
        sender: &Sender,
        envelope: (&[u8], &[u8]),
        reason: &str,
    ) -> Result<Outcome, ApiError> {
        // Only for people we talk to: strangers neither fill the quarantine nor get an answer.
        if !self.may_leave_for(&sender.device.account)? {
            return Ok(Outcome::Junk);
        }
        if self.is_missing(&sender.device)? {
            return Ok(Outcome::Quarantined);
        }
        let given_up = store::envelopes::quarantine(self.db, id, &sender.device, envelope, reason, self.now_ms)?;
        if given_up > 0 && store::account::tell_full_quarantine(self.db, self.now_ms)? {
            let text = format!(
                "more than {MAX_QUARANTINED} messages that could not be read here wait to be sent again: the oldest are given up"
            );
            self.notice("quarantine_full", text, None)?;
        }
        Ok(Outcome::Quarantined)
    }
}

impl Core {
    /// Asks every device whose turn has come.
    pub(crate) fn ask_all_again(&mut self) -> Result<(), ApiError> {
        self.change(|change| {
            for device in retries::devices_to_ask(change.db)? {
                change.ask_again(&device)?;
            }
            Ok(())
        })
    }
}
