//! The short form of the kill harness (`docs/reliability.md` has the long one's result): every crash
//! point in every process that has it, and kills at random moments, while messages flow both ways.

// A test says what it expects by unwrapping it.

use std::time::Duration;

use subrosa_harness::kills::{Plan, Report, run};

async fn holds(config: &Plan) -> Report {
    let root = tempfile::tempdir().unwrap();
    println!("seed {}", config.seed);
    let outcome = run(config, root.path()).await;
    let failures = match &outcome {
        Ok(report) => report.failures(config),
        Err(error) => vec![format!("{error:#}")],
    };
    if !failures.is_empty() {
        let kept = root.keep();
        panic!("seed {}, everything kept in {}: {failures:#?}", config.seed, kept.display());
    }
    outcome.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_or_shown_twice_whatever_dies() {
    let config = Plan {
        messages: 80,
        random_kills: 6,
        rounds: 1,
        from_the_start: false,
        seed: rand::random(),
        longest_pause_ms: 100,
        settle: Duration::from_secs(60),
    };
    let report = holds(&config).await;
    assert!(report.verdict.accepted >= 80);
    assert_eq!(report.random_kills.values().sum::<u32>(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_meet_whatever_dies() {
    for _ in 0..3 {
        let config = Plan {
            messages: 16,
            random_kills: 2,
            rounds: 0,
            from_the_start: true,
            seed: rand::random(),
            longest_pause_ms: 100,
            settle: Duration::from_secs(60),
        };
        let report = holds(&config).await;
        assert!(report.verdict.accepted >= 16);
    }
}
