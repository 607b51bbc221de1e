//! The chain of the peer's current ratchet key.

use crate::chain_key::ChainKey;
use crate::curve25519::Curve25519PublicKey;
use crate::message_key::MessageKey;

/// Where reading stands in the peer's current chain.
#[derive(Clone)]
pub(crate) struct ReceivingChain {
    pub(crate) remote: Curve25519PublicKey,
    pub(crate) key: ChainKey,
    /// The number that `key` belongs to: all smaller ones were received or skipped.
    pub(crate) next: u32,
}

impl ReceivingChain {
    /// The chain key at `number`, which is at least `next`. The caller bounds the distance.
    pub(crate) fn key_at(&self, number: u32) -> ChainKey {
        let mut key = self.key.clone();
        for _ in self.next..number {
            key = key.next();
        }
        key
    }

    /// The message keys of `next..end`, to be stored as skipped. Called only after a tag
    /// verified, so a refused message never costs this second walk.
    pub(crate) fn skipped_until(&self, end: u32) -> Vec<(u32, MessageKey)> {
        let mut keys = Vec::with_capacity(end.saturating_sub(self.next) as usize);
        let mut key = self.key.clone();
        for number in self.next..end {
            let (message_key, next) = key.step();
            keys.push((number, message_key));
            key = next;
        }
        keys
    }
}
