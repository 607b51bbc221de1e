//! `power-cuts`: takes away what a process wrote and did not sync, again and again, and judges what arrived
//! (`docs/reliability.md`).

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use subrosa_harness::power_cut::{Plan, Victim, run};

/// Cuts the power of one process while messages flow both ways. Needs a C compiler for its shim.
#[derive(Debug, Parser)]
struct Arguments {
    /// Whose power is cut.
    #[arg(long, value_enum)]
    victim: Whose,
    /// Power cuts.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// Messages of each side in a round.
    #[arg(long, default_value_t = 10)]
    messages: u64,
    /// Repeats a run's random choices.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Whose {
    /// The receiver's relay.
    Relay,
    /// The same, told not to sync: messages must be lost, or the shim proves nothing.
    UnsyncedRelay,
    /// The sender's engine.
    Sender,
    /// The receiver's engine.
    Receiver,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let victim = match arguments.victim {
        Whose::Relay => Victim::Relay,
        Whose::UnsyncedRelay => Victim::UnsyncedRelay,
        Whose::Sender => Victim::Sender,
        Whose::Receiver => Victim::Receiver,
    };
    let must_lose = victim == Victim::UnsyncedRelay;
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let settle = Duration::from_secs(if must_lose { 5 } else { 120 });
    let config = Plan { victim, rounds: arguments.rounds, messages: arguments.messages, seed, settle };
    let root = tempfile::Builder::new().prefix("subrosa-power-").tempdir()?;
    eprintln!("seed {seed}");
    let report = match run(&config, root.path()).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("everything is kept in {}", root.keep().display());
            return Err(error);
        }
    };
    let verdict = &report.verdict;
    println!(
        "{:?}: {} power cuts, {} accepted, {} shown, {} reported delivered, {} lost, {} violations",
        arguments.victim,
        report.cuts,
        verdict.accepted,
        verdict.shown,
        verdict.delivered,
        verdict.lost.len(),
        verdict.violations.len()
    );
    let as_expected =
        if must_lose { !verdict.lost.is_empty() } else { verdict.holds() && verdict.delivered == verdict.accepted };
    if as_expected {
        return Ok(ExitCode::SUCCESS);
    }
    for violation in verdict.violations.iter().chain(&verdict.lost).take(50) {
        eprintln!("VIOLATED: {violation}");
    }
    eprintln!("everything is kept in {}", root.keep().display());
    Ok(ExitCode::FAILURE)
}
