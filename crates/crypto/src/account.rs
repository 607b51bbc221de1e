//! The account key and the account record, whose hash is the account id (`docs/protocol.md`,
//! "Identities").

use zeroize::Zeroizing;

use crate::decoding::{DecodeError, Reader};
use crate::ed25519::{Ed25519KeyPair, Ed25519PublicKey};
use crate::kdf::sha256;
use crate::key_error::KeyError;
use crate::labels;
use crate::randomness::{Os, RandomnessError};
use crate::redacted::redacted_debug;

/// The key of a person. It signs device certificates and device lists, nothing else, and lies
/// in the first device's store only.
pub struct AccountKeyPair {
    pair: Ed25519KeyPair,
}

redacted_debug!(AccountKeyPair);

impl AccountKeyPair {
    /// A fresh key pair.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate() -> Result<Self, RandomnessError> {
        Ok(Self { pair: Ed25519KeyPair::generate(&mut Os)? })
    }

    /// From the 32-byte Ed25519 seed ([`Self::seed`]).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { pair: Ed25519KeyPair::from_seed(seed) }
    }

    /// The 32-byte Ed25519 seed, for storage.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.pair.seed()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> AccountKey {
        AccountKey(self.pair.public())
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.pair.sign(parts)
    }
}

/// The public key of an account (Ed25519): canonical, not of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountKey(pub(crate) Ed25519PublicKey);

impl AccountKey {
    /// Checks and takes 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] for an encoding that is not canonical or a point of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Ed25519PublicKey::from_bytes(bytes).map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// Who somebody is: the account key and the commitment to the recovery key. Its hash is the
/// account id, so an id certifies itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    key: AccountKey,
    recovery_commitment: [u8; 32],
}

impl AccountRecord {
    /// Bytes of an encoded record.
    pub const LEN: usize = 65;
    const VERSION: u8 = 1;

    /// The record of an account key and a recovery key's commitment
    /// ([`crate::RecoveryKey::commitment`]).
    #[must_use]
    pub fn new(key: AccountKey, recovery_commitment: [u8; 32]) -> Self {
        Self { key, recovery_commitment }
    }

    /// version u8 = 1 ‖ account key (32) ‖ recovery commitment (32).
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = Self::VERSION;
        bytes[1..33].copy_from_slice(self.key.as_bytes());
        bytes[33..].copy_from_slice(&self.recovery_commitment);
        bytes
    }

    /// The opposite of [`Self::encode`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything but exactly one record of this version with a good key.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(Self::VERSION)?;
        let key = reader.array_ref()?;
        let recovery_commitment = reader.array()?;
        reader.finish()?;
        let key = AccountKey::from_bytes(key).map_err(|_| DecodeError::BadKey)?;
        Ok(Self { key, recovery_commitment })
    }

    /// The account id: SHA-256("Subrosa account id v1" ‖ account key ‖ recovery commitment).
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        sha256(&[labels::ACCOUNT_ID, self.key.as_bytes(), &self.recovery_commitment])
    }

    /// The account key.
    #[must_use]
    pub fn account_key(&self) -> &AccountKey {
        &self.key
    }
}
