//! `attack`: a conversation through a relay, quietly and under every attack at once (`docs/reliability.md`).

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use subrosa_harness::{
    attack::{Attackers, KINDS, MEMORY_BOUND_KIB, Plan, Question, Report, Target, Victim, probe, run},
    measure::{Times, machine},
};
use tokio::io::AsyncReadExt;

/// Measures a conversation without and with attackers, and what the attack costs the relay.
#[derive(Debug, Parser)]
struct Arguments {
    /// Messages without attack, and as many under attack.
    #[arg(long, default_value_t = 6_000)]
    messages: u64,
    /// Milliseconds between two messages.
    #[arg(long, default_value_t = 10)]
    pace_ms: u64,
    /// Addresses of each kind of attacker.
    #[arg(long, default_value_t = 3)]
    hosts: u8,
    /// Only these kinds of attackers, to find out which of them costs what.
    #[arg(long, value_delimiter = ',', value_name = "KINDS", value_parser = KINDS)]
    only: Vec<String>,
    /// Instead: whether refusals differ for an account that exists and one that does not, and how long they take, so many
    /// times each.
    #[arg(long, value_name = "TIMES")]
    probe: Option<u32>,
    /// Only attack this relay, until standard input ends.
    #[arg(long, hide = true, value_name = "AUTHORITY", requires = "victim")]
    attackers: Option<String>,
    /// The account whose mailbox is tried.
    #[arg(long, hide = true, value_name = "ACCOUNT")]
    victim: Option<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let (Some(authority), Some(victim)) = (arguments.attackers, arguments.victim) {
        let victim = Victim { authority, account: victim.parse().ok().context("the victim is no account id")? };
        let attackers = Attackers::start(victim, &arguments.only, arguments.hosts, false).await?;
        let mut nothing = Vec::new();
        tokio::io::stdin().read_to_end(&mut nothing).await?;
        println!("{}", serde_json::to_string(&attackers.stop().await?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let root = tempfile::Builder::new().prefix("subrosa-attack-").tempdir()?;
    let pace = Duration::from_millis(arguments.pace_ms);
    let plan = Plan { messages: arguments.messages, pace, kinds: arguments.only, hosts: arguments.hosts, apart: true };
    let build = if cfg!(debug_assertions) { "development" } else { "release" };
    println!("machine         {}, {build} build, {}", machine(), scheduling()?);
    if let Some(rounds) = arguments.probe {
        let target = Target::start(root.path()).await?;
        for question in Question::ALL {
            let probes = probe(&target.authority, question, rounds).await?;
            println!("{question:?}, refused {rounds} times each; the same bytes");
            println!("somebody        {}", quantiles(&probes.somebody[0]));
            println!("somebody again  {}", quantiles(&probes.somebody[1]));
            println!("nobody          {}", quantiles(&probes.nobody));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let report = run(&plan, root.path()).await?;
    print(&plan, &report);
    Ok(if report.after.most_kib <= MEMORY_BOUND_KIB { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How the system shares its processors with this process and the relay that it starts. Attackers get what is left.
fn scheduling() -> Result<&'static str> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The 41st field, the 39th behind the name: sched(7).
    let policy = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(38)).context("no policy")?;
    Ok(if policy == "0" { "ordinary scheduling" } else { "scheduled before the attackers" })
}

fn print(plan: &Plan, report: &Report) {
    println!(
        "conversation    2 x {} messages, one each {} ms; none lost, in order",
        plan.messages,
        plan.pace.as_millis()
    );
    println!("quiet           {}", quantiles(&report.quiet));
    println!("under attack    {}", quantiles(&report.attacked));
    println!(
        "p99             {:.2} times the quiet one",
        report.attacked.quantile_ms(0.99) / report.quiet.quantile_ms(0.99)
    );
    println!(
        "relay memory    {} MiB before, {} MiB after, at most {} MiB (bound {} MiB)",
        report.before.now_kib / 1024,
        report.after.now_kib / 1024,
        report.after.most_kib / 1024,
        MEMORY_BOUND_KIB / 1024
    );
    println!("relay processor {:.2} cores under attack", report.cores);
    println!("attackers       {} addresses of each kind; rounds: {:?}", plan.hosts, report.counts);
}

fn quantiles(times: &Times) -> String {
    let at = |share| times.quantile_ms(share);
    format!("p50 {:.3} ms, p99 {:.2} ms, longest {:.1} ms", at(0.5), at(0.99), at(1.0))
}
