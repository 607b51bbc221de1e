//! What the operator may see and change: registration tokens, accounts, totals. Nothing here reads mail.

use std::future::Future;

use subrosa_wire::{AccountId, CapabilityHash, DeviceAddress};

use super::StoreError;

/// A registration token to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewToken {
    /// SHA-256 of the token: itself it is stored nowhere.
    pub(crate) hash: CapabilityHash,
    /// Whom it is for, in the operator's words.
    pub(crate) note: String,
    /// How many accounts it lets in.
    pub(crate) uses: u32,
    /// When it ends, milliseconds since 1970; `None` = never.
    pub(crate) expires_ms: Option<u64>,
}

/// A registration token as the operator sees it.
#[derive(Debug, Clone)]
pub(crate) struct TokenFacts {
    /// SHA-256 of the token.
    pub(crate) hash: CapabilityHash,
    /// Whom it is for.
    pub(crate) note: String,
    /// How many accounts it lets in.
    pub(crate) uses: u32,
    /// How many it has let in.
    pub(crate) used: u32,
    /// When it was made, milliseconds since 1970.
    pub(crate) created_ms: u64,
    /// When it ends; `None` = never.
    pub(crate) expires_ms: Option<u64>,
}

/// An account as the operator sees it.
#[derive(Debug, Clone)]
pub(crate) struct AccountFacts {
    /// Its id.
    pub(crate) account: AccountId,
    /// Its alias here.
    pub(crate) handle: String,
    /// Devices on its list.
    pub(crate) devices: u32,
    /// Day of registration, days since 1970.
    pub(crate) created_day: u64,
    /// Whether the operator has disabled it.
    pub(crate) disabled: bool,
    /// Envelopes that wait for its devices.
    pub(crate) waiting: u64,
    /// Their bytes.
    pub(crate) waiting_bytes: u64,
}

/// Sums over everything stored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Accounts.
    pub(crate) accounts: u64,
    /// Those that are disabled.
    pub(crate) disabled: u64,
    /// Devices.
    pub(crate) devices: u64,
    /// Waiting envelopes.
    pub(crate) waiting: u64,
    /// Their bytes.
    pub(crate) waiting_bytes: u64,
    /// Envelopes in the fullest mailbox.
    pub(crate) deepest: u64,
    /// When the oldest waiting envelope came, milliseconds since 1970.
    pub(crate) oldest_ms: Option<u64>,
}

/// What the operator's socket asks. Removing an account is the directory's: its owner may, too.
pub(crate) trait Operators: Send + Sync + 'static {
    /// Adds a registration token.
    fn add_registration_token(&self, token: NewToken) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// All registration tokens, oldest first.
    fn registration_tokens(&self) -> impl Future<Output = Result<Vec<TokenFacts>, StoreError>> + Send;
    /// Removes the token whose hash begins like this, if there is exactly one. Gives how many there are.
    fn revoke_registration_token(&self, prefix: Vec<u8>) -> impl Future<Output = Result<usize, StoreError>> + Send;
    /// At most `limit` accounts behind a handle, in the order of their handles.
    fn accounts(
        &self,
        after: String,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AccountFacts>, StoreError>> + Send;
    /// Disables or enables an account; gives its devices.
    fn set_disabled(
        &self,
        account: AccountId,
        disabled: bool,
    ) -> impl Future<Output = Result<Vec<DeviceAddress>, StoreError>> + Send;
    /// The account with this handle, also a disabled one.
    fn find_account(&self, handle: String) -> impl Future<Output = Result<Option<AccountId>, StoreError>> + Send;
    /// Sums over everything. Reads every device row: `Shared::totals` remembers them for who asks often.
    fn totals(&self) -> impl Future<Output = Result<Totals, StoreError>> + Send;
}
