//! What the operator's verbs and a running relay say to each other: one JSON object a line.
//!
//! A connection carries one [`AdminRequest`]; the answer is any number of [`AdminLine`]s and ends with
//! [`AdminLine::Done`] or [`AdminLine::Error`]. The lines are also what the verbs print with `--json`.

use serde::{Deserialize, Serialize};

/// Longest line of a request: a note, a handle, some numbers.
pub(crate) const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Longest note of a token: a line on a screen.
pub(crate) const MAX_NOTE_CHARS: usize = 200;

/// What an operator may ask. There is no request that reads mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AdminRequest {
    TokenCreate {
        uses: u32,
        expires_s: Option<u64>,
        note: String,
    },
    TokenList {},
    /// The token's id (the beginning of its hash), or the token itself.
    TokenRevoke {
        token: String,
    },
    AccountList {},
    /// By handle or id.
    AccountDisable {
        account: String,
    },
    AccountEnable {
        account: String,
    },
    AccountRemove {
        account: String,
    },
    Status {},
    /// The relay link, without a token.
    Link {},
    Drain {},
}

/// A line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum AdminLine {
    Token(TokenLine),
    Account(AccountLine),
    Status(Box<StatusLine>),
    /// What `init --relay` takes.
    Link {
        link: String,
    },
    /// It is done; this says what.
    Done {
        text: String,
    },
    Error {
        message: String,
        hint: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenLine {
    /// The beginning of its SHA-256: names it, lets nobody in.
    pub(crate) id: String,
    /// The token itself: only when it is made, never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// The relay link with the token in it: all that `init --relay` needs. Only when it is made, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
    pub(crate) note: String,
    pub(crate) uses: u32,
    pub(crate) used: u32,
    pub(crate) created_ms: u64,
    pub(crate) expires_ms: Option<u64>,
    /// Whether it still lets somebody in.
    pub(crate) valid: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountLine {
    pub(crate) handle: String,
    pub(crate) id: String,
    pub(crate) devices: u32,
    /// Registration is remembered by the day only.
    pub(crate) created: String,
    pub(crate) disabled: bool,
    pub(crate) waiting: u64,
    pub(crate) waiting_bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StatusLine {
    pub(crate) url: String,
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) uptime_s: u64,
    pub(crate) ready: bool,
    /// Why not, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_ready_because: Option<String>,
    pub(crate) registration: String,
    pub(crate) accounts: u64,
    pub(crate) disabled: u64,
    pub(crate) devices: u64,
    pub(crate) connected: u64,
    pub(crate) waiting: u64,
    pub(crate) waiting_bytes: u64,
    pub(crate) deepest_mailbox: u64,
    pub(crate) oldest_waiting_s: Option<u64>,
}

/// An answer line with the version of this contract.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Versioned<T> {
    pub(crate) v: u32,
    #[serde(flatten)]
    pub(crate) line: T,
}

impl<T> Versioned<T> {
    pub(crate) const fn new(line: T) -> Self {
        Self { v: 1, line }
    }
}
