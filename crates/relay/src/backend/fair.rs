//! A bounded queue from many sources to one consumer, in which nobody's work holds up another's for long.
//!
//! Deficit round robin: each source has a queue of its own and in each turn a credit of [`QUANTUM`]. A source that had
//! nothing queued comes before those that have (as in FQ-CoDel, RFC 8290), but such get only half of a batch: who sends a
//! little now and then is in the next one, however much others have queued, and that one is a small one. Within a source the order is kept.
//!
//! The queue is bounded by what is free in it ("dynamic thresholds"): a source may hold as much as is still free for
//! others, so that one takes half of it, two take a third each, and there is always room for one more. Who has
//! nothing in the queue gets in even when it is full: its one entry is in memory anyway.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::lock::{lock, wait};

/// Weight that a source may take in its turn. Small, so that a batch of 256 has room for thirty busy sources.
const QUANTUM: usize = 8;

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

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    entries: usize,
    bytes: usize,
}

/// The queue itself; whoever looks at it holds the lock.
struct Queue<K: Hash + Eq + Copy, T> {
    bounds: Bounds,
    held: Held,
    sources: HashMap<K, SourceQueue<T>>,
    /// Sources that had nothing queued until now.
    fresh: VecDeque<K>,
    /// Those that had more queued than fits into a turn, each once.
    rotation: VecDeque<K>,
    /// In line for room, over all sources.
    waiting: usize,
    next_ticket: u64,
    /// Who sent last, and when that was last somebody else than before.
    last: Option<K>,
    company: Option<Instant>,
    closed: bool,
}

/// Somebody with something queued, something in line, or a place in one of the two lists.
struct SourceQueue<T> {
    entries: VecDeque<Entry<T>>,
    held: Held,
    /// Weight that it may still take in its turn.
    credit: usize,
    is_listed: bool,
    /// That for which there was no room, first come first.
    waiting: VecDeque<Waiting<T>>,
}

struct Waiting<T> {
    ticket: u64,
    entry: Entry<T>,
    admitted: oneshot::Sender<()>,
}

impl<T> Default for SourceQueue<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), held: Held::default(), credit: 0, is_listed: false, waiting: VecDeque::new() }
    }
}

impl<K: Hash + Eq + Copy, T> Queue<K, T> {
    fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: Held::default(),
            sources: HashMap::new(),
            fresh: VecDeque::new(),
            rotation: VecDeque::new(),
            waiting: 0,
            next_ticket: 0,
            last: None,
            company: None,
            closed: false,
        }
    }

    /// Whether a source that holds so much may add so much: it must not hold more than is then left for others.
    fn has_room(&self, held: Held, cost: Cost) -> bool {
        let fits = |held: usize, more: usize, all: usize, most: usize| {
            held.saturating_add(more) <= most.saturating_sub(all.saturating_add(more))
        };
        held.entries == 0
            || (fits(held.entries, 1, self.held.entries, self.bounds.entries)
                && fits(held.bytes, cost.bytes, self.held.bytes, self.bounds.bytes))
    }

    /// Queues an entry, or puts it in line; then the answer says when it was queued.
    fn enter(&mut self, key: K, entry: Entry<T>) -> Option<(u64, oneshot::Receiver<()>)> {
        let (held, in_line) =
            self.sources.get(&key).map_or((Held::default(), 0), |source| (source.held, source.waiting.len()));
        if in_line == 0 && self.has_room(held, entry.cost) {
            self.push(key, entry);
            return None;
        }
        let (admitted, answer) = oneshot::channel();
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting += 1;
        self.sources.entry(key).or_default().waiting.push_back(Waiting { ticket, entry, admitted });
        Some((ticket, answer))
    }

    fn push(&mut self, key: K, entry: Entry<T>) {
        if self.last.replace(key).is_some_and(|last| last != key) {
            self.company = Some(subrosa_ambient::instant());
        }
        let source = self.sources.entry(key).or_default();
        for held in [&mut self.held, &mut source.held] {
            held.entries += 1;
            held.bytes += entry.cost.bytes;
        }
        source.entries.push_back(entry);
        if !source.is_listed {
            source.is_listed = true;
            source.credit = QUANTUM;
            self.fresh.push_back(key);
        }
    }

    /// Gives up a place in line, if it is still held; those behind it may fit.
    fn leave(&mut self, key: K, ticket: u64) {
        let Some(source) = self.sources.get_mut(&key) else { return };
        let before = source.waiting.len();
        source.waiting.retain(|waiting| waiting.ticket != ticket);
        let left = before - source.waiting.len();
        if left > 0 {
            self.waiting -= left;
            self.admit(key);
        }
    }

    /// Queues what of a source is in line and has room.
    fn admit(&mut self, key: K) {
        while let Some(source) = self.sources.get(&key)
            && let Some(first) = source.waiting.front()
            && self.has_room(source.held, first.entry.cost)
        {
            let first = self.sources.get_mut(&key).and_then(|source| source.waiting.pop_front());
            if let Some(Waiting { entry, admitted, .. }) = first {
                self.waiting -= 1;
                self.push(key, entry);
                // Who does not wait for it any more has it queued all the same.
                let _ = admitted.send(());
            }
        }
        self.forget_if_idle(key);
    }

    fn admit_all(&mut self) {
        if self.waiting > 0 {
            let first = |source: &SourceQueue<T>| source.waiting.front().map(|waiting| waiting.ticket);
            let mut keys: Vec<(u64, K)> =
                self.sources.iter().filter_map(|(key, source)| Some((first(source)?, *key))).collect();
            // Who waits longest comes first.
            keys.sort_unstable_by_key(|(ticket, _)| *ticket);
            keys.into_iter().for_each(|(_, key)| self.admit(key));
        }
    }

    fn forget_if_idle(&mut self, key: K) {
        if self.sources.get(&key).is_some_and(|source| !source.is_listed && source.waiting.is_empty()) {
            self.sources.remove(&key);
        }
    }

    /// What is next, up to a weight of `most`; beside somebody who sends a little no more than `beside` of those that have more.
    fn take(&mut self, most: usize, beside: usize) -> Vec<Entry<T>> {
        let mut taken = Vec::new();
        let (mut weight, mut weight_of_fresh) = (0, 0);
        loop {
            // Many that send a little must not keep those waiting for ever that have more.
            let has_share = self.rotation.is_empty() || weight_of_fresh * 2 < most;
            let is_fresh = has_share && !self.fresh.is_empty();
            let list = if is_fresh { &mut self.fresh } else { &mut self.rotation };
            let Some(key) = list.front().copied() else { return taken };
            let Some(source) = self.sources.get_mut(&key) else { return taken };
            let next = source.entries.front().map(|entry| entry.cost.weight);
            match next {
                Some(next) if next <= source.credit => {
                    if !taken.is_empty() && weight + next > most {
                        return taken;
                    }
                    // Who sends a little waits for all of this batch: others get into it only as far as that costs no time.
                    let of_busy = weight - weight_of_fresh;
                    if !is_fresh && weight_of_fresh > 0 && of_busy + next > weight_of_fresh.max(beside) {
                        return taken;
                    }
                    let Some(entry) = source.entries.pop_front() else { return taken };
                    source.credit -= next;
                    weight += next;
                    if is_fresh {
                        weight_of_fresh += next;
                    }
                    for held in [&mut self.held, &mut source.held] {
                        held.entries -= 1;
                        held.bytes -= entry.cost.bytes;
                    }
                    taken.push(entry);
                    continue;
                }
                Some(_) => source.credit += QUANTUM,
                None => source.is_listed = false,
            }
            // Its turn is over.
            list.pop_front();
            if source.is_listed {
                self.rotation.push_back(key);
            } else {
                self.forget_if_idle(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    const PLENTY: Bounds = Bounds { entries: 1 << 20, bytes: 1 << 30 };

    type Numbers = Queue<u8, u32>;

    fn entry(value: u32, weight: usize, bytes: usize) -> Entry<u32> {
        Entry { value, cost: Cost { weight, bytes }, since: subrosa_ambient::instant() }
    }

    fn taken(queue: &mut Numbers, weight: usize) -> Vec<u32> {
        let taken = queue.take(weight, BESIDE_FRESH);
        queue.admit_all();
        taken.into_iter().map(|entry| entry.value).collect()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Send {
            source: u8,
            weight: usize,
            bytes: usize,
        },
        Take {
            weight: usize,
        },
        /// Somebody in line gives up.
        Leave {
            nth: usize,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..5_u8, 0..40_usize, 0..300_usize)
                .prop_map(|(source, weight, bytes)| Step::Send { source, weight, bytes }),
            2 => (1..60_usize).prop_map(|weight| Step::Take { weight }),
            1 => (0..10_usize).prop_map(|nth| Step::Leave { nth }),
        ]
    }

    proptest! {
        #[test]
        fn everything_comes_once_in_the_order_of_its_source_and_within_the_bounds(
            steps in prop::collection::vec(step(), 1..200)
        ) {
            let bounds = Bounds { entries: 16, bytes: 1_000 };
            let mut queue = Numbers::new(bounds);
            // By number: source and weight.
            let mut sent: BTreeMap<u32, (u8, usize)> = BTreeMap::new();
            let mut in_line = Vec::new();
            let mut last: BTreeMap<u8, u32> = BTreeMap::new();
            let mut number = 0;
            let mut check = |queue: &mut Numbers, sent: &mut BTreeMap<u32, (u8, usize)>, most: usize| {
                let values = taken(queue, most);
                let mut weight = 0;
                for value in &values {
                    let (source, own) = sent.remove(value).expect("something that was sent, for the first time");
                    weight += own;
                    prop_assert!(last.insert(source, *value).is_none_or(|before| before < *value), "order");
                }
                prop_assert!(weight <= most || values.len() == 1, "a batch of {weight} instead of {most}");
                Ok(values.len())
            };
            for step in steps {
                match step {
                    Step::Send { source, weight, bytes } => {
                        number += 1;
                        sent.insert(number, (source, weight));
                        if let Some((ticket, admitted)) = queue.enter(source, entry(number, weight, bytes)) {
                            in_line.push((number, source, ticket, admitted));
                        }
                    }
                    Step::Take { weight } => {
                        let had = queue.held.entries;
                        let got = check(&mut queue, &mut sent, weight)?;
                        prop_assert_eq!(got == 0, had == 0, "something is taken as long as there is something");
                    }
                    Step::Leave { nth } if nth < in_line.len() => {
                        let (number, source, ticket, mut admitted) = in_line.remove(nth);
                        queue.leave(source, ticket);
                        if admitted.try_recv().is_err() {
                            sent.remove(&number);
                        }
                    }
                    Step::Leave { .. } => {}
                }
                prop_assert!(queue.held.entries <= bounds.entries + queue.sources.len());
                prop_assert!(queue.held.bytes <= bounds.bytes + 300 * queue.sources.len());
                let held: usize = queue.sources.values().map(|source| source.entries.len()).sum();
                prop_assert_eq!(held, queue.held.entries);
                let waiting: usize = queue.sources.values().map(|source| source.waiting.len()).sum();
                prop_assert_eq!(waiting, queue.waiting);
            }
            while check(&mut queue, &mut sent, 50)? > 0 {}
            prop_assert!(sent.is_empty(), "left: {:?}", sent);
            prop_assert!(queue.sources.is_empty() && queue.fresh.is_empty() && queue.rotation.is_empty());
            prop_assert_eq!((queue.held.entries, queue.held.bytes, queue.waiting), (0, 0, 0));
        }

        /// However much others have queued, who sends a little is in the next batch, and in the one after it again.
        #[test]
        fn who_sends_a_little_is_in_the_next_batch(floods in 1..30_u8, weight in 1..8_usize, each in 1..9_usize) {
            let mut queue = Numbers::new(PLENTY);
            for number in 0..u32::from(floods) * 200 {
                queue.enter((number % u32::from(floods)) as u8, entry(number, each, 0));
            }
            // They are new only once.
            while !queue.fresh.is_empty() {
                taken(&mut queue, 256);
            }
            for message in 1_000_000..1_000_003 {
                queue.enter(u8::MAX, entry(message, weight, 0));
                prop_assert!(taken(&mut queue, 256).contains(&message));
            }
        }

        /// Any number of those who send a little leaves turns to who has more.
        #[test]
        fn who_has_more_is_not_kept_waiting_for_ever(others in 20..100_u32) {
            let mut queue = Numbers::new(PLENTY);
            for number in 0..1_000 {
                queue.enter(u8::MAX, entry(number, 1, 0));
            }
            taken(&mut queue, 64);
            let mut got = 0;
            for round in 1..others {
                for other in 0..others {
                    queue.enter(other as u8, entry(1_000 * round + other, 8, 0));
                }
                got += taken(&mut queue, 64).iter().filter(|number| **number < 1_000).count();
            }
            prop_assert!(got >= 2 * QUANTUM, "{got}");
        }

        /// Those who always have something queued get the same, but for one turn and the largest entry.
        #[test]
        fn the_busy_share_alike(weights in prop::collection::vec(1..30_usize, 2..12)) {
            let mut queue = Numbers::new(PLENTY);
            for (source, weight) in weights.iter().enumerate() {
                for _ in 0..3_000 / weight {
                    queue.enter(source as u8, entry(source as u32, *weight, 0));
                }
            }
            let mut got = vec![0; weights.len()];
            for _ in 0..2_000 * weights.len() / 256 {
                for source in taken(&mut queue, 256) {
                    got[source as usize] += weights[source as usize];
                }
            }
            let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
            prop_assert!(most - least <= 2 * (QUANTUM + 30), "{got:?}");
        }
    }

    #[test]
    fn one_source_gets_half_of_the_queue_and_there_is_room_for_another() {
        let mut queue = Numbers::new(Bounds { entries: 100, bytes: 1 << 20 });
        let queued =
            |queue: &mut Numbers, source| (0..200).filter(|_| queue.enter(source, entry(0, 1, 1)).is_none()).count();
        assert_eq!(queued(&mut queue, 1), 50);
        assert_eq!(queued(&mut queue, 2), 25);
        // Bytes count as well.
        let mut queue = Numbers::new(Bounds { entries: 1 << 20, bytes: 1_000 });
        assert_eq!((0..9).filter(|_| queue.enter(1, entry(0, 1, 100)).is_none()).count(), 5);
        assert!(queue.enter(2, entry(0, 1, 2_000)).is_none(), "one entry of each source always fits");
        assert!(queue.enter(3, entry(0, 1, 0)).is_none());
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_in_order_and_may_give_up() {
        let (sender, receiver) = channel::<u8, u32>(Bounds { entries: 2, bytes: 1_000 });
        sender.send(1, Cost::rows(1), 1).await.unwrap();
        let sends = |value| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(1, Cost::rows(1), value).await })
        };
        let in_line = |count| {
            let channel = Arc::clone(&receiver.0);
            async move {
                while lock(&channel.queue).waiting != count {
                    tokio::task::yield_now().await;
                }
            }
        };
        let second = sends(2);
        in_line(1).await;
        let third = sends(3);
        in_line(2).await;
        second.abort();
        in_line(1).await;
        let take = || receiver.take(1, 1).unwrap().into_iter().map(|entry| entry.value).collect::<Vec<_>>();
        assert_eq!(take(), [1]);
        assert_eq!(third.await.unwrap(), Ok(()));
        let fourth = sends(4);
        in_line(1).await;
        assert_eq!(take(), [3]);
        assert_eq!(fourth.await.unwrap(), Ok(()));
        // Without a consumer nobody waits.
        let fifth = sends(5);
        in_line(1).await;
        drop(receiver);
        assert_eq!(fifth.await.unwrap(), Err(Closed));
        assert_eq!(sender.send(2, Cost::rows(1), 6).await, Err(Closed));
    }

    #[tokio::test]
    async fn who_is_alone_gets_larger_batches() {
        let (sender, receiver) = channel::<u8, u32>(PLENTY);
        let send = async |source, count| {
            for _ in 0..count {
                sender.send(source, Cost::rows(1), 0).await.unwrap();
            }
        };
        send(1, 200).await;
        assert_eq!(receiver.take(10, 100).unwrap().len(), 100);
        send(2, 1).await;
        assert_eq!(receiver.take(10, 100).unwrap().len(), 10);
    }

    #[test]
    fn who_sends_a_little_waits_for_little_of_others() {
        let mut queue = Numbers::new(PLENTY);
        (0..1_000).for_each(|number| assert!(queue.enter(1, entry(number, 1, 0)).is_none()));
        taken(&mut queue, 64);
        queue.enter(2, entry(1_000_000, 3, 0));
        let batch = taken(&mut queue, 256);
        assert_eq!((batch[0], batch.len()), (1_000_000, 1 + BESIDE_FRESH));
        assert_eq!(taken(&mut queue, 256).len(), 256, "and then it is their turn again");
    }

    #[tokio::test]
    async fn the_consumer_ends_when_the_senders_have_and_everything_was_taken() {
        let (sender, receiver) = channel::<u8, u32>(PLENTY);
        let other = sender.clone();
        let consumer = std::thread::spawn(move || {
            std::iter::from_fn(|| receiver.take(1, 1)).map(|taken| taken.len()).sum::<usize>()
        });
        for (source, sender) in [(1, &sender), (2, &other)] {
            sender.send(source, Cost::rows(1), 7).await.unwrap();
        }
        drop(sender);
        other.send(1, Cost::rows(1), 7).await.unwrap();
        drop(other);
        assert_eq!(subrosa_tasks::beside(|| consumer.join().unwrap()).await.unwrap(), 3);
    }
}
