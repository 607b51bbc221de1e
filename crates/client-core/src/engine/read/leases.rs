//! Who holds which consumer: without it two readers of one consumer would both be given the same messages.
//!
//! All of it is in memory: leases die with the engine, and whoever held one takes it again from the next. Nobody has to be told
//! that a holder is gone: whoever looks leaves out those that are.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::select_all;
use tokio::{sync::watch, time::Instant};

use crate::{
    api::{ApiError, ErrorKind},
    caller::Caller,
    engine::core::ids::random_id,
};

/// Leases at once: one for each connection of the socket and of HTTP (128 each).
const MAX_LEASES: usize = 256;

/// How somebody wants a consumer.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Wanted {
    pub(in crate::engine) caller: Caller,
    /// The lease ends when it was not used for so long.
    pub(in crate::engine) hold: Option<Duration>,
    /// With others.
    pub(in crate::engine) shared: bool,
}

/// A lease that was given or found.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Lease {
    pub(in crate::engine) token: String,
    pub(in crate::engine) shared: bool,
}

/// Who has a consumer that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Held {
    /// The processes that are known.
    pids: Vec<u32>,
    shared: bool,
}

impl Held {
    /// What the one who wanted it is told.
    pub(in crate::engine) fn refused(&self, name: &str) -> ApiError {
        let who = match self.pids.as_slice() {
            [] => "another program".to_owned(),
            [pid] => format!("another process (pid {pid})"),
            pids => {
                format!("other processes (pids {})", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        let how = if self.shared { "shared by" } else { "held by" };
        let hint = if self.shared {
            "take a part of its messages with --share, wait until nobody has it with --wait, or read on your own under another --consumer NAME"
        } else {
            "end that one, wait for it with --wait, start both with --share to divide the messages, or read on your own under another --consumer NAME"
        };
        ApiError::new(ErrorKind::ConsumerBusy, format!("the consumer {name:?} is {how} {who}")).hint(hint)
    }
}

/// Why nobody got a lease.
#[derive(Debug)]
pub(in crate::engine) enum NoLease {
    /// Not yet.
    Held(Held),
    /// Not at all.
    Never(ApiError),
}

#[derive(Debug)]
struct Holder {
    token: String,
    caller: Caller,
    hold: Option<Duration>,
    used: Instant,
    /// Messages (cursors) that were given out and not committed; only of a shared consumer.
    given: BTreeSet<u64>,
}

impl Holder {
    fn ends(&self) -> Option<Instant> {
        self.hold.map(|hold| self.used + hold)
    }

    fn is_gone(&self, now: Instant) -> bool {
        matches!(&self.caller, Caller::Connection(connection) if connection.has_ended())
            || self.ends().is_some_and(|ends| now >= ends)
    }
}

#[derive(Debug, Default)]
struct Consumer {
    shared: bool,
    holders: Vec<Holder>,
}

/// Every lease of an engine.
#[derive(Debug)]
pub(in crate::engine) struct Leases {
    consumers: Mutex<HashMap<String, Consumer>>,
    /// Counts what was given back or committed.
    changed: watch::Sender<u64>,
}

impl Leases {
    pub(in crate::engine) fn new() -> Self {
        Self { consumers: Mutex::default(), changed: watch::Sender::new(0) }
    }

    /// The table without those who are gone.
    fn table(&self) -> MutexGuard<'_, HashMap<String, Consumer>> {
        // Nothing in here panics while it holds the lock.
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut any_gone = false;
        consumers.retain(|_, consumer| {
            let before = consumer.holders.len();
            consumer.holders.retain(|holder| !holder.is_gone(now));
            any_gone |= consumer.holders.len() < before;
            !consumer.holders.is_empty()
        });
        if any_gone {
            // Whoever looked a moment ago found them alive, and waits for their end: it is not seen a second time.
            self.tell();
        }
        consumers
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Follows what is given back.
    pub(in crate::engine) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A lease on a consumer that nobody else holds, or that is shared by all. Who holds it already keeps the same one.
    pub(in crate::engine) fn take(&self, name: &str, wanted: &Wanted) -> Result<Lease, NoLease> {
        let mut table = self.table();
        let count: usize = table.values().map(|consumer| consumer.holders.len()).sum();
        if let Some(consumer) = table.get_mut(name) {
            let own = |holder: &&mut Holder| {
                wanted.hold.is_none() && holder.hold.is_none() && holder.caller.is(&wanted.caller)
            };
            if consumer.shared == wanted.shared
                && let Some(holder) = consumer.holders.iter_mut().find(own)
            {
                holder.used = Instant::now();
                return Ok(Lease { token: holder.token.clone(), shared: wanted.shared });
            }
            if !(consumer.shared && wanted.shared) {
                let pids = consumer.holders.iter().filter_map(|holder| holder.caller.pid()).collect();
                return Err(NoLease::Held(Held { pids, shared: consumer.shared }));
            }
        }
        if count >= MAX_LEASES {
            return Err(NoLease::Never(
                ApiError::new(ErrorKind::RateLimited, format!("{MAX_LEASES} readers hold consumers already"))
                    .hint("end some of them"),
            ));
        }
        let token = hex::encode(random_id().map_err(NoLease::Never)?);
        let consumer = table.entry(name.to_owned()).or_default();
        consumer.shared = wanted.shared;
        consumer.holders.push(Holder {
            token: token.clone(),
            caller: wanted.caller.clone(),
            hold: wanted.hold,
            used: Instant::now(),
            given: BTreeSet::new(),
        });
        Ok(Lease { token, shared: wanted.shared })
    }

    /// Does something with a lease that is still good.
    fn with<R>(&self, name: &str, token: &str, work: impl FnOnce(bool, &mut Holder) -> R) -> Result<R, ApiError> {
        let mut table = self.table();
        let found = table.get_mut(name).and_then(|consumer| {
            let shared = consumer.shared;
            consumer.holders.iter_mut().find(|holder| holder.token == token).map(|holder| (shared, holder))
        });
        let (shared, holder) = found.ok_or_else(|| {
            ApiError::new(
                ErrorKind::LeaseLost,
                format!("this lease on the consumer {name:?} is not good any more: nothing was committed with it"),
            )
            .hint("receive again without a lease: what was not committed comes once more")
        })?;
        holder.used = Instant::now();
        Ok(work(shared, holder))
    }

    /// A lease that is still good, used now.
    pub(in crate::engine) fn check(&self, name: &str, token: &str) -> Result<Lease, ApiError> {
        self.with(name, token, |shared, _| Lease { token: token.to_owned(), shared })
    }

    /// Of these messages of a shared consumer the first `max` that nobody has, now given to this holder.
    pub(in crate::engine) fn give(
        &self,
        name: &str,
        token: &str,
        open: &[u64],
        max: usize,
    ) -> Result<BTreeSet<u64>, ApiError> {
        let taken: BTreeSet<u64> = self
            .table()
            .get(name)
            .into_iter()
            .flat_map(|consumer| &consumer.holders)
            .flat_map(|holder| holder.given.iter().copied())
            .collect();
        // Only the core's thread gives: nobody else takes one of them in between.
        let given: BTreeSet<u64> = open.iter().copied().filter(|cursor| !taken.contains(cursor)).take(max).collect();
        self.with(name, token, |_, holder| holder.given.extend(&given))?;
        Ok(given)
    }

    /// What this holder of a shared consumer has been given up to `cursor`.
    pub(in crate::engine) fn given(&self, name: &str, token: &str, cursor: u64) -> Result<BTreeSet<u64>, ApiError> {
        self.with(name, token, |_, holder| holder.given.range(..=cursor).copied().collect())
    }

    /// That is committed.
    pub(in crate::engine) fn committed(&self, name: &str, token: &str, cursors: &BTreeSet<u64>) {
        // Who lost the lease meanwhile has nothing to take from.
        let _ = self.with(name, token, |_, holder| holder.given.retain(|cursor| !cursors.contains(cursor)));
        self.tell();
    }

    /// Gives a lease back; `false` if it was not good any more.
    pub(in crate::engine) fn release(&self, name: &str, token: &str) -> bool {
        let mut table = self.table();
        let Some(consumer) = table.get_mut(name) else { return false };
        let before = consumer.holders.len();
        consumer.holders.retain(|holder| holder.token != token);
        let released = consumer.holders.len() < before;
        drop(table);
        self.tell();
        released
    }

    /// Waits until one of a consumer's holders may be gone, or something was given back since `seen`.
    pub(in crate::engine) async fn moved(&self, name: &str, seen: &mut watch::Receiver<u64>) {
        let (lives, ends) = {
            let table = self.table();
            let holders = table.get(name).map_or(&[][..], |consumer| &consumer.holders);
            let lives: Vec<_> = holders
                .iter()
                .filter_map(|holder| match &holder.caller {
                    Caller::Connection(connection) => Some(Box::pin(connection.end().cancelled_owned())),
                    Caller::Process | Caller::Request => None,
                })
                .collect();
            (lives, holders.iter().filter_map(Holder::ends).min())
        };
        let hung_up = async {
            if lives.is_empty() {
                std::future::pending().await
            } else {
                select_all(lives).await
            };
        };
        let expired = async {
            match ends {
                Some(ends) => tokio::time::sleep_until(ends).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // An error means that the engine is gone, and with it every lease.
            _ = seen.changed() => {}
            () = hung_up => {}
            () = expired => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(caller: &Caller, hold: Option<Duration>, shared: bool) -> Wanted {
        Wanted { caller: caller.clone(), hold, shared }
    }

    fn held(leases: &Leases, caller: &Caller, shared: bool) -> Held {
        match leases.take("bot", &wanted(caller, None, shared)) {
            Err(NoLease::Held(held)) => held,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_consumer_is_one_holders_until_its_connection_ends() {
        let leases = Leases::new();
        let (first, second) = (Caller::connected(Some(11)), Caller::connected(Some(12)));
        let token = leases.take("bot", &wanted(&first, None, false)).unwrap().token;
        assert_eq!(leases.take("bot", &wanted(&first, None, false)).unwrap().token, token, "its own");
        let why = held(&leases, &second, false).refused("bot");
        assert_eq!(why.code, ErrorKind::ConsumerBusy);
        let hint = why.hint.unwrap();
        assert!(
            why.message.contains("pid 11") && hint.contains("--wait") && hint.contains("--share"),
            "{}",
            why.message
        );
        assert!(leases.take("other", &wanted(&second, None, false)).is_ok());
        held(&leases, &second, true);

        let mut seen = leases.watch();
        let ends = async { drop(first.guard()) };
        tokio::join!(leases.moved("bot", &mut seen), ends);
        let next = leases.take("bot", &wanted(&second, None, false)).unwrap().token;
        assert_ne!(next, token);
        assert_eq!(leases.check("bot", &token).unwrap_err().code, ErrorKind::LeaseLost);
        assert!(leases.check("bot", &next).is_ok() && leases.check("other", &next).is_err());
        assert!(!leases.release("bot", &token) && leases.release("bot", &next));
        assert!(leases.take("bot", &wanted(&Caller::Process, None, false)).is_ok());
    }

    #[tokio::test]
    async fn a_holder_who_ends_between_a_look_and_the_wait_for_it_is_noticed() {
        for shared in [false, true] {
            let leases = Leases::new();
            let (first, second) = (Caller::connected(None), Caller::connected(None));
            leases.take("bot", &wanted(&first, None, shared)).unwrap();
            let mut seen = leases.watch();
            seen.mark_unchanged();
            if shared {
                let token = leases.take("bot", &wanted(&second, None, true)).unwrap().token;
                assert!(leases.give("bot", &token, &[], 1).unwrap().is_empty());
            } else {
                held(&leases, &second, false);
            }
            drop(first.guard());
            // Somebody else's look takes it out of the table.
            assert!(leases.check("another", "").is_err());
            tokio::time::timeout(Duration::from_secs(20), leases.moved("bot", &mut seen))
                .await
                .expect("waits for ever");
        }
    }

    #[tokio::test]
    async fn a_lease_without_a_connection_ends_unless_it_is_used() {
        let (begun, hold) = (Instant::now(), Duration::from_secs(60));
        let mut holder = Holder {
            token: String::new(),
            caller: Caller::Request,
            hold: Some(hold),
            used: begun,
            given: BTreeSet::new(),
        };
        assert!(!holder.is_gone(begun + hold / 2) && holder.is_gone(begun + hold));
        holder.used = begun + hold / 2;
        assert!(!holder.is_gone(begun + hold) && holder.is_gone(begun + 2 * hold));

        let leases = Leases::new();
        let short = Some(Duration::from_millis(20));
        let token = leases.take("bot", &wanted(&Caller::Request, short, false)).unwrap().token;
        let mut seen = leases.watch();
        // Resolves when it has ended, without anybody giving it back.
        leases.moved("bot", &mut seen).await;
        assert!(leases.check("bot", &token).is_err());
        // Two requests are two readers, whoever makes them.
        assert!(leases.take("bot", &wanted(&Caller::Request, Some(hold), false)).is_ok());
        assert!(matches!(leases.take("bot", &wanted(&Caller::Request, Some(hold), false)), Err(NoLease::Held(_))));
    }

    #[tokio::test]
    async fn sharers_divide_what_is_open_and_inherit_what_the_dead_left() {
        let leases = Leases::new();
        let (first, second) = (Caller::connected(None), Caller::connected(None));
        let one = leases.take("bot", &wanted(&first, None, true)).unwrap().token;
        let two = leases.take("bot", &wanted(&second, None, true)).unwrap().token;
        held(&leases, &Caller::connected(None), false);
        let open = [1, 2, 3, 4, 5];
        let set = |cursors: &[u64]| cursors.iter().copied().collect::<BTreeSet<u64>>();
        assert_eq!(leases.give("bot", &one, &open, 2).unwrap(), set(&[1, 2]));
        assert_eq!(leases.give("bot", &two, &open, 2).unwrap(), set(&[3, 4]));
        leases.committed("bot", &one, &leases.given("bot", &one, 1).unwrap());
        assert_eq!(leases.given("bot", &one, 9).unwrap(), set(&[2]));
        drop(first.guard());
        assert_eq!(leases.give("bot", &two, &open[1..], 9).unwrap(), set(&[2, 5]));
        assert_eq!(leases.give("bot", &one, &open, 1).unwrap_err().code, ErrorKind::LeaseLost);
    }

    #[test]
    fn leases_are_bounded() {
        let leases = Leases::new();
        for n in 0..MAX_LEASES {
            leases.take(&format!("{n}"), &wanted(&Caller::Process, None, false)).unwrap();
        }
        let Err(NoLease::Never(error)) = leases.take("one more", &wanted(&Caller::Process, None, false)) else {
            panic!("no bound")
        };
        assert_eq!(error.code, ErrorKind::RateLimited);
    }
}
