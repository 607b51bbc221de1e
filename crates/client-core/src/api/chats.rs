//! Conversations: the list, pages of one, search over all, and what is set for one on this device only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChatKind, ContactState, Message};

/// Parameters of `chats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatsParams {
    /// Only those with unread messages.
    #[serde(default)]
    pub unread: bool,
    /// The archived ones, too.
    #[serde(default)]
    pub archived: bool,
}

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    /// Chat id.
    pub id: String,
    /// Kind.
    pub kind: ChatKind,
    /// Account id of the other one; direct chats only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Shown name, cleaned for terminals.
    pub name: String,
    /// The contact's state; `ok` for notes.
    pub state: ContactState,
    /// Unread messages.
    pub unread: u64,
    /// The oldest unread message: where to begin reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_unread: Option<String>,
    /// Newest message; absent in events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Message>,
    /// No sign of new messages until then; [`crate::limits::MUTED_FOR_EVER_MS`]: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until_ms: Option<u64>,
    /// Stands before the others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Out of the list; a new message brings it back unless it is muted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// How long its messages are kept here, if not as those of all chats: `90d`, `1y`, `off` (for ever).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Text that was begun and not sent; absent in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
}

/// List of chats: pinned ones, then the newest.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Chats {
    /// The chats.
    pub chats: Vec<Chat>,
}

/// A chat's settings or its number of unread messages changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatEvent {
    /// Place in the event stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// The chat as it is now, without `last` and `draft`.
    #[serde(flatten)]
    pub chat: Chat,
    /// Messages of it were deleted because they were older than they are kept: what is shown of it is read anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// Parameters of `chat.set`; what is absent stays as it is. Kept on this device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatSetParams {
    /// Name, handle or id of the chat; `me` for notes.
    pub chat: String,
    /// Mute until then (milliseconds since 1970); 0 ends it, [`crate::limits::MUTED_FOR_EVER_MS`] is without end.
    #[serde(default)]
    pub muted_until_ms: Option<u64>,
    /// Before the others in the list.
    #[serde(default)]
    pub pinned: Option<bool>,
    /// Out of the list.
    #[serde(default)]
    pub archived: Option<bool>,
    /// How long its messages are kept: `90d`, `8w`, `1y`, `off` (for ever), `default` (as those of all chats). At least a day.
    #[serde(default)]
    pub keep: Option<String>,
    /// Messages that are older than `keep` may be deleted. Without it nothing is set if there are any.
    #[serde(default)]
    pub agreed: bool,
}

/// Parameters of `keep.show`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepShowParams {
    /// Name, handle or id of a chat; `me` for notes. Without it: all that have no time of their own.
    #[serde(default)]
    pub chat: Option<String>,
    /// Another time, to see how many messages it would delete.
    #[serde(default)]
    pub keep: Option<String>,
}

/// How long messages are kept here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keeping {
    /// The time in force: `90d`, `1y`, `off` (for ever).
    pub keep: String,
    /// The setting for all chats. One that is shorter than what is in force waits for `keep.agree`.
    pub setting: String,
    /// The chat has a time of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// So many messages are older than the time that was asked about (without one: the chat's, or the setting).
    pub goes: u64,
}

/// Parameters of `keep.agree`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepAgreeParams {
    /// What the setting `keep` is.
    pub keep: String,
}

/// Parameters of `chat.draft`: keeps a text that was begun; an empty one forgets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatDraftParams {
    /// Name, handle or id of the chat; `me` for notes.
    pub chat: String,
    /// At most [`crate::limits::MAX_TEXT_BYTES`] bytes.
    pub text: String,
}

/// Parameters of `history`: the newest page, the oldest, or the one before, after or around a message (one of them).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// Name, handle or id of the chat; `me` for notes.
    pub chat: String,
    /// How many; default 50, at most [`crate::limits::MAX_HISTORY_PAGE`].
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only what stands before this message id.
    #[serde(default)]
    pub before: Option<String>,
    /// Only what stands after this message id, the next ones first.
    #[serde(default)]
    pub after: Option<String>,
    /// This message id in the middle, with what stands before and after it.
    #[serde(default)]
    pub around: Option<String>,
    /// The beginning of the conversation.
    #[serde(default)]
    pub oldest: bool,
    /// Only what was written at or after this time.
    #[serde(default)]
    pub since_ms: Option<u64>,
}

/// Messages, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// In the conversation's order.
    pub messages: Vec<Message>,
    /// Something stands before the first of them.
    #[serde(default)]
    pub more_before: bool,
    /// Something stands after the last of them.
    #[serde(default)]
    pub more_after: bool,
    /// Spans of the whole conversation in which something is missing or came later, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// What is known of a span in which something was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingState {
    /// Its people were asked, and have not all answered.
    Asked,
    /// They have answered.
    Answered,
    /// Somebody did not in 30 days, or was asked too often.
    NoAnswer,
}

/// A span of a conversation in which something may be missing on this device: it was restored from a backup, another copy was used, or
/// it was away for longer than relays keep messages. Where nothing was missing there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// Chat id.
    pub chat: String,
    /// Until then everything is here.
    pub from_ms: u64,
    /// And from then on.
    pub to_ms: u64,
    /// Messages that came again.
    pub came: u64,
    /// Messages that nobody has any more.
    pub gone: u64,
    /// What is known of it.
    pub state: MissingState,
}

impl Missing {
    /// In words, without the times.
    #[must_use]
    pub fn words(&self) -> String {
        let came = match self.came {
            0 => String::new(),
            1 => "1 message came again".to_owned(),
            came => format!("{came} messages came again"),
        };
        let more = match (self.state, self.gone) {
            (MissingState::Asked, _) => "messages may be missing, asked for".to_owned(),
            (MissingState::NoAnswer, 0) => "messages may be missing, no answer".to_owned(),
            (_, 1) => "1 message is gone for good".to_owned(),
            (_, gone @ 2..) => format!("{gone} messages are gone for good"),
            (MissingState::Answered, 0) => String::new(),
        };
        [came, more].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// Parameters of `search`. The query is plain words: all have to occur, the last one also as the beginning of a word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchParams {
    /// Words, at most [`crate::limits::MAX_QUERY_BYTES`] bytes.
    pub query: String,
    /// Only in this chat (name, handle or id; `me` for notes).
    #[serde(default)]
    pub chat: Option<String>,
    /// How many; default 50, at most [`crate::limits::MAX_HISTORY_PAGE`].
    #[serde(default)]
    pub limit: Option<u32>,
    /// Go on after this message id: the last one found so far.
    #[serde(default)]
    pub before: Option<String>,
}

/// What was found, newest first (by arrival on this device).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Hits {
    /// The messages, each with `chat_name` and `snippet`.
    pub hits: Vec<Message>,
    /// For `before`, when there may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
