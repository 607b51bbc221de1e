//! A session between two devices: set-up, then the Double Ratchet (`docs/protocol.md` sections
//! 4 and 5).

mod bytes;
mod step;

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::address::PartyAddress;
use crate::certificate::VerifiedCertificate;
use crate::curve25519::NotContributory;
use crate::decoding::DecodeError;
use crate::device::IdentityKeyPair;
use crate::double_ratchet::{DoubleRatchet, StartError};
use crate::header::{HEADER_LEN, MESSAGE_OVERHEAD, RatchetMessage};
use crate::kdf::sha256;
use crate::labels;
use crate::message_kind::MessageKind;
use crate::pqxdh::{self, AgreeError, Side};
use crate::prekeys::{PrekeyBundle, ResponderPrekeys};
use crate::randomness::{Entropy, Os, RandomnessError};
use crate::redacted::redacted_debug;
use crate::seal::max_plaintext_len;
use crate::setup_header::{SETUP_HEADER_LEN, SetupHeader, split_bytes};

pub use bytes::SerializedSession;
pub(crate) use step::Sealed;
pub use step::{Step, StoredState};

pub use crate::double_ratchet::{DecryptError, EncryptError};

/// Why no session could be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The operating system's generator failed.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// A key of the bundle is of small order.
    #[error("the prekey bundle holds a key that is not acceptable")]
    BadKey,
}

/// Why a set-up message was refused. No session exists, and no prekey is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The prekeys are not those the header names.
    #[error("the set-up message names other prekeys")]
    OtherPrekeys,
    /// The message has a header that no initiator makes, or its tag does not verify.
    #[error(transparent)]
    Message(#[from] DecryptError),
    /// The base key is of small order.
    #[error("the set-up message holds a key that is not acceptable")]
    BadKey,
}

impl From<DecodeError> for AcceptError {
    fn from(error: DecodeError) -> Self {
        Self::Message(DecryptError::Malformed(error))
    }
}

/// A message for the peer or a group: what goes into the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    /// What the seal says of it: with a set-up header in front, without, or to a group.
    pub kind: MessageKind,
    /// The message.
    pub message: Vec<u8>,
}

/// What a message said. Wiped when dropped.
#[derive(Clone)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

redacted_debug!(Plaintext);

impl Plaintext {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, still wiped when dropped.
    #[must_use]
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// What never changes in a session.
pub(crate) struct Fixed {
    pub(crate) id: [u8; 32],
    pub(crate) initiator: bool,
    pub(crate) peer: PartyAddress,
    pub(crate) associated_data: Vec<u8>,
}

/// A Double Ratchet session with one device, and while it is unanswered the set-up header that
/// its messages repeat.
///
/// A session is a value that never changes: each step gives the next one. See [`Step`].
#[derive(Clone)]
pub struct Session {
    pub(crate) fixed: Arc<Fixed>,
    /// The encoded set-up header, until the peer answered.
    pub(crate) setup: Option<Arc<Vec<u8>>>,
    pub(crate) ratchet: DoubleRatchet,
}

redacted_debug!(Session);

impl Session {
    /// Starts a session with the device of a verified bundle.
    ///
    /// # Errors
    /// [`SetupError`]: no randomness, or a key of small order.
    pub fn initiate(
        local: &IdentityKeyPair,
        local_address: &PartyAddress,
        bundle: &PrekeyBundle,
    ) -> Result<Self, SetupError> {
        Self::initiate_from(local, local_address, bundle, &mut Os)
    }

    pub(crate) fn initiate_from(
        local: &IdentityKeyPair,
        local_address: &PartyAddress,
        bundle: &PrekeyBundle,
        entropy: &mut impl Entropy,
    ) -> Result<Self, SetupError> {
        let (agreed, header) = pqxdh::initiate(local, local_address, bundle, entropy).map_err(|error| match error {
            AgreeError::Randomness(error) => SetupError::Randomness(error),
            AgreeError::NotContributory => SetupError::BadKey,
        })?;
        let ratchet =
            DoubleRatchet::initiate(&agreed.shared, &bundle.signed_key, entropy).map_err(|error| match error {
                StartError::Randomness(error) => SetupError::Randomness(error),
                StartError::BadKey => SetupError::BadKey,
            })?;
        Ok(Self {
            fixed: Arc::new(Fixed {
                id: header.session_id(),
                initiator: true,
                peer: bundle.address,
                associated_data: agreed.associated_data,
            }),
            setup: Some(Arc::new(header.encode())),
            ratchet,
        })
    }

    /// Accepts a set-up message: computes the session and decrypts the message. Nothing exists
    /// before the tag verified.
    ///
    /// The caller first compares [`SetupHeader::session_id`] with the ids of its sessions (a
    /// repeated header belongs to [`Session::decrypt`]) and with the base keys it accepted
    /// before, and deletes the one-time prekeys in the transaction that commits the step.
    ///
    /// # Errors
    /// [`AcceptError`]; the prekeys are still good then.
    pub fn accept(
        local: &IdentityKeyPair,
        local_address: &PartyAddress,
        remote: &VerifiedCertificate,
        prekeys: &ResponderPrekeys<'_>,
        message: &[u8],
    ) -> Result<Step<Plaintext>, AcceptError> {
        let (header, ratchet_message) = SetupHeader::split(message)?;
        let named = header.signed_id == prekeys.signed.id()
            && header.one_time_id == prekeys.one_time.map(|prekey| prekey.id())
            && header.kem_id == prekeys.kem.id()
            && header.kem_use == prekeys.kem.kem_use();
        if !named {
            return Err(AcceptError::OtherPrekeys);
        }
        let remote_side = Side { identity: remote.identity(), address: &remote.address() };
        let agreed = pqxdh::accept(local, local_address, &remote_side, prekeys, &header)
            .map_err(|NotContributory| AcceptError::BadKey)?;
        let parsed = RatchetMessage::decode(ratchet_message)?;
        let aad = aad(&agreed.associated_data, &ratchet_message[..HEADER_LEN], Some(&message[..SETUP_HEADER_LEN]));
        let (ratchet, plaintext) = DoubleRatchet::accept(&agreed.shared, prekeys.signed.pair(), &parsed, &aad)?;
        let session = Self {
            fixed: Arc::new(Fixed {
                id: header.session_id(),
                initiator: false,
                peer: remote.address(),
                associated_data: agreed.associated_data,
            }),
            setup: None,
            ratchet,
        };
        Ok(Step::new(session, Plaintext(plaintext)))
    }

    /// Encrypts one message. The session does not change; commit the step.
    ///
    /// # Errors
    /// [`EncryptError`], above all [`EncryptError::TooLong`] for more than
    /// [`max_plaintext_len`] bytes.
    pub fn encrypt(&self, plaintext: &[u8]) -> Result<Step<Ciphertext>, EncryptError> {
        self.encrypt_from(plaintext, &mut Os)
    }

    pub(crate) fn encrypt_from(
        &self,
        plaintext: &[u8],
        entropy: &mut impl Entropy,
    ) -> Result<Step<Ciphertext>, EncryptError> {
        let kind = match self.setup {
            Some(_) => MessageKind::Setup,
            None => MessageKind::Session,
        };
        if plaintext.len() > max_plaintext_len(kind) {
            return Err(EncryptError::TooLong);
        }
        let (ratchet, header, message_key) = self.ratchet.sending_step(entropy)?;
        let salt = entropy.array()?;
        let setup = self.setup.as_deref().map(Vec::as_slice);
        let header = header.encode();
        let aad = aad(&self.fixed.associated_data, &header, setup);

        let setup_len = setup.map_or(0, <[u8]>::len);
        let mut message = Vec::with_capacity(setup_len + MESSAGE_OVERHEAD + plaintext.len());
        message.extend_from_slice(setup.unwrap_or_default());
        message.extend_from_slice(&header);
        message.extend_from_slice(&salt);
        let from = message.len();
        message.extend_from_slice(plaintext);
        if !message_key.aead_key(labels::MESSAGE, &salt).seal(&aad, &mut message, from) {
            return Err(EncryptError::TooLong);
        }
        let session = Self { fixed: Arc::clone(&self.fixed), setup: self.setup.clone(), ratchet };
        Ok(Step::new(session, Ciphertext { kind, message }))
    }

    /// Decrypts one message of this session. The session does not change; commit the step.
    ///
    /// # Errors
    /// [`DecryptError`]; a refused message changes nothing and costs at most one
    /// Diffie-Hellman and [`crate::MAX_JUMP`] HMACs.
    pub fn decrypt(&self, kind: MessageKind, message: &[u8]) -> Result<Step<Plaintext>, DecryptError> {
        let (setup, ratchet_message) = match kind {
            MessageKind::Group => return Err(DecryptError::OtherSession),
            MessageKind::Session => (None, message),
            MessageKind::Setup => {
                let (setup, ratchet_message) = split_bytes(message)?;
                // Cheap first; the tag binds the whole header.
                if self.fixed.initiator || sha256(&[&setup[1..33]]) != self.fixed.id {
                    return Err(DecryptError::OtherSession);
                }
                (Some(setup), ratchet_message)
            }
        };
        let parsed = RatchetMessage::decode(ratchet_message)?;
        let aad = aad(&self.fixed.associated_data, &ratchet_message[..HEADER_LEN], setup);
        let (ratchet, plaintext) = self.ratchet.decrypt(&parsed, &aad)?;
        let session = Self {
            fixed: Arc::clone(&self.fixed),
            // Answered: the peer has the session.
            setup: None,
            ratchet,
        };
        Ok(Step::new(session, Plaintext(plaintext)))
    }

    /// The state, for the client's store.
    #[must_use]
    pub fn serialize(&self) -> SerializedSession {
        SerializedSession::of(self)
    }

    /// The opposite of [`Self::serialize`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes::deserialize(bytes)
    }

    /// SHA-256 of the base key: both sides know the session by it. If both sides start one at
    /// once, the smaller id wins.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.fixed.id
    }

    /// The device at the other end.
    #[must_use]
    pub fn peer(&self) -> PartyAddress {
        self.fixed.peer
    }

    /// Whether this side started the session and the peer did not answer in it yet.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.setup.is_some()
    }
}

/// associated data ‖ ratchet header \[‖ set-up header\]: all of fixed width.
fn aad(associated_data: &[u8], header: &[u8], setup: Option<&[u8]>) -> Vec<u8> {
    [associated_data, header, setup.unwrap_or_default()].concat()
}
