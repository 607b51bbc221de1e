//! `receive`: messages for a consumer whose place is kept, given to one reader at a time, or divided among those who share it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    api::{
        ApiError, Done, ErrorKind, Event, Message, ReceiveCommitParams, ReceiveParams, ReceiveReleaseParams, Received,
    },
    caller::{Caller, LEASE_HOLD},
    engine::{
        Engine,
        core::Core,
        read::leases::{Lease, Leases, NoLease, Wanted},
    },
    limits::{MAX_EVENTS_PAGE, MAX_WAIT},
    store::{self, events::Position},
};

/// The consumer of `receive` without a name.
const DEFAULT_CONSUMER: &str = "cli";

/// Longest consumer name.
const MAX_CONSUMER_BYTES: usize = 64;

/// How long a consumer that somebody else holds is waited for unless the caller says otherwise: a reader that is about to end needs
/// less, and nobody should wait for longer without knowing why.
const WAIT_FOR_CONSUMER: Duration = Duration::from_secs(5);

/// Longest life of an unused lease that a caller may ask for.
const MAX_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Messages that one of several sharers is given at once: few, so that the others have work too.
const SHARED_PAGE: u32 = 8;

/// How far sharers may be ahead of the oldest message that is not committed: a bound on what is remembered as done beyond it.
const MAX_AHEAD: u32 = MAX_EVENTS_PAGE;

fn consumer_name(name: Option<&str>) -> Result<&str, ApiError> {
    let name = name.unwrap_or(DEFAULT_CONSUMER);
    if name.is_empty() || name.len() > MAX_CONSUMER_BYTES {
        return Err(ApiError::new(ErrorKind::Usage, "a consumer's name has 1 to 64 bytes"));
    }
    Ok(name)
}

impl Engine {
    /// Takes the consumer, or goes on with a lease, and gives what lies after its place; waits as long as the caller wants for a first
    /// message.
    pub(in crate::engine) async fn receive_held(
        &self,
        params: ReceiveParams,
        caller: Caller,
    ) -> Result<Received, ApiError> {
        let name = consumer_name(params.consumer.as_deref())?.to_owned();
        let lease = self.hold(&name, &params, caller).await?;
        let deadline = Instant::now() + Duration::from_millis(params.message_wait_ms).min(MAX_WAIT);
        let mut events = self.inner.signals.events.subscribe();
        let mut moved = self.inner.leases.watch();
        loop {
            events.mark_unchanged();
            moved.mark_unchanged();
            let (leases, of, held) = (Arc::clone(&self.inner.leases), name.clone(), lease.clone());
            let page = self.inner.core.run(move |core| core.receive_page(&leases, &of, &held, params.max)).await?;
            if !page.messages.is_empty() || params.max == Some(0) {
                return Ok(page);
            }
            let news = async {
                tokio::select! {
                    biased;
                    changed = events.changed() => changed.is_ok(),
                    // Somebody who shares it may have died with messages in hand.
                    () = self.inner.leases.moved(&name, &mut moved), if lease.shared => true,
                }
            };
            match timeout_at(deadline, news).await {
                Ok(true) => {}
                Ok(false) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
                Err(_) => return Ok(page),
            }
        }
    }

    async fn hold(&self, name: &str, params: &ReceiveParams, caller: Caller) -> Result<Lease, ApiError> {
        let leases = &self.inner.leases;
        if let Some(token) = &params.lease {
            return leases.check(name, token);
        }
        let hold = match (params.hold_ms, &caller) {
            (Some(hold), _) => Some(Duration::from_millis(hold).min(MAX_HOLD)),
            (None, Caller::Request) => Some(LEASE_HOLD),
            (None, _) => None,
        };
        let wanted = Wanted { caller, hold, shared: params.share };
        let wait = params.wait_ms.map_or(WAIT_FOR_CONSUMER, Duration::from_millis).min(MAX_WAIT);
        let deadline = Instant::now() + wait;
        let mut moved = leases.watch();
        loop {
            moved.mark_unchanged();
            match leases.take(name, &wanted) {
                Ok(lease) => return Ok(lease),
                Err(NoLease::Never(error)) => return Err(error),
                Err(NoLease::Held(held)) => {
                    let freed = async {
                        tokio::select! {
                            biased;
                            () = self.inner.stop.cancelled() => true,
                            () = leases.moved(name, &mut moved) => false,
                        }
                    };
                    match timeout_at(deadline, freed).await {
                        Ok(false) => {}
                        Ok(true) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
                        Err(_) => return Err(held.refused(name)),
                    }
                }
            }
        }
    }

    pub(in crate::engine) async fn commit_held(&self, params: ReceiveCommitParams) -> Result<Done, ApiError> {
        let leases = Arc::clone(&self.inner.leases);
        self.inner.core.run(move |core| core.receive_commit(&leases, &params)).await
    }

    pub(in crate::engine) fn release_held(&self, params: &ReceiveReleaseParams) -> Result<Done, ApiError> {
        let name = consumer_name(params.consumer.as_deref())?;
        Ok(Done { id: None, count: u64::from(self.inner.leases.release(name, &params.lease)) })
    }
}

impl Core {
    fn receive_page(&self, leases: &Leases, name: &str, lease: &Lease, max: Option<u32>) -> Result<Received, ApiError> {
        let place = store::events::consumer(&self.db, name)?;
        let mut page = Received {
            messages: Vec::new(),
            cursor: place.cursor,
            lease: lease.token.clone(),
            done: place.done.iter().copied().collect(),
        };
        if max == Some(0) {
            return Ok(page);
        }
        let max = max.unwrap_or(MAX_EVENTS_PAGE).clamp(1, MAX_EVENTS_PAGE);
        // What is done beyond the place is passed over: it may fill what was asked for.
        let done = u32::try_from(place.done.len()).unwrap_or(MAX_AHEAD);
        let look = if lease.shared { MAX_AHEAD } else { max.saturating_add(done) };
        let mut messages: Vec<Message> = self
            .events_after(place.cursor, Some(look), true)?
            .0
            .into_iter()
            .filter_map(|event| match event {
                Event::Message(message) => Some(message),
                _ => None,
            })
            .filter(|message| message.cursor.is_some_and(|cursor| !place.done.contains(&cursor)))
            .collect();
        if lease.shared {
            let open: Vec<u64> = messages.iter().filter_map(|message| message.cursor).collect();
            let given = leases.give(name, &lease.token, &open, max.min(SHARED_PAGE) as usize)?;
            messages.retain(|message| message.cursor.is_some_and(|cursor| given.contains(&cursor)));
        } else {
            messages.truncate(max as usize);
        }
        page.cursor = messages.last().and_then(|message| message.cursor).unwrap_or(place.cursor);
        page.messages = messages;
        Ok(page)
    }

    fn receive_commit(&mut self, leases: &Leases, params: &ReceiveCommitParams) -> Result<Done, ApiError> {
        let name = consumer_name(params.consumer.as_deref())?.to_owned();
        let lease = leases.check(&name, &params.lease)?;
        let given = if lease.shared { leases.given(&name, &lease.token, params.cursor)? } else { BTreeSet::new() };
        self.change(|change| {
            let before = store::events::consumer(change.db, &name)?;
            let mut place = before.clone();
            if lease.shared {
                place.done.extend(&given);
                let incoming = store::events::incoming_after(change.db, place.cursor, MAX_AHEAD)?;
                settle(&mut place, &incoming);
            } else {
                // A cursor beyond the newest event would hide what is still to come.
                place.cursor = place.cursor.max(params.cursor.min(store::events::newest(change.db)?));
                place.done = place.done.split_off(&place.cursor.saturating_add(1));
            }
            if place != before {
                store::events::set_consumer(change.db, &name, &place)?;
            }
            Ok(())
        })?;
        if lease.shared {
            leases.committed(&name, &lease.token, &given);
        }
        Ok(Done::default())
    }
}

/// Moves a shared consumer's place over everything that is done without a gap; `incoming` are the messages after it.
fn settle(place: &mut Position, incoming: &[u64]) {
    let open = incoming.iter().find(|cursor| !place.done.contains(cursor)).copied();
    let later = open.map_or_else(BTreeSet::new, |open| place.done.split_off(&open));
    if let Some(last) = place.done.last() {
        place.cursor = place.cursor.max(*last);
    }
    place.done = later;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_place_moves_over_what_is_done_without_a_gap() {
        let place = |cursor, done: &[u64]| Position { cursor, done: done.iter().copied().collect() };
        let settled = |mut place: Position, incoming: &[u64]| {
            settle(&mut place, incoming);
            place
        };
        assert_eq!(settled(place(3, &[]), &[4, 7]), place(3, &[]));
        assert_eq!(settled(place(3, &[7]), &[4, 7, 9]), place(3, &[7]));
        assert_eq!(settled(place(3, &[4, 7]), &[4, 7, 9]), place(7, &[]));
        assert_eq!(settled(place(3, &[4, 9]), &[4, 7, 9]), place(4, &[9]));
        assert_eq!(settled(place(3, &[4, 7, 9]), &[4, 7, 9]), place(9, &[]));
        assert_eq!(settled(place(3, &[5]), &[]), place(5, &[]), "one that is not kept any more");
    }
}
