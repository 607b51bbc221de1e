//! Locking of the small in-memory maps.

use std::sync::{Mutex, MutexGuard};

/// Takes a lock that is held for a few instructions only.
///
/// A poisoned lock means that a thread panicked while it changed the map: what the map says is
/// no longer trustworthy, and everything durable is in the database. So the process ends, and
/// its supervisor starts it again, instead of serving from a half-changed map or hanging.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|_| {
        tracing::error!("an internal lock is poisoned by an earlier panic: the relay stops; start it again");
        std::process::abort()
    })
}
