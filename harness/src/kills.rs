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
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::Serialize;
use subrosa_client_core::api::{SendParams, Sent};
use subrosa_crash_point::CrashPoint;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    account::Account,
    journal::{Entry, Journal, Progress, Verdict, judge},
    keeper::{Cause, Keeper, Program, SharedLedger, Surroundings},
    programs::Programs,
    rpc::{CallError, Rpc},
};

/// A call that is not answered within this time is given up and made again.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// An armed process that has not aborted by then never will.
const ABORT_TIMEOUT: Duration = Duration::from_secs(60);
/// While a crash point is waited for, one more message each so often, so that it is reached.
const FILL_EVERY: Duration = Duration::from_millis(25);
/// A crash point is set for one of its first passes.
const MAX_PASS: u32 = 4;
/// One message in so many is long, so that other padding sizes occur.
const LONG_EVERY: u64 = 16;
/// Longest text of the long ones.
const LONG_BYTES: usize = 6_000;

/// What to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Messages of both sides together; more are sent when a crash point takes longer to be reached.
    pub messages: u64,
    /// Kills at random moments.
    pub random_kills: u32,
    /// Times each crash point is hit in each process that has it.
    pub rounds: u32,
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
        let ms = |time: Option<&Duration>| time.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self { count: times.len(), median_ms: ms(times.get(times.len() / 2)), max_ms: ms(times.last()) }
    }
}

/// Longest restart that is no violation (DESIGN.md, reliability).
const MAX_RESTART_MS: u64 = 1_000;

impl Report {
    /// Everything that is wrong with the run, in words.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.verdict.violations.clone();
        if !self.verdict.lost.is_empty() {
            failures.push(format!("{} accepted and lost: {:?}", self.verdict.lost.len(), self.verdict.lost));
        }
        if self.verdict.delivered < self.verdict.accepted {
            let missing = self.verdict.accepted - self.verdict.delivered;
            failures.push(format!("{missing} accepted messages were never reported as delivered"));
        }
        for point in CrashPoint::ALL {
            if !self.aborts.contains_key(point.name()) {
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

/// The processes in the order of [`World::keepers`].
pub(crate) const ALICES_RELAY: usize = 0;
pub(crate) const BOBS_RELAY: usize = 1;
pub(crate) const ALICE: usize = 2;
pub(crate) const BOB: usize = 3;

fn steps(config: &Config, random: &mut StdRng) -> Vec<Step> {
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

/// The handles of the two people; long enough to be searched for in what a relay wrote.
pub const HANDLES: [&str; 2] = ["alice.at.relay-a", "bob.at.relay-b"];

/// Variables set for one of the processes.
pub type Environment<'a> = &'a [(String, String)];

/// Two relays, two engines that know each other, and the journal.
#[derive(Debug)]
pub struct World {
    /// Relay of the first account, relay of the second, first engine, second engine.
    pub keepers: Vec<Keeper>,
    /// The two accounts.
    pub accounts: [Account; 2],
    /// Where everything is written down.
    pub around: Surroundings,
}

impl World {
    /// Starts everything in `root` and makes the two accounts contacts of each other.
    ///
    /// # Errors
    /// Something does not start or does not answer.
    pub async fn start(root: &Path, environment: [Environment<'_>; 4]) -> Result<Self> {
        let programs = Programs::locate()?;
        let around = Surroundings {
            programs: programs.clone(),
            journal: Arc::new(Journal::create(&root.join("journal.jsonl"))?),
            ledger: SharedLedger::default(),
            logs: root.to_owned(),
        };
        let mut keepers = Vec::new();
        for (name, place) in [("relay-a", ALICES_RELAY), ("relay-b", BOBS_RELAY)] {
            let program = Program::Relay { data: root.join(name), port: 0, arguments: Vec::new() };
            let keeper = Keeper::start(name, program, &around, environment[place]);
            keeper.serving().await?;
            keepers.push(keeper);
        }
        let alice =
            Account::init(&programs, root, HANDLES[0], &keepers[ALICES_RELAY].url(), environment[ALICE]).await?;
        let bob = Account::init(&programs, root, HANDLES[1], &keepers[BOBS_RELAY].url(), environment[BOB]).await?;
        for (account, place) in [(&alice, ALICE), (&bob, BOB)] {
            let program = Program::Engine(account.clone());
            let keeper = Keeper::start(&account.name, program, &around, environment[place]);
            keeper.serving().await?;
            keepers.push(keeper);
        }
        alice.befriend(&bob).await?;
        Ok(Self { keepers, accounts: [alice, bob], around })
    }

    /// Starts a sender from account `from` (0 or 1) to the other one.
    #[must_use]
    pub fn sender(&self, from: usize, seed: u64, target: watch::Receiver<Target>) -> JoinHandle<()> {
        let sender = Sender {
            from: self.accounts[from].clone(),
            to: self.accounts[1 - from].id.clone(),
            up: self.keepers[ALICE + from].up(),
            journal: Arc::clone(&self.around.journal),
            random: StdRng::seed_from_u64(seed),
        };
        tokio::spawn(sender.run(target))
    }

    /// Waits until everything accepted is shown and reported as delivered; says what is missing otherwise.
    pub async fn settle(&self, longest: Duration) -> Progress {
        let mut progress = self.around.journal.progress();
        let settled = |now: &Progress| now.to_show == 0 && now.to_deliver == 0;
        let waited = timeout(longest, progress.wait_for(settled)).await.map(|_| ());
        let now = *self.around.journal.progress().borrow();
        if waited.is_err() {
            self.note(format!("not settled after {longest:?}: {now:?}"));
            self.diagnose().await;
        }
        now
    }

    /// Writes what the engines say of themselves into the journal.
    async fn diagnose(&self) {
        for account in &self.accounts {
            let status = async {
                let mut rpc = account.rpc().await?;
                Ok::<serde_json::Value, anyhow::Error>(
                    rpc.call("status", &subrosa_client_core::api::NoParams {}, CALL_TIMEOUT).await?,
                )
            };
            match status.await {
                Ok(status) => self.note(format!("{} says: {status}", account.name)),
                Err(error) => self.note(format!("{} does not answer: {error:#}", account.name)),
            }
        }
    }

    fn note(&self, text: String) {
        self.around.journal.add(Entry::Process { text });
    }

    /// Ends all processes.
    pub async fn stop(self) {
        for keeper in self.keepers.into_iter().rev() {
            keeper.stop().await;
        }
    }
}

/// How far a sender may go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target {
    /// Messages released so far.
    pub released: u64,
    /// No more will be.
    pub last: bool,
}

struct Sender {
    from: Account,
    to: String,
    up: watch::Receiver<crate::keeper::Up>,
    journal: Arc<Journal>,
    random: StdRng,
}

impl Sender {
    async fn run(mut self, mut target: watch::Receiver<Target>) {
        let mut rpc = None;
        for index in 0u64.. {
            let Ok(now) = target.wait_for(|now| now.released > index || now.last).await.map(|now| *now) else { return };
            if now.released <= index {
                return;
            }
            let id = hex::encode(self.random.random::<[u8; 16]>());
            let body = self.text(index);
            self.journal.add(Entry::Attempted { by: self.from.id.clone(), id: id.clone(), index, body: body.clone() });
            let params = SendParams { to: self.to.clone(), body, id: Some(id.clone()) };
            match self.send(&mut rpc, &params).await {
                Ok(()) => self.journal.add(Entry::Accepted { id }),
                Err(text) => {
                    self.journal.add(Entry::Wrong { text });
                    return;
                }
            }
        }
    }

    fn text(&mut self, index: u64) -> String {
        let mut body = format!("{} {index}", self.from.name);
        if index % LONG_EVERY == LONG_EVERY - 1 {
            let length = self.random.random_range(100..LONG_BYTES);
            body.push(' ');
            body.extend(std::iter::repeat_n('~', length));
        }
        body
    }

    /// Calls `send` until the engine has answered, over as many deaths as it takes.
    async fn send(&mut self, rpc: &mut Option<Rpc>, params: &SendParams) -> Result<(), String> {
        loop {
            let mut connection = match rpc.take() {
                Some(connection) => connection,
                None => {
                    self.up
                        .wait_for(|up| up.serving)
                        .await
                        .map_err(|_| format!("the engine of {} is no longer kept", self.from.name))?;
                    match Rpc::connect(&self.from.socket()).await {
                        Ok(connection) => connection,
                        Err(_) => {
                            // It died in this moment; the next start changes `up`.
                            let _ = timeout(Duration::from_millis(50), self.up.changed()).await;
                            continue;
                        }
                    }
                }
            };
            match connection.call::<_, Sent>("send", params, CALL_TIMEOUT).await {
                Ok(_) => {
                    *rpc = Some(connection);
                    return Ok(());
                }
                Err(CallError::Gone(_)) => {}
                Err(refused) => return Err(format!("send {:?} of {}: {refused}", params.id, self.from.name)),
            }
        }
    }
}

/// Runs the harness in an empty directory.
///
/// # Errors
/// Something could not be started or a crash point was not reached; violations of the promises are
/// in the report instead.
pub async fn run(config: &Config, root: &Path) -> Result<Report> {
    let started = Instant::now();
    let mut random = StdRng::seed_from_u64(config.seed);
    let world = World::start(root, [&[], &[], &[], &[]]).await?;
    let steps = steps(config, &mut random);
    let (target, watcher) = watch::channel(Target::default());
    let senders = [world.sender(0, random.random(), watcher.clone()), world.sender(1, random.random(), watcher)];
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
    world.settle(config.settle).await;
    let report = report(config, &world, started);
    world.stop().await;
    Ok(report)
}

fn report(config: &Config, world: &World, started: Instant) -> Report {
    let mut report = Report {
        seed: config.seed,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
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
