//! What a program does beside its tasks, and the connections it accepts.
//!
//! On a computer the first is a thread. In a simulation (feature `simulation`), where all is on one thread, it is a task, with a lag before
//! each step, so that a program can be ended between any two of them.

mod accept;
#[cfg(feature = "simulation")]
pub mod simulation;

pub use accept::Acceptor;

/// Runs work that takes long, or waits for a disk, beside the tasks of the runtime.
///
/// # Errors
/// It panicked, or the runtime ends.
#[allow(clippy::disallowed_methods)]
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, tokio::task::JoinError> {
    #[cfg(feature = "simulation")]
    if simulation::is_on() {
        // Others may come first, as they may where it runs on a thread of its own.
        tokio::task::yield_now().await;
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_beside_gives_its_result_or_says_that_it_panicked() {
        assert_eq!(beside(|| 7).await.unwrap(), 7);
        let quiet: fn() = || std::panic::resume_unwind(Box::new("it fails"));
        assert!(beside(quiet).await.unwrap_err().is_panic());
    }
}
