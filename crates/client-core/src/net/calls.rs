//! Calls in flight on one socket: each has an id, and one answer.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use subrosa_wire::{ErrorCode, submit::Refusal};
use tokio::{sync::oneshot, time::Instant};

use super::NetError;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, NetError>>;

/// What was asked on a socket and is not answered yet. `E` is what the answer must look like.
///
/// A call whose caller gave up stays here until it is answered: so a late answer is told from one
/// to a question that was never asked.
#[derive(Debug)]
pub(super) struct Calls<E, T> {
    next_id: u64,
    open: BTreeMap<u64, Open<E, T>>,
    last_answer: Instant,
}

#[derive(Debug)]
struct Open<E, T> {
    expected: E,
    since: Instant,
    reply: Reply<T>,
}

impl<E, T> Calls<E, T> {
    pub(super) fn new() -> Self {
        Self { next_id: 1, open: BTreeMap::new(), last_answer: Instant::now() }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Gives a call an id, which is never used twice in a process; its frame of at most `most` bytes, or `None` if it was answered
    /// here.
    pub(super) fn begin(
        &mut self,
        expected: E,
        reply: Reply<T>,
        most: usize,
        frame: impl FnOnce(u64) -> Bytes,
    ) -> Option<Bytes> {
        if reply.is_closed() {
            return None;
        }
        let frame = frame(self.next_id);
        if frame.len() > most {
            let _ = reply.send(Err(NetError::Refused(Refusal::never(ErrorCode::TooLarge))));
            return None;
        }
        self.open.insert(self.next_id, Open { expected, since: Instant::now(), reply });
        self.next_id += 1;
        Some(frame)
    }

    /// An answer came. `None` if nothing (any more) waits for one with this id.
    pub(super) fn answered(&mut self, id: u64) -> Option<(E, Reply<T>)> {
        let open = self.open.remove(&id)?;
        self.last_answer = Instant::now();
        Some((open.expected, open.reply))
    }

    /// When the other side counts as stuck: `patience` after its last answer, or after the oldest
    /// call if that is later. `None` when nothing is in flight.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Instant> {
        let oldest = self.open.values().next()?.since;
        Some(oldest.max(self.last_answer) + patience)
    }

    /// We did not listen until now: the other side's time starts anew.
    pub(super) fn excuse(&mut self) {
        self.last_answer = Instant::now();
    }

    /// The socket is gone: every call fails with `error`.
    pub(super) fn fail_all(&mut self, error: &NetError) {
        for (_, open) in std::mem::take(&mut self.open) {
            // The caller may have given up: then nobody is there to be told.
            let _ = open.reply.send(Err(error.clone()));
        }
    }
}

/// Sleeps until then, or for ever.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
