//! What lets somebody submit to an account without being known.
//!
//! A relay stores only SHA-256 of a capability and compares hashes: nothing in its
//! database lets its reader submit, and nothing on the hot path is a signature.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{WireError, proto};

macro_rules! secret_token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Size in bytes.
            pub const LEN: usize = 16;

            /// Wraps 16 bytes from the operating system's generator.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Reads exactly 16 bytes.
            ///
            /// # Errors
            /// Any other length.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
                bytes
                    .try_into()
                    .map(Self)
                    .map_err(|_| WireError::Length { field: stringify!($name), expected: 16, found: bytes.len() })
            }

            /// The bytes: for the wire and the encrypted store only.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// What a relay stores and compares.
            #[must_use]
            pub fn hash(&self) -> CapabilityHash {
                CapabilityHash(Sha256::digest(self.0).into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    };
}

secret_token!(
    /// Given to contacts inside encrypted messages; rotated by a block.
    DeliveryKey
);
secret_token!(
    /// Given to contacts and fellow members inside encrypted messages: for contents of groups only, one for all groups of an account.
    MemberKey
);
secret_token!(
    /// Made of a link's secret for the relay: one use, or as many as its maker says.
    ContactToken
);
secret_token!(
    /// What a contact link is worth, one use. Token and proof are made of it (`docs/protocol.md`, Capabilities and proofs).
    LinkSecret
);
secret_token!(
    /// Chosen once by whoever uses a contact link: the first one seen with a token owns it.
    TokenBinding
);
secret_token!(
    /// Lets somebody register at a relay with closed registration.
    RegistrationToken
);

impl RegistrationToken {
    /// As it is handed to people: 32 hexadecimal digits.
    #[must_use]
    pub fn to_text(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads what [`RegistrationToken::to_text`] wrote; upper case and spaces around it are fine.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_text(text: &str) -> Result<Self, WireError> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| WireError::Hex("a registration token"))?;
        Ok(Self(bytes))
    }
}

/// SHA-256 of a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CapabilityHash(pub [u8; 32]);

impl CapabilityHash {
    /// Reads exactly 32 bytes.
    ///
    /// # Errors
    /// Any other length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        bytes.try_into().map(Self).map_err(|_| WireError::Length {
            field: "capability hash",
            expected: 32,
            found: bytes.len(),
        })
    }
}

/// What stands in for the sender's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// The receiver's delivery key.
    DeliveryKey(DeliveryKey),
    /// The receiver's member key.
    MemberKey(MemberKey),
    /// A contact token and the binding of the one who uses it.
    ContactToken {
        /// From the link.
        token: ContactToken,
        /// Chosen by the joiner.
        binding: TokenBinding,
    },
}

impl TryFrom<proto::Capability> for Capability {
    type Error = WireError;

    fn try_from(value: proto::Capability) -> Result<Self, WireError> {
        use proto::capability::Kind;
        match value.kind {
            Some(Kind::DeliveryKey(key)) => Ok(Self::DeliveryKey(DeliveryKey::from_slice(&key)?)),
            Some(Kind::MemberKey(key)) => Ok(Self::MemberKey(MemberKey::from_slice(&key)?)),
            Some(Kind::ContactToken(parts)) => Ok(Self::ContactToken {
                token: ContactToken::from_slice(&parts.token)?,
                binding: TokenBinding::from_slice(&parts.binding)?,
            }),
            None => Err(WireError::Missing("capability")),
        }
    }
}

impl From<&Capability> for proto::Capability {
    fn from(value: &Capability) -> Self {
        use proto::capability::Kind;
        let kind = match value {
            Capability::DeliveryKey(key) => Kind::DeliveryKey(key.0.to_vec().into()),
            Capability::MemberKey(key) => Kind::MemberKey(key.0.to_vec().into()),
            Capability::ContactToken { token, binding } => Kind::ContactToken(proto::ContactToken {
                token: token.0.to_vec().into(),
                binding: binding.0.to_vec().into(),
            }),
        };
        Self { kind: Some(kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let key = DeliveryKey::new([0x41; 16]);
        assert_eq!(format!("{key:?}"), "DeliveryKey(secret)");
        assert!(!format!("{:?}", Capability::DeliveryKey(key)).contains("65"));
    }
}
