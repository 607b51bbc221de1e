//! What the rules look at. A back end fetches these facts, each once, and knows no rule; a rule looks at nothing else.

use subrosa_wire::CapabilityHash;

/// What an account has said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Version of its newest device list.
    pub list_version: u32,
    /// Bytes of that list.
    pub list_bytes: u32,
    /// SHA-256 of its delivery key.
    pub delivery_key: Option<CapabilityHash>,
    /// SHA-256 of the key before, and until when (ms since 1970) that is honoured.
    pub previous_key: Option<(CapabilityHash, u64)>,
    /// The operator lets it neither connect nor receive.
    pub disabled: bool,
}

/// A device that is on its account's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// Envelopes that wait for it.
    pub waiting_rows: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Of them, those that came by the request lane. Asked only for requests.
    pub waiting_requests: u32,
    /// When it was last connected, in days since 1970.
    pub seen_day: u32,
}

/// A contact token that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// SHA-256 of its first user's binding.
    pub binding: Option<CapabilityHash>,
    /// When it ends, ms since 1970.
    pub expires_ms: u64,
    /// Envelopes that were stored with it.
    pub submits: u32,
    /// Prekey bundles that were taken with it.
    pub prekeys: u32,
}
