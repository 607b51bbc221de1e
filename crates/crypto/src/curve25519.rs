//! X25519 with the checks this protocol wants: canonical public keys that are not of small
//! order, and no Diffie-Hellman result that the other side did not contribute to (RFC 7748
//! section 6.1; `docs/protocol.md`, "Conventions").

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::key_error::KeyError;
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
        let public = Curve25519PublicKey::trusted(PublicKey::from(&secret).to_bytes());
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
        let shared = match remote.edwards() {
            // dalek's multiplication in Edwards form is a third faster than its Montgomery ladder,
            // constant in time for the secret as well, and the same function: the clamped secret
            // is a multiple of 8, and a point's sign does not show in u.
            Some(point) => {
                let secret = self.secret();
                Zeroizing::new(point.mul_clamped(*secret).to_montgomery().to_bytes())
            }
            None => Zeroizing::new(self.secret.diffie_hellman(&PublicKey::from(remote.bytes)).to_bytes()),
        };
        if bool::from(shared.ct_eq(&[0; 32])) { Err(NotContributory) } else { Ok(shared) }
    }
}

/// An X25519 public key: canonical and not of small order.
#[derive(Clone, Copy)]
pub struct Curve25519PublicKey {
    bytes: [u8; 32],
    /// The same point in Edwards form, if it is known: it costs a square root.
    point: Option<EdwardsPoint>,
}

impl PartialEq for Curve25519PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Curve25519PublicKey {}

impl core::fmt::Debug for Curve25519PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Curve25519PublicKey").field(&self.bytes).finish()
    }
}

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
        let point = MontgomeryPoint(*bytes).to_edwards(0);
        let small_order = match point {
            Some(point) => point.is_small_order(),
            // A point of the twist, which no honest key pair has. 8 times a point of small order
            // is the identity, u = 0.
            None => {
                let times_eight = MontgomeryPoint(*bytes).mul_bits_be([true, false, false, false].into_iter());
                times_eight.to_bytes() == [0; 32]
            }
        };
        if small_order { Err(KeyError::SmallOrder) } else { Ok(Self { bytes: *bytes, point }) }
    }

    /// For keys that are good by construction, or were checked before they were stored.
    pub(crate) fn trusted(bytes: [u8; 32]) -> Self {
        Self { bytes, point: None }
    }

    /// The X25519 image of a checked Edwards point.
    pub(crate) fn image(point: EdwardsPoint) -> Self {
        Self { bytes: point.to_montgomery().to_bytes(), point: Some(point) }
    }

    /// The point in Edwards form; none if it is on the twist.
    fn edwards(&self) -> Option<EdwardsPoint> {
        self.point.or_else(|| MontgomeryPoint(self.bytes).to_edwards(0))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of random u about half are on the curve and half on its twist: both ways give what the
    /// Montgomery ladder gives.
    #[test]
    fn both_forms_agree_with_the_ladder() {
        let (mut on_curve, mut on_twist) = (0, 0);
        for _ in 0..200 {
            let pair = Curve25519KeyPair::generate().unwrap();
            let mut u: [u8; 32] = Os.array().unwrap();
            u[31] &= 0x7f;
            let Ok(remote) = Curve25519PublicKey::from_bytes(&u) else { continue };
            let ladder = pair.secret.diffie_hellman(&PublicKey::from(u)).to_bytes();
            assert_eq!(*pair.diffie_hellman(&remote).unwrap(), ladder);
            assert_eq!(*pair.diffie_hellman(&Curve25519PublicKey::trusted(u)).unwrap(), ladder);
            if remote.point.is_some() { on_curve += 1 } else { on_twist += 1 }
        }
        assert!(on_curve > 20 && on_twist > 20);
    }
}
