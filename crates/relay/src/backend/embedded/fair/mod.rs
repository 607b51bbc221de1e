//! A bounded queue from many sources to one consumer, in which nobody's work holds up another's for long.
//!
//! Deficit round robin: each source has a queue of its own and in each turn a credit (`QUANTUM`). A source that had
//! nothing queued comes before those that have (as in FQ-CoDel, RFC 8290), but such get only half of a batch: who sends a
//! little now and then is in the next one, however much others have queued, and that one is a small one. Within a source the order is kept.
//!
//! The queue is bounded by what is free in it ("dynamic thresholds"): a source may hold as much as is still free for
//! others, so that one takes half of it, two take a third each, and there is always room for one more. Who has
//! nothing in the queue gets in even when it is full: its one entry is in memory anyway.

mod queue;
#[cfg(test)]
mod tests;

use std::{
    hash::Hash,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use queue::Queue;

use crate::lock::{lock, wait};

/// Weight that busy sources may put beside somebody who sends a little: what shares a sync without making it longer.
const BESIDE_FRESH: usize = 16;

/// So long after two sources were seen, the next may come at any moment.
const COMPANY: Duration = Duration::from_secs(1);

/// What the queue holds at most, but for one entry of each source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// What an entry costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Work for the consumer, in rows that are written or looked up.
    pub(super) weight: usize,
    /// Memory while it waits.
    pub(super) bytes: usize,
}

impl Cost {
    /// Work with little memory.
    pub(super) const fn rows(weight: usize) -> Self {
        Self { weight, bytes: 0 }
    }
}

/// The other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// Where something is put in. The consumer ends when the last one is dropped and the queue is empty.
pub(super) struct Sender<K: Hash + Eq + Copy, T>(Arc<Sending<K, T>>);

impl<K: Hash + Eq + Copy, T> Clone for Sender<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Sending<K: Hash + Eq + Copy, T>(Arc<Channel<K, T>>);

impl<K: Hash + Eq + Copy, T> Drop for Sending<K, T> {
    fn drop(&mut self) {
        lock(&self.0.queue).closed = true;
        self.0.wake();
    }
}

/// Where it is taken out.
pub(super) struct Receiver<K: Hash + Eq + Copy, T>(Arc<Channel<K, T>>);

impl<K: Hash + Eq + Copy, T> Drop for Receiver<K, T> {
    /// What is queued goes with it, and who waits for room hears of it.
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        queue.closed = true;
        queue.sources.clear();
    }
}

struct Channel<K: Hash + Eq + Copy, T> {
    queue: Mutex<Queue<K, T>>,
    /// There is something to take, or nothing will come any more.
    filled: Condvar,
    /// The same for a task.
    #[cfg(feature = "simulation")]
    woken: tokio::sync::Notify,
}

impl<K: Hash + Eq + Copy, T> Channel<K, T> {
    fn wake(&self) {
        self.filled.notify_one();
        #[cfg(feature = "simulation")]
        self.woken.notify_one();
    }
}

/// Makes an empty queue.
pub(super) fn channel<K: Hash + Eq + Copy, T>(bounds: Bounds) -> (Sender<K, T>, Receiver<K, T>) {
    let channel = Arc::new(Channel {
        queue: Mutex::new(Queue::new(bounds)),
        filled: Condvar::new(),
        #[cfg(feature = "simulation")]
        woken: tokio::sync::Notify::new(),
    });
    (Sender(Arc::new(Sending(Arc::clone(&channel)))), Receiver(channel))
}

impl<K: Hash + Eq + Copy, T> Sender<K, T> {
    /// Queues an entry once there is room for it. Entries of one source are taken in the order in which this was called. A
    /// future that is dropped while it waits for room gives up its place in line.
    pub(super) async fn send(&self, source: K, cost: Cost, value: T) -> Result<(), Closed> {
        let channel = &self.0.0;
        let entry = Entry { value, cost, since: subrosa_ambient::instant() };
        let (place, admitted) = {
            let mut queue = lock(&channel.queue);
            if queue.closed {
                return Err(Closed);
            }
            let Some((ticket, admitted)) = queue.enter(source, entry) else {
                drop(queue);
                channel.wake();
                return Ok(());
            };
            (Ticket { channel, source, ticket }, admitted)
        };
        let result = admitted.await.map_err(|_| Closed);
        drop(place);
        result
    }
}

impl<K: Hash + Eq + Copy, T> Receiver<K, T> {
    /// Waits until something is queued, and takes what is next, up to `weight`, or up to `alone` where only one source has
    /// sent anything for a while; an entry that weighs more comes alone. `None`: everything was taken and nothing will come.
    pub(super) fn take(&self, weight: usize, alone: usize) -> Option<Vec<Entry<T>>> {
        let mut queue = lock(&self.0.queue);
        while queue.held.entries == 0 && !queue.closed {
            queue = wait(&self.0.filled, queue);
        }
        Self::next(queue, weight, alone)
    }

    /// As [`Receiver::take`], for a task.
    #[cfg(feature = "simulation")]
    pub(super) async fn taken(&self, weight: usize, alone: usize) -> Option<Vec<Entry<T>>> {
        loop {
            {
                let queue = lock(&self.0.queue);
                if queue.held.entries > 0 || queue.closed {
                    return Self::next(queue, weight, alone);
                }
            }
            self.0.woken.notified().await;
        }
    }

    fn next(mut queue: std::sync::MutexGuard<'_, Queue<K, T>>, weight: usize, alone: usize) -> Option<Vec<Entry<T>>> {
        let has_company =
            queue.company.is_some_and(|seen| subrosa_ambient::instant().saturating_duration_since(seen) < COMPANY);
        let taken = if has_company { queue.take(weight, BESIDE_FRESH) } else { queue.take(alone, usize::MAX) };
        queue.admit_all();
        (!taken.is_empty()).then_some(taken)
    }
}

/// What was queued.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) value: T,
    cost: Cost,
    /// When it came.
    pub(super) since: Instant,
}

impl<T> Entry<T> {
    pub(super) const fn weight(&self) -> usize {
        self.cost.weight
    }
}

/// A place in the line before a queue that had no room; given up when dropped.
struct Ticket<'a, K: Hash + Eq + Copy, T> {
    channel: &'a Channel<K, T>,
    source: K,
    ticket: u64,
}

impl<K: Hash + Eq + Copy, T> Drop for Ticket<'_, K, T> {
    fn drop(&mut self) {
        lock(&self.channel.queue).leave(self.source, self.ticket);
        self.channel.wake();
    }
}
