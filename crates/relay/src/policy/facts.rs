//! What the rules look at. A back end fetches these facts, each once, and knows no rule; a rule looks at nothing else.

use std::collections::HashMap;

use subrosa_wire::{CapabilityHash, mailbox::TokenUses};

/// What an account has said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Version of its newest device list.
    pub(crate) list_version: u32,
    /// Bytes of that list.
    pub(crate) list_bytes: u32,
    /// Its delivery key.
    pub(crate) delivery: Keys,
    /// Its member key.
    pub(crate) member: Keys,
    /// The operator lets it neither connect nor receive.
    pub(crate) disabled: bool,
}

/// A key that an account gives to others, by its hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Keys {
    /// SHA-256 of it.
    pub(crate) current: Option<CapabilityHash>,
    /// SHA-256 of the one before, and until when (ms since 1970) that is honoured.
    pub(crate) previous: Option<(CapabilityHash, u64)>,
}

/// A device that is on its account's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// Envelopes that wait for it.
    pub(crate) waiting_rows: u64,
    /// Their bytes.
    pub(crate) waiting_bytes: u64,
    /// Of them, those that came by the request lane. Asked only for requests.
    pub(crate) waiting_requests: u32,
    /// When it was last connected, in days since 1970.
    pub(crate) seen_day: u32,
}

/// A contact token that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// When it ends, ms since 1970.
    pub(crate) expires_ms: u64,
    /// How many may join with it.
    pub(crate) uses: TokenUses,
    /// How many have.
    pub(crate) joined: u32,
    /// Of them, on this day.
    pub(crate) joined_today: u32,
    /// Prekey bundles that were taken with it.
    pub(crate) prekeys: u32,
    /// Of those whose binding was asked about, who has joined: envelopes that were stored with it.
    pub(crate) joiners: HashMap<CapabilityHash, u32>,
}
