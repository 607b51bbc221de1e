//! Power cuts (`docs/reliability.md`): what was promised survives the loss of every write that was not synced.
//! One test cuts the power of a relay that was told not to sync; there messages must be lost, or the
//! other tests would prove nothing.

// A test says what it expects by unwrapping it.

use std::time::Duration;

use subrosa_harness::{
    journal::Verdict,
    power_cut::{Plan, Victim, run},
};

async fn cut(victim: Victim, settle: Duration) -> (u64, Verdict) {
    let root = tempfile::tempdir().unwrap();
    let seed = rand::random();
    let config = Plan { victim, rounds: 3, messages: 12, seed, settle };
    println!("seed {seed}");
    match run(&config, root.path()).await {
        Ok(report) if victim == Victim::UnsyncedRelay || report.verdict.holds() => (seed, report.verdict),
        outcome => {
            let kept = root.keep();
            panic!("seed {seed}, everything kept in {}: {outcome:#?}", kept.display());
        }
    }
}

async fn survives(victim: Victim) {
    let (seed, verdict) = cut(victim, Duration::from_secs(60)).await;
    assert!(verdict.accepted >= 72, "seed {seed}: {verdict:?}");
    assert_eq!(verdict.shown, verdict.accepted, "seed {seed}");
    assert_eq!(verdict.delivered, verdict.accepted, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_keeps_what_it_accepted() {
    survives(Victim::Relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_keeps_what_it_queued() {
    survives(Victim::Sender).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_keeps_what_it_acknowledged() {
    survives(Victim::Receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_does_not_sync_is_found_out() {
    let (seed, verdict) = cut(Victim::UnsyncedRelay, Duration::from_secs(5)).await;
    assert!(!verdict.lost.is_empty(), "seed {seed}: nothing was lost, so the shim notices nothing: {verdict:?}");
}
