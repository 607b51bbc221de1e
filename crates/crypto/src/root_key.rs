//! The root key: HKDF-SHA-256 with the root as salt and a Diffie-Hellman result as input
//! (Double Ratchet, revision 3, section 7.2).

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::chain_key::ChainKey;
use crate::curve25519::SharedSecret;
use crate::kdf::hkdf;
use crate::labels;

/// A root key. Shared rather than copied: a clone is cheap and a move leaves no bytes behind.
#[derive(Clone)]
pub(crate) struct RootKey(Arc<Zeroizing<[u8; 32]>>);

impl RootKey {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(*bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// next root (32) ‖ chain (32) = HKDF(salt = root, ikm = DH result, info, 64).
    pub(crate) fn step(&self, shared: &SharedSecret) -> (Self, ChainKey) {
        let output = hkdf::<64>(self.as_bytes(), shared.as_ref(), &[labels::ROOT]);
        let (mut root, mut chain) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        root.copy_from_slice(&output[..32]);
        chain.copy_from_slice(&output[32..]);
        (Self::new(&root), ChainKey::new(&chain))
    }
}
