//! `sends`: many processes send from one account while whoever runs its engine is killed (`docs/reliability.md`).

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use subrosa_harness::sends::{Plan, run};

/// Sends from many processes at once and kills whoever owns the engine; then counts what arrived.
#[derive(Debug, Parser)]
struct Arguments {
    /// Messages, of all processes together.
    #[arg(long, default_value_t = 1000)]
    sends: usize,
    /// Processes that send at the same time.
    #[arg(long, default_value_t = 20)]
    parallel: usize,
    /// Longest pause between two kills, in milliseconds.
    #[arg(long, default_value_t = 600)]
    longest_pause_ms: u64,
    /// Repeats a run's random choices.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let config = Plan {
        sends: arguments.sends,
        parallel: arguments.parallel.max(1),
        longest_pause: Duration::from_millis(arguments.longest_pause_ms),
        settle: Duration::from_secs(120),
        seed: arguments.seed.unwrap_or_else(rand::random),
    };
    let root = tempfile::Builder::new().prefix("subrosa-sends-").tempdir()?;
    eprintln!("seed {}", config.seed);
    let report = match run(&config, root.path()).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("everything is kept in {}", root.keep().display());
            return Err(error);
        }
    };
    println!("sends           {} by {} processes at a time", config.sends, config.parallel);
    println!("length          {:.1?}, settled in {:.1?}", report.took, report.settled);
    println!("kills of owner  {} {:?}", report.kills.values().sum::<u32>(), report.kills);
    println!("made again      {} calls whose own process was killed", report.repeated - report.refused.len());
    println!("refused         {}", report.refused.len());
    println!("longest call    {:.1?}", report.longest_call);
    println!("lost            {}", report.lost.len());
    println!("repeated        {}", report.repeats.len());
    println!("out of order    {}", report.disordered.len());
    let failures = report.failures();
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for failure in failures.iter().take(50) {
        eprintln!("VIOLATED: {failure}");
    }
    eprintln!("everything is kept in {}", root.keep().display());
    Ok(ExitCode::FAILURE)
}
