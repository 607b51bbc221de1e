//! Many processes use one account at once while whoever runs its engine is killed, again and again.
//!
//! Each send carries a message id. A process that was killed itself has no answer, and its call is made again with the
//! same id, as a script would; every other has to bring its call to an end. Then the receiver's messages are counted.
//! Beside the senders stand a `listen`, a `receive` and a `daemon` that start again when they die, so that the killing
//! meets owners of every kind and never runs out of them.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    process::Output,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::{process::Command, sync::watch, task::JoinSet};

use crate::{
    account::{Account, json_line},
    journal::Journal,
    keeper::{Keeper, Program, SharedLedger, Surroundings},
    programs::Programs,
};

/// What stands beside the senders, and is started again whenever it ends.
const RESIDENTS: [(&str, &[&str]); 3] =
    [("listen", &["listen"]), ("receive", &["receive", "--timeout", "1s"]), ("daemon", &["daemon"])];
/// Longest life of one process: far more than a takeover, and an end for a run that hangs.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at who owns the engine now.
const OWNER_POLL: Duration = Duration::from_millis(5);
/// How long the receiver waits for something that comes twice, after everything has come.
const LINGER: &str = "2s";
/// Exit code of a `receive` that nothing came for.
const TIME_IS_UP: i32 = 8;
/// Errors of one resident until there is no point in starting it again.
const MAX_ERRORS: usize = 20;
/// Tries of one send: a call that is killed more often shows a fault of its own.
const MAX_TRIES: u32 = 200;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Messages, of all processes together.
    pub sends: usize,
    /// Processes that send at the same time.
    pub parallel: usize,
    /// Longest pause between two kills.
    pub longest_pause: Duration,
    /// How long everything may take to arrive after the last call was answered.
    pub settle: Duration,
    /// Repeats the pauses.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// From the first call to the last answer.
    pub took: Duration,
    /// From then until all had arrived.
    pub settled: Duration,
    /// Owners killed, by verb.
    pub kills: BTreeMap<String, u32>,
    /// Calls made again because their own process was killed.
    pub repeated: usize,
    /// Longest time of one call that was answered.
    pub longest_call: Duration,
    /// Processes that ended with an error instead of doing their work.
    pub refused: Vec<String>,
    /// Answered and never received.
    pub lost: Vec<String>,
    /// Received more than once, or never sent.
    pub repeats: Vec<String>,
    /// Received before an earlier message of the same process.
    pub disordered: Vec<String>,
}

impl Report {
    /// What went wrong; empty: nothing.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        [("refused", &self.refused), ("lost", &self.lost), ("repeated", &self.repeats), ("order", &self.disordered)]
            .into_iter()
            .flat_map(|(what, list)| list.iter().map(move |text| format!("{what}: {text}")))
            .collect()
    }
}

/// Processes of the account under test that live now, with their verb: only these are ever killed.
#[derive(Debug, Clone, Default)]
struct Alive(Arc<Mutex<HashMap<u32, String>>>);

impl Alive {
    fn with<T>(&self, action: impl FnOnce(&mut HashMap<u32, String>) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs a command to its end.
    async fn run(&self, verb: &str, mut command: Command) -> Result<Output> {
        let child = command.spawn().with_context(|| format!("starting {verb}"))?;
        let pid = child.id().context("it has no process id")?;
        self.with(|alive| alive.insert(pid, verb.to_owned()));
        let ended = child.wait_with_output().await;
        self.with(|alive| alive.remove(&pid));
        Ok(ended?)
    }
}

/// Everything the tasks of one run share.
#[derive(Debug, Clone)]
struct Stage {
    account: Account,
    alive: Alive,
    over: watch::Receiver<bool>,
}

impl Stage {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.account.command();
        command.args(arguments).args(["--json", "--no-input"]);
        command
    }

    /// Starts one verb again and again until all is over; the errors it ended with.
    async fn reside(mut self, verb: &'static str, arguments: &'static [&'static str]) -> Result<Vec<String>> {
        let mut errors = Vec::new();
        while !*self.over.borrow() {
            let ended = tokio::select! {
                ended = self.alive.run(verb, self.command(arguments)) => ended?,
                _ = self.over.wait_for(|over| *over) => break,
            };
            if ended.status.code().is_some_and(|code| code != 0 && code != TIME_IS_UP) {
                errors.push(format!("{verb}, {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr)));
                ensure!(errors.len() < MAX_ERRORS, "{verb} cannot run: {errors:#?}");
            }
        }
        Ok(errors)
    }

    /// Kills whoever owns the engine until all is over; how many of which verb.
    async fn kill_owners(mut self, config: Plan) -> Result<BTreeMap<String, u32>> {
        let mut random = StdRng::seed_from_u64(config.seed);
        let mut kills = BTreeMap::new();
        let mut last = None;
        let longest = u64::try_from(config.longest_pause.as_millis()).unwrap_or(u64::MAX).max(1);
        loop {
            let pause = Duration::from_millis(random.random_range(0..longest));
            if tokio::time::timeout(pause, self.over.wait_for(|over| *over)).await.is_ok() {
                return Ok(kills);
            }
            // A dead owner stays in the file until the next one has written itself there.
            let (pid, verb) = loop {
                let owner = owner(&self.account).filter(|pid| Some(*pid) != last);
                let found = owner.and_then(|pid| self.alive.with(|alive| Some((pid, alive.get(&pid)?.clone()))));
                if let Some(found) = found {
                    break found;
                }
                if tokio::time::timeout(OWNER_POLL, self.over.wait_for(|over| *over)).await.is_ok() {
                    return Ok(kills);
                }
            };
            let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).output().await.context("kill")?;
            if killed.status.success() {
                *kills.entry(verb).or_insert(0) += 1;
            }
            last = Some(pid);
        }
    }
}

/// Who runs the engine, as others read it.
fn owner(account: &Account) -> Option<u32> {
    let lock = std::fs::read_to_string(account.data().join("engine.lock")).ok()?;
    let pid = serde_json::from_str::<Value>(&lock).ok()?.get("pid")?.as_u64()?;
    u32::try_from(pid).ok()
}

fn id(number: usize) -> String {
    format!("{number:032x}")
}

/// What one sender has to tell.
#[derive(Debug, Default)]
struct Sent {
    repeated: usize,
    longest_call: Duration,
    refused: Vec<String>,
}

/// Sends the numbers of one process after each other, each until it is answered.
async fn send(stage: Stage, worker: usize, config: Plan) -> Result<Sent> {
    let mut sent = Sent::default();
    for number in (worker..config.sends).step_by(config.parallel) {
        let (body, id) = (format!("number {number}"), id(number));
        let mut tries = 0;
        loop {
            let begun = Instant::now();
            let command = stage.command(&["send", "bob", "-m", &body, "--id", &id, "--wait", "none"]);
            let output = tokio::time::timeout(PROCESS_TIMEOUT, stage.alive.run("send", command))
                .await
                .with_context(|| format!("send {number} hangs"))??;
            if output.status.success() {
                let line = json_line(&output)?;
                ensure!(line.get("id").is_some_and(Value::is_string), "no id: {line}");
                sent.longest_call = sent.longest_call.max(begun.elapsed());
                break;
            }
            if output.status.code().is_some() {
                let errors = String::from_utf8_lossy(&output.stderr);
                sent.refused.push(format!("{number} after {:?}, {}: {errors}", begun.elapsed(), output.status));
            }
            sent.repeated += 1;
            tries += 1;
            ensure!(tries < MAX_TRIES, "send {number} was never answered");
        }
    }
    Ok(sent)
}

/// Runs the whole of it below `root`.
///
/// # Errors
/// It cannot be set up, or a process hangs. What the processes did wrong stands in the report.
pub async fn run(config: &Plan, root: &Path) -> Result<Report> {
    let programs = Programs::locate()?;
    let around = Surroundings {
        programs: programs.clone(),
        journal: Arc::new(Journal::create(&root.join("journal.jsonl"))?),
        ledger: SharedLedger::default(),
        logs: root.to_owned(),
    };
    let program = Program::Relay { data: root.join("relay"), port: 0, arguments: Vec::new() };
    let relay = Keeper::start("relay", program, &around, &[]);
    relay.serving().await?;
    let alice = Account::init(&programs, root, "alice", &relay.url(), &[]).await?;
    let bob = Account::init(&programs, root, "bob", &relay.url(), &[]).await?;
    let meet = |account: &Account| Keeper::start(&account.name, Program::Engine(account.clone()), &around, &[]);
    let engines = [meet(&alice), meet(&bob)];
    for engine in &engines {
        engine.serving().await?;
    }
    alice.befriend(&bob).await?;
    for engine in engines {
        engine.stop().await;
    }

    let mut report = under_fire(config, &alice).await?;

    // Whoever runs the engine next sends what is left in the outbox.
    let engine = meet(&alice);
    engine.serving().await?;
    let begun = Instant::now();
    let mut received = Vec::new();
    while received.len() < config.sends && begun.elapsed() < config.settle {
        received.extend(receive(&bob, "5s").await?);
    }
    report.settled = begun.elapsed();
    // What was sent twice would come now.
    received.extend(receive(&bob, LINGER).await?);
    judge(config, &received, &mut report);
    engine.stop().await;
    relay.stop().await;
    Ok(report)
}

/// All the sends, with kills.
async fn under_fire(config: &Plan, account: &Account) -> Result<Report> {
    let (finish, over) = watch::channel(false);
    let stage = Stage { account: account.clone(), alive: Alive::default(), over };
    let begun = Instant::now();
    let residents: Vec<_> =
        RESIDENTS.iter().map(|(verb, arguments)| tokio::spawn(stage.clone().reside(verb, arguments))).collect();
    let killer = tokio::spawn(stage.clone().kill_owners(*config));
    let mut senders = JoinSet::new();
    for worker in 0..config.parallel {
        senders.spawn(send(stage.clone(), worker, *config));
    }
    let mut report = Report::default();
    while let Some(sender) = senders.join_next().await {
        let sent = sender??;
        report.repeated += sent.repeated;
        report.longest_call = report.longest_call.max(sent.longest_call);
        report.refused.extend(sent.refused);
    }
    report.took = begun.elapsed();
    let _ = finish.send(true);
    report.kills = killer.await??;
    for resident in residents {
        report.refused.extend(resident.await??);
    }
    Ok(report)
}

/// The id of every message that `receive` prints; none when nothing comes in time.
async fn receive(account: &Account, timeout: &str) -> Result<Vec<(String, String)>> {
    let mut command = account.command();
    command.args(["receive", "--timeout", timeout, "--json", "--no-input"]);
    let output = tokio::time::timeout(PROCESS_TIMEOUT, command.output()).await.context("receive hangs")??;
    let text = String::from_utf8(output.stdout).context("output is not UTF-8")?;
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
            let part = |name: &str| {
                line.get(name).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {name}: {line}"))
            };
            Ok((part("id")?, part("body")?))
        })
        .collect()
}

/// Counts what came: each once, none lost, those of one process in order.
fn judge(config: &Plan, received: &[(String, String)], report: &mut Report) {
    let mut times = vec![0_u32; config.sends];
    let mut latest: HashMap<usize, usize> = HashMap::new();
    for (id, body) in received {
        let number = body.strip_prefix("number ").and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number.filter(|number| *number < config.sends) else {
            report.repeats.push(format!("nobody sent {id}: {body}"));
            continue;
        };
        if let Some(count) = times.get_mut(number) {
            *count += 1;
        }
        let before = latest.insert(number % config.parallel, number);
        if let Some(before) = before.filter(|before| *before > number) {
            report.disordered.push(format!("{number} came after {before}"));
        }
    }
    for (number, count) in times.iter().enumerate() {
        match count {
            0 => report.lost.push(number.to_string()),
            1 => {}
            _ => report.repeats.push(format!("{number} came {count} times")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_repeated_or_out_of_order_is_noticed() {
        let config = Plan { sends: 4, parallel: 2, longest_pause: Duration::ZERO, settle: Duration::ZERO, seed: 0 };
        let judged = |numbers: &[usize]| {
            let received: Vec<_> = numbers.iter().map(|n| (id(*n), format!("number {n}"))).collect();
            let mut report = Report::default();
            judge(&config, &received, &mut report);
            report
        };
        assert!(judged(&[1, 0, 3, 2]).failures().is_empty());
        assert_eq!(judged(&[0, 1, 2]).lost, ["3"]);
        assert_eq!(judged(&[0, 1, 1, 2, 3]).repeats, ["1 came 2 times"]);
        assert_eq!(judged(&[2, 0, 1, 3]).disordered, ["0 came after 2"]);
        assert_eq!(judged(&[0, 1, 2, 3, 4]).repeats.len(), 1);
    }
}
