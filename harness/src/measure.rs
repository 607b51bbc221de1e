//! Measurements of the real programs, for `docs/performance.md`.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use subrosa_client_core::api::{Event, EventPage, EventsParams, MessageStatus, SendParams, Sent, WaitParams};
use tokio::time::sleep;

use crate::{
    account::{Account, finish},
    keeper::{Keeper, Program, SharedLedger, Surroundings},
    proxy::{Bytes, Proxy, since},
    sender::own_message_id,
    world::{ALICE, World},
};

/// No single step takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The text that is sent: 100 bytes.
const TEXT: &str =
    "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0";

/// Times of many repetitions of one thing.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds all of another one.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of all stays below, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
    }
}

fn own_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// From the call of `send` at the sender's engine until the message is in an answer of `events` at the
/// receiver's: what two interfaces of running engines see. One message at a time.
///
/// # Errors
/// A message does not arrive.
pub async fn latency(world: &World, count: u32) -> Result<Times> {
    let [from, to] = &world.accounts;
    let mut sender = from.rpc().await?;
    let mut receiver = to.rpc().await?;
    let mut times = Times::default();
    let nothing = EventsParams { since: None, max: None, wait_ms: 0 };
    let mut cursor = receiver.call::<_, EventPage>("events", &nothing, PATIENCE).await?.cursor;
    for _ in 0..count {
        let chosen = own_id();
        let id = own_message_id(&from.id, &to.id, &chosen).context("no account ids")?;
        let params = SendParams { to: to.id.clone(), body: TEXT.into(), id: Some(chosen), ..SendParams::default() };
        let started = Instant::now();
        let arrival = async {
            loop {
                let wait = EventsParams { since: Some(cursor), max: None, wait_ms: 10_000 };
                let page: EventPage = receiver.call("events", &wait, PATIENCE).await?;
                cursor = page.cursor;
                if page.events.iter().any(|event| matches!(event, Event::Message(message) if message.id == id)) {
                    return anyhow::Ok(started.elapsed());
                }
                if page.events.is_empty() {
                    bail!("{id} did not arrive");
                }
            }
        };
        let send = async { anyhow::Ok(sender.call::<_, Sent>("send", &params, PATIENCE).await?) };
        let (took, _) = tokio::try_join!(arrival, send)?;
        times.add(took);
        // Let the receipts of this message go before the next, as between two people.
        sleep(Duration::from_millis(rand::random_range(0..20))).await;
    }
    Ok(times)
}

/// Wall time of the whole `subrosa send` process.
///
/// # Errors
/// It fails.
pub async fn send_verb(from: &Account, to: &str, wait: &str, count: u32) -> Result<Times> {
    let mut times = Times::default();
    for _ in 0..count {
        let mut command = from.command();
        command.args(["send", to, "-m", TEXT, "--wait", wait, "--timeout", "30s", "--json", "--no-input"]);
        let started = Instant::now();
        finish(command).await?;
        times.add(started.elapsed());
    }
    Ok(times)
}

/// What travels for a first and for a later message of 100 bytes, by connection.
#[derive(Debug, Clone)]
pub struct Wire {
    /// A request by handle to somebody unknown: resolve, devices, prekeys, submission, push.
    pub first: BTreeMap<String, Bytes>,
    /// A message in a running conversation, accepted and pushed.
    pub later: BTreeMap<String, Bytes>,
    /// The same with its receipt.
    pub with_receipt: BTreeMap<String, Bytes>,
}

/// Counts bytes at a proxy in front of a relay that both people use.
///
/// # Errors
/// Something does not start or a message does not arrive.
pub async fn wire(root: &Path, around: &Surroundings) -> Result<Wire> {
    let proxy = Proxy::start().await?;
    // The relay prints its public address, so its port has to be known beforehand.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let program = Program::Relay {
        data: root.join("relay-wire"),
        port,
        arguments: vec!["--public-url".into(), proxy.url.clone()],
    };
    let relay = Keeper::start("relay-wire", program, around, &[]);
    relay.serving().await?;
    proxy.forward_to(&format!("127.0.0.1:{port}"));
    let mut people = Vec::new();
    let mut keepers = Vec::new();
    for name in ["writer", "reader"] {
        let account = Account::init(&around.programs, root, name, &proxy.url, &[]).await?;
        let keeper = Keeper::start(name, Program::Engine(account.clone()), around, &[]);
        keeper.serving().await?;
        keepers.push(keeper);
        people.push(account);
    }
    let [writer, reader] = &people[..] else { bail!("two people") };
    settle(&proxy).await;
    let before = proxy.counts.now();
    let id = send_and_wait(writer, &reader.name, true, MessageStatus::Sent).await?;
    wait_message(reader, &id).await?;
    settle(&proxy).await;
    let first = since(&before, &proxy.counts.now());

    reader.run(["contact", "accept", &writer.name]).await?;
    writer.wait_contact(&reader.id).await?;
    // The first messages both ways finish the set-up; the measured one comes after them.
    send_and_wait(writer, &reader.id, false, MessageStatus::Delivered).await?;
    send_and_wait(reader, &writer.id, false, MessageStatus::Delivered).await?;
    settle(&proxy).await;
    let before = proxy.counts.now();
    let id = send_and_wait(writer, &reader.id, false, MessageStatus::Sent).await?;
    wait_message(reader, &id).await?;
    // Receipts are gathered for 200 ms, so they have not left yet.
    let later = since(&before, &proxy.counts.now());
    wait_status(writer, &id, MessageStatus::Delivered).await?;
    settle(&proxy).await;
    let with_receipt = since(&before, &proxy.counts.now());
    for keeper in keepers {
        keeper.stop().await;
    }
    relay.stop().await;
    Ok(Wire { first, later, with_receipt })
}

/// Waits until nothing has passed the proxy for half a second: acknowledgements and receipts are through.
async fn settle(proxy: &Proxy) {
    loop {
        let before = proxy.counts.now();
        sleep(Duration::from_millis(500)).await;
        if proxy.counts.now() == before {
            return;
        }
    }
}

/// `request`: to a stranger, by handle.
async fn send_and_wait(from: &Account, to: &str, request: bool, status: MessageStatus) -> Result<String> {
    let params = SendParams { to: to.to_owned(), body: TEXT.into(), request, ..SendParams::default() };
    let sent: Sent = from.rpc().await?.call("send", &params, PATIENCE).await?;
    wait_status(from, &sent.id, status).await?;
    Ok(sent.id)
}

async fn wait_status(from: &Account, id: &str, status: MessageStatus) -> Result<()> {
    let wait = WaitParams { id: id.to_owned(), status, timeout_ms: 30_000 };
    from.rpc().await?.call::<_, Sent>("wait", &wait, PATIENCE).await.with_context(|| format!("{id}, {status:?}"))?;
    Ok(())
}

async fn wait_message(at: &Account, id: &str) -> Result<()> {
    let mut rpc = at.rpc().await?;
    let mut cursor = 0;
    loop {
        let params = EventsParams { since: Some(cursor), max: None, wait_ms: 10_000 };
        let page: EventPage = rpc.call("events", &params, PATIENCE).await?;
        cursor = page.cursor;
        if page.events.iter().any(|event| matches!(event, Event::Message(message) if message.id == id)) {
            return Ok(());
        }
        if page.events.is_empty() {
            bail!("{id} did not arrive at {}", at.name);
        }
    }
}

/// `send` with the engine of `listen` running, and with none, in milliseconds.
///
/// # Errors
/// Something fails.
pub async fn send_verbs(root: &Path, count: u32) -> Result<Vec<(&'static str, Times)>> {
    let mut world = World::start(root, [&[]; 4]).await?;
    let [from, to] = world.accounts.clone();
    let mut results = vec![
        ("engine running, `--wait none`", send_verb(&from, &to.id, "none", count).await?),
        ("engine running, `--wait sent`", send_verb(&from, &to.id, "sent", count).await?),
    ];
    let engine = world.keepers.remove(ALICE);
    engine.stop().await;
    results.push(("no engine, `--wait sent`", send_verb(&from, &to.id, "sent", count.div_ceil(2)).await?));
    results.push(("no engine, `--wait none`", send_verb(&from, &to.id, "none", count.div_ceil(2)).await?));
    world.stop().await;
    Ok(results)
}

/// More submissions than a measurement makes: at once, and in a minute.
const UNLIMITED: &str = "1000000/60000";

/// A lone relay for the load measurement.
///
/// # Errors
/// It does not start.
pub async fn lone_relay(root: &Path, around: &Surroundings) -> Result<Keeper> {
    // All of the load comes from one address.
    let arguments = ["--rate-submit", UNLIMITED].map(Into::into).into();
    let program = Program::Relay { data: root.join("relay-load"), port: 0, arguments };
    let relay = Keeper::start("relay-load", program, around, &[]);
    relay.serving().await?;
    Ok(relay)
}

/// What `Surroundings` a measurement needs.
///
/// # Errors
/// The journal file cannot be made.
pub fn surroundings(root: &Path) -> Result<Surroundings> {
    Ok(Surroundings {
        programs: crate::programs::Programs::locate()?,
        journal: std::sync::Arc::new(crate::journal::Journal::create(&root.join("measure.jsonl"))?),
        ledger: SharedLedger::default(),
        logs: root.to_owned(),
    })
}

/// The machine, for the head of the table.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    format!("{} ({cores} cores), load average {}", model.unwrap_or("unknown processor"), load.join(" "))
}
