//! Locking of the small in-memory maps.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Takes a lock that is held for a few instructions only.
///
/// A poisoned lock means that a thread panicked while it changed the map: what the map says is
/// no longer trustworthy, and everything durable is in the database. So the process ends, and
/// its supervisor starts it again, instead of serving from a half-changed map or hanging.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(poisoned)
}

/// Gives the lock up until somebody says that there is something new. The caller looks whether there is.
pub(crate) fn wait<'a, T>(news: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    news.wait(guard).unwrap_or_else(poisoned)
}

fn poisoned<G, T>(_: PoisonError<G>) -> T {
    tracing::error!("an internal lock is poisoned by an earlier panic: the relay stops; start it again");
    std::process::abort()
}
