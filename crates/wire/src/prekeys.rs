//! Prekeys as a device brings them to its relay (docs/protocol.md, "The mailbox socket").

use bytes::Bytes;

use crate::{
    WireError,
    limits::{MAX_ONE_TIME_EC, MAX_ONE_TIME_KEM},
    proto,
};

/// Encoded signed prekey: id, X25519 key, signature.
pub const SIGNED_PREKEY_BYTES: usize = 100;
/// Encoded one-time EC prekey: id, X25519 key.
pub const ONE_TIME_EC_BYTES: usize = 36;
/// Encoded ML-KEM-1024 prekey: id, key, signature.
pub const KEM_PREKEY_BYTES: usize = 1636;

/// Prekeys in their encoded form (`docs/protocol.md`, prekeys). The relay reads only their first four bytes, the id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrekeyUpload {
    /// Replaces the signed prekey; 100 bytes.
    pub signed_prekey: Option<Bytes>,
    /// Replaces the last-resort KEM key; 1,636 bytes.
    pub last_resort_kem: Option<Bytes>,
    /// Added to the stock; 36 bytes each.
    pub one_time_ec: Vec<Bytes>,
    /// Added to the stock; 1,636 bytes each.
    pub one_time_kem: Vec<Bytes>,
    /// Drop the old one-time stock first.
    pub replace_one_time: bool,
}

/// Stock of one-time prekeys at the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrekeyCount {
    /// X25519 keys.
    pub one_time_ec: u32,
    /// ML-KEM keys.
    pub one_time_kem: u32,
}

fn sized(field: &'static str, bytes: Bytes, expected: usize) -> Result<Bytes, WireError> {
    if bytes.len() == expected { Ok(bytes) } else { Err(WireError::Length { field, expected, found: bytes.len() }) }
}

fn sized_list(field: &'static str, list: Vec<Bytes>, expected: usize, limit: usize) -> Result<Vec<Bytes>, WireError> {
    if list.len() > limit {
        return Err(WireError::TooMany { field, limit });
    }
    list.into_iter().map(|bytes| sized(field, bytes, expected)).collect()
}

fn sized_or_none(field: &'static str, bytes: Bytes, expected: usize) -> Result<Option<Bytes>, WireError> {
    if bytes.is_empty() { Ok(None) } else { sized(field, bytes, expected).map(Some) }
}

impl TryFrom<proto::PrekeyUpload> for PrekeyUpload {
    type Error = WireError;

    fn try_from(value: proto::PrekeyUpload) -> Result<Self, WireError> {
        Ok(Self {
            signed_prekey: sized_or_none("signed prekey", value.signed_prekey, SIGNED_PREKEY_BYTES)?,
            last_resort_kem: sized_or_none("last-resort KEM prekey", value.last_resort_kem, KEM_PREKEY_BYTES)?,
            one_time_ec: sized_list("one-time prekey", value.one_time_ec, ONE_TIME_EC_BYTES, MAX_ONE_TIME_EC)?,
            one_time_kem: sized_list("one-time KEM prekey", value.one_time_kem, KEM_PREKEY_BYTES, MAX_ONE_TIME_KEM)?,
            replace_one_time: value.replace_one_time,
        })
    }
}

impl From<&PrekeyUpload> for proto::PrekeyUpload {
    fn from(value: &PrekeyUpload) -> Self {
        Self {
            signed_prekey: value.signed_prekey.clone().unwrap_or_default(),
            last_resort_kem: value.last_resort_kem.clone().unwrap_or_default(),
            one_time_ec: value.one_time_ec.clone(),
            one_time_kem: value.one_time_kem.clone(),
            replace_one_time: value.replace_one_time,
        }
    }
}

impl From<proto::PrekeyCount> for PrekeyCount {
    fn from(value: proto::PrekeyCount) -> Self {
        Self { one_time_ec: value.one_time_ec, one_time_kem: value.one_time_kem }
    }
}

impl From<PrekeyCount> for proto::PrekeyCount {
    fn from(value: PrekeyCount) -> Self {
        Self { one_time_ec: value.one_time_ec, one_time_kem: value.one_time_kem }
    }
}
