//! The traits behind which a relay stores things, and the embedded back end: one SQLite database.
//!
//! A back end fetches the facts that the rules look at (`policy`) and does what they say; it has no rule of its own. Nothing outside
//! this module knows which back end it has. Every `Ok` of a change means: durable.

pub(crate) mod embedded;
mod operators;

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    net::IpAddr,
};

use bytes::Bytes;
use subrosa_wire::{
    AccountId, CapabilityHash, DeviceAddress, EnvelopeId, Handle, MailboxEpoch, Seq,
    http::Devices,
    mailbox::{PrekeyCount, PrekeyUpload, Push, TokenUses},
    submit::Refusal,
};
use tokio::sync::oneshot;

use crate::policy::{
    facts::{Account, Keys, Token},
    identity::DeviceList,
    limiter::Network,
    limits::UNAVAILABLE,
    mailbox::Login,
    prekeys::Standing,
    registration::Registration,
    submission::{Batch, ItemOutcome},
};

pub(crate) use operators::{AccountFacts, NewToken, Operators, TokenFacts, Totals};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// The rules say no; nothing was changed.
    #[error("{}", .0.code)]
    Refused(Refusal),
    /// Nothing can be stored now: the disk is full or failing, or the relay is stopping. Nothing was changed.
    #[error("cannot store now: {0}")]
    Unavailable(String),
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl StoreError {
    /// What the client is told.
    #[must_use]
    pub(crate) const fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            Self::Unavailable(_) => UNAVAILABLE,
        }
    }
}

/// On whose behalf something is changed. Changes of one source keep their order, and do not hold up those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(Option<Network>);

impl Source {
    /// The relay's own work, and its operator's.
    pub(crate) const RELAY: Self = Self(None);

    /// A client at this address. Not its account or connection: of these, one client may have many.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(Some(Network::of(address)))
    }

    /// The address that asks, as large as one customer's; `None` where it says nothing about who asks.
    pub(crate) fn asker(self) -> Option<Network> {
        self.0.filter(|network| !network.is_own()).map(Network::customer)
    }
}

/// What a device's login looks at besides its mailbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceFacts {
    /// The identity key on the account's list now.
    pub(crate) identity: [u8; 32],
    /// The operator lets it neither connect nor receive.
    pub(crate) disabled: bool,
    /// One-time prekeys left.
    pub(crate) prekeys: PrekeyCount,
}

/// What the rules look at when somebody asks for prekeys.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrekeyFacts {
    /// The account, if it exists.
    pub(crate) account: Option<Account>,
    /// The contact token, if it is open.
    pub(crate) token: Option<Token>,
    /// Those of the devices that are on its list.
    pub(crate) devices: HashSet<u32>,
}

/// Keys to be taken of a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Take {
    /// Whose.
    pub(crate) device: DeviceAddress,
    /// The contact token that this is counted for.
    pub(crate) token: Option<CapabilityHash>,
    /// One-time keys: of each kind one, if there is one left.
    pub(crate) one_time: bool,
}

/// One-time keys that nobody else gets.
#[derive(Debug, Clone, Default)]
pub(crate) struct OneTime {
    /// X25519.
    pub(crate) ec: Option<Bytes>,
    /// ML-KEM-1024.
    pub(crate) kem: Option<Bytes>,
    /// What is left. `None`: none were to be taken.
    pub(crate) left: Option<PrekeyCount>,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyScope {
    /// For contacts.
    Delivery,
    /// For contents of groups.
    Member,
}

/// Accounts, device lists, prekeys and capabilities.
pub(crate) trait Directory: Send + Sync + 'static {
    /// Adds an account, if it is admitted. The same content again succeeds again.
    fn register(
        &self,
        source: Source,
        registration: Registration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// The account with this handle, and whether it is disabled.
    fn resolve(&self, handle: Handle) -> impl Future<Output = Result<Option<(AccountId, bool)>, StoreError>> + Send;
    /// Record and newest list of an account.
    fn devices(&self, account: AccountId) -> impl Future<Output = Result<Option<Devices>, StoreError>> + Send;
    /// The identity key of a device that is on its account's list. Takes as long for one that is on none.
    fn identity(&self, device: DeviceAddress) -> impl Future<Output = Result<Option<[u8; 32]>, StoreError>> + Send;
    /// How a device stands; `None` if it is on no list.
    fn device(&self, device: DeviceAddress) -> impl Future<Output = Result<Option<DeviceFacts>, StoreError>> + Send;
    /// Lets a copy of a device in and keeps what its next login has to show, unless another copy was let in since this one. Notes the
    /// day (since 1970), too, and gives how many days the device was away.
    fn log_in(&self, source: Source, login: Login, today: u32) -> impl Future<Output = Result<u32, StoreError>> + Send;
    /// Notes that the device is connected on this day (since 1970).
    fn seen(
        &self,
        source: Source,
        device: DeviceAddress,
        today: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
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
    /// What the rules look at when somebody asks on this day for keys of these devices of one account, and shows a contact token with their
    /// binding. Takes as long for an account that does not exist.
    fn prekey_facts(
        &self,
        account: AccountId,
        devices: Vec<u32>,
        shown: Option<(CapabilityHash, CapabilityHash)>,
        today: u32,
    ) -> impl Future<Output = Result<PrekeyFacts, StoreError>> + Send;
    /// What these devices give to everybody; nothing of those that are on no list.
    fn standing_prekeys(
        &self,
        devices: Vec<DeviceAddress>,
    ) -> impl Future<Output = Result<HashMap<DeviceAddress, Standing>, StoreError>> + Send;
    /// Takes keys, each once.
    fn take_prekeys(
        &self,
        source: Source,
        takes: Vec<Take>,
    ) -> impl Future<Output = Result<Vec<OneTime>, StoreError>> + Send;
    /// Sets a key of an account, and its predecessor with the time (ms since 1970) until which that is honoured.
    fn set_keys(
        &self,
        source: Source,
        account: AccountId,
        scope: KeyScope,
        keys: Keys,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Adds a contact token.
    fn put_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
        expires_ms: u64,
        uses: TokenUses,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Removes a contact token, if it is there.
    fn remove_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Removes an account with all that waits for it; gives its devices. Its handle stays its own.
    fn remove_account(
        &self,
        source: Source,
        account: AccountId,
    ) -> impl Future<Output = Result<Vec<DeviceAddress>, StoreError>> + Send;
}

/// One outcome for each item of a submission, in order, by envelope id.
pub(crate) type Outcomes = Vec<(EnvelopeId, ItemOutcome)>;

/// The outcome of a submission that is on its way to the disk.
#[derive(Debug)]
pub(crate) struct Accepted(pub(crate) oneshot::Receiver<Result<Outcomes, StoreError>>);

impl Accepted {
    /// What became of each item; `Ok` means durable.
    ///
    /// # Errors
    /// Nothing of the submission was stored.
    pub(crate) async fn outcome(self) -> Result<Outcomes, StoreError> {
        self.0.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store has stopped".to_owned())))
    }
}

/// Takes submissions.
pub(crate) trait Intake: Send + Sync + 'static {
    /// Queues a submission. Those of one source are committed in the order in which this was called; one whose future is
    /// dropped before it returned may be left out.
    fn submit(&self, source: Source, batch: Batch) -> impl Future<Output = Result<Accepted, StoreError>> + Send;
    /// Makes a commit that counts like a submission: whether mail can be stored now.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Where a mailbox stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MailboxState {
    /// Names this life of the store.
    pub(crate) epoch: MailboxEpoch,
    /// Highest acknowledged number.
    pub(crate) acked: Seq,
}

/// Rows of a mailbox in the order of their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// In `Seq` order.
    pub(crate) rows: Vec<Push>,
    /// Whether there may be more behind them.
    pub(crate) more: bool,
}

/// Envelopes that wait for a device.
pub(crate) trait Mailbox: Send + Sync + 'static {
    /// Where a session starts.
    fn state(&self, device: DeviceAddress) -> impl Future<Output = Result<MailboxState, StoreError>> + Send;
    /// At most `max_rows` rows behind `after`. Once a row was given, no row appears below it.
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
    /// Deletes what has expired by `now_ms`, of mail and of capabilities.
    fn expire(&self, now_ms: u64) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Everything a relay stores.
pub(crate) trait Store: Directory + Intake + Mailbox + Operators {}
impl<T: Directory + Intake + Mailbox + Operators> Store for T {}
