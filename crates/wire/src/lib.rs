//! What travels between a Subrosa client and a relay: ids, frames, envelopes, limits, error codes.
//!
//! This crate knows no keys and no storage. Bodies are opaque bytes. Every decoder is a pure
//! function over bytes that checks each length before it hands anything on; the byte-level text
//! is `docs/protocol.md`.
#![deny(missing_docs)]

pub mod capability;
pub mod codes;
pub mod convert;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod harmless;
pub mod http;
pub mod ids;
pub mod labels;
pub mod limits;
pub mod link;
pub mod mailbox;
pub mod prekeys;
#[cfg(feature = "qr")]
pub mod qr;
pub mod submit;
pub mod version;

pub use capability::{
    Capability, CapabilityHash, ContactToken, DeliveryKey, LinkSecret, MemberKey, RegistrationToken, TokenBinding,
};
pub use codes::ErrorCode;
pub use ids::{AccountId, DeviceAddress, EnvelopeId, Handle, MailboxEpoch, MessageId, Seq};
pub use link::{ContactLink, LinkError, LinkKind, RelayLink};

/// The generated protobuf messages. Only this crate's checked types should reach other code.
pub mod proto {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/subrosa.v1.rs"));
}

/// Bytes that are not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field of fixed size has another size.
    #[error("{field} has {found} bytes instead of {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// Its size in the protocol.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// A field that the protocol requires is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More of something than the protocol allows.
    #[error("{field} exceeds the limit of {limit}")]
    TooMany {
        /// Which field.
        field: &'static str,
        /// The most there may be.
        limit: usize,
    },
    /// A number outside its range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// Not protobuf.
    #[error("not a frame of this protocol")]
    Protobuf,
    /// Not hexadecimal.
    #[error("{0} is not hexadecimal")]
    Hex(&'static str),
    /// Not a handle.
    #[error("a handle has 3 to 32 of a-z 0-9 . _ - and begins and ends with a letter or digit")]
    Handle,
}
