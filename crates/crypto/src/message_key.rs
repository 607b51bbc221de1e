//! The single-use key of one message, and the AEAD key and nonce made from it.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::kdf::{AeadKey, hkdf};

/// Bytes of the random salt that each message carries.
pub(crate) const SALT_LEN: usize = 16;

/// A message key. Shared rather than copied, so that a list of skipped keys is cheap to clone
/// and a move leaves no bytes behind.
#[derive(Clone)]
pub(crate) struct MessageKey(Arc<Zeroizing<[u8; 32]>>);

impl MessageKey {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(*bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// key (32) ‖ nonce (12) = HKDF(salt, message key, label, 44). Sessions and groups have labels of their own.
    ///
    /// The salt comes from the operating system for each encryption. A session restored from an
    /// old copy uses a message key a second time, but with another salt: key and nonce never
    /// repeat.
    pub(crate) fn aead_key(&self, label: &[u8], salt: &[u8; SALT_LEN]) -> AeadKey {
        AeadKey::new(hkdf(salt, self.as_bytes(), &[label]))
    }
}
