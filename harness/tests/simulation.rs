//! Whole engines and a whole relay in simulated time. `docs/reliability.md` says what is simulated and how more is run.

use subrosa_harness::simulation::{Plan, Stage, live, live_all};

/// Lives that once went wrong, and why.
const REPLAYED: &[u64] = &[];

/// New lives of each run of the tests.
const SEEDS: u64 = 200;

#[test]
fn what_is_accepted_is_delivered_once_and_in_one_order_whatever_crashes_and_stalls() {
    let stage = Stage::set().unwrap();
    for seed in REPLAYED {
        live(&stage, *seed, &Plan::default()).unwrap();
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let broken = live_all(1..SEEDS + 1, threads, &Plan::default(), |_| ()).unwrap();
    assert!(broken.is_empty(), "{} of {SEEDS}: {}", broken.len(), broken[0]);
}

#[test]
fn the_same_seed_is_the_same_life() {
    let stage = Stage::set().unwrap();
    for seed in 1..9 {
        let lives = [(); 2].map(|()| live(&stage, seed, &Plan::default()).unwrap());
        let traces = lives.each_ref().map(|life| life.trace.lines());
        let [one, other] = traces;
        if let Some(parted) = one.clone().zip(other.clone()).position(|(one, other)| one != other) {
            let before = parted.saturating_sub(8);
            let shown = |lines: std::str::Lines<'_>| lines.skip(before).take(12).collect::<Vec<_>>().join("\n");
            panic!("seed {seed} parts at event {parted}:\n{}\n\nand\n\n{}", shown(one), shown(other));
        }
        assert_eq!(lives[0], lives[1], "one of them is longer");
    }
}
