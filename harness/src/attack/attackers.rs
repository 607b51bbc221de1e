//! Everybody who attacks: tasks of this process, or a process of their own.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    task::JoinSet,
    time::sleep,
};

use super::{
    Victim,
    kinds::{KINDS, round},
};

/// Between two rounds of one attacker: what the way over a network would take at least.
const PAUSE: Duration = Duration::from_millis(10);

/// Attackers of each kind at one address.
const AT_ONE_ADDRESS: usize = 2;

/// Rounds that each kind of attacker has made.
pub type Counts = BTreeMap<String, u64>;

/// Attackers at work.
#[derive(Debug)]
pub struct Attackers {
    tasks: JoinSet<()>,
    counts: Arc<BTreeMap<&'static str, AtomicU64>>,
    process: Option<Child>,
}

impl Attackers {
    /// Starts the named kinds, all if none is named, from `hosts` addresses each; `apart`: as a process that gets only what the machine has left, by
    /// running this program again with `--attackers`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub async fn start(victim: Victim, kinds: &[String], hosts: u8, apart: bool) -> Result<Self> {
        let counts: Arc<BTreeMap<_, _>> = Arc::new(KINDS.iter().map(|kind| (*kind, AtomicU64::new(0))).collect());
        let mut attackers = Self { tasks: JoinSet::new(), counts, process: None };
        if apart {
            let child = Command::new("chrt")
                .args(["--idle", "0"])
                .arg(std::env::current_exe()?)
                .args(["--hosts", &hosts.to_string(), "--attackers", &victim.authority])
                .args(["--victim", &victim.account.to_string()])
                .args(kinds.iter().map(|kind| format!("--only={kind}")))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .context("starting the attackers")?;
            attackers.process = Some(child);
            return Ok(attackers);
        }
        let chosen = |kind: &str| kinds.is_empty() || kinds.iter().any(|name| name == kind);
        for (place, kind) in KINDS.into_iter().enumerate().filter(|(_, kind)| chosen(kind)) {
            for host in 1..=hosts {
                let network = u8::try_from(place + 2).unwrap_or(u8::MAX);
                let source = Ipv4Addr::new(127, 0, network, host);
                for _ in 0..AT_ONE_ADDRESS {
                    let (victim, counts) = (victim.clone(), Arc::clone(&attackers.counts));
                    attackers.tasks.spawn(async move {
                        loop {
                            // How a round ends is the relay's decision, and all the same to the attacker.
                            let _ = round(kind, &victim, source).await;
                            if let Some(count) = counts.get(kind) {
                                count.fetch_add(1, Ordering::Relaxed);
                            }
                            sleep(PAUSE).await;
                        }
                    });
                }
            }
        }
        Ok(attackers)
    }

    /// Ends the attack.
    ///
    /// # Errors
    /// The attackers' process said nothing.
    pub async fn stop(mut self) -> Result<Counts> {
        if let Some(mut process) = self.process.take() {
            // Its standard input ends: that is the sign.
            drop(process.stdin.take());
            let mut text = String::new();
            process.stdout.take().context("no standard output")?.read_to_string(&mut text).await?;
            process.wait().await?;
            return serde_json::from_str(&text).context("what the attackers did");
        }
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        Ok(self.counts.iter().map(|(kind, count)| ((*kind).to_owned(), count.load(Ordering::Relaxed))).collect())
    }
}
