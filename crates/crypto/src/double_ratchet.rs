//! The Double Ratchet (Signal's specification, revision 3; `docs/protocol.md`, "Double Ratchet").
//!
//! A value is never changed: [`DoubleRatchet::sending_step`] and [`DoubleRatchet::decrypt`]
//! return the next state beside their result, and `decrypt` makes it only after the tag
//! verified. A refused message costs at most one Diffie-Hellman and [`MAX_JUMP`] HMACs.
//!
//! As section 8.5 of the specification allows, a new sending key pair is made when the next
//! message is sent, not when the peer's key arrives: between the two no private ratchet key
//! exists, and an unexpected new ratchet key is refused without any work.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::chain_key::ChainKey;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::decoding::DecodeError;
use crate::header::{Header, RatchetMessage};
use crate::labels;
use crate::message_key::MessageKey;
use crate::randomness::{Entropy, RandomnessError};
use crate::receiving_chain::ReceivingChain;
use crate::root_key::RootKey;
use crate::skipped_keys::{Lookup, MAX_SKIPPED, SkippedKeys};

/// Most message keys that one message may skip, the end of the previous chain included. A
/// header with a larger jump is refused at once. Not more than [`MAX_SKIPPED`], so a message
/// never drops keys that it skipped itself.
pub const MAX_JUMP: u32 = 2000;
const _: () = assert!(MAX_JUMP as usize <= MAX_SKIPPED);

/// Why a message was refused. The session is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// Not a message of a known version.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A set-up message of another session, one sent to its own initiator, or a message of no session
    /// ([`crate::MessageKind::Group`]).
    #[error("the message belongs to another session")]
    OtherSession,
    /// The key of this message is gone: it was received before, or it came so late that its
    /// key was dropped ([`MAX_SKIPPED`], [`crate::MAX_CHAINS`]).
    #[error("the message was received before, or it came too late")]
    KeyGone,
    /// The message skips more than [`MAX_JUMP`] others.
    #[error("the message is more than {MAX_JUMP} messages ahead")]
    JumpTooFar,
    /// A new ratchet key where the protocol allows none, one that is not acceptable, or a
    /// header that contradicts what was received.
    #[error("the message does not continue this session")]
    BadHeader,
    /// The tag does not verify: altered, or not of this session.
    #[error("the message is not authentic")]
    Forged,
}

/// Why nothing could be encrypted. The session is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// The operating system's generator failed.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The text is longer than a sealed message can be ([`crate::max_plaintext_len`]).
    #[error("the text is longer than a message can be")]
    TooLong,
    /// 2^32 messages without an answer.
    #[error("this session has no message numbers left")]
    ChainExhausted,
    /// The stored state holds a key that no session can have.
    #[error("the stored session is damaged")]
    BadState,
}

/// The sending half.
#[derive(Clone)]
pub(crate) enum Sending {
    /// A chain under our current ratchet key.
    Active(SendingChain),
    /// The peer's ratchet key is newer than ours: the next message starts a chain.
    Inactive {
        /// Messages in our previous chain.
        previous: u32,
    },
}

/// Our current chain.
#[derive(Clone)]
pub(crate) struct SendingChain {
    pub(crate) ratchet: Arc<Curve25519KeyPair>,
    pub(crate) key: ChainKey,
    /// The number of the next message.
    pub(crate) next: u32,
    /// Messages in our previous chain.
    pub(crate) previous: u32,
}

/// The state of one side.
#[derive(Clone)]
pub(crate) struct DoubleRatchet {
    pub(crate) root: RootKey,
    pub(crate) sending: Arc<Sending>,
    pub(crate) receiving: Option<ReceivingChain>,
    pub(crate) skipped: Arc<SkippedKeys>,
}

/// The peer's key is of small order.
#[derive(Debug)]
pub(crate) enum StartError {
    Randomness(RandomnessError),
    BadKey,
}

impl DoubleRatchet {
    /// The initiator: `shared` is the set-up's secret, `remote` the responder's signed prekey,
    /// which is its first ratchet key.
    pub(crate) fn initiate(
        shared: &[u8; 32],
        remote: &Curve25519PublicKey,
        entropy: &mut impl Entropy,
    ) -> Result<Self, StartError> {
        let (root, chain) = Self::start_chain(&RootKey::new(shared), remote, 0, entropy)?;
        Ok(Self { root, sending: Arc::new(Sending::Active(chain)), receiving: None, skipped: Arc::default() })
    }

    fn start_chain(
        root: &RootKey,
        remote: &Curve25519PublicKey,
        previous: u32,
        entropy: &mut impl Entropy,
    ) -> Result<(RootKey, SendingChain), StartError> {
        let ratchet = Curve25519KeyPair::generate_from(entropy).map_err(StartError::Randomness)?;
        let shared = ratchet.diffie_hellman(remote).map_err(|_| StartError::BadKey)?;
        let (root, key) = root.step(&shared);
        let chain = SendingChain { ratchet: Arc::new(ratchet), key, next: 0, previous };
        Ok((root, chain))
    }

    /// The responder, with the first message: `shared` is the set-up's secret, `own` the
    /// signed prekey pair.
    pub(crate) fn accept(
        shared: &[u8; 32],
        own: &Curve25519KeyPair,
        message: &RatchetMessage<'_>,
        aad: &[u8],
    ) -> Result<(Self, Zeroizing<Vec<u8>>), DecryptError> {
        Self::receive_new_chain(&RootKey::new(shared), own, 0, None, &SkippedKeys::default(), message, aad)
    }

    /// The header and key of the next message, and the state after it.
    pub(crate) fn sending_step(&self, entropy: &mut impl Entropy) -> Result<(Self, Header, MessageKey), EncryptError> {
        let (root, chain) = match &*self.sending {
            Sending::Active(chain) => (self.root.clone(), chain.clone()),
            Sending::Inactive { previous } => {
                let receiving = self.receiving.as_ref().ok_or(EncryptError::BadState)?;
                Self::start_chain(&self.root, &receiving.remote, *previous, entropy).map_err(|error| match error {
                    StartError::Randomness(error) => EncryptError::Randomness(error),
                    StartError::BadKey => EncryptError::BadState,
                })?
            }
        };
        let header =
            Header { ratchet_key: *chain.ratchet.public().as_bytes(), previous: chain.previous, number: chain.next };
        let (message_key, key) = chain.key.step();
        let next = Self {
            root,
            sending: Arc::new(Sending::Active(SendingChain {
                key,
                next: chain.next.checked_add(1).ok_or(EncryptError::ChainExhausted)?,
                ..chain
            })),
            receiving: self.receiving.clone(),
            skipped: self.skipped.clone(),
        };
        Ok((next, header, message_key))
    }

    /// Decrypts one message; the state after it comes with the plaintext.
    pub(crate) fn decrypt(
        &self,
        message: &RatchetMessage<'_>,
        aad: &[u8],
    ) -> Result<(Self, Zeroizing<Vec<u8>>), DecryptError> {
        let header = &message.header;
        if let Some(chain) = &self.receiving
            && *chain.remote.as_bytes() == header.ratchet_key
            && header.number >= chain.next
        {
            return self.receive_ahead(chain, message, aad);
        }
        match self.skipped.find(&header.ratchet_key, header.number) {
            Lookup::Found(key) => {
                let plaintext = open(&key, message, aad)?;
                let next = Self {
                    skipped: Arc::new(self.skipped.without(&header.ratchet_key, header.number)),
                    ..self.clone()
                };
                Ok((next, plaintext))
            }
            Lookup::Gone => Err(DecryptError::KeyGone),
            Lookup::UnknownChain => {
                let Sending::Active(sending) = &*self.sending else {
                    // The peer makes a new ratchet key only after it received ours.
                    return Err(DecryptError::BadHeader);
                };
                Self::receive_new_chain(
                    &self.root,
                    &sending.ratchet,
                    sending.next,
                    self.receiving.as_ref(),
                    &self.skipped,
                    message,
                    aad,
                )
            }
        }
    }

    fn receive_ahead(
        &self,
        chain: &ReceivingChain,
        message: &RatchetMessage<'_>,
        aad: &[u8],
    ) -> Result<(Self, Zeroizing<Vec<u8>>), DecryptError> {
        let number = message.header.number;
        if number - chain.next > MAX_JUMP {
            return Err(DecryptError::JumpTooFar);
        }
        let next_number = number.checked_add(1).ok_or(DecryptError::BadHeader)?;
        let (message_key, key) = chain.key_at(number).step();
        let plaintext = open(&message_key, message, aad)?;

        let mut skipped = Arc::clone(&self.skipped);
        let keys = chain.skipped_until(number);
        if skipped.would_change(chain.remote.as_bytes(), &keys) {
            Arc::make_mut(&mut skipped).add(chain.remote.as_bytes(), keys);
        }
        let next = Self {
            root: self.root.clone(),
            sending: self.sending.clone(),
            receiving: Some(ReceivingChain { remote: chain.remote, key, next: next_number }),
            skipped,
        };
        Ok((next, plaintext))
    }

    /// A message under a new ratchet key of the peer: `own` is the key it answers, `sent` the
    /// number of messages we sent under it.
    fn receive_new_chain(
        root: &RootKey,
        own: &Curve25519KeyPair,
        sent: u32,
        ended: Option<&ReceivingChain>,
        skipped: &SkippedKeys,
        message: &RatchetMessage<'_>,
        aad: &[u8],
    ) -> Result<(Self, Zeroizing<Vec<u8>>), DecryptError> {
        let header = &message.header;
        // The peer's previous chain has at least the messages we read of it.
        let unread = header.previous.checked_sub(ended.map_or(0, |chain| chain.next)).ok_or(DecryptError::BadHeader)?;
        if ended.is_none() && header.previous != 0 {
            return Err(DecryptError::BadHeader);
        }
        if u64::from(unread) + u64::from(header.number) > u64::from(MAX_JUMP) {
            return Err(DecryptError::JumpTooFar);
        }
        let remote = Curve25519PublicKey::from_bytes(&header.ratchet_key).map_err(|_| DecryptError::BadHeader)?;
        let shared = own.diffie_hellman(&remote).map_err(|_| DecryptError::BadHeader)?;
        let (root, key) = root.step(&shared);
        let fresh = ReceivingChain { remote, key, next: 0 };
        let (message_key, key) = fresh.key_at(header.number).step();
        let plaintext = open(&message_key, message, aad)?;

        let mut skipped = skipped.clone();
        if let Some(ended) = ended {
            skipped.add(ended.remote.as_bytes(), ended.skipped_until(header.previous));
        }
        skipped.add(remote.as_bytes(), fresh.skipped_until(header.number));
        let next = Self {
            root,
            sending: Arc::new(Sending::Inactive { previous: sent }),
            receiving: Some(ReceivingChain {
                remote,
                key,
                // At most MAX_JUMP + 1.
                next: header.number + 1,
            }),
            skipped: Arc::new(skipped),
        };
        Ok((next, plaintext))
    }
}

fn open(key: &MessageKey, message: &RatchetMessage<'_>, aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    key.aead_key(labels::MESSAGE, message.salt).open(aad, message.sealed).map_err(|_| DecryptError::Forged)
}
