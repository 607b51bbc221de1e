//! The request lane's memory: which requests are pending between whom, and who asked how often.
//!
//! A stranger without capability submits on its authenticated socket, so the relay knows that pair
//! for a moment. It is kept here, in memory, and written nowhere.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Instant,
};

use subrosa_wire::{AccountId, EnvelopeId, ErrorCode, limits::MAX_REQUESTS_PER_DAY, submit::Refusal};

use crate::{
    lock::lock,
    policy::limits::{LANE_MEMORY, MAX_LANE_ENTRIES},
};

/// A request that has not been acknowledged.
struct Pending {
    sender: AccountId,
    since: Instant,
    /// What it was stored as, an envelope for each device; empty while it is being stored.
    waiting: Vec<EnvelopeId>,
    /// Requests that the receiver acknowledged meanwhile: it may be among them.
    early: Vec<EnvelopeId>,
}

#[derive(Default)]
struct Memory {
    /// By receiving account.
    pending: HashMap<AccountId, Vec<Pending>>,
    /// When a sender made its requests of the last day.
    made: HashMap<AccountId, VecDeque<Instant>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct RequestLane(Mutex<Memory>);

impl RequestLane {
    /// Reserves a request from `sender` to `receiver`; [`RequestLane::stored`] must follow.
    ///
    /// # Errors
    /// Why there may be none now.
    pub(crate) fn admit(&self, sender: AccountId, receiver: AccountId, now: Instant) -> Result<(), Refusal> {
        let mut memory = lock(&self.0);
        let made = memory.made.get(&sender);
        let oldest = made.and_then(|times| (times.len() >= MAX_REQUESTS_PER_DAY).then(|| times.front().copied()));
        if let Some(Some(oldest)) = oldest
            && now.duration_since(oldest) < LANE_MEMORY
        {
            let wait = LANE_MEMORY.saturating_sub(now.duration_since(oldest)).as_secs().saturating_add(1);
            let retry_after_s = u32::try_from(wait).unwrap_or(u32::MAX);
            return Err(Refusal { code: ErrorCode::RateLimited, retry_after_s });
        }
        if memory.pending.len() >= MAX_LANE_ENTRIES || memory.made.len() >= MAX_LANE_ENTRIES {
            return Err(Refusal { code: ErrorCode::RateLimited, retry_after_s: 3_600 });
        }
        let pending = memory.pending.entry(receiver).or_default();
        pending.retain(|request| now.duration_since(request.since) < LANE_MEMORY);
        if pending.iter().any(|request| request.sender == sender) {
            return Err(Refusal { code: ErrorCode::RequestPending, retry_after_s: 0 });
        }
        pending.push(Pending { sender, since: now, waiting: Vec::new(), early: Vec::new() });
        Ok(())
    }

    /// Says what a reserved request was stored as; nothing takes the reservation back.
    pub(crate) fn stored(&self, sender: AccountId, receiver: AccountId, envelopes: Vec<EnvelopeId>, now: Instant) {
        let mut memory = lock(&self.0);
        let is_stored = !envelopes.is_empty();
        if let Some(pending) = memory.pending.get_mut(&receiver) {
            pending.retain_mut(|request| {
                if request.sender != sender {
                    return true;
                }
                let answered = request.early.iter().any(|early| envelopes.contains(early));
                request.waiting.clone_from(&envelopes);
                request.early = Vec::new();
                is_stored && !answered
            });
            if pending.is_empty() {
                memory.pending.remove(&receiver);
            }
        }
        if is_stored {
            let made = memory.made.entry(sender).or_default();
            made.push_back(now);
            if made.len() > MAX_REQUESTS_PER_DAY {
                made.pop_front();
            }
        }
    }

    /// A device of the receiver has these envelopes of requests: they are pending no more.
    pub(crate) fn answered(&self, receiver: AccountId, envelopes: &[EnvelopeId]) {
        let mut memory = lock(&self.0);
        let Some(pending) = memory.pending.get_mut(&receiver) else { return };
        pending.retain_mut(|request| {
            if request.waiting.is_empty() {
                // No more than there may be requests waiting, on each of its devices.
                request.early.extend_from_slice(envelopes);
            }
            !request.waiting.iter().any(|waiting| envelopes.contains(waiting))
        });
        if pending.is_empty() {
            memory.pending.remove(&receiver);
        }
    }

    /// Forgets what is older than a day.
    pub(crate) fn forget_old(&self, now: Instant) {
        let memory = &mut *lock(&self.0);
        memory.pending.retain(|_, pending| {
            pending.retain(|request| now.duration_since(request.since) < LANE_MEMORY);
            !pending.is_empty()
        });
        memory.made.retain(|_, times| {
            times.retain(|at| now.duration_since(*at) < LANE_MEMORY);
            !times.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn account(n: u8) -> AccountId {
        AccountId([n; 32])
    }

    fn envelope(n: u8) -> EnvelopeId {
        EnvelopeId([n; 16])
    }

    #[test]
    fn a_pair_has_one_pending_request_until_it_is_acknowledged() {
        let (lane, now) = (RequestLane::default(), subrosa_ambient::instant());
        lane.admit(account(1), account(2), now).unwrap();
        lane.stored(account(1), account(2), vec![envelope(5), envelope(6)], now);
        assert_eq!(lane.admit(account(1), account(2), now).unwrap_err().code, ErrorCode::RequestPending);
        assert!(lane.admit(account(3), account(2), now).is_ok(), "another sender");
        lane.answered(account(2), &[envelope(4)]);
        assert!(lane.admit(account(1), account(2), now).is_err());
        lane.answered(account(2), &[envelope(6)]);
        assert!(lane.admit(account(1), account(2), now).is_ok());
    }

    #[test]
    fn an_acknowledgement_may_overtake_the_bookkeeping() {
        let (lane, now) = (RequestLane::default(), subrosa_ambient::instant());
        lane.admit(account(1), account(2), now).unwrap();
        lane.answered(account(2), &[envelope(4), envelope(5)]);
        lane.stored(account(1), account(2), vec![envelope(5)], now);
        assert!(lane.admit(account(1), account(2), now).is_ok());
    }

    #[test]
    fn a_request_that_was_not_stored_does_not_count() {
        let (lane, now) = (RequestLane::default(), subrosa_ambient::instant());
        for _ in 0..2 * MAX_REQUESTS_PER_DAY {
            lane.admit(account(1), account(2), now).unwrap();
            lane.stored(account(1), account(2), Vec::new(), now);
        }
        for n in 0..MAX_REQUESTS_PER_DAY as u8 {
            lane.admit(account(1), account(10 + n), now).unwrap();
            lane.stored(account(1), account(10 + n), vec![envelope(n)], now);
        }
        let refusal = lane.admit(account(1), account(9), now).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        assert!(refusal.retry_after_s > 86_000);
        let tomorrow = now + LANE_MEMORY + Duration::from_secs(1);
        assert!(lane.admit(account(1), account(9), tomorrow).is_ok());
        lane.forget_old(tomorrow);
        assert!(lane.admit(account(1), account(10), tomorrow).is_ok(), "pairs are forgotten after a day");
    }
}
