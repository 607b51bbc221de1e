//! The queue itself: who is next, and who gets in.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Instant,
};

use tokio::sync::oneshot;

use super::{Bounds, Cost, Entry};

/// Weight that a source may take in its turn. Small, so that a batch of 256 has room for thirty busy sources.
pub(super) const QUANTUM: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// The queue itself; whoever looks at it holds the lock.
pub(super) struct Queue<K: Hash + Eq + Copy, T> {
    pub(super) bounds: Bounds,
    pub(super) held: Held,
    pub(super) sources: HashMap<K, SourceQueue<T>>,
    /// Sources that had nothing queued until now.
    pub(super) fresh: VecDeque<K>,
    /// Those that had more queued than fits into a turn, each once.
    pub(super) rotation: VecDeque<K>,
    /// In line for room, over all sources.
    pub(super) waiting: usize,
    pub(super) next_ticket: u64,
    /// Who sent last, and when that was last somebody else than before.
    pub(super) last: Option<K>,
    pub(super) company: Option<Instant>,
    pub(super) closed: bool,
}

/// Somebody with something queued, something in line, or a place in one of the two lists.
pub(super) struct SourceQueue<T> {
    pub(super) entries: VecDeque<Entry<T>>,
    pub(super) held: Held,
    /// Weight that it may still take in its turn.
    pub(super) credit: usize,
    pub(super) is_listed: bool,
    /// That for which there was no room, first come first.
    pub(super) waiting: VecDeque<Waiting<T>>,
}

pub(super) struct Waiting<T> {
    pub(super) ticket: u64,
    pub(super) entry: Entry<T>,
    pub(super) admitted: oneshot::Sender<()>,
}

impl<T> Default for SourceQueue<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), held: Held::default(), credit: 0, is_listed: false, waiting: VecDeque::new() }
    }
}

impl<K: Hash + Eq + Copy, T> Queue<K, T> {
    pub(super) fn new(bounds: Bounds) -> Self {
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
    pub(super) fn has_room(&self, held: Held, cost: Cost) -> bool {
        let fits = |held: usize, more: usize, all: usize, most: usize| {
            held.saturating_add(more) <= most.saturating_sub(all.saturating_add(more))
        };
        held.entries == 0
            || (fits(held.entries, 1, self.held.entries, self.bounds.entries)
                && fits(held.bytes, cost.bytes, self.held.bytes, self.bounds.bytes))
    }

    /// Queues an entry, or puts it in line; then the answer says when it was queued.
    pub(super) fn enter(&mut self, key: K, entry: Entry<T>) -> Option<(u64, oneshot::Receiver<()>)> {
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

    pub(super) fn push(&mut self, key: K, entry: Entry<T>) {
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
    pub(super) fn leave(&mut self, key: K, ticket: u64) {
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
    pub(super) fn admit(&mut self, key: K) {
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

    pub(super) fn admit_all(&mut self) {
        if self.waiting > 0 {
            let first = |source: &SourceQueue<T>| source.waiting.front().map(|waiting| waiting.ticket);
            let mut keys: Vec<(u64, K)> =
                self.sources.iter().filter_map(|(key, source)| Some((first(source)?, *key))).collect();
            // Who waits longest comes first.
            keys.sort_unstable_by_key(|(ticket, _)| *ticket);
            keys.into_iter().for_each(|(_, key)| self.admit(key));
        }
    }

    pub(super) fn forget_if_idle(&mut self, key: K) {
        if self.sources.get(&key).is_some_and(|source| !source.is_listed && source.waiting.is_empty()) {
            self.sources.remove(&key);
        }
    }

    /// What is next, up to a weight of `most`; beside somebody who sends a little no more than `beside` of those that have more.
    pub(super) fn take(&mut self, most: usize, beside: usize) -> Vec<Entry<T>> {
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
