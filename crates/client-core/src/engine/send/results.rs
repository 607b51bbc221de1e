//! What a relay's answer to a submission means for each delivery: sent, again later, again for other devices, or never.

use std::time::Duration;

use subrosa_wire::{
    AccountId, DeviceAddress, ErrorCode,
    submit::{EnvelopeClass, SubmitResult},
};

use crate::{
    api::{ApiError, MessageStatus},
    engine::{
        core::{Change, Core, now_ms},
        send::sealing::{Batch, BatchRow},
    },
    limits::{MAX_BATCH, MAX_RESENDS, RELAY_SILENT_AFTER, RESTORED_EVERY, RETRY_FIRST, RETRY_MAX, millis},
    net::jitter,
    store::{
        self, contacts,
        deliveries::{self, DeliveryRow, Lane},
        outbox,
    },
};

/// So long at most a delivery waits because a relay says so: no relay silences a client for ever.
const MAX_RELAY_WAIT_S: u32 = 3_600;

/// Somebody who blocks another person replaces the key that all have, and gives the new one to the others within a day; whoever
/// writes with the old one meanwhile waits for the new one, as long as messages wait at all. First pause then; it doubles. The new
/// key wakes what waits at once.
const KEY_WAIT_FIRST_S: u32 = 5;

/// When something is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Retry {
    /// Later each time, but never later than this.
    Backoff(Duration),
    /// In so many milliseconds: a relay said so.
    After(u64),
}

/// What an answer means.
enum Verdict {
    /// A relay has it.
    Accepted,
    /// Their devices changed: here is the list.
    OtherDevices(bytes::Bytes),
    /// Nobody has switched this device on for weeks.
    Idle,
    /// Again after so many seconds, and why. `unreached`: the others in a conversation do not wait for them.
    Later { seconds: u32, reason: String, unreached: bool },
    /// Never.
    Refused(ErrorCode),
}

impl Core {
    /// Applies a relay's results, one for each item.
    pub(crate) fn finish(&mut self, lane: &Lane, batch: &Batch, results: &[SubmitResult]) -> Result<(), ApiError> {
        self.struggling.remove(lane);
        self.backing_off.remove(lane);
        self.change(|change| {
            let by_request = batch.route.capability.is_none();
            let mut others = Vec::new();
            // What was accepted first: it says whether a device that was not holds up anybody.
            let mut again: Vec<(DeviceAddress, u32)> = Vec::new();
            for (row, result) in batch.rows.iter().zip(results) {
                let Some(stored) = deliveries::get(change.db, row.id)? else { continue };
                match change.verdict(&stored, result)? {
                    // While it was on its way its session was lost at the other end: these bytes say nothing there.
                    Verdict::Accepted if !stored.sealed && deliveries::goes_again(change.db, row.id, MAX_RESENDS)? => {}
                    Verdict::Accepted => {
                        change.accepted(row, &stored, by_request)?;
                        if stored.again {
                            match again.iter_mut().find(|(device, _)| *device == row.device) {
                                Some((_, count)) => *count += 1,
                                None => again.push((row.device, 1)),
                            }
                        }
                    }
                    verdict => others.push((stored, verdict)),
                }
            }
            for (row, verdict) in others {
                change.not_accepted(&row, verdict)?;
            }
            for (device, count) in again {
                let next_ms = change.now_ms.saturating_add(millis(RESTORED_EVERY * count));
                deliveries::pace(change.db, lane, &device, next_ms)?;
            }
            change.wake_outbox();
            let mut seen: Option<AccountId> = None;
            for account in batch.rows.iter().map(|row| row.device.account) {
                if seen != Some(account) && store::pending_receipts::any_for(change.db, &account)? {
                    // They may have waited for room in the outbox.
                    change.wake_receipts();
                }
                seen = Some(account);
            }
            Ok(())
        })
    }

    /// What a lane needs was not to be had: the same bytes go again later. `account`: only of this one.
    pub(crate) fn postpone(
        &mut self,
        lane: &Lane,
        account: Option<&AccountId>,
        error: &ApiError,
        retry: Retry,
    ) -> Result<(), ApiError> {
        self.struggling.insert(lane.clone());
        match retry {
            Retry::Backoff(_) => self.backing_off.insert(lane.clone(), now_ms()),
            Retry::After(_) => self.backing_off.remove(lane),
        };
        self.change(|change| {
            let rows = deliveries::due(change.db, lane, change.now_ms, MAX_BATCH)?;
            let concerned = |row: &&DeliveryRow| account.is_none_or(|account| row.to.account == *account);
            // The head of each queue: what stands behind it waits with it.
            let mut heads: Vec<&DeliveryRow> = Vec::new();
            for row in rows.iter().filter(concerned) {
                if !heads.iter().any(|head| head.to == row.to) {
                    heads.push(row);
                }
            }
            for head in heads {
                let attempts = head.attempts.saturating_add(1);
                let wait_ms = match retry {
                    Retry::Backoff(longest) => backoff_ms(attempts, longest),
                    Retry::After(ms) => ms,
                };
                change.later(head, change.now_ms.saturating_add(wait_ms), &error.message, false)?;
                if account.is_some() {
                    deliveries::needs_list(change.db, head.id)?;
                }
            }
            change.wake_outbox();
            Ok(())
        })
    }

    /// Nothing of these receivers' can ever go by this way: its messages fail with a reason.
    pub(crate) fn give_up(
        &mut self,
        lane: &Lane,
        account: Option<&AccountId>,
        error: &ApiError,
    ) -> Result<(), ApiError> {
        self.change(|change| {
            for row in deliveries::due(change.db, lane, change.now_ms, MAX_BATCH)? {
                if account.is_none_or(|account| row.to.account == *account) {
                    change.fail(&row, &error.message)?;
                }
            }
            change.wake_outbox();
            Ok(())
        })
    }
}

/// Exponential backoff with full jitter.
fn backoff_ms(attempts: u32, longest: Duration) -> u64 {
    let bound = RETRY_FIRST.saturating_mul(1u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX)).min(longest);
    millis(jitter(bound))
}

impl Change<'_> {
    fn verdict(&mut self, row: &DeliveryRow, result: &SubmitResult) -> Result<Verdict, ApiError> {
        let account = &row.to.account;
        let later =
            |seconds: u32, reason: &str| Verdict::Later { seconds, reason: reason.to_owned(), unreached: false };
        Ok(match result {
            SubmitResult::Accepted => Verdict::Accepted,
            SubmitResult::StaleDevices(list) => Verdict::OtherDevices(list.clone()),
            SubmitResult::Refused { code: ErrorCode::DeviceIdle, .. } => Verdict::Idle,
            SubmitResult::Full { retry_after_s } => {
                Verdict::Later { seconds: *retry_after_s, reason: "their mailbox is full".to_owned(), unreached: true }
            }
            SubmitResult::Refused { code: ErrorCode::RequestPending, .. } => {
                // A request with a key of ours that is dead by now must be followed by another, once it was fetched.
                if contacts::get(self.db, account)?.is_none_or(|contact| contact.given.introduced) {
                    self.mark_requested(account)?;
                }
                later(MAX_RELAY_WAIT_S, "a request to them is already waiting")
            }
            // A link carries only so many messages: the others go when its maker has answered.
            SubmitResult::Refused { code: ErrorCode::QuotaExceeded, retry_after_s: 0 } => {
                later(MAX_RELAY_WAIT_S, "waiting for their first answer")
            }
            SubmitResult::Refused { code, retry_after_s }
                if *retry_after_s > 0 || matches!(code, ErrorCode::RateLimited | ErrorCode::Unavailable) =>
            {
                later(*retry_after_s, &format!("their relay says: {code}"))
            }
            // They may have replaced their key because of somebody else: the new one is on its way to us then.
            SubmitResult::Refused { code: ErrorCode::CapabilityRefused, .. } if self.may_get_new_key(account)? => {
                let wait_s = KEY_WAIT_FIRST_S.checked_shl(row.attempts.min(16)).unwrap_or(MAX_RELAY_WAIT_S);
                later(wait_s, "their relay refuses our key: they replaced it, or blocked you")
            }
            SubmitResult::Refused { code, .. } => Verdict::Refused(*code),
        })
    }

    /// Whether a refused key may soon be replaced: they are a contact who gave us one. Or our own: the relay may not have heard of our
    /// newest yet, or another device of ours replaced it.
    fn may_get_new_key(&self, account: &AccountId) -> Result<bool, ApiError> {
        if *account == self.own.address.account {
            return Ok(true);
        }
        Ok(store::peers::get(self.db, account)?
            .is_some_and(|peer| peer.delivery_key.is_some() || peer.member_key.is_some()))
    }

    /// A relay has it on disk for one of their devices: that is *sent*.
    fn accepted(&mut self, row: &BatchRow, stored: &DeliveryRow, by_request: bool) -> Result<(), ApiError> {
        let account = &row.device.account;
        deliveries::accepted(self.db, row.id, &row.envelope, self.now_ms)?;
        if stored.moves
            && let Some(message) = outbox::message_of(self.db, stored.outbox)?
        {
            self.advance(&message, account, MessageStatus::Sent, self.now_ms, None)?;
        }
        if outbox::get(self.db, stored.outbox)?.is_some_and(|content| content.class == EnvelopeClass::Ephemeral) {
            // Nobody can ask for it again.
            deliveries::delete(self.db, row.id)?;
            outbox::tidy(self.db, stored.outbox)?;
        }
        if by_request {
            self.mark_requested(account)?;
        }
        if stored.introduces
            && let Some(mut contact) = contacts::get(self.db, account)?
            && (!contact.given.introduced || contact.given.introduce_ms.is_some())
        {
            contact.given.introduced = true;
            contact.given.introduce_ms = None;
            contacts::put(self.db, &contact)?;
        }
        Ok(())
    }

    fn mark_requested(&mut self, account: &AccountId) -> Result<(), ApiError> {
        if let Some(mut contact) = contacts::get(self.db, account)?
            && !contact.reach.requested
        {
            contact.reach.requested = true;
            contacts::put(self.db, &contact)?;
        }
        Ok(())
    }

    fn not_accepted(&mut self, row: &DeliveryRow, verdict: Verdict) -> Result<(), ApiError> {
        let account = row.to.account;
        let own = account == self.own.address.account;
        let elsewhere = deliveries::standing(self.db, row.outbox, Some(&account))?.accepted > 0;
        match verdict {
            Verdict::Accepted => Ok(()),
            // A device that nobody has switched on for weeks holds up nothing: others of the person have the message, or it is
            // only for ourselves. If it is their only one, the message waits for it as long as messages wait.
            Verdict::Idle if elsewhere || own => {
                deliveries::delete(self.db, row.id)?;
                outbox::tidy(self.db, row.outbox)?;
                Ok(())
            }
            Verdict::Idle => {
                let next_ms = self.now_ms.saturating_add(u64::from(MAX_RELAY_WAIT_S) * 1_000);
                self.later(row, next_ms, "their device has not been connected for a long time", true)
            }
            Verdict::Later { seconds, reason, unreached } => {
                let wait_ms = u64::from(seconds.clamp(1, MAX_RELAY_WAIT_S)) * 1_000;
                self.later(row, self.now_ms.saturating_add(wait_ms), &reason, unreached)
            }
            Verdict::OtherDevices(list) => {
                let known = if own { self.learn_own_list(&list)? } else { self.learn_list(&account, &list)? };
                if row.list_version < known.version {
                    // Sealed anew, for those that are on it.
                    return Ok(());
                }
                // It refuses the list it gives (its own may be on the way to it): without a pause this would be a loop.
                let held = store::peers::get(self.db, &account)?.and_then(|peer| peer.held);
                let reason = held.map_or_else(
                    || "their relay has no newer device list yet".to_owned(),
                    |reason| format!("sending has stopped: {reason}"),
                );
                let next_ms = self.now_ms.saturating_add(backoff_ms(row.attempts.saturating_add(1), RETRY_MAX));
                self.later(row, next_ms, &reason, false)
            }
            Verdict::Refused(code) => self.fail(row, &refusal_text(code)),
        }
    }

    /// A delivery is tried again at a time. What is ephemeral is worth nothing then.
    fn later(&mut self, row: &DeliveryRow, next_ms: u64, reason: &str, unreached: bool) -> Result<(), ApiError> {
        let Some(content) = outbox::get(self.db, row.outbox)? else { return Ok(()) };
        if content.class == EnvelopeClass::Ephemeral {
            deliveries::delete(self.db, row.id)?;
            return Ok(outbox::tidy(self.db, row.outbox)?);
        }
        deliveries::postpone(self.db, row.id, next_ms, row.attempts.saturating_add(1), reason)?;
        let silent = self.now_ms.saturating_sub(content.created_ms) >= millis(RELAY_SILENT_AFTER);
        self.tell_why(row, reason, unreached || silent)
    }

    /// A delivery will never go. Its message fails with this receiver if none of their devices has it or may still get it.
    fn fail(&mut self, row: &DeliveryRow, reason: &str) -> Result<(), ApiError> {
        let message = outbox::message_of(self.db, row.outbox)?;
        deliveries::delete(self.db, row.id)?;
        let left = deliveries::standing(self.db, row.outbox, Some(&row.to.account))?;
        outbox::tidy(self.db, row.outbox)?;
        if left.waiting > 0 || left.accepted > 0 {
            return Ok(());
        }
        match message.filter(|_| row.moves) {
            Some(message) => {
                self.advance(&message, &row.to.account, MessageStatus::Failed, self.now_ms, Some(reason))?;
            }
            None if row.to.account != self.own.address.account => {
                let name = contacts::name(self.db, &row.to.account)?.unwrap_or_default();
                self.notice_about("not_delivered", format!("{name} could not be reached: {reason}"), &row.to.account)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Nothing that waits for somebody goes any more; its messages say why.
    pub(crate) fn fail_outbox(&mut self, account: &AccountId, reason: &str) -> Result<(), ApiError> {
        for row in deliveries::all_for(self.db, account)? {
            let message = outbox::message_of(self.db, row.outbox)?;
            deliveries::delete(self.db, row.id)?;
            outbox::tidy(self.db, row.outbox)?;
            if let Some(message) = message.filter(|_| row.moves) {
                self.advance(&message, account, MessageStatus::Failed, self.now_ms, Some(reason))?;
            }
        }
        Ok(())
    }
}

/// What a refusal means for the person.
fn refusal_text(code: ErrorCode) -> String {
    match code {
        ErrorCode::CapabilityRefused => {
            "their relay refused it: the link has expired or was withdrawn, or they do not take messages from you"
                .into()
        }
        ErrorCode::AccountDisabled => "their relay's host has disabled their account".into(),
        ErrorCode::TokenUsed => "the contact link was already used by somebody else".into(),
        other => format!("their relay refused it: {other}"),
    }
}
