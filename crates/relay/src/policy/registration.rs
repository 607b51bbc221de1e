//! Who may register at a relay.

use std::{fmt, net::SocketAddr, str::FromStr};

use subrosa_wire::{CapabilityHash, RegistrationToken, link};
use url::Url;

/// Whether somebody may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
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
