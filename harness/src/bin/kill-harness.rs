//! `kill-harness`: kills relays and engines while messages flow, and judges what arrived (`docs/reliability.md`).

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use subrosa_harness::kills::{Plan, Report, run};

/// Kills relays and engines at random moments and at every named crash point while messages flow both ways.
#[derive(Debug, Parser)]
struct Arguments {
    /// Messages of both sides together.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// Kills at random moments.
    #[arg(long, default_value_t = 100)]
    random_kills: u32,
    /// Times each crash point is hit in each process that has it.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Kill already while the two make each other's acquaintance.
    #[arg(long)]
    from_the_start: bool,
    /// Repeats a run's random choices.
    #[arg(long)]
    seed: Option<u64>,
    /// Longest pause between two kills, milliseconds.
    #[arg(long, default_value_t = 500)]
    longest_pause_ms: u64,
    /// Keep everything here (an empty directory) instead of a temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let config = Plan {
        messages: arguments.messages,
        random_kills: arguments.random_kills,
        rounds: arguments.rounds,
        from_the_start: arguments.from_the_start,
        seed: arguments.seed.unwrap_or_else(rand::random),
        longest_pause_ms: arguments.longest_pause_ms,
        settle: Duration::from_secs(120),
    };
    eprintln!("seed {}", config.seed);
    let mut temporary = None;
    let root = match arguments.dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
            dir
        }
        None => temporary.insert(tempfile::Builder::new().prefix("subrosa-kills-").tempdir()?).path().to_owned(),
    };
    let outcome = run(&config, &root).await;
    let failed = match &outcome {
        Ok(report) => {
            print(report, arguments.json)?;
            let mut failures = report.failures(&config);
            failures.extend(report.slow_restarts());
            for failure in failures.iter().take(50) {
                eprintln!("VIOLATED: {failure}");
            }
            !failures.is_empty()
        }
        Err(error) => {
            eprintln!("the run did not come to its end: {error:#}");
            true
        }
    };
    if failed && let Some(temporary) = temporary.take() {
        eprintln!("everything is kept in {}", temporary.keep().display());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    println!("seed            {}", report.seed);
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    println!(
        "length          {:.1} s, settled in {:.1} s, longest silence {:.1} s",
        seconds(report.took_ms),
        seconds(report.settled_ms),
        seconds(report.longest_silence_ms)
    );
    println!(
        "messages        {} accepted, {} shown, {} reported delivered",
        report.verdict.accepted, report.verdict.shown, report.verdict.delivered
    );
    println!("lost            {}", report.verdict.lost.len());
    println!("violations      {}", report.verdict.violations.len());
    println!("random kills    {} {:?}", report.random_kills.values().sum::<u32>(), report.random_kills);
    println!("arming kills    {}", report.arming_kills);
    for (point, places) in &report.aborts {
        println!("abort at        {point}: {places:?}");
    }
    for (name, figures) in [("relay", report.relay_restart), ("engine", report.engine_restart)] {
        println!(
            "restart {name:<7} {} times, median {} ms, longest {} ms",
            figures.count, figures.median_ms, figures.max_ms
        );
    }
    Ok(())
}
