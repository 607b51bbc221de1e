//! Who may register at a relay.

use std::{fmt, net::SocketAddr, str::FromStr};

use bytes::Bytes;
use subrosa_wire::{
    AccountId, CapabilityHash, ErrorCode, Handle, RegistrationToken, http::ACCOUNT_RECORD_BYTES, link, submit::Refusal,
};
use url::Url;

use super::identity::DeviceList;

/// A new account; every signature in it has been verified.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    /// 65 bytes.
    pub record: [u8; ACCOUNT_RECORD_BYTES],
    /// The wanted alias.
    pub handle: Handle,
    /// As it came.
    pub list_bytes: Bytes,
    /// As it was read.
    pub list: DeviceList,
    /// What lets it in.
    pub admission: Admission,
}

/// What the rules look at when somebody registers.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegistrationFacts {
    /// Record, handle and list of the account, if it is here already.
    pub existing: Option<(Vec<u8>, String, Vec<u8>)>,
    /// Uses left of the token that was shown, and when it ends, ms since 1970; if there is such a token.
    pub token: Option<(u32, Option<u64>)>,
    /// An account that has the handle.
    pub handle_of: Option<AccountId>,
    /// A removed account that had it.
    pub retired_of: Option<AccountId>,
}

/// What a registration changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// Nothing: it is here already, as it is wanted. An answer may have been lost.
    Again,
    /// There is one account more, and one use less of this token.
    New(Option<CapabilityHash>),
}

/// Who may register as what.
///
/// # Errors
/// Why not.
pub(crate) fn judge_registration(
    facts: &RegistrationFacts,
    wanted: &Registration,
    now_ms: u64,
) -> Result<Registered, Refusal> {
    let refused = |code| Err(Refusal::never(code));
    if let Some((record, handle, list)) = &facts.existing {
        let same = *record == wanted.record && handle == wanted.handle.as_str() && *list == wanted.list_bytes;
        return if same { Ok(Registered::Again) } else { refused(ErrorCode::AccountExists) };
    }
    let token = match wanted.admission {
        Admission::Open => None,
        Admission::Closed => return refused(ErrorCode::RegistrationClosed),
        Admission::Token(None) => return refused(ErrorCode::RegistrationTokenNeeded),
        Admission::Token(Some(token)) => {
            let alive = |(left, ends): (u32, Option<u64>)| left > 0 && ends.is_none_or(|ends_ms| ends_ms > now_ms);
            if !facts.token.is_some_and(alive) {
                return refused(ErrorCode::RegistrationTokenRefused);
            }
            Some(token)
        }
    };
    let retired = facts.retired_of.is_some_and(|account| account != wanted.list.account);
    if facts.handle_of.is_some() || retired {
        return refused(ErrorCode::HandleTaken);
    }
    Ok(Registered::New(token))
}

/// Whether somebody may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Everybody may.
    Open,
    /// Who shows a registration token; here is the SHA-256 of the one that was shown.
    Token(Option<CapabilityHash>),
    /// Nobody may.
    Closed,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Everybody.
    Open,
    /// Who has a registration token of the operator.
    Token,
    /// Nobody.
    Closed,
}

impl RegistrationMode {
    /// Open on this machine, where whoever reaches the relay is its owner; by token where strangers reach it: a new
    /// relay must not fill up before its operator has thought about it.
    #[must_use]
    pub fn default_for(address: SocketAddr, public_url: Option<&Url>) -> Self {
        if address.ip().is_loopback() && public_url.is_none_or(link::is_loopback) { Self::Open } else { Self::Token }
    }

    /// What the store is asked about one registration.
    pub(crate) fn admission(self, token: Option<&RegistrationToken>) -> Admission {
        match self {
            Self::Open => Admission::Open,
            Self::Token => Admission::Token(token.map(RegistrationToken::hash)),
            Self::Closed => Admission::Closed,
        }
    }
}

impl fmt::Display for RegistrationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Closed => "closed",
        })
    }
}

impl FromStr for RegistrationMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "token" => Ok(Self::Token),
            "closed" => Ok(Self::Closed),
            _ => Err("is not open, token or closed".to_owned()),
        }
    }
}
