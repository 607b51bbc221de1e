//! A relay under every attack at once, while two people talk over it: nothing may be lost, memory stays
//! bounded, and how long a message takes is measured with and without.
//!
//! Attackers come from addresses of their own (127.0.2.x and so on), as on the internet.

mod attackers;
mod conversation;
mod kinds;
mod probing;
mod raw;

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

pub use attackers::{Attackers, Counts};
pub use conversation::{Talk, talk};
pub use kinds::KINDS;
pub use probing::{Probes, Question, probe};

/// Who is attacked.
#[derive(Debug, Clone)]
pub struct Victim {
    /// The relay, `host:port`.
    pub authority: String,
    /// Somebody whose mailbox and names are tried.
    pub account: subrosa_wire::AccountId,
}

use crate::{measure::Times, programs::Programs, relay_client::Device};

/// What a relay may use at most under attack. It keeps at most 256 MiB of unfinished frames and 64 MiB of
/// submissions (`crates/relay`, frames and limits); the rest is connections, tables of limits and the database's caches.
pub const MEMORY_BOUND_KIB: u64 = (256 + 64 + 192) * 1024;

/// A relay starts within this time, also on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A relay process that is attacked.
#[derive(Debug)]
pub struct Target {
    child: Child,
    /// `host:port`.
    pub authority: String,
}

impl Target {
    /// Starts the relay beside this program; its log goes to `relay.stderr` in `root`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(root: &Path) -> Result<Self> {
        let log = std::fs::File::create(root.join("relay.stderr"))?;
        let mut child = Command::new(Programs::locate()?.relay)
            .arg("--data")
            .arg(root.join("relay"))
            .args(["--listen", "127.0.0.1:0", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting the relay")?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let line = timeout(START_TIMEOUT, lines.next_line()).await.context("the relay does not start")??;
        let line: Value = serde_json::from_str(&line.context("the relay ended at once")?)?;
        let url = line.get("url").and_then(Value::as_str).context("no address in the start line")?;
        let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Ok(Self { child, authority })
    }

    /// Memory in use now and the most there ever was, KiB.
    ///
    /// # Errors
    /// The relay is gone.
    pub fn memory(&self) -> Result<Memory> {
        let pid = self.child.id().context("the relay has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| -> Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name}"))?;
            Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
        };
        Ok(Memory { now_kib: field("VmRSS:")?, most_kib: field("VmHWM:")? })
    }

    /// Processor time used so far, in hundredths of a second.
    ///
    /// # Errors
    /// The relay is gone.
    pub fn ticks(&self) -> Result<u64> {
        let pid = self.child.id().context("the relay has ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |place: usize| fields.get(place).and_then(|text| text.parse::<u64>().ok()).context("no number");
        Ok(number(11)? + number(12)?)
    }
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub now_kib: u64,
    /// At most so far.
    pub most_kib: u64,
}

/// What came out.
#[derive(Debug)]
pub struct Report {
    /// Latencies without attack.
    pub quiet: Times,
    /// Latencies under attack.
    pub attacked: Times,
    /// Before the attack.
    pub before: Memory,
    /// At its end.
    pub after: Memory,
    /// Share of one core that the relay used under attack.
    pub cores: f64,
    /// What each kind of attacker did.
    pub counts: Counts,
}

/// How long, how much, from how many addresses.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Messages without attack, and again under attack.
    pub messages: u64,
    /// One message each.
    pub pace: Duration,
    /// Kinds of attackers; none named means all.
    pub kinds: Vec<String>,
    /// Addresses of each kind of attacker.
    pub hosts: u8,
    /// Attackers are another process that gets only what the machine has left, so that their own work is not what is measured.
    pub apart: bool,
}

/// Runs a conversation quietly, then under attack.
///
/// # Errors
/// Anything lost, refused or out of order in the conversation; a relay that ends or serves nobody new afterwards.
pub async fn run(plan: &Plan, root: &Path) -> Result<Report> {
    let target = Target::start(root).await?;
    let mut people = Talk::new(&target.authority).await?;
    let quiet = talk(&mut people, plan.messages, plan.pace).await.context("without attack")?;
    let before = target.memory()?;
    let victim = Victim { authority: target.authority.clone(), account: people.receiver() };
    let (ticks, began) = (target.ticks()?, Instant::now());
    let attackers = Attackers::start(victim, &plan.kinds, plan.hosts, plan.apart).await?;
    let attacked = talk(&mut people, plan.messages, plan.pace).await.context("under attack")?;
    let cores = (target.ticks()? - ticks) as f64 / 100.0 / began.elapsed().as_secs_f64();
    let after = target.memory()?;
    let counts = attackers.stop().await?;
    // Somebody who was not there before is served at once.
    let newcomer = Device::register(&target.authority, "newcomer").await.context("a newcomer afterwards")?;
    newcomer.open_mailbox(&target.authority).await.context("a newcomer afterwards")?;
    ensure!(target.child.id().is_some(), "the relay has ended");
    Ok(Report { quiet, attacked, before, after, cores, counts })
}
