//! What a contact link's secret makes: a token for the relay, and a proof for the inviter that no relay can make
//! (`docs/protocol.md`, "Capabilities and proofs").
//!
//! The relay must be shown something before it lets a stranger in, so what it sees cannot also be what the inviter
//! believes: the inviter's own relay would be the first joiner of every link.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::kdf::hkdf;
use crate::labels;
use crate::redacted::redacted_debug;

/// The keys of one contact link of one inviter.
pub struct LinkKeys {
    token: Zeroizing<[u8; 16]>,
    proof_key: Zeroizing<[u8; 32]>,
    inviter: [u8; 32],
}

redacted_debug!(LinkKeys);

impl LinkKeys {
    /// From the link's secret and the account id of its maker.
    #[must_use]
    pub fn derive(secret: &[u8; 16], inviter: &[u8; 32]) -> Self {
        Self {
            token: hkdf(&[0; 32], secret, &[labels::LINK_TOKEN, inviter]),
            proof_key: hkdf(&[0; 32], secret, &[labels::LINK_PROOF, inviter]),
            inviter: *inviter,
        }
    }

    /// The contact token: what the relay is shown. It says nothing of the secret or of the proofs.
    #[must_use]
    pub fn token(&self) -> [u8; 16] {
        *self.token
    }

    fn mac(&self, joiner: &[u8; 32]) -> Hmac<Sha256> {
        // A 32-byte key fits into one block, so this is HMAC's key preparation without a hash.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(&*self.proof_key);
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(joiner);
        mac.update(&self.inviter);
        mac
    }

    /// That the account `joiner` has the link: of no use to another account.
    #[must_use]
    pub fn prove(&self, joiner: &[u8; 32]) -> [u8; 32] {
        self.mac(joiner).finalize().into_bytes().into()
    }

    /// Whether `proof` was made with this link for exactly `joiner`; compares in constant time.
    #[must_use]
    pub fn verifies(&self, joiner: &[u8; 32], proof: &[u8; 32]) -> bool {
        self.mac(joiner).verify_slice(proof).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn proof_key(&self) -> &[u8; 32] {
        &self.proof_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_that_a_relay_sees_makes_no_proof() {
        let keys = LinkKeys::derive(&[1; 16], &[2; 32]);
        let proof = keys.prove(&[3; 32]);
        assert!(keys.verifies(&[3; 32], &proof));
        // The token in the place of the secret, and of the proof.
        assert_ne!(LinkKeys::derive(&keys.token(), &[2; 32]).prove(&[3; 32]), proof);
        let mut stretched = [0; 32];
        stretched[..16].copy_from_slice(&keys.token());
        assert!(!keys.verifies(&[3; 32], &stretched));
        assert_ne!(keys.token(), LinkKeys::derive(&[1; 16], &[4; 32]).token(), "of another inviter");
    }

    #[test]
    fn a_proof_of_another_joiner_or_for_another_inviter_is_none() {
        let keys = LinkKeys::derive(&[1; 16], &[2; 32]);
        let proof = keys.prove(&[3; 32]);
        assert!(!keys.verifies(&[4; 32], &proof));
        assert!(!LinkKeys::derive(&[1; 16], &[4; 32]).verifies(&[3; 32], &proof));
        assert!(!LinkKeys::derive(&[5; 16], &[2; 32]).verifies(&[3; 32], &proof));
        for at in 0..32 {
            let mut altered = proof;
            altered[at] ^= 1;
            assert!(!keys.verifies(&[3; 32], &altered), "byte {at}");
        }
    }
}
