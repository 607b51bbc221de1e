//! Anonymous submissions (docs/protocol.md, "The submission socket"): one `/v1/submit` socket for each account that is
//! written to, opened when needed and closed when idle.
//!
//! A socket for all accounts of a relay would join them: the relay would see whom one anonymous sender writes to, its own
//! other devices among them, which name it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use subrosa_wire::{
    AccountId, ErrorCode,
    limits::{MAX_SUBMIT_FRAME_BYTES, MAX_SUBMIT_ITEMS, VERSIONS},
    submit::{Refusal, Submit, SubmitClientFrame, SubmitResult, SubmitServerFrame},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};

use super::{
    NetError, Network, RelayEndpoint,
    calls::{Calls, Reply, until},
    proxy::Circuit,
    socket::{self, FrameSource, Reader, Writer},
    standing::{Patience, Standing},
    timing::Timing,
};

/// Accounts with a socket of ours at once, at all relays: more than anybody writes to in the minute that an idle socket
/// stays. The least recently used one makes room.
const MAX_SOCKETS: usize = 64;

/// Submissions in flight on one socket: hides the round trip without queueing a relay's whole second.
const MAX_CALLS_PER_SOCKET: usize = 16;

/// Submissions waiting or in flight on all sockets: with at most 512 KiB each, memory stays bounded.
const MAX_CALLS: usize = 128;

/// Submissions waiting for their turn on one socket; beyond it callers wait in [`Submitter::submit`].
const LANE_QUEUE: usize = 16;

/// Submits to any relay, anonymously: no socket of it ever authenticates.
#[derive(Debug, Clone)]
pub struct Submitter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lanes: Mutex<HashMap<(RelayEndpoint, AccountId), LaneEntry>>,
    away: Arc<Away>,
    slots: Semaphore,
    network: Network,
    timing: Timing,
}

#[derive(Debug)]
struct LaneEntry {
    calls: mpsc::Sender<Call>,
    used: Instant,
}

#[derive(Debug)]
struct Call {
    submit: Submit,
    reply: Reply<Vec<SubmitResult>>,
}

impl Submitter {
    /// A submitter without sockets.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self::with_timing(network, Timing::default())
    }

    pub(super) fn with_timing(network: Network, timing: Timing) -> Self {
        let shared =
            Shared { lanes: Mutex::default(), away: Arc::default(), slots: Semaphore::new(MAX_CALLS), network, timing };
        Self { shared: Arc::new(shared) }
    }

    /// Submits to the devices of one account and waits for one result for each item, in the items' order.
    ///
    /// Repeating a submission is safe: a relay stores an envelope once.
    ///
    /// # Errors
    /// [`NetError::Refused`] when the relay refuses the whole; otherwise why nothing is known about
    /// it, and whether a retry of the same bytes makes sense ([`NetError::is_transient`]).
    pub async fn submit(&self, relay: &RelayEndpoint, submit: &Submit) -> Result<Vec<SubmitResult>, NetError> {
        let Some(first) = submit.items.first() else {
            return Err(NetError::Refused(Refusal::never(ErrorCode::Malformed)));
        };
        let account = first.device.account;
        if submit.items.len() > MAX_SUBMIT_ITEMS {
            return Err(NetError::Refused(Refusal::never(ErrorCode::TooLarge)));
        }
        let timing = &self.shared.timing;
        // Every step has its own, shorter limit; this one bounds waiting for a free place.
        let patience = timing.connect + timing.handshake + timing.call * 2;
        let (reply, answer) = tokio::sync::oneshot::channel();
        let call = Call { submit: submit.clone(), reply };
        let work = async {
            let _slot = self.shared.slots.acquire().await.map_err(|_| NetError::Closed)?;
            self.lane(relay, account).send(call).await.map_err(|_| NetError::Closed)?;
            answer.await.unwrap_or(Err(NetError::Closed))
        };
        timeout(patience, work).await.unwrap_or_else(|_| Err(NetError::timeout(relay, "a submission", patience)))
    }

    /// The queue of the account's socket task; starts one if there is none.
    fn lane(&self, relay: &RelayEndpoint, account: AccountId) -> mpsc::Sender<Call> {
        let key = (relay.clone(), account);
        let mut lanes = self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = lanes.get_mut(&key).filter(|entry| !entry.calls.is_closed()) {
            entry.used = Instant::now();
            return entry.calls.clone();
        }
        lanes.retain(|_, entry| !entry.calls.is_closed());
        if lanes.len() >= MAX_SOCKETS {
            let oldest = lanes.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            // Its task finishes the calls in flight, then closes: it only loses its place here.
            oldest.map(|key| lanes.remove(&key));
        }
        let (calls, queue) = mpsc::channel(LANE_QUEUE);
        let lane = SubmitTask {
            relay: relay.clone(),
            account,
            queue,
            open: Calls::new(),
            away: Arc::clone(&self.shared.away),
            network: self.shared.network.clone(),
            timing: self.shared.timing,
        };
        tokio::spawn(lane.run());
        lanes.insert(key, LaneEntry { calls: calls.clone(), used: Instant::now() });
        calls
    }
}

/// Relays that asked to be left alone, until when and why: whoever is written to there.
#[derive(Debug, Default)]
struct Away(Mutex<HashMap<RelayEndpoint, (Instant, ErrorCode)>>);

impl Away {
    /// How long the relay still wants to be left alone.
    fn left(&self, relay: &RelayEndpoint) -> Option<(Duration, ErrorCode)> {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        away.retain(|_, (until, _)| *until > now);
        away.get(relay).map(|(until, because)| (until.saturating_duration_since(now), *because))
    }

    fn until(&self, relay: &RelayEndpoint, until: Instant, because: ErrorCode) {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Bounded: nobody has more relays than sockets, and what is over goes when anybody looks.
        let room = away.len() < MAX_SOCKETS;
        match away.get_mut(relay) {
            Some(known) => *known = (known.0.max(until), because),
            None if room => {
                away.insert(relay.clone(), (until, because));
            }
            None => {}
        }
    }
}

/// The task of the submit socket for one account. It lives as long as somebody holds its queue.
struct SubmitTask {
    relay: RelayEndpoint,
    account: AccountId,
    queue: mpsc::Receiver<Call>,
    /// Calls in flight; the expected number of results.
    open: Calls<usize, Vec<SubmitResult>>,
    away: Arc<Away>,
    network: Network,
    timing: Timing,
}

/// Frames of a submit socket, in order.
struct Frames(mpsc::Receiver<Bytes>);

impl FrameSource for Frames {
    async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

impl SubmitTask {
    async fn run(mut self) {
        while let Some(call) = self.queue.recv().await {
            if let Some(error) = self.away() {
                let _ = call.reply.send(Err(error));
                continue;
            }
            let Some(frame) = self.begin(call) else { continue };
            match self.connect().await {
                Ok((reader, writer)) => {
                    if let Err(error) = self.session(reader, writer, frame).await {
                        tracing::debug!(%error, "submit socket ended");
                        self.obey(&error);
                        self.open.fail_all(&error);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "submit socket not opened");
                    self.obey(&error);
                    self.open.fail_all(&error);
                    // Whoever waited for this connection shares its fate; the outbox has the patience.
                    while let Ok(call) = self.queue.try_recv() {
                        let _ = call.reply.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// The error of calls to a relay that asked to be left alone, while it lasts.
    fn away(&self) -> Option<NetError> {
        self.away.left(&self.relay).map(|(left, because)| NetError::away(left, because))
    }

    /// A relay that refuses the socket and says for how long is left alone until then, whoever is written to.
    fn obey(&self, error: &NetError) {
        if let Some(wait) = error.retry_after() {
            let because = match error {
                NetError::Refused(refusal) => refusal.code,
                _ => ErrorCode::Unavailable,
            };
            self.away.until(&self.relay, Instant::now() + wait.min(self.timing.retry_max), because);
        }
    }

    /// Gives the call an id; its frame, or `None` if it was answered here.
    fn begin(&mut self, call: Call) -> Option<Bytes> {
        let Call { submit, reply } = call;
        self.open.begin(submit.items.len(), reply, MAX_SUBMIT_FRAME_BYTES, |id| {
            SubmitClientFrame::Submit { id, submit }.encode()
        })
    }

    async fn connect(&mut self) -> Result<(Reader, Writer), NetError> {
        let (mut reader, mut writer) = socket::open(
            &self.network,
            Circuit::Submit(self.account),
            &self.relay,
            "/v1/submit",
            MAX_SUBMIT_FRAME_BYTES,
            &self.timing,
        )
        .await?;
        let welcome = async {
            writer.send(SubmitClientFrame::Hello(VERSIONS.to_vec()).encode()).await?;
            let frame = reader.frame().await?;
            match SubmitServerFrame::decode(frame).map_err(|error| NetError::wire(&self.relay, &error))? {
                SubmitServerFrame::Welcome { version, .. } if VERSIONS.contains(&version) => Ok(()),
                SubmitServerFrame::Welcome { .. } => Err(NetError::NewerRelay),
                SubmitServerFrame::Error(refusal) => Err(NetError::refused(refusal)),
                SubmitServerFrame::GoAway { retry_after_ms } => {
                    let hint = Duration::from_millis(retry_after_ms.into()).min(self.timing.retry_max);
                    self.away.until(&self.relay, Instant::now() + hint, ErrorCode::Unavailable);
                    Err(NetError::going_away(hint))
                }
                SubmitServerFrame::Reply { .. } | SubmitServerFrame::Pong => {
                    Err(NetError::protocol(&self.relay, "a frame before the welcome"))
                }
            }
        };
        timeout(self.timing.handshake, welcome)
            .await
            .unwrap_or_else(|_| Err(NetError::timeout(&self.relay, "the welcome", self.timing.handshake)))?;
        Ok((reader, writer))
    }

    /// One socket from its first call to its end; Ok when it was closed for want of use.
    async fn session(&mut self, reader: Reader, writer: Writer, first: Bytes) -> Result<(), NetError> {
        let ping = SubmitClientFrame::Ping.encode();
        let mut socket =
            Standing::new((reader, writer), Frames, MAX_CALLS_PER_SOCKET, ping, (&self.relay, &self.timing));
        socket.send(first)?;
        let mut used = Instant::now();
        // After a GoAway: why, and until when replies are still waited for.
        let mut leaving: Option<(NetError, Instant)> = None;
        // Nobody holds the queue any more.
        let mut orphaned = false;
        loop {
            let idle = self.open.is_empty();
            match &leaving {
                Some((error, _)) if idle => return Err(error.clone()),
                None if idle && orphaned => break,
                _ => {}
            }
            let patience = Patience { until: self.open.deadline(self.timing.call), what: "a submission" };
            tokio::select! {
                biased;
                () = until(leaving.as_ref().map(|(_, deadline)| *deadline)) => {
                    return Err(leaving.map_or(NetError::Closed, |(error, _)| error));
                }
                () = until(Some(used + self.timing.idle)), if idle => break,
                call = self.queue.recv(),
                    if !orphaned && leaving.is_none() && self.open.len() < MAX_CALLS_PER_SOCKET =>
                {
                    used = Instant::now();
                    match call {
                        Some(call) => {
                            if let Some(frame) = self.begin(call) {
                                socket.send(frame)?;
                            }
                        }
                        None => orphaned = true,
                    }
                }
                incoming = socket.next(true, patience) => {
                    let bytes = match (incoming, &leaving) {
                        (Ok(Some(bytes)), _) => bytes,
                        (Ok(None), _) => continue,
                        (Err(_), Some((error, _))) => return Err(error.clone()),
                        (Err(NetError::Closed), None) if idle => return Ok(()),
                        (Err(error), None) => return Err(error),
                    };
                    let in_flight = self.open.len();
                    if let Some(hint) = self.handle(bytes)? {
                        let now = Instant::now();
                        self.away.until(&self.relay, now + hint, ErrorCode::Unavailable);
                        leaving = Some((NetError::going_away(hint), now + self.timing.grace));
                    }
                    if self.open.len() < in_flight {
                        used = Instant::now();
                    }
                }
            }
        }
        // Nothing is in flight.
        socket.close().await;
        Ok(())
    }

    /// A frame of a standing socket; the wait of a GoAway.
    fn handle(&mut self, bytes: Bytes) -> Result<Option<Duration>, NetError> {
        match SubmitServerFrame::decode(bytes).map_err(|error| NetError::wire(&self.relay, &error))? {
            SubmitServerFrame::Reply { id, result } => {
                let Some((items, reply)) = self.open.answered(id) else {
                    return Err(NetError::protocol(&self.relay, "an answer to a call that was not made"));
                };
                let wrong = matches!(&result, Ok(results) if results.len() != items);
                let outcome = if wrong {
                    Err(NetError::protocol(&self.relay, "another number of results than of items"))
                } else {
                    result.map_err(NetError::Refused)
                };
                let _ = reply.send(outcome.clone());
                // Replies to others on such a socket are not worth more.
                if wrong { outcome.map(|_| None) } else { Ok(None) }
            }
            SubmitServerFrame::Pong => Ok(None),
            SubmitServerFrame::GoAway { retry_after_ms } => {
                Ok(Some(Duration::from_millis(retry_after_ms.into()).min(self.timing.retry_max)))
            }
            SubmitServerFrame::Error(refusal) => Err(NetError::refused(refusal)),
            SubmitServerFrame::Welcome { .. } => Err(NetError::protocol(&self.relay, "a second welcome")),
        }
    }
}
