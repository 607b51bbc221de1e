//! The short form of the restore harness (`docs/reliability.md` has the long one's result): one small round of each way in which
//! an older copy of an account comes to be used, while three others write to it.

// A test says what it expects by unwrapping it.

use std::time::Duration;

use subrosa_harness::restores::{Kind, Plan, run};

async fn has_everything(kind: Kind) {
    let root = tempfile::tempdir().unwrap();
    let seed = rand::random::<u32>().into();
    println!("seed {seed}");
    let plan = Plan {
        rounds: 1,
        kinds: vec![kind],
        waiting: 10 + seed % 31,
        between: 20,
        kills: 1,
        late: seed % 2 == 0,
        seed,
        bound: Some(Duration::from_secs(30)),
    };
    let outcome = run(&plan, root.path(), |_| {}).await;
    let failures = match &outcome {
        Ok(report) => report.failures(),
        Err(error) => vec![format!("{error:#}")],
    };
    if !failures.is_empty() {
        let kept = root.keep();
        panic!("seed {seed}, everything kept in {}: {failures:#?}", kept.display());
    }
    // At least what waited, and something before and after.
    let accepted = outcome.unwrap().rounds[0].verdict.accepted as u64;
    assert!(accepted > plan.waiting, "{accepted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_comes_to_have_everything() {
    has_everything(Kind::Restore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_that_is_chosen_comes_to_have_everything() {
    has_everything(Kind::Rollback).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_copies_the_one_that_lives_comes_to_have_everything() {
    has_everything(Kind::Both).await;
}
