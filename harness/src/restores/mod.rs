//! The restore harness: somebody loses a directory, or uses an older copy of it, while three others write.
//!
//! A round is a new account with three contacts. Everybody writes; at some moment a copy of the
//! account is made; everybody writes on, and that is delivered and acknowledged, so no relay has it
//! any more. Then the directory is lost, the contacts go on writing, and the copy begins to live. At
//! the end it must have everything: from its backup, or printed by its `listen`, once and in order.

mod cast;
mod round;

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::journal::Verdict;

/// How an older copy of an account comes to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The directory is lost, a backup is restored.
    Restore,
    /// An older copy of the directory is put back and chosen with `account keep-this-copy`.
    Rollback,
    /// A backup is restored while the original goes on running; one of them is chosen.
    Both,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Restore, Self::Rollback, Self::Both];

    /// As the command line calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Rollback => "rollback",
            Self::Both => "both",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("{text} is none of restore, rollback, both"))
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rounds of each kind.
    pub rounds: u32,
    /// Which kinds.
    pub kinds: Vec<Kind>,
    /// Messages that the contacts write together while nobody is there to fetch them.
    pub waiting: u64,
    /// At most so many messages of each conversation and direction between copy and loss.
    pub between: u64,
    /// SIGKILLs of the living copy and of contacts while the missing messages come.
    pub kills: u32,
    /// Some contacts come online only after the copy does.
    pub late: bool,
    /// Everything random of round N comes from this plus N (the timing of the machine does not).
    pub seed: u64,
    /// How long it may take from "everybody is online" until everything is there; `None`: [`bound`].
    pub bound: Option<Duration>,
}

/// How long that may take for so many waiting messages where nothing else is said.
#[must_use]
pub const fn bound(waiting: u64) -> Duration {
    Duration::from_secs(if waiting <= 2_000 { 60 } else { 240 })
}

impl Plan {
    fn bound(&self) -> Duration {
        self.bound.unwrap_or_else(|| bound(self.waiting))
    }
}

/// What came of one round.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// How the copy came to be used.
    pub kind: Kind,
    /// Repeats it: `--seed SEED --rounds 1 --kinds KIND`, with the other flags as they were.
    pub seed: u64,
    /// Which directory lives on.
    pub lives: String,
    /// Whether the contacts use another relay.
    pub two_relays: bool,
    /// Seconds from "everybody is online" until everything was there; `None`: not in time.
    pub seconds: Option<f64>,
    /// How long it was allowed to take, seconds.
    pub bound_seconds: f64,
    /// Random kills while the missing messages came.
    pub kills: u32,
    /// Contacts that came online late.
    pub late: usize,
    /// What the journal proves.
    pub verdict: Verdict,
    /// The journal file.
    pub journal: String,
}

impl Round {
    /// Everything that is wrong with it, in words.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.seconds.is_none() {
            failures.push(format!("not everything was there after {} s", self.bound_seconds));
        }
        if !self.verdict.lost.is_empty() {
            let some: Vec<_> = self.verdict.lost.iter().take(SHOWN_IDS).collect();
            failures.push(format!("{} accepted and missing: {some:?}", self.verdict.lost.len()));
        }
        if self.verdict.undelivered > 0 {
            failures.push(format!("{} accepted messages were never reported as delivered", self.verdict.undelivered));
        }
        failures.extend(self.verdict.violations.iter().cloned());
        failures.iter().map(|text| format!("{} {}: {text}", self.kind, self.seed)).collect()
    }
}

/// So many ids of missing messages are named; the journal has all.
const SHOWN_IDS: usize = 8;

/// What came of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Rounds.
    pub rounds: usize,
    /// Of these, complete in time.
    pub complete: usize,
    /// `send` calls answered.
    pub accepted: usize,
    /// Of these, not there at the end.
    pub missing: usize,
    /// Shown twice.
    pub twice: usize,
    /// Shown after a later one of their sender.
    pub out_of_order: usize,
    /// Never reported as delivered.
    pub undelivered: usize,
    /// Everything that is wrong with the journal, the two above included.
    pub violations: usize,
    /// Seconds until complete, of the complete ones: median.
    pub median_seconds: f64,
    /// And the longest.
    pub longest_seconds: f64,
}

/// What came of all.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Messages that waited in each round.
    pub waiting: u64,
    /// Length of the run in seconds.
    pub took_seconds: f64,
    /// By kind.
    pub kinds: BTreeMap<Kind, Figures>,
    /// Each round.
    pub rounds: Vec<Round>,
    /// Rounds that did not come to their end, and why.
    pub broken: Vec<String>,
}

impl Report {
    /// Everything that is wrong, in words.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.broken.iter().cloned().chain(self.rounds.iter().flat_map(Round::failures)).collect()
    }
}

fn figures(rounds: &[Round], kind: Kind) -> Figures {
    let of_kind: Vec<_> = rounds.iter().filter(|round| round.kind == kind).collect();
    let sum = |count: fn(&Verdict) -> usize| of_kind.iter().map(|round| count(&round.verdict)).sum();
    let mut seconds: Vec<f64> = of_kind.iter().filter_map(|round| round.seconds).collect();
    seconds.sort_unstable_by(f64::total_cmp);
    Figures {
        rounds: of_kind.len(),
        complete: seconds.len(),
        accepted: sum(|verdict| verdict.accepted),
        missing: sum(|verdict| verdict.lost.len()),
        twice: sum(|verdict| verdict.twice),
        out_of_order: sum(|verdict| verdict.out_of_order),
        undelivered: sum(|verdict| verdict.undelivered),
        violations: sum(|verdict| verdict.violations.len()),
        median_seconds: seconds.get(seconds.len() / 2).copied().unwrap_or_default(),
        longest_seconds: seconds.last().copied().unwrap_or_default(),
    }
}

/// Runs all rounds, each in a directory of its own below an empty one. `done` is told of each.
///
/// # Errors
/// A directory cannot be made; what goes wrong in a round is in the report instead.
pub async fn run(plan: &Plan, root: &Path, mut done: impl FnMut(&Round)) -> Result<Report> {
    let started = std::time::Instant::now();
    let (mut rounds, mut broken) = (Vec::new(), Vec::new());
    for number in 0..plan.rounds {
        for &kind in &plan.kinds {
            let seed = plan.seed.wrapping_add(u64::from(number));
            let place = root.join(format!("{number}-{kind}"));
            std::fs::create_dir(&place).with_context(|| format!("making {}", place.display()))?;
            match round::run(plan, kind, seed, &place).await {
                Ok(round) => {
                    done(&round);
                    // Databases of many rounds are large; who looks for a fault needs those of the rounds that have one.
                    if round.failures().is_empty() {
                        std::fs::remove_dir_all(&place).with_context(|| format!("removing {}", place.display()))?;
                    }
                    rounds.push(round);
                }
                Err(error) => broken.push(format!("{kind} {seed} did not come to its end: {error:#}")),
            }
        }
    }
    let kinds = plan.kinds.iter().map(|&kind| (kind, figures(&rounds, kind))).collect();
    let took_seconds = started.elapsed().as_secs_f64();
    Ok(Report { seed: plan.seed, waiting: plan.waiting, took_seconds, kinds, rounds, broken })
}
