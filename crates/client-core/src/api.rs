//! The one vocabulary: parameters, results and events of every verb.
//!
//! CLI verbs, JSON-RPC methods and [`crate::Client`] methods take and return these types, and
//! their JSON is the `--json` output (each line also carries `"v":1` and `"type"`, see [`Line`]).
//! Times are milliseconds since 1970. Account and message ids are lower-case hexadecimal.

use serde::{Deserialize, Serialize};

/// Version of every JSON line.
pub const LINE_VERSION: u32 = 1;

/// One output line: `{"v":1,"type":…,…}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// [`LINE_VERSION`].
    pub v: u32,
    /// What the line says.
    #[serde(flatten)]
    pub content: LineContent,
}

impl Line {
    /// Wraps the content.
    #[must_use]
    pub fn new(content: impl Into<LineContent>) -> Self {
        Self { v: LINE_VERSION, content: content.into() }
    }
}

macro_rules! lines {
    ($($variant:ident($inner:ty)),* $(,)?) => {
        /// What an output line says; the variant's name in snake case is its `"type"`.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        pub enum LineContent {
            $(#[doc = concat!("See [`", stringify!($inner), "`].")] $variant($inner),)*
        }
        $(impl From<$inner> for LineContent {
            fn from(value: $inner) -> Self { Self::$variant(value) }
        })*
    };
}

lines!(
    Account(AccountInfo),
    Status(Status),
    Invite(Invite),
    Contact(Contact),
    Identity(Identity),
    Sent(Sent),
    Ok(Done),
    Message(Message),
    Receipt(ReceiptEvent),
    State(StateEvent),
    Notice(Notice),
    Chat(Chat),
    Receipts(Receipts),
    Error(ApiError),
);

/// Method without parameters.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The account of this directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountInfo {
    /// Account id.
    pub id: String,
    /// Handle at the relay.
    pub name: String,
    /// Relay URL.
    pub relay: String,
    /// Account key, first 16 bytes of its SHA-256 in groups of four.
    pub fingerprint: String,
    /// Directory that holds everything.
    pub data_dir: String,
    /// This installation's device number.
    pub device: u32,
}

/// Whether the relay is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Authenticated, mailbox claimed.
    Online,
    /// Trying.
    Connecting,
    /// Not reached; see `error`.
    Offline,
    /// This account also runs elsewhere: another process of the same device took the mailbox over.
    Displaced,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Connection to the own relay.
    pub relay: Connection,
    /// Relay URL.
    pub relay_url: String,
    /// Why it is not reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Messages not yet accepted by a relay.
    pub outbox: u64,
    /// Unread messages.
    pub unread: u64,
    /// Contact requests waiting for an answer.
    pub requests: u64,
    /// Who runs the engine.
    pub engine: EngineOwner,
    /// When the mailbox was last drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_ms: Option<u64>,
    /// The relay's clock minus ours, if it is more than five minutes off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_off_ms: Option<i64>,
}

/// The process that holds the account's ratchets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOwner {
    /// Process id.
    pub pid: u32,
    /// `listen`, `send`, `demo`, …
    pub kind: String,
}

/// Parameters of `invite`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteParams {
    /// Seconds the link lives; default seven days, at most 30.
    #[serde(default)]
    pub ttl_s: Option<u32>,
}

/// A contact link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// `subrosa://…`, one use.
    pub link: String,
    /// When it ends.
    pub expires_ms: u64,
}

/// Parameters of `join`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinParams {
    /// The contact link.
    pub link: String,
}

/// Parameters of methods about one contact, chat or person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhoParams {
    /// Name, handle, account id or the beginning of one (8 characters or more).
    pub who: String,
}

/// Where a contact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// They wrote to us; we have not accepted.
    Request,
    /// We wrote to them; they have not answered.
    Requested,
    /// Both sides talk.
    Ok,
    /// Blocked by us.
    Blocked,
}

/// A person we know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Account id; also the id of the 1:1 chat.
    pub id: String,
    /// Shown name (the handle, unless renamed), cleaned for terminals.
    pub name: String,
    /// Where it stands.
    pub state: ContactState,
    /// Safety number compared, or reached by a link from them.
    pub verified: bool,
    /// How they became a contact, for people: "you opened their link", "joined with your link of 09:41", "by handle".
    pub origin: String,
    /// Their relay.
    pub relay: String,
    /// Their devices known here.
    pub devices: u32,
    /// When we last got a message from them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<u64>,
    /// When they became a contact.
    pub since_ms: u64,
}

/// List of contacts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Contacts {
    /// By name.
    pub contacts: Vec<Contact>,
}

/// Parameters of `verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyParams {
    /// Who.
    pub who: String,
    /// The 60 digits they read out (spaces allowed): equal marks the contact verified, different is an error.
    #[serde(default)]
    pub number: Option<String>,
}

/// A contact's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Account id.
    pub id: String,
    /// Shown name.
    pub name: String,
    /// 60 digits in groups of five.
    pub safety_number: String,
    /// What a QR code of it holds, hexadecimal.
    pub safety_qr: String,
    /// Compared, or reached by link.
    pub verified: bool,
    /// When `verified` last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_ms: Option<u64>,
}

/// Parameters of `send`.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// Message id.
    pub id: String,
    /// `sent`, `delivered` or `read`.
    pub status: MessageStatus,
    /// Longest wait.
    pub timeout_ms: u64,
}

/// Parameters of `drain` and `flush`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeoutParams {
    /// Longest wait.
    pub timeout_ms: u64,
}

/// Whether a wait ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// `true`: the mailbox is drained (or the outbox empty). `false`: time was up.
    pub done: bool,
    /// Why not, where it is known (relay unreachable, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A person inside a message line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Account id.
    pub id: String,
    /// Shown name, cleaned for terminals.
    pub name: String,
}

/// Kind of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// Two people.
    Direct,
}

/// A message, as event and in history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Somebody's device got or somebody opened a message of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// `delivered` or `read`.
    pub status: MessageStatus,
    /// When, by their clock, never later than ours.
    pub ts_ms: u64,
}

/// A message of ours was queued, accepted by a relay, failed or expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Worth a line.
    Notice(Notice),
}

/// A contact is new or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactEvent {
    /// Place in the event stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// The contact as it is now.
    #[serde(flatten)]
    pub contact: Contact,
}

/// Parameters of `events`: everything after `since`, waiting up to `wait_ms` for the first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EventPage {
    /// The events, each with its cursor.
    pub events: Vec<Event>,
    /// Where to go on.
    pub cursor: u64,
}

/// Parameters of `receive`: incoming messages after the consumer's cursor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveParams {
    /// Consumer name; default `cli`.
    #[serde(default)]
    pub consumer: Option<String>,
    /// At most so many messages.
    #[serde(default)]
    pub max: Option<u32>,
}

/// Incoming messages, and the cursor to commit once they are printed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Received {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// For `receive_commit`.
    pub cursor: u64,
}

/// Parameters of `receive_commit`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveCommitParams {
    /// Consumer name; default `cli`.
    #[serde(default)]
    pub consumer: Option<String>,
    /// From `receive`.
    pub cursor: u64,
}

/// Parameters of `chats`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatsParams {
    /// Only those with unread messages.
    #[serde(default)]
    pub unread: bool,
}

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Chats {
    /// The chats.
    pub chats: Vec<Chat>,
}

/// Parameters of `history`.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    /// In the conversation's order.
    pub messages: Vec<Message>,
}

/// Parameters of `info`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InfoParams {
    /// Message id, or the beginning of one (8 characters or more).
    pub id: String,
}

/// Receipts of a message of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptTime {
    /// Account id.
    pub by: String,
    /// Shown name.
    pub name: String,
    /// When.
    pub ts_ms: u64,
}

/// Parameters of `read`: marks everything up to a message, or a whole chat, as read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadParams {
    /// Chat (name, handle, id) or message id.
    pub what: String,
}

/// Something was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How many things changed.
    #[serde(default)]
    pub count: u64,
}

/// What kind of failure; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Something went wrong here.
    Failed,
    /// The parameters are not valid.
    Usage,
    /// A relay is not reached.
    RelayUnreachable,
    /// No account in this directory.
    NoAccount,
    /// The passphrase does not open the store, or none was given.
    BadPassphrase,
    /// No such chat, contact or message.
    NotFound,
    /// An identity changed, or a safety number does not match.
    IdentityChanged,
    /// Too much at once.
    RateLimited,
    /// Time ran out; what was queued stays queued.
    Timeout,
    /// Some receivers failed.
    Partial,
    /// Another process holds the account and does not answer.
    AccountBusy,
    /// The contact link is used up, expired or withdrawn.
    LinkUsed,
    /// A relay refused.
    Refused,
    /// The disk is full or not writable.
    Storage,
    /// The store is damaged or from a newer program.
    DamagedStore,
    /// The connection to the engine broke before it answered.
    EngineGone,
}

impl ErrorKind {
    /// The process exit code (`docs`, exit codes).
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::Refused | Self::Storage | Self::DamagedStore | Self::EngineGone | Self::LinkUsed => 1,
            Self::Usage => 2,
            Self::RelayUnreachable => 3,
            Self::NoAccount | Self::BadPassphrase => 4,
            Self::NotFound => 5,
            Self::IdentityChanged => 6,
            Self::RateLimited => 7,
            Self::Timeout => 8,
            Self::Partial => 9,
            Self::AccountBusy => 10,
        }
    }
}

/// An error for people and scripts: what, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Kind, and so the exit code.
    pub code: ErrorKind,
    /// What went wrong and why; no secrets.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ApiError {
    /// An error without a hint.
    #[must_use]
    pub fn new(code: ErrorKind, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Event {
    /// Place in the stream.
    #[must_use]
    pub const fn cursor(&self) -> Option<u64> {
        match self {
            Self::Message(message) => message.cursor,
            Self::Receipt(receipt) => receipt.cursor,
            Self::State(state) => state.cursor,
            Self::Contact(contact) => contact.cursor,
            Self::Notice(notice) => notice.cursor,
        }
    }

    /// The stream sets the place when it reads an event back.
    pub(crate) const fn set_cursor(&mut self, cursor: u64) {
        let place = match self {
            Self::Message(message) => &mut message.cursor,
            Self::Receipt(receipt) => &mut receipt.cursor,
            Self::State(state) => &mut state.cursor,
            Self::Contact(contact) => &mut contact.cursor,
            Self::Notice(notice) => &mut notice.cursor,
        };
        *place = Some(cursor);
    }
}
