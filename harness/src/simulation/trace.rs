//! What happened in a simulated life, and when: the same seed is the same trace.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::watch, time::Instant};

/// Lines that are shown of a life that went wrong.
const SHOWN: usize = 60;

struct Inner {
    began: Instant,
    /// Counts what happens.
    count: watch::Sender<u64>,
    /// All that happened, a line each.
    all: String,
    /// What is worth being shown.
    said: Vec<String>,
}

/// Clones are one trace.
#[derive(Clone)]
pub(super) struct Trace(Arc<Mutex<Inner>>);

impl Trace {
    /// Begins now. Within the runtime of the simulation.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            began: Instant::now(),
            count: watch::Sender::new(0),
            all: String::new(),
            said: Vec::new(),
        })))
    }

    /// Something happens.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = inner.began.elapsed().as_secs_f64();
        // Writing to a string cannot fail.
        let _ = writeln!(inner.all, "{at:>10.3} {what}");
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
        inner.said.push(line);
    }

    /// The last of what was said.
    pub(super) fn last(&self) -> String {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = inner.said.len().saturating_sub(SHOWN);
        inner.said[shown..].iter().map(|line| format!("  {line}\n")).collect()
    }

    /// All that happened.
    pub(super) fn all(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }
}
