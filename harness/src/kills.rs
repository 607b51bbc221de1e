//! The kill harness: two people on two relays write to each other while every process is killed again and again.
//!
//! Four processes run: two relays and two engines (`listen`). A controller goes through a shuffled
//! list of steps. A *random kill* ends any of the four at a random moment, also while it starts. An
//! *armed* step ends a process, starts it with `SUBROSA_CRASH_AT` and waits until it has aborted
//! there. Messages are released step by step, so that they flow during all of them. Every call that
//! a death cuts off is made again with the same message id.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::Serialize;
use subrosa_client_core::api::{Contact, Contacts, Invite, InviteParams, JoinParams, NoParams};
use subrosa_crash_point::CrashPoint;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{
    journal::{Verdict, judge},
    keeper::Cause,
    sender::Target,
    world::{ALICE, ALICES_RELAY, BOB, BOBS_RELAY, World},
};

/// An armed process that has not aborted by then never will.
const ABORT_TIMEOUT: Duration = Duration::from_secs(60);
/// While a crash point is waited for, one more message each so often, so that it is reached.
const FILL_EVERY: Duration = Duration::from_millis(25);
/// A crash point is set for one of its first passes.
const MAX_PASS: u32 = 4;
/// Kills while two people meet: enough to hit every part of it over a few runs, and it still ends.
const MEETING_KILLS: u32 = 12;
/// Longest pause between these. Meeting takes about half a second when nothing dies.
const MEETING_PAUSE_MS: u64 = 400;

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Messages of both sides together; more are sent when a crash point takes longer to be reached.
    pub messages: u64,
    /// Kills at random moments.
    pub random_kills: u32,
    /// Times each crash point is hit in each process that has it.
    pub rounds: u32,
    /// Begin to kill before the two know each other: link, join and session set-up happen under fire, too.
    pub from_the_start: bool,
    /// Everything random comes from it (the timing of the machine does not).
    pub seed: u64,
    /// Pause before a step, milliseconds: chosen between 5 and this.
    pub longest_pause_ms: u64,
    /// How long everything may take to settle at the end.
    pub settle: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Length of the run in milliseconds.
    pub took_ms: u64,
    /// Of it, from the last message until all were shown and reported delivered, milliseconds.
    pub settled_ms: u64,
    /// The longest time in which nothing at all happened, milliseconds.
    pub longest_silence_ms: u64,
    /// Random kills by process.
    pub random_kills: BTreeMap<String, u32>,
    /// Kills only to start a process with a crash point set.
    pub arming_kills: u32,
    /// Aborts by crash point and process.
    pub aborts: BTreeMap<String, BTreeMap<String, u32>>,
    /// Restarts that reached serving: relays.
    pub relay_restart: Figures,
    /// Restarts that reached serving: engines.
    pub engine_restart: Figures,
    /// What the journal proves.
    pub verdict: Verdict,
    /// The journal file.
    pub journal: String,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// How many.
    pub count: usize,
    /// Median.
    pub median_ms: u64,
    /// Longest.
    pub max_ms: u64,
}

impl Figures {
    /// Of these times.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let ms = |time: Option<&Duration>| time.copied().map_or(0, millis);
        Self { count: times.len(), median_ms: ms(times.get(times.len() / 2)), max_ms: ms(times.last()) }
    }
}

/// Longest restart that is no violation.
const MAX_RESTART_MS: u64 = 1_000;

/// Longest time without any event that is no violation: retries begin at half a second and everything restarts at once.
const MAX_SILENCE_MS: u64 = 15_000;

impl Report {
    /// Everything that is wrong with the run, in words.
    #[must_use]
    pub fn failures(&self, config: &Plan) -> Vec<String> {
        let mut failures = self.verdict.violations.clone();
        if !self.verdict.lost.is_empty() {
            failures.push(format!("{} accepted and lost: {:?}", self.verdict.lost.len(), self.verdict.lost));
        }
        if self.verdict.delivered < self.verdict.accepted {
            let missing = self.verdict.accepted - self.verdict.delivered;
            failures.push(format!("{missing} accepted messages were never reported as delivered"));
        }
        if self.longest_silence_ms >= MAX_SILENCE_MS {
            failures.push(format!("nothing moved for {} ms", self.longest_silence_ms));
        }
        for point in CrashPoint::ALL {
            if config.rounds > 0 && !self.aborts.contains_key(point.name()) {
                failures.push(format!("nothing ever aborted at {}", point.name()));
            }
        }
        failures
    }

    /// Restarts that took longer than a second; judged apart, since a busy machine alone can cause it.
    #[must_use]
    pub fn slow_restarts(&self) -> Vec<String> {
        [("relay", self.relay_restart), ("engine", self.engine_restart)]
            .iter()
            .filter(|(_, figures)| figures.max_ms >= MAX_RESTART_MS)
            .map(|(name, figures)| format!("a {name} took {} ms to serve again", figures.max_ms))
            .collect()
    }
}

/// One step of the controller; the number is the process.
#[derive(Debug, Clone, Copy)]
enum Step {
    Random,
    Armed(usize, CrashPoint),
}

fn steps(config: &Plan, random: &mut StdRng) -> Vec<Step> {
    let mut steps = vec![Step::Random; config.random_kills as usize];
    for point in CrashPoint::ALL {
        let places = match point {
            CrashPoint::RelayAfterCommit | CrashPoint::RelayAfterPush => [ALICES_RELAY, BOBS_RELAY],
            _ => [ALICE, BOB],
        };
        for _ in 0..config.rounds {
            steps.extend(places.map(|place| Step::Armed(place, point)));
        }
    }
    steps.shuffle(random);
    steps
}

/// Runs the harness in an empty directory.
///
/// # Errors
/// Something could not be started or a crash point was not reached; violations of the promises are
/// in the report instead.
pub async fn run(config: &Plan, root: &Path) -> Result<Report> {
    let started = Instant::now();
    let mut random = StdRng::seed_from_u64(config.seed);
    let steps = steps(config, &mut random);
    let (target, watcher) = watch::channel(Target::default());
    let seeds = [random.random(), random.random()];
    let world = World::strangers(root, [&[]; 4]).await?;
    let senders = if config.from_the_start {
        meet_under_fire(&world, &target, seeds, &mut random).await?
    } else {
        world.accounts[0].befriend(&world.accounts[1]).await?;
        vec![world.sender(0, seeds[0], watcher.clone()), world.sender(1, seeds[1], watcher)]
    };
    let each = config.messages.div_ceil(2);
    let count = steps.len() as u64;
    for (number, step) in steps.into_iter().enumerate() {
        let due = each * (number as u64 + 1) / count.max(1);
        target.send_modify(|now| now.released = now.released.max(due));
        sleep(Duration::from_millis(random.random_range(5..=config.longest_pause_ms.max(5)))).await;
        match step {
            Step::Random => {
                let place = random.random_range(0..world.keepers.len());
                world.keepers[place].kill(None).await?;
            }
            Step::Armed(place, point) => {
                let keeper = &world.keepers[place];
                let before = *keeper.up().borrow();
                keeper.kill(Some((point, random.random_range(1..=MAX_PASS)))).await?;
                let fill = async || -> Infallible {
                    loop {
                        sleep(FILL_EVERY).await;
                        target.send_modify(|now| now.released += 1);
                    }
                };
                tokio::select! {
                    reached = keeper.aborted(before, ABORT_TIMEOUT) => {
                        reached.with_context(|| format!("waiting for {}", point.name()))?;
                    }
                    never = fill() => match never {},
                }
            }
        }
    }
    target.send_modify(|now| {
        now.released = now.released.max(each);
        now.last = true;
    });
    for sender in senders {
        sender.await.context("a sender")?;
    }
    for keeper in &world.keepers {
        keeper.serving().await?;
    }
    let sent = Instant::now();
    world.settle(config.settle).await;
    let report = report(config, &world, started, sent.elapsed());
    world.stop().await;
    Ok(report)
}

/// Link, join and first messages while anything may die; ends when both sides know each other and send.
async fn meet_under_fire(
    world: &World,
    target: &watch::Sender<Target>,
    seeds: [u64; 2],
    random: &mut StdRng,
) -> Result<Vec<JoinHandle<()>>> {
    let mut left = MEETING_KILLS;
    let (mut alice, mut bob) = (world.caller(0), world.caller(1));
    let joining = tokio::spawn(async move {
        let invite: Invite = alice.call("invite", &InviteParams::default()).await?;
        // A call that was cut may have been done: using the same link again must be no error for the same person.
        bob.call::<_, Contact>("join", &JoinParams { link: invite.link }).await
    });
    kill_until(world, joining, &mut left, random).await?.map_err(anyhow::Error::msg).context("joining")?;
    // Bob writes at once, before Alice has heard of him.
    target.send_modify(|now| now.released = 4);
    let mut senders = vec![world.sender(1, seeds[1], target.subscribe())];
    let (mut alice, bobs_id) = (world.caller(0), world.accounts[1].id.clone());
    let hearing = tokio::spawn(async move {
        loop {
            let known: Contacts = alice.call("contact.list", &NoParams {}).await?;
            if known.contacts.iter().any(|contact| contact.id == bobs_id) {
                return Ok::<_, String>(());
            }
            sleep(FILL_EVERY).await;
        }
    });
    kill_until(world, hearing, &mut left, random).await?.map_err(anyhow::Error::msg).context("hearing of Bob")?;
    senders.push(world.sender(0, seeds[0], target.subscribe()));
    Ok(senders)
}

/// Kills random processes until a task ends or `left` is used up.
async fn kill_until<T>(world: &World, mut task: JoinHandle<T>, left: &mut u32, random: &mut StdRng) -> Result<T> {
    loop {
        let pause = Duration::from_millis(random.random_range(5..=MEETING_PAUSE_MS));
        tokio::select! {
            done = &mut task => return Ok(done?),
            () = sleep(pause), if *left > 0 => {
                *left -= 1;
                world.keepers[random.random_range(0..world.keepers.len())].kill(None).await?;
            }
        }
    }
}

fn report(config: &Plan, world: &World, started: Instant, settled: Duration) -> Report {
    let mut report = Report {
        seed: config.seed,
        took_ms: millis(started.elapsed()),
        settled_ms: millis(settled),
        longest_silence_ms: millis(world.around.journal.longest_silence()),
        random_kills: BTreeMap::new(),
        arming_kills: 0,
        aborts: BTreeMap::new(),
        relay_restart: Figures::default(),
        engine_restart: Figures::default(),
        verdict: judge(&world.around.journal.entries()),
        journal: world.around.logs.join("journal.jsonl").display().to_string(),
    };
    world.around.ledger.with(|ledger| {
        for (name, cause) in &ledger.deaths {
            match cause {
                Cause::Killed => *report.random_kills.entry(name.clone()).or_default() += 1,
                Cause::KilledToArm => report.arming_kills += 1,
                Cause::Aborted(point) => {
                    *report.aborts.entry(point.name().to_owned()).or_default().entry(name.clone()).or_default() += 1;
                }
            }
        }
        let times = |relay: bool| {
            let kept = ledger.restarts.iter().filter(|(name, _)| name.starts_with("relay") == relay);
            Figures::of(kept.map(|(_, time)| *time).collect())
        };
        report.relay_restart = times(true);
        report.engine_restart = times(false);
    });
    report
}
