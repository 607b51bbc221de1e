//! Named points at which a development build aborts on request.
//!
//! The kill harness (`docs/reliability.md`) must stop a relay or an engine at
//! exact moments: after a commit and before the reply, after a push, and so on.
//! Each such moment calls [`crash_point`] with its name. A development build
//! compares the name with the environment variable `SUBROSA_CRASH_AT`
//! (`NAME` or `NAME:N`, the N-th time the point is reached) and aborts the
//! process there: no destructor runs, nothing is flushed. A release build
//! compiles the call to nothing. [`panic_point`] is the same for a panic.

/// The moments a process can be told to die at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Client: the message and its intent are committed, nothing is sealed.
    AfterIntent,
    /// Client: sealed bytes and the new ratchet state are committed, nothing is sent.
    AfterSeal,
    /// Relay: the submission is committed, the sender has no reply.
    RelayAfterCommit,
    /// Relay: envelopes are pushed, no acknowledgement is read.
    RelayAfterPush,
    /// Client: received messages are committed, the relay has no acknowledgement.
    ClientAfterCommit,
    /// Client: the acknowledgement is sent, no interface has seen the event.
    ClientAfterAck,
}

impl CrashPoint {
    /// Every point, in the order a message passes them.
    pub const ALL: [Self; 6] = [
        Self::AfterIntent,
        Self::AfterSeal,
        Self::RelayAfterCommit,
        Self::RelayAfterPush,
        Self::ClientAfterCommit,
        Self::ClientAfterAck,
    ];

    /// The name used in `SUBROSA_CRASH_AT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfterIntent => "after-intent",
            Self::AfterSeal => "after-seal",
            Self::RelayAfterCommit => "relay-after-commit-before-reply",
            Self::RelayAfterPush => "relay-after-push",
            Self::ClientAfterCommit => "client-after-commit-before-ack",
            Self::ClientAfterAck => "client-after-ack-before-event",
        }
    }
}

/// Aborts the process if the environment asked for this point (development builds only).
#[cfg(debug_assertions)]
pub fn crash_point(point: CrashPoint) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);

    let wanted = WANTED.get_or_init(|| {
        let value = std::env::var("SUBROSA_CRASH_AT").ok()?;
        match value.split_once(':') {
            Some((name, count)) => Some((name.to_owned(), count.parse().unwrap_or(1))),
            None => Some((value, 1)),
        }
    });
    if let Some((name, count)) = wanted
        && name == point.name()
        && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *count
    {
        std::process::abort();
    }
}

/// Release builds carry no crash points.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn crash_point(_point: CrashPoint) {}

/// Panics if the environment variable `SUBROSA_PANIC_AT` asked for this place (development builds only): the interface must
/// give the terminal back then.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "it is what was asked for")]
pub fn panic_point(place: &str) {
    use std::sync::OnceLock;
    static WANTED: OnceLock<Option<String>> = OnceLock::new();

    if WANTED.get_or_init(|| std::env::var("SUBROSA_PANIC_AT").ok()).as_deref() == Some(place) {
        panic!("told to panic while {place}");
    }
}

/// Release builds carry no panic points.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn panic_point(_place: &str) {}
