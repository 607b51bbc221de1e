//! Programs in simulated time.
//!
//! [`begin`] is called on the thread of a current-thread runtime whose time is paused. From then on, until its [`Thread`] is dropped,
//! the clock is the runtime's. What a program does on threads of its own is a task here ([`worker`]), so that a [`Host`] can be crashed.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

pub use subrosa_ambient::simulation::{Thread, is_on};

/// Puts this thread into the time of its runtime, which begins at `began_ms` (ms since 1970).
pub fn begin(seed: u64, began_ms: u64) -> Thread {
    subrosa_ambient::simulation::begin(seed, || tokio::time::Instant::now().into_std(), began_ms)
}

/// One of so many steps takes [`STALL`] times as long: a disk that is busy with something else.
const SMOOTH: f64 = 16.0;
/// See [`SMOOTH`].
const STALL: u32 = 60;

/// Takes a little simulated time, mostly up to `most`: as a disk or another thread does.
pub async fn lag(most: Duration) {
    let most = if subrosa_ambient::fraction() * SMOOTH < 1.0 { most * STALL } else { most };
    tokio::time::sleep(most.mul_f64(subrosa_ambient::fraction())).await;
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
