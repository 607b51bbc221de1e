//! The outbox at work: for each lane one batch in flight, for each device first-in first-out.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use subrosa_wire::{
    AccountId, Capability, DeviceAddress, ErrorCode,
    http::{GetDevices, Prekeys},
    limits::MAX_BUNDLES,
    mailbox::{MailboxRequest, RequestOutcome},
    submit::Refusal,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{ApiError, ErrorKind},
    engine::{
        core::{Change, Core, CoreHandle, Signals, now_ms},
        people::audience::Audience,
        send::{
            results::Retry,
            routes::Route,
            sealing::{Batch, Prepared},
        },
    },
    limits::{LIST_ASK_PAUSE, MAX_BATCH, RESTORED_EVERY, RETRY_MAX, millis},
    net::{Http, MailboxHandle, NetError, RelayEndpoint, Submitter, jitter},
    store::{self, deliveries::Lane},
};

/// Lanes served at once: enough to hide round trips, few enough to stay small.
const MAX_CONCURRENT: usize = 16;

/// Of these at most so many whose relay was not reached the last time: relays that hang keep nobody else waiting.
const MAX_STRUGGLING: usize = MAX_CONCURRENT / 2;

/// Steps (fetch list, fetch bundles, seal, submit) for each account of a lane before others get a turn; lists that change faster
/// than this are somebody's game.
const MAX_STEPS: usize = 8;

/// The outbox looks again after this long even if nothing woke it.
const IDLE_LOOK: Duration = Duration::from_secs(30);

/// After a fault of our own (full disk) nothing is tried for this long.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// Carries the outbox's batches to relays.
pub(crate) struct Dispatcher {
    pub(crate) core: CoreHandle,
    pub(crate) http: Http,
    pub(crate) submitter: Submitter,
    pub(crate) handle: MailboxHandle,
    pub(crate) signals: Arc<Signals>,
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// Contacts whose device lists are being fetched.
    pub(crate) refreshing: Mutex<HashSet<AccountId>>,
}

impl Core {
    /// Lanes of which something may go now (they are busy from here on), and when the next one may.
    fn due(&mut self) -> Result<(Vec<Lane>, Option<u64>), ApiError> {
        if !self.may_seal() {
            return Ok((Vec::new(), None));
        }
        let now = now_ms();
        let mut due = Vec::new();
        let mut next = self.introduce_due(now)?;
        for (lane, next_ms) in store::deliveries::lanes(&self.db, now)? {
            if self.busy.contains(&lane) {
                continue;
            }
            if next_ms <= now {
                let struggles = self.struggling.contains(&lane);
                let slots = if struggles { MAX_STRUGGLING } else { MAX_CONCURRENT };
                let taken = self.busy.iter().filter(|busy| !struggles || self.struggling.contains(busy)).count();
                if taken < slots && self.busy.len() < MAX_CONCURRENT {
                    self.busy.insert(lane.clone());
                    due.push(lane);
                }
            } else {
                next = Some(next.map_or(next_ms, |earliest| earliest.min(next_ms)));
            }
        }
        Ok((due, next))
    }

    /// Nothing more to do for this lane now. Nothing else takes a lane out of `busy`: were it free before its task has ended, a
    /// second batch would be in flight beside the first.
    fn release(&mut self, lane: &Lane) {
        self.busy.remove(lane);
        self.signals.progress.send_modify(|count| *count = count.wrapping_add(1));
        self.signals.outbox.notify_one();
    }

    /// Whether everything that can go has gone.
    pub(crate) fn is_idle(&mut self) -> Result<bool, ApiError> {
        if self.stands_still() {
            return Ok(self.busy.is_empty());
        }
        let now = now_ms();
        // Between two batches of what is sent again there is a pause, and not the end.
        let soon = now.saturating_add(millis(RESTORED_EVERY).saturating_mul(MAX_BATCH as u64));
        let due = store::deliveries::lanes(&self.db, now)?.iter().any(|(_, next_ms)| *next_ms <= soon);
        Ok(!due && self.busy.is_empty() && !store::pending_receipts::any(&self.db)?)
    }

    /// Where to ask for the devices of somebody we talk with.
    fn route_to(&mut self, account: &AccountId) -> Result<Option<Route>, ApiError> {
        Ok(Audience::of(&self.db, account)?.map(|audience| Route::to(&audience, false)))
    }
}

impl Dispatcher {
    /// Runs until `stop`.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let (due, next_ms) = match self.core.run(Core::due).await {
                Ok(due) => due,
                Err(error) => {
                    if self.stop.is_cancelled() {
                        return;
                    }
                    tracing::error!(%error, "the outbox cannot be read");
                    tokio::time::sleep(FAULT_PAUSE).await;
                    continue;
                }
            };
            for lane in due {
                let this = Arc::clone(&self);
                self.tracker.spawn(async move {
                    tokio::select! {
                        biased;
                        () = this.stop.cancelled() => {}
                        () = this.serve(lane) => {}
                    }
                });
            }
            let pause = next_ms
                .map_or(IDLE_LOOK, |next| Duration::from_millis(next.saturating_sub(now_ms()).max(1)).min(IDLE_LOOK));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.signals.outbox.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn serve(&self, lane: Lane) {
        if let Err(error) = self.steps(&lane).await {
            tracing::error!(%error, "a batch could not be prepared");
            tokio::time::sleep(FAULT_PAUSE).await;
            let rests = lane.clone();
            // If even this fails everything stays as it is and is tried again.
            let _ = self.core.run(move |core| core.postpone(&rests, None, &error, Retry::Backoff(RETRY_MAX))).await;
        }
        let _ = self
            .core
            .run(move |core| {
                core.release(&lane);
                Ok(())
            })
            .await;
    }

    async fn steps(&self, lane: &Lane) -> Result<(), ApiError> {
        let (mut steps, mut accounts) = (0, HashSet::new());
        while steps < MAX_STEPS * accounts.len().max(1) {
            steps += 1;
            let at = lane.clone();
            let (account, step) = match self.core.run(move |core| core.prepare(&at)).await? {
                Prepared::Nothing => return Ok(()),
                Prepared::NeedDevices(account, route) => (Some(account), self.fetch_devices(account, &route).await),
                Prepared::NeedBundles(route, devices) => {
                    (devices.first().map(|device| device.account), self.fetch_bundles(&route, devices).await)
                }
                Prepared::Seal(sealing) => {
                    let sealed = subrosa_tasks::beside(move || sealing.run()).await;
                    let sealed = sealed.map_err(|_| ApiError::new(ErrorKind::Failed, "sealing was cut off"))??;
                    self.core.run(move |core| core.keep_sealed(&sealed)).await?;
                    continue;
                }
                Prepared::Ready(batch) => match self.submit(&batch).await {
                    Ok(results) => {
                        let at = lane.clone();
                        self.core.run(move |core| core.finish(&at, &batch, &results)).await?;
                        return Ok(());
                    }
                    Err(error) => (None, Err(error)),
                },
            };
            accounts.extend(account);
            let Err(failure) = step else { continue };
            self.failed(lane, account, failure).await?;
            // The others in it go on; a relay that is not reached is so for all.
            if account.is_none() {
                return Ok(());
            }
        }
        Err(ApiError::new(ErrorKind::Failed, "what is needed to write to them changes faster than it is fetched"))
    }

    /// A step did not succeed, for one account or for the whole lane.
    async fn failed(&self, lane: &Lane, account: Option<AccountId>, failure: Failure) -> Result<(), ApiError> {
        let at = lane.clone();
        match failure {
            Failure::Fault(error) => Err(error),
            Failure::Behind(reason) => {
                // What a contact announced makes us ask their relay, ever more rarely while it has nothing newer.
                let retry = Retry::Backoff(LIST_ASK_PAUSE);
                self.core.run(move |core| core.postpone(&at, account.as_ref(), &reason, retry)).await
            }
            Failure::Net(error) => {
                let api = error.to_api();
                // A relay of another version is for an update to mend, here or there.
                if error.is_transient() || matches!(error, NetError::NewerRelay) {
                    // The hint may be the same for many: spread over as long again.
                    let after = error.retry_after().map(|after| after + jitter(after));
                    let retry = after.map_or(Retry::Backoff(RETRY_MAX), |after| Retry::After(millis(after)));
                    self.core.run(move |core| core.postpone(&at, account.as_ref(), &api, retry)).await
                } else {
                    self.core.run(move |core| core.give_up(&at, account.as_ref(), &api)).await
                }
            }
        }
    }

    async fn submit(&self, batch: &Batch) -> Result<Vec<subrosa_wire::submit::SubmitResult>, Failure> {
        if batch.route.capability.is_some() {
            let relay = endpoint(&batch.route)?;
            return Ok(self.submitter.submit(&relay, &batch.submit).await?);
        }
        match self.handle.request(MailboxRequest::SubmitRequest(batch.submit.clone())).await? {
            RequestOutcome::Submit(results) if results.len() == batch.submit.items.len() => Ok(results),
            _ => Err(Failure::Net(NetError::Closed)),
        }
    }

    async fn fetch_devices(&self, account: AccountId, route: &Route) -> Result<(), Failure> {
        let relay = endpoint(route)?;
        let devices = self.http.call(&relay, &GetDevices { account }).await?;
        let learn = move |core: &mut Core| core.change(|change| change.learn_list(&account, &devices.device_list));
        match self.core.run(learn).await?.behind {
            // Asked again later, as if it had not been reached: no relay makes us seal for an older list.
            Some(reason) => Err(Failure::Behind(ApiError::new(ErrorKind::Failed, reason))),
            None => Ok(()),
        }
    }

    async fn fetch_bundles(&self, route: &Route, devices: Vec<DeviceAddress>) -> Result<(), Failure> {
        let relay = endpoint(route)?;
        let mut bundles = Vec::with_capacity(devices.len());
        for devices in devices.chunks(MAX_BUNDLES) {
            bundles.extend(self.bundles(&relay, devices, route.capability.as_ref()).await?);
        }
        // A spent or changed capability still lets a session start, with last-resort keys; whether we may write is for the submission to
        // find out.
        if route.capability.is_some() {
            let refused = |(_, bundle): &(DeviceAddress, Result<Prekeys, Refusal>)| {
                bundle.as_ref().is_err_and(|refusal| {
                    matches!(refusal.code, ErrorCode::CapabilityRefused | ErrorCode::QuotaExceeded)
                })
            };
            let (again, given): (Vec<_>, Vec<_>) = bundles.into_iter().partition(refused);
            bundles = given;
            let again: Vec<DeviceAddress> = again.into_iter().map(|(device, _)| device).collect();
            for devices in again.chunks(MAX_BUNDLES) {
                bundles.extend(self.bundles(&relay, devices, None).await?);
            }
        }
        for (device, prekeys) in bundles {
            let prekeys = match prekeys {
                Ok(prekeys) => prekeys,
                Err(refusal) if matches!(refusal.code, ErrorCode::NotFound | ErrorCode::Unavailable) => {
                    self.core
                        .run(move |core| {
                            core.has_no_keys(device);
                            Ok(())
                        })
                        .await?;
                    continue;
                }
                Err(refusal) => return Err(NetError::refused(refusal).into()),
            };
            let start = move |change: &mut Change<'_>| {
                // Their first message may have come while we asked. Two sessions, each current at one side only,
                // would never be answered and never ratchet.
                if store::sessions::has_current(change.db, &device)? {
                    return Ok(());
                }
                change.start_session(device, &prekeys)
            };
            let started = self.core.run(move |core| core.change(start)).await;
            match started {
                Err(error) if error.code == ErrorKind::IdentityChanged => {
                    let account = device.account;
                    self.core
                        .run(move |core| core.change(|change| change.hold_account(&account, &error.message)))
                        .await?;
                    return Ok(());
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn bundles(
        &self,
        relay: &RelayEndpoint,
        devices: &[DeviceAddress],
        capability: Option<&Capability>,
    ) -> Result<Vec<(DeviceAddress, Result<Prekeys, Refusal>)>, NetError> {
        let bundles = self.http.prekeys(relay, devices, capability).await?;
        Ok(devices.iter().copied().zip(bundles).collect())
    }

    /// Fetches a contact's device list in the background, once at a time.
    pub(crate) fn refresh(self: &Arc<Self>, account: AccountId) {
        let fresh = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        if !fresh {
            return;
        }
        let this = Arc::clone(self);
        self.tracker.spawn(async move {
            let fetch = async {
                if let Ok(Some(route)) = this.core.run(move |core| core.route_to(&account)).await {
                    // If it fails the list stays marked: the next send fetches it.
                    let _ = this.fetch_devices(account, &route).await;
                }
            };
            tokio::select! {
                biased;
                () = this.stop.cancelled() => {}
                () = fetch => {}
            }
            this.refreshing.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
        });
    }
}

/// Why a step did not succeed.
enum Failure {
    /// The network or a relay.
    Net(NetError),
    /// Ourselves.
    Fault(ApiError),
    /// The relay serves an older device list than its account announced.
    Behind(ApiError),
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Fault(error)
    }
}

fn endpoint(route: &Route) -> Result<RelayEndpoint, NetError> {
    RelayEndpoint::new(route.relay.clone(), route.pin)
}
