//! What every back end promises, in tests that know none of them: `docs/seams.md` says the same in words. A back end gives a [`Bench`]
//! and calls [`conformance!`].

mod directory;
mod intake;
mod ledger;
mod mailbox;
mod router;

pub(crate) use directory::*;
pub(crate) use intake::*;
pub(crate) use ledger::*;
pub(crate) use mailbox::*;
pub(crate) use router::*;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use subrosa_wire::{
    AccountId, Capability, CapabilityHash, DeliveryKey, DeviceAddress,
    limits::HEAD_BYTES,
    mailbox::{PrekeyUpload, Push},
    submit::{EnvelopeClass, Submit, SubmitItem},
};

use crate::{
    backend::{Directory as _, Intake as _, KeyScope, Mailbox as _, Outcomes, Source, StoreError},
    clock::now_ms,
    parts::Parts,
    policy::{
        facts::Keys,
        identity::{Device, DeviceList},
        permission::Permission,
        registration::{Admission, Registration},
        submission::{Batch, ItemOutcome},
    },
};

/// Where a back end is tested.
pub(crate) trait Bench: Send + Sync + Sized {
    /// What it is.
    type Parts: Parts;
    /// Whether a repeat of an envelope that waits is recognised. Optional: the receiver does it too.
    const RECOGNISES_REPEATS: bool;
    /// An empty one.
    async fn new() -> Self;
    /// The store.
    fn store(&self) -> &<Self::Parts as Parts>::Store;
    /// The router.
    fn router(&self) -> &<Self::Parts as Parts>::Router;
    /// The ledger.
    fn ledger(&self) -> &<Self::Parts as Parts>::Ledger;
    /// The same after its process was killed and started again: everything that was answered is there.
    async fn killed(self) -> Self;
}

/// Each promise as a test of one back end.
macro_rules! conformance {
    ($bench:ty: $($promise:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::conformance::$promise::<$bench>().await;
            }
        )+
    };
}
pub(crate) use conformance;

/// Bytes that are nobody else's.
fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An account as a store sees it: what is signed was verified before.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    id: AccountId,
    key: DeliveryKey,
    list: DeviceList,
}

impl Person {
    /// With so many devices.
    fn new(devices: u32) -> Self {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&unique().to_be_bytes());
        let mut key = [0; 16];
        key[..8].copy_from_slice(&id[..8]);
        let devices = (1..=devices).map(|number| Self::device_with_key(number, 1)).collect::<Vec<_>>();
        let list =
            DeviceList { account: AccountId(id), version: 1, highest: u32::try_from(devices.len()).unwrap(), devices };
        Self { id: AccountId(id), key: DeliveryKey::new(key), list }
    }

    fn device_with_key(number: u32, key: u8) -> Device {
        let mut identity = [key; 32];
        identity[..4].copy_from_slice(&number.to_be_bytes());
        Device { number, identity }
    }

    fn device(&self, number: u32) -> DeviceAddress {
        DeviceAddress { account: self.id, device: number }
    }

    fn registration(&self) -> Registration {
        Registration {
            record: [1; 65],
            handle: format!("person{:06}", u64::from_be_bytes(*self.id.0.first_chunk().unwrap())).parse().unwrap(),
            list_bytes: list_bytes(&self.list),
            list: self.list.clone(),
            admission: Admission::Open,
        }
    }

    /// An account that everybody with its key may write to.
    async fn registered<B: Bench>(bench: &B, devices: u32) -> Self {
        let person = Self::new(devices);
        let store = bench.store();
        store.register(SOURCE, person.registration()).await.unwrap();
        let keys = Keys { current: Some(person.key.hash()), previous: None };
        store.set_keys(SOURCE, person.id, KeyScope::Delivery, keys).await.unwrap();
        person
    }

    async fn uploads<B: Bench>(&self, bench: &B, number: u32, ids: std::ops::Range<u32>) {
        let key = |id: u32| Bytes::from([&id.to_be_bytes()[..], &[9; 8]].concat());
        let upload = PrekeyUpload {
            signed_prekey: Some(Bytes::from_static(b"signed")),
            last_resort_kem: Some(Bytes::from_static(b"last resort")),
            one_time_ec: ids.clone().map(key).collect(),
            one_time_kem: ids.map(key).collect(),
            replace_one_time: false,
        };
        bench.store().put_prekeys(SOURCE, self.device(number), upload).await.unwrap();
    }

    /// An envelope for one of its devices, unlike any other.
    fn envelope(&self, number: u32) -> SubmitItem {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&unique().to_be_bytes());
        SubmitItem {
            device: self.device(number),
            capability: Some(Capability::DeliveryKey(self.key.clone())),
            class: EnvelopeClass::Durable,
            expiry_s: 0,
            head,
            body_ref: 0,
            list_version: self.list.version,
        }
    }

    /// All that waits for one of its devices.
    async fn waiting<B: Bench>(&self, bench: &B, number: u32) -> Vec<Push> {
        let mut rows: Vec<Push> = Vec::new();
        loop {
            let after = rows.last().map_or(0, |row| row.seq);
            let page = bench.store().read(self.device(number), after, 1_000).await.unwrap();
            rows.extend(page.rows);
            if !page.more {
                return rows;
            }
        }
    }
}

const SOURCE: Source = Source::RELAY;
const BODY: Bytes = Bytes::from_static(&[7; 512]);

/// The bytes of a list as far as a store reads them.
fn list_bytes(list: &DeviceList) -> Bytes {
    [&[0; 41][..], &list.version.to_be_bytes(), &list.highest.to_be_bytes()].concat().into()
}

fn batch(items: Vec<SubmitItem>) -> Batch {
    Batch::new(Submit { bodies: vec![BODY], items }, now_ms(), Permission::of)
}

/// Submits and waits.
async fn submit<B: Bench>(bench: &B, items: Vec<SubmitItem>) -> Result<Outcomes, StoreError> {
    bench.store().submit(SOURCE, batch(items)).await?.outcome().await
}

/// Submits what is accepted.
async fn accepted<B: Bench>(bench: &B, items: Vec<SubmitItem>) {
    for (_, outcome) in submit(bench, items).await.unwrap() {
        assert_eq!(outcome, ItemOutcome::Stored);
    }
}

fn hash(n: u8) -> CapabilityHash {
    CapabilityHash([n; 32])
}
