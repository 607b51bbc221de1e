//! Ed25519 with the checks this protocol wants: canonical encodings, no points of small order,
//! strict verification (RFC 8032 section 5.1.7, and no small-order component in `R`).

use std::sync::LazyLock;

use curve25519_dalek::constants::EIGHT_TORSION;
use ed25519_dalek::ed25519::signature::{MultipartSigner, MultipartVerifier};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::curve25519::Curve25519PublicKey;
use crate::key_error::KeyError;
use crate::randomness::{Entropy, RandomnessError};

/// The canonical encodings of the points of small order.
static SMALL_ORDER: LazyLock<[[u8; 32]; 8]> = LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().to_bytes()));

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadSignature;

/// An Ed25519 key pair; the secret is wiped when dropped.
#[derive(Clone)]
pub(crate) struct Ed25519KeyPair {
    signing: SigningKey,
}

impl Ed25519KeyPair {
    pub(crate) fn generate(entropy: &mut impl Entropy) -> Result<Self, RandomnessError> {
        let seed = Zeroizing::new(entropy.array::<32>()?);
        Ok(Self::from_seed(&seed))
    }

    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self { signing: SigningKey::from_bytes(seed) }
    }

    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    pub(crate) fn public(&self) -> Ed25519PublicKey {
        Ed25519PublicKey { verifying: self.signing.verifying_key() }
    }

    /// Signs the concatenation of `parts`.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.signing.multipart_sign(parts).to_bytes()
    }

    /// The X25519 secret that belongs to the X25519 image of the public key.
    pub(crate) fn x25519_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_scalar_bytes())
    }
}

/// A checked Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ed25519PublicKey {
    verifying: VerifyingKey,
}

impl Ed25519PublicKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotCanonical)?;
        // dalek keeps a non-canonical encoding as it came: compare with the canonical one.
        if verifying.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        if verifying.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self { verifying })
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.verifying.as_bytes()
    }

    /// Verifies a signature over the concatenation of `parts`.
    pub(crate) fn verify(&self, parts: &[&[u8]], signature: &[u8; 64]) -> Result<(), BadSignature> {
        // dalek's strict verification decodes R to see that it is not of small order, a sixth of its time. Its plain
        // one computes R and compares encodings, so what passes is canonical, and of the canonical encodings eight are of
        // small order. The key was checked when it was read.
        let signature = Signature::from_bytes(signature);
        if SMALL_ORDER.contains(signature.r_bytes()) {
            return Err(BadSignature);
        }
        self.verifying.multipart_verify(parts, &signature).map_err(|_| BadSignature)
    }

    /// The X25519 image: u = (1 + y) / (1 - y). Never of small order, since the point is not.
    pub(crate) fn x25519_image(&self) -> Curve25519PublicKey {
        Curve25519PublicKey::image(self.verifying.to_edwards())
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::{EdwardsPoint, Scalar};
    use ed25519_dalek::Verifier;
    use sha2::{Digest, Sha512};

    use super::*;

    fn challenge(r: &[u8; 32], key: &VerifyingKey, message: &[u8]) -> Scalar {
        let hash = Sha512::new().chain_update(r).chain_update(key.as_bytes()).chain_update(message).finalize();
        Scalar::from_bytes_mod_order_wide(&hash.into())
    }

    /// Signatures that satisfy the equation with an R of small order, which only the owner of a key can make: the plain
    /// verification takes them, the strict one and ours do not. Under keys with and without a part of small order.
    #[test]
    fn what_the_strict_verification_refuses_is_refused() {
        let secret = SigningKey::from_bytes(&[7; 32]).to_scalar();
        let mut made = [0; 8];
        for part in EIGHT_TORSION {
            let point = EdwardsPoint::mul_base(&secret) + part;
            let key = Ed25519PublicKey::from_bytes(&point.compress().to_bytes()).unwrap();
            for (message, (at, r)) in (0..64u32).flat_map(|n| EIGHT_TORSION.iter().enumerate().map(move |r| (n, r))) {
                let message = message.to_be_bytes();
                let r = r.compress().to_bytes();
                let s = challenge(&r, &key.verifying, &message) * secret;
                let signature = [r, s.to_bytes()].concat().try_into().unwrap();
                let plain = key.verifying.verify(&message, &Signature::from_bytes(&signature));
                if plain.is_ok() {
                    made[at] += 1;
                }
                assert!(key.verifying.verify_strict(&message, &Signature::from_bytes(&signature)).is_err());
                assert_eq!(key.verify(&[&message], &signature), Err(BadSignature));
            }
        }
        assert!(made.iter().all(|count| *count > 0), "{made:?}");
    }

    /// Good and damaged signatures, in parts and whole: the same answer as dalek's strict verification.
    #[test]
    fn answers_are_those_of_the_strict_verification() {
        let pair = Ed25519KeyPair::from_seed(&[9; 32]);
        let (mut good, mut bad) = (0, 0);
        for at in 0..600usize {
            let message = [at as u8; 100];
            let mut signature = pair.sign(&[&message[..40], &message[40..]]);
            if at % 3 != 0 {
                signature[at % 64] ^= 1 << (at % 8);
            }
            let strict = pair.public().verifying.verify_strict(&message, &Signature::from_bytes(&signature));
            assert_eq!(pair.public().verify(&[&message[..7], &message[7..]], &signature).is_ok(), strict.is_ok());
            if strict.is_ok() { good += 1 } else { bad += 1 }
        }
        assert_eq!((good, bad), (200, 400));
    }
}
