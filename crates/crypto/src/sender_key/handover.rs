//! What a device hands to the others so that they can read its chain.

use zeroize::Zeroizing;

use crate::chain_key::ChainKey;
use crate::decoding::{DecodeError, Reader};
use crate::ed25519::Ed25519PublicKey;
use crate::redacted::redacted_debug;

const VERSION: u8 = 1;

/// Why a handover of a chain that is known already is not the same again. What is known stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// It is of another chain.
    #[error("the sender key is of another chain")]
    OtherChain,
    /// The same chain under another generation.
    #[error("the sender key gives a known chain another generation")]
    OtherGeneration,
    /// The same chain with another chain key.
    #[error("the sender key gives a known chain another key")]
    OtherKey,
    /// More than [`crate::MAX_JUMP`] numbers from where the known chain stands: the two cannot be compared.
    #[error("the sender key is more than {} messages from the known one", crate::MAX_JUMP)]
    TooFar,
}

/// A sending chain from its present number on: whoever has it reads the messages that follow, and none before.
/// It goes to each device of the group in a session of that pair. Wiped when dropped.
#[derive(Clone)]
pub struct SenderKeyHandover {
    pub(crate) generation: u32,
    pub(crate) number: u32,
    pub(crate) key: ChainKey,
    pub(crate) id: Ed25519PublicKey,
}

redacted_debug!(SenderKeyHandover);

impl SenderKeyHandover {
    /// Bytes of an encoded handover.
    pub const LEN: usize = 1 + 4 + 4 + 32 + 32;

    /// version u8 = 1 ‖ generation u32 ‖ number u32 ‖ chain key (32) ‖ chain id, Ed25519 (32).
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Exact capacity: growing would leave a copy of the key behind.
        let mut out = Zeroizing::new(Vec::with_capacity(Self::LEN));
        out.push(VERSION);
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out
    }

    /// The opposite of [`Self::encode`].
    ///
    /// # Errors
    /// [`DecodeError`], also for generation 0 and for a chain id that is no acceptable key.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let generation = read_generation(&mut reader)?;
        let number = reader.u32()?;
        let key = ChainKey::new(reader.array_ref()?);
        let id = reader.array_ref()?;
        reader.finish()?;
        let id = Ed25519PublicKey::from_bytes(id).map_err(|_| DecodeError::BadKey)?;
        Ok(Self { generation, number, key, id })
    }

    /// The chain's generation: 1 for a device's first chain in a group.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The number of the first message that can be read with it.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The chain's id: its public key.
    #[must_use]
    pub fn chain_id(&self) -> [u8; 32] {
        *self.id.as_bytes()
    }
}

/// Generations count from 1.
pub(crate) fn read_generation(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    match reader.u32()? {
        0 => Err(DecodeError::BadField("generation")),
        generation => Ok(generation),
    }
}
