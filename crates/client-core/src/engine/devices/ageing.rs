//! What grows old: prekeys that are due to be replaced, and all that is forgotten in time.
//!
//! Two clocks count, ours and the relay's, and neither is trusted alone: ours may have jumped, the relay's may lie. What is
//! needed to read the mailbox is forgotten only after the mailbox was read.

use std::time::Duration;

use subrosa_wire::limits::{MAX_EXPIRY, MAX_ONE_TIME_EC, MAX_ONE_TIME_KEM};

use crate::{
    api::ApiError,
    engine::{
        core::{Change, Core, now_ms},
        devices::upkeep::Refill,
    },
    limits::{CLOCK_DOUBT, DAY_MS, KEEP_RESULTS, MAX_CLOCK_CORRECTION, RESTORE_ANSWERS_KEPT, millis},
    store::{self, prekeys, sessions},
};

/// For clocks that differ, and for a receipt or an answer on the last day.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// A signed prekey and a last-resort KEM key serve a week.
const ROTATE_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// One-time keys serve a month: whoever takes them and never writes must not keep their secrets alive for ever.
const STOCK_AFTER: Duration = MAX_EXPIRY;

/// A session that we began and nobody answered is used for a week: all that is sent in it names the same prekeys.
const UNANSWERED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Secrets of replaced prekeys are kept as long as something made for them may come. The last bundle was given out when the
/// relay took the new ones; its session is used for [`UNANSWERED_FOR`]; what is sealed in it may wait [`MAX_EXPIRY`] for
/// the relay and as long again in the mailbox.
const KEEP_REPLACED: Duration =
    Duration::from_secs(UNANSWERED_FOR.as_secs() + 2 * MAX_EXPIRY.as_secs() + SLACK.as_secs());

/// Envelope ids are kept a day longer than any envelope.
const KEEP_ENVELOPES: Duration = Duration::from_secs(MAX_EXPIRY.as_secs() + SLACK.as_secs());

/// All that may still be needed to read the mailbox is kept so much longer while it was not read to its end. Not for ever: a
/// relay that never says where the end is would keep it alive.
const WHILE_UNREAD: Duration = MAX_EXPIRY;

impl Change<'_> {
    /// When the relay took an envelope, as far as it is believed: not in the future, and not longer ago than one can have
    /// waited. 0: it does not say.
    pub(in crate::engine) fn received(&self, claimed_ms: u64) -> u64 {
        if claimed_ms == 0 {
            return self.now_ms;
        }
        claimed_ms.max(self.now_ms.saturating_sub(millis(KEEP_ENVELOPES))).min(self.now_ms)
    }
}

impl Core {
    /// Hourly. `online`: the relay is reached; `caught_up`: all that waited there is here.
    pub(crate) fn upkeep(&mut self, online: bool, caught_up: bool) -> Result<(), ApiError> {
        if online {
            self.renew_prekeys()?;
            self.change(|change| change.member_key_in_time())?;
        }
        if caught_up { self.caught_up() } else { self.forget_old(false) }
    }

    /// The mailbox is drained: what was needed to read it may go when it is old.
    pub(crate) fn caught_up(&mut self) -> Result<(), ApiError> {
        self.change(|change| Ok(store::account::set_last_sync(change.db, change.now_ms)?))?;
        self.forget_old(true)
    }

    /// At a new connection: nothing that the mailbox may still need goes, unless nobody has drained it for long.
    pub(crate) fn forget_unread(&mut self) -> Result<(), ApiError> {
        let now_ms = now_ms();
        match store::account::last_sync(&self.db)? {
            Some(last_ms) if now_ms.abs_diff(last_ms) <= millis(WHILE_UNREAD) => Ok(()),
            _ => self.forget_old(false),
        }
    }

    /// Keeps what the relay's clock says. A clock that is far off is told to the person: it may be the machine's.
    pub(crate) fn compare_clocks(&mut self, server_time_ms: u64) -> Result<(), ApiError> {
        let off = i128::from(server_time_ms) - i128::from(now_ms());
        let off_ms = i64::try_from(off).unwrap_or(i64::MAX);
        self.clock_off_ms = Some(off_ms);
        let contradicts = off_ms.unsigned_abs() > millis(MAX_CLOCK_CORRECTION);
        if contradicts == store::account::clock_doubt(&self.db)?.is_some() {
            return Ok(());
        }
        self.change(|change| {
            store::account::set_clock_doubt(change.db, contradicts.then_some(change.now_ms))?;
            if contradicts {
                let days = off_ms.unsigned_abs() / DAY_MS;
                let patience = CLOCK_DOUBT.as_secs() / (24 * 3600);
                let text = format!(
                    "this machine's clock and our relay's are {days} days apart: if the machine's is wrong, set it; if it \
                     is right, the relay's is not, and after {patience} days it counts no more"
                );
                change.notice("clock", text, None)?;
            }
            Ok(())
        })
    }

    /// Now, for what is too old; nothing is before the relay has told its time. Old is what is old by both clocks: one that
    /// ran ahead for a moment must not throw away what waits to be sent, nor the ids that tell a repeat from something
    /// new. A relay's clock that contradicts ours is heeded for a few days only: it must not keep old keys alive.
    pub(in crate::engine) fn now_to_forget(&self) -> Result<Option<u64>, ApiError> {
        let Some(off_ms) = self.clock_off_ms else { return Ok(None) };
        let now_ms = now_ms();
        let heeded = match store::account::clock_doubt(&self.db)? {
            None => true,
            Some(since_ms) => now_ms.abs_diff(since_ms) < millis(CLOCK_DOUBT),
        };
        Ok(Some(if heeded { now_ms.saturating_add_signed(off_ms.min(0)) } else { now_ms }))
    }

    /// What is too old goes. `drained`: all that waited in the mailbox is here.
    pub(crate) fn forget_old(&mut self, drained: bool) -> Result<(), ApiError> {
        let Some(now_ms) = self.now_to_forget()? else { return Ok(()) };
        let agrees = self.clock_off_ms.is_some_and(|off| off.unsigned_abs() <= millis(MAX_CLOCK_CORRECTION));
        let read_ms = if drained { now_ms } else { now_ms.saturating_sub(millis(WHILE_UNREAD)) };
        self.expire_outbox(now_ms, read_ms)?;
        self.ask_all_again()?;
        self.give_up_asking()?;
        self.change(|change| {
            store::envelopes::forget_before(change.db, read_ms.saturating_sub(millis(KEEP_ENVELOPES)))?;
            store::invites::forget_before(change.db, read_ms.saturating_sub(millis(KEEP_ENVELOPES)))?;
            store::retries::forget_before(change.db, read_ms.saturating_sub(millis(KEEP_ENVELOPES)))?;
            store::outbox::forget_before(change.db, read_ms.saturating_sub(millis(KEEP_ENVELOPES)))?;
            store::restores::forget_before(change.db, now_ms.saturating_sub(millis(RESTORE_ANSWERS_KEPT)))?;
            store::requests::forget_before(change.db, now_ms.saturating_sub(millis(KEEP_RESULTS)))?;
            if agrees {
                prekeys::replaced_by_now(change.db, change.now_ms)?;
            }
            prekeys::forget_replaced(change.db, read_ms.saturating_sub(millis(KEEP_REPLACED)))?;
            sessions::archive_unanswered(change.db, now_ms.saturating_sub(millis(UNANSWERED_FOR)))?;
            sessions::forget_unused(change.db, read_ms.saturating_sub(millis(MAX_EXPIRY)))?;
            Ok(())
        })?;
        self.signals.tidy.notify_one();
        Ok(())
    }

    /// Replaces keys that have served their time, at each connection and hourly while it stands. Those that are replaced
    /// stay until nothing made for them can come any more.
    pub(crate) fn renew_prekeys(&mut self) -> Result<(), ApiError> {
        if prekeys::upload_waits(&self.db)? {
            return Ok(());
        }
        self.change(|change| {
            // Also what was made in the future: a clock that ran ahead must not keep a key in service for years.
            let old = |made_ms: u64, after: Duration| change.now_ms.abs_diff(made_ms) > millis(after);
            let signed = prekeys::newest_signed_ms(change.db)?.is_none_or(|made_ms| old(made_ms, ROTATE_AFTER));
            let stock = prekeys::stock_ms(change.db)?
                .is_some_and(|(oldest_ms, newest_ms)| old(oldest_ms, STOCK_AFTER) || old(newest_ms, STOCK_AFTER));
            let refill = if stock {
                Refill { one_time_ec: MAX_ONE_TIME_EC, one_time_kem: MAX_ONE_TIME_KEM, replace: true, signed }
            } else {
                Refill { signed, ..Refill::default() }
            };
            change.make_prekeys(refill)
        })
    }
}
