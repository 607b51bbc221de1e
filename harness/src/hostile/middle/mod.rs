//! A relay in the middle: what an engine believes to be its relay. It hands everything on to a real one and writes down what
//! passes; it answers in the name of accounts that only it knows; and by its rules it withholds, replays and lies.
//!
//! Without a relay behind it, it is a host that somebody named: it serves the accounts that it knows and counts who calls.

mod sockets;

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    routing::{any, post},
};
use prost::Message as _;
use subrosa_crypto::PartyAddress;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    actor::{Actor, Envelope},
    frames::{
        BY_KEY, Capability, DeviceAddress, EPHEMERAL, Empty, ItemResult, MailboxServerFrame, Push, Ready, Request,
        Results, Submit,
    },
    now_ms,
    questions::{AccountId, AskPrekeys, Bundle, Bundles, Devices, Prekeys, Resolve},
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
            .route("/v1/mailbox", any(sockets::mailbox))
            .route("/v1/submit", any(sockets::submission))
            .route("/v1/{question}", post(sockets::question))
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
                let takes = AskPrekeys::decode(question).ok()?.takes;
                let results = takes.into_iter().map(|take| {
                    let DeviceAddress { account, device } = take.device?;
                    let prekeys = served.get(&account)?.prekeys.get(&device)?.clone();
                    Some(Bundle { prekeys: Some(prekeys), refused: None })
                });
                Some(Bundles { results: results.collect::<Option<_>>()? }.encode_to_vec())
            }
            _ => None,
        }
    }
}

fn accepted(submit: &Submit) -> Results {
    let one = ItemResult { accepted: Some(Empty {}), ..ItemResult::default() };
    Results { results: vec![one; submit.items.len()] }
}
