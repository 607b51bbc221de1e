//! A relay in the middle: what an engine believes to be its relay. It hands everything on to a real one and writes down what
//! passes; it answers in the name of accounts that only it knows; and by its rules it withholds, replays and lies.
//!
//! Without a relay behind it, it is a host that somebody named: it serves the accounts that it knows and counts who calls.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    extract::{
        ConnectInfo, Path, State as AxumState,
        ws::{Message as Ws, WebSocket, WebSocketUpgrade},
    },
    http::{StatusCode, header::CONTENT_TYPE as CONTENT_TYPE_HEADER},
    response::{IntoResponse, Response as HttpResponse},
    routing::{any, post},
};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use subrosa_crypto::PartyAddress;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_tungstenite::{connect_async, tungstenite::Message as Upstream};

use super::{
    actor::{Actor, Envelope},
    frames::{
        Ack, BY_KEY, Capability, DeviceAddress, EPHEMERAL, Empty, ItemResult, MailboxClientFrame, MailboxServerFrame,
        Push, Ready, Refusal, Reply, Request, Response, Results, Submit, SubmitClientFrame, SubmitServerFrame, Welcome,
    },
    now_ms,
    questions::{AccountId, AskPrekeys, CONTENT_TYPE, Devices, Prekeys, Resolve},
    sockets::{PATIENCE, http},
};

/// Section 11, no. 10.
const NOT_FOUND: u32 = 10;

/// Something that an engine did.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A question over HTTPS.
    Question {
        /// Which.
        path: String,
        /// About which account, if it names one.
        account: Option<Vec<u8>>,
        /// The question.
        bytes: Vec<u8>,
    },
    /// A socket was opened.
    Opened(&'static str),
    /// An envelope, on the submission socket or by the request lane.
    Submitted {
        /// What.
        envelope: Envelope,
        /// Whether by the request lane.
        lane: bool,
        /// What was shown to the relay.
        capability: Option<Capability>,
    },
    /// A request on the mailbox socket that is no submission.
    Requested(Request),
    /// An envelope was handed to the engine.
    Pushed {
        /// Its head.
        head: Vec<u8>,
        /// Its number, as the engine knows it.
        seq: u64,
    },
    /// An envelope that a rule withheld.
    Withheld {
        /// Its head.
        head: Vec<u8>,
    },
    /// The engine acknowledged.
    Acked(u64),
}

type AnswerRule = dyn FnMut(&str, &[u8], Vec<u8>) -> Vec<u8> + Send;
type PushRule = dyn FnMut(Push) -> Vec<Push> + Send;
type ReadyRule = dyn FnMut(Ready) -> Ready + Send;

/// Where it lies. Each rule gets what the real relay said and gives what the engine is told.
#[derive(Default)]
pub struct Rules {
    /// Of answers to questions: path, question, answer.
    pub answer: Option<Box<AnswerRule>>,
    /// Of envelopes: none withholds it, several repeat it.
    pub push: Option<Box<PushRule>>,
    /// Of the first words on a mailbox socket.
    pub ready: Option<Box<ReadyRule>>,
}

/// An account that only the middle knows.
#[derive(Clone)]
struct Served {
    handle: String,
    devices: Devices,
    prekeys: HashMap<u32, Prekeys>,
}

struct State {
    upstream: Option<String>,
    http: reqwest::Client,
    rules: Mutex<Rules>,
    served: Mutex<HashMap<Vec<u8>, Served>>,
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
    mailboxes: Mutex<HashMap<Vec<u8>, mpsc::UnboundedSender<MailboxServerFrame>>>,
    numbers: Mutex<HashMap<Vec<u8>, Numbers>>,
}

/// The numbers of a mailbox as its engine knows them: what the middle adds has numbers of its own between the relay's.
#[derive(Default)]
struct Numbers {
    last: u64,
    acked: u64,
    /// Our number, and the relay's.
    relayed: VecDeque<(u64, u64)>,
}

impl Numbers {
    /// The number of the next push.
    fn push(&mut self, relays: u64) -> u64 {
        self.last += 1;
        if relays > 0 {
            self.relayed.push_back((self.last, relays));
        }
        self.last
    }

    /// What the relay is told, if anything.
    fn ack(&mut self, upto: u64) -> Option<u64> {
        self.acked = self.acked.max(upto);
        let mut relays = None;
        while self.relayed.front().is_some_and(|(ours, _)| *ours <= upto) {
            relays = self.relayed.pop_front().map(|(_, number)| number);
        }
        relays
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A relay in the middle, or a host that somebody named.
pub struct Middle {
    /// `host:port`.
    pub authority: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Middle {
    /// Listens first: a real relay has to be told this address as its own before it starts.
    ///
    /// # Errors
    /// No port.
    pub async fn listen(ip: IpAddr) -> Result<TcpListener> {
        Ok(TcpListener::bind(SocketAddr::new(ip, 0)).await?)
    }

    /// Serves, in front of the relay at `upstream` (`host:port`), or of none.
    ///
    /// # Errors
    /// No HTTP client.
    pub fn serve(listener: TcpListener, upstream: Option<String>) -> Result<Self> {
        let authority = listener.local_addr()?.to_string();
        let state = Arc::new(State {
            upstream,
            http: http()?,
            rules: Mutex::default(),
            served: Mutex::default(),
            seen: Mutex::default(),
            count: watch::Sender::new(0),
            mailboxes: Mutex::default(),
            numbers: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1/mailbox", any(mailbox))
            .route("/v1/submit", any(submission))
            .route("/v1/{question}", post(question))
            .with_state(Arc::clone(&state));
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move {
            // It ends with the task; what goes wrong with a connection is the engine's to notice.
            let _ = axum::serve(listener, service).await;
        });
        Ok(Self { authority, state, task })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Answers in the name of an actor's device from now on, and keeps what is submitted to it. Several devices of one
    /// account may be told one after the other; the last list counts.
    pub fn knows(&self, actor: &Actor) {
        let mut served = lock(&self.state.served);
        let entry = served.entry(actor.record.id().to_vec()).or_insert_with(|| Served {
            handle: actor.handle.clone(),
            devices: actor.devices(),
            prekeys: HashMap::new(),
        });
        entry.devices = actor.devices();
        entry.prekeys.insert(actor.address().device, actor.standing_prekeys());
    }

    /// Changes the rules.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut lock(&self.state.rules));
    }

    /// How much was seen so far: a place to look from later.
    #[must_use]
    pub fn mark(&self) -> usize {
        lock(&self.state.seen).len()
    }

    /// What was seen since a mark.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<Seen> {
        lock(&self.state.seen).get(mark..).unwrap_or_default().to_vec()
    }

    /// What fits of what was seen since a mark.
    pub fn fitting<T>(&self, mark: usize, fits: impl FnMut(&Seen) -> Option<T>) -> Vec<T> {
        lock(&self.state.seen).get(mark..).unwrap_or_default().iter().filter_map(fits).collect()
    }

    /// Waits until something that fits was seen since a mark.
    ///
    /// # Errors
    /// It is not seen in time.
    pub async fn wait<T>(&self, mark: usize, mut fits: impl FnMut(&Seen) -> Option<T>) -> Result<T> {
        let mut count = self.state.count.subscribe();
        let waiting = async {
            let mut from = mark;
            loop {
                count.mark_unchanged();
                {
                    let seen = lock(&self.state.seen);
                    let new = seen.get(from..).unwrap_or_default();
                    from += new.len();
                    if let Some(found) = new.iter().find_map(&mut fits) {
                        return Ok(found);
                    }
                }
                count.changed().await.context("the middle is gone")?;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.context("not seen in time")?
    }

    /// The next envelope for a device since a mark.
    ///
    /// # Errors
    /// None comes in time.
    pub async fn envelope_for(&self, mark: usize, to: &PartyAddress) -> Result<Envelope> {
        self.wait(mark, |seen| match seen {
            Seen::Submitted { envelope, .. } if envelope.to == *to => Some(envelope.clone()),
            _ => None,
        })
        .await
    }

    /// All envelopes for an account since a mark.
    #[must_use]
    pub fn envelopes_for(&self, mark: usize, account: &[u8; 32]) -> Vec<Envelope> {
        let of = |seen: &Seen| match seen {
            Seen::Submitted { envelope, .. } if envelope.to.account == *account => Some(envelope.clone()),
            _ => None,
        };
        self.fitting(mark, of)
    }

    /// Hands an envelope to an engine that is connected, past the real relay. A durable one gets its number here.
    ///
    /// # Errors
    /// The engine is not connected.
    pub fn inject(&self, to: &PartyAddress, push: Push) -> Result<()> {
        let mailboxes = lock(&self.state.mailboxes);
        let mailbox = mailboxes.get(to.account.as_slice()).context("not connected")?;
        mailbox.send(MailboxServerFrame { push: Some(push), ..MailboxServerFrame::default() })?;
        Ok(())
    }

    /// An ephemeral push of an envelope, as if it had come with the delivery key: it needs no number and is never
    /// acknowledged.
    #[must_use]
    pub fn ephemeral(envelope: &Envelope) -> Push {
        Push {
            seq: 0,
            class: EPHEMERAL,
            head: envelope.head.clone(),
            body: envelope.body.clone(),
            received_ms: now_ms(),
            way: BY_KEY,
        }
    }
}

impl State {
    fn note(&self, seen: Seen) {
        lock(&self.seen).push(seen);
        self.count.send_modify(|count| *count += 1);
    }

    fn knows(&self, account: &[u8]) -> bool {
        lock(&self.served).contains_key(account)
    }

    /// Notes the envelopes; says whether all of them are for accounts that only the middle knows.
    fn take(&self, submit: &Submit, lane: bool) -> bool {
        let mut ours = !submit.items.is_empty();
        for item in &submit.items {
            let (Some(device), Some(body)) = (&item.device, submit.bodies.get(item.body_ref as usize)) else {
                continue;
            };
            let Ok(account) = <[u8; 32]>::try_from(device.account.as_slice()) else { continue };
            ours &= self.knows(&device.account);
            let to = PartyAddress { account, device: device.device };
            let envelope =
                Envelope { to, head: item.head.clone(), body: body.clone(), list_version: item.list_version };
            self.note(Seen::Submitted { envelope, lane, capability: item.capability.clone() });
        }
        ours
    }

    /// What the middle itself says to a question, if it is about an account that only it knows.
    fn own_answer(&self, path: &str, question: &[u8]) -> Option<Vec<u8>> {
        let served = lock(&self.served);
        match path {
            "resolve" => {
                let handle = Resolve::decode(question).ok()?.handle;
                let (account, _) = served.iter().find(|(_, one)| one.handle == handle)?;
                Some(AccountId { account: account.clone() }.encode_to_vec())
            }
            "devices" => {
                let account = AccountId::decode(question).ok()?.account;
                Some(served.get(&account)?.devices.encode_to_vec())
            }
            "prekeys" => {
                let DeviceAddress { account, device } = AskPrekeys::decode(question).ok()?.device?;
                Some(served.get(&account)?.prekeys.get(&device)?.encode_to_vec())
            }
            _ => None,
        }
    }
}

fn accepted(submit: &Submit) -> Results {
    let one = ItemResult { accepted: Some(Empty {}), ..ItemResult::default() };
    Results { results: vec![one; submit.items.len()] }
}

async fn question(
    AxumState(state): AxumState<Arc<State>>,
    Path(path): Path<String>,
    ConnectInfo(_): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> HttpResponse {
    let account = match path.as_str() {
        "devices" => AccountId::decode(body.as_ref()).ok().map(|question| question.account),
        "prekeys" => AskPrekeys::decode(body.as_ref()).ok().and_then(|ask| ask.device).map(|device| device.account),
        _ => None,
    };
    state.note(Seen::Question { path: path.clone(), account, bytes: body.to_vec() });
    let (status, answer) = match state.own_answer(&path, &body) {
        Some(answer) => (StatusCode::OK, answer),
        None => match forward(&state, &path, body.clone()).await {
            Some(answer) => answer,
            None => (StatusCode::NOT_FOUND, Refusal { code: NOT_FOUND, retry_after_s: 0 }.encode_to_vec()),
        },
    };
    let answer = match &mut lock(&state.rules).answer {
        Some(rule) if status == StatusCode::OK => rule(&path, &body, answer),
        _ => answer,
    };
    (status, [(CONTENT_TYPE_HEADER, CONTENT_TYPE)], answer).into_response()
}

async fn forward(state: &State, path: &str, body: Bytes) -> Option<(StatusCode, Vec<u8>)> {
    let upstream = state.upstream.as_ref()?;
    let url = format!("http://{upstream}/v1/{path}");
    let response = state.http.post(url).header("content-type", CONTENT_TYPE).body(body).send().await.ok()?;
    let status = StatusCode::from_u16(response.status().as_u16()).ok()?;
    Some((status, response.bytes().await.ok()?.to_vec()))
}

async fn mailbox(AxumState(state): AxumState<Arc<State>>, upgrade: WebSocketUpgrade) -> HttpResponse {
    state.note(Seen::Opened("mailbox"));
    upgrade.on_upgrade(move |socket| async move {
        // Whichever side ends first ends the other.
        let _ = carry_mailbox(&state, socket).await;
    })
}

async fn carry_mailbox(state: &State, socket: WebSocket) -> Result<()> {
    let upstream = state.upstream.as_ref().context("no relay behind this host")?;
    let (relay, _) = connect_async(format!("ws://{upstream}/v1/mailbox")).await?;
    let (mut to_relay, mut from_relay) = relay.split();
    let (mut to_engine, mut from_engine) = socket.split();
    let (inject, mut injected) = mpsc::unbounded_channel::<MailboxServerFrame>();
    let mut account = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = from_engine.next() => {
                let Ws::Binary(bytes) = frame.context("the engine is gone")?? else { continue };
                let frame = MailboxClientFrame::decode(bytes.clone())?;
                if let Some(device) = frame.auth.as_ref().and_then(|auth| auth.device.as_ref()) {
                    account.clone_from(&device.account);
                    lock(&state.mailboxes).insert(device.account.clone(), inject.clone());
                }
                if let Some(Ack { upto }) = frame.ack {
                    state.note(Seen::Acked(upto));
                    let relays = lock(&state.numbers).entry(account.clone()).or_default().ack(upto);
                    if let Some(upto) = relays {
                        let ack = MailboxClientFrame { ack: Some(Ack { upto }), ..MailboxClientFrame::default() };
                        to_relay.send(Upstream::Binary(ack.encode_to_vec().into())).await?;
                    }
                    continue;
                }
                let Some(request) = frame.request else {
                    to_relay.send(Upstream::Binary(bytes)).await?;
                    continue;
                };
                let id = request.id;
                match &request.submit_request {
                    Some(submit) if state.take(submit, true) => {
                        let response = Response { id, results: Some(accepted(submit)), ..Response::default() };
                        MailboxServerFrame { response: Some(response), ..MailboxServerFrame::default() }
                    }
                    submit => {
                        if submit.is_none() {
                            state.note(Seen::Requested(request));
                        }
                        to_relay.send(Upstream::Binary(bytes)).await?;
                        continue;
                    }
                }
            }
            frame = from_relay.next() => match frame.context("the relay is gone")?? {
                Upstream::Binary(bytes) => MailboxServerFrame::decode(bytes)?,
                _ => continue,
            },
            frame = injected.recv() => frame.context("nobody injects")?,
        };
        for mut frame in bend(state, frame) {
            number(state, &account, &mut frame);
            to_engine.send(Ws::Binary(frame.encode_to_vec().into())).await?;
            if let Some(push) = frame.push {
                state.note(Seen::Pushed { head: push.head, seq: push.seq });
            }
        }
    }
}

/// Puts the engine's numbers in the place of the relay's.
fn number(state: &State, account: &[u8], frame: &mut MailboxServerFrame) {
    let mut numbers = lock(&state.numbers);
    if let Some(ready) = &mut frame.ready {
        let first = Numbers { last: ready.acked, acked: ready.acked, ..Numbers::default() };
        ready.acked = numbers.entry(account.to_vec()).or_insert(first).acked;
    }
    if let Some(push) = frame.push.as_mut().filter(|push| push.class != EPHEMERAL) {
        push.seq = numbers.entry(account.to_vec()).or_default().push(push.seq);
    }
}

/// Applies the rules to a frame of the relay.
fn bend(state: &State, mut frame: MailboxServerFrame) -> Vec<MailboxServerFrame> {
    let mut rules = lock(&state.rules);
    if let (Some(ready), Some(rule)) = (frame.ready.take_if(|_| rules.ready.is_some()), &mut rules.ready) {
        frame.ready = Some(rule(ready));
    }
    match (&mut rules.push, frame.push.take()) {
        (Some(rule), Some(push)) => {
            let one = |push| MailboxServerFrame { push: Some(push), ..MailboxServerFrame::default() };
            let head = push.head.clone();
            let pushes: Vec<_> = rule(push).into_iter().map(one).collect();
            if pushes.is_empty() {
                state.note(Seen::Withheld { head });
            }
            pushes
        }
        (_, push) => vec![MailboxServerFrame { push, ..frame }],
    }
}

async fn submission(AxumState(state): AxumState<Arc<State>>, upgrade: WebSocketUpgrade) -> HttpResponse {
    state.note(Seen::Opened("submit"));
    upgrade.on_upgrade(move |socket| async move {
        let _ = carry_submissions(&state, socket).await;
    })
}

async fn carry_submissions(state: &State, socket: WebSocket) -> Result<()> {
    let (mut to_engine, mut from_engine) = socket.split();
    let (mut to_relay, mut from_relay) = match &state.upstream {
        Some(upstream) => {
            let (to, from) = connect_async(format!("ws://{upstream}/v1/submit")).await?.0.split();
            (Some(to), Some(from))
        }
        None => (None, None),
    };
    loop {
        tokio::select! {
            frame = from_engine.next() => {
                let Ws::Binary(bytes) = frame.context("the engine is gone")?? else { continue };
                let frame = SubmitClientFrame::decode(bytes.clone())?;
                let own = match (&frame.submit, &to_relay) {
                    (Some(submission), _) => {
                        let submit = submission.submit.clone().unwrap_or_default();
                        let ours = state.take(&submit, false) || to_relay.is_none();
                        let reply =
                            Reply { id: submission.id, results: Some(accepted(&submit)), ..Reply::default() };
                        ours.then(|| SubmitServerFrame { reply: Some(reply), ..SubmitServerFrame::default() })
                    }
                    (None, None) if frame.hello.is_some() => {
                        let welcome = Welcome { version: 1, server_time_ms: now_ms(), limits: None };
                        Some(SubmitServerFrame { welcome: Some(welcome), ..SubmitServerFrame::default() })
                    }
                    (None, None) => Some(SubmitServerFrame { pong: Some(Empty {}), ..SubmitServerFrame::default() }),
                    (None, Some(_)) => None,
                };
                match (own, &mut to_relay) {
                    (Some(own), _) => to_engine.send(Ws::Binary(own.encode_to_vec().into())).await?,
                    (None, Some(to_relay)) => to_relay.send(Upstream::Binary(bytes)).await?,
                    (None, None) => {}
                }
            }
            frame = async {
                match &mut from_relay {
                    Some(from_relay) => from_relay.next().await,
                    None => std::future::pending().await,
                }
            } => {
                if let Upstream::Binary(bytes) = frame.context("the relay is gone")?? {
                    to_engine.send(Ws::Binary(bytes)).await?;
                }
            }
        }
    }
}
