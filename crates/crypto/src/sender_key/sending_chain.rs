//! The chain that this device writes with.

use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use crate::chain_key::ChainKey;
use crate::decoding::{DecodeError, Reader};
use crate::ed25519::Ed25519KeyPair;
use crate::header::GROUP_MESSAGE_OVERHEAD;
use crate::labels;
use crate::message_kind::MessageKind;
use crate::randomness::{Entropy, Os, RandomnessError};
use crate::redacted::redacted_debug;
use crate::seal::max_plaintext_len;
use crate::sender_key::handover::{SenderKeyHandover, read_generation};
use crate::sender_key::message::header;
use crate::sender_key::sender::GroupSender;
use crate::sender_key::serialized::SerializedChain;
use crate::sender_key::{MAX_CHAIN_AGE, MAX_CHAIN_MESSAGES};
use crate::session::{Ciphertext, Sealed, Step, StoredState};

const VERSION: u8 = 1;
/// version u8 = 1 ‖ generation u32 ‖ next number u32 ‖ chain key (32) ‖ seed (32).
const STORED_LEN: usize = 1 + 4 + 4 + 32 + 32;

/// Why nothing could be encrypted. The chain is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupEncryptError {
    /// The operating system's generator failed.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The text is longer than a sealed message can be ([`crate::max_plaintext_len`]).
    #[error("the text is longer than a message can be")]
    TooLong,
    /// 2^32 - 1 messages in one chain.
    #[error("this chain has no message numbers left")]
    ChainExhausted,
}

/// The chain with which one device writes in one group, from its present number on.
///
/// A value that never changes: [`SendingChain::encrypt`] gives the next one. See [`Step`].
#[derive(Clone)]
pub struct SendingChain {
    /// Shared rather than copied: a clone is cheap and a move leaves no bytes behind.
    pub(crate) pair: Arc<Ed25519KeyPair>,
    generation: u32,
    pub(crate) key: ChainKey,
    /// The number of the next message.
    next: u32,
}

redacted_debug!(SendingChain);

impl SendingChain {
    /// A new chain, with a chain key and a key pair of its own. Generations of a device in a group count from 1
    /// and rise with each new chain.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn new(generation: NonZeroU32) -> Result<Self, RandomnessError> {
        Self::new_from(generation, &mut Os)
    }

    pub(crate) fn new_from(generation: NonZeroU32, entropy: &mut impl Entropy) -> Result<Self, RandomnessError> {
        let key = zeroize::Zeroizing::new(entropy.array()?);
        Ok(Self {
            pair: Arc::new(Ed25519KeyPair::generate(entropy)?),
            generation: generation.get(),
            key: ChainKey::new(&key),
            next: 0,
        })
    }

    /// What other devices need to read from the present number on.
    #[must_use]
    pub fn handover(&self) -> SenderKeyHandover {
        SenderKeyHandover {
            generation: self.generation,
            number: self.next,
            key: self.key.clone(),
            id: self.pair.public(),
        }
    }

    /// Encrypts one message for all who have this chain. `sender` is this device in the chain's group. The chain
    /// does not change; commit the step.
    ///
    /// The salt comes from the operating system for each message. A chain that was restored from an old copy uses
    /// a message key a second time, but key and nonce of the cipher never repeat.
    ///
    /// # Errors
    /// [`GroupEncryptError`], above all [`GroupEncryptError::TooLong`] for more than [`max_plaintext_len`] bytes.
    pub fn encrypt(
        &self,
        sender: &GroupSender,
        plaintext: &[u8],
    ) -> Result<Step<Ciphertext, SendingChain>, GroupEncryptError> {
        self.encrypt_from(sender, plaintext, &mut Os)
    }

    pub(crate) fn encrypt_from(
        &self,
        sender: &GroupSender,
        plaintext: &[u8],
        entropy: &mut impl Entropy,
    ) -> Result<Step<Ciphertext, SendingChain>, GroupEncryptError> {
        if plaintext.len() > max_plaintext_len(MessageKind::Group) {
            return Err(GroupEncryptError::TooLong);
        }
        let next = self.next.checked_add(1).ok_or(GroupEncryptError::ChainExhausted)?;
        let (message_key, key) = self.key.step();
        let salt = entropy.array()?;
        let associated_data = sender.associated_data(self.generation);
        let header = header(&self.id(), self.next);

        let mut message = Vec::with_capacity(GROUP_MESSAGE_OVERHEAD + plaintext.len());
        message.extend_from_slice(&header);
        message.extend_from_slice(&salt);
        let from = message.len();
        message.extend_from_slice(plaintext);
        let aad = [&associated_data[..], &header].concat();
        if !message_key.aead_key(labels::GROUP_MESSAGE, &salt).seal(&aad, &mut message, from) {
            return Err(GroupEncryptError::TooLong);
        }
        let signature = self.pair.sign(&[labels::GROUP_SIGNATURE, &associated_data, &message]);
        message.extend_from_slice(&signature);
        let chain = Self { pair: Arc::clone(&self.pair), generation: self.generation, key, next };
        Ok(Step::new(chain, Ciphertext { kind: MessageKind::Group, message }))
    }

    /// The state, for the client's store.
    #[must_use]
    pub fn serialize(&self) -> SerializedChain {
        let parts: [&[u8]; 5] = [
            &[VERSION],
            &self.generation.to_be_bytes(),
            &self.next.to_be_bytes(),
            self.key.as_bytes(),
            &*self.pair.seed(),
        ];
        SerializedChain::of(STORED_LEN, parts)
    }

    /// The opposite of [`Self::serialize`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let generation = read_generation(&mut reader)?;
        let next = reader.u32()?;
        let key = ChainKey::new(reader.array_ref()?);
        let seed = reader.array_ref()?;
        reader.finish()?;
        Ok(Self { pair: Arc::new(Ed25519KeyPair::from_seed(seed)), generation, key, next })
    }

    /// The chain's id: its public key.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        *self.pair.public().as_bytes()
    }

    /// The chain's generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The number of the next message.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.next
    }

    /// Whether a chain of this age is to be replaced before the next message: [`MAX_CHAIN_MESSAGES`],
    /// [`MAX_CHAIN_AGE`]. A chain is also replaced when somebody leaves the group.
    #[must_use]
    pub fn is_worn(&self, age: Duration) -> bool {
        self.next >= MAX_CHAIN_MESSAGES || age >= MAX_CHAIN_AGE
    }
}

impl Sealed for SendingChain {}

impl StoredState for SendingChain {
    type Serialized = SerializedChain;

    fn to_store(&self) -> SerializedChain {
        self.serialize()
    }
}
