//! Prekeys: what a device publishes so that others can start a session while it is away
//! (`docs/protocol.md`, "Prekeys").

use zeroize::Zeroizing;

use crate::address::PartyAddress;
use crate::certificate::VerifiedCertificate;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::decoding::{DecodeError, Reader};
use crate::device::{IdentityKey, IdentityKeyPair};
use crate::kem::{KEM_PUBLIC_LEN, KEM_SEED_LEN, KemKeyPair, KemPublicKey, KemUse};
use crate::key_error::KeyError;
use crate::labels;
use crate::randomness::{Entropy, Os, RandomnessError};
use crate::redacted::redacted_debug;

/// Type byte of an EC prekey in what is signed; disjoint from [`KemUse::to_byte`], so that a
/// key of one kind never passes as the other.
const EC_TYPE: u8 = 1;

/// Version of the secret encodings in a client's store.
const SECRET_VERSION: u8 = 1;

/// Why a bundle is refused. The initiator must not use any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A part is not a valid encoding.
    #[error("the prekey bundle is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A prekey is not canonical, of small order, or not an ML-KEM key.
    #[error("the prekey bundle holds a key that is not acceptable")]
    BadKey,
    /// The signed prekey is not signed by the device's identity key.
    #[error("the signed prekey is not signed by the device")]
    BadPrekeySignature,
    /// The KEM prekey is not signed by the device's identity key for this use.
    #[error("the KEM prekey is not signed by the device for this use")]
    BadKemSignature,
}

impl From<KeyError> for BundleError {
    fn from(_: KeyError) -> Self {
        Self::BadKey
    }
}

/// A signed EC prekey with its secret: replaced weekly, also the first ratchet key of sessions
/// that are accepted with it.
pub struct SignedPrekeyPair {
    id: u32,
    pair: Curve25519KeyPair,
    signature: [u8; 64],
}

/// A one-time EC prekey with its secret: deleted with the first message that uses it.
pub struct OneTimePrekeyPair {
    id: u32,
    pair: Curve25519KeyPair,
}

/// An ML-KEM-1024 prekey with its secret (kept as its 64-byte seed).
pub struct KemPrekeyPair {
    id: u32,
    kem_use: KemUse,
    pair: KemKeyPair,
    signature: [u8; 64],
}

redacted_debug!(SignedPrekeyPair, OneTimePrekeyPair, KemPrekeyPair);

fn signed_prekey_parts<'a>(id: &'a [u8; 4], key: &'a [u8; 32]) -> [&'a [u8]; 4] {
    [labels::SIGNED_PREKEY, &[EC_TYPE], id, key]
}

impl SignedPrekeyPair {
    /// Bytes of the public encoding.
    pub const PUBLIC_LEN: usize = 100;

    /// A fresh signed prekey.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate(id: u32, identity: &IdentityKeyPair) -> Result<Self, RandomnessError> {
        Self::generate_from(id, identity, &mut Os)
    }

    pub(crate) fn generate_from(
        id: u32,
        identity: &IdentityKeyPair,
        entropy: &mut impl Entropy,
    ) -> Result<Self, RandomnessError> {
        let pair = Curve25519KeyPair::generate_from(entropy)?;
        let signature = identity.sign(&signed_prekey_parts(&id.to_be_bytes(), pair.public().as_bytes()));
        Ok(Self { id, pair, signature })
    }

    /// id u32 ‖ X25519 public key (32) ‖ signature (64).
    #[must_use]
    pub fn public_bytes(&self) -> [u8; Self::PUBLIC_LEN] {
        let mut bytes = [0; Self::PUBLIC_LEN];
        bytes[..4].copy_from_slice(&self.id.to_be_bytes());
        bytes[4..36].copy_from_slice(self.pair.public().as_bytes());
        bytes[36..].copy_from_slice(&self.signature);
        bytes
    }

    /// version u8 = 1 ‖ id u32 ‖ secret (32) ‖ signature (64), for the client's store.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        secret_bytes(self.id, &[], &*self.pair.secret(), &self.signature)
    }

    /// The opposite of [`Self::to_secret_bytes`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(SECRET_VERSION)?;
        let id = reader.u32()?;
        let pair = Curve25519KeyPair::from_secret(reader.array_ref()?);
        let signature = reader.array()?;
        reader.finish()?;
        Ok(Self { id, pair, signature })
    }

    /// The prekey's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn pair(&self) -> &Curve25519KeyPair {
        &self.pair
    }
}

impl OneTimePrekeyPair {
    /// Bytes of the public encoding.
    pub const PUBLIC_LEN: usize = 36;

    /// A fresh one-time prekey.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate(id: u32) -> Result<Self, RandomnessError> {
        Self::generate_from(id, &mut Os)
    }

    pub(crate) fn generate_from(id: u32, entropy: &mut impl Entropy) -> Result<Self, RandomnessError> {
        Ok(Self { id, pair: Curve25519KeyPair::generate_from(entropy)? })
    }

    /// id u32 ‖ X25519 public key (32).
    #[must_use]
    pub fn public_bytes(&self) -> [u8; Self::PUBLIC_LEN] {
        let mut bytes = [0; Self::PUBLIC_LEN];
        bytes[..4].copy_from_slice(&self.id.to_be_bytes());
        bytes[4..].copy_from_slice(self.pair.public().as_bytes());
        bytes
    }

    /// version u8 = 1 ‖ id u32 ‖ secret (32), for the client's store.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        secret_bytes(self.id, &[], &*self.pair.secret(), &[])
    }

    /// The opposite of [`Self::to_secret_bytes`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(SECRET_VERSION)?;
        let id = reader.u32()?;
        let pair = Curve25519KeyPair::from_secret(reader.array_ref()?);
        reader.finish()?;
        Ok(Self { id, pair })
    }

    /// The prekey's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn pair(&self) -> &Curve25519KeyPair {
        &self.pair
    }
}

impl KemPrekeyPair {
    /// Bytes of the public encoding.
    pub const PUBLIC_LEN: usize = 4 + KEM_PUBLIC_LEN + 64;

    /// A fresh KEM prekey.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate(id: u32, identity: &IdentityKeyPair, kem_use: KemUse) -> Result<Self, RandomnessError> {
        Self::generate_from(id, identity, kem_use, &mut Os)
    }

    pub(crate) fn generate_from(
        id: u32,
        identity: &IdentityKeyPair,
        kem_use: KemUse,
        entropy: &mut impl Entropy,
    ) -> Result<Self, RandomnessError> {
        let pair = KemKeyPair::generate(entropy)?;
        let signature =
            identity.sign(&[labels::KEM_PREKEY, &[kem_use.to_byte()], &id.to_be_bytes(), pair.public().as_bytes()]);
        Ok(Self { id, kem_use, pair, signature })
    }

    /// id u32 ‖ ML-KEM-1024 encapsulation key (1568) ‖ signature (64).
    #[must_use]
    pub fn public_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::PUBLIC_LEN);
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(self.pair.public().as_bytes());
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// version u8 = 1 ‖ id u32 ‖ use u8 ‖ seed (64) ‖ signature (64), for the client's store.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        secret_bytes(self.id, &[self.kem_use.to_byte()], self.pair.seed(), &self.signature)
    }

    /// The opposite of [`Self::to_secret_bytes`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(SECRET_VERSION)?;
        let id = reader.u32()?;
        let kem_use = KemUse::from_byte(reader.u8()?).ok_or(DecodeError::BadField("KEM prekey use"))?;
        let seed = reader.array_ref::<KEM_SEED_LEN>()?;
        let signature = reader.array()?;
        reader.finish()?;
        Ok(Self { id, kem_use, pair: KemKeyPair::from_seed(seed), signature })
    }

    /// The prekey's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What the prekey is for.
    #[must_use]
    pub fn kem_use(&self) -> KemUse {
        self.kem_use
    }

    pub(crate) fn pair(&self) -> &KemKeyPair {
        &self.pair
    }
}

fn secret_bytes(id: u32, kem_use: &[u8], secret: &[u8], signature: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = 1 + 4 + kem_use.len() + secret.len() + signature.len();
    // Exact capacity: growing would leave a copy of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(len));
    bytes.push(SECRET_VERSION);
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(kem_use);
    bytes.extend_from_slice(secret);
    bytes.extend_from_slice(signature);
    bytes
}

/// A bundle whose signatures were checked against the device's certificate. Only a value of
/// this type can start a session.
pub struct PrekeyBundle {
    pub(crate) address: PartyAddress,
    pub(crate) identity: IdentityKey,
    pub(crate) signed_id: u32,
    pub(crate) signed_key: Curve25519PublicKey,
    pub(crate) one_time: Option<(u32, Curve25519PublicKey)>,
    pub(crate) kem_id: u32,
    pub(crate) kem_key: KemPublicKey,
    pub(crate) kem_use: KemUse,
}

redacted_debug!(PrekeyBundle);

impl PrekeyBundle {
    /// Checks a bundle as the relay gave it: both signatures by the certified identity key, and
    /// every public key. The layouts are those of the `public_bytes` functions.
    ///
    /// # Errors
    /// [`BundleError`] with the part that is refused.
    pub fn verify(
        certificate: &VerifiedCertificate,
        signed_prekey: &[u8],
        one_time: Option<&[u8]>,
        kem: &[u8],
        kem_use: KemUse,
    ) -> Result<Self, BundleError> {
        let identity = *certificate.identity();

        let mut reader = Reader::new(signed_prekey);
        let signed_id = reader.array::<4>()?;
        let signed_key = reader.array_ref::<32>()?;
        let signature = reader.array_ref()?;
        reader.finish()?;
        identity
            .verify(&signed_prekey_parts(&signed_id, signed_key), signature)
            .map_err(|_| BundleError::BadPrekeySignature)?;
        let signed_key = Curve25519PublicKey::from_bytes(signed_key)?;

        let one_time = one_time
            .map(|bytes| {
                let mut reader = Reader::new(bytes);
                let id = reader.u32()?;
                let key = reader.array_ref()?;
                reader.finish()?;
                Ok::<_, BundleError>((id, Curve25519PublicKey::from_bytes(key)?))
            })
            .transpose()?;

        let mut reader = Reader::new(kem);
        let kem_id = reader.array::<4>()?;
        let kem_key = reader.array_ref::<KEM_PUBLIC_LEN>()?;
        let signature = reader.array_ref()?;
        reader.finish()?;
        identity
            .verify(&[labels::KEM_PREKEY, &[kem_use.to_byte()], &kem_id, kem_key], signature)
            .map_err(|_| BundleError::BadKemSignature)?;
        let kem_key = KemPublicKey::from_bytes(kem_key).ok_or(BundleError::BadKey)?;

        Ok(Self {
            address: certificate.address(),
            identity,
            signed_id: u32::from_be_bytes(signed_id),
            signed_key,
            one_time,
            kem_id: u32::from_be_bytes(kem_id),
            kem_key,
            kem_use,
        })
    }

    /// The device the bundle belongs to.
    #[must_use]
    pub fn address(&self) -> PartyAddress {
        self.address
    }

    /// Whether the relay gave one-time keys of both kinds. If not, the first message has less
    /// forward secrecy until the peer replaces its signed and last-resort keys.
    #[must_use]
    pub fn is_one_time(&self) -> bool {
        self.one_time.is_some() && self.kem_use == KemUse::OneTime
    }
}

/// The secrets that a set-up message asks for, found by the ids of its
/// [`crate::SetupHeader`].
#[derive(Clone, Copy)]
pub struct ResponderPrekeys<'a> {
    /// The signed prekey of [`crate::SetupHeader::signed_prekey_id`].
    pub signed: &'a SignedPrekeyPair,
    /// The one-time prekey of [`crate::SetupHeader::one_time_prekey_id`], if there is one.
    pub one_time: Option<&'a OneTimePrekeyPair>,
    /// The KEM prekey of [`crate::SetupHeader::kem_prekey_id`].
    pub kem: &'a KemPrekeyPair,
}
