//! The event stream and the consumers of `receive`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChatEvent, Contact, Message, MessageStatus};

/// Somebody's device got or somebody opened a message of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptEvent {
    /// Place in the event stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Message id.
    pub id: String,
    /// Chat id.
    pub chat: String,
    /// Account id.
    pub by: String,
    /// Shown name, cleaned for terminals.
    pub name: String,
    /// `delivered` or `read`.
    pub status: MessageStatus,
    /// How far the message is with everybody it went to.
    pub overall: MessageStatus,
    /// When, by their clock, never later than ours.
    pub ts_ms: u64,
}

/// A message of ours was queued, accepted by a relay, failed or expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateEvent {
    /// Place in the event stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Message id.
    pub id: String,
    /// Chat id.
    pub chat: String,
    /// The new state.
    pub status: MessageStatus,
    /// When.
    pub ts_ms: u64,
    /// Why, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something a person should see that is not a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// Place in the event stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Stable name, e.g. `new_device`, `link_used`, `restored`, `device_list_refused`.
    pub code: String,
    /// For people.
    pub text: String,
    /// The chat it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// When.
    pub ts_ms: u64,
}

/// One event of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A message came, or another device of ours sent one.
    Message(Message),
    /// Delivered or read.
    Receipt(ReceiptEvent),
    /// Queued, sent, failed, expired.
    State(StateEvent),
    /// A contact is new or changed.
    Contact(ContactEvent),
    /// A chat was muted, pinned, archived or read.
    Chat(ChatEvent),
    /// Worth a line.
    Notice(Notice),
}

/// Kinds of events: what a subscription may be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A message came, or another device of ours sent one.
    Message,
    /// Delivered or read.
    Receipt,
    /// Queued, sent, failed, expired.
    State,
    /// A contact is new or changed.
    Contact,
    /// A chat was read, muted, pinned or archived.
    Chat,
    /// Worth a line.
    Notice,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Message, Self::Receipt, Self::State, Self::Contact, Self::Chat, Self::Notice];

    /// Its `"type"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Receipt => "receipt",
            Self::State => "state",
            Self::Contact => "contact",
            Self::Chat => "chat",
            Self::Notice => "notice",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An event as a line: its own fields with `"v"`.
#[derive(Debug, Clone, Serialize)]
pub struct EventLine<'a> {
    /// [`super::LINE_VERSION`].
    pub v: u32,
    /// The event.
    #[serde(flatten)]
    pub event: &'a Event,
}

impl Event {
    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Message(_) => EventKind::Message,
            Self::Receipt(_) => EventKind::Receipt,
            Self::State(_) => EventKind::State,
            Self::Contact(_) => EventKind::Contact,
            Self::Chat(_) => EventKind::Chat,
            Self::Notice(_) => EventKind::Notice,
        }
    }

    /// As it stands in `listen --json`, in notifications and in server-sent events.
    #[must_use]
    pub const fn line(&self) -> EventLine<'_> {
        EventLine { v: super::LINE_VERSION, event: self }
    }

    /// Place in the stream.
    #[must_use]
    pub const fn cursor(&self) -> Option<u64> {
        match self {
            Self::Message(message) => message.cursor,
            Self::Receipt(receipt) => receipt.cursor,
            Self::State(state) => state.cursor,
            Self::Contact(contact) => contact.cursor,
            Self::Chat(chat) => chat.cursor,
            Self::Notice(notice) => notice.cursor,
        }
    }
}

/// A contact is new or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactEvent {
    /// Place in the event stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// The contact as it is now.
    #[serde(flatten)]
    pub contact: Contact,
}

/// Parameters of `events`: everything after `since`, waiting up to `wait_ms` for the first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsParams {
    /// Cursor of the last event seen; absent = only what is new from now on.
    #[serde(default)]
    pub since: Option<u64>,
    /// At most so many; default and bound [`crate::limits::MAX_EVENTS_PAGE`].
    #[serde(default)]
    pub max: Option<u32>,
    /// Longest wait while there is nothing.
    #[serde(default)]
    pub wait_ms: u64,
}

/// Events in cursor order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// The events, each with its cursor.
    pub events: Vec<Event>,
    /// Where to go on.
    pub cursor: u64,
}

/// Parameters of `events.subscribe`: from now on every event comes as a notification `event` on this connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscribeParams {
    /// Cursor of the last event seen; absent = only what is new from now on.
    #[serde(default)]
    pub since: Option<u64>,
    /// Only these; none named = all.
    #[serde(default)]
    pub types: Vec<EventKind>,
}

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// Every event after this one follows.
    pub cursor: u64,
}

/// Parameters of the notification `events.ended`: the subscription is over, subscribe again to go on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionEnded {
    /// The last event that came; subscribe with `since` this.
    pub cursor: u64,
    /// Why.
    pub error: super::ApiError,
}

/// Parameters of `receive`: takes the consumer, or goes on with a lease, and gives incoming messages after its place.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveParams {
    /// Consumer name; default `cli`. One reader at a time has it.
    #[serde(default)]
    pub consumer: Option<String>,
    /// At most so many messages; 0 only takes the consumer and says where it stands.
    #[serde(default)]
    pub max: Option<u32>,
    /// Goes on with this lease; without one the consumer is taken. On the connection that holds it already it is the same lease.
    #[serde(default)]
    pub lease: Option<String>,
    /// How long to wait for a consumer that somebody else holds; default 5,000.
    #[serde(default)]
    pub wait_ms: Option<u64>,
    /// Divides the messages with others who share the consumer: each goes to one of them, and what that one has not committed
    /// when it ends goes to another. A few at a time.
    #[serde(default)]
    pub share: bool,
    /// The lease ends when it was not used for so long. Without this it ends with the connection; over HTTP, and through a process that
    /// passes calls on to another one's engine, after 60,000.
    #[serde(default)]
    pub hold_ms: Option<u64>,
    /// How long to wait for a first message.
    #[serde(default)]
    pub message_wait_ms: u64,
}

/// Incoming messages, and the cursor to commit once they are printed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// For `receive.commit`.
    pub cursor: u64,
    /// Shows that the consumer is ours: for `receive`, `receive.commit` and `receive.release`.
    pub lease: String,
    /// Messages beyond the consumer's place that are done already, by those who shared it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<u64>,
}

/// Parameters of `receive.commit`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveCommitParams {
    /// Consumer name; default `cli`.
    #[serde(default)]
    pub consumer: Option<String>,
    /// From `receive`, or the cursor of a message in it: up to there everything is done. Of a shared consumer only what came with this lease.
    pub cursor: u64,
    /// From `receive`. One that is not good any more is refused (`lease_lost`) and changes nothing.
    pub lease: String,
}

/// Parameters of `receive.release`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveReleaseParams {
    /// Consumer name; default `cli`.
    #[serde(default)]
    pub consumer: Option<String>,
    /// From `receive`.
    pub lease: String,
}
