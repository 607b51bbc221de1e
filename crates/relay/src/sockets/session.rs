//! The session of one device on `/v1/mailbox`: claim, read, push, acknowledge, again.
//!
//! One task, one `select!` loop. It reads its mailbox when it is woken, when there is room in the
//! window again, and on a timer: what is in the mailbox is the truth, a wake is only a hint.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc};

use subrosa_crash_point::{CrashPoint, crash_point};
use subrosa_wire::{
    DeviceAddress, EnvelopeId, ErrorCode, Seq,
    limits::{IDLE_DAYS, MAX_UNACKED},
    mailbox::{LoginMarks, MailboxClientFrame, MailboxServerFrame, Way},
    submit::Refusal,
};
use tokio::time::{Duration, Instant};

use crate::{
    backend::{Directory as _, Mailbox as _, MailboxState, Source, StoreError},
    clock::{now_ms, today},
    ledger::Ledger as _,
    metrics::Metrics,
    parts::Parts,
    peer::Peer,
    policy::{
        limiter::Allowance,
        limits::{IDLE_FRAMES, PAGE_ROWS, UNAVAILABLE, UNAVAILABLE_RETRY_S},
        mailbox::Login,
    },
    router::{Claim, News, Router as _},
    shared::{Shared, limits},
    sockets::{
        handshake::{Proven, Rejected, handshake},
        requests,
        socket::{
            CLOSE_DISPLACED, CLOSE_NORMAL, CLOSE_POLICY, CLOSE_PROTOCOL, CLOSE_RESTART, CLOSE_TOO_LARGE,
            CLOSE_UNSUPPORTED, FrameSocket, Gone, Incoming, MessageSocket,
        },
    },
};

/// Serves one socket of `/v1/mailbox` from its first frame to its end.
pub(crate) async fn serve<S: MessageSocket, P: Parts>(shared: Arc<Shared<P>>, socket: S, peer: &Peer) {
    let mut socket = FrameSocket::new(socket, Arc::clone(&peer.memory), shared.config.write_timeout);
    let shaking = tokio::time::timeout(
        shared.config.handshake_timeout,
        handshake(&shared, &mut socket, peer.exporter.as_deref()),
    );
    let proven = tokio::select! {
        biased;
        () = shared.stopping.cancelled() => return go_away(&shared, &mut socket).await,
        proven = shaking => proven.unwrap_or(Err(Rejected { refusal: None, close: CLOSE_POLICY })),
    };
    let source = Source::of(peer.address);
    let rejected = match proven {
        Ok((proven, marks)) => match log_in(&shared, &mut socket, proven, &marks, source).await {
            Ok(()) => return,
            Err(rejected) => rejected,
        },
        Err(rejected) => rejected,
    };
    end(&shared.metrics, &mut socket, rejected).await;
}

/// Tells the peer why, as far as there is something to tell.
async fn end<S: MessageSocket>(metrics: &Metrics, socket: &mut FrameSocket<S>, rejected: Rejected) {
    if let Some(refusal) = rejected.refusal {
        metrics.refusal(refusal.code);
    }
    if let Some(refusal) = rejected.refusal
        && socket.send(MailboxServerFrame::Error(refusal).encode()).await.is_err()
    {
        return;
    }
    socket.close(rejected.close, "").await;
}

async fn go_away<S: MessageSocket, P: Parts>(shared: &Shared<P>, socket: &mut FrameSocket<S>) {
    let frame = MailboxServerFrame::GoAway { retry_after_ms: shared.go_away_ms() };
    if socket.send(frame.encode()).await.is_ok() {
        socket.close(CLOSE_RESTART, "the relay restarts").await;
    }
}

/// Lets one copy of the device in. Before the claim: another copy must not end the session of the one that goes on.
async fn log_in<S: MessageSocket, P: Parts>(
    shared: &Arc<Shared<P>>,
    socket: &mut FrameSocket<S>,
    proven: Proven,
    marks: &LoginMarks,
    source: Source,
) -> Result<(), Rejected> {
    let login = Login::new(proven.device, marks);
    // Kept the same day, so that delivery goes on; told, if it had stopped.
    let away_days = shared.store.log_in(source, login, today()).await.map_err(|error| {
        let close = if matches!(error, StoreError::Refused(_)) { CLOSE_POLICY } else { CLOSE_RESTART };
        Rejected { refusal: Some(error.refusal()), close }
    })?;
    claimed(shared, socket, proven, source, away_days).await
}

/// Claims the device, serves it, and gives the claim back.
async fn claimed<S: MessageSocket, P: Parts>(
    shared: &Arc<Shared<P>>,
    socket: &mut FrameSocket<S>,
    proven: Proven,
    source: Source,
    away_days: u32,
) -> Result<(), Rejected> {
    let claim = shared.router.claim(proven.device).await.map_err(|error| {
        tracing::warn!(%error, "a session was refused");
        Rejected { refusal: Some(UNAVAILABLE), close: CLOSE_RESTART }
    })?;
    let lease = claim.lease;
    let served = match start(shared, socket, proven, away_days).await {
        Ok(state) => {
            let mut session = Session::new(Arc::clone(shared), socket, source, claim, &state);
            let ended = session.run().await;
            shared.router.leaving(&lease).await;
            // What the client acknowledged last must not come again just because it hung up.
            session.save_acked().await;
            session.finish(ended).await;
            Ok(())
        }
        Err(rejected) => Err(rejected),
    };
    shared.router.release(&lease).await;
    served
}

/// Loads where the mailbox stands and says `Ready`.
async fn start<S: MessageSocket, P: Parts>(
    shared: &Shared<P>,
    socket: &mut FrameSocket<S>,
    proven: Proven,
    away_days: u32,
) -> Result<MailboxState, Rejected> {
    let unavailable = |error: StoreError| Rejected { refusal: Some(error.refusal()), close: CLOSE_RESTART };
    let rejected = |code| Rejected { refusal: Some(Refusal::never(code)), close: CLOSE_POLICY };
    let found = shared.store.device(proven.device).await.map_err(unavailable)?;
    // Looked at again after the claim: a list that removed the device meanwhile found no session to end.
    let device = found
        .filter(|device| device.identity == proven.identity)
        .ok_or_else(|| rejected(ErrorCode::AuthenticationFailed))?;
    if device.disabled {
        return Err(rejected(ErrorCode::AccountDisabled));
    }
    let state = shared.store.state(proven.device).await.map_err(unavailable)?;
    let ready = MailboxServerFrame::Ready {
        epoch: state.epoch,
        acked: state.acked,
        server_time_ms: now_ms(),
        limits: limits(),
        prekeys: device.prekeys,
        away_days: if away_days >= IDLE_DAYS { away_days } else { 0 },
    };
    socket.send(ready.encode()).await?;
    Ok(state)
}

/// Why a running session ends.
enum Ended {
    /// The peer hung up or stopped reading.
    Gone,
    /// The relay stops.
    Stopping,
    Displaced,
    Rejected(Rejected),
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

type Saving = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

struct Session<'a, S, P: Parts> {
    shared: Arc<Shared<P>>,
    socket: &'a mut FrameSocket<S>,
    device: DeviceAddress,
    /// Where its peer is.
    source: Source,
    claim: Claim,
    /// Highest number pushed on this socket.
    pushed: Seq,
    /// Numbers pushed and not acknowledged, ascending.
    unacked: VecDeque<Seq>,
    /// Of these, what came by the request lane: who asked may ask again when it is acknowledged.
    requests: VecDeque<(Seq, EnvelopeId)>,
    /// Highest number the client has acknowledged on this socket or before.
    acked: Seq,
    /// Highest acknowledgement on disk.
    saved: Seq,
    /// Envelopes acknowledged since.
    unsaved: usize,
    /// An acknowledgement on its way to the disk, and its number.
    saving: Option<(Seq, Saving)>,
    /// When a failed acknowledgement is tried again.
    save_again: Option<Instant>,
    /// There may be rows behind `pushed`.
    behind: bool,
    /// `CaughtUp` has been said: once a session, when the mailbox is first seen empty behind `pushed`.
    caught_up: bool,
    last_heard: Instant,
    next_resync: Instant,
    /// The day on which the device was last noted as connected.
    seen_day: u32,
    /// For frames that do nothing.
    idle_frames: Allowance,
}

impl<'a, S: MessageSocket, P: Parts> Session<'a, S, P> {
    fn new(
        shared: Arc<Shared<P>>,
        socket: &'a mut FrameSocket<S>,
        source: Source,
        claim: Claim,
        state: &MailboxState,
    ) -> Self {
        let now = Instant::now();
        Self {
            next_resync: now + jittered(shared.config.resync_interval),
            shared,
            socket,
            device: claim.lease.device,
            source,
            claim,
            pushed: state.acked,
            unacked: VecDeque::new(),
            requests: VecDeque::new(),
            acked: state.acked,
            saved: state.acked,
            unsaved: 0,
            saving: None,
            save_again: None,
            behind: true,
            caught_up: false,
            last_heard: now,
            seen_day: today(),
            idle_frames: Allowance::new(IDLE_FRAMES),
        }
    }

    async fn run(&mut self) -> Ended {
        let shared = Arc::clone(&self.shared);
        loop {
            self.start_saving();
            let can_push = self.behind && self.unacked.len() < MAX_UNACKED;
            let deadline = self.deadline();
            let saving = async {
                match &mut self.saving {
                    Some((_, saving)) => saving.await,
                    None => std::future::pending().await,
                }
            };
            let step = tokio::select! {
                biased;
                () = shared.stopping.cancelled() => Err(Ended::Stopping),
                news = self.claim.inbox.news() => self.hear(news).await,
                result = saving => {
                    self.finish_saving(result).await;
                    Ok(())
                }
                incoming = self.socket.receive() => self.receive(incoming).await,
                () = std::future::ready(()), if can_push => self.push_page().await,
                () = tokio::time::sleep_until(deadline) => self.on_deadline().await,
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    /// The nearest of: silence, a look into the mailbox, a failed acknowledgement.
    fn deadline(&self) -> Instant {
        let silence = self.last_heard + self.shared.config.silence_timeout;
        let nearest = silence.min(self.next_resync);
        self.save_again.map_or(nearest, |again| nearest.min(again))
    }

    async fn on_deadline(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if now >= self.last_heard + self.shared.config.silence_timeout {
            return Err(Ended::Rejected(Rejected { refusal: None, close: CLOSE_POLICY }));
        }
        if now >= self.next_resync {
            self.next_resync = now + jittered(self.shared.config.resync_interval);
            self.behind = true;
            match self.shared.router.renew(&self.claim.lease).await {
                Ok(Some(lease)) => self.claim.lease = lease,
                Ok(None) => return Err(Ended::Displaced),
                Err(error) => tracing::warn!(%error, "a session goes on without being heard of"),
            }
            let today = today();
            if self.seen_day != today {
                match self.shared.store.seen(self.source, self.device, today).await {
                    Ok(()) => self.seen_day = today,
                    Err(error) => tracing::warn!(%error, "a day of connection could not be stored, trying again"),
                }
            }
        }
        if self.save_again.is_some_and(|again| now >= again) {
            self.save_again = None;
        }
        Ok(())
    }

    async fn hear(&mut self, news: News) -> Result<(), Ended> {
        if let Some(why) = news.ended {
            let refusal = Some(Refusal::never(why));
            return Err(Ended::Rejected(Rejected { refusal, close: CLOSE_POLICY }));
        }
        if news.displaced {
            return Err(Ended::Displaced);
        }
        self.behind |= news.wake;
        if let Some(count) = news.prekeys_low {
            self.socket.send(MailboxServerFrame::PrekeysLow(count).encode()).await?;
        }
        if !news.ephemeral.is_empty() {
            let frames = news.ephemeral.into_iter().map(|push| MailboxServerFrame::Push(push).encode());
            self.socket.send_all(frames).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, incoming: Incoming) -> Result<(), Ended> {
        let rejected = |code, close| Err(Ended::Rejected(Rejected { refusal: Some(Refusal::never(code)), close }));
        self.last_heard = Instant::now();
        let bytes = match incoming {
            Incoming::Frame(bytes) => bytes,
            Incoming::Alive => return self.idle_frame(),
            Incoming::Text => return rejected(ErrorCode::Malformed, CLOSE_UNSUPPORTED),
            Incoming::TooLarge => return rejected(ErrorCode::TooLarge, CLOSE_TOO_LARGE),
            Incoming::Garbage => return rejected(ErrorCode::Malformed, CLOSE_PROTOCOL),
            Incoming::Closed => return Err(Ended::Gone),
        };
        match MailboxClientFrame::decode(bytes) {
            Ok(MailboxClientFrame::Ping) => {
                self.idle_frame()?;
                self.socket.send(MailboxServerFrame::Pong.encode()).await?;
            }
            Ok(MailboxClientFrame::Ack(upto)) => return self.acknowledge(upto),
            Ok(MailboxClientFrame::Request { id, op }) => {
                let result = requests::answer(&self.shared, self.source, self.device, op).await;
                self.socket.send(MailboxServerFrame::Response { id, result }.encode()).await?;
            }
            Ok(MailboxClientFrame::Hello(_) | MailboxClientFrame::Auth { .. }) | Err(_) => {
                return rejected(ErrorCode::Malformed, CLOSE_PROTOCOL);
            }
        }
        Ok(())
    }

    /// A sign of life; a flood of them ends the socket.
    fn idle_frame(&mut self) -> Result<(), Ended> {
        self.idle_frames.take(subrosa_ambient::instant()).map_err(|retry_after_s| {
            let refusal = Some(Refusal { code: ErrorCode::RateLimited, retry_after_s });
            Ended::Rejected(Rejected { refusal, close: CLOSE_POLICY })
        })
    }

    /// Cumulative and monotone; what was not pushed on this socket cannot be acknowledged on it.
    fn acknowledge(&mut self, upto: Seq) -> Result<(), Ended> {
        let upto = upto.min(self.pushed);
        if upto <= self.acked {
            return self.idle_frame();
        }
        self.acked = upto;
        while self.unacked.front().is_some_and(|seq| *seq <= upto) {
            self.unacked.pop_front();
            self.unsaved += 1;
            self.shared.metrics.acknowledged.inc();
        }
        if self.unacked.is_empty() {
            // An idle session keeps no buffer.
            self.unacked = VecDeque::new();
        }
        Ok(())
    }

    fn start_saving(&mut self) {
        if self.saving.is_some() || self.save_again.is_some() || self.acked <= self.saved {
            return;
        }
        let (shared, source, device, upto) = (Arc::clone(&self.shared), self.source, self.device, self.acked);
        let rows = std::mem::take(&mut self.unsaved);
        self.saving = Some((upto, Box::pin(async move { shared.store.ack(source, device, upto, rows).await })));
    }

    async fn finish_saving(&mut self, result: Result<(), StoreError>) {
        let Some((upto, _)) = self.saving.take() else { return };
        match result {
            Ok(()) => {
                self.saved = upto;
                let answered = self.requests.iter().take_while(|(seq, _)| *seq <= upto).count();
                if answered > 0 {
                    let answered = self.requests.drain(..answered).map(|(_, envelope)| envelope).collect();
                    self.shared.ledger.answered(self.device.account, answered).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "an acknowledgement could not be stored, trying again");
                self.save_again = Some(Instant::now() + Duration::from_secs(UNAVAILABLE_RETRY_S.into()));
            }
        }
    }

    async fn save_acked(&mut self) {
        if let Some((_, saving)) = &mut self.saving {
            let result = saving.await;
            self.finish_saving(result).await;
        }
        self.save_again = None;
        self.start_saving();
        if let Some((_, saving)) = &mut self.saving {
            let result = saving.await;
            self.finish_saving(result).await;
        }
    }

    /// Pushes what fits into the window, at most one page.
    async fn push_page(&mut self) -> Result<(), Ended> {
        let room = MAX_UNACKED.saturating_sub(self.unacked.len()).min(PAGE_ROWS);
        let page = match self.shared.store.read(self.device, self.pushed, room).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "a mailbox could not be read, trying again later");
                self.behind = false;
                return Ok(());
            }
        };
        self.behind = page.more;
        if let Some(last) = page.rows.last() {
            self.pushed = last.seq;
            self.shared.metrics.delivered.inc_by(page.rows.len() as u64);
            self.unacked.extend(page.rows.iter().map(|push| push.seq));
            let requests = page.rows.iter().filter(|push| push.way == Way::RequestLane);
            self.requests.extend(requests.map(|push| (push.seq, EnvelopeId::of(&self.device, &push.head, &push.body))));
            let frames = page.rows.into_iter().map(|push| MailboxServerFrame::Push(push).encode());
            self.socket.send_all(frames).await?;
            crash_point(CrashPoint::RelayAfterPush);
        }
        if !self.behind && !self.caught_up {
            self.caught_up = true;
            self.socket.send(MailboxServerFrame::CaughtUp.encode()).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, ended: Ended) {
        match ended {
            Ended::Gone => self.socket.close(CLOSE_NORMAL, "").await,
            Ended::Stopping => go_away(&self.shared, self.socket).await,
            Ended::Displaced => {
                if self.socket.send(MailboxServerFrame::Displaced.encode()).await.is_ok() {
                    self.socket.close(CLOSE_DISPLACED, "connected elsewhere").await;
                }
            }
            Ended::Rejected(rejected) => end(&self.shared.metrics, self.socket, rejected).await,
        }
    }
}

/// Up to a tenth longer, so that sessions that began together do not read together for ever.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + subrosa_ambient::fraction() / 10.0)
}
