//! The symmetric chain: HMAC-SHA-256 with constant 0x01 for the message key and 0x02 for the
//! next chain key (Double Ratchet, revision 3, section 7.2).

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::message_key::MessageKey;

const MESSAGE_KEY_CONSTANT: u8 = 0x01;
const NEXT_CHAIN_CONSTANT: u8 = 0x02;

/// A chain key. Shared rather than copied: a clone is cheap and a move leaves no bytes behind.
#[derive(Clone)]
pub(crate) struct ChainKey(Arc<Zeroizing<[u8; 32]>>);

impl ChainKey {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(*bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC keyed with the chain key, not fed yet.
    fn keyed(&self) -> Hmac<Sha256> {
        // A 32-byte key fits into one block, so this is HMAC's key preparation without a hash.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(self.as_bytes());
        Hmac::new((&*block).into())
    }

    fn finish(mut mac: Hmac<Sha256>, constant: u8) -> Zeroizing<[u8; 32]> {
        mac.update(&[constant]);
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// The message key at this position and the chain key of the next one, for less than the
    /// price of both alone.
    pub(crate) fn step(&self) -> (MessageKey, Self) {
        let keyed = self.keyed();
        let message_key = Self::finish(keyed.clone(), MESSAGE_KEY_CONSTANT);
        let next = Self::finish(keyed, NEXT_CHAIN_CONSTANT);
        (MessageKey::new(&message_key), Self::new(&next))
    }

    /// The chain key of the next position.
    pub(crate) fn next(&self) -> Self {
        Self::new(&Self::finish(self.keyed(), NEXT_CHAIN_CONSTANT))
    }
}
