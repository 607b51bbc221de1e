//! The short form of `sends` (`docs/reliability.md` has the full size): many processes send from one account while
//! whoever runs its engine is killed.

// A test says what it expects by unwrapping it.

use std::time::Duration;

use subrosa_harness::sends::{Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_send_is_accepted_once_and_none_is_lost_whoever_is_killed() {
    let config = Plan {
        sends: 100,
        parallel: 10,
        longest_pause: Duration::from_millis(600),
        settle: Duration::from_secs(60),
        seed: rand::random(),
    };
    let root = tempfile::tempdir().unwrap();
    println!("seed {}", config.seed);
    let outcome = run(&config, root.path()).await;
    let failures = match &outcome {
        Ok(report) => report.failures(),
        Err(error) => vec![format!("{error:#}")],
    };
    if !failures.is_empty() {
        let kept = root.keep();
        panic!("seed {}, everything kept in {}: {failures:#?}", config.seed, kept.display());
    }
    let report = outcome.unwrap();
    println!("{report:?}");
    assert!(report.kills.values().sum::<u32>() > 0, "nobody was killed: {report:?}");
}
