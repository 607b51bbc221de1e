//! The traits behind which a relay stores things, and the embedded back end: one SQLite database.
//!
//! Nothing outside this module knows which back end it has. Every `Ok` of a change means: durable.

mod columns;
mod commit_metrics;
mod commit_size;
pub(crate) mod copies;
mod directory;
mod fair;
mod intake;
mod integrity;
mod mailbox;
mod operator;
mod readers;
mod schema;
mod shares;
mod writer;

use std::{future::Future, net::IpAddr, sync::Arc};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use subrosa_wire::{
    AccountId, Capability, CapabilityHash, DeviceAddress, EnvelopeId, ErrorCode, Handle, MailboxEpoch, Seq,
    http::{ACCOUNT_RECORD_BYTES, Devices, Prekeys},
    limits::HEAD_BYTES,
    mailbox::{LoginMarks, PrekeyCount, PrekeyUpload, Push, Way},
    submit::{EnvelopeClass, Refusal, Submit},
};
use tokio::sync::oneshot;

use crate::{
    config::{Config, RelayError},
    policy::{
        identity::DeviceList,
        limiter::{Buckets, Network},
        limits::{RateLimits, SUBMIT_UNIT_BYTES, UNAVAILABLE_RETRY_S},
    },
};

pub use crate::policy::registration::Admission;
pub(crate) use commit_metrics::CommitMetrics;
use fair::Cost;
pub use operator::{AccountFacts, NewToken, Operators, TokenFacts, Totals};
pub(crate) use schema::lock_data_dir;
use shares::Shares;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The rules say no; nothing was changed.
    #[error("{}", .0.code)]
    Refused(Refusal),
    /// Nothing can be stored now: the disk is full or failing, or the relay is stopping. Nothing was changed.
    #[error("cannot store now: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// A refusal that no waiting mends.
    pub(crate) const fn refused(code: ErrorCode) -> Self {
        Self::Refused(Refusal::never(code))
    }

    /// What the client is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            Self::Unavailable(_) => Refusal { code: ErrorCode::Unavailable, retry_after_s: UNAVAILABLE_RETRY_S },
        }
    }
}

/// On whose behalf something is changed. Changes of one source keep their order, and do not hold up those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(Option<Network>);

impl Source {
    /// The relay's own work, and its operator's.
    pub(crate) const RELAY: Self = Self(None);

    /// A client at this address. Not its account or connection: of these, one client may have many.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(Some(Network::of(address)))
    }

    /// The address that asks, as large as one customer's; `None` where it says nothing about who asks.
    fn asker(self) -> Option<Network> {
        self.0.filter(|network| !network.is_own()).map(Network::customer)
    }
}

/// A new account; every signature in it has been verified.
#[derive(Debug, Clone)]
pub struct Registration {
    /// 65 bytes.
    pub record: [u8; ACCOUNT_RECORD_BYTES],
    /// The wanted alias.
    pub handle: Handle,
    /// As it came.
    pub list_bytes: Bytes,
    /// As it was read.
    pub list: DeviceList,
    /// What lets it in.
    pub admission: Admission,
}

/// Keys taken for a new session.
#[derive(Debug, Clone)]
pub struct Taken {
    /// For the asker.
    pub prekeys: Prekeys,
    /// What is left, if one-time keys were taken and the device should refill.
    pub low: Option<PrekeyCount>,
}

/// Accounts, device lists, prekeys and capabilities.
pub trait Directory: Send + Sync + 'static {
    /// Adds an account, if it is admitted. The same content again succeeds again.
    fn register(
        &self,
        source: Source,
        registration: Registration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// The account with this handle.
    fn resolve(&self, handle: Handle) -> impl Future<Output = Result<Option<AccountId>, StoreError>> + Send;
    /// Record and newest list of an account.
    fn devices(&self, account: AccountId) -> impl Future<Output = Result<Option<Devices>, StoreError>> + Send;
    /// The identity key of a device that is on its account's list.
    fn identity(&self, device: DeviceAddress) -> impl Future<Output = Result<Option<[u8; 32]>, StoreError>> + Send;
    /// Replaces the list by a newer, verified one. Gives the devices that are no longer what they
    /// were: their mailbox and prekeys are gone, their sessions must end.
    fn put_device_list(
        &self,
        source: Source,
        list_bytes: Bytes,
        list: DeviceList,
    ) -> impl Future<Output = Result<Vec<DeviceAddress>, StoreError>> + Send;
    /// Adds or replaces prekeys of a device.
    fn put_prekeys(
        &self,
        source: Source,
        device: DeviceAddress,
        upload: PrekeyUpload,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Takes keys to start a session with a device: one-time keys only against a capability, each key once.
    fn take_prekeys(
        &self,
        source: Source,
        device: DeviceAddress,
        capability: Option<Capability>,
    ) -> impl Future<Output = Result<Taken, StoreError>> + Send;
    /// Sets the account's delivery key, and its predecessor with the time (ms since 1970) until which that is honoured.
    fn set_delivery_keys(
        &self,
        source: Source,
        account: AccountId,
        current: CapabilityHash,
        previous: Option<(CapabilityHash, u64)>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Adds a contact token.
    fn put_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
        expires_ms: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Removes a contact token, if it is there.
    fn remove_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What stands in for the sender's permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// SHA-256 of a delivery key.
    DeliveryKey(CapabilityHash),
    /// SHA-256 of a contact token and of its binding.
    ContactToken(CapabilityHash, CapabilityHash),
    /// None was given.
    Missing,
    /// The request lane: the sender is authenticated and within its limits.
    Request,
    /// The request lane beyond its limits: only repeats of what is known are accepted.
    RequestRefused(Refusal),
}

impl Permission {
    /// What an anonymous item shows.
    pub(crate) fn of(capability: Option<&Capability>) -> Self {
        match capability {
            None => Self::Missing,
            Some(Capability::DeliveryKey(key)) => Self::DeliveryKey(key.hash()),
            Some(Capability::ContactToken { token, binding }) => Self::ContactToken(token.hash(), binding.hash()),
        }
    }
}

/// One envelope to be stored.
#[derive(Debug, Clone)]
pub struct IntakeItem {
    /// Where it goes.
    pub device: DeviceAddress,
    /// Hash over device, head and body.
    pub id: EnvelopeId,
    /// What allows it.
    pub permission: Permission,
    /// Durable or ephemeral.
    pub class: EnvelopeClass,
    /// When it expires, milliseconds since 1970.
    pub expires_ms: u64,
    /// The wrapped body key.
    pub head: [u8; HEAD_BYTES],
    /// Index of its body.
    pub body: usize,
    /// The receiver's list version as the sender knows it.
    pub list_version: u32,
}

/// Envelopes that are stored in one durable transaction.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Sealed bodies.
    pub bodies: Vec<Bytes>,
    /// At least one; every body index is valid.
    pub items: Vec<IntakeItem>,
}

impl Batch {
    /// Hashes what has to be hashed, so that the store only compares. `permission` decides
    /// from an item's capability what allows it.
    pub(crate) fn new(submit: Submit, now_ms: u64, permission: impl Fn(Option<&Capability>) -> Permission) -> Self {
        let max_expiry_s = subrosa_wire::limits::MAX_EXPIRY.as_secs();
        let items = submit
            .items
            .iter()
            .map(|item| {
                let expiry_s = match item.expiry_s {
                    0 => max_expiry_s,
                    wanted => u64::from(wanted).min(max_expiry_s),
                };
                let body: &[u8] = submit.bodies.get(item.body_ref).map_or(&[], |body| body);
                IntakeItem {
                    device: item.device,
                    id: EnvelopeId::of(&item.device, &item.head, body),
                    permission: permission(item.capability.as_ref()),
                    class: item.class,
                    expires_ms: now_ms.saturating_add(expiry_s * 1_000),
                    head: item.head,
                    body: item.body_ref,
                    list_version: item.list_version,
                }
            })
            .collect();
        Self { bodies: submit.bodies, items }
    }

    /// Bytes of all bodies.
    fn body_bytes(&self) -> usize {
        self.bodies.iter().map(Bytes::len).sum()
    }

    fn cost(&self) -> Cost {
        let bytes = self.body_bytes();
        Cost { weight: self.items.len() + bytes / SUBMIT_UNIT_BYTES, bytes }
    }
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemOutcome {
    /// Stored under this number.
    Stored(Seq),
    /// Already waiting.
    Repeat,
    /// Ephemeral and permitted, in this way: to be handed to the device's session, if there is one.
    HandOn(Way),
    /// The receiver's list is newer, or the device is not on it.
    StaleDevices(Bytes),
    /// The mailbox is full.
    Full,
    /// Not permitted.
    Refused(Refusal),
}

/// The outcome of a submission that is on its way to the disk.
#[derive(Debug)]
pub struct Accepted(pub(crate) oneshot::Receiver<Result<Vec<ItemOutcome>, StoreError>>);

impl Accepted {
    /// One outcome for each item; `Ok` means durable.
    ///
    /// # Errors
    /// Nothing of the submission was stored.
    pub async fn outcome(self) -> Result<Vec<ItemOutcome>, StoreError> {
        self.0.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store has stopped".to_owned())))
    }
}

/// Takes submissions.
pub trait Intake: Send + Sync + 'static {
    /// Queues a submission. Those of one source are committed in the order in which this was called; one whose future is
    /// dropped before it returned may be left out.
    fn submit(&self, source: Source, batch: Batch) -> impl Future<Output = Result<Accepted, StoreError>> + Send;
}

/// What a new session starts from.
#[derive(Debug, Clone, Copy)]
pub struct MailboxState {
    /// Names this life of the store.
    pub epoch: MailboxEpoch,
    /// The identity key on the account's list now.
    pub identity: [u8; 32],
    /// The operator lets it neither connect nor receive.
    pub disabled: bool,
    /// Highest acknowledged number.
    pub acked: Seq,
    /// One-time prekeys left.
    pub prekeys: PrekeyCount,
}

/// A login of a device that has proven who it is.
#[derive(Debug, Clone)]
pub struct Login {
    /// Whose.
    pub device: DeviceAddress,
    /// SHA-256 of the marks it shows.
    pub shown: Vec<[u8; 32]>,
    /// SHA-256 of the mark it leaves.
    pub mark: [u8; 32],
    /// A person chose this copy.
    pub take_over: bool,
}

impl Login {
    /// Only hashes go on from here.
    pub(crate) fn new(device: DeviceAddress, marks: &LoginMarks) -> Self {
        let hash = |mark: &[u8; 16]| Sha256::digest(mark).into();
        Self {
            device,
            shown: marks.shown.iter().map(hash).collect(),
            mark: hash(&marks.mark),
            take_over: marks.take_over,
        }
    }
}

/// Rows of a mailbox in the order of their numbers.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In `Seq` order.
    pub rows: Vec<Push>,
    /// Whether there may be more behind them.
    pub more: bool,
}

/// Envelopes that wait for a device.
pub trait Mailbox: Send + Sync + 'static {
    /// Where a session starts; `None` if the device is on no list.
    fn state(&self, device: DeviceAddress) -> impl Future<Output = Result<Option<MailboxState>, StoreError>> + Send;
    /// At most `max_rows` rows behind `after`.
    fn read(
        &self,
        device: DeviceAddress,
        after: Seq,
        max_rows: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;
    /// Deletes everything up to `upto`, about so many rows: monotone, repeatable, durable when it returns.
    fn ack(
        &self,
        source: Source,
        device: DeviceAddress,
        upto: Seq,
        rows: usize,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Lets a copy of a device in and keeps what its next login has to show, unless another copy was let in since this one:
    /// [`ErrorCode::OtherCopy`]. Notes the day (since 1970), too, and gives how many days the device was away.
    fn log_in(&self, source: Source, login: Login, today: u32) -> impl Future<Output = Result<u32, StoreError>> + Send;
    /// Notes that the device is connected on this day (since 1970). Gives how many days it was away.
    fn seen(
        &self,
        source: Source,
        device: DeviceAddress,
        today: u32,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;
    /// Deletes what has expired by `now_ms`.
    fn expire(&self, now_ms: u64) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Everything a relay stores.
pub trait Store: Directory + Intake + Mailbox + Operators {}
impl<T: Directory + Intake + Mailbox + Operators> Store for T {}

/// The back end of a single process: one SQLite database in the data directory.
#[derive(Clone)]
pub struct Embedded {
    writer: writer::Writer,
    readers: Arc<readers::Readers>,
    quotas: Quotas,
    meters: Arc<Meters>,
    epoch: MailboxEpoch,
    refuse_damage: bool,
}

/// Rates that count only what was permitted: nobody uses up those of others.
struct Meters {
    /// Envelopes for one account.
    account: Buckets<AccountId>,
    /// Envelopes with one capability.
    capability: Buckets<CapabilityHash>,
    /// Bundles of one-time prekeys.
    one_time: Shares,
}

impl Meters {
    fn new(rates: &RateLimits) -> Self {
        Self {
            account: Buckets::new(rates.account),
            capability: Buckets::new(rates.capability),
            one_time: Shares::new(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Quotas {
    rows: u64,
    bytes: u64,
}

/// Resolves when the embedded store has stopped: with the reason if it stopped by itself.
pub(crate) type StoreStopped = oneshot::Receiver<Result<(), String>>;

impl Embedded {
    /// Opens or creates the database and starts its threads. Blocks on the disk.
    ///
    /// # Errors
    /// A damaged, foreign or newer database, or a directory that cannot be used.
    pub(crate) fn open(config: &Config, metrics: CommitMetrics) -> Result<(Self, StoreStopped), RelayError> {
        let path = config.data_dir.join(schema::FILE_NAME);
        let check = config.refuse_damage.then_some(config.start_check);
        let (db, epoch) = schema::open(&path, config.synchronous, config.max_database_pages, check)?;
        let (writer, stopped) = writer::Writer::start(db, &path, config.min_free_bytes, metrics)?;
        let readers = readers::Readers::open(&path, writer.condemned.clone())?;
        let quotas = Quotas { rows: config.max_mailbox_rows, bytes: config.max_mailbox_bytes };
        let meters = Arc::new(Meters::new(&config.rates));
        let refuse_damage = config.refuse_damage;
        Ok((Self { writer, readers: Arc::new(readers), quotas, meters, epoch, refuse_damage }, stopped))
    }
}
