//! One mailbox session (docs/protocol.md, "The mailbox socket"): log in, then push, ack and ask until the socket ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use subrosa_wire::{
    limits::{MAX_MAILBOX_FRAME_BYTES, VERSIONS},
    mailbox::{MailboxClientFrame, MailboxRequest, MailboxServerFrame, Push, RequestOutcome},
};
use tokio::time::timeout;

use super::{Login, MailboxEvent, MailboxSigner, PendingCall, Ready, Task};
use crate::net::{
    NetError, Network, RelayEndpoint,
    acks::Frames,
    calls::Calls,
    proxy::Circuit,
    socket::{self, Reader, Writer},
    standing::{Patience, Standing},
    timing::Timing,
    waiting::{MAX_PUSH_BATCH, Waiting},
};

/// Requests in flight: an engine asks a handful of things at once.
const MAX_REQUESTS: usize = 32;

/// Why a session ended without an error.
pub(in crate::net) enum End {
    /// Another connection of this device took over.
    Displaced,
    /// The relay goes down; it spreads its clients by telling each another wait.
    GoAway(Duration),
    /// The engine wants a new session.
    Restart,
    /// The task is to end.
    Stopped,
}

/// What a frame means for the session.
enum After {
    Go,
    Push(Push),
    CaughtUp,
    End(End),
}

/// What a request's answer must look like.
enum Expected {
    Done,
    Results(usize),
}

impl Expected {
    fn of(op: &MailboxRequest) -> Self {
        match op {
            MailboxRequest::SubmitRequest(submit) => Self::Results(submit.items.len()),
            _ => Self::Done,
        }
    }

    fn fits(&self, outcome: &RequestOutcome) -> bool {
        match (self, outcome) {
            (Self::Done, RequestOutcome::Done) => true,
            (Self::Results(items), RequestOutcome::Submit(results)) => results.len() == *items,
            _ => false,
        }
    }
}

impl Task {
    /// A logged-in socket until it ends.
    pub(in crate::net) async fn session(
        &mut self,
        reader: Reader,
        writer: Writer,
        ready: Ready,
    ) -> Result<End, NetError> {
        self.shared.acks.begin(ready.epoch, ready.acked);
        let acks = self.shared.acks.clone();
        let mut socket = Standing::new(
            (reader, writer),
            |queue| Frames { acks, queue },
            MAX_REQUESTS,
            MailboxClientFrame::Ping.encode(),
            (&self.endpoint, &self.timing),
        );
        self.waiting.push(MailboxEvent::Ready(ready));
        let mut open = Calls::<Expected, RequestOutcome>::new();
        // Frames read since the engine was last offered something.
        let mut streak = 0;
        let result = loop {
            // A relay that never pauses must not keep the engine waiting for a full window.
            if streak >= MAX_PUSH_BATCH
                && let Ok(permit) = self.events.try_reserve()
                && let Some(event) = self.waiting.pop()
            {
                permit.send(event);
                streak = 0;
            }
            let reading = self.waiting.has_room();
            if !reading {
                // While we do not listen, silence is ours.
                socket.excuse();
                open.excuse();
            }
            let patience = Patience { until: open.deadline(self.timing.call), what: "a request" };
            // Reading comes before handing on: so a batch is all that is there.
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => break Ok(End::Stopped),
                () = self.events.closed() => break Ok(End::Stopped),
                request = self.requests.recv(), if open.len() < MAX_REQUESTS => {
                    let Some(request) = request else { break Ok(End::Stopped) };
                    if let Some(frame) = begin(&mut open, request)
                        && let Err(error) = socket.send(frame)
                    {
                        break Err(error);
                    }
                }
                () = self.shared.reconnect.notified() => break Ok(End::Restart),
                incoming = socket.next(reading, patience) => {
                    streak += 1;
                    match incoming {
                        Ok(Some(bytes)) => match handle(&self.endpoint, &mut self.waiting, &mut open, bytes) {
                            Ok(After::Go) => {}
                            Ok(After::Push(envelope)) => {
                                self.shared.acks.pushed(envelope.seq);
                                self.waiting.push_envelope(envelope);
                            }
                            Ok(After::CaughtUp) => {
                                self.waiting.push(MailboxEvent::CaughtUp);
                                self.good_session = true;
                            }
                            Ok(After::End(end)) => break Ok(end),
                            Err(error) => break Err(error),
                        },
                        Ok(None) => {}
                        Err(error) => break Err(error),
                    }
                }
                permit = self.events.reserve(), if !self.waiting.is_empty() => {
                    let Ok(permit) = permit else { break Ok(End::Stopped) };
                    if let Some(event) = self.waiting.pop() {
                        permit.send(event);
                    }
                    streak = 0;
                }
            }
        };
        match &result {
            Ok(End::GoAway(wait)) => open.fail_all(&NetError::going_away(*wait)),
            Ok(_) => open.fail_all(&NetError::Closed),
            Err(error) => open.fail_all(error),
        }
        if matches!(result, Ok(End::Restart)) {
            // The new session brings all of it again; handed on twice it would come out of order.
            self.waiting = Waiting::default();
        }
        if matches!(result, Ok(_) | Err(NetError::Refused(_))) {
            // The newest acknowledgement still goes out. What else the relay pushes now is not acknowledged, so it comes again.
            socket.close().await;
        }
        result
    }
}

/// A frame of a standing session.
fn handle(
    endpoint: &RelayEndpoint,
    waiting: &mut Waiting,
    open: &mut Calls<Expected, RequestOutcome>,
    bytes: Bytes,
) -> Result<After, NetError> {
    match MailboxServerFrame::decode(bytes).map_err(|error| NetError::wire(endpoint, &error))? {
        MailboxServerFrame::Push(envelope) => return Ok(After::Push(envelope)),
        MailboxServerFrame::CaughtUp => return Ok(After::CaughtUp),
        MailboxServerFrame::PrekeysLow(count) => waiting.push(MailboxEvent::PrekeysLow(count)),
        MailboxServerFrame::Pong => {}
        MailboxServerFrame::Response { id, result } => {
            let Some((expected, reply)) = open.answered(id) else {
                return Err(NetError::protocol(endpoint, "an answer to a request that was not made"));
            };
            if let Ok(outcome) = &result
                && !expected.fits(outcome)
            {
                let error = NetError::protocol(endpoint, "an answer that does not fit the request");
                let _ = reply.send(Err(error.clone()));
                return Err(error);
            }
            let _ = reply.send(result.map_err(NetError::Refused));
        }
        MailboxServerFrame::Displaced => return Ok(After::End(End::Displaced)),
        MailboxServerFrame::GoAway { retry_after_ms } => {
            return Ok(After::End(End::GoAway(Duration::from_millis(retry_after_ms.into()))));
        }
        MailboxServerFrame::Error(refusal) => return Err(NetError::refused(refusal)),
        MailboxServerFrame::Challenge { .. } | MailboxServerFrame::Ready { .. } => {
            return Err(NetError::protocol(endpoint, "a frame of the handshake in a session"));
        }
    }
    Ok(After::Go)
}

/// Gives the request an id; its frame, or `None` if it was answered here.
fn begin(open: &mut Calls<Expected, RequestOutcome>, request: PendingCall) -> Option<Bytes> {
    let PendingCall { op, reply } = request;
    let expected = Expected::of(&op);
    open.begin(expected, reply, MAX_MAILBOX_FRAME_BYTES, |id| MailboxClientFrame::Request { id, op }.encode())
}

/// Connects and authenticates.
pub(in crate::net) async fn log_in(
    network: Network,
    endpoint: RelayEndpoint,
    signer: Arc<dyn MailboxSigner>,
    timing: Timing,
) -> Result<(Reader, Writer, Ready), NetError> {
    let (mut reader, mut writer) =
        socket::open(&network, Circuit::Mailbox, &endpoint, "/v1/mailbox", MAX_MAILBOX_FRAME_BYTES, &timing).await?;
    let handshake = async {
        writer.send(MailboxClientFrame::Hello(VERSIONS.to_vec()).encode()).await?;
        let (nonce, tls_bound) = match receive(&endpoint, &mut reader).await? {
            MailboxServerFrame::Challenge { version, nonce, tls_bound } if VERSIONS.contains(&version) => {
                (nonce, tls_bound)
            }
            MailboxServerFrame::Challenge { .. } => return Err(NetError::NewerRelay),
            _ => return Err(NetError::protocol(&endpoint, "another frame than the challenge")),
        };
        // What is signed without the exporter is of no use at a relay that ends TLS itself: who lies here gains nothing.
        let exporter = if tls_bound { Some(reader.exporter()?) } else { None };
        // Before it is shown: should this try be cut off, the next one shows the new mark, too.
        let marks = signer.marks().await?;
        let login = Login {
            authority: endpoint.authority(),
            pin: endpoint.pin(),
            exporter: exporter.as_ref(),
            nonce: &nonce,
            marks: &marks,
        };
        let signature = signer.sign(&login);
        let auth = MailboxClientFrame::Auth {
            device: signer.device(),
            authority: endpoint.authority().to_owned(),
            pin: endpoint.pin().copied(),
            marks: marks.clone(),
            signature,
        };
        writer.send(auth.encode()).await?;
        match receive(&endpoint, &mut reader).await? {
            MailboxServerFrame::Ready { epoch, acked, server_time_ms, prekeys, away_days, .. } => {
                Ok(Ready { epoch, acked, server_time_ms, prekeys, away_days, mark: marks.mark })
            }
            _ => Err(NetError::protocol(&endpoint, "another frame than the end of the handshake")),
        }
    };
    let ready = timeout(timing.handshake, handshake)
        .await
        .unwrap_or_else(|_| Err(NetError::timeout(&endpoint, "logging in", timing.handshake)))?;
    Ok((reader, writer, ready))
}

/// A frame of the handshake; what ends it is an error.
async fn receive(endpoint: &RelayEndpoint, reader: &mut Reader) -> Result<MailboxServerFrame, NetError> {
    match MailboxServerFrame::decode(reader.frame().await?).map_err(|error| NetError::wire(endpoint, &error))? {
        MailboxServerFrame::Error(refusal) => Err(NetError::refused(refusal)),
        MailboxServerFrame::GoAway { retry_after_ms } => {
            Err(NetError::going_away(Duration::from_millis(retry_after_ms.into())))
        }
        frame => Ok(frame),
    }
}
