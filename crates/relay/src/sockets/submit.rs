//! The anonymous socket `/v1/submit`: nothing is known about its user and nothing is asked.

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesOrdered};
use subrosa_wire::{
    DeviceAddress, ErrorCode,
    mailbox::{Push, Way},
    submit::{EnvelopeClass, Refusal, Submit, SubmitClientFrame, SubmitResult, SubmitServerFrame},
    version::negotiate,
};
use tokio::time::Instant;

use crate::{
    backend::{Batch, ItemOutcome, Permission, Source, Store, StoreError},
    clock::now_ms,
    peer::Peer,
    policy::{
        limiter::Allowance,
        limits::{FULL_RETRY_S, IDLE_FRAMES, MAX_IN_FLIGHT_SUBMITS, SUBMIT_UNIT_BYTES},
    },
    router::Router,
    shared::{Shared, limits},
    sockets::socket::{
        CLOSE_NORMAL, CLOSE_POLICY, CLOSE_PROTOCOL, CLOSE_RESTART, CLOSE_TOO_LARGE, CLOSE_UNSUPPORTED, FrameSocket,
        Gone, Incoming, MessageSocket,
    },
};

/// How an item's outcome reads on the wire.
pub(crate) fn result_of(outcome: ItemOutcome) -> SubmitResult {
    match outcome {
        ItemOutcome::Stored(_) | ItemOutcome::Repeat | ItemOutcome::HandOn(_) => SubmitResult::Accepted,
        ItemOutcome::StaleDevices(list) => SubmitResult::StaleDevices(list),
        ItemOutcome::Full => SubmitResult::Full { retry_after_s: FULL_RETRY_S },
        ItemOutcome::Refused(Refusal { code, retry_after_s }) => SubmitResult::Refused { code, retry_after_s },
    }
}

/// Why the socket ends.
enum Ended {
    Gone,
    Stopping,
    Refused(Option<Refusal>, u16),
}

impl Ended {
    const fn refused(code: ErrorCode, close: u16) -> Self {
        Self::Refused(Some(Refusal::never(code)), close)
    }
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// A frame, or why there is none. `None`: a sign of life.
fn decode(incoming: Incoming) -> Result<Option<SubmitClientFrame>, Ended> {
    match incoming {
        Incoming::Frame(bytes) => {
            SubmitClientFrame::decode(bytes).map(Some).map_err(|_| Ended::refused(ErrorCode::Malformed, CLOSE_PROTOCOL))
        }
        Incoming::Alive => Ok(None),
        Incoming::Text => Err(Ended::refused(ErrorCode::Malformed, CLOSE_UNSUPPORTED)),
        Incoming::TooLarge => Err(Ended::refused(ErrorCode::TooLarge, CLOSE_TOO_LARGE)),
        Incoming::Garbage => Err(Ended::refused(ErrorCode::Malformed, CLOSE_PROTOCOL)),
        Incoming::Closed => Err(Ended::Gone),
    }
}

/// Serves one socket of `/v1/submit` from its first frame to its end.
pub(crate) async fn serve<S: MessageSocket, B: Store, R: Router>(shared: Arc<Shared<B, R>>, socket: S, peer: &Peer) {
    let address = peer.address;
    let socket = FrameSocket::new(socket, Arc::clone(&peer.memory), shared.config.write_timeout);
    let mut anonymous =
        Anonymous { shared, socket, address, in_flight: InFlight::new(), idle_frames: Allowance::new(IDLE_FRAMES) };
    let ended = match anonymous.hello().await {
        Ok(()) => anonymous.serve_submissions().await,
        Err(ended) => ended,
    };
    // What is on its way to the disk is finished and its receivers are woken, even if nobody waits for the reply.
    while let Some(done) = anonymous.in_flight.next().await {
        let _ = anonymous.reply(done).await;
    }
    let Anonymous { shared, mut socket, .. } = anonymous;
    match ended {
        Ended::Gone => socket.close(CLOSE_NORMAL, "").await,
        Ended::Stopping => {
            let frame = SubmitServerFrame::GoAway { retry_after_ms: shared.go_away_ms() };
            if socket.send(frame.encode()).await.is_ok() {
                socket.close(CLOSE_RESTART, "the relay restarts").await;
            }
        }
        Ended::Refused(refusal, close) => {
            if let Some(refusal) = refusal {
                shared.metrics.refusal(refusal.code);
                let _ = socket.send(SubmitServerFrame::Error(refusal).encode()).await;
            }
            socket.close(close, "").await;
        }
    }
}

/// A submission whose fate is known.
struct Done {
    id: u64,
    outcome: Result<Vec<ItemOutcome>, StoreError>,
    targets: Vec<Target>,
}

/// Where an item goes, and what an ephemeral one carries.
struct Target {
    device: DeviceAddress,
    ephemeral: Option<Ephemeral>,
}

/// What is handed on and never stored.
struct Ephemeral {
    head: Bytes,
    body: Bytes,
    received_ms: u64,
}

impl Ephemeral {
    fn came_by(self, way: Way) -> Push {
        let Self { head, body, received_ms } = self;
        Push { seq: 0, class: EnvelopeClass::Ephemeral, head, body, received_ms, way }
    }
}

type InFlight = FuturesOrdered<Pin<Box<dyn Future<Output = Done> + Send>>>;

/// A socket of which nothing is known but its address.
struct Anonymous<S, B, R> {
    shared: Arc<Shared<B, R>>,
    socket: FrameSocket<S>,
    address: IpAddr,
    in_flight: InFlight,
    /// For frames that do nothing.
    idle_frames: Allowance,
}

impl<S: MessageSocket, B: Store, R: Router> Anonymous<S, B, R> {
    /// The first frame must be a `Hello`, in time.
    async fn hello(&mut self) -> Result<(), Ended> {
        let shared = Arc::clone(&self.shared);
        let first = async {
            loop {
                match decode(self.socket.receive().await)? {
                    Some(frame) => return Ok::<_, Ended>(frame),
                    None => self.idle_frame()?,
                }
            }
        };
        let frame = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return Err(Ended::Stopping),
            first = tokio::time::timeout(shared.config.handshake_timeout, first) => {
                first.map_err(|_| Ended::Refused(None, CLOSE_POLICY))??
            }
        };
        let SubmitClientFrame::Hello(offered) = frame else {
            return Err(Ended::refused(ErrorCode::Malformed, CLOSE_PROTOCOL));
        };
        let version = negotiate(&offered).ok_or(Ended::refused(ErrorCode::UnsupportedVersion, CLOSE_PROTOCOL))?;
        let welcome = SubmitServerFrame::Welcome { version, server_time_ms: now_ms(), limits: limits() };
        Ok(self.socket.send(welcome.encode()).await?)
    }

    async fn serve_submissions(&mut self) -> Ended {
        let shared = Arc::clone(&self.shared);
        let mut last_heard = Instant::now();
        loop {
            let step = tokio::select! {
                biased;
                () = shared.stopping.cancelled() => Err(Ended::Stopping),
                Some(done) = self.in_flight.next() => self.reply(done).await.map_err(Ended::from),
                incoming = self.socket.receive(), if self.in_flight.len() < MAX_IN_FLIGHT_SUBMITS => {
                    last_heard = Instant::now();
                    self.receive(incoming).await
                }
                () = tokio::time::sleep_until(last_heard + shared.config.silence_timeout) => {
                    Err(Ended::Refused(None, CLOSE_POLICY))
                }
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    /// A sign of life; a flood of them ends the socket.
    fn idle_frame(&mut self) -> Result<(), Ended> {
        let now = subrosa_ambient::instant();
        let limited = |retry_after_s| Refusal { code: ErrorCode::RateLimited, retry_after_s };
        self.idle_frames.take(now).map_err(|wait| Ended::Refused(Some(limited(wait)), CLOSE_POLICY))
    }

    async fn receive(&mut self, incoming: Incoming) -> Result<(), Ended> {
        match decode(incoming)? {
            None => self.idle_frame(),
            Some(SubmitClientFrame::Ping) => {
                self.idle_frame()?;
                Ok(self.socket.send(SubmitServerFrame::Pong.encode()).await?)
            }
            Some(SubmitClientFrame::Hello(_)) => Err(Ended::refused(ErrorCode::Malformed, CLOSE_PROTOCOL)),
            Some(SubmitClientFrame::Submit { id, submit }) => {
                // Queued here and awaited there: submissions of one socket keep their order and share commits.
                let (targets, queued) = match self.admit(&submit) {
                    Ok(()) => {
                        let targets = targets(&submit);
                        let batch = Batch::new(submit, now_ms(), Permission::of);
                        (targets, self.shared.store.submit(Source::of(self.address), batch).await)
                    }
                    Err(refusal) => (Vec::new(), Err(StoreError::Refused(refusal))),
                };
                self.in_flight.push_back(Box::pin(async move {
                    let outcome = match queued {
                        Ok(receipt) => receipt.outcome().await,
                        Err(error) => Err(error),
                    };
                    Done { id, outcome, targets }
                }));
                Ok(())
            }
        }
    }

    /// Counts a submission against its address, before anything is hashed or looked up for it.
    fn admit(&self, submit: &Submit) -> Result<(), Refusal> {
        let now = subrosa_ambient::instant();
        let bytes: usize = submit.bodies.iter().map(Bytes::len).sum();
        let cost = u32::try_from(submit.items.len() + bytes / SUBMIT_UNIT_BYTES).unwrap_or(u32::MAX);
        let rates = &self.shared.rates;
        let admitted = rates.wrong_capabilities.take(self.address, 0, now);
        let admitted = admitted.and_then(|()| rates.submit.take(self.address, cost, now));
        admitted.map_err(|retry_after_s| Refusal { code: ErrorCode::RateLimited, retry_after_s })
    }

    /// Wakes who has something new, and answers.
    async fn reply(&mut self, done: Done) -> Result<(), Gone> {
        let shared = &self.shared;
        let result = match done.outcome {
            Ok(outcomes) => {
                let wrong = outcomes.iter().filter(|outcome| is_wrong_capability(outcome)).count();
                if let Ok(wrong @ 1..) = u32::try_from(wrong) {
                    shared.rates.wrong_capabilities.charge(self.address, wrong, subrosa_ambient::instant());
                }
                outcomes.iter().for_each(|outcome| shared.metrics.outcome(outcome));
                for (outcome, target) in outcomes.iter().zip(done.targets) {
                    match (outcome, target.ephemeral) {
                        (ItemOutcome::Stored(_), _) => shared.router.wake(target.device).await,
                        (ItemOutcome::HandOn(way), Some(ephemeral)) => {
                            shared.router.offer(target.device, ephemeral.came_by(*way)).await;
                        }
                        _ => {}
                    }
                }
                Ok(outcomes.into_iter().map(result_of).collect())
            }
            Err(error) => {
                let refusal = error.refusal();
                shared.metrics.refusal(refusal.code);
                Err(refusal)
            }
        };
        self.socket.send(SubmitServerFrame::Reply { id: done.id, result }.encode()).await
    }
}

const fn is_wrong_capability(outcome: &ItemOutcome) -> bool {
    matches!(outcome, ItemOutcome::Refused(Refusal { code: ErrorCode::CapabilityRefused | ErrorCode::TokenUsed, .. }))
}

fn targets(submit: &Submit) -> Vec<Target> {
    let ephemeral = |item: &subrosa_wire::submit::SubmitItem| Ephemeral {
        head: Bytes::copy_from_slice(&item.head),
        body: submit.bodies.get(item.body_ref).cloned().unwrap_or_default(),
        received_ms: now_ms(),
    };
    submit
        .items
        .iter()
        .map(|item| Target {
            device: item.device,
            ephemeral: (item.class == EnvelopeClass::Ephemeral).then(|| ephemeral(item)),
        })
        .collect()
}
