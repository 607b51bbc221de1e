//! The anonymous socket `/v1/submit`: nothing is known about its user and nothing is asked.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesOrdered};
use subrosa_wire::{
    DeviceAddress, ErrorCode,
    mailbox::Push,
    submit::{EnvelopeClass, Refusal, Submit, SubmitClientFrame, SubmitResult, SubmitServerFrame},
    version::negotiate,
};
use tokio::time::Instant;

use crate::{
    backend::{Batch, ItemOutcome, Permission, Store, StoreError},
    clock::now_ms,
    limits::{FULL_RETRY_S, MAX_IN_FLIGHT_SUBMITS},
    router::Router,
    server::{Shared, limits},
    socket::{
        CLOSE_NORMAL, CLOSE_POLICY, CLOSE_PROTOCOL, CLOSE_RESTART, CLOSE_TOO_LARGE, CLOSE_UNSUPPORTED, FrameSocket,
        Gone, Incoming, MessageSocket,
    },
};

/// How an item's outcome reads on the wire.
pub(crate) fn result_of(outcome: ItemOutcome) -> SubmitResult {
    match outcome {
        ItemOutcome::Stored(_) | ItemOutcome::Repeat | ItemOutcome::HandOn => SubmitResult::Accepted,
        ItemOutcome::StaleDevices(list) => SubmitResult::StaleDevices(list),
        ItemOutcome::Full => SubmitResult::Full { retry_after_s: FULL_RETRY_S },
        ItemOutcome::Refused(Refusal { code, retry_after_s }) => SubmitResult::Refused { code, retry_after_s },
    }
}

/// Why the socket ends.
enum Ended {
    Gone,
    Stopping,
    Refused(Option<ErrorCode>, u16),
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// A frame, or why there is none. `None`: a sign of life.
fn decode(incoming: Incoming) -> Result<Option<SubmitClientFrame>, Ended> {
    match incoming {
        Incoming::Frame(bytes) => SubmitClientFrame::decode(bytes)
            .map(Some)
            .map_err(|_| Ended::Refused(Some(ErrorCode::Malformed), CLOSE_PROTOCOL)),
        Incoming::Alive => Ok(None),
        Incoming::Text => Err(Ended::Refused(Some(ErrorCode::Malformed), CLOSE_UNSUPPORTED)),
        Incoming::TooLarge => Err(Ended::Refused(Some(ErrorCode::TooLarge), CLOSE_TOO_LARGE)),
        Incoming::Garbage => Err(Ended::Refused(Some(ErrorCode::Malformed), CLOSE_PROTOCOL)),
        Incoming::Closed => Err(Ended::Gone),
    }
}

/// Serves one socket of `/v1/submit` from its first frame to its end.
pub(crate) async fn serve<S: MessageSocket, B: Store, R: Router>(shared: Arc<Shared<B, R>>, socket: S) {
    let mut socket = FrameSocket(socket);
    let mut in_flight = InFlight::new();
    let ended = match hello(&shared, &mut socket).await {
        Ok(()) => serve_submissions(&shared, &mut socket, &mut in_flight).await,
        Err(ended) => ended,
    };
    // What is on its way to the disk is finished and its receivers are woken, even if nobody waits for the reply.
    while let Some(done) = in_flight.next().await {
        let _ = reply(&shared, &mut socket, done).await;
    }
    match ended {
        Ended::Gone => socket.close(CLOSE_NORMAL, "").await,
        Ended::Stopping => {
            let frame = SubmitServerFrame::GoAway { retry_after_ms: shared.go_away_ms() };
            if socket.send(frame.encode()).await.is_ok() {
                socket.close(CLOSE_RESTART, "the relay restarts").await;
            }
        }
        Ended::Refused(code, close) => {
            if let Some(code) = code {
                let _ = socket.send(SubmitServerFrame::Error(Refusal::never(code)).encode()).await;
            }
            socket.close(close, "").await;
        }
    }
}

/// The first frame must be a `Hello`, in time.
async fn hello<S: MessageSocket, B: Store, R: Router>(
    shared: &Shared<B, R>,
    socket: &mut FrameSocket<S>,
) -> Result<(), Ended> {
    let first = async {
        loop {
            if let Some(frame) = decode(socket.receive().await)? {
                return Ok::<_, Ended>(frame);
            }
        }
    };
    let frame = tokio::select! {
        () = shared.stopping.cancelled() => return Err(Ended::Stopping),
        first = tokio::time::timeout(shared.config.handshake_timeout, first) => {
            first.map_err(|_| Ended::Refused(None, CLOSE_POLICY))??
        }
    };
    let SubmitClientFrame::Hello(offered) = frame else {
        return Err(Ended::Refused(Some(ErrorCode::Malformed), CLOSE_PROTOCOL));
    };
    let version = negotiate(&offered).ok_or(Ended::Refused(Some(ErrorCode::UnsupportedVersion), CLOSE_PROTOCOL))?;
    let welcome = SubmitServerFrame::Welcome { version, server_time_ms: now_ms(), limits: limits() };
    Ok(socket.send(welcome.encode()).await?)
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
    ephemeral: Option<Push>,
}

type InFlight = FuturesOrdered<Pin<Box<dyn Future<Output = Done> + Send>>>;

async fn serve_submissions<S: MessageSocket, B: Store, R: Router>(
    shared: &Arc<Shared<B, R>>,
    socket: &mut FrameSocket<S>,
    in_flight: &mut InFlight,
) -> Ended {
    let mut last_heard = Instant::now();
    loop {
        let step = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => Err(Ended::Stopping),
            Some(done) = in_flight.next() => reply(shared, socket, done).await.map_err(Ended::from),
            incoming = socket.receive(), if in_flight.len() < MAX_IN_FLIGHT_SUBMITS => {
                last_heard = Instant::now();
                receive(shared, socket, in_flight, incoming).await
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

async fn receive<S: MessageSocket, B: Store, R: Router>(
    shared: &Shared<B, R>,
    socket: &mut FrameSocket<S>,
    in_flight: &mut InFlight,
    incoming: Incoming,
) -> Result<(), Ended> {
    match decode(incoming)? {
        None => Ok(()),
        Some(SubmitClientFrame::Ping) => Ok(socket.send(SubmitServerFrame::Pong.encode()).await?),
        Some(SubmitClientFrame::Hello(_)) => Err(Ended::Refused(Some(ErrorCode::Malformed), CLOSE_PROTOCOL)),
        Some(SubmitClientFrame::Submit { id, submit }) => {
            let targets = targets(&submit);
            let batch = Batch::new(submit, now_ms(), Permission::of);
            // Queued here and awaited there: submissions of one socket keep their order and share commits.
            let queued = shared.store.submit(batch).await;
            in_flight.push_back(Box::pin(async move {
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

fn targets(submit: &Submit) -> Vec<Target> {
    let push = |item: &subrosa_wire::submit::SubmitItem| Push {
        seq: 0,
        class: EnvelopeClass::Ephemeral,
        head: Bytes::copy_from_slice(&item.head),
        body: submit.bodies.get(item.body_ref).cloned().unwrap_or_default(),
        received_ms: now_ms(),
    };
    submit
        .items
        .iter()
        .map(|item| Target {
            device: item.device,
            ephemeral: (item.class == EnvelopeClass::Ephemeral).then(|| push(item)),
        })
        .collect()
}

/// Wakes who has something new, and answers.
async fn reply<S: MessageSocket, B: Store, R: Router>(
    shared: &Shared<B, R>,
    socket: &mut FrameSocket<S>,
    done: Done,
) -> Result<(), Gone> {
    let result = match done.outcome {
        Ok(outcomes) => {
            for (outcome, target) in outcomes.iter().zip(done.targets) {
                match (outcome, target.ephemeral) {
                    (ItemOutcome::Stored(_), _) => shared.router.wake(target.device).await,
                    (ItemOutcome::HandOn, Some(push)) => shared.router.offer(target.device, push).await,
                    _ => {}
                }
            }
            Ok(outcomes.into_iter().map(result_of).collect())
        }
        Err(error) => Err(error.refusal()),
    };
    socket.send(SubmitServerFrame::Reply { id: done.id, result }.encode()).await
}
