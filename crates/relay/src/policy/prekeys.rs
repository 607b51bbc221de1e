//! Prekeys: which of an upload are kept, and who gets which of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use subrosa_wire::{
    ErrorCode,
    http::Prekeys,
    limits::{LOW_ONE_TIME_EC, LOW_ONE_TIME_KEM, MAX_ONE_TIME_EC, MAX_ONE_TIME_KEM, MAX_TOKEN_PREKEYS},
    mailbox::{PrekeyCount, PrekeyUpload, Way},
    submit::Refusal,
};

use super::{
    Moment,
    facts::{Account, Token},
    limits::UNAVAILABLE,
    permission::{Permission, way_in},
};

/// What a device has of one-time keys of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    /// How many are left.
    pub(crate) left: usize,
    /// The highest id that was ever stored. `None`: none was.
    pub(crate) last: Option<u32>,
}

impl Stock {
    const EMPTY: Self = Self { left: 0, last: None };
}

/// One-time keys to be kept, by id, and the highest id afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// New ones.
    pub(crate) keys: BTreeMap<u32, Bytes>,
    /// The highest id that was ever stored.
    pub(crate) last: Option<u32>,
}

/// Which one-time keys of an upload are kept: X25519, ML-KEM. With `replace_one_time` all that are there go first: a restored client counts
/// from where its copy stood.
///
/// # Errors
/// A key without an id, or more keys than a device may have.
pub(crate) fn judge_upload(ec: Stock, kem: Stock, upload: &PrekeyUpload) -> Result<(Kept, Kept), Refusal> {
    let kept = |stock: Stock, keys: &[Bytes], most| {
        let Stock { left, last } = if upload.replace_one_time { Stock::EMPTY } else { stock };
        let mut new = BTreeMap::new();
        for key in keys {
            let id = key.first_chunk().ok_or(Refusal::never(ErrorCode::Malformed))?;
            let id = u32::from_be_bytes(*id);
            // An upload whose answer was lost comes again: what was taken from it meanwhile is not served a second time.
            if last.is_none_or(|last| id > last) {
                new.insert(id, key.clone());
            }
        }
        if left + new.len() > most {
            return Err(Refusal::never(ErrorCode::QuotaExceeded));
        }
        let last = new.last_key_value().map(|(id, _)| *id).or(last);
        Ok(Kept { keys: new, last })
    };
    Ok((kept(ec, &upload.one_time_ec, MAX_ONE_TIME_EC)?, kept(kem, &upload.one_time_kem, MAX_ONE_TIME_KEM)?))
}

/// What a device gives to everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its signed prekey.
    pub(crate) signed_prekey: Option<Bytes>,
    /// Its last-resort ML-KEM key.
    pub(crate) last_resort_kem: Option<Bytes>,
}

impl Standing {
    /// The bundle that everybody gets.
    ///
    /// # Errors
    /// It was registered a moment ago and is not yet done with its first upload.
    pub(crate) fn prekeys(self) -> Result<Prekeys, Refusal> {
        let (Some(signed_prekey), Some(kem)) = (self.signed_prekey, self.last_resort_kem) else {
            return Err(UNAVAILABLE);
        };
        Ok(Prekeys { signed_prekey, one_time_ec: None, kem, kem_last_resort: true })
    }
}

/// What somebody gets who asks for the keys of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// What everybody gets.
    Standing,
    /// One-time keys, too, as far as the asker's share of them goes.
    OneTime,
}

/// Who gets what of a device's keys. `device`: it is on the account's list.
///
/// # Errors
/// Why nothing.
pub(crate) fn judge_taking(
    permission: &Permission,
    account: Option<&Account>,
    token: Option<&Token>,
    device: bool,
    now: Moment,
) -> Result<Given, Refusal> {
    let refused = |code| Err(Refusal::never(code));
    let mut way = None;
    if *permission != Permission::Missing {
        way = Some(way_in(permission, account, token, now)?);
        let most = |token: &Token| token.uses.most.saturating_mul(MAX_TOKEN_PREKEYS);
        if way == Some(Way::ContactToken) && token.is_some_and(|token| token.prekeys >= most(token)) {
            return refused(ErrorCode::QuotaExceeded);
        }
        if account.is_some_and(|account| account.disabled) {
            return refused(ErrorCode::AccountDisabled);
        }
    }
    if !device {
        return refused(ErrorCode::NotFound);
    }
    Ok(match way {
        Some(Way::DeliveryKey | Way::ContactToken) => Given::OneTime,
        // The member key is held by all members of all groups: they could drain anybody.
        _ => Given::Standing,
    })
}

/// Whether a device should give more one-time keys.
pub(crate) const fn is_low(count: PrekeyCount) -> bool {
    (count.one_time_ec as usize) < LOW_ONE_TIME_EC || (count.one_time_kem as usize) < LOW_ONE_TIME_KEM
}
