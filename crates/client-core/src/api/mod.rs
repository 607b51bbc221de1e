//! The one vocabulary: parameters, results and events of every verb.
//!
//! CLI verbs, JSON-RPC methods and [`crate::Client`] methods take and return these types, and
//! their JSON is the `--json` output (each line also carries `"v":1` and `"type"`, see [`Line`]).
//! Times are milliseconds since 1970. Account and message ids are lower-case hexadecimal.

mod backup;
mod chats;
mod doctor;
mod events;
mod export;
mod messages;
mod outbox;
mod people;
mod service;
mod settings;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    backup::{BackupMade, BackupParams, FileKey, Restored, Secret},
    chats::{
        Chat, ChatDraftParams, ChatEvent, ChatSetParams, Chats, ChatsParams, History, HistoryParams, Hits,
        KeepAgreeParams, KeepShowParams, Keeping, Missing, MissingState, SearchParams,
    },
    doctor::{Check, CheckLevel, Checkup},
    events::{
        ContactEvent, Event, EventKind, EventLine, EventPage, EventsParams, Notice, ReceiptEvent, ReceiveCommitParams,
        ReceiveParams, ReceiveReleaseParams, Received, StateEvent, SubscribeParams, Subscribed, SubscriptionEnded,
    },
    export::{ExportPage, ExportParams, Exported, ProgressLine},
    messages::{
        ChatKind, InfoParams, Message, MessageStatus, Person, ReadParams, ReceiptTime, Receipts, Receivers,
        ReceiversParams, ReplyTo, SendParams, SendResult, Sent, SnippetPart, WaitParams,
    },
    outbox::{Outbox, OutboxCancelParams, OutboxEntry, OutboxListParams, OutboxRetryParams},
    people::{
        AccountInfo, Connection, Contact, ContactState, Contacts, EngineOwner, Identity, Invite, InviteInfo,
        InviteParams, InviteRevokeParams, Invites, JoinParams, RenameParams, Status, StatusWatchParams, VerifyParams,
        WhoParams,
    },
    settings::{ConfigPath, LocalAccount, SettingInfo, SettingOrigin},
};

pub use self::service::DaemonInfo;

/// Version of every JSON line.
pub const LINE_VERSION: u32 = 1;

/// One output line: `{"v":1,"type":…,…}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
    OpenLink(InviteInfo),
    Contact(Contact),
    Identity(Identity),
    Sent(Sent),
    Ok(Done),
    Message(Message),
    Missing(Missing),
    Receipt(ReceiptEvent),
    State(StateEvent),
    Notice(Notice),
    Chat(Chat),
    Outbox(OutboxEntry),
    Receipts(Receipts),
    Exported(Exported),
    Backup(BackupMade),
    Check(Check),
    Restored(Restored),
    Progress(ProgressLine),
    LocalAccount(LocalAccount),
    Setting(SettingInfo),
    ConfigPath(ConfigPath),
    Daemon(DaemonInfo),
    Error(ApiError),
);

/// Method without parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Parameters of `drain` and `flush`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeoutParams {
    /// Longest wait.
    pub timeout_ms: u64,
}

/// Whether a wait ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waited {
    /// `true`: the mailbox is drained (or the outbox empty). `false`: time was up.
    pub done: bool,
    /// Why not, where it is known (relay unreachable, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How many things changed.
    #[serde(default)]
    pub count: u64,
}

/// What kind of failure; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// Another reader holds the consumer.
    ConsumerBusy,
    /// The lease on the consumer is not good any more.
    LeaseLost,
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
            Self::AccountBusy | Self::ConsumerBusy | Self::LeaseLost => 10,
        }
    }
}

/// An error for people and scripts: what, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
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

    /// Says what to do, unless that is known better already.
    #[must_use]
    pub fn or_hint(self, hint: &str) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
