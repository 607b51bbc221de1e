//! Who lives a simulated life, and what they know before.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rand::{RngExt as _, rngs::StdRng};
use subrosa_client_core::{
    Client as _, Engine, ErrorKind,
    account::{InitParams, init},
    api::{
        ContactState, EngineOwner, Event, EventsParams, HistoryParams, InviteParams, JoinParams, MessageStatus,
        NoParams, OutboxListParams, SendParams, TimeoutParams, WaitParams, WhoParams,
    },
    home::Home,
    keys::{self, Passphrase, StoreKey},
    net::Network,
};
use subrosa_relay::{Config, Relay};
use subrosa_tasks::simulation::Host;
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use zeroize::Zeroizing;

use super::{
    BEGINS_MS,
    network::{AUTHORITY, Internet},
    simulated,
    trace::Trace,
};

/// The two, by the number they have in the network.
pub(super) const NAMES: [&str; 2] = ["ana", "ben"];

/// The directory of the relay.
const RELAY: &str = "relay";

/// How long anything takes at most after the storm. Waits between tries grow to ten minutes, and a try may fail once more.
const CALM: Duration = Duration::from_secs(3 * 3_600);

/// A text is written after at most this long a pause,
const PAUSE: Duration = Duration::from_secs(90);
/// or right behind the one before.
const QUICK: Duration = Duration::from_millis(300);

/// Sets up what all lives begin with: a relay, and two people who are contacts.
pub struct Stage {
    dir: TempDir,
    keys: Vec<StoreKey>,
}

/// A directory that is in memory, where the system has one: nothing in it outlives the simulation.
fn directory() -> Result<TempDir> {
    const MEMORY: &str = "/dev/shm";
    let made = if Path::new(MEMORY).is_dir() { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() };
    made.context("making a directory for the simulation")
}

impl Stage {
    /// Makes it, in a life of its own.
    ///
    /// # Errors
    /// The two do not come to be contacts.
    pub fn set() -> Result<Self> {
        let dir = directory()?;
        let keys = simulated(0, BEGINS_MS, async || meet(dir.path()).await).context("setting the stage")?;
        Ok(Self { dir, keys })
    }

    /// The same for one life.
    pub(super) fn copied(&self) -> Result<Copy<'_>> {
        let dir = directory()?;
        for name in NAMES.into_iter().chain([RELAY]) {
            let (from, to) = (self.dir.path().join(name), dir.path().join(name));
            fs::create_dir(&to)?;
            for entry in fs::read_dir(from)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    fs::copy(entry.path(), to.join(entry.file_name()))?;
                }
            }
        }
        Ok(Copy { stage: self, dir })
    }
}

/// A stage of one life.
pub(super) struct Copy<'a> {
    stage: &'a Stage,
    dir: TempDir,
}

impl Copy<'_> {
    pub(super) fn relay(&self) -> PathBuf {
        self.dir.path().join(RELAY)
    }

    pub(super) fn people(&self, internet: &Internet, trace: &Trace) -> Vec<Person> {
        let people = NAMES.into_iter().zip(&self.stage.keys).enumerate();
        people
            .map(|(who, (name, key))| {
                Person::new(who, name, self.dir.path().join(name), key.clone(), internet.clone(), trace.clone())
            })
            .collect()
    }
}

async fn meet(dir: &Path) -> Result<Vec<StoreKey>> {
    let trace = Trace::new();
    let internet = Internet::new(0, NAMES.len(), trace.clone());
    let mut relay = RelayHost::start(&dir.join(RELAY), &internet).await?;
    let passphrase = Passphrase::typed(Zeroizing::new("simulated".to_owned()))?;
    let (mut people, mut keys) = (Vec::new(), Vec::new());
    for (who, name) in NAMES.into_iter().enumerate() {
        let path = dir.join(name);
        let home = Home::at(&path);
        let params = InitParams {
            relay: format!("http://{AUTHORITY}").parse()?,
            pin: None,
            handle: name.to_owned(),
            registration: None,
            network: Network::simulated(internet.of(who)),
        };
        init(&home, params, &passphrase, |_| Ok(())).await?;
        let key = keys::unlock(&home, &passphrase)?;
        let person = Person::new(who, name, path, key.clone(), internet.clone(), trace.clone());
        person.start().await?;
        people.push(person);
        keys.push(key);
    }
    let link = people[0].engine()?.invite(InviteParams::default()).await?.link;
    people[1].engine()?.join(JoinParams { link }).await?;
    let began = Instant::now();
    for (person, other) in people.iter().zip(NAMES.into_iter().rev()) {
        let knows = || async {
            let contact = person.engine().ok()?.contact_show(WhoParams { who: other.to_owned() }).await.ok()?;
            (contact.state == ContactState::Ok).then_some(())
        };
        while knows().await.is_none() {
            ensure!(began.elapsed() < CALM, "{} and {other} do not come to know each other", person.name);
            sleep(Duration::from_secs(1)).await;
        }
    }
    for person in &people {
        person.engine()?.flush(TimeoutParams { timeout_ms: 60_000 }).await?;
        person.stop().await;
    }
    relay.crash().await;
    Ok(keys)
}

/// The relay's program.
pub(super) struct RelayHost {
    host: Host,
    internet: Internet,
    serving: JoinHandle<()>,
}

impl RelayHost {
    pub(super) async fn start(dir: &Path, internet: &Internet) -> Result<Self> {
        let host = Host::default();
        let mut config = Config::new(dir);
        config.synchronous = subrosa_relay::Synchronous::Off;
        config.start_check = Duration::ZERO;
        let relay = host.run(Relay::open(config, internet.listen())).await?;
        let serving = tokio::spawn(async move {
            // It is crashed, and never asked to end.
            let _ = relay.serve(std::future::pending()).await;
        });
        Ok(Self { host, internet: internet.clone(), serving })
    }

    /// It is gone between two of its steps.
    pub(super) async fn crash(&mut self) {
        self.internet.unplug();
        self.host.crash().await;
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

/// Somebody, and the engine of theirs that runs.
pub(super) struct Person {
    pub(super) name: &'static str,
    who: usize,
    home: Home,
    key: StoreKey,
    internet: Internet,
    trace: Trace,
    running: Mutex<Option<(Host, Engine)>>,
}

impl Person {
    fn new(who: usize, name: &'static str, dir: PathBuf, key: StoreKey, internet: Internet, trace: Trace) -> Self {
        Self { name, who, home: Home::at(&dir), key, internet, trace, running: Mutex::new(None) }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<(Host, Engine)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, if one runs.
    fn engine(&self) -> Result<Engine> {
        self.running().as_ref().map(|(_, engine)| engine.clone()).with_context(|| format!("{} is away", self.name))
    }

    pub(super) async fn start(&self) -> Result<()> {
        let host = Host::default();
        let owner = EngineOwner { pid: std::process::id(), kind: "simulated".into() };
        let network = Network::simulated(self.internet.of(self.who));
        let engine = host.run(Engine::start(&self.home, self.key.clone(), owner, network)).await?;
        *self.running() = Some((host, engine));
        Ok(())
    }

    /// The program ends as it is meant to.
    pub(super) async fn stop(&self) {
        let running = self.running().take();
        if let Some((_, engine)) = running {
            engine.shutdown().await;
        }
    }

    /// The program is gone between two of its steps; its connections were cut.
    pub(super) async fn crash(&self) {
        let running = self.running().take();
        if let Some((host, engine)) = running {
            host.crash().await;
            engine.crashed().await;
        }
    }

    fn other(&self) -> &'static str {
        NAMES[1 - self.who]
    }

    /// Writes texts to the other one; a text is written again, under its key, until it is accepted. Gives the ids in order.
    pub(super) async fn write(&self, texts: usize, mut random: StdRng) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for number in 0..texts {
            // Now a few at once, now none for a while.
            let pause = if random.random_range(0..3) == 0 { PAUSE } else { QUICK };
            sleep(pause.mul_f64(random.random())).await;
            let body = format!("{} {number}", self.name);
            ids.push(loop {
                if let Ok(engine) = self.engine() {
                    let params = SendParams {
                        to: self.other().to_owned(),
                        body: body.clone(),
                        key: Some(body.clone()),
                        ..SendParams::default()
                    };
                    match engine.send(params).await {
                        Ok(sent) => break sent.id,
                        Err(error) if error.code == ErrorKind::EngineGone => {}
                        Err(error) => return Err(error).with_context(|| format!("{} writes", self.name)),
                    }
                }
                sleep(Duration::from_secs(1)).await;
            });
            self.trace.say(format_args!("{body}"));
        }
        Ok(ids)
    }

    /// Waits until the other one has confirmed all these.
    pub(super) async fn all_delivered(&self, ids: &[String]) -> Result<()> {
        let engine = self.engine()?;
        let began = Instant::now();
        for (number, id) in ids.iter().enumerate() {
            loop {
                let params = WaitParams { id: id.clone(), status: MessageStatus::Delivered, timeout_ms: 60_000 };
                let sent = engine.wait(params).await?;
                if matches!(sent.status, MessageStatus::Delivered | MessageStatus::Read) {
                    break;
                }
                let failed = matches!(sent.status, MessageStatus::Failed | MessageStatus::Expired);
                if failed || began.elapsed() > CALM {
                    let (waits, status) =
                        (engine.outbox_list(OutboxListParams::default()).await?, engine.status(NoParams {}).await?);
                    bail!(
                        "text {number} of {} stays {:?}: {:?}\n{waits:?}\n{status:?}",
                        self.name,
                        sent.status,
                        sent.results
                    );
                }
            }
        }
        Ok(())
    }

    /// The ids of all that is shown in the conversation, in its order.
    pub(super) async fn history(&self) -> Result<Vec<String>> {
        let params = HistoryParams { chat: self.other().to_owned(), limit: Some(1_000), ..HistoryParams::default() };
        let history = self.engine()?.history(params).await?;
        Ok(history.messages.into_iter().map(|message| message.id).collect())
    }

    /// Interfaces were told of each of these, which the other one wrote, once, in the order of writing, and of nothing that is amiss.
    pub(super) async fn told_once(&self, ids: &[String]) -> Result<()> {
        let engine = self.engine()?;
        let (mut since, mut told) = (0, Vec::new());
        loop {
            let page = engine.events(EventsParams { since: Some(since), max: None, wait_ms: 0 }).await?;
            if page.events.is_empty() {
                break;
            }
            for event in page.events {
                match event {
                    Event::Message(message) => told.push(message.id),
                    Event::Notice(notice) => {
                        ensure!(notice.code == "new_device", "{} is told: {}: {}", self.name, notice.code, notice.text);
                    }
                    _ => {}
                }
            }
            since = page.cursor;
        }
        for id in ids {
            let times = told.iter().filter(|one| *one == id).count();
            ensure!(times == 1, "{} is told of a text {times} times", self.name);
        }
        let in_order: Vec<_> = told.iter().filter(|id| ids.contains(id)).collect();
        ensure!(in_order.into_iter().eq(ids), "{} is told in another order than they were written", self.name);
        Ok(())
    }
}
