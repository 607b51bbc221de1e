//! A device's identity: one Ed25519 key pair that signs prekeys and relay challenges, and whose
//! X25519 image takes part in the key agreement (`docs/protocol.md`, "Identities"). It never signs
//! content: that would end deniability.

use zeroize::Zeroizing;

use crate::address::PartyAddress;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::ed25519::{BadSignature, Ed25519KeyPair, Ed25519PublicKey};
use crate::key_error::KeyError;
use crate::labels;
use crate::randomness::{Os, RandomnessError};
use crate::redacted::redacted_debug;

/// What a login shows of earlier ones and leaves for the next, so that two live copies of a device are told apart.
#[derive(Clone, Copy, Debug)]
pub struct RelayMarks<'a> {
    /// Of the last login that succeeded, and of later ones whose end was not seen.
    pub shown: &'a [[u8; 16]],
    /// What the next login shows.
    pub new: &'a [u8; 16],
    /// This copy takes the place of another one.
    pub take_over: bool,
}

/// The identity key pair of one device.
#[derive(Clone)]
pub struct IdentityKeyPair {
    pair: Ed25519KeyPair,
    agreement: Curve25519KeyPair,
}

redacted_debug!(IdentityKeyPair);

impl IdentityKeyPair {
    /// A fresh key pair.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate() -> Result<Self, RandomnessError> {
        Ok(Self::new(Ed25519KeyPair::generate(&mut Os)?))
    }

    /// From the 32-byte Ed25519 seed ([`Self::seed`]).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::new(Ed25519KeyPair::from_seed(seed))
    }

    fn new(pair: Ed25519KeyPair) -> Self {
        let agreement = Curve25519KeyPair::from_secret(&pair.x25519_secret());
        Self { pair, agreement }
    }

    /// The 32-byte Ed25519 seed, for storage.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.pair.seed()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> IdentityKey {
        IdentityKey(self.pair.public())
    }

    /// Answers the relay's challenge. Signed: "Subrosa relay auth v1" ‖ len16(authority) ‖
    /// authority ‖ (0x00 | 0x01 ‖ pin) ‖ (0x00 | 0x01 ‖ exporter) ‖ nonce ‖ account id ‖ device number ‖ take over u8 ‖
    /// count u8 ‖ count × shown mark ‖ new mark. At most 255 marks are signed; no relay takes more than eight.
    ///
    /// `authority` is the relay's `host:port` in lower case *as this client knows it*, so that
    /// a relay in the middle cannot use the signature elsewhere; `exporter` is what this connection's TLS exports, where the
    /// relay ends TLS itself, so that nobody with another certificate for that name can pass it on. An authority of more than
    /// 65,535 bytes is signed cut at that length; no relay has one.
    #[must_use]
    pub fn sign_relay_auth(
        &self,
        authority: &str,
        pin: Option<&[u8; 32]>,
        exporter: Option<&[u8; 32]>,
        nonce: &[u8; 32],
        address: &PartyAddress,
        marks: &RelayMarks<'_>,
    ) -> [u8; 64] {
        let mut message = relay_prefix(labels::RELAY_AUTH, authority, pin);
        put_optional(&mut message, exporter);
        message.extend_from_slice(nonce);
        message.extend_from_slice(&address.to_bytes());
        let count = u8::try_from(marks.shown.len()).unwrap_or(u8::MAX);
        message.extend_from_slice(&[u8::from(marks.take_over), count]);
        message.extend(marks.shown.iter().take(usize::from(count)).flatten());
        message.extend_from_slice(marks.new);
        self.pair.sign(&[&message])
    }

    /// Proves that a registration comes from the device it names. Signed: "Subrosa
    /// registration v1" ‖ len16(authority) ‖ authority ‖ (0x00 | 0x01 ‖ pin) ‖ len16(handle) ‖
    /// handle ‖ account id ‖ SHA-256(device list bytes).
    #[must_use]
    pub fn sign_registration(
        &self,
        authority: &str,
        pin: Option<&[u8; 32]>,
        handle: &str,
        account: &[u8; 32],
        device_list_hash: &[u8; 32],
    ) -> [u8; 64] {
        let mut message = relay_prefix(labels::REGISTRATION, authority, pin);
        put_len16(&mut message, handle);
        message.extend_from_slice(account);
        message.extend_from_slice(device_list_hash);
        self.pair.sign(&[&message])
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.pair.sign(parts)
    }

    /// The X25519 key pair of the image.
    pub(crate) fn agreement(&self) -> &Curve25519KeyPair {
        &self.agreement
    }
}

fn relay_prefix(label: &[u8], authority: &str, pin: Option<&[u8; 32]>) -> Vec<u8> {
    let mut message = label.to_vec();
    put_len16(&mut message, authority);
    put_optional(&mut message, pin);
    message
}

fn put_optional(out: &mut Vec<u8>, value: Option<&[u8; 32]>) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            out.extend_from_slice(value);
        }
    }
}

fn put_len16(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(len)]);
}

/// The public identity key of a device (Ed25519): canonical, not of small order. Its X25519
/// image is used inside this crate only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityKey(pub(crate) Ed25519PublicKey);

impl IdentityKey {
    /// Checks and takes 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] for an encoding that is not canonical or a point of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Ed25519PublicKey::from_bytes(bytes).map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn verify(&self, parts: &[&[u8]], signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.0.verify(parts, signature)
    }

    pub(crate) fn agreement(&self) -> Curve25519PublicKey {
        self.0.x25519_image()
    }
}
