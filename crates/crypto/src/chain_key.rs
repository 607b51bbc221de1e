//! The symmetric chain: HMAC-SHA-256 with constant 0x01 for the message key and 0x02 for the
//! next chain key (Double Ratchet, revision 3, section 7.2).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::message_key::MessageKey;

const MESSAGE_KEY_CONSTANT: u8 = 0x01;
const NEXT_CHAIN_CONSTANT: u8 = 0x02;

/// A chain key. Boxed, so that moves leave no bytes behind.
#[derive(Clone)]
pub(crate) struct ChainKey(Box<Zeroizing<[u8; 32]>>);

impl ChainKey {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        Self(Box::new(Zeroizing::new(*bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn hmac(&self, constant: u8) -> Zeroizing<[u8; 32]> {
        // A 32-byte key fits into one block, so this is HMAC's key preparation without a hash.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(self.as_bytes());
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(&[constant]);
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// The message key at this position.
    pub(crate) fn message_key(&self) -> MessageKey {
        MessageKey::new(&self.hmac(MESSAGE_KEY_CONSTANT))
    }

    /// The chain key of the next position.
    pub(crate) fn next(&self) -> Self {
        Self::new(&self.hmac(NEXT_CHAIN_CONSTANT))
    }
}
