//! Ed25519 with the checks this protocol wants: canonical encodings, no points of small order,
//! strict verification (RFC 8032 section 5.1.7, and no small-order component in `R`).

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::curve25519::Curve25519PublicKey;
use crate::key_error::KeyError;
use crate::randomness::{Entropy, RandomnessError};

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
        self.signing.sign(&parts.concat()).to_bytes()
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
        self.verifying.verify_strict(&parts.concat(), &Signature::from_bytes(signature)).map_err(|_| BadSignature)
    }

    /// The X25519 image: u = (1 + y) / (1 - y). Never of small order, since the point is not.
    pub(crate) fn x25519_image(&self) -> Curve25519PublicKey {
        Curve25519PublicKey::image(self.verifying.to_edwards())
    }
}
