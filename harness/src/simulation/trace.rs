//! What happened in a simulated life, and when: the same seed is the same trace.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};
use tokio::{sync::watch, time::Instant};

/// Lines that are kept to be shown.
const KEPT: usize = 60;

struct Inner {
    began: Instant,
    hash: Sha256,
    /// Counts what happens.
    count: watch::Sender<u64>,
    said: VecDeque<String>,
}

/// Clones are one trace.
#[derive(Clone)]
pub(super) struct Trace(Arc<Mutex<Inner>>);

impl Trace {
    /// Begins now. Within the runtime of the simulation.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            began: Instant::now(),
            hash: Sha256::new(),
            count: watch::Sender::new(0),
            said: VecDeque::new(),
        })))
    }

    /// Something happens.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{:>10.3} {what}\n", inner.began.elapsed().as_secs_f64());
        inner.hash.update(line.as_bytes());
        inner.count.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits until the next thing happens.
    pub(super) async fn next(&self) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner).count.subscribe();
        // It cannot close: the trace has the sender.
        let _ = count.changed().await;
    }

    /// Something happens that is worth being shown.
    pub(super) fn say(&self, what: fmt::Arguments<'_>) {
        self.note(what);
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{:>10.3} {what}", inner.began.elapsed().as_secs_f64());
        if inner.said.len() == KEPT {
            inner.said.pop_front();
        }
        inner.said.push_back(line);
    }

    /// The last of what was said.
    pub(super) fn last(&self) -> String {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.said.iter().map(|line| format!("  {line}\n")).collect()
    }

    /// Stands for all that happened.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hash.clone().finalize().into()
    }
}
