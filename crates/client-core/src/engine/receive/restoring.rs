//! What this copy lacks (docs/protocol.md, "What a client does with them"): after it was restored from a backup, chosen among two, or
//! away for longer than relays keep mail.
//!
//! First all that waits is collected. Then each device that speaks to us is asked once for what it sent after the last line that was
//! applied here. Lines wait meanwhile for those before them, so that each person's are shown in their order: for a moment only, as
//! nobody knows when the other side is on.

use subrosa_wire::{AccountId, DeviceAddress, submit::EnvelopeClass};

use crate::{
    api::{ApiError, ContactState},
    content::{
        Body, CheckedContent, RestoreAnswer, RestoreLast, RestoreOutcome, RestoreRequest, decode, decode_transcript,
        message_ids,
    },
    engine::core::{
        Change, Core, address,
        arrival::{Arrival, Sender},
        now_ms,
    },
    limits::{
        HOLD_LINES, HOLD_LONGEST, MAX_RESTORE_HAVE, MAX_RESTORE_LASTS, RELEASED_AT_ONCE, RESTORE_ANSWERS_KEPT, millis,
    },
    store::{
        self, contacts, conversations,
        envelopes::Outcome,
        gaps::{self, Gap, GapState},
        peers,
        restores::{self, AskState, AskedRow, Held, HeldRow, LastLine, Restore, Stage},
        sessions,
    },
};

/// Answers to one request: one for each conversation that two devices share.
const MAX_PARTS: u32 = 256;

impl Change<'_> {
    /// The line that a content of this sender is, or tells of.
    fn line_of(&self, sender: &Sender, content: &CheckedContent) -> Option<LastLine> {
        let own = self.own.address.account;
        let place = |content: &CheckedContent, author: &AccountId| {
            let conversation = content.conversation.filter(|_| content.shown)?;
            let message = conversation.message_id(author, &content.random);
            Some(LastLine { conversation, message, clock: content.clock })
        };
        match &content.body {
            Some(Body::Transcript(transcript)) if sender.own => place(&decode_transcript(transcript).ok()?, &own),
            _ => place(content, &sender.device.account),
        }
    }

    /// Applies a content, or holds it until those before it have come.
    pub(in crate::engine) fn apply_in_order(
        &mut self,
        sender: Sender,
        content: CheckedContent,
        raw: &[u8],
        arrival: &Arrival,
    ) -> Result<Outcome, ApiError> {
        let Some(line) = self.line_of(&sender, &content) else { return self.apply(sender, content, raw, arrival) };
        let (device, again) = (sender.device, content.again);
        let restore = restores::current(self.db)?;
        let asked = match restore.stage {
            Stage::None => None,
            _ => restores::get(self.db, &device)?,
        };
        let waits = match (restore.stage, &asked) {
            (Stage::Collecting, row) => restore.holes || row.is_some_and(|row| row.unread > 0),
            (Stage::Asked, Some(row)) => row.state == AskState::Asked && row.hold_until_ms > self.now_ms && !again,
            _ => false,
        };
        // What is being released goes before what comes meanwhile.
        let releases = !again && !waits && restores::held_of(self.db, &device)?;
        if (waits || releases) && self.may_leave_for(&device.account)? {
            restores::put_held(self.db, &device, &line, raw, arrival.received_ms, arrival.way)?;
            self.wake_held();
            return Ok(Outcome::Stored);
        }
        let open = asked.filter(|row| matches!(row.state, AskState::Due | AskState::Asked));
        if again && open.is_some() {
            loop {
                let before = Held::Before(&line.conversation, line.clock);
                let rows = restores::held(self.db, &device, before, RELEASED_AT_ONCE)?;
                if rows.is_empty() {
                    break;
                }
                rows.iter().try_for_each(|row| self.release(row))?;
            }
        }
        let outcome = self.apply(sender, content, raw, arrival)?;
        if !matches!(outcome, Outcome::Stored | Outcome::Duplicate) {
            return Ok(outcome);
        }
        match open {
            // Behind a hole nothing is the last.
            Some(_) if !again => {}
            Some(mut row) => {
                row.came += u64::from(outcome == Outcome::Stored);
                row.hold_until_ms = self
                    .now_ms
                    .saturating_add(millis(HOLD_LINES))
                    .min(row.asked_ms.saturating_add(millis(HOLD_LONGEST)));
                restores::put(self.db, &row)?;
                restores::set_last(self.db, &device, &line, self.now_ms)?;
            }
            None => restores::set_last(self.db, &device, &line, self.now_ms)?,
        }
        Ok(outcome)
    }

    /// A held line is applied. One that cannot be is kept for a newer program, and stops nothing behind it.
    fn release(&mut self, row: &HeldRow) -> Result<(), ApiError> {
        restores::delete_held(self.db, row.id)?;
        if let Err(error) = self.by_itself(|change| change.apply_held(row))? {
            tracing::error!(%error, "a line that was held cannot be applied; it is set aside");
            store::kept::put(self.db, &row.device, &row.content, row.received_ms)?;
            let text = format!("something that came could not be processed and was set aside: {}", error.message);
            self.notice("set_aside", text, None)?;
        }
        Ok(())
    }

    fn apply_held(&mut self, row: &HeldRow) -> Result<(), ApiError> {
        let Ok(content) = decode(&row.content) else { return Ok(()) };
        let Some(sender) = self.known_sender(row.device)? else { return Ok(()) };
        let line = self.line_of(&sender, &content);
        let arrival = Arrival { received_ms: row.received_ms, way: row.way, class: EnvelopeClass::Durable };
        let outcome = self.apply(sender, content, &row.content, &arrival)?;
        let open = restores::get(self.db, &row.device)?
            .is_some_and(|asked| matches!(asked.state, AskState::Due | AskState::Asked));
        if let Some(line) = line.filter(|_| !open && matches!(outcome, Outcome::Stored | Outcome::Duplicate)) {
            restores::set_last(self.db, &row.device, &line, self.now_ms)?;
        }
        Ok(())
    }

    /// A device whose words were verified when they came, as what it is to us now.
    pub(in crate::engine) fn known_sender(&self, device: DeviceAddress) -> Result<Option<Sender>, ApiError> {
        let own = device.account == self.own.address.account;
        let contact = if own { None } else { contacts::get(self.db, &device.account)? };
        let fellow = if own { None } else { self.fellow(&device.account, contact.as_ref())? };
        let peer = contact.as_ref().map(|contact| &contact.peer).or(fellow.as_ref());
        let record = match (own, peer) {
            (true, _) => self.own.record,
            (false, Some(peer)) => peer.record,
            (false, None) => return Ok(None),
        };
        Ok(Some(Sender { device, record, contact, fellow, own, sets_up: false }))
    }

    /// An envelope of this device cannot be opened. While what this copy lacks is asked for, it is part of that, and counted only.
    pub(in crate::engine) fn is_missing(&mut self, device: &DeviceAddress) -> Result<bool, ApiError> {
        let mut row = match (restores::current(self.db)?.stage, restores::get(self.db, device)?) {
            (Stage::Collecting, row) => row.unwrap_or(AskedRow::due(*device)),
            (Stage::Asked, Some(row)) if row.state == AskState::Asked => row,
            _ => return Ok(false),
        };
        row.unread += 1;
        restores::put(self.db, &row)?;
        Ok(true)
    }

    /// Asks a device for everything after the last line of theirs that was applied here.
    fn ask(&mut self, mut row: AskedRow, restore: &Restore) -> Result<(), ApiError> {
        let device = row.device;
        row.state = AskState::Asked;
        row.asked_ms = self.now_ms;
        let waits = restore.holes || row.unread > 0;
        row.hold_until_ms = if waits { self.now_ms.saturating_add(millis(HOLD_LINES)) } else { 0 };
        row.parts = 0;
        restores::put(self.db, &row)?;
        self.wake_held();
        // It is believed in a new session only: whoever has an older copy of this store has the older sessions.
        sessions::archive(self.db, &device)?;
        let last = |line: LastLine| RestoreLast {
            conversation: line.conversation.0.to_vec(),
            line_id: line.message.0.to_vec(),
            clock: line.clock,
        };
        let request = RestoreRequest {
            restore_id: restore.id.to_vec(),
            last_lines: restores::last_lines(self.db, &device, MAX_RESTORE_LASTS)?.into_iter().map(last).collect(),
            lines_here: restores::held_ids(self.db, &device, MAX_RESTORE_HAVE)?.concat(),
        };
        self.queue_for(&device.account, device.device, Body::RestoreRequest(request))
    }

    /// Devices of an account that was met, or got a newer device list, while what this copy lacks is asked for.
    pub(in crate::engine) fn ask_new_devices(&mut self, account: &AccountId) -> Result<(), ApiError> {
        let restore = restores::current(self.db)?;
        if restore.stage != Stage::Asked || !restore.holes {
            return Ok(());
        }
        for device in self.speakers(account)? {
            if restores::get(self.db, &device)?.is_none() {
                self.ask(AskedRow::due(device), &restore)?;
            }
        }
        Ok(())
    }

    /// A device of theirs asks us for what it lacks: if it was asked by us before, it lost that, too.
    pub(in crate::engine) fn ask_once_more(&mut self, device: &DeviceAddress) -> Result<(), ApiError> {
        let restore = restores::current(self.db)?;
        match restores::get(self.db, device)? {
            Some(row) if restore.stage == Stage::Asked && row.state == AskState::Asked => self.ask(row, &restore),
            _ => Ok(()),
        }
    }

    /// The devices of an account that speak to this one.
    fn speakers(&self, account: &AccountId) -> Result<Vec<DeviceAddress>, ApiError> {
        let own = *account == self.own.address.account;
        let list =
            if own { Some(self.own.list.clone()) } else { peers::get(self.db, account)?.and_then(|peer| peer.list) };
        if !own {
            // Who has not answered us yet has said nothing.
            let waits = contacts::state(self.db, account)? == Some(ContactState::Requested);
            if waits || !self.may_leave_for(account)? {
                return Ok(Vec::new());
            }
        }
        let addresses = list.iter().flat_map(|list| list.verified_devices().map(|device| address(&device.address())));
        Ok(addresses.filter(|device| *device != self.own.address).collect())
    }

    /// What a device said of what it sent again.
    pub(in crate::engine) fn apply_restore_answer(
        &mut self,
        device: &DeviceAddress,
        answer: &RestoreAnswer,
    ) -> Result<Outcome, ApiError> {
        let restore = restores::current(self.db)?;
        let row = restores::get(self.db, device)?.filter(|row| row.state == AskState::Asked);
        let (Some(mut row), true) = (row, answer.restore_id == restore.id) else { return Ok(Outcome::Junk) };
        for message in message_ids(answer.lines_gone.iter()) {
            restores::put_gone(self.db, &device.account, &message)?;
        }
        row.parts += 1;
        row.refused |= RestoreOutcome::try_from(answer.restore_outcome) == Ok(RestoreOutcome::AskedTooOften);
        if row.parts >= answer.answers_in_all.min(MAX_PARTS) {
            row.state = AskState::Answered;
            row.hold_until_ms = 0;
            self.wake_held();
        }
        restores::put(self.db, &row)?;
        if row.state == AskState::Answered {
            self.end_asking(&device.account, &restore)?;
        }
        Ok(Outcome::Applied)
    }

    /// Tells the person what came of somebody, once all their devices have answered or will not; and of all, once all have.
    fn end_asking(&mut self, account: &AccountId, restore: &Restore) -> Result<(), ApiError> {
        let rows = restores::all(self.db, Some(account))?;
        if rows.iter().any(|row| matches!(row.state, AskState::Due | AskState::Asked)) {
            return Ok(());
        }
        let came = rows.iter().map(|row| row.came).sum::<u64>();
        let gone = restores::gone(self.db, account)?;
        let silent = rows.iter().any(|row| row.state == AskState::Silent);
        let refused = rows.iter().any(|row| row.refused);
        self.close_gaps(account, restore, came, gone, silent || refused)?;
        if came + gone > 0 || silent || refused {
            let own = *account == self.own.address.account;
            let name = if own { "your other devices".to_owned() } else { self.name_of(account)? };
            let text = told(&name, came, gone, silent, refused);
            self.notice_from("restore_done", text, account)?;
        }
        self.end_when_all_have_answered()
    }

    fn end_when_all_have_answered(&self) -> Result<(), ApiError> {
        let all = restores::all(self.db, None)?;
        let ended = all.iter().all(|row| matches!(row.state, AskState::Answered | AskState::Silent));
        if ended { Ok(restores::end(self.db)?) } else { Ok(()) }
    }

    /// The spans of an account's conversations in which something may be missing.
    fn open_gaps(&mut self, account: &AccountId, restore: &Restore) -> Result<(), ApiError> {
        let (from_ms, to_ms) = (restore.from_ms, restore.began_ms);
        let gap = Gap { from_ms, to_ms, came: 0, gone: 0, state: GapState::Asked };
        for conversation in conversations::of_account(self.db, account)? {
            gaps::put(self.db, &conversation, &gap)?;
            self.conversation_event(&conversation)?;
        }
        Ok(())
    }

    fn close_gaps(
        &mut self,
        account: &AccountId,
        restore: &Restore,
        came: u64,
        gone: u64,
        unanswered: bool,
    ) -> Result<(), ApiError> {
        for conversation in conversations::of_account(self.db, account)? {
            let known = gaps::of(self.db, &conversation)?.into_iter().find(|gap| gap.from_ms == restore.from_ms);
            let Some(mut gap) = known else { continue };
            gap.came += came;
            gap.gone += gone;
            gap.state = if unanswered || gap.state == GapState::Silent { GapState::Silent } else { GapState::Answered };
            if gap.came + gap.gone == 0 && gap.state == GapState::Answered {
                gaps::delete(self.db, &conversation, gap.from_ms)?;
            } else {
                gaps::put(self.db, &conversation, &gap)?;
            }
            self.conversation_event(&conversation)?;
        }
        Ok(())
    }
}

/// What a person is told of what came again.
fn told(name: &str, came: u64, gone: u64, silent: bool, refused: bool) -> String {
    let lines = |count: u64| if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
    let mut parts = Vec::new();
    if came > 0 {
        parts.push(format!("{} that this copy lacked came again", lines(came)));
    }
    if gone > 0 {
        let days = RESTORE_ANSWERS_KEPT.as_secs() / 86_400;
        parts.push(format!("{} cannot come: not kept there any more (what was sent is kept {days} days)", lines(gone)));
    }
    if refused {
        parts.push("nothing more was sent again: this device asked twice in 30 days already".to_owned());
    }
    if silent {
        parts.push("no answer for 30 days: what was sent meanwhile may be missing here".to_owned());
    }
    format!("{name}: {}", parts.join("; "))
}

impl Core {
    /// The mailbox is drained: whoever speaks to this device is asked for what this copy lacks.
    pub(in crate::engine) fn ask_for_missing(&mut self) -> Result<(), ApiError> {
        if restores::current(&self.db)?.stage != Stage::Collecting {
            return Ok(());
        }
        self.change(|change| {
            let restore = restores::current(change.db)?;
            restores::set_asked(change.db)?;
            let mut accounts = peers::all_ids(change.db)?;
            accounts.push(change.own.address.account);
            for account in &accounts {
                // Where nothing was taken from the mailbox, only what could not be read is lacking.
                let speakers = if restore.holes { change.speakers(account)? } else { Vec::new() };
                for device in &speakers {
                    if restores::get(change.db, device)?.is_none() {
                        restores::put(change.db, &AskedRow::due(*device))?;
                    }
                }
                let asked = !restores::all(change.db, Some(account))?.is_empty();
                if asked && *account != change.own.address.account {
                    change.open_gaps(account, &restore)?;
                }
            }
            let rows = restores::all(change.db, None)?;
            let unread: u64 = rows.iter().map(|row| row.unread).sum();
            for row in &rows {
                change.ask(*row, &restore)?;
            }
            if rows.is_empty() {
                return Ok(restores::end(change.db)?);
            }
            let text = match unread {
                0 => "asking everybody for what this copy lacks; it comes once they are connected".to_owned(),
                1 => "asking again for 1 message or receipt that could not be read here; it comes once its author is connected".to_owned(),
                _ => format!(
                    "asking again for {unread} messages or receipts that could not be read here; they come once their authors are connected"
                ),
            };
            change.notice("restoring", text, None)
        })
    }

    /// Applies held lines whose time has come; says when to look again.
    pub(in crate::engine) fn release_held(&mut self) -> Result<Option<u64>, ApiError> {
        if !restores::any_held(&self.db)? {
            return Ok(None);
        }
        self.change(|change| {
            let stage = restores::current(change.db)?.stage;
            let mut next = None;
            for device in restores::devices_held(change.db)? {
                let until_ms = match (stage, restores::get(change.db, &device)?) {
                    (Stage::Collecting, _) => continue,
                    (Stage::Asked, Some(row)) if row.state == AskState::Asked => row.hold_until_ms,
                    _ => 0,
                };
                if until_ms > change.now_ms {
                    next = Some(next.map_or(until_ms, |known: u64| known.min(until_ms)));
                    continue;
                }
                for row in restores::held(change.db, &device, Held::All, RELEASED_AT_ONCE)? {
                    change.release(&row)?;
                }
                next = Some(change.now_ms);
            }
            Ok(next)
        })
    }

    /// Until when somebody who waits for what comes should wait for what was asked for again; `None`: no longer.
    pub(in crate::engine) fn restores_until(&mut self) -> Result<Option<u64>, ApiError> {
        let now_ms = now_ms();
        let restore = restores::current(&self.db)?;
        if restore.stage == Stage::Collecting || restores::any_held(&self.db)? {
            return Ok(Some(now_ms.saturating_add(millis(HOLD_LINES))));
        }
        let rows = restores::all(&self.db, None)?;
        let open = rows.iter().filter(|row| row.state == AskState::Asked).map(|row| row.hold_until_ms);
        Ok(open.filter(|until_ms| *until_ms > now_ms).max())
    }

    /// Who was asked and has not answered for as long as relays keep the question never will.
    pub(in crate::engine) fn give_up_asking(&mut self) -> Result<(), ApiError> {
        if restores::current(&self.db)?.stage != Stage::Asked {
            return Ok(());
        }
        self.change(|change| {
            let restore = restores::current(change.db)?;
            for mut row in restores::all(change.db, None)? {
                let waited_ms = change.now_ms.saturating_sub(row.asked_ms);
                if row.state != AskState::Asked || waited_ms < millis(RESTORE_ANSWERS_KEPT) {
                    continue;
                }
                row.state = AskState::Silent;
                row.hold_until_ms = 0;
                restores::put(change.db, &row)?;
                change.end_asking(&row.device.account, &restore)?;
            }
            // Also of devices that were forgotten meanwhile nobody waits for an answer.
            change.end_when_all_have_answered()?;
            change.wake_held();
            Ok(())
        })
    }
}
