//! Sending, conversations, history, and how far a message got.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `send`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendParams {
    /// Name, handle or account id of a contact, or `me`.
    pub to: String,
    /// The text, 1 to [`crate::limits::MAX_TEXT_BYTES`] bytes.
    pub body: String,
    /// 16 random bytes of the caller's (32 hexadecimal digits), from which, with chat and account, the message id is made: the same
    /// again to the same chat answers as the first time and sends nothing new.
    #[serde(default)]
    pub id: Option<String>,
    /// Message id that this answers; one that is not known here is fine.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// `true`: somebody else wrote this text; the receiver sees that it was forwarded, not from whom.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Idempotency key, 1 to [`crate::limits::MAX_KEY_BYTES`] bytes: the message id is made from it and the chat, so the same
    /// key sends once; with another text it is an error. Not together with `id`.
    #[serde(default)]
    pub key: Option<String>,
    /// `to` is the handle of somebody at the own relay who need not be a contact: the text asks them for contact. Without it
    /// nothing ever goes to somebody who is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
}

/// Parameters of `receivers`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiversParams {
    /// Names, handles or account ids, at most [`crate::limits::MAX_RECEIVERS`].
    pub to: Vec<String>,
}

/// Who is meant by several names, each of whom may be written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receivers {
    /// In the order of the names.
    pub receivers: Vec<Person>,
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
    /// How far it got with everybody who can be reached.
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
    /// `true`: their mailbox is full, their device idle, or their relay silent. It is tried further; the others do not wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreached: bool,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Account id.
    pub id: String,
    /// Shown name, cleaned for terminals.
    pub name: String,
}

/// Kind of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// Two people.
    #[default]
    Direct,
    /// Several people.
    Group,
    /// Ourselves: "Note to self", named `me` in commands.
    Notes,
}

/// What a message answers. Of the original only the id travels, so nobody can put words into somebody's mouth: author and
/// text are what is stored here, and absent when the original is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyTo {
    /// Message id of the original.
    pub id: String,
    /// Who wrote the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Person>,
    /// Its first [`crate::limits::QUOTE_CHARS`] characters, as written (clean it before it meets a terminal).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
}

/// A message, as event and in history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// `true`: whoever sent it did not write it, and says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Ours only: how far it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
    /// Theirs only: whether we opened it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
    /// `true`: the content's type is newer than this program; the raw bytes are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// Theirs only, when time or place mislead: when it came here, by this machine's clock. It claims to be more than five minutes
    /// older than it is, or it is `late`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_ms: Option<u64>,
    /// `true`: it came to stand above one of ours, or above something that had been here for 30 seconds. `read` of a message
    /// below leaves it unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// `true`: its author's clock is more than five minutes ahead, so it stands below what is written after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ahead: bool,
    /// Search only: shown name of the chat, cleaned for terminals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_name: Option<String>,
    /// Search only: where it matches. The parts in a row are the text around the words, with … where it is cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snippet: Vec<SnippetPart>,
}

/// A piece of a snippet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnippetPart {
    /// The text, on one line and cleaned for terminals.
    pub text: String,
    /// `true`: one of the words looked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hit: bool,
}

/// Parameters of `info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Parameters of `read`: marks everything up to a message, or a whole chat, as read. What came later than the message and stands
/// above it (`late`) stays unread until it is named itself, or the chat is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadParams {
    /// Chat (name, handle, id) or message id.
    pub what: String,
}
