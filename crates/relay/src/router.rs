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
    DeviceAddress, ErrorCode,
    mailbox::{PrekeyCount, Push},
};
use tokio::sync::Notify;

use crate::{lock::lock, policy::limits::MAX_EPHEMERAL_QUEUE};

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

/// The right to serve a device, until somebody else claims it.
#[derive(Debug)]
pub struct Claim {
    /// Tells this connection from an older one of the same device.
    pub connection: u64,
    /// Where wakes arrive.
    pub inbox: Arc<Inbox>,
}

/// Sessions of connected devices. A wake is only a hint: losing all of them costs seconds, never messages.
pub trait Router: Send + Sync + 'static {
    /// Makes the caller the device's session; an older one is told that it is displaced.
    fn claim(&self, device: DeviceAddress) -> impl Future<Output = Claim> + Send;
    /// Ends a claim. Does nothing if another connection has claimed the device since.
    fn release(&self, device: DeviceAddress, connection: u64) -> impl Future<Output = ()> + Send;
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

/// Maps, so that sessions of different devices rarely wait for one lock.
const SHARDS: usize = 16;

type Sessions = HashMap<DeviceAddress, (u64, Arc<Inbox>)>;

/// The router of a single process.
pub struct LocalRouter {
    shards: [Mutex<Sessions>; SHARDS],
    hasher: RandomState,
    next_connection: AtomicU64,
}

impl Default for LocalRouter {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            next_connection: AtomicU64::new(1),
        }
    }
}

impl LocalRouter {
    fn shard(&self, device: &DeviceAddress) -> &Mutex<Sessions> {
        // The remainder fits usize: it is below SHARDS.
        let index = usize::try_from(self.hasher.hash_one(device) % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }

    fn tell(&self, device: &DeviceAddress, change: impl FnOnce(&mut News)) {
        let inbox = lock(self.shard(device)).get(device).map(|(_, inbox)| Arc::clone(inbox));
        // Outside the map's lock: the session may be looking at its news.
        if let Some(inbox) = inbox {
            inbox.tell(change);
        }
    }
}

impl Router for LocalRouter {
    async fn claim(&self, device: DeviceAddress) -> Claim {
        let connection = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let inbox = Arc::new(Inbox::default());
        let older = lock(self.shard(&device)).insert(device, (connection, Arc::clone(&inbox)));
        if let Some((_, older)) = older {
            older.tell(|news| news.displaced = true);
        }
        Claim { connection, inbox }
    }

    async fn release(&self, device: DeviceAddress, connection: u64) {
        let mut sessions = lock(self.shard(&device));
        if sessions.get(&device).is_some_and(|(current, _)| *current == connection) {
            sessions.remove(&device);
        }
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
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_wire::AccountId;

    const DEVICE: DeviceAddress = DeviceAddress { account: AccountId([5; 32]), device: 1 };

    #[tokio::test]
    async fn a_newer_claim_displaces_and_the_older_release_does_not_remove_it() {
        let router = LocalRouter::default();
        let first = router.claim(DEVICE).await;
        let second = router.claim(DEVICE).await;
        assert!(first.inbox.news().await.displaced);
        router.release(DEVICE, first.connection).await;
        assert_eq!(router.sessions(), 1);
        router.wake(DEVICE).await;
        assert!(second.inbox.news().await.wake);
        router.release(DEVICE, second.connection).await;
        assert_eq!(router.sessions(), 0);
    }

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost() {
        let router = LocalRouter::default();
        let claim = router.claim(DEVICE).await;
        router.wake(DEVICE).await;
        router.prekeys_low(DEVICE, PrekeyCount { one_time_ec: 1, one_time_kem: 2 }).await;
        let news = claim.inbox.news().await;
        assert!(news.wake && news.prekeys_low.is_some());
    }
}
