//! Pair keys: what lets a device tell who sealed an envelope for it, and nobody else
//! (`docs/protocol.md`, "Seal and padding").
//!
//! A pair of devices agrees on one key for each direction, from nothing but their identities:
//! static on static, so it can be kept, and a tag under it costs no agreement a message. Both
//! ends can compute it, so a tag convinces its receiver and proves nothing to a third person.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::address::PartyAddress;
use crate::certificate::VerifiedCertificate;
use crate::device::{IdentityKey, IdentityKeyPair};
use crate::kdf::hkdf;
use crate::key_error::KeyError;
use crate::labels;
use crate::redacted::redacted_debug;

/// Bytes of a tag: nobody can test one without the receiver, so 128 bits leave no room to guess.
pub(crate) const SENDER_TAG_LEN: usize = 16;

/// Shared rather than copied: whoever keeps many of them in a table leaves no bytes behind when it grows.
type Key = Arc<Zeroizing<[u8; 32]>>;

/// A device by name and key, as a pair key binds it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct End {
    address: PartyAddress,
    identity: IdentityKey,
}

/// pair key = HKDF(0x00^32, DH(own identity, peer's identity), label ‖ sender ‖ receiver, 32), each
/// end as account id ‖ device number ‖ identity key. The order of the ends is the direction: a
/// tag sent back to its maker is no tag.
fn agree(local: &IdentityKeyPair, peer: &IdentityKey, sender: &End, receiver: &End) -> Result<Key, KeyError> {
    let shared = local.agreement().diffie_hellman(&peer.agreement()).map_err(|_| KeyError::SmallOrder)?;
    Ok(Arc::new(hkdf(
        &[0; 32],
        shared.as_ref(),
        &[
            labels::SEAL_SENDER,
            &sender.address.to_bytes(),
            sender.identity.as_bytes(),
            &receiver.address.to_bytes(),
            receiver.identity.as_bytes(),
        ],
    )))
}

/// HMAC keyed with a pair key and fed with what a tag covers.
fn mac(key: &[u8; 32], wrapped: &[u8], body_hash: &[u8; 32]) -> Hmac<Sha256> {
    // A 32-byte key fits into one block, so this is HMAC's key preparation without a hash.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(wrapped);
    mac.update(body_hash);
    mac
}

/// For sealing to one device: whom for, and the key that shows it who sealed. Worth keeping: making
/// one costs an agreement.
#[derive(Clone)]
pub struct SendingPairKey {
    receiver: End,
    key: Key,
}

/// For opening what one device sealed: whose tags it verifies, and the key. Worth keeping: making one
/// costs an agreement.
#[derive(Clone)]
pub struct ReceivingPairKey {
    sender: End,
    key: Key,
}

redacted_debug!(SendingPairKey, ReceivingPairKey);

impl SendingPairKey {
    /// The key from this device (`local` at `address`) to `receiver`.
    ///
    /// # Errors
    /// [`KeyError::SmallOrder`] for a receiver's key that makes the agreement zero; a checked key
    /// does not.
    pub fn new(
        local: &IdentityKeyPair,
        address: &PartyAddress,
        receiver: &VerifiedCertificate,
    ) -> Result<Self, KeyError> {
        Self::between(local, address, &receiver.address(), receiver.identity())
    }

    pub(crate) fn between(
        local: &IdentityKeyPair,
        address: &PartyAddress,
        receiver: &PartyAddress,
        identity: &IdentityKey,
    ) -> Result<Self, KeyError> {
        let own = End { address: *address, identity: local.public() };
        let receiver = End { address: *receiver, identity: *identity };
        Ok(Self { key: agree(local, identity, &own, &receiver)?, receiver })
    }

    /// The device that can open what is sealed with this key.
    #[must_use]
    pub fn receiver(&self) -> PartyAddress {
        self.receiver.address
    }

    pub(crate) fn receiver_identity(&self) -> &IdentityKey {
        &self.receiver.identity
    }

    /// The tag of a head: over the wrapped body key and SHA-256 of the body.
    pub(crate) fn tag(&self, wrapped: &[u8], body_hash: &[u8; 32]) -> [u8; SENDER_TAG_LEN] {
        let output = mac(&self.key, wrapped, body_hash).finalize().into_bytes();
        let mut tag = [0; SENDER_TAG_LEN];
        tag.copy_from_slice(&output[..SENDER_TAG_LEN]);
        tag
    }

    #[cfg(test)]
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }
}

impl ReceivingPairKey {
    /// The key from `sender` to this device (`local` at `address`).
    ///
    /// # Errors
    /// [`KeyError::SmallOrder`] for a sender's key that makes the agreement zero; a checked key does
    /// not.
    pub fn new(
        local: &IdentityKeyPair,
        address: &PartyAddress,
        sender: &VerifiedCertificate,
    ) -> Result<Self, KeyError> {
        let own = End { address: *address, identity: local.public() };
        let end = End { address: sender.address(), identity: *sender.identity() };
        Ok(Self { key: agree(local, sender.identity(), &end, &own)?, sender: end })
    }

    /// The device whose tags this key verifies.
    #[must_use]
    pub fn sender(&self) -> PartyAddress {
        self.sender.address
    }

    pub(crate) fn is_of(&self, address: &PartyAddress, identity: &IdentityKey) -> bool {
        self.sender.address == *address && self.sender.identity == *identity
    }

    /// Compares in constant time.
    pub(crate) fn verifies(&self, tag: &[u8; SENDER_TAG_LEN], wrapped: &[u8], body_hash: &[u8; 32]) -> bool {
        mac(&self.key, wrapped, body_hash).verify_truncated_left(tag).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }
}
