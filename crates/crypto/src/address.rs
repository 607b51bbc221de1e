//! The name of one device of one account, as the cryptography binds it.

/// A device: its account's id and its number in the account's device list.
///
/// Encoded (in associated data and key derivations) as account id (32) ‖ device number (u32,
/// big-endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartyAddress {
    /// The account id: SHA-256 of the account record's content ([`crate::AccountRecord::id`]).
    pub account: [u8; 32],
    /// The device number, counted from 1.
    pub device: u32,
}

/// Bytes of an encoded address.
pub(crate) const ADDRESS_LEN: usize = 36;

impl PartyAddress {
    /// Account id (32) ‖ device number (u32, big-endian).
    pub(crate) fn to_bytes(self) -> [u8; ADDRESS_LEN] {
        let mut bytes = [0; ADDRESS_LEN];
        bytes[..32].copy_from_slice(&self.account);
        bytes[32..].copy_from_slice(&self.device.to_be_bytes());
        bytes
    }
}
