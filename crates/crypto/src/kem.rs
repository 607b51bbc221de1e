//! ML-KEM-1024 (FIPS 203): the post-quantum half of the set-up.

use libcrux_ml_kem::mlkem1024::{self, MlKem1024Ciphertext, MlKem1024PrivateKey, MlKem1024PublicKey};
use zeroize::{Zeroize, Zeroizing};

use crate::randomness::{Entropy, RandomnessError};

/// Bytes of an encapsulation key.
pub(crate) const KEM_PUBLIC_LEN: usize = 1568;
/// Bytes of a ciphertext.
pub(crate) const KEM_CIPHERTEXT_LEN: usize = 1568;
/// Bytes of the seed (d ‖ z) that stands for a key pair.
pub(crate) const KEM_SEED_LEN: usize = 64;
const KEM_SECRET_LEN: usize = 3168;

/// What a KEM prekey is for. The byte is signed with the key and bound in the session's
/// associated data, so that a relay cannot pass a last-resort key off as a one-time key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KemUse {
    /// Given to one initiator, then deleted.
    OneTime,
    /// Given when the one-time keys are used up, and to strangers; lives until replaced.
    LastResort,
}

impl KemUse {
    /// 0x02 one-time, 0x03 last resort. (0x01 is the type byte of a signed EC prekey.)
    #[must_use]
    pub fn to_byte(self) -> u8 {
        match self {
            Self::OneTime => 2,
            Self::LastResort => 3,
        }
    }

    /// The opposite of [`Self::to_byte`].
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            2 => Some(Self::OneTime),
            3 => Some(Self::LastResort),
            _ => None,
        }
    }
}

/// The result of an encapsulation.
pub(crate) struct Encapsulated {
    pub(crate) ciphertext: Box<[u8; KEM_CIPHERTEXT_LEN]>,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// An encapsulation key whose coefficients were checked (FIPS 203 section 7.2).
#[derive(Clone)]
pub(crate) struct KemPublicKey(Box<MlKem1024PublicKey>);

impl KemPublicKey {
    pub(crate) fn from_bytes(bytes: &[u8; KEM_PUBLIC_LEN]) -> Option<Self> {
        let key = Box::new(MlKem1024PublicKey::from(bytes));
        mlkem1024::validate_public_key(&key).then_some(Self(key))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; KEM_PUBLIC_LEN] {
        self.0.as_slice()
    }

    /// A fresh secret, and the ciphertext that carries it.
    pub(crate) fn encapsulate(&self, entropy: &mut impl Entropy) -> Result<Encapsulated, RandomnessError> {
        let mut randomness = entropy.array::<32>()?;
        let (ciphertext, secret) = mlkem1024::encapsulate(&self.0, randomness);
        randomness.zeroize();
        Ok(Encapsulated { ciphertext: Box::new(*ciphertext.as_slice()), secret: Zeroizing::new(secret) })
    }
}

/// A key pair: the seed is what is stored (64 bytes instead of 3,168), the key made from it is what
/// decapsulates. Both are wiped when dropped.
pub(crate) struct KemKeyPair {
    seed: Zeroizing<[u8; KEM_SEED_LEN]>,
    secret: Box<MlKem1024PrivateKey>,
    public: KemPublicKey,
}

impl Drop for KemKeyPair {
    fn drop(&mut self) {
        self.secret[0..KEM_SECRET_LEN].zeroize();
    }
}

impl KemKeyPair {
    pub(crate) fn generate(entropy: &mut impl Entropy) -> Result<Self, RandomnessError> {
        let seed = Zeroizing::new(entropy.array()?);
        Ok(Self::from_seed(&seed))
    }

    pub(crate) fn from_seed(seed: &[u8; KEM_SEED_LEN]) -> Self {
        let (mut secret, public) = mlkem1024::generate_key_pair(*seed).into_parts();
        let boxed = Box::new(secret.clone());
        secret[0..KEM_SECRET_LEN].zeroize();
        Self { seed: Zeroizing::new(*seed), secret: boxed, public: KemPublicKey(Box::new(public)) }
    }

    pub(crate) fn seed(&self) -> &[u8; KEM_SEED_LEN] {
        &self.seed
    }

    pub(crate) fn public(&self) -> &KemPublicKey {
        &self.public
    }

    /// The secret of a ciphertext. A ciphertext that was not made for this key gives an
    /// unrelated secret (implicit rejection), so the first message then fails to verify.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(mlkem1024::decapsulate(&self.secret, &MlKem1024Ciphertext::from(ciphertext)))
    }

    /// For the test that observes wiping.
    #[cfg(test)]
    #[cfg(target_os = "linux")]
    pub(crate) fn expanded(&self) -> &[u8] {
        self.secret.as_slice()
    }
}
