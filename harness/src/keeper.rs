//! Keeps one program running: starts it, kills it when told to, and starts it again at once whatever it died of.
//!
//! Every death and every start is recorded. A death that nobody ordered is an error of the program
//! under test and stands in the journal as such.

use std::{
    fmt,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use subrosa_client_core::api::{NoParams, Status};
use subrosa_crash_point::CrashPoint;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    account::Account,
    journal::{Entry, Journal},
    programs::Programs,
    rpc::Rpc,
};

/// Between two tries to reach a socket that is about to appear; also the error of a measured start.
const SOCKET_POLL: Duration = Duration::from_millis(1);
/// A start that takes longer is hopeless, not slow.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one question to a starting engine may stay open.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// SIGABRT: what a crash point ends a process with.
const SIGABRT: i32 = 6;
/// Starts that may fail in a row before the keeper gives up.
const MAX_FAILED_STARTS: u32 = 5;

/// What is kept running.
#[derive(Debug, Clone)]
pub enum Program {
    /// A relay with its data directory and, after the first start, its port.
    Relay {
        /// `--data`.
        data: PathBuf,
        /// The port, 0 before the first start.
        port: u16,
        /// Further arguments.
        arguments: Vec<String>,
    },
    /// An account's engine: `listen`.
    Engine(Account),
}

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// SIGKILL at a moment of the harness's choice.
    Killed,
    /// SIGKILL in order to start it again with a crash point set.
    KilledToArm,
    /// It aborted at a crash point.
    Aborted(CrashPoint),
}

/// Everything the keepers of one run have seen.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Deaths that were ordered: process name and cause.
    pub deaths: Vec<(String, Cause)>,
    /// Starts after a death: process name, and the time from the start of the process until it served.
    pub restarts: Vec<(String, Duration)>,
}

/// The ledger as the keepers share it.
#[derive(Debug, Clone, Default)]
pub struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    /// Looks at or adds to it.
    pub fn with<T>(&self, action: impl FnOnce(&mut Ledger) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A crash point to set at the next start: where, and at the how-manieth time.
pub type Armed = (CrashPoint, u32);

enum Order {
    Kill { arm: Option<Armed>, restart: oneshot::Sender<()>, hold: Option<oneshot::Receiver<()>> },
    Stop(oneshot::Sender<()>),
}

/// State of a kept process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Up {
    /// Counts the starts.
    pub start: u64,
    /// Whether it serves now.
    pub serving: bool,
    /// Aborts at crash points so far.
    pub aborts: u64,
}

/// The handle of a kept process.
pub struct Keeper {
    /// For reports.
    pub name: String,
    /// What is kept.
    program: Program,
    orders: mpsc::Sender<Order>,
    up: watch::Receiver<Up>,
    url: watch::Receiver<String>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("name", &self.name).field("program", &self.program).finish_non_exhaustive()
    }
}

/// What a keeper needs besides the program.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where the programs lie.
    pub programs: Programs,
    /// Where everything is written down.
    pub journal: Arc<Journal>,
    /// Deaths and starts.
    pub ledger: SharedLedger,
    /// Standard error of all processes goes to `NAME.stderr` here, standard output of relays to `NAME.stdout`.
    pub logs: PathBuf,
}

impl Keeper {
    /// Starts the program and keeps it running. `environment` is set at every start.
    #[must_use]
    pub fn start(name: &str, program: Program, around: &Surroundings, environment: &[(String, String)]) -> Self {
        let (orders, inbox) = mpsc::channel(4);
        let (up_sender, up) = watch::channel(Up::default());
        let (url_sender, url) = watch::channel(String::new());
        let run = Run {
            name: name.to_owned(),
            program: program.clone(),
            around: around.clone(),
            environment: environment.to_vec(),
            up: up_sender,
            url: url_sender,
            cursor: Arc::new(AtomicU64::new(0)),
        };
        let task = tokio::spawn(run.keep(inbox));
        Self { name: name.to_owned(), program, orders, up, url, task }
    }

    /// Waits until the process serves and returns its start number.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn serving(&self) -> Result<u64> {
        let mut up = self.up.clone();
        let waited = tokio::time::timeout(2 * START_TIMEOUT, up.wait_for(|up| up.serving)).await;
        match waited {
            Ok(Ok(up)) => Ok(up.start),
            _ => bail!("{} does not come up (its standard error is in {}.stderr)", self.name, self.name),
        }
    }

    /// The state, to be watched.
    #[must_use]
    pub fn up(&self) -> watch::Receiver<Up> {
        self.up.clone()
    }

    /// The relay's URL, once it serves.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.borrow().clone()
    }

    /// Kills the process; it is dead when this returns and starts again at once, with `arm` set if given.
    ///
    /// # Errors
    /// The keeper has given up.
    pub async fn kill(&self, arm: Option<Armed>) -> Result<()> {
        let (restart, dead) = oneshot::channel();
        let order = Order::Kill { arm, restart, hold: None };
        self.orders.send(order).await.ok().with_context(|| format!("{} is no longer kept", self.name))?;
        dead.await.with_context(|| format!("{} is no longer kept", self.name))
    }

    /// Kills the process and holds it down until the returned sender is used or dropped.
    ///
    /// # Errors
    /// The keeper has given up.
    pub async fn kill_and_hold(&self) -> Result<oneshot::Sender<()>> {
        let (restart, dead) = oneshot::channel();
        let (release, held) = oneshot::channel();
        let order = Order::Kill { arm: None, restart, hold: Some(held) };
        self.orders.send(order).await.ok().with_context(|| format!("{} is no longer kept", self.name))?;
        dead.await.with_context(|| format!("{} is no longer kept", self.name))?;
        Ok(release)
    }

    /// Waits until the process has aborted at a crash point more often than `before` says.
    ///
    /// # Errors
    /// Not within `longest`.
    pub async fn aborted(&self, before: Up, longest: Duration) -> Result<()> {
        let mut up = self.up.clone();
        let waited = tokio::time::timeout(longest, up.wait_for(|up| up.aborts > before.aborts)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => bail!("{} did not reach the crash point in {longest:?}", self.name),
        }
    }

    /// Ends the process for good.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        if self.orders.send(Order::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
        let _ = self.task.await;
    }
}

/// The keeper's own task.
struct Run {
    name: String,
    program: Program,
    around: Surroundings,
    environment: Vec<(String, String)>,
    up: watch::Sender<Up>,
    url: watch::Sender<String>,
    /// Cursor of the last line read from an engine.
    cursor: Arc<AtomicU64>,
}

/// A started process and the task that reads its lines.
struct Running {
    child: Child,
    lines: JoinHandle<()>,
    listening: oneshot::Receiver<String>,
    since: Instant,
}

impl Run {
    async fn keep(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut arm: Option<Armed> = None;
        let mut failed_starts = 0;
        let mut first = true;
        loop {
            let mut running = match self.spawn(arm) {
                Ok(running) => running,
                Err(error) => {
                    self.wrong(format!("{} cannot be started: {error:#}", self.name));
                    return;
                }
            };
            let mut serving = false;
            let mut exited = false;
            let pid = running.child.id();
            let order = loop {
                tokio::select! {
                    biased;
                    order = inbox.recv() => break order,
                    exit = running.child.wait() => {
                        exited = true;
                        if !self.ended(exit.ok(), arm) && !serving {
                            failed_starts += 1;
                        }
                        break Some(Order::Kill { arm: None, restart: oneshot::channel().0, hold: None });
                    }
                    ready = ready(&self.program, pid, &mut running.listening), if !serving => {
                        serving = true;
                        failed_starts = 0;
                        self.serves(ready, running.since, first);
                        first = false;
                    }
                }
            };
            if !exited && let Ok(Some(exit)) = running.child.try_wait() {
                exited = true;
                self.ended(Some(exit), arm);
            }
            // An error means that it is dead already.
            let _ = running.child.kill().await;
            // What it had written before it died still counts: the reader takes it all.
            let _ = running.lines.await;
            self.up.send_modify(|up| up.serving = false);
            match order {
                Some(Order::Kill { arm: next, restart, hold }) => {
                    if !exited {
                        let cause = if next.is_some() { Cause::KilledToArm } else { Cause::Killed };
                        self.record_death(cause);
                    }
                    arm = next;
                    let _ = restart.send(());
                    if let Some(hold) = hold {
                        let _ = hold.await;
                    }
                }
                Some(Order::Stop(done)) => {
                    let _ = done.send(());
                    return;
                }
                None => return,
            }
            if failed_starts >= MAX_FAILED_STARTS {
                self.wrong(format!("{} does not start any more", self.name));
                return;
            }
        }
    }

    fn serves(&mut self, ready: Result<String>, since: Instant, first: bool) {
        let took = since.elapsed();
        let url = match ready {
            Ok(url) => url,
            Err(error) => return self.wrong(format!("{} started and does not serve: {error:#}", self.name)),
        };
        if let Program::Relay { port: port @ 0, .. } = &mut self.program
            && let Some(given) = url.rsplit(':').next().and_then(|text| text.trim_end_matches('/').parse().ok())
        {
            *port = given;
        }
        if !first {
            self.around.ledger.with(|ledger| ledger.restarts.push((self.name.clone(), took)));
        }
        self.note(format!("{} serves after {} ms", self.name, took.as_millis()));
        self.url.send_replace(url);
        self.up.send_modify(|up| up.serving = true);
    }

    fn spawn(&mut self, arm: Option<Armed>) -> Result<Running> {
        let mut command = match &self.program {
            Program::Relay { data, port, arguments } => {
                let mut command = Command::new(&self.around.programs.relay);
                command.arg("--data").arg(data).args(["--listen", &format!("127.0.0.1:{port}"), "--json"]);
                command.args(arguments);
                command
            }
            Program::Engine(account) => {
                let since = self.cursor.load(Ordering::SeqCst);
                self.around.journal.add(Entry::Listening { at: account.place(), since });
                let mut command = account.command();
                command.args(["listen", "--json", "--no-input", "--since", &since.to_string()]);
                command
            }
        };
        command.env_remove("SUBROSA_CRASH_AT").envs(self.environment.iter().map(|(key, value)| (key, value)));
        if let Some((point, times)) = arm {
            command.env("SUBROSA_CRASH_AT", format!("{}:{times}", point.name()));
        }
        let errors = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.around.logs.join(format!("{}.stderr", self.name)))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let since = Instant::now();
        let mut child = command.spawn().context("starting the process")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (first, listening) = oneshot::channel();
        let lines = match &self.program {
            Program::Relay { .. } => {
                let printed = self.around.logs.join(format!("{}.stdout", self.name));
                let printed = std::fs::OpenOptions::new().create(true).append(true).open(printed)?;
                tokio::spawn(read_relay(stdout, printed, first))
            }
            Program::Engine(account) => {
                let reader =
                    read_engine(stdout, account.place(), Arc::clone(&self.around.journal), Arc::clone(&self.cursor));
                tokio::spawn(reader)
            }
        };
        let armed = arm.map(|(point, times)| format!(", to die at {}:{times}", point.name())).unwrap_or_default();
        self.note(format!("{} starts{armed}", self.name));
        self.up.send_modify(|up| up.start += 1);
        Ok(Running { child, lines, listening, since })
    }

    /// A process ended by itself; says whether it was the ordered abort.
    fn ended(&self, exit: Option<ExitStatus>, arm: Option<Armed>) -> bool {
        if let (Some(exit), Some((point, _))) = (exit, arm)
            && exit.signal() == Some(SIGABRT)
        {
            self.record_death(Cause::Aborted(point));
            self.up.send_modify(|up| up.aborts += 1);
            return true;
        }
        let how = exit.map_or_else(|| "unknown".to_owned(), |exit| exit.to_string());
        self.wrong(format!("{} ended by itself: {how}{}", self.name, self.last_words()));
        false
    }

    /// The end of its standard error.
    fn last_words(&self) -> String {
        let path = self.around.logs.join(format!("{}.stderr", self.name));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let tail: Vec<&str> = text.lines().rev().take(5).collect();
        tail.iter().rev().map(|line| format!("\n    {line}")).collect()
    }

    fn record_death(&self, cause: Cause) {
        self.note(format!("{} dies: {cause:?}", self.name));
        self.around.ledger.with(|ledger| ledger.deaths.push((self.name.clone(), cause)));
    }

    fn note(&self, text: String) {
        self.around.journal.add(Entry::Process { text });
    }

    fn wrong(&self, text: String) {
        self.around.journal.add(Entry::Wrong { text });
    }
}

/// Waits until a started process serves; for a relay the result is its URL.
async fn ready(program: &Program, pid: Option<u32>, listening: &mut oneshot::Receiver<String>) -> Result<String> {
    let served = async {
        match program {
            Program::Relay { .. } => Ok(listening.await.context("it never said where it listens")?),
            Program::Engine(account) => loop {
                if let Ok(mut rpc) = Rpc::connect(&account.socket()).await
                    && let Ok(status) = rpc.call::<_, Status>("status", &NoParams {}, ANSWER_TIMEOUT).await
                    && Some(status.engine.pid) == pid
                {
                    return Ok(String::new());
                }
                tokio::time::sleep(SOCKET_POLL).await;
            },
        }
    };
    match tokio::time::timeout(START_TIMEOUT, served).await {
        Ok(result) => result,
        Err(_) => bail!("not within {START_TIMEOUT:?}"),
    }
}

/// Reads a relay's lines: the first says where it listens, all are kept for whoever searches what it wrote.
async fn read_relay(stdout: impl AsyncRead + Unpin, mut printed: std::fs::File, first: oneshot::Sender<String>) {
    let mut lines = BufReader::new(stdout).lines();
    let mut first = Some(first);
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = writeln!(printed, "{line}");
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        if value.get("type").and_then(Value::as_str) == Some("listening")
            && let Some(url) = value.get("url").and_then(Value::as_str)
            && let Some(first) = first.take()
        {
            let _ = first.send(url.to_owned());
        }
    }
}

/// Reads an engine's lines into the journal; what a killed process left of a line is dropped.
async fn read_engine(stdout: impl AsyncRead + Unpin, at: String, journal: Arc<Journal>, cursor: Arc<AtomicU64>) {
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line).await {
            Ok(count) if count > 0 && line.ends_with('\n') => {
                if let Some(place) = journal.add_line(&at, line.trim_end()) {
                    cursor.store(place, Ordering::SeqCst);
                }
            }
            _ => return,
        }
    }
}
