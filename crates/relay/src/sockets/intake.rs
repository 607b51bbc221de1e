//! The one way in for envelopes, by whichever socket they come: counted, judged, stored, and told to their receivers.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use subrosa_wire::{
    Capability, DeviceAddress,
    mailbox::{Push, Way},
    submit::{EnvelopeClass, Refusal, Submit, SubmitItem, SubmitResult},
};

use crate::{
    backend::{Accepted, Intake as _, Outcomes, Source, StoreError},
    clock::now_ms,
    ledger::{Ledger, Limit},
    parts::Parts,
    policy::{
        limits::FULL_RETRY_S,
        permission::Permission,
        submission::{Batch, ItemOutcome, Rates},
    },
    router::Router as _,
    shared::Shared,
};

/// How an item's outcome reads on the wire.
pub(crate) fn result_of(outcome: ItemOutcome) -> SubmitResult {
    match outcome {
        ItemOutcome::Stored | ItemOutcome::Repeat | ItemOutcome::HandOn(_) => SubmitResult::Accepted,
        ItemOutcome::StaleDevices(list) => SubmitResult::StaleDevices(list),
        ItemOutcome::Full => SubmitResult::Full { retry_after_s: FULL_RETRY_S },
        ItemOutcome::Refused(Refusal { code, retry_after_s }) => SubmitResult::Refused { code, retry_after_s },
    }
}

/// A submission on its way to the disk.
pub(crate) struct Queued {
    accepted: Result<Accepted, StoreError>,
    /// One for each item, in order.
    targets: Vec<Target>,
}

/// Where an item goes, what it counts for, and what an ephemeral one carries.
struct Target {
    device: DeviceAddress,
    permission: Permission,
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

/// The limits that an item counts for once it was permitted.
fn limits(device: &DeviceAddress, permission: &Permission) -> impl Iterator<Item = Limit> {
    [Some(Limit::Account(device.account)), permission.counted().map(Limit::Capability)].into_iter().flatten()
}

impl Queued {
    /// Queues a submission: in the order of this call, for one source. `permission` says what allows an item, by its capability.
    pub(crate) async fn new<P: Parts>(
        shared: &Shared<P>,
        source: Source,
        submit: Submit,
        permission: impl Fn(Option<&Capability>) -> Permission,
    ) -> Self {
        let received_ms = now_ms();
        let ephemeral = |item: &SubmitItem| Ephemeral {
            head: Bytes::copy_from_slice(&item.head),
            body: submit.bodies.get(item.body_ref).cloned().unwrap_or_default(),
            received_ms,
        };
        let ephemerals: Vec<_> =
            submit.items.iter().map(|item| (item.class == EnvelopeClass::Ephemeral).then(|| ephemeral(item))).collect();
        let mut batch = Batch::new(submit, received_ms, permission);
        batch.rates = rates(&shared.ledger, &batch).await;
        let targets = batch
            .items
            .iter()
            .zip(ephemerals)
            .map(|(item, ephemeral)| Target { device: item.device, permission: item.permission, ephemeral })
            .collect();
        Self { accepted: shared.store.submit(source, batch).await, targets }
    }

    /// Waits until it is durable, counts it, and wakes who has something new.
    ///
    /// # Errors
    /// Nothing of it was stored.
    pub(crate) async fn settled<P: Parts>(self, shared: &Shared<P>) -> Result<Outcomes, StoreError> {
        let outcomes = self.accepted?.outcome().await?;
        let mut charges: HashMap<Limit, u32> = HashMap::new();
        for ((_, outcome), target) in outcomes.iter().zip(self.targets) {
            shared.metrics.outcome(outcome);
            if outcome.is_counted() {
                limits(&target.device, &target.permission).for_each(|limit| *charges.entry(limit).or_default() += 1);
            }
            match (outcome, target.ephemeral) {
                (ItemOutcome::Stored, _) => shared.router.wake(target.device).await,
                (ItemOutcome::HandOn(way), Some(ephemeral)) => {
                    shared.router.offer(target.device, ephemeral.came_by(*way)).await;
                }
                _ => {}
            }
        }
        shared.ledger.charge(charges.into_iter().collect()).await;
        Ok(outcomes)
    }
}

/// What the rates of all receivers and capabilities of a submission let through now.
async fn rates<L: Ledger>(ledger: &L, batch: &Batch) -> Rates {
    let wanted: HashSet<Limit> = batch.items.iter().flat_map(|item| limits(&item.device, &item.permission)).collect();
    let wanted: Vec<Limit> = wanted.into_iter().collect();
    let left = ledger.left(wanted.clone()).await;
    let mut rates = Rates::default();
    for (limit, left) in wanted.into_iter().zip(left) {
        match limit {
            Limit::Account(account) => drop(rates.accounts.insert(account, left)),
            Limit::Capability(hash) => drop(rates.capabilities.insert(hash, left)),
            _ => {}
        }
    }
    rates
}
