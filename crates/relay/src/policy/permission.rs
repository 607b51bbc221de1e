//! Who may do something for an account without being known: what somebody shows, and the way in that it opens.

use subrosa_wire::{Capability, CapabilityHash, ErrorCode, mailbox::Way, submit::Refusal};
use subtle::ConstantTimeEq;

use super::facts::{Account, Token};

/// What stands in for the asker's permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// SHA-256 of a delivery key.
    DeliveryKey(CapabilityHash),
    /// SHA-256 of a contact token and of its binding.
    ContactToken(CapabilityHash, CapabilityHash),
    /// None was given.
    Missing,
    /// The request lane: the sender is authenticated and within its limits.
    Request,
    /// The request lane beyond its limits: only repeats of what is known are accepted.
    RequestRefused(Refusal),
}

impl Permission {
    /// What somebody shows who names nobody.
    pub(crate) fn of(capability: Option<&Capability>) -> Self {
        match capability {
            None => Self::Missing,
            Some(Capability::DeliveryKey(key)) => Self::DeliveryKey(key.hash()),
            Some(Capability::ContactToken { token, binding }) => Self::ContactToken(token.hash(), binding.hash()),
        }
    }

    /// The capability that its use is counted for.
    pub(crate) const fn counted(&self) -> Option<CapabilityHash> {
        match self {
            Self::DeliveryKey(hash) | Self::ContactToken(hash, _) => Some(*hash),
            Self::Missing | Self::Request | Self::RequestRefused(_) => None,
        }
    }

    /// The contact token that has to be looked up.
    #[must_use]
    pub(crate) const fn token(&self) -> Option<&CapabilityHash> {
        match self {
            Self::ContactToken(token, _) => Some(token),
            _ => None,
        }
    }
}

fn same(stored: &CapabilityHash, shown: &CapabilityHash) -> bool {
    stored.0.ct_eq(&shown.0).into()
}

/// The way into an account that a permission opens. An account that is not there opens to nobody, and says the same as one that is;
/// in the request lane the sender has named itself, and handles are resolved openly anyway.
///
/// # Errors
/// Why it opens none.
pub(crate) fn way_in(
    permission: &Permission,
    account: Option<&Account>,
    token: Option<&Token>,
    now_ms: u64,
) -> Result<Way, Refusal> {
    let refused = |code| Err(Refusal::never(code));
    match (permission, account) {
        (Permission::RequestRefused(refusal), _) => Err(*refusal),
        (Permission::Request, Some(_)) => Ok(Way::RequestLane),
        (Permission::Request, None) => refused(ErrorCode::NotFound),
        (Permission::DeliveryKey(shown), Some(account)) => {
            let current = account.delivery_key.as_ref().is_some_and(|key| same(key, shown));
            let previous = account.previous_key.is_some_and(|(key, until_ms)| same(&key, shown) && until_ms > now_ms);
            if current || previous { Ok(Way::DeliveryKey) } else { refused(ErrorCode::CapabilityRefused) }
        }
        (Permission::ContactToken(_, binding), Some(_)) => match token.filter(|token| token.expires_ms > now_ms) {
            None => refused(ErrorCode::CapabilityRefused),
            Some(Token { binding: Some(bound), .. }) if !same(bound, binding) => refused(ErrorCode::TokenUsed),
            Some(_) => Ok(Way::ContactToken),
        },
        (Permission::Missing | Permission::DeliveryKey(_) | Permission::ContactToken(..), _) => {
            refused(ErrorCode::CapabilityRefused)
        }
    }
}
