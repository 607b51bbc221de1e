//! A whole conversation, page by page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Message;

/// Parameters of `export`: a page of a conversation from its oldest message on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportParams {
    /// Name, handle or id of the chat.
    pub chat: String,
    /// Begin after this message id; without it, with the oldest message.
    #[serde(default)]
    pub after: Option<String>,
    /// How many; at most and by default [`crate::limits::MAX_EXPORT_PAGE`].
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportPage {
    /// Chat id.
    pub chat: String,
    /// Shown name, cleaned for terminals.
    pub name: String,
    /// Messages of the whole conversation.
    pub total: u64,
    /// In the conversation's order; fewer than asked for only at its end.
    pub messages: Vec<Message>,
}

/// A conversation was written to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// Chat id.
    pub chat: String,
    /// Shown name.
    pub name: String,
    /// The file.
    pub path: String,
    /// Messages in it.
    pub messages: u64,
}

/// How far long work has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressLine {
    /// The work: `open`, `sync`, `export`, `backup`, `restore`.
    pub id: String,
    /// How much is done, of `total`.
    pub done: u64,
    /// How much there is; absent when nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}
