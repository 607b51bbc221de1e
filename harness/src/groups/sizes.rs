//! Bytes of what groups send: changes, checkpoints, sender keys and messages as the cryptography writes them. Planned, and marked
//! so, is what the engine will have: the fields of contents that carry them, and the directory of members.

use std::num::NonZeroU32;

use anyhow::{Context, Result};
use prost::{Message, encoding::encoded_len_varint};
use subrosa_client_core::limits::MAX_TEXT_BYTES;
use subrosa_crypto::{
    BUCKETS, GROUP_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD, MessageKind, SETUP_HEADER_LEN, SendingChain, max_message_len,
    membership::{
        Act, ChainEnd, Change, Checkpoint, Ending, MAX_DESCRIPTION_LEN, MAX_NAME_LEN, MAX_TARGETS, Membership, Offered,
        Settings,
    },
};

use super::{
    CLOCK_MS, Group, LIST_VERSION,
    people::{Person, people},
};
use crate::hostile::{Content, Receipt, ReceiptItem, Text};

/// Planned: bytes of a content that carries changes and members.
pub const MAX_PART_BYTES: usize = MAX_TEXT_BYTES;

/// Planned: what a content of a group has beyond those of two people. Encoded behind a [`Content`] it is one
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

/// Planned: to one device, the chain with which another one encrypts what it says to a group.
#[derive(Clone, PartialEq, Message)]
struct Handover {
    #[prost(bytes = "vec", tag = "1")]
    group: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    sender_key: Vec<u8>,
}

/// Planned: changes and members: all of them, in one or more, or those that are new.
#[derive(Clone, PartialEq, Message)]
struct Part {
    #[prost(bytes = "vec", repeated, tag = "1")]
    changes: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "2")]
    members: Vec<Member>,
}

/// Planned: how to reach a member.
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
    /// For all, with a sender key.
    Group,
}

impl Encrypted {
    /// What a body has beside the content: ratchet or chain, set-up header, sender, padding's mark, seal.
    fn overhead(self) -> usize {
        let largest = BUCKETS[BUCKETS.len() - 1];
        let (kind, message) = match self {
            Self::Setup => (MessageKind::Setup, SETUP_HEADER_LEN + MESSAGE_OVERHEAD),
            Self::Session => (MessageKind::Session, MESSAGE_OVERHEAD),
            Self::Group => (MessageKind::Group, GROUP_MESSAGE_OVERHEAD),
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

fn handed_over(content: &Content) -> Result<usize> {
    let sender_key = SendingChain::new(NonZeroU32::MIN)?.handover().encode().to_vec();
    let handover = Handover { group: vec![1; 32], sender_key };
    let planned = Planned { heads: vec![1; 32], handover: Some(handover), part: None };
    Ok(content.encoded_len() + planned.encoded_len())
}

/// Bytes of a content that hands a sender key over.
///
/// # Errors
/// There is no randomness to make one with.
pub fn handover() -> Result<usize> {
    handed_over(&bare())
}

/// The same with the largest numbers and everything that may be said in it.
///
/// # Errors
/// See [`handover`].
pub fn longest_handover() -> Result<usize> {
    handed_over(&Content { list_version: u32::MAX, withholds: 3, again: true, ..bare() })
}

/// Bytes of a content with ticks for so many messages, as between two people: each names its conversation.
#[must_use]
pub fn receipt(messages: usize) -> usize {
    let item = ReceiptItem { message_id: vec![1; 16], ts_ms: CLOCK_MS, conversation: vec![1; 32] };
    Content { receipt: Some(Receipt { status: 1, items: vec![item; messages] }), ..bare() }.encoded_len()
}

/// Planned: the same in a group, which names its conversation once.
#[must_use]
pub fn receipt_of_group(messages: usize) -> usize {
    let item = ReceiptItem { message_id: vec![1; 16], ts_ms: CLOCK_MS, conversation: Vec::new() };
    let receipt = Some(Receipt { status: 1, items: vec![item; messages] });
    Content { conversation: vec![1; 32], receipt, ..bare() }.encoded_len()
}

/// A change of somebody who knew one head, the common case.
fn change(author: &Person, act: Act) -> Change {
    Change::sign([1; 32], author.id(), author.signer(), CLOCK_MS, &[[1; 32]], act)
}

/// Makes a group with the longest name.
fn created(author: &Person) -> Change {
    let (settings, name) = (Settings::default(), "x".repeat(MAX_NAME_LEN));
    let act = Act::Create { random: [1; 16], settings, author: Box::new(author.newcomer()), name };
    Change::sign([0; 32], author.id(), author.signer(), CLOCK_MS, &[], act)
}

fn added(people: &[Person]) -> Act {
    let mut members: Vec<_> = people.iter().map(Person::newcomer).collect();
    members.sort_unstable_by_key(|member| member.record.id());
    Act::Add { link: None, members }
}

/// Bytes of the change that makes a group, with the longest name.
///
/// # Errors
/// See [`people`].
pub fn create(devices: usize) -> Result<usize> {
    Ok(created(&people(devices)?[0]).encode().len())
}

/// Bytes of a change that adds so many members.
///
/// # Errors
/// See [`people`].
pub fn add(targets: usize, devices: usize) -> Result<usize> {
    let people = people(devices)?;
    Ok(change(&people[0], added(&people[1..=targets])).encode().len())
}

/// Bytes of a change that removes one member, with the end of each device's chain.
///
/// # Errors
/// See [`people`].
pub fn remove(devices: usize) -> Result<usize> {
    let people = people(devices)?;
    let numbers = 1..=u32::try_from(devices)?;
    let chains = numbers.map(|device| ChainEnd { device, generation: 1, next: 1, chain: [1; 32] }).collect();
    let ending = Ending { account: people[1].id(), chains };
    Ok(change(&people[0], Act::Remove(vec![ending])).encode().len())
}

/// A group that is made at once, each of its changes taken.
///
/// # Errors
/// One was not.
pub fn made(group: Group) -> Result<Membership> {
    let people = &people(group.devices)?[..group.members];
    let mut membership = Membership::begin(created(&people[0]))?;
    for some in people[1..].chunks(MAX_TARGETS) {
        goes_on(&mut membership, &people[0], added(some))?;
    }
    Ok(membership)
}

fn goes_on(membership: &mut Membership, author: &Person, act: Act) -> Result<()> {
    let (group, heads) = (*membership.id(), membership.heads());
    let offered = membership.offer(Change::sign(group, author.id(), author.signer(), CLOCK_MS, &heads, act))?;
    anyhow::ensure!(matches!(offered, Offered::Taken { .. }), "{offered:?}");
    Ok(())
}

/// Bytes of the checkpoint of a group that was made at once, with the longest name, by the only admin.
///
/// # Errors
/// See [`made`].
pub fn checkpoint(group: Group) -> Result<usize> {
    signed(&made(group)?, group)
}

/// The same where all are admins, with the longest description.
///
/// # Errors
/// See [`made`].
pub fn longest_checkpoint(group: Group) -> Result<usize> {
    let people = &people(group.devices)?[..group.members];
    let mut membership = made(group)?;
    for some in people[1..].chunks(MAX_TARGETS) {
        let mut ids: Vec<_> = some.iter().map(Person::id).collect();
        ids.sort_unstable();
        goes_on(&mut membership, &people[0], Act::Promote(ids))?;
    }
    goes_on(&mut membership, &people[0], Act::Describe("x".repeat(MAX_DESCRIPTION_LEN)))?;
    signed(&membership, group)
}

fn signed(membership: &Membership, group: Group) -> Result<usize> {
    let author = &people(group.devices)?[0];
    Ok(Checkpoint::sign(membership, author.id(), 1, author.device()).encode().len())
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
/// See [`people`].
pub fn changes(group: Group, history: History) -> Result<Vec<usize>> {
    let Group { members, devices } = group;
    let mut changes = vec![create(devices)?];
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
        let removed = remove(devices)?;
        for _ in 0..times {
            changes.extend([added, removed]);
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
