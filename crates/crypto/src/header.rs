//! The ratchet header: fixed width, authenticated, not encrypted (`docs/protocol.md`, "Double Ratchet").

use crate::decoding::{DecodeError, Reader};
use crate::kdf::TAG_LEN;
use crate::message_key::SALT_LEN;

/// Bytes of an encoded header.
pub(crate) const HEADER_LEN: usize = 1 + 32 + 4 + 4;

/// Bytes that a ratchet message has more than its plaintext: header (41), salt (16), tag (16).
pub const MESSAGE_OVERHEAD: usize = HEADER_LEN + SALT_LEN + TAG_LEN;

/// Bytes of a group message's header: version u8 = 1 ‖ chain id (32) ‖ number u32 (`sender_key`).
pub(crate) const GROUP_HEADER_LEN: usize = 1 + 32 + 4;

/// Bytes of the chain's signature, the last of a group message.
pub(crate) const GROUP_SIGNATURE_LEN: usize = 64;

/// Bytes that a group message has more than its plaintext: header (37), salt (16), tag (16), signature (64).
pub const GROUP_MESSAGE_OVERHEAD: usize = GROUP_HEADER_LEN + SALT_LEN + TAG_LEN + GROUP_SIGNATURE_LEN;

/// A post-quantum ratchet would come with another version, in the same session format.
const VERSION: u8 = 1;

/// version u8 = 1 ‖ ratchet public key (32) ‖ pn u32 ‖ n u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The sender's current ratchet key, as it came: it is checked only when it starts a new
    /// chain, since for a known chain it is compared with a checked one.
    pub(crate) ratchet_key: [u8; 32],
    /// Number of messages in the sender's previous chain.
    pub(crate) previous: u32,
    /// Number of this message in its chain, from 0.
    pub(crate) number: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = VERSION;
        bytes[1..33].copy_from_slice(&self.ratchet_key);
        bytes[33..37].copy_from_slice(&self.previous.to_be_bytes());
        bytes[37..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

/// A ratchet message, taken apart: header ‖ salt (16) ‖ ciphertext ‖ tag (16).
pub(crate) struct RatchetMessage<'a> {
    pub(crate) header: Header,
    pub(crate) salt: &'a [u8; SALT_LEN],
    /// Ciphertext ‖ tag.
    pub(crate) sealed: &'a [u8],
}

impl<'a> RatchetMessage<'a> {
    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(message);
        reader.version(VERSION)?;
        let header = Header { ratchet_key: reader.array()?, previous: reader.u32()?, number: reader.u32()? };
        let salt = reader.array_ref()?;
        let sealed = reader.rest();
        if sealed.len() < TAG_LEN {
            return Err(DecodeError::TooShort);
        }
        Ok(Self { header, salt, sealed })
    }
}
