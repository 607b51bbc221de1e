//! Identifiers: accounts, devices, envelopes, messages, handles.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

use crate::{
    WireError,
    limits::{MAX_HANDLE_CHARS, MIN_HANDLE_CHARS},
};

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Size in bytes.
            pub const LEN: usize = $len;

            /// Reads exactly [`Self::LEN`] bytes.
            ///
            /// # Errors
            /// Any other length.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
                bytes
                    .try_into()
                    .map(Self)
                    .map_err(|_| WireError::Length { field: stringify!($name), expected: $len, found: bytes.len() })
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = WireError;
            fn from_str(text: &str) -> Result<Self, WireError> {
                let bytes = hex::decode(text).map_err(|_| WireError::Hex(stringify!($name)))?;
                Self::from_slice(&bytes)
            }
        }
    };
}

byte_id!(
    /// A person: SHA-256 over label, account key and recovery hash. Certifies itself.
    AccountId, 32
);
byte_id!(
    /// First 16 bytes of SHA-256(device ‖ head ‖ body). Computed by both ends, never sent.
    EnvelopeId, 16
);
byte_id!(
    /// 16 random bytes chosen by the sender of a message. Unique for ever; never a timestamp.
    MessageId, 16
);
byte_id!(
    /// Names one life of a mailbox: changes when a relay's store is restored from a backup.
    MailboxEpoch, 16
);

/// The commit order of one mailbox. 0 = nothing yet; never used twice.
pub type Seq = u64;

/// One device of one account: where envelopes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAddress {
    /// The person.
    pub account: AccountId,
    /// The installation, from 1.
    pub device: u32,
}

impl DeviceAddress {
    /// Size of [`DeviceAddress::to_bytes`].
    pub const LEN: usize = 36;

    /// account (32) ‖ device number (big-endian u32).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..32].copy_from_slice(&self.account.0);
        bytes[32..].copy_from_slice(&self.device.to_be_bytes());
        bytes
    }

    /// Reads [`DeviceAddress::to_bytes`].
    ///
    /// # Errors
    /// Wrong length, or device number 0.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() != Self::LEN {
            return Err(WireError::Length { field: "DeviceAddress", expected: Self::LEN, found: bytes.len() });
        }
        let (account, device) = bytes.split_at(32);
        let device = device.iter().fold(0u32, |number, byte| (number << 8) | u32::from(*byte));
        if device == 0 {
            return Err(WireError::Missing("device number"));
        }
        Ok(Self { account: AccountId::from_slice(account)?, device })
    }
}

impl EnvelopeId {
    /// The id of an envelope for `device` (`docs/protocol.md`, envelope id).
    #[must_use]
    pub fn of(device: &DeviceAddress, head: &[u8], body: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(device.to_bytes()).chain_update(head).chain_update(body).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

/// A relay's alias for an account: 3 to 32 of `a-z 0-9 . _ -`, first and last a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

impl Handle {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let fits = (MIN_HANDLE_CHARS..=MAX_HANDLE_CHARS).contains(&text.len());
        if fits && edge(text.chars().next()) && edge(text.chars().last()) && text.chars().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WireError::Handle)
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_keep_to_their_alphabet() {
        for good in ["bob", "a.b", "al-ice_9", &"a".repeat(32)] {
            assert!(good.parse::<Handle>().is_ok(), "{good}");
        }
        for bad in ["", "ab", "Bob", ".bob", "bob-", "bo b", "bøb", "bob\u{202e}", &"a".repeat(33)] {
            assert!(bad.parse::<Handle>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_envelope_id_depends_on_device_head_and_body() {
        let device = |n| DeviceAddress { account: AccountId([7; 32]), device: n };
        let id = EnvelopeId::of(&device(1), b"head", b"body");
        assert_ne!(id, EnvelopeId::of(&device(2), b"head", b"body"));
        assert_ne!(id, EnvelopeId::of(&device(1), b"heae", b"body"));
        assert_ne!(id, EnvelopeId::of(&device(1), b"head", b"bodz"));
        assert_eq!(id, EnvelopeId::of(&device(1), b"head", b"body"));
    }

    #[test]
    fn device_addresses_round_trip_and_refuse_zero() {
        let address = DeviceAddress { account: AccountId([9; 32]), device: 0x0102_0304 };
        assert_eq!(DeviceAddress::from_slice(&address.to_bytes()).unwrap(), address);
        assert!(DeviceAddress::from_slice(&[0; 36]).is_err());
        assert!(DeviceAddress::from_slice(&[1; 35]).is_err());
    }
}
