//! Whole engines and a whole relay in simulated time. `docs/reliability.md` says what is simulated and how more is run.

use subrosa_harness::simulation::{Plan, Stage, live, live_all};

/// Lives that once went wrong, and why.
const REPLAYED: &[u64] = &[];

/// New lives of each run of the tests.
const SEEDS: u64 = 200;

#[test]
fn what_is_accepted_is_delivered_once_and_in_one_order_whatever_crashes_and_stalls() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let broken = live_all(1..SEEDS + 1, threads, &Plan::default(), |_| ()).unwrap();
    assert!(broken.is_empty(), "{} of {SEEDS}: {}", broken.len(), broken[0]);
}

#[test]
fn a_life_that_went_wrong_does_not_again() {
    let stage = Stage::set().unwrap();
    for seed in REPLAYED {
        live(&stage, *seed, &Plan::default()).unwrap();
    }
}

#[test]
fn the_same_seed_is_the_same_life() {
    let stage = Stage::set().unwrap();
    let plan = Plan { texts: 4, faults: 4 };
    for seed in 1..4 {
        assert_eq!(live(&stage, seed, &plan).unwrap(), live(&stage, seed, &plan).unwrap());
    }
}
