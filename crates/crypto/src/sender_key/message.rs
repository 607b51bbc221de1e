//! A group message as bytes.

use crate::decoding::{DecodeError, Reader};
use crate::header::{GROUP_HEADER_LEN, GROUP_SIGNATURE_LEN};
use crate::kdf::TAG_LEN;
use crate::message_key::SALT_LEN;

const VERSION: u8 = 1;

/// The header of the message with this number.
pub(crate) fn header(chain_id: &[u8; 32], number: u32) -> [u8; GROUP_HEADER_LEN] {
    let mut bytes = [0; GROUP_HEADER_LEN];
    bytes[0] = VERSION;
    bytes[1..33].copy_from_slice(chain_id);
    bytes[33..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// A group message, taken apart: header (37) ‖ salt (16) ‖ ciphertext ‖ tag (16) ‖ signature (64). Nothing of it
/// is verified.
pub struct GroupMessage<'a> {
    pub(crate) header: &'a [u8; GROUP_HEADER_LEN],
    pub(crate) chain_id: [u8; 32],
    /// Number of this message in its chain, from 0.
    pub(crate) number: u32,
    pub(crate) salt: &'a [u8; SALT_LEN],
    /// Ciphertext ‖ tag.
    pub(crate) sealed: &'a [u8],
    /// All before the signature.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: &'a [u8; GROUP_SIGNATURE_LEN],
}

impl<'a> GroupMessage<'a> {
    /// The id (32 bytes) of the chain that a message says it is of: by it a receiver finds the chain among those
    /// of the sending device. A claim, until [`crate::MemberChain::decrypt`].
    ///
    /// # Errors
    /// [`DecodeError`] for what is no group message.
    pub fn chain_id_of(message: &[u8]) -> Result<[u8; 32], DecodeError> {
        GroupMessage::decode(message).map(|message| message.chain_id)
    }

    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, DecodeError> {
        let (signed, signature) = message.split_last_chunk().ok_or(DecodeError::TooShort)?;
        let mut whole = Reader::new(signed);
        let header = whole.array_ref()?;
        let salt = whole.array_ref()?;
        let sealed = whole.rest();
        if sealed.len() < TAG_LEN {
            return Err(DecodeError::TooShort);
        }
        let mut reader = Reader::new(header);
        reader.version(VERSION)?;
        let (chain_id, number) = (reader.array()?, reader.u32()?);
        // No sender gets so far; there is no number behind it.
        if number == u32::MAX {
            return Err(DecodeError::BadField("number"));
        }
        Ok(Self { header, chain_id, number, salt, sealed, signed, signature })
    }
}
