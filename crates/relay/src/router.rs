//! Who is connected now: claims, wakes, and what a session is told besides its mailbox.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use subrosa_wire::{
    AccountId, DeviceAddress, ErrorCode,
    mailbox::{PrekeyCount, Push},
};
use tokio::sync::Notify;

use crate::{clock::now_ms, lock::lock, policy::limits::MAX_EPHEMERAL_QUEUE};

/// What has come up for a session since it last looked.
#[derive(Debug, Default)]
pub struct News {
    /// There may be something in the mailbox.
    pub wake: bool,
    /// Another connection of this device took over.
    pub displaced: bool,
    /// The session must end, and why: the device is no longer on its account's list, or the account was disabled.
    pub ended: Option<ErrorCode>,
    /// One-time prekeys run low.
    pub prekeys_low: Option<PrekeyCount>,
    /// Envelopes that are never stored.
    pub ephemeral: VecDeque<Push>,
}

/// A session's letter box: flags and a short queue instead of a channel, because an idle
/// connection then costs a hundred bytes and not two thousand.
#[derive(Debug, Default)]
pub struct Inbox {
    news: Mutex<News>,
    notify: Notify,
}

impl Inbox {
    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut lock(&self.news));
        self.notify.notify_one();
    }

    /// Waits until there is news and takes it. Cancel-safe: news that is not taken stays.
    pub async fn news(&self) -> News {
        self.notify.notified().await;
        std::mem::take(&mut *lock(&self.news))
    }
}

/// A process of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node(pub u64);

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It pushes what comes.
    Serving,
    /// Its device is gone or told to go; what it acknowledged last is still being stored.
    Leaving,
}

/// The right to serve a device, until somebody else claims it or it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Whose session it is.
    pub device: DeviceAddress,
    /// Where it is.
    pub node: Node,
    /// Tells it from others of the same device: a later claim has a higher one.
    pub epoch: u64,
    /// Since when, milliseconds since 1970.
    pub connected_ms: u64,
    /// How it stands.
    pub status: Status,
    /// When it ends unless it is renewed, milliseconds since 1970; `None`: with its process.
    pub expires_ms: Option<u64>,
}

/// A claim that succeeded.
#[derive(Debug)]
pub struct Claim {
    /// What was claimed.
    pub lease: Lease,
    /// Where wakes arrive.
    pub inbox: Arc<Inbox>,
}

/// Who is connected cannot be known or said now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sessions cannot be claimed now: {0}")]
pub struct RouterError(pub String);

/// Sessions of connected devices. A wake is only a hint: losing all of them costs seconds, never messages.
pub trait Router: Send + Sync + 'static {
    /// Makes the caller the device's session; an older one is told that it is displaced.
    ///
    /// # Errors
    /// Nobody can claim anything now.
    fn claim(&self, device: DeviceAddress) -> impl Future<Output = Result<Claim, RouterError>> + Send;
    /// Says that the session goes on, before its lease expires. Gives the lease as it is now; `None`: it is somebody else's, or gone.
    ///
    /// # Errors
    /// It is not known now; the session may go on.
    fn renew(&self, lease: &Lease) -> impl Future<Output = Result<Option<Lease>, RouterError>> + Send;
    /// Says that the session is leaving: its device is here no more.
    fn leaving(&self, lease: &Lease) -> impl Future<Output = ()> + Send;
    /// Ends a claim. Does nothing if another connection has claimed the device since.
    fn release(&self, lease: &Lease) -> impl Future<Output = ()> + Send;
    /// The lease of a device's session, if it has one that has not expired.
    ///
    /// # Errors
    /// It is not known now.
    fn lease(&self, device: DeviceAddress) -> impl Future<Output = Result<Option<Lease>, RouterError>> + Send;
    /// Whether any device of an account is here: served by a lease that has not expired. True no longer than a lease lasts after the
    /// last sign of life.
    ///
    /// # Errors
    /// It is not known now.
    fn is_present(&self, account: AccountId) -> impl Future<Output = Result<bool, RouterError>> + Send;
    /// Says that something may have come for the device.
    fn wake(&self, device: DeviceAddress) -> impl Future<Output = ()> + Send;
    /// Hands an ephemeral envelope to the device's session; drops it if there is none.
    fn offer(&self, device: DeviceAddress, push: Push) -> impl Future<Output = ()> + Send;
    /// Says that the device's one-time prekeys run low.
    fn prekeys_low(&self, device: DeviceAddress, count: PrekeyCount) -> impl Future<Output = ()> + Send;
    /// Ends the session of a device that may not go on, and says why.
    fn end(&self, device: DeviceAddress, why: ErrorCode) -> impl Future<Output = ()> + Send;
    /// Sessions claimed at this relay process.
    fn sessions(&self) -> usize;
}

/// Maps, so that sessions of different accounts rarely wait for one lock.
const SHARDS: usize = 16;

struct Session {
    lease: Lease,
    inbox: Arc<Inbox>,
}

/// The sessions of each account: one for each of its devices at most.
type Sessions = HashMap<AccountId, Vec<Session>>;

/// The router of a single process.
pub struct LocalRouter {
    node: Node,
    shards: [Mutex<Sessions>; SHARDS],
    hasher: RandomState,
    next_epoch: AtomicU64,
}

impl Default for LocalRouter {
    fn default() -> Self {
        Self {
            node: Node(std::process::id().into()),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            next_epoch: AtomicU64::new(1),
        }
    }
}

impl LocalRouter {
    fn shard(&self, account: &AccountId) -> &Mutex<Sessions> {
        // The remainder fits usize: it is below SHARDS.
        let index = usize::try_from(self.hasher.hash_one(account) % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }

    /// Looks at the session of a device, or changes it.
    fn session<T>(&self, device: &DeviceAddress, look: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut shard = lock(self.shard(&device.account));
        shard.get_mut(&device.account)?.iter_mut().find(|session| session.lease.device == *device).map(look)
    }

    fn tell(&self, device: &DeviceAddress, change: impl FnOnce(&mut News)) {
        let inbox = self.session(device, |session| Arc::clone(&session.inbox));
        // Outside the map's lock: the session may be looking at its news.
        if let Some(inbox) = inbox {
            inbox.tell(change);
        }
    }
}

impl Router for LocalRouter {
    async fn claim(&self, device: DeviceAddress) -> Result<Claim, RouterError> {
        let lease = Lease {
            device,
            node: self.node,
            epoch: self.next_epoch.fetch_add(1, Ordering::Relaxed),
            connected_ms: now_ms(),
            status: Status::Serving,
            expires_ms: None,
        };
        let inbox = Arc::new(Inbox::default());
        let older = {
            let mut shard = lock(self.shard(&device.account));
            let sessions = shard.entry(device.account).or_default();
            let older = sessions.iter().position(|session| session.lease.device == device);
            let older = older.map(|place| sessions.swap_remove(place));
            sessions.push(Session { lease, inbox: Arc::clone(&inbox) });
            // Nearly everybody has one device: no room is kept for more.
            sessions.shrink_to_fit();
            older
        };
        if let Some(older) = older {
            older.inbox.tell(|news| news.displaced = true);
        }
        Ok(Claim { lease, inbox })
    }

    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, RouterError> {
        Ok(self.session(&lease.device, |session| session.lease).filter(|current| current.epoch == lease.epoch))
    }

    async fn leaving(&self, lease: &Lease) {
        self.session(&lease.device, |session| {
            if session.lease.epoch == lease.epoch {
                session.lease.status = Status::Leaving;
            }
        });
    }

    async fn release(&self, lease: &Lease) {
        let account = lease.device.account;
        let mut shard = lock(self.shard(&account));
        if let Some(sessions) = shard.get_mut(&account) {
            sessions.retain(|session| session.lease.epoch != lease.epoch);
            if sessions.is_empty() {
                shard.remove(&account);
            }
        }
    }

    async fn lease(&self, device: DeviceAddress) -> Result<Option<Lease>, RouterError> {
        Ok(self.session(&device, |session| session.lease))
    }

    async fn is_present(&self, account: AccountId) -> Result<bool, RouterError> {
        let shard = lock(self.shard(&account));
        let serving = |session: &Session| session.lease.status == Status::Serving;
        Ok(shard.get(&account).is_some_and(|sessions| sessions.iter().any(serving)))
    }

    async fn wake(&self, device: DeviceAddress) {
        self.tell(&device, |news| news.wake = true);
    }

    async fn offer(&self, device: DeviceAddress, push: Push) {
        self.tell(&device, |news| {
            if news.ephemeral.len() >= MAX_EPHEMERAL_QUEUE {
                news.ephemeral.pop_front();
            }
            news.ephemeral.push_back(push);
        });
    }

    async fn prekeys_low(&self, device: DeviceAddress, count: PrekeyCount) {
        self.tell(&device, |news| news.prekeys_low = Some(count));
    }

    async fn end(&self, device: DeviceAddress, why: ErrorCode) {
        self.tell(&device, |news| news.ended = Some(why));
    }

    fn sessions(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).values().map(Vec::len).sum::<usize>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceAddress = DeviceAddress { account: AccountId([5; 32]), device: 1 };

    #[tokio::test]
    async fn a_queue_that_nobody_takes_from_keeps_the_newest() {
        let router = LocalRouter::default();
        let claim = router.claim(DEVICE).await.unwrap();
        let count = MAX_EPHEMERAL_QUEUE as u64 + 5;
        for received_ms in 0..count {
            let push = Push {
                seq: 0,
                class: subrosa_wire::submit::EnvelopeClass::Ephemeral,
                head: bytes::Bytes::new(),
                body: bytes::Bytes::new(),
                received_ms,
                way: subrosa_wire::mailbox::Way::DeliveryKey,
            };
            router.offer(DEVICE, push).await;
        }
        let kept = claim.inbox.news().await.ephemeral;
        assert_eq!((kept.len(), kept.back().unwrap().received_ms), (MAX_EPHEMERAL_QUEUE, count - 1));
    }
}
