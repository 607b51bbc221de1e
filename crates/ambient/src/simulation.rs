//! A thread in simulated time.
//!
//! [`begin`] is called on the thread of a current-thread runtime whose time is paused. From then on, until its [`Thread`] is dropped,
//! the clock is the runtime's and randomness comes from the seed: the same seed is the same life, step by step.
//!
//! What a program does on threads of its own is a task here ([`Host::worker`]), with a lag before each step, so that a [`Host`] can be
//! crashed between any two of them.

use std::{
    cell::RefCell,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinHandle;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

struct World {
    random: StdRng,
    began: tokio::time::Instant,
    began_ms: u64,
}

/// As long as it lives, its thread is in simulated time.
#[derive(Debug)]
#[must_use = "simulated time ends when it is dropped"]
pub struct Thread(());

impl Drop for Thread {
    fn drop(&mut self) {
        WORLD.with_borrow_mut(|world| *world = None);
    }
}

/// Puts this thread into simulated time, which begins at `began_ms` (ms since 1970). Within a runtime whose time is paused.
pub fn begin(seed: u64, began_ms: u64) -> Thread {
    let world = World { random: StdRng::seed_from_u64(seed), began: tokio::time::Instant::now(), began_ms };
    WORLD.with_borrow_mut(|place| *place = Some(world));
    Thread(())
}

/// Whether this thread is in simulated time.
#[must_use]
pub fn is_on() -> bool {
    WORLD.with_borrow(Option::is_some)
}

pub(crate) fn now_ms() -> Option<u64> {
    WORLD.with_borrow(|world| {
        world.as_ref().map(|world| {
            let elapsed = u64::try_from(world.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            world.began_ms.saturating_add(elapsed)
        })
    })
}

pub(crate) fn instant() -> Option<Instant> {
    is_on().then(|| tokio::time::Instant::now().into_std())
}

pub(crate) fn fill(buffer: &mut [u8]) -> bool {
    WORLD.with_borrow_mut(|world| world.as_mut().map(|world| world.random.fill_bytes(buffer)).is_some())
}

/// One of so many steps takes [`STALL`] times as long: a disk that is busy with something else.
const SMOOTH: f64 = 16.0;
/// See [`SMOOTH`].
const STALL: u32 = 60;

/// Takes a little simulated time, mostly up to `most`: as a disk or another thread does.
pub async fn lag(most: Duration) {
    let most = if crate::fraction() * SMOOTH < 1.0 { most * STALL } else { most };
    tokio::time::sleep(most.mul_f64(crate::fraction())).await;
}

/// What one program runs on threads of its own.
#[derive(Debug, Clone, Default)]
pub struct Host(Arc<Mutex<Vec<JoinHandle<()>>>>);

tokio::task_local! {
    static HOST: Host;
}

impl Host {
    /// Starts a program: the workers that `work` begins are this host's.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        HOST.scope(self.clone(), work).await
    }

    /// Ends the workers where they are, between two of their steps. What they held is let go when this returns.
    pub async fn crash(&self) {
        let workers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            worker.abort();
            // Either it was ended here, or it had ended.
            let _ = worker.await;
        }
    }
}

/// Runs as a task what else is a thread; within [`Host::run`] it is that host's.
pub fn worker(work: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(work);
    let _ = HOST.try_with(|host| host.0.lock().unwrap_or_else(PoisonError::into_inner).push(task));
}
