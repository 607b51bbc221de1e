//! The account, its state, and the people it knows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Person;

/// The account of this directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The proxy through which the engine reaches relays, without its credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// Whether the relay is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Authenticated, mailbox claimed.
    Online,
    /// Trying.
    Connecting,
    /// Not reached; see `error`.
    Offline,
    /// Another copy of this account was used: this one neither sends nor fetches until it is chosen (`account.keep`).
    Displaced,
    /// This device was removed from its account: it sends and gets nothing any more.
    Removed,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Parameters of `status.watch`: returns when the connection differs from the one that is known, or when time is up.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusWatchParams {
    /// The connection that the caller knows.
    pub relay: Connection,
    /// Longest wait.
    pub wait_ms: u64,
}

/// The process that holds the account's ratchets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineOwner {
    /// Process id.
    pub pid: u32,
    /// `listen`, `send`, `demo`, …
    pub kind: String,
}

/// Parameters of `invite`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteParams {
    /// Seconds the link lives; default seven days, at most 30.
    #[serde(default)]
    pub ttl_s: Option<u32>,
    /// A registration token of the relay's host, for somebody who has no account yet: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_token: Option<String>,
}

/// A contact link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    /// `https://RELAY/i#…`, one use. Everything secret stands behind `#`.
    pub link: String,
    /// When it ends.
    pub expires_ms: u64,
}

/// A contact link that was made here and has not ended: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteInfo {
    /// Names the link in `invite.revoke`: the first 8 hexadecimal digits of the SHA-256 of its token.
    pub id: String,
    /// When it was made.
    pub created_ms: u64,
    /// When it ends.
    pub expires_ms: u64,
    /// Who joined with it; nobody else can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<Person>,
}

/// Contact links that have not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invites {
    /// The newest first.
    pub invites: Vec<InviteInfo>,
}

/// Parameters of `invite.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRevokeParams {
    /// The link's id, or the beginning of it (4 characters or more).
    pub id: String,
}

/// Parameters of `join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinParams {
    /// The contact link.
    pub link: String,
}

/// Parameters of methods about one contact, chat or person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoParams {
    /// Name, handle, account id or the beginning of one (8 characters or more), or the id of the chat with them.
    pub who: String,
}

/// Where a contact stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// They wrote to us; we have not accepted.
    Request,
    /// We wrote to them; they have not answered.
    Requested,
    /// Both sides talk.
    #[default]
    Ok,
    /// Blocked by us.
    Blocked,
    /// No contact any more; only in the event that says so.
    Removed,
}

/// A person we know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// Account id.
    pub id: String,
    /// Id of the chat with them.
    pub chat: String,
    /// Shown name, unique here and cleaned for terminals: the handle, with a part of the id behind a `~` where the handle means
    /// or looks like somebody else, unless renamed.
    pub name: String,
    /// What they call themselves at their relay.
    pub handle: String,
    /// Whom their name would be taken for; until they are renamed or verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks_like: Option<String>,
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

/// Parameters of `contact.rename`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameParams {
    /// Name, handle, account id or the beginning of one.
    pub who: String,
    /// The name to show here, on this device only; no other contact has it.
    pub name: String,
}

/// List of contacts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Contacts {
    /// By name.
    pub contacts: Vec<Contact>,
}

/// Parameters of `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyParams {
    /// Who.
    pub who: String,
    /// The 60 digits they read out (spaces allowed): equal marks the contact verified, different is an error.
    #[serde(default)]
    pub number: Option<String>,
}

/// A contact's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
