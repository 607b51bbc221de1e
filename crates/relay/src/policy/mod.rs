//! Who may do what, how often and how much. The rules are functions of facts, request and moment, and say what is to be done: a back end
//! fetches what they look at and does what they say. Beside them the bounds, the rates, and the memory that these need.

pub(crate) mod addresses;
pub(crate) mod descriptors;
pub(crate) mod device_list;
pub(crate) mod facts;
pub(crate) mod frames;
pub mod identity;
pub(crate) mod lane;
pub(crate) mod limiter;
pub(crate) mod limits;
pub(crate) mod mailbox;
pub(crate) mod permission;
pub(crate) mod prekeys;
pub(crate) mod registration;
pub(crate) mod shares;
pub(crate) mod submission;

#[cfg(test)]
mod tests;

use subrosa_wire::{
    AccountId, ErrorCode,
    limits::{MAX_CONTACT_TOKENS, MAX_TOKEN_USES},
    mailbox::TokenUses,
    submit::Refusal,
};

use crate::clock::MS_PER_DAY;

/// Registration tokens that may exist at once: an operator hands them out one by one, a script gone wild makes more.
const MAX_REGISTRATION_TOKENS: u32 = 10_000;

/// The moment at which something is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Milliseconds since 1970.
    pub(crate) ms: u64,
    /// Days since 1970.
    pub(crate) day: u32,
}

impl Moment {
    /// Seconds until the next day.
    fn seconds_of_day_left(self) -> u32 {
        let next_ms = (u64::from(self.day) + 1).saturating_mul(MS_PER_DAY);
        u32::try_from(next_ms.saturating_sub(self.ms).div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
    }
}

/// How many may join with a token, as its maker wants it and as it may be.
pub(crate) fn token_uses(wanted: TokenUses) -> TokenUses {
    TokenUses { most: wanted.most.clamp(1, MAX_TOKEN_USES), per_day: wanted.per_day.min(MAX_TOKEN_USES) }
}

/// What is asked about and not there.
pub(crate) fn found<T>(what: Option<T>) -> Result<T, Refusal> {
    what.ok_or(Refusal::never(ErrorCode::NotFound))
}

/// Whom a handle means: nobody, if the operator has disabled them.
pub(crate) fn resolved(account: Option<(AccountId, bool)>) -> Result<AccountId, Refusal> {
    found(account.filter(|(_, disabled)| !disabled).map(|(account, _)| account))
}

/// Whether an account may have another contact token beside so many that are open.
pub(crate) const fn judge_contact_token(others: u32) -> Result<(), Refusal> {
    if (others as usize) < MAX_CONTACT_TOKENS { Ok(()) } else { Err(Refusal::never(ErrorCode::QuotaExceeded)) }
}

/// Whether the operator may have another registration token.
pub(crate) const fn judge_registration_token(held: u32) -> Result<(), Refusal> {
    if held < MAX_REGISTRATION_TOKENS { Ok(()) } else { Err(Refusal::never(ErrorCode::QuotaExceeded)) }
}
