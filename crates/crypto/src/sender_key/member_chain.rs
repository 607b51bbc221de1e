//! The chain of another device, as it was handed over.

use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::chain_key::ChainKey;
use crate::decoding::{DecodeError, Reader};
use crate::double_ratchet::MAX_JUMP;
use crate::ed25519::{BadSignature, Ed25519PublicKey};
use crate::labels;
use crate::message_key::MessageKey;
use crate::redacted::redacted_debug;
use crate::sender_key::handover::{HandoverError, SenderKeyHandover, read_generation};
use crate::sender_key::message::GroupMessage;
use crate::sender_key::sender::GroupSender;
use crate::sender_key::serialized::SerializedChain;
use crate::session::{Plaintext, Sealed, Step, StoredState};

/// Most skipped message keys of one chain. When new ones come, the oldest go first; a message whose key went is
/// refused as [`GroupDecryptError::KeyGone`], never silently.
///
/// Fewer than a session keeps: what one device sends reaches a mailbox in its order, and gaps come only from
/// retries and full mailboxes; but of chains there are many. At 36 bytes each this is 9 KB a chain, 24 MB if two
/// chains of each of 5 devices of 256 members were full; 2,000 would be 184 MB.
pub const MAX_CHAIN_SKIPPED: usize = 256;

const VERSION: u8 = 1;
/// Stored bytes besides the skipped keys.
const STORED_LEN: usize = 1 + 4 + 32 + 32 + 4 + 2;
/// Stored bytes of a skipped key.
const STORED_KEY_LEN: usize = 4 + 32;

/// Why a group message was refused. The chain is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupDecryptError {
    /// Not a group message of a known version.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A message of another chain.
    #[error("the message is of another chain")]
    OtherChain,
    /// The owner of the chain did not sign this in this group, as this device, under this generation: altered,
    /// moved, or made by somebody else who can read the chain.
    #[error("the message was not signed by its sender")]
    BadSignature,
    /// The key of this message is gone: it was received before, was sent before the chain was handed over, or came
    /// so late that its key was dropped ([`MAX_CHAIN_SKIPPED`]).
    #[error("the message was received before, or it came too late")]
    KeyGone,
    /// The message skips more than [`MAX_JUMP`] others.
    #[error("the message is more than {MAX_JUMP} messages ahead")]
    JumpTooFar,
    /// Signed, but the tag does not verify: it was not made with the chain key that was handed over.
    #[error("the message is not authentic")]
    Forged,
}

/// A chain of another device, for reading. A receiver holds several of one device: one for each group, and
/// messages from before a new chain may still be on their way. It finds them by sending device *and* id, and keeps
/// beside each for which group it was handed over: any member could hand over somebody else's id as its own, which
/// must not take that chain's place.
///
/// A value that never changes: [`MemberChain::decrypt`] gives the next one. See [`Step`].
#[derive(Clone)]
pub struct MemberChain {
    id: Ed25519PublicKey,
    generation: u32,
    pub(crate) key: ChainKey,
    /// The number that `key` belongs to: all smaller ones were received, skipped, or never readable here.
    next: u32,
    /// Ascending by number, all below `next`. Shared between clones.
    pub(crate) skipped: Arc<Vec<(u32, MessageKey)>>,
}

redacted_debug!(MemberChain);

impl MemberChain {
    /// A chain that is not known yet. For a known one there is [`Self::handed_over_again`].
    #[must_use]
    pub fn new(handover: &SenderKeyHandover) -> Self {
        Self {
            id: handover.id,
            generation: handover.generation,
            key: handover.key.clone(),
            next: handover.number,
            skipped: Arc::default(),
        }
    }

    /// Whether a handover, for the same group and from the same device, is this chain again, at whatever number. What
    /// is known is kept in any case: a handover never rewinds a chain and replaces no key of it.
    ///
    /// # Errors
    /// [`HandoverError`] if it says something else; costs at most [`MAX_JUMP`] HMACs.
    pub fn handed_over_again(&self, handover: &SenderKeyHandover) -> Result<(), HandoverError> {
        if handover.id != self.id {
            return Err(HandoverError::OtherChain);
        }
        if handover.generation != self.generation {
            return Err(HandoverError::OtherGeneration);
        }
        if handover.number.abs_diff(self.next) > MAX_JUMP {
            return Err(HandoverError::TooFar);
        }
        // The one that is behind, moved to where the other stands.
        let (mut behind, ahead) = if handover.number < self.next {
            (handover.key.clone(), &self.key)
        } else {
            (self.key.clone(), &handover.key)
        };
        for _ in 0..handover.number.abs_diff(self.next) {
            behind = behind.next();
        }
        if bool::from(behind.as_bytes().ct_eq(ahead.as_bytes())) { Ok(()) } else { Err(HandoverError::OtherKey) }
    }

    /// Decrypts one message. `sender` is the device that sealed it, in the group that this chain was handed over
    /// for. The chain does not change; commit the step.
    ///
    /// # Errors
    /// [`GroupDecryptError`]; a refused message changes nothing, and before its signature verified it costs no
    /// derivation.
    pub fn decrypt(
        &self,
        sender: &GroupSender,
        message: &[u8],
    ) -> Result<Step<Plaintext, MemberChain>, GroupDecryptError> {
        let message = GroupMessage::decode(message)?;
        if message.chain_id != *self.id.as_bytes() {
            return Err(GroupDecryptError::OtherChain);
        }
        let associated_data = sender.associated_data(self.generation);
        self.id
            .verify(&[labels::GROUP_SIGNATURE, &associated_data, message.signed], message.signature)
            .map_err(|BadSignature| GroupDecryptError::BadSignature)?;
        let aad = [&associated_data[..], message.header].concat();
        if message.number < self.next { self.late(&message, &aad) } else { self.ahead(&message, &aad) }
    }

    fn late(&self, message: &GroupMessage<'_>, aad: &[u8]) -> Result<Step<Plaintext, Self>, GroupDecryptError> {
        let at = self.skipped.binary_search_by_key(&message.number, |(number, _)| *number);
        let at = at.map_err(|_| GroupDecryptError::KeyGone)?;
        let plaintext = open(&self.skipped[at].1, message, aad)?;
        let mut skipped = Vec::clone(&self.skipped);
        skipped.remove(at);
        Ok(Step::new(Self { skipped: Arc::new(skipped), ..self.clone() }, Plaintext::new(plaintext)))
    }

    fn ahead(&self, message: &GroupMessage<'_>, aad: &[u8]) -> Result<Step<Plaintext, Self>, GroupDecryptError> {
        let number = message.number;
        if number - self.next > MAX_JUMP {
            return Err(GroupDecryptError::JumpTooFar);
        }
        // Of a longer gap only the keys that would stay are made.
        let kept = number.saturating_sub(MAX_CHAIN_SKIPPED as u32).max(self.next);
        let mut key = self.key.clone();
        for _ in self.next..kept {
            key = key.next();
        }
        let mut fresh = Vec::with_capacity((number - kept) as usize);
        for skipped in kept..number {
            let (message_key, next) = key.step();
            fresh.push((skipped, message_key));
            key = next;
        }
        let (message_key, key) = key.step();
        let plaintext = open(&message_key, message, aad)?;
        let skipped = if fresh.is_empty() {
            Arc::clone(&self.skipped)
        } else {
            let surplus = (self.skipped.len() + fresh.len()).saturating_sub(MAX_CHAIN_SKIPPED);
            Arc::new(self.skipped.iter().skip(surplus).cloned().chain(fresh).collect())
        };
        // Never the highest number: no message has it.
        let next = Self { id: self.id, generation: self.generation, key, next: number + 1, skipped };
        Ok(Step::new(next, Plaintext::new(plaintext)))
    }

    /// The state, for the client's store.
    #[must_use]
    pub fn serialize(&self) -> SerializedChain {
        let numbers: Vec<[u8; 4]> = self.skipped.iter().map(|(number, _)| number.to_be_bytes()).collect();
        let keys = self.skipped.iter().zip(&numbers).flat_map(|((_, key), number)| [&number[..], key.as_bytes()]);
        // At most MAX_CHAIN_SKIPPED.
        let count = (numbers.len() as u16).to_be_bytes();
        let (generation, next) = (self.generation.to_be_bytes(), self.next.to_be_bytes());
        let parts: [&[u8]; 6] = [&[VERSION], &generation, self.id.as_bytes(), self.key.as_bytes(), &next, &count];
        SerializedChain::of(STORED_LEN + numbers.len() * STORED_KEY_LEN, parts.into_iter().chain(keys))
    }

    /// The opposite of [`Self::serialize`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let generation = read_generation(&mut reader)?;
        let id = Ed25519PublicKey::from_bytes(reader.array_ref()?).map_err(|_| DecodeError::BadKey)?;
        let key = ChainKey::new(reader.array_ref()?);
        let next = reader.u32()?;
        let count = usize::from(u16::from_be_bytes(reader.array()?));
        if count > MAX_CHAIN_SKIPPED {
            return Err(DecodeError::BadField("skipped keys"));
        }
        let mut skipped: Vec<(u32, MessageKey)> = Vec::with_capacity(count);
        for _ in 0..count {
            let number = reader.u32()?;
            if number >= next || skipped.last().is_some_and(|(last, _)| *last >= number) {
                return Err(DecodeError::BadField("skipped keys"));
            }
            skipped.push((number, MessageKey::new(reader.array_ref()?)));
        }
        reader.finish()?;
        Ok(Self { id, generation, key, next, skipped: Arc::new(skipped) })
    }

    /// The chain's id: its public key.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        *self.id.as_bytes()
    }

    /// The chain's generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The number that is expected next; those before were received or skipped, or are from before the handover.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.next
    }
}

impl Sealed for MemberChain {}

impl StoredState for MemberChain {
    type Serialized = SerializedChain;

    fn to_store(&self) -> SerializedChain {
        self.serialize()
    }
}

fn open(key: &MessageKey, message: &GroupMessage<'_>, aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, GroupDecryptError> {
    key.aead_key(labels::GROUP_MESSAGE, message.salt).open(aad, message.sealed).map_err(|_| GroupDecryptError::Forged)
}
