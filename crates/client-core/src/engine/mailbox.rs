//! The tasks at our own mailbox: commit what is pushed, acknowledge, tell the interfaces; and carry
//! requests that must not be lost to the relay.

use std::{sync::Arc, time::Duration};

use subrosa_crash_point::{CrashPoint, crash_point};
use subrosa_crypto::{IdentityKeyPair, PartyAddress};
use subrosa_wire::DeviceAddress;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    core::{CoreHandle, Signals, address},
    dispatch::Dispatcher,
};
use crate::{
    api::{ApiError, Connection},
    net::{Login, MailboxEvent, MailboxHandle, MailboxSigner, NetError},
};

/// Somebody who waits for a message has the next try made at once, but not sooner than this after the last: a script that
/// sends a thousand messages without a network must not make a thousand tries.
pub(crate) const HURRY_AFTER_MS: u64 = 2_000;

/// A failed commit (full disk) is tried again after this long.
const STORAGE_RETRY: Duration = Duration::from_secs(1);

/// A request that the relay could not take now is made again after this long.
const TASK_RETRY: Duration = Duration::from_secs(15);

/// How the connection to the own relay stands.
#[derive(Debug, Clone)]
pub(crate) struct LinkState {
    pub(crate) connection: Connection,
    pub(crate) error: Option<ApiError>,
    /// Everything that waited when this connection began is committed.
    pub(crate) caught_up: bool,
    /// Attempts that failed since the start.
    pub(crate) failures: u64,
    /// From when on a person may have the next try made. `None`: it is not a pause, or the relay asked for it.
    pub(crate) hurry_from: Option<Instant>,
}

impl LinkState {
    pub(crate) const fn new() -> Self {
        Self { connection: Connection::Connecting, error: None, caught_up: false, failures: 0, hurry_from: None }
    }

    fn failed(&mut self, error: &NetError, now: Instant) {
        self.connection = Connection::Offline;
        self.caught_up = false;
        self.failures += 1;
        self.error = Some(error.to_api());
        self.hurry_from = error.retry_after().is_none().then(|| now + Duration::from_millis(HURRY_AFTER_MS));
    }

    /// Whether the next try may be made now because somebody waits for it.
    pub(crate) fn may_hurry(&self, now: Instant) -> bool {
        self.connection == Connection::Offline && self.hurry_from.is_some_and(|from| now >= from)
    }
}

/// Signs the relay's challenges.
pub(crate) struct Signer {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) address: PartyAddress,
}

impl MailboxSigner for Signer {
    fn device(&self) -> DeviceAddress {
        address(&self.address)
    }

    fn sign(&self, login: &Login<'_>) -> [u8; 64] {
        self.identity.sign_relay_auth(login.authority, login.pin, login.exporter, login.nonce, &self.address)
    }
}

/// Everything the mailbox tasks need.
pub(crate) struct Mailbox {
    pub(crate) core: CoreHandle,
    pub(crate) handle: MailboxHandle,
    pub(crate) link: watch::Sender<LinkState>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) dispatcher: Arc<Dispatcher>,
}

impl Mailbox {
    /// Follows the mailbox until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, mut events: mpsc::Receiver<MailboxEvent>, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
            };
            // Nothing may be left out: a later batch's acknowledgement would cover what was not committed.
            let mut failed = false;
            while let Err(error) = self.handle_event(event.clone()).await {
                failed = true;
                tracing::error!(%error, "the store cannot be written; trying again");
                self.link.send_modify(|link| {
                    link.error = Some(error);
                    link.failures += 1;
                });
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(STORAGE_RETRY) => {}
                }
            }
            if failed {
                self.link.send_modify(|link| link.error = None);
            }
        }
    }

    async fn handle_event(&self, event: MailboxEvent) -> Result<(), ApiError> {
        match event {
            MailboxEvent::Connecting => self.link.send_modify(|link| {
                link.connection = Connection::Connecting;
                link.caught_up = false;
            }),
            MailboxEvent::Ready { epoch, acked, server_time_ms, prekeys, away_days, .. } => {
                self.core.run(move |core| core.ready(epoch, acked, server_time_ms, prekeys)).await?;
                if away_days > 0 {
                    self.core.run(move |core| core.was_away(away_days)).await?;
                }
                self.link.send_modify(|link| {
                    link.connection = Connection::Online;
                    link.error = None;
                });
                self.signals.tasks.notify_one();
            }
            MailboxEvent::Pushed(pushes) => {
                let received = self.core.run(move |core| core.receive(&pushes)).await?;
                crash_point(CrashPoint::ClientAfterCommit);
                if let Some(acked) = received.acked {
                    self.handle.ack(acked);
                }
                crash_point(CrashPoint::ClientAfterAck);
                let wakes = received.wakes;
                self.core
                    .run(move |core| {
                        core.publish(wakes);
                        Ok(())
                    })
                    .await?;
                for account in received.stale_contacts {
                    self.dispatcher.refresh(account);
                }
            }
            MailboxEvent::CaughtUp => {
                self.core.run(super::core::Core::caught_up).await?;
                self.link.send_modify(|link| link.caught_up = true);
            }
            MailboxEvent::PrekeysLow(left) => self.core.run(move |core| core.refill(left)).await?,
            MailboxEvent::Displaced => self.link.send_modify(|link| {
                link.connection = Connection::Displaced;
                link.caught_up = false;
                link.failures += 1;
                link.error = Some(
                    ApiError::new(crate::ErrorKind::AccountBusy, "this account also runs elsewhere")
                        .hint("stop the other one: a copied directory cannot be used twice at once"),
                );
            }),
            MailboxEvent::Offline { error, .. } => {
                self.link.send_modify(|link| link.failed(&error, Instant::now()));
            }
        }
        Ok(())
    }

    /// Carries queued requests to the relay, in order, whenever it is reached.
    pub(crate) async fn carry_tasks(self: Arc<Self>, stop: CancellationToken) {
        let mut left_over = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.signals.tasks.notified() => {}
                () = tokio::time::sleep(TASK_RETRY), if left_over => {}
            }
            left_over = true;
            loop {
                let next = match self.core.run(super::core::Core::first_task).await {
                    Ok(Some(next)) => next,
                    Ok(None) => {
                        left_over = false;
                        break;
                    }
                    Err(error) => {
                        tracing::error!(%error, "relay tasks cannot be read");
                        break;
                    }
                };
                let (id, request) = next;
                let outcome = tokio::select! {
                    () = stop.cancelled() => return,
                    outcome = self.handle.request(request.clone()) => outcome,
                };
                let done = match outcome {
                    Ok(_) => self.core.run(move |core| core.task_done(id, &request)).await,
                    // The next Ready wakes this task again; a busy relay on a standing connection is asked again later.
                    Err(error) if error.is_transient() => break,
                    Err(error) => {
                        let reason = error.to_string();
                        self.core.run(move |core| core.task_refused(id, &request, &reason)).await
                    }
                };
                if done.is_err() {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use subrosa_wire::{ErrorCode, submit::Refusal};

    use super::*;

    #[test]
    fn a_pause_of_our_own_may_be_cut_short_but_not_at_once_and_not_one_the_relay_asked_for() {
        let (mut link, now) = (LinkState::new(), Instant::now());
        let later = now + Duration::from_millis(HURRY_AFTER_MS);
        assert!(!link.may_hurry(later), "a try is under way");
        link.failed(&NetError::Closed, now);
        assert!(!link.may_hurry(now) && link.may_hurry(later));
        let refusal = Refusal { code: ErrorCode::RateLimited, retry_after_s: 30 };
        link.failed(&NetError::Refused(refusal), now);
        assert!(!link.may_hurry(later));
    }
}
