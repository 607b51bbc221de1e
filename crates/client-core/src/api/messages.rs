//! Sending, conversations, history, and how far a message got.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ContactState;

/// Parameters of `send`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendParams {
    /// Name, handle or account id; a handle that is no contact yet becomes a request.
    pub to: String,
    /// The text, 1 to [`crate::limits::MAX_TEXT_BYTES`] bytes.
    pub body: String,
    /// Message id made by the caller (32 hexadecimal digits): the same id again answers as the first time and sends nothing new.
    #[serde(default)]
    pub id: Option<String>,
}

/// How far a message of ours got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// In our outbox.
    Queued,
    /// A relay has it on disk.
    Sent,
    /// A device of theirs has it on disk.
    Delivered,
    /// They opened it.
    Read,
    /// Refused for good; see `error`.
    Failed,
    /// Expired undelivered.
    Expired,
}

/// What became of a `send` or `wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Message id.
    pub id: String,
    /// Chat id.
    pub chat: String,
    /// Least advanced of the results.
    pub status: MessageStatus,
    /// When it was queued.
    pub ts_ms: u64,
    /// Per receiver.
    pub results: Vec<SendResult>,
}

/// One receiver of a send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendResult {
    /// Account id.
    pub to: String,
    /// Shown name.
    pub name: String,
    /// How far it got.
    pub status: MessageStatus,
    /// Why it waits or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Seconds until the next try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// Parameters of `wait`: returns when the message has reached `status` (or failed), or when time is up.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// Message id.
    pub id: String,
    /// `sent`, `delivered` or `read`.
    pub status: MessageStatus,
    /// Longest wait.
    pub timeout_ms: u64,
}

/// A person inside a message line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Account id.
    pub id: String,
    /// Shown name, cleaned for terminals.
    pub name: String,
}

/// Kind of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// Two people.
    Direct,
}

/// A message, as event and in history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Place in the event stream; absent in history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Message id.
    pub id: String,
    /// Chat id.
    pub chat: String,
    /// Kind of chat.
    pub chat_kind: ChatKind,
    /// Who wrote it.
    pub from: Person,
    /// `true` for our own.
    pub outgoing: bool,
    /// When it was written: min(claimed, received).
    pub ts_ms: u64,
    /// Text, as written (clean it before it meets a terminal).
    pub body: String,
    /// Ours only: how far it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
    /// Theirs only: whether we opened it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
    /// `true`: the content's type is newer than this program; the raw bytes are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// Parameters of `chats`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatsParams {
    /// Only those with unread messages.
    #[serde(default)]
    pub unread: bool,
}

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    /// Chat id.
    pub id: String,
    /// Kind.
    pub kind: ChatKind,
    /// Shown name, cleaned for terminals.
    pub name: String,
    /// The contact's state.
    pub state: ContactState,
    /// Unread messages.
    pub unread: u64,
    /// Newest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Message>,
}

/// List of chats, newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Chats {
    /// The chats.
    pub chats: Vec<Chat>,
}

/// Parameters of `history`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// Name, handle or id of the chat.
    pub chat: String,
    /// How many; default 50, at most [`crate::limits::MAX_HISTORY_PAGE`].
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only what stands before this message id.
    #[serde(default)]
    pub before: Option<String>,
    /// Only what was written at or after this time.
    #[serde(default)]
    pub since_ms: Option<u64>,
}

/// Messages, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// In the conversation's order.
    pub messages: Vec<Message>,
}

/// Parameters of `info`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InfoParams {
    /// Message id, or the beginning of one (8 characters or more).
    pub id: String,
}

/// Receipts of a message of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipts {
    /// Message id.
    pub id: String,
    /// Chat id.
    pub chat: String,
    /// How far it got with all receivers.
    pub status: MessageStatus,
    /// How many people it went to.
    pub total: u32,
    /// When it was queued.
    pub queued_ms: u64,
    /// Relays that accepted it.
    pub sent: Vec<ReceiptTime>,
    /// Devices that have it, first device of each person.
    pub delivered: Vec<ReceiptTime>,
    /// People who opened it.
    pub read: Vec<ReceiptTime>,
    /// Why it waits or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Who and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptTime {
    /// Account id.
    pub by: String,
    /// Shown name.
    pub name: String,
    /// When.
    pub ts_ms: u64,
}

/// Parameters of `read`: marks everything up to a message, or a whole chat, as read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadParams {
    /// Chat (name, handle, id) or message id.
    pub what: String,
}
