//! The set-up header: what a responder needs to compute the session, repeated on each message
//! until the initiator was answered (`docs/protocol.md`, "Session set-up").

use crate::curve25519::Curve25519PublicKey;
use crate::decoding::{DecodeError, Reader, put_optional_u32};
use crate::header::MESSAGE_OVERHEAD;
use crate::kdf::sha256;
use crate::kem::{KEM_CIPHERTEXT_LEN, KemUse};

/// Bytes of an encoded set-up header.
pub const SETUP_HEADER_LEN: usize = 1 + 32 + 4 + 5 + 4 + 1 + KEM_CIPHERTEXT_LEN;

const VERSION: u8 = 1;

/// version u8 = 1 ‖ base key (32) ‖ signed prekey id u32 ‖ one-time prekey (presence u8 ‖ id
/// u32, 0 if absent) ‖ KEM prekey id u32 ‖ KEM use u8 ‖ KEM ciphertext (1568).
///
/// Everything in it is a claim until the message that carries it verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupHeader {
    pub(crate) base_key: Curve25519PublicKey,
    pub(crate) signed_id: u32,
    pub(crate) one_time_id: Option<u32>,
    pub(crate) kem_id: u32,
    pub(crate) kem_use: KemUse,
    pub(crate) kem_ciphertext: Box<[u8; KEM_CIPHERTEXT_LEN]>,
}

impl SetupHeader {
    /// Reads the header of a set-up message, so that the caller can find the session or the
    /// prekeys it names.
    ///
    /// # Errors
    /// [`DecodeError`] if the message is too short, of another version, or its base key is not
    /// canonical or of small order.
    pub fn peek(message: &[u8]) -> Result<Self, DecodeError> {
        Self::split(message).map(|(header, _)| header)
    }

    /// The header and the ratchet message after it.
    pub(crate) fn split(message: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (bytes, ratchet_message) = split_bytes(message)?;
        Ok((Self::decode(bytes)?, ratchet_message))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let base_key = reader.array_ref()?;
        let signed_id = reader.u32()?;
        let one_time_id = reader.optional_u32("one-time prekey")?;
        let kem_id = reader.u32()?;
        let kem_use = KemUse::from_byte(reader.u8()?).ok_or(DecodeError::BadField("KEM prekey use"))?;
        let kem_ciphertext = Box::new(reader.array()?);
        reader.finish()?;
        let base_key = Curve25519PublicKey::from_bytes(base_key).map_err(|_| DecodeError::BadKey)?;
        Ok(Self { base_key, signed_id, one_time_id, kem_id, kem_use, kem_ciphertext })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SETUP_HEADER_LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.base_key.as_bytes());
        bytes.extend_from_slice(&self.signed_id.to_be_bytes());
        put_optional_u32(&mut bytes, self.one_time_id);
        bytes.extend_from_slice(&self.kem_id.to_be_bytes());
        bytes.push(self.kem_use.to_byte());
        bytes.extend_from_slice(&*self.kem_ciphertext);
        bytes
    }

    /// The initiator's ephemeral key. A responder must remember the base keys it accepted for
    /// as long as the last-resort and signed prekeys live, and refuse a second use.
    #[must_use]
    pub fn base_key(&self) -> [u8; 32] {
        *self.base_key.as_bytes()
    }

    /// SHA-256 of the base key: the [`crate::Session::id`] of the session this header opens.
    #[must_use]
    pub fn session_id(&self) -> [u8; 32] {
        sha256(&[self.base_key.as_bytes()])
    }

    /// The responder's signed prekey that was used.
    #[must_use]
    pub fn signed_prekey_id(&self) -> u32 {
        self.signed_id
    }

    /// The responder's one-time EC prekey that was used, if any.
    #[must_use]
    pub fn one_time_prekey_id(&self) -> Option<u32> {
        self.one_time_id
    }

    /// The responder's KEM prekey that was used.
    #[must_use]
    pub fn kem_prekey_id(&self) -> u32 {
        self.kem_id
    }

    /// Whether that KEM prekey is a one-time or a last-resort one: the two have separate ids.
    #[must_use]
    pub fn kem_use(&self) -> KemUse {
        self.kem_use
    }
}

/// The encoded set-up header and the ratchet message after it.
pub(crate) fn split_bytes(message: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    if message.len() < SETUP_HEADER_LEN + MESSAGE_OVERHEAD {
        return Err(DecodeError::TooShort);
    }
    Ok(message.split_at(SETUP_HEADER_LEN))
}
