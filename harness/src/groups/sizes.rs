//! Bytes of what groups send: with the encoders and constants of the project where there are some, and the planned layouts where
//! there are none yet.

use anyhow::{Context, Result};
use prost::{Message, encoding::encoded_len_varint};
use subrosa_client_core::limits::MAX_TEXT_BYTES;
use subrosa_crypto::{
    AccountKeyPair, AccountRecord, BUCKETS, DeviceCertificate, DeviceList, IdentityKeyPair, MESSAGE_OVERHEAD,
    MessageKind, SETUP_HEADER_LEN, max_message_len,
};

use super::{CLOCK_MS, Group, LIST_VERSION};
use crate::hostile::{Content, Receipt, ReceiptItem, Text};

/// Planned: a group message beside its plaintext: header (version 1, chain id 32, number 4), salt, tag, signature.
pub const GROUP_MESSAGE_OVERHEAD: usize = (1 + 32 + 4) + 16 + 16 + 64;

/// Planned: a sender key as it is handed over: version, generation, number, chain key, public key.
pub const SENDER_KEY_BYTES: usize = 1 + 4 + 4 + 32 + 32;

/// Planned: accounts that one change adds or removes at most.
pub const MAX_TARGETS: usize = 64;

/// Planned: bytes of a content that carries changes and members.
pub const MAX_PART_BYTES: usize = MAX_TEXT_BYTES;

/// Planned: the longest name of a group.
pub const NAME_BYTES: usize = 255;

/// Planned: a change without heads and body: version, group id, author, device, clock, number of heads, kind, signature.
const CHANGE_BYTES: usize = 1 + 32 + 32 + 4 + 8 + 1 + 1 + 64;

/// A head is the hash of a change; in the common case there is one.
const HEAD_BYTES: usize = 32;

/// Planned: where the messages of a removed device end.
const CUT_BYTES: usize = 44;

/// What a content of a group has beyond those of two people: the fields that are planned. Encoded behind a [`Content`] it is one
/// message with it.
#[derive(Clone, PartialEq, Message)]
struct Planned {
    /// SHA-256 of the heads that the sender knows.
    #[prost(bytes = "vec", tag = "12")]
    heads: Vec<u8>,
    #[prost(message, optional, tag = "27")]
    handover: Option<Handover>,
    #[prost(message, optional, tag = "28")]
    part: Option<Part>,
}

/// To one device: the chain with which another one encrypts what it says to a group.
#[derive(Clone, PartialEq, Message)]
struct Handover {
    #[prost(bytes = "vec", tag = "1")]
    group: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    sender_key: Vec<u8>,
}

/// Changes and members: all of them, in one or more, or those that are new.
#[derive(Clone, PartialEq, Message)]
struct Part {
    #[prost(bytes = "vec", repeated, tag = "1")]
    changes: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "2")]
    members: Vec<Member>,
}

/// How to reach a member.
#[derive(Clone, PartialEq, Message)]
struct Member {
    #[prost(bytes = "vec", tag = "1")]
    account: Vec<u8>,
    #[prost(string, tag = "2")]
    handle: String,
    #[prost(string, tag = "3")]
    relay: String,
    #[prost(bytes = "vec", tag = "4")]
    pin: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    member_key: Vec<u8>,
}

/// How a content is encrypted before it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encrypted {
    /// For one device, which has not answered yet.
    Setup,
    /// For one device, in a session that both have.
    Session,
    /// For all, with a sender key. The seal is as for a session.
    Group,
}

impl Encrypted {
    /// What a body has beside the content: ratchet or chain, set-up header, sender, padding's mark, seal.
    fn overhead(self) -> usize {
        let largest = BUCKETS[BUCKETS.len() - 1];
        let (kind, message) = match self {
            Self::Setup => (MessageKind::Setup, SETUP_HEADER_LEN + MESSAGE_OVERHEAD),
            Self::Session => (MessageKind::Session, MESSAGE_OVERHEAD),
            Self::Group => (MessageKind::Session, GROUP_MESSAGE_OVERHEAD),
        };
        largest - max_message_len(kind) + message
    }

    /// The longest content in a body of this size.
    #[must_use]
    pub fn room(self, body: usize) -> usize {
        body.saturating_sub(self.overhead())
    }

    /// Bytes of the body that a content of `len` bytes comes to.
    ///
    /// # Errors
    /// There is no body as large.
    pub fn body(self, len: usize) -> Result<usize> {
        let body = BUCKETS.into_iter().find(|body| *body >= len + self.overhead());
        body.with_context(|| format!("a content of {len} bytes fits no body ({self:?})"))
    }
}

/// What every content has.
fn bare() -> Content {
    Content {
        version: 1,
        random: vec![1; 16],
        sent_ms: CLOCK_MS,
        list_version: LIST_VERSION,
        list_hash: vec![1; 32],
        ..Content::default()
    }
}

/// A content that is said to a group.
fn said(content: Content, planned: Planned) -> usize {
    let content = Content { conversation: vec![1; 32], ..content };
    content.encoded_len() + Planned { heads: vec![1; 32], ..planned }.encoded_len()
}

/// Bytes of a content with a text.
#[must_use]
pub fn text(bytes: usize) -> usize {
    let text = Some(Text { text: "x".repeat(bytes), ..Text::default() });
    said(Content { clock: CLOCK_MS, shown: true, text, ..bare() }, Planned::default())
}

/// The longest text that fits a body of this size.
#[must_use]
pub fn longest_text(body: usize) -> usize {
    let room = Encrypted::Group.room(body);
    (0..=room).rev().find(|bytes| text(*bytes) <= room).unwrap_or(0)
}

fn handed_over(content: &Content) -> usize {
    let handover = Handover { group: vec![1; 32], sender_key: vec![1; SENDER_KEY_BYTES] };
    let planned = Planned { heads: vec![1; 32], handover: Some(handover), part: None };
    content.encoded_len() + planned.encoded_len()
}

/// Bytes of a content that hands a sender key over.
#[must_use]
pub fn handover() -> usize {
    handed_over(&bare())
}

/// The same with the largest numbers and everything that may be said in it.
#[must_use]
pub fn longest_handover() -> usize {
    handed_over(&Content { list_version: u32::MAX, withholds: 3, again: true, ..bare() })
}

/// Bytes of a content with ticks for so many messages.
#[must_use]
pub fn receipt(messages: usize) -> usize {
    let item = ReceiptItem { message_id: vec![1; 16], ts_ms: CLOCK_MS, conversation: vec![1; 32] };
    Content { receipt: Some(Receipt { status: 1, items: vec![item; messages] }), ..bare() }.encoded_len()
}

/// Bytes of an account's device list.
///
/// # Errors
/// No account has so many devices.
pub fn device_list(devices: usize) -> Result<usize> {
    let key = AccountKeyPair::from_seed(&[1; 32]);
    let record = AccountRecord::new(key.public(), [1; 32]);
    let certificate = |number: u8| {
        let identity = IdentityKeyPair::from_seed(&[number; 32]).public();
        DeviceCertificate::issue(&key, &record.id(), number.into(), &identity, 1)
    };
    let devices = u8::try_from(devices)?;
    let certificates = (1..=devices).map(certificate).collect();
    Ok(DeviceList::issue(&key, &record, LIST_VERSION, CLOCK_MS, devices.into(), certificates)?.encode().len())
}

/// A member in a change: record, length, list.
fn target(devices: usize) -> Result<usize> {
    Ok(AccountRecord::LEN + 2 + device_list(devices)?)
}

/// Bytes of the change that makes a group.
///
/// # Errors
/// See [`device_list`].
pub fn create(devices: usize) -> Result<usize> {
    Ok(CHANGE_BYTES + 16 + 1 + target(devices)? + 1 + NAME_BYTES)
}

/// Bytes of a change that adds so many members.
///
/// # Errors
/// See [`device_list`].
pub fn add(targets: usize, devices: usize) -> Result<usize> {
    Ok(CHANGE_BYTES + HEAD_BYTES + 1 + 1 + targets * target(devices)?)
}

/// Bytes of a change that removes one member.
#[must_use]
pub fn remove(devices: usize) -> usize {
    CHANGE_BYTES + HEAD_BYTES + 1 + 32 + 1 + devices * CUT_BYTES
}

/// How a group came to its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// All were there from the beginning.
    AtOnce,
    /// Each was added alone.
    OneByOne,
    /// Each was added alone, and so many came and went.
    Busy(usize),
}

/// Bytes of each change of a group.
///
/// # Errors
/// See [`device_list`].
pub fn changes(group: Group, history: History) -> Result<Vec<usize>> {
    let Group { members, devices } = group;
    let mut changes = vec![create(devices)?];
    // Lists are signed to be measured: once.
    let (others, added) = (members - 1, add(1, devices)?);
    match history {
        History::AtOnce => {
            for first in (0..others).step_by(MAX_TARGETS) {
                changes.push(add(MAX_TARGETS.min(others - first), devices)?);
            }
        }
        History::OneByOne | History::Busy(_) => changes.extend(vec![added; others]),
    }
    if let History::Busy(times) = history {
        for _ in 0..times {
            changes.extend([added, remove(devices)]);
        }
    }
    Ok(changes)
}

fn member() -> Member {
    Member {
        account: vec![1; 32],
        handle: "x".repeat(12),
        relay: "https://relay.example.org/".to_owned(),
        pin: vec![1; 32],
        member_key: vec![1; 16],
    }
}

/// Bytes of a member in the directory: a handle of 12, a relay's URL of 26, with a pin.
#[must_use]
pub fn directory_entry() -> usize {
    framed(member().encoded_len())
}

/// The most that a member can have there: a handle of 32, a URL of 300.
#[must_use]
pub fn longest_directory_entry() -> usize {
    framed(Member { handle: "x".repeat(32), relay: "x".repeat(300), ..member() }.encoded_len())
}

/// A field with a number below 16.
fn framed(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn part_len(part: &Part) -> usize {
    said(bare(), Planned { part: Some(part.clone()), ..Planned::default() })
}

/// Bytes of the content that tells of one change, and of a member that it adds.
#[must_use]
pub fn news(change: usize, adds: bool) -> usize {
    part_len(&Part { changes: vec![vec![1; change]], members: adds.then(member).into_iter().collect() })
}

/// Bytes of the contents in which all changes and all members travel, in this order, none of them cut.
#[must_use]
pub fn parts(changes: &[usize], members: usize) -> Vec<usize> {
    // What a part has beside changes and members; its own length has at most three bytes.
    let empty = part_len(&Part { changes: vec![vec![1; MAX_PART_BYTES / 2]], members: Vec::new() })
        - framed(MAX_PART_BYTES / 2);
    let pieces = changes.iter().map(|change| framed(*change)).chain(vec![directory_entry(); members]);
    let mut parts = Vec::new();
    for piece in pieces {
        match parts.last_mut() {
            Some(part) if *part + piece <= MAX_PART_BYTES => *part += piece,
            _ => parts.push(empty + piece),
        }
    }
    parts
}
