//! The device's own mailbox (docs/protocol.md, "The mailbox socket"): one authenticated `/v1/mailbox` socket, kept open
//! and reopened, its envelopes handed on in order.

mod session;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use subrosa_wire::{
    DeviceAddress, ErrorCode, MailboxEpoch, Seq,
    mailbox::{LoginMarks, MailboxRequest, PrekeyCount, Push, RequestOutcome},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::session::{End, log_in};
use super::{
    Backoff, NetError, Network, RelayEndpoint, acks::Acks, backoff::jitter, calls::Reply, timing::Timing,
    waiting::Waiting,
};

/// Requests waiting to be taken by the task.
const REQUEST_QUEUE: usize = 32;

/// What the answer to a relay's challenge is for.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The relay as we know it, `host:port`.
    pub authority: &'a str,
    /// The key by which we know it.
    pub pin: Option<&'a [u8; 32]>,
    /// What this connection's TLS exports, where the relay says that it ends there.
    pub exporter: Option<&'a [u8; 32]>,
    /// Of this socket.
    pub nonce: &'a [u8; 32],
    /// What this login shows of earlier ones, and leaves for the next.
    pub marks: &'a LoginMarks,
}

/// Says who we are and signs a relay's challenge. The key stays behind it.
pub trait MailboxSigner: Send + Sync + 'static {
    /// The device that logs in.
    fn device(&self) -> DeviceAddress;
    /// Whether this copy of the device may log in. After [`MailboxEvent::OtherCopy`] it may not, until a person has chosen it.
    fn may_log_in(&self) -> bool;
    /// What the next login shows; it is committed before this resolves.
    fn marks(&self) -> BoxFuture<'_, Result<LoginMarks, NetError>>;
    /// Ed25519 over label, authority, pin, exporter, nonce, device and marks (`docs/protocol.md`, capabilities and proofs).
    fn sign(&self, login: &Login<'_>) -> [u8; 64];
}

/// The relay's last word of a login.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// A new one means: count from 0 again.
    pub epoch: MailboxEpoch,
    /// Highest `Seq` the relay knows as acknowledged.
    pub acked: Seq,
    /// The relay's clock, milliseconds since 1970.
    pub server_time_ms: u64,
    /// One-time prekeys left at the relay.
    pub prekeys: PrekeyCount,
    /// Days since this device was last connected, if nothing was kept for it meanwhile; otherwise 0.
    pub away_days: u32,
    /// The mark that this login left.
    pub mark: [u8; 16],
}

/// What happens to the mailbox, in order.
#[derive(Debug, Clone)]
pub enum MailboxEvent {
    /// A connection is tried.
    Connecting,
    /// Logged in, mailbox claimed; pushes follow.
    Ready(Ready),
    /// 1 to 64 envelopes in the order of the mailbox.
    Pushed(Vec<Push>),
    /// All that was waiting has been pushed and acknowledged.
    CaughtUp,
    /// Time to refill.
    PrekeysLow(PrekeyCount),
    /// Another login of this device ended the session; the next one tells whether it was another copy's.
    Displaced,
    /// Another copy of this device has logged in since this one did; nothing more happens until [`MailboxHandle::reconnect_now`].
    OtherCopy,
    /// Not connected.
    Offline {
        /// Why.
        error: NetError,
        /// When the next try comes.
        retry_in: Duration,
    },
}

/// Drives a mailbox connection. When the last one is dropped, the connection ends.
#[derive(Clone)]
pub struct MailboxHandle {
    requests: mpsc::Sender<PendingCall>,
    shared: Arc<Shared>,
    endpoint: RelayEndpoint,
    patience: Duration,
}

impl fmt::Debug for MailboxHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxHandle").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What the handles and the task share.
pub(in crate::net) struct Shared {
    pub(in crate::net) acks: Arc<Acks>,
    pub(in crate::net) reconnect: Notify,
    pub(in crate::net) stop: CancellationToken,
    done: CancellationToken,
}

pub(in crate::net) struct PendingCall {
    pub(in crate::net) op: MailboxRequest,
    pub(in crate::net) reply: Reply<RequestOutcome>,
}

impl MailboxHandle {
    /// Everything up to `upto` is committed here. Returns at once; the newest value goes out, before
    /// anything else, in this session or (same epoch) the next.
    pub fn ack(&self, upto: Seq) {
        self.shared.acks.set(upto);
    }

    /// Asks the relay; every request ends, by an answer or an error.
    ///
    /// # Errors
    /// [`NetError::Refused`] with the relay's code; while there is no connection, at once why there is
    /// none; [`NetError::Timeout`]; [`NetError::Closed`] when the connection ends before the answer or
    /// the task has ended.
    pub async fn request(&self, op: MailboxRequest) -> Result<RequestOutcome, NetError> {
        let (reply, answer) = oneshot::channel();
        let work = async {
            self.requests.send(PendingCall { op, reply }).await.map_err(|_| NetError::Closed)?;
            answer.await.unwrap_or(Err(NetError::Closed))
        };
        timeout(self.patience, work)
            .await
            .unwrap_or_else(|_| Err(NetError::timeout(&self.endpoint, "a request", self.patience)))
    }

    /// Begins a new session at once: ends a wait between tries, the standstill after
    /// [`MailboxEvent::OtherCopy`], and a session that stands. A try under way is new enough.
    ///
    /// After a batch that could not be committed this makes the relay push it again. Events that are
    /// already in the channel still come: whoever dropped a batch must skip every
    /// [`MailboxEvent::Pushed`] up to the next [`MailboxEvent::Ready`], because acknowledging one of
    /// them would acknowledge the dropped one too.
    pub fn reconnect_now(&self) {
        self.shared.reconnect.notify_one();
    }

    /// Ends the connection: the newest [`MailboxHandle::ack`] still goes out, the socket is closed
    /// properly, then this returns. Requests in flight fail.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.done.cancelled().await;
    }
}

/// Starts the task that keeps the mailbox connection. Events come in order through `events`, which is
/// bounded: while it is full the task takes at most one window of envelopes more and then stops reading.
///
/// Must be called within a tokio runtime. The task ends with [`MailboxHandle::shutdown`], with the
/// last handle, or with the receiver of `events`.
pub fn connect(
    network: Network,
    endpoint: RelayEndpoint,
    signer: Arc<dyn MailboxSigner>,
    events: mpsc::Sender<MailboxEvent>,
) -> MailboxHandle {
    connect_with(network, endpoint, signer, events, Timing::default())
}

pub(in crate::net) fn connect_with(
    network: Network,
    endpoint: RelayEndpoint,
    signer: Arc<dyn MailboxSigner>,
    events: mpsc::Sender<MailboxEvent>,
    timing: Timing,
) -> MailboxHandle {
    let (requests, queue) = mpsc::channel(REQUEST_QUEUE);
    let shared = Arc::new(Shared {
        acks: Arc::default(),
        reconnect: Notify::new(),
        stop: CancellationToken::new(),
        done: CancellationToken::new(),
    });
    let task = Task {
        network,
        endpoint: endpoint.clone(),
        signer,
        events,
        requests: queue,
        shared: shared.clone(),
        timing,
        waiting: Waiting::default(),
        backoff: Backoff::new(timing.retry_first, timing.retry_max),
        good_session: false,
        offline_because: NetError::Closed,
    };
    tokio::spawn(task.run());
    MailboxHandle { requests, shared, endpoint, patience: timing.call }
}

/// The task was told to end, or nobody is left to work for.
struct Stopped;

/// The task that keeps the connection.
pub(in crate::net) struct Task {
    network: Network,
    pub(in crate::net) endpoint: RelayEndpoint,
    signer: Arc<dyn MailboxSigner>,
    pub(in crate::net) events: mpsc::Sender<MailboxEvent>,
    pub(in crate::net) requests: mpsc::Receiver<PendingCall>,
    pub(in crate::net) shared: Arc<Shared>,
    pub(in crate::net) timing: Timing,
    pub(in crate::net) waiting: Waiting,
    backoff: Backoff,
    /// This session served its purpose: the failure after it starts with the first wait again.
    pub(in crate::net) good_session: bool,
    /// What requests are told while there is no connection.
    offline_because: NetError,
}

impl Task {
    async fn run(mut self) {
        let _done = self.shared.done.clone().drop_guard();
        // Ends only by `Stopped`.
        while self.cycle().await.is_ok() {}
    }

    /// One connection, from the try to the end of the wait after it.
    async fn cycle(&mut self) -> Result<(), Stopped> {
        if !self.signer.may_log_in() {
            return self.stand_still().await;
        }
        self.emit(MailboxEvent::Connecting).await?;
        let handshake = log_in(self.network.clone(), self.endpoint.clone(), self.signer.clone(), self.timing);
        let outcome = match self.meanwhile(handshake).await? {
            Ok((reader, writer, ready)) => {
                // Whoever asked for a new session while this one was made has it now.
                let _ = self.shared.reconnect.notified().now_or_never();
                let began = Instant::now();
                self.good_session = false;
                let outcome = self.session(reader, writer, ready).await;
                // A relay that breaks the protocol was no good one, however long it kept it.
                let good = self.good_session || began.elapsed() >= self.timing.good_session;
                if good && !matches!(outcome, Err(NetError::Protocol { .. })) {
                    self.backoff.reset();
                }
                outcome
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(End::Stopped) => Err(Stopped),
            Ok(End::Restart) => {
                self.offline_because = NetError::Closed;
                Ok(())
            }
            Ok(End::Displaced) => {
                // By an earlier try of ours that the relay took late, or by another copy: the next login is told which.
                tracing::info!("another login of this device took the mailbox over");
                self.emit(MailboxEvent::Displaced).await?;
                let retry_in = self.backoff.next_wait();
                self.rest(NetError::Closed, retry_in).await
            }
            Err(NetError::Refused(refusal)) if refusal.code == ErrorCode::OtherCopy => self.stand_still().await,
            Ok(End::GoAway(wait)) => {
                let retry_in = wait.clamp(self.timing.retry_first, self.timing.retry_max);
                self.rest(NetError::going_away(wait), retry_in).await
            }
            Err(error) => {
                let retry_in = self.retry_in(&error);
                self.rest(error, retry_in).await
            }
        }
    }

    /// Another copy has the mailbox: nothing is tried until somebody wants it.
    async fn stand_still(&mut self) -> Result<(), Stopped> {
        self.offline_because = NetError::Closed;
        self.emit(MailboxEvent::OtherCopy).await?;
        let shared = self.shared.clone();
        self.meanwhile(shared.reconnect.notified()).await
    }

    /// Says that there is no connection and waits, or until somebody wants it at once.
    async fn rest(&mut self, error: NetError, retry_in: Duration) -> Result<(), Stopped> {
        tracing::debug!(%error, ?retry_in, "mailbox offline");
        self.offline_because = error.clone();
        self.emit(MailboxEvent::Offline { error, retry_in }).await?;
        let shared = self.shared.clone();
        let wait = async {
            tokio::select! {
                biased;
                () = shared.reconnect.notified() => {}
                () = sleep(retry_in) => {}
            }
        };
        self.meanwhile(wait).await
    }

    fn retry_in(&mut self, error: &NetError) -> Duration {
        if !error.is_transient() {
            return self.timing.refused_retry;
        }
        match error.retry_after() {
            // The hint is the same for all clients of the relay: spread over as long again.
            Some(hint) => {
                let hint = hint.min(self.timing.retry_max);
                hint + jitter(hint)
            }
            None => self.backoff.next_wait(),
        }
    }

    /// Does `work` while there is no connection: requests fail at once.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return Err(Stopped),
                () = self.events.closed() => return Err(Stopped),
                request = self.requests.recv() => match request {
                    Some(request) => {
                        let _ = request.reply.send(Err(self.offline_because.clone()));
                    }
                    None => return Err(Stopped),
                },
                done = &mut work => return Ok(done),
            }
        }
    }

    /// Hands the engine all that waits, then `event`.
    async fn emit(&mut self, event: MailboxEvent) -> Result<(), Stopped> {
        self.waiting.push(event);
        while !self.waiting.is_empty() {
            let room = self.events.clone().reserve_owned();
            let permit = self.meanwhile(room).await?.map_err(|_| Stopped)?;
            if let Some(event) = self.waiting.pop() {
                permit.send(event);
            }
        }
        Ok(())
    }
}
