//! The seal: hides the sender from the relay and shows it to the receiver (`docs/protocol.md`,
//! "Seal and padding"). Only a receiving device can open it. It protects *who*, not *what*: X25519 only, not
//! forward secret. A tag tells the receiver that the named sender sealed it, and proves nothing to
//! anybody else, since the receiver can compute it too.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::account::AccountRecord;
use crate::address::PartyAddress;
use crate::certificate::DeviceCertificate;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey, SharedSecret};
use crate::decoding::{DecodeError, Reader};
use crate::device::{IdentityKey, IdentityKeyPair};
use crate::header::{GROUP_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD};
use crate::kdf::{AeadKey, TAG_LEN, hkdf, sha256};
use crate::labels;
use crate::message_kind::MessageKind;
use crate::padding::{BUCKETS, bucket, pad, unpad};
use crate::pair_key::{ReceivingPairKey, SENDER_TAG_LEN, SendingPairKey};
use crate::randomness::{Entropy, Os, RandomnessError};
use crate::redacted::redacted_debug;
use crate::setup_header::SETUP_HEADER_LEN;

const BODY_VERSION: u8 = 1;
const CONTENT_VERSION: u8 = 1;
/// Version ‖ ephemeral key ‖ commitment: the additional data of the body.
const PREFIX_LEN: usize = 1 + 32 + 32;
/// What a body holds besides the padded content.
const BODY_OVERHEAD: usize = PREFIX_LEN + TAG_LEN;
/// Version ‖ kind ‖ account id ‖ certificate.
const CONTENT_PREFIX_LEN: usize = 1 + 1 + 32 + DeviceCertificate::LEN;
/// Bytes of a wrapped body key: the key and the tag of its encryption.
const WRAPPED_LEN: usize = 32 + TAG_LEN;
/// Bytes of a head: the wrapped body key and the sender's tag.
pub const HEAD_LEN: usize = WRAPPED_LEN + SENDER_TAG_LEN;

/// Longest message ([`crate::Ciphertext::message`]) of this kind that a seal takes, in bytes.
#[must_use]
pub const fn max_message_len(kind: MessageKind) -> usize {
    let record = match kind {
        MessageKind::Setup => AccountRecord::LEN,
        MessageKind::Session | MessageKind::Group => 0,
    };
    BUCKETS[BUCKETS.len() - 1] - BODY_OVERHEAD - 1 - CONTENT_PREFIX_LEN - record
}

/// Longest plaintext that [`crate::Session::encrypt`], or [`crate::SendingChain::encrypt`], takes while it makes
/// messages of this kind, in bytes. The value for [`MessageKind::Setup`] is the smallest one and always safe.
#[must_use]
pub const fn max_plaintext_len(kind: MessageKind) -> usize {
    let overhead = match kind {
        MessageKind::Setup => SETUP_HEADER_LEN + MESSAGE_OVERHEAD,
        MessageKind::Session => MESSAGE_OVERHEAD,
        MessageKind::Group => GROUP_MESSAGE_OVERHEAD,
    };
    max_message_len(kind) - overhead
}

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The operating system's generator failed.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The message is longer than [`max_message_len`].
    #[error("the message is longer than a sealed body can be")]
    TooLong,
    /// A receiving device's key is of small order.
    #[error("a receiving device has a key that is not acceptable")]
    BadKey,
}

/// Why an envelope was not opened. It is junk, or for another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a sealed envelope of a known version, or its content is malformed.
    #[error("the sealed envelope is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// Head and body do not belong together, or to this device.
    #[error("the envelope is not sealed for this device")]
    NotForThisDevice,
}

/// The sender's tag does not verify: whoever made this envelope is not the sender it names. Junk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the envelope was not sealed by the sender it names")]
pub struct NotFromSender;

/// One submission: a head for each target, in their order, and the body they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEnvelope {
    /// Wrapped body key and sender's tag, for each target.
    pub heads: Vec<[u8; HEAD_LEN]>,
    /// The body; its length is one of [`BUCKETS`].
    pub body: Vec<u8>,
}

/// What a seal holds. From [`OpenedSeal::verify`] its sender is who sealed it, up to somebody who has
/// the receiver's own identity key. What the sender *said* still has to verify in a session.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedContent {
    sender: Sender,
    certificate: DeviceCertificate,
    message: Vec<u8>,
}

redacted_debug!(SealedContent);

/// A set-up message brings the record, since the receiver may not know the account.
#[derive(Clone, PartialEq, Eq)]
enum Sender {
    Setup(AccountRecord),
    Session([u8; 32]),
    Group([u8; 32]),
}

impl SealedContent {
    /// Content with a message of [`MessageKind::Setup`].
    #[must_use]
    pub fn setup(record: AccountRecord, certificate: DeviceCertificate, message: Vec<u8>) -> Self {
        Self { sender: Sender::Setup(record), certificate, message }
    }

    /// Content with a message of [`MessageKind::Session`].
    #[must_use]
    pub fn session(account: [u8; 32], certificate: DeviceCertificate, message: Vec<u8>) -> Self {
        Self { sender: Sender::Session(account), certificate, message }
    }

    /// Content with a message of [`MessageKind::Group`].
    #[must_use]
    pub fn group(account: [u8; 32], certificate: DeviceCertificate, message: Vec<u8>) -> Self {
        Self { sender: Sender::Group(account), certificate, message }
    }

    /// What kind of message this is.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self.sender {
            Sender::Setup(_) => MessageKind::Setup,
            Sender::Session(_) => MessageKind::Session,
            Sender::Group(_) => MessageKind::Group,
        }
    }

    /// The device that sends this.
    #[must_use]
    pub fn sender(&self) -> PartyAddress {
        PartyAddress {
            account: match &self.sender {
                Sender::Setup(record) => record.id(),
                Sender::Session(account) | Sender::Group(account) => *account,
            },
            device: self.certificate.number(),
        }
    }

    /// The sender's certificate.
    #[must_use]
    pub fn certificate(&self) -> &DeviceCertificate {
        &self.certificate
    }

    /// The record of the sender, in a set-up message; its id is that of [`Self::sender`].
    #[must_use]
    pub fn record(&self) -> Option<&AccountRecord> {
        match &self.sender {
            Sender::Setup(record) => Some(record),
            Sender::Session(_) | Sender::Group(_) => None,
        }
    }

    /// The message, for [`crate::Session::accept`], [`crate::Session::decrypt`] or [`crate::MemberChain::decrypt`].
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The message, without a copy.
    #[must_use]
    pub fn into_message(self) -> Vec<u8> {
        self.message
    }

    fn encoded_len(&self) -> usize {
        let record = self.record().map_or(0, |_| AccountRecord::LEN);
        CONTENT_PREFIX_LEN + record + self.message.len()
    }

    /// version u8 = 1 ‖ kind u8 ‖ account id (32) ‖ certificate (104) ‖ \[record (65)\] ‖
    /// message.
    fn encode_to(&self, out: &mut Vec<u8>) {
        out.push(CONTENT_VERSION);
        out.push(self.kind().to_byte());
        out.extend_from_slice(&self.sender().account);
        out.extend_from_slice(&self.certificate.encode());
        if let Some(record) = self.record() {
            out.extend_from_slice(&record.encode());
        }
        out.extend_from_slice(&self.message);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(CONTENT_VERSION)?;
        let kind = MessageKind::from_byte(reader.u8()?).ok_or(DecodeError::BadField("message kind"))?;
        let account = reader.array()?;
        let certificate = DeviceCertificate::read(&mut reader)?;
        let sender = match kind {
            MessageKind::Session => Sender::Session(account),
            MessageKind::Group => Sender::Group(account),
            MessageKind::Setup => {
                let record = AccountRecord::decode(reader.take(AccountRecord::LEN)?)?;
                if record.id() != account {
                    return Err(DecodeError::BadField("account id"));
                }
                Sender::Setup(record)
            }
        };
        Ok(Self { sender, certificate, message: reader.rest().to_vec() })
    }
}

/// An envelope that this device could open. Who sealed it is a claim, which anybody can make, until
/// [`Self::verify`]: only then is there a message.
pub struct OpenedSeal {
    content: SealedContent,
    wrapped: [u8; WRAPPED_LEN],
    body_hash: [u8; 32],
    tag: [u8; SENDER_TAG_LEN],
}

redacted_debug!(OpenedSeal);

impl OpenedSeal {
    /// Who claims to have sealed this.
    #[must_use]
    pub fn claimed_sender(&self) -> PartyAddress {
        self.content.sender()
    }

    /// The certificate of the claimed sender; its signature is not verified.
    #[must_use]
    pub fn claimed_certificate(&self) -> &DeviceCertificate {
        &self.content.certificate
    }

    /// The record of the claimed sender, in a set-up message; its id is that of
    /// [`Self::claimed_sender`].
    #[must_use]
    pub fn claimed_record(&self) -> Option<&AccountRecord> {
        self.content.record()
    }

    /// Gives the content, if the device of `key` sealed it.
    ///
    /// # Errors
    /// [`NotFromSender`]: another device than the claimed one, or one that only says so.
    pub fn verify(self, key: &ReceivingPairKey) -> Result<SealedContent, NotFromSender> {
        let claimed = key.is_of(&self.claimed_sender(), self.content.certificate.identity());
        if claimed && key.verifies(&self.tag, &self.wrapped, &self.body_hash) {
            Ok(self.content)
        } else {
            Err(NotFromSender)
        }
    }
}

/// key ‖ nonce = HKDF(E, DH, label ‖ account id ‖ device number ‖ identity key, 44): a head
/// opens only for the device and the name it was made for.
fn head_key(ephemeral: &[u8; 32], shared: &SharedSecret, address: &PartyAddress, identity: &IdentityKey) -> AeadKey {
    AeadKey::new(hkdf(ephemeral, shared.as_ref(), &[labels::SEAL_HEAD, &address.to_bytes(), identity.as_bytes()]))
}

/// key (32) ‖ nonce (12) ‖ commitment (32) = HKDF(E, body key, label, 76). AES-GCM does not
/// commit to its key; without the commitment one body could open differently for two devices.
fn body_key(ephemeral: &[u8; 32], body_key: &[u8; 32]) -> (AeadKey, [u8; 32]) {
    let output = hkdf::<76>(ephemeral, body_key, &[labels::SEAL_BODY]);
    let mut key_and_nonce = Zeroizing::new([0; 44]);
    key_and_nonce.copy_from_slice(&output[..44]);
    let mut commitment = [0; 32];
    commitment.copy_from_slice(&output[44..]);
    (AeadKey::new(key_and_nonce), commitment)
}

/// Seals one content for one or more devices, with one ephemeral key. The pair keys are those of the
/// device that `content` names: nobody believes a head that another one made.
///
/// # Errors
/// [`SealError`].
pub fn seal(targets: &[&SendingPairKey], content: &SealedContent) -> Result<SealedEnvelope, SealError> {
    seal_from(targets, content, &mut Os)
}

pub(crate) fn seal_from(
    targets: &[&SendingPairKey],
    content: &SealedContent,
    entropy: &mut impl Entropy,
) -> Result<SealedEnvelope, SealError> {
    let bucket = bucket(BODY_OVERHEAD, content.encoded_len()).ok_or(SealError::TooLong)?;
    let ephemeral_pair = Curve25519KeyPair::generate_from(entropy)?;
    let ephemeral = *ephemeral_pair.public().as_bytes();
    let secret = Zeroizing::new(entropy.array::<32>()?);

    let (key, commitment) = body_key(&ephemeral, &secret);
    let mut body = Vec::with_capacity(bucket);
    body.push(BODY_VERSION);
    body.extend_from_slice(&ephemeral);
    body.extend_from_slice(&commitment);
    let aad = body.clone();
    content.encode_to(&mut body);
    pad(&mut body, bucket - TAG_LEN);
    if !key.seal(&aad, &mut body, PREFIX_LEN) {
        return Err(SealError::TooLong);
    }

    let body_hash = sha256(&[&body]);
    let heads = targets
        .iter()
        .map(|target| {
            let identity = target.receiver_identity();
            let shared = ephemeral_pair.diffie_hellman(&identity.agreement()).map_err(|_| SealError::BadKey)?;
            let key = head_key(&ephemeral, &shared, &target.receiver(), identity);
            // Exact capacity: the body key is encrypted in place.
            let mut wrapped = Vec::with_capacity(WRAPPED_LEN);
            wrapped.extend_from_slice(&*secret);
            if !key.seal(&[], &mut wrapped, 0) {
                return Err(SealError::TooLong);
            }
            let mut head = [0; HEAD_LEN];
            head[..WRAPPED_LEN].copy_from_slice(&wrapped);
            head[WRAPPED_LEN..].copy_from_slice(&target.tag(&wrapped, &body_hash));
            Ok(head)
        })
        .collect::<Result<_, _>>()?;
    Ok(SealedEnvelope { heads, body })
}

/// Opens an envelope with this device's identity. Who sealed it is not known before
/// [`OpenedSeal::verify`].
///
/// # Errors
/// [`OpenError`]: malformed, altered, or for another device.
pub fn open(
    local: &IdentityKeyPair,
    address: &PartyAddress,
    head: &[u8],
    body: &[u8],
) -> Result<OpenedSeal, OpenError> {
    let Ok(head) = <&[u8; HEAD_LEN]>::try_from(head) else {
        return Err(OpenError::Malformed(DecodeError::BadField("head length")));
    };
    let mut wrapped = [0; WRAPPED_LEN];
    wrapped.copy_from_slice(&head[..WRAPPED_LEN]);
    let mut tag = [0; SENDER_TAG_LEN];
    tag.copy_from_slice(&head[WRAPPED_LEN..]);
    if !BUCKETS.contains(&body.len()) {
        return Err(OpenError::Malformed(DecodeError::BadField("body length")));
    }
    let mut reader = Reader::new(body);
    reader.version(BODY_VERSION)?;
    let ephemeral = reader.array_ref()?;
    let commitment = reader.array_ref::<32>()?;
    let sealed = reader.rest();
    let ephemeral_key = Curve25519PublicKey::from_bytes(ephemeral).map_err(|_| DecodeError::BadKey)?;
    let shared = local.agreement().diffie_hellman(&ephemeral_key).map_err(|_| DecodeError::BadKey)?;
    let opened = head_key(ephemeral, &shared, address, &local.public())
        .open(&[], &wrapped)
        .map_err(|_| OpenError::NotForThisDevice)?;
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(&opened);
    let (key, expected) = body_key(ephemeral, &secret);
    if !bool::from(expected.ct_eq(commitment)) {
        return Err(OpenError::NotForThisDevice);
    }
    let mut content = key.open(&body[..PREFIX_LEN], sealed).map_err(|_| OpenError::NotForThisDevice)?;
    unpad(&mut content).ok_or(DecodeError::BadField("padding"))?;
    Ok(OpenedSeal { content: SealedContent::decode(&content)?, wrapped, body_hash: sha256(&[body]), tag })
}

#[cfg(test)]
mod tests {
    //! What only a malicious sealer can make: it knows the keys and computes good tags.

    use super::*;
    use crate::account::AccountKeyPair;

    const EPHEMERAL: [u8; 32] = [3; 32];
    const SECRET: [u8; 32] = [4; 32];

    struct Receiver {
        identity: IdentityKeyPair,
        address: PartyAddress,
    }

    impl Receiver {
        fn new() -> Self {
            Self {
                identity: IdentityKeyPair::from_seed(&[1; 32]),
                address: PartyAddress { account: [2; 32], device: 1 },
            }
        }

        /// Seals any bytes under good tags, with `commitment` altered.
        fn open_crafted(&self, padded: &[u8], flip: u8) -> Result<OpenedSeal, OpenError> {
            let pair = Curve25519KeyPair::from_secret(&EPHEMERAL);
            let ephemeral = *pair.public().as_bytes();
            let (key, mut commitment) = body_key(&ephemeral, &SECRET);
            commitment[0] ^= flip;
            let mut body = [&[BODY_VERSION][..], &ephemeral, &commitment].concat();
            let aad = body.clone();
            body.extend_from_slice(padded);
            body.resize(512 - TAG_LEN, 0);
            assert!(key.seal(&aad, &mut body, PREFIX_LEN));
            let shared = pair.diffie_hellman(&self.identity.public().agreement()).unwrap();
            let mut head = SECRET.to_vec();
            assert!(head_key(&ephemeral, &shared, &self.address, &self.identity.public()).seal(&[], &mut head, 0));
            head.resize(HEAD_LEN, 0);
            open(&self.identity, &self.address, &head, &body)
        }
    }

    fn good_content() -> Vec<u8> {
        let account = AccountKeyPair::from_seed(&[5; 32]);
        let record = AccountRecord::new(account.public(), [6; 32]);
        let identity = IdentityKeyPair::from_seed(&[7; 32]).public();
        let certificate = DeviceCertificate::issue(&account, &record.id(), 1, &identity, 1);
        let mut bytes = Vec::new();
        SealedContent::setup(record, certificate, vec![9; 10]).encode_to(&mut bytes);
        bytes.push(0x80);
        bytes
    }

    #[test]
    fn a_body_that_does_not_commit_to_its_key_is_refused() {
        let receiver = Receiver::new();
        assert!(receiver.open_crafted(&good_content(), 0).is_ok());
        let refused = receiver.open_crafted(&good_content(), 1);
        assert_eq!(refused.unwrap_err(), OpenError::NotForThisDevice);
    }

    #[test]
    fn malformed_content_under_a_good_tag_is_refused() {
        let receiver = Receiver::new();
        let malformed = |padded: &[u8]| match receiver.open_crafted(padded, 0) {
            Err(OpenError::Malformed(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(malformed(&[]), DecodeError::BadField("padding"));
        assert_eq!(malformed(&[1, 2, 3]), DecodeError::BadField("padding"));
        assert_eq!(malformed(&[0x80]), DecodeError::TooShort);
        assert_eq!(malformed(&[2, 0x80]), DecodeError::UnknownVersion(2));
        for (position, error) in [
            (1, DecodeError::BadField("message kind")),
            // The account id is not that of the record.
            (2, DecodeError::BadField("account id")),
            (38, DecodeError::BadKey),
        ] {
            let mut content = good_content();
            match error {
                DecodeError::BadKey => content[position..position + 32].fill(0xff),
                _ => content[position] ^= 0x40,
            }
            assert_eq!(malformed(&content), error);
        }
    }
}
