//! `restore-harness`: uses backups and older copies of an account while others write, and judges what arrived
//! (`docs/reliability.md`).

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use subrosa_harness::restores::{Kind, Plan, Report, run};

/// So many failures are printed; the report as JSON has all.
const SHOWN_FAILURES: usize = 50;

/// Loses the directory of an account, restores an older state of it while three contacts write, and judges what is there.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds of each kind, each with new accounts.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Messages that the three contacts write together while nobody fetches them.
    #[arg(long, default_value_t = 60)]
    waiting: u64,
    /// Which of restore, rollback, both.
    #[arg(long, value_delimiter = ',', default_value = "restore,rollback,both")]
    kinds: Vec<Kind>,
    /// At most so many messages of each conversation and direction between the copy and the loss.
    #[arg(long, default_value_t = 40)]
    between: u64,
    /// Kills of the living copy and of contacts while the missing messages come.
    #[arg(long, default_value_t = 0)]
    kills: u32,
    /// Some contacts come online only after the copy does.
    #[arg(long)]
    late: bool,
    /// Longest time until everything is there, seconds; 60, or 240 with more than 2,000 waiting messages.
    #[arg(long)]
    bound: Option<u64>,
    /// Repeats a run's random choices; round N (from 0) is the only one of the seed plus N.
    #[arg(long)]
    seed: Option<u64>,
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
    let plan = Plan {
        rounds: arguments.rounds,
        kinds: arguments.kinds,
        waiting: arguments.waiting,
        between: arguments.between,
        kills: arguments.kills,
        late: arguments.late,
        seed: arguments.seed.unwrap_or_else(|| rand::random::<u32>().into()),
        bound: arguments.bound.map(Duration::from_secs),
    };
    eprintln!("seed {}", plan.seed);
    let mut temporary = None;
    let root = match arguments.dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
            dir
        }
        None => temporary.insert(tempfile::Builder::new().prefix("subrosa-restores-").tempdir()?).path().to_owned(),
    };
    let report = run(&plan, &root, |round| {
        let took =
            round.seconds.map_or_else(|| "not complete".to_owned(), |seconds| format!("complete in {seconds:.1} s"));
        eprintln!("{:<9} {} {took}, {} wrong", round.kind, round.seed, round.failures().len());
    })
    .await?;
    print(&report, arguments.json)?;
    let failures = report.failures();
    for failure in failures.iter().take(SHOWN_FAILURES) {
        eprintln!("VIOLATED: {failure}");
    }
    if failures.len() > SHOWN_FAILURES {
        eprintln!("and {} more", failures.len() - SHOWN_FAILURES);
    }
    if !failures.is_empty()
        && let Some(temporary) = temporary.take()
    {
        eprintln!("the rounds that went wrong are kept in {}", temporary.keep().display());
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    println!("seed            {}", report.seed);
    println!("length          {:.1} s", report.took_seconds);
    println!("waiting         {} in each round", report.waiting);
    for (kind, figures) in &report.kinds {
        println!(
            "{kind:<15} {} rounds, {} complete: median {:.1} s, longest {:.1} s",
            figures.rounds, figures.complete, figures.median_seconds, figures.longest_seconds
        );
        println!(
            "                {} accepted, {} missing, {} shown twice, {} out of order, {} undelivered, {} violations",
            figures.accepted,
            figures.missing,
            figures.twice,
            figures.out_of_order,
            figures.undelivered,
            figures.violations
        );
    }
    println!("broken          {}", report.broken.len());
    Ok(())
}
