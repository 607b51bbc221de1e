//! The tasks at our own mailbox: commit what is pushed, acknowledge, tell the interfaces; and carry
//! requests that must not be lost to the relay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use subrosa_crash_point::{CrashPoint, crash_point};
use subrosa_crypto::{IdentityKeyPair, PartyAddress, RelayMarks};
use subrosa_wire::{
    DeviceAddress,
    limits::{MAX_BODY_BYTES, MAX_MAILBOX_BYTES, MAX_MAILBOX_ROWS},
    mailbox::{LoginMarks, Push},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{ApiError, Connection},
    engine::{
        core::{CoreHandle, Signals, address, link::LinkState},
        send::dispatch::Dispatcher,
    },
    net::{Login, MailboxEvent, MailboxHandle, MailboxSigner, NetError},
};

/// A failed commit (full disk) is tried again after this long.
const STORAGE_RETRY: Duration = Duration::from_secs(1);

/// A request that the relay could not take now is made again after this long.
const TASK_RETRY: Duration = Duration::from_secs(15);

/// Signs the relay's challenges.
pub(crate) struct Signer {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) address: PartyAddress,
    pub(crate) core: CoreHandle,
    pub(crate) signals: Arc<Signals>,
    /// For errors.
    pub(crate) relay: String,
}

impl MailboxSigner for Signer {
    fn device(&self) -> DeviceAddress {
        address(&self.address)
    }

    fn may_log_in(&self) -> bool {
        !self.signals.other_copy.load(Ordering::SeqCst)
    }

    fn marks(&self) -> BoxFuture<'_, Result<LoginMarks, NetError>> {
        Box::pin(async {
            let marks = self.core.run(crate::engine::core::Core::login_marks).await;
            // Without a mark on the disk nothing may be shown: tried again, as if the relay had not been reached.
            marks.map_err(|error| NetError::Unreachable { relay: self.relay.clone(), cause: error.message })
        })
    }

    fn sign(&self, login: &Login<'_>) -> [u8; 64] {
        let LoginMarks { mark, shown, take_over } = login.marks;
        let marks = RelayMarks { shown, new: mark, take_over: *take_over };
        self.identity.sign_relay_auth(login.authority, login.pin, login.exporter, login.nonce, &self.address, &marks)
    }
}

/// Everything the mailbox tasks need.
pub(crate) struct Mailbox {
    pub(crate) core: CoreHandle,
    pub(crate) handle: MailboxHandle,
    pub(crate) link: watch::Sender<LinkState>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    /// Another login of this device ended the last session, and none of ours has stood since.
    pub(crate) displaced: AtomicBool,
    pub(crate) backlog: Backlog,
}

/// What waited in the mailbox when this device logged in.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    envelopes: AtomicUsize,
    bytes: AtomicUsize,
}

impl Backlog {
    fn start(&self) {
        self.envelopes.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// A batch that is handled again counts again: at worst somebody is asked who need not be.
    fn count(&self, pushes: &[Push]) {
        let bytes: usize = pushes.iter().map(|push| push.head.len() + push.body.len()).sum();
        self.envelopes.fetch_add(pushes.len(), Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All has come: whether it was as much as a mailbox takes. Once a login.
    fn was_full(&self) -> bool {
        let (envelopes, bytes) = (self.envelopes.swap(0, Ordering::Relaxed), self.bytes.swap(0, Ordering::Relaxed));
        envelopes >= MAX_MAILBOX_ROWS || bytes.saturating_add(MAX_BODY_BYTES) > MAX_MAILBOX_BYTES
    }
}

impl Mailbox {
    /// Follows the mailbox until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, mut events: mpsc::Receiver<MailboxEvent>, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                biased;
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
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(STORAGE_RETRY) => {}
                }
            }
            if failed {
                self.link.send_modify(|link| link.error = None);
            }
        }
    }

    fn begin_to_seal(&self) {
        if !self.signals.may_seal.swap(true, Ordering::SeqCst) {
            self.signals.outbox.notify_one();
        }
    }

    fn stands_still(&self) -> bool {
        self.signals.other_copy.load(Ordering::SeqCst)
    }

    async fn handle_event(&self, event: MailboxEvent) -> Result<(), ApiError> {
        match event {
            MailboxEvent::Connecting => self.link.send_modify(|link| {
                link.connection = Connection::Connecting;
                link.caught_up = false;
            }),
            // Of a session that this copy gave up: another one fetches it.
            MailboxEvent::Pushed(_) | MailboxEvent::CaughtUp | MailboxEvent::PrekeysLow(_) if self.stands_still() => {}
            MailboxEvent::Ready(ready) => {
                self.core.run(move |core| core.ready(ready)).await?;
                if self.stands_still() {
                    // Ends this session, and there is no other: nothing of what it brings is acknowledged.
                    self.handle.reconnect_now();
                    self.link.send_modify(LinkState::other_copy);
                    return Ok(());
                }
                self.core.run(move |core| core.was_away(ready.away_days)).await?;
                self.backlog.start();
                self.displaced.store(false, Ordering::SeqCst);
                self.begin_to_seal();
                self.link.send_modify(|link| {
                    link.connection = Connection::Online;
                    link.error = None;
                });
                self.signals.tasks.notify_one();
            }
            MailboxEvent::Pushed(pushes) => {
                self.backlog.count(&pushes);
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
                if self.backlog.was_full() {
                    self.core.run(crate::engine::core::Core::was_full).await?;
                }
                self.core.run(crate::engine::core::Core::caught_up).await?;
                self.core.run(crate::engine::core::Core::ask_for_missing).await?;
                self.link.send_modify(|link| link.caught_up = true);
            }
            MailboxEvent::PrekeysLow(left) => self.core.run(move |core| core.refill(left)).await?,
            MailboxEvent::OtherCopy => {
                self.core.run(crate::engine::core::Core::stand_still).await?;
                self.link.send_modify(LinkState::other_copy);
            }
            // Until the next login has told whether by another copy.
            MailboxEvent::Displaced => {
                self.displaced.store(true, Ordering::SeqCst);
                self.signals.may_seal.store(false, Ordering::SeqCst);
            }
            MailboxEvent::Offline { error, .. } => {
                // A relay that is away keeps nobody from writing to people at others.
                if !self.displaced.load(Ordering::SeqCst) {
                    self.begin_to_seal();
                }
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
                biased;
                () = stop.cancelled() => return,
                () = self.signals.tasks.notified() => {}
                () = tokio::time::sleep(TASK_RETRY), if left_over => {}
            }
            left_over = true;
            loop {
                let next = match self.core.run(crate::engine::core::Core::first_task).await {
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
                    biased;
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
    use crate::engine::core::link::HURRY_AFTER_MS;

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
