//! Who may do something for an account without being known: what somebody shows, and the way in that it opens.

use subrosa_wire::{Capability, CapabilityHash, ErrorCode, mailbox::Way, submit::Refusal};
use subtle::ConstantTimeEq;

use super::{
    Moment,
    facts::{Account, Keys, Token},
};

/// What stands in for the asker's permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// SHA-256 of a delivery key.
    DeliveryKey(CapabilityHash),
    /// SHA-256 of a member key.
    MemberKey(CapabilityHash),
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
            Some(Capability::MemberKey(key)) => Self::MemberKey(key.hash()),
            Some(Capability::ContactToken { token, binding }) => Self::ContactToken(token.hash(), binding.hash()),
        }
    }

    /// The capability that its use is counted for.
    pub(crate) const fn counted(&self) -> Option<CapabilityHash> {
        match self {
            Self::DeliveryKey(hash) | Self::MemberKey(hash) | Self::ContactToken(hash, _) => Some(*hash),
            Self::Missing | Self::Request | Self::RequestRefused(_) => None,
        }
    }

    /// The contact token that has to be looked up, and the binding of who shows it.
    #[must_use]
    pub(crate) const fn token(&self) -> Option<(CapabilityHash, CapabilityHash)> {
        match self {
            Self::ContactToken(token, binding) => Some((*token, *binding)),
            _ => None,
        }
    }
}

fn same(stored: &CapabilityHash, shown: &CapabilityHash) -> bool {
    stored.0.ct_eq(&shown.0).into()
}

fn opens(keys: &Keys, shown: &CapabilityHash, now_ms: u64) -> bool {
    let current = keys.current.is_some_and(|key| same(&key, shown));
    let previous = keys.previous.is_some_and(|(key, until_ms)| same(&key, shown) && until_ms > now_ms);
    current || previous
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
    now: Moment,
) -> Result<Way, Refusal> {
    let refused = |code| Err(Refusal::never(code));
    match (permission, account) {
        (Permission::RequestRefused(refusal), _) => Err(*refusal),
        (Permission::Request, Some(_)) => Ok(Way::RequestLane),
        (Permission::Request, None) => refused(ErrorCode::NotFound),
        (Permission::DeliveryKey(shown), Some(account)) if opens(&account.delivery, shown, now.ms) => {
            Ok(Way::DeliveryKey)
        }
        (Permission::MemberKey(shown), Some(account)) if opens(&account.member, shown, now.ms) => Ok(Way::MemberKey),
        (Permission::ContactToken(_, binding), Some(_)) => match token.filter(|token| token.expires_ms > now.ms) {
            Some(token) => may_join(token, binding, now).map(|()| Way::ContactToken),
            None => refused(ErrorCode::CapabilityRefused),
        },
        (
            Permission::Missing | Permission::DeliveryKey(_) | Permission::MemberKey(_) | Permission::ContactToken(..),
            _,
        ) => refused(ErrorCode::CapabilityRefused),
    }
}

/// Whether somebody may use a token: who has joined with it, or one more.
fn may_join(token: &Token, binding: &CapabilityHash, now: Moment) -> Result<(), Refusal> {
    if token.joiners.keys().any(|joined| same(joined, binding)) {
        return Ok(());
    }
    if token.joined >= token.uses.most {
        return Err(Refusal::never(ErrorCode::TokenUsed));
    }
    if token.uses.per_day > 0 && token.joined_today >= token.uses.per_day {
        return Err(Refusal { code: ErrorCode::RateLimited, retry_after_s: now.seconds_of_day_left() });
    }
    Ok(())
}
