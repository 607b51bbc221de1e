//! X25519 with the checks this protocol wants: canonical public keys that are not of small
//! order, and no Diffie-Hellman result that the other side did not contribute to (RFC 7748
//! section 6.1; `docs/protocol.md` section 1).

use curve25519_dalek::MontgomeryPoint;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::ed25519::KeyError;
use crate::randomness::{Entropy, Os, RandomnessError};
use crate::redacted::redacted_debug;

/// A Diffie-Hellman result of zero: the public key was of small order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotContributory;

/// The result of a Diffie-Hellman agreement. Wiped when dropped.
pub(crate) type SharedSecret = Zeroizing<[u8; 32]>;

/// An X25519 key pair; the secret is wiped when dropped.
#[derive(Clone)]
pub struct Curve25519KeyPair {
    secret: StaticSecret,
    public: Curve25519PublicKey,
}

redacted_debug!(Curve25519KeyPair);

impl Curve25519KeyPair {
    /// A fresh pair.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate() -> Result<Self, RandomnessError> {
        Self::generate_from(&mut Os)
    }

    pub(crate) fn generate_from(entropy: &mut impl Entropy) -> Result<Self, RandomnessError> {
        let secret = Zeroizing::new(entropy.array::<32>()?);
        Ok(Self::from_secret(&secret))
    }

    /// From the 32 secret bytes (clamped when used, RFC 7748 section 5).
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*secret);
        let public = Curve25519PublicKey(PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// From a stored pair, without the scalar multiplication.
    pub(crate) fn from_parts(secret: &[u8; 32], public: Curve25519PublicKey) -> Self {
        Self { secret: StaticSecret::from(*secret), public }
    }

    /// The 32 secret bytes.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> Curve25519PublicKey {
        self.public
    }

    /// The agreement with `remote`; refuses a result of zero.
    pub(crate) fn diffie_hellman(&self, remote: &Curve25519PublicKey) -> Result<SharedSecret, NotContributory> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(remote.0));
        if shared.was_contributory() { Ok(Zeroizing::new(shared.to_bytes())) } else { Err(NotContributory) }
    }
}

/// An X25519 public key: canonical and not of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Curve25519PublicKey([u8; 32]);

/// 2^255 - 19, little-endian. A canonical u-coordinate is smaller.
const P: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    p
};

impl Curve25519PublicKey {
    /// Checks and takes 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] for a u-coordinate of 2^255 - 19 or more, or a point of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !bytes.iter().rev().lt(P.iter().rev()) {
            return Err(KeyError::NotCanonical);
        }
        // 8 times a point of small order is the identity, u = 0, on the curve and on its twist.
        let times_eight = MontgomeryPoint(*bytes).mul_bits_be([true, false, false, false].into_iter());
        if times_eight.to_bytes() == [0; 32] {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self(*bytes))
    }

    /// For keys that are good by construction (the image of a checked Ed25519 key).
    pub(crate) fn trusted(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
