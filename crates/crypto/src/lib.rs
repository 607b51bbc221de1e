//! Subrosa's protocol cryptography: identities, device lists, prekeys, session set-up
//! (X3DH with ML-KEM-1024), the Double Ratchet, the seal, safety numbers, the membership of groups and messages to them.
//!
//! Pure functions and state machines: no I/O, no clock, no storage, no async. The only thing
//! taken from outside is randomness from the operating system. The byte-level text is
//! `docs/protocol.md`; each module names its section.
//!
//! # A seal is nobody's before it is verified
//!
//! [`open`] gives an [`OpenedSeal`], of which only the claim of a sender can be read. The message is behind
//! [`OpenedSeal::verify`], which takes the key of the claimed pair of devices ([`ReceivingPairKey`]), which takes a
//! verified certificate. So nothing can be done with a message in somebody else's name.
//!
//! # The two promises of [`Step`]
//!
//! [`Session::encrypt`] and [`Session::decrypt`] do not change a session, nor do
//! [`SendingChain::encrypt`] and [`MemberChain::decrypt`] change a chain. They return a
//! [`Step`], whose only way out is [`Step::commit`]: the caller stores the new state first and
//! receives the ciphertext or plaintext after that. So state becomes real only after a tag
//! verified, and no ciphertext leaves a process whose store does not know about it.
#![deny(missing_docs)]

mod account;
mod address;
mod certificate;
mod chain_key;
mod conversation;
mod curve25519;
mod decoding;
mod device;
mod device_list;
mod double_ratchet;
mod ed25519;
#[cfg(test)]
mod foreign_vectors;
mod header;
mod kdf;
mod kem;
mod key_error;
#[cfg(test)]
mod known_answers;
mod labels;
mod link_keys;
pub mod membership;
mod message_key;
mod message_kind;
mod padding;
mod pair_key;
mod pqxdh;
mod prekeys;
mod randomness;
mod receiving_chain;
mod recovery;
mod redacted;
mod root_key;
mod safety_number;
mod seal;
mod sender_key;
mod session;
mod setup_header;
mod skipped_keys;
#[cfg(test)]
mod vectors;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod wiping;
pub mod x3dh;

pub use account::{AccountKey, AccountKeyPair, AccountRecord};
pub use address::PartyAddress;
pub use certificate::{CertificateError, DeviceCertificate, VerifiedCertificate};
pub use conversation::{chat_id, message_id};
pub use curve25519::{Curve25519KeyPair, Curve25519PublicKey};
pub use decoding::DecodeError;
pub use device::{IdentityKey, IdentityKeyPair, RelayMarks};
pub use device_list::{DeviceList, DeviceListError, Freshness, MAX_DEVICES, UnverifiedDeviceList};
pub use double_ratchet::MAX_JUMP;
pub use header::{GROUP_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD};
pub use kem::KemUse;
pub use key_error::KeyError;
pub use link_keys::LinkKeys;
pub use message_kind::MessageKind;
pub use padding::BUCKETS;
pub use pair_key::{ReceivingPairKey, SendingPairKey};
pub use prekeys::{BundleError, KemPrekeyPair, OneTimePrekeyPair, PrekeyBundle, ResponderPrekeys, SignedPrekeyPair};
pub use randomness::RandomnessError;
pub use recovery::{RecoveryKey, RecoveryWordsError};
pub use safety_number::{SafetyNumber, safety_number};
pub use seal::{
    HEAD_LEN, NotFromSender, OpenError, OpenedSeal, SealError, SealedContent, SealedEnvelope, max_message_len,
    max_plaintext_len, open, seal,
};
pub use sender_key::{
    GroupDecryptError, GroupEncryptError, GroupMessage, GroupSender, HandoverError, MAX_CHAIN_AGE, MAX_CHAIN_MESSAGES,
    MAX_CHAIN_SKIPPED, MemberChain, SenderKeyHandover, SendingChain, SerializedChain,
};
pub use session::{
    AcceptError, Ciphertext, DecryptError, EncryptError, Plaintext, SerializedSession, Session, SetupError, Step,
    StoredState,
};
pub use setup_header::{SETUP_HEADER_LEN, SetupHeader};
pub use skipped_keys::{MAX_CHAINS, MAX_SKIPPED};
