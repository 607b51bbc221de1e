//! What waits to leave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A message that waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxEntry {
    /// Message id.
    pub id: String,
    /// Chat id.
    pub chat: String,
    /// Account id of the receiver.
    pub to: String,
    /// Shown name of the receiver, cleaned for terminals.
    pub name: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again; 0: as soon as possible.
    pub next_ms: u64,
    /// When it was queued.
    pub queued_ms: u64,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Parameters of `outbox.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboxListParams {
    /// At most so many; default and bound [`crate::limits::MAX_OUTBOX_PAGE`].
    #[serde(default)]
    pub limit: Option<u32>,
}

/// The outbox, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Outbox {
    /// The messages.
    pub entries: Vec<OutboxEntry>,
    /// How many wait altogether.
    pub total: u64,
}

/// Parameters of `outbox.retry`: takes back the wait before the next try.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboxRetryParams {
    /// Message id or its beginning: what waits for its receiver; absent: everything.
    #[serde(default)]
    pub id: Option<String>,
}

/// Parameters of `outbox.cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboxCancelParams {
    /// Message id or its beginning.
    pub id: String,
}
