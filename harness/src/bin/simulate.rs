//! Lives of two people and their relay in simulated time: `simulate --seeds 10000`, or one of them again: `simulate --seed 4711`.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use clap::Parser;
use indicatif::ProgressBar;
use subrosa_harness::simulation::{Plan, live_all};

/// Two people and their relay in simulated time, with crashes and a bad network.
#[derive(Debug, Parser)]
struct Arguments {
    /// One life, by its seed
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many lives
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Texts that each of the two writes
    #[arg(long, default_value_t = Plan::default().texts)]
    texts: usize,
    /// Things that go wrong in a life
    #[arg(long, default_value_t = Plan::default().faults)]
    faults: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let plan = Plan { texts: arguments.texts, faults: arguments.faults };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (texts, crashes, seconds) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let progress = ProgressBar::new(seeds.end - seeds.start);
    let broken = live_all(seeds.clone(), threads, &plan, |life| {
        texts.fetch_add(life.texts as u64, Ordering::Relaxed);
        crashes.fetch_add(life.crashes as u64, Ordering::Relaxed);
        seconds.fetch_add(life.lasted.as_secs(), Ordering::Relaxed);
        progress.inc(1);
    })?;
    progress.finish_and_clear();
    println!(
        "{} lives, {} texts, {} crashes, {} hours of simulated time",
        seeds.end - seeds.start,
        texts.into_inner(),
        crashes.into_inner(),
        seconds.into_inner() / 3_600
    );
    for one in &broken {
        println!("{one}");
    }
    ensure!(broken.is_empty(), "{} lives went wrong", broken.len());
    Ok(())
}
