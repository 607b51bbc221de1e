//! What a relay's answer to a submission means: sent, again later, again for other devices, or never.

use subrosa_wire::{AccountId, DeviceAddress, EnvelopeId, ErrorCode, submit::SubmitResult};

use super::{
    core::{Change, Core},
    sealing::{Batch, BatchRow},
};
use crate::{
    api::{ApiError, MessageStatus},
    limits::{MAX_BATCH, RETRY_FIRST, RETRY_MAX, millis},
    net::jitter,
    store::{
        self, contacts,
        outbox::{self, OutboxRow},
        retries::Resend,
    },
};

/// So long at most a row waits because a relay says so: no relay silences a client for ever.
const MAX_RELAY_WAIT_S: u32 = 3_600;

/// Somebody who blocks another person replaces the key that all have, and gives the new one to the others within a day; whoever
/// writes with the old one meanwhile waits for the new one, as long as messages wait at all. First pause then; it doubles. The new key wakes what waits at once.
const KEY_WAIT_FIRST_S: u32 = 5;

impl Core {
    /// Applies a relay's results, one for each item.
    pub(crate) fn finish(
        &mut self,
        target: AccountId,
        batch: &Batch,
        results: &[SubmitResult],
    ) -> Result<(), ApiError> {
        self.struggling.remove(&target);
        self.backing_off.remove(&target);
        self.change(|change| {
            let mut results = results.iter();
            for row in &batch.rows {
                let outcomes: Vec<_> = row.envelopes.iter().zip(results.by_ref()).collect();
                change.finish_row(&target, row, batch.route.capability.is_none(), &outcomes)?;
            }
            change.wake_outbox();
            if store::pending_receipts::any_for(change.db, &target)? {
                // They may have waited for room in the outbox.
                change.wake_receipts();
            }
            Ok(())
        })
    }

    /// The batch did not reach the relay, or its answer did not reach us: the same bytes go again later.
    pub(crate) fn postpone(
        &mut self,
        target: AccountId,
        error: &ApiError,
        retry_after_ms: Option<u64>,
    ) -> Result<(), ApiError> {
        self.struggling.insert(target);
        match retry_after_ms {
            None => self.backing_off.insert(target, super::core::now_ms()),
            Some(_) => self.backing_off.remove(&target),
        };
        self.change(|change| {
            let rows = outbox::first_of(change.db, &target, change.now_ms, MAX_BATCH)?;
            let Some(head) = rows.first() else { return Ok(()) };
            let attempts = head.attempts.saturating_add(1);
            let wait_ms = retry_after_ms.unwrap_or_else(|| backoff_ms(attempts));
            let next_ms = change.now_ms.saturating_add(wait_ms);
            // Rows before the first that nobody has yet hold up none behind them: they wait together with it.
            let first_new = rows.iter().position(|row| row.done.is_empty()).unwrap_or(rows.len());
            for row in rows.iter().take(first_new.saturating_add(1)) {
                outbox::postpone(change.db, row.id, next_ms, attempts, &error.message)?;
            }
            change.wake_outbox();
            Ok(())
        })
    }

    /// Nothing of this receiver's can ever go by this way: its messages fail with a reason.
    pub(crate) fn give_up(&mut self, target: AccountId, error: &ApiError) -> Result<(), ApiError> {
        self.change(|change| {
            for row in outbox::first_of(change.db, &target, change.now_ms, MAX_BATCH)? {
                change.fail_row(&target, row.id, &error.message)?;
            }
            change.wake_outbox();
            Ok(())
        })
    }
}

/// Exponential backoff with full jitter.
fn backoff_ms(attempts: u32) -> u64 {
    let bound = RETRY_FIRST.saturating_mul(1u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX)).min(RETRY_MAX);
    millis(jitter(bound))
}

impl Change<'_> {
    fn finish_row(
        &mut self,
        target: &AccountId,
        row: &BatchRow,
        lane: bool,
        outcomes: &[(&(DeviceAddress, EnvelopeId), &SubmitResult)],
    ) -> Result<(), ApiError> {
        let Some(stored) = outbox::get(self.db, row.id)? else { return Ok(()) };
        let mut done = stored.done.clone();
        let mut stale = None;
        let mut retry_s = None;
        let mut refused = None;
        let mut idle = Vec::new();
        for ((device, envelope), result) in outcomes {
            match result {
                SubmitResult::Accepted => {
                    done.push(device.device);
                    let content = match stored.message {
                        Some(message) => Some(Resend::Message(message)),
                        None if stored.introduces => Some(Resend::Introduction),
                        None => None,
                    };
                    if let Some(content) = content {
                        store::retries::log_sent(self.db, envelope, device, content, self.now_ms)?;
                    }
                }
                SubmitResult::StaleDevices(list) => stale = Some(list),
                SubmitResult::Refused { code: ErrorCode::DeviceIdle, .. } => idle.push(device.device),
                SubmitResult::Full { retry_after_s } => {
                    retry_s = Some((*retry_after_s, "their mailbox is full".to_owned()));
                }
                SubmitResult::Refused { code: ErrorCode::RequestPending, .. } => {
                    // A request with a key of ours that is dead by now must be followed by another, once it was fetched.
                    if contacts::get(self.db, target)?.is_none_or(|contact| contact.introduced) {
                        self.mark_requested(target)?;
                    }
                    retry_s = Some((MAX_RELAY_WAIT_S, "a request to them is already waiting".to_owned()));
                }
                // A link carries only so many messages: the others go when its maker has answered.
                SubmitResult::Refused { code: ErrorCode::QuotaExceeded, retry_after_s: 0 } => {
                    retry_s = Some((MAX_RELAY_WAIT_S, "waiting for their first answer".to_owned()));
                }
                SubmitResult::Refused { code, retry_after_s }
                    if *retry_after_s > 0 || matches!(code, ErrorCode::RateLimited | ErrorCode::Unavailable) =>
                {
                    retry_s = Some((*retry_after_s, format!("their relay says: {code}")));
                }
                // They may have replaced their key because of somebody else: the new one is on its way to us then.
                SubmitResult::Refused { code: ErrorCode::CapabilityRefused, .. } if self.may_get_new_key(target)? => {
                    let wait_s = KEY_WAIT_FIRST_S.checked_shl(stored.attempts.min(16)).unwrap_or(MAX_RELAY_WAIT_S);
                    retry_s =
                        Some((wait_s, "their relay refuses our key: they replaced it, or blocked you".to_owned()));
                }
                SubmitResult::Refused { code, .. } => refused = Some(*code),
            }
        }
        if done.len() > stored.done.len() {
            self.accepted(target, &stored, lane)?;
        }
        // A device that nobody has switched on for weeks holds up nothing: others of the person have the message, or it is
        // only for ourselves. If it is their only one, the message waits for it as long as messages wait.
        if !done.is_empty() || *target == self.own.address.account {
            done.append(&mut idle);
        } else if !idle.is_empty() {
            let reason = "their device has not been connected for a long time".to_owned();
            retry_s = retry_s.or(Some((MAX_RELAY_WAIT_S, reason)));
        }
        if let Some(list) = stale {
            let known = if *target == self.own.address.account {
                self.learn_own_list(list)?
            } else {
                self.learn_list(target, list)?
            };
            if stored.sealed_list.is_none_or(|sealed| sealed < known.version) {
                outbox::unseal(self.db, row.id, &done)?;
            } else {
                // It refuses the list it gives (its own may be on the way to it): without a pause this would be a loop.
                outbox::set_done(self.db, row.id, &done)?;
                let attempts = stored.attempts.saturating_add(1);
                let next_ms = self.now_ms.saturating_add(backoff_ms(attempts));
                let held = contacts::get(self.db, target)?.and_then(|contact| contact.held);
                let reason = held.map_or_else(
                    || "their relay has no newer device list yet".to_owned(),
                    |reason| format!("sending has stopped: {reason}"),
                );
                outbox::postpone(self.db, row.id, next_ms, attempts, &reason)?;
            }
        } else if let Some((seconds, reason)) = retry_s {
            outbox::set_done(self.db, row.id, &done)?;
            let next_ms = self.now_ms.saturating_add(u64::from(seconds.clamp(1, MAX_RELAY_WAIT_S)) * 1_000);
            outbox::postpone(self.db, row.id, next_ms, stored.attempts.saturating_add(1), &reason)?;
        } else if let Some(code) = refused {
            self.fail_row(target, row.id, &refusal_text(code))?;
        } else {
            outbox::delete(self.db, row.id)?;
        }
        Ok(())
    }

    /// Whether a refused key may soon be replaced: they are a contact who gave us one.
    fn may_get_new_key(&self, target: &AccountId) -> Result<bool, ApiError> {
        Ok(contacts::get(self.db, target)?.is_some_and(|contact| contact.delivery_key.is_some()))
    }

    /// A relay has the row on disk for at least one device: that is *sent*.
    fn accepted(&mut self, target: &AccountId, row: &OutboxRow, lane: bool) -> Result<(), ApiError> {
        if let Some(id) = row.message {
            if self.move_status(&id, MessageStatus::Sent, None)? {
                store::messages::add_receipt(self.db, &id, target, MessageStatus::Sent, self.now_ms)?;
            }
            store::messages::set_error(self.db, &id, None)?;
        }
        if lane {
            self.mark_requested(target)?;
        }
        if row.introduces
            && let Some(mut contact) = contacts::get(self.db, target)?
            && (!contact.introduced || contact.introduce_ms.is_some())
        {
            contact.introduced = true;
            contact.introduce_ms = None;
            contacts::put(self.db, &contact)?;
        }
        Ok(())
    }

    fn mark_requested(&mut self, target: &AccountId) -> Result<(), ApiError> {
        if let Some(mut contact) = contacts::get(self.db, target)?
            && !contact.requested
        {
            contact.requested = true;
            contacts::put(self.db, &contact)?;
        }
        Ok(())
    }

    fn fail_row(&mut self, target: &AccountId, row: i64, reason: &str) -> Result<(), ApiError> {
        let message = outbox::get(self.db, row)?.and_then(|one| one.message);
        outbox::delete(self.db, row)?;
        match message {
            Some(id) => {
                self.move_status(&id, MessageStatus::Failed, Some(reason))?;
            }
            None => {
                let name = contacts::get(self.db, target)?.map_or_else(String::new, |contact| contact.name);
                self.notice("not_delivered", format!("{name} could not be reached: {reason}"), Some(target))?;
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
