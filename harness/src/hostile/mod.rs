//! A client that speaks the protocol and breaks its rules at will.
//!
//! It is written from `docs/protocol.md` alone: no line of it is shared with the client or with `subrosa-wire`, so that a
//! mistake which both ends of the project make alike shows here. Of the project it uses the cryptography of `subrosa-crypto`
//! (keys, lists, prekeys, sessions, seals) and nothing else.
//!
//! Roles: a *stranger* is an [`Actor`], registered at a relay or at none. A *contact* is an actor that somebody accepted. A
//! *removed device* is an [`Actor::device`] that the account's list does not name any more. The *relay in the middle* is
//! [`Middle`]. A fellow member of a group will be an actor too.
//!
//! What is asserted with it is what can be seen from outside: what leaves an engine, what its relay is asked, which hosts are
//! called, and what its person sees.

mod actor;
mod contents;
pub mod frames;
mod middle;
pub mod questions;
mod sockets;

use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

pub use self::{
    actor::{Actor, Envelope, Opened, Target, device_address, envelope_id},
    contents::{
        ContactSync, Content, Ids, Introduction, KeySync, LastLine, Nothing, Receipt, ReceiptItem, RestoreAnswer,
        RestoreRequest, Text, Transcript, chat_id,
    },
    middle::{Middle, Rules, Seen},
    sockets::{Mailbox, PATIENCE, Relay, Submission, http, with_key, with_token},
};

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// This machine's clock, Unix time in milliseconds.
#[must_use]
#[allow(clippy::disallowed_methods)] // a client's own clock is what contents claim
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
