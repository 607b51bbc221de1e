//! The anonymous socket `/v1/submit`: nothing is known about its user and nothing is asked.

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc};

use futures_util::{StreamExt, stream::FuturesOrdered};
use subrosa_wire::{
    ErrorCode,
    submit::{Refusal, Submit, SubmitClientFrame, SubmitServerFrame},
    version::negotiate,
};
use tokio::time::Instant;

use crate::{
    backend::{Outcomes, Source, StoreError},
    clock::now_ms,
    ledger::{Ledger, Limit},
    parts::Parts,
    peer::Peer,
    policy::{
        limiter::Allowance,
        limits::{IDLE_FRAMES, MAX_IN_FLIGHT_SUBMITS},
        permission::Permission,
        submission::cost,
    },
    shared::{Shared, limits},
    sockets::{
        intake::{Queued, result_of},
        socket::{
            CLOSE_NORMAL, CLOSE_POLICY, CLOSE_PROTOCOL, CLOSE_RESTART, CLOSE_TOO_LARGE, CLOSE_UNSUPPORTED, FrameSocket,
            Gone, Incoming, MessageSocket,
        },
    },
};

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
pub(crate) async fn serve<S: MessageSocket, P: Parts>(shared: Arc<Shared<P>>, socket: S, peer: &Peer) {
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
    outcome: Result<Outcomes, StoreError>,
}

type InFlight = FuturesOrdered<Pin<Box<dyn Future<Output = Done> + Send>>>;

/// A socket of which nothing is known but its address.
struct Anonymous<S, P: Parts> {
    shared: Arc<Shared<P>>,
    socket: FrameSocket<S>,
    address: IpAddr,
    in_flight: InFlight,
    /// For frames that do nothing.
    idle_frames: Allowance,
}

impl<S: MessageSocket, P: Parts> Anonymous<S, P> {
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
                let queued = match admit(&self.shared.ledger, self.address, &submit).await {
                    Ok(()) => Ok(Queued::new(&self.shared, Source::of(self.address), submit, Permission::of).await),
                    Err(refusal) => Err(StoreError::Refused(refusal)),
                };
                let shared = Arc::clone(&self.shared);
                self.in_flight.push_back(Box::pin(async move {
                    let outcome = match queued {
                        Ok(queued) => queued.settled(&shared).await,
                        Err(error) => Err(error),
                    };
                    Done { id, outcome }
                }));
                Ok(())
            }
        }
    }

    async fn reply(&mut self, done: Done) -> Result<(), Gone> {
        let shared = &self.shared;
        let result = match done.outcome {
            Ok(outcomes) => {
                let wrong = outcomes.iter().filter(|(_, outcome)| outcome.is_wrong_capability()).count();
                if let Ok(wrong @ 1..) = u32::try_from(wrong) {
                    shared.ledger.charge(vec![(Limit::WrongCapabilities(self.address), wrong)]).await;
                }
                Ok(outcomes.into_iter().map(|(_, outcome)| result_of(outcome)).collect())
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

/// Counts a submission against its address, before anything is hashed or looked up for it.
async fn admit<L: Ledger>(ledger: &L, address: IpAddr, submit: &Submit) -> Result<(), Refusal> {
    let limited = |retry_after_s| Refusal { code: ErrorCode::RateLimited, retry_after_s };
    ledger.take(Limit::WrongCapabilities(address), 0).await.map_err(limited)?;
    ledger.take(Limit::Submit(address), cost(submit)).await.map_err(limited)
}
