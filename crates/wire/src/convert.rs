//! Small checked conversions that several frames share.

use bytes::Bytes;

use crate::{AccountId, DeviceAddress, WireError, proto};

/// A field of exactly `N` bytes.
pub(crate) fn exact<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Length { field, expected: N, found: bytes.len() })
}

/// A field that is empty or exactly `N` bytes.
pub(crate) fn optional<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<Option<[u8; N]>, WireError> {
    if bytes.is_empty() { Ok(None) } else { exact(field, bytes).map(Some) }
}

/// At most `limit` bytes.
pub(crate) fn bounded(field: &'static str, bytes: Bytes, limit: usize) -> Result<Bytes, WireError> {
    if bytes.len() > limit { Err(WireError::TooMany { field, limit }) } else { Ok(bytes) }
}

/// Fixed-size array to protobuf bytes.
pub(crate) fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

impl TryFrom<Option<proto::DeviceAddress>> for DeviceAddress {
    type Error = WireError;

    fn try_from(value: Option<proto::DeviceAddress>) -> Result<Self, WireError> {
        let value = value.ok_or(WireError::Missing("device"))?;
        if value.device == 0 {
            return Err(WireError::Missing("device number"));
        }
        Ok(Self { account: AccountId::from_slice(&value.account)?, device: value.device })
    }
}

impl From<&DeviceAddress> for proto::DeviceAddress {
    fn from(value: &DeviceAddress) -> Self {
        Self { account: copy(&value.account.0), device: value.device }
    }
}
