//! One change of a group's membership, as it is signed and as it travels.

use super::layout::{ascending, counted, put_count};
use super::{AccountId, ChangeId, MAX_CHANGE_LEN, MAX_HEADS};
use crate::account::{AccountKeyPair, AccountRecord};
use crate::decoding::{DecodeError, Reader};
use crate::device::IdentityKeyPair;
use crate::device_list::UnverifiedDeviceList;
use crate::ed25519::{BadSignature, Ed25519PublicKey};
use crate::kdf::sha256;
use crate::labels;

const VERSION: u8 = 1;

/// The device number that stands for the account key itself.
pub const ACCOUNT_ITSELF: u32 = 0;

/// Who may do what, besides admins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Only admins write.
    pub only_admins_write: bool,
    /// Only admins change name and description.
    pub only_admins_edit: bool,
    /// Only admins add members and make links.
    pub only_admins_add: bool,
}

impl Default for Settings {
    /// Everybody writes, admins do the rest.
    fn default() -> Self {
        Self { only_admins_write: false, only_admins_edit: true, only_admins_add: true }
    }
}

impl Settings {
    pub(super) fn to_byte(self) -> u8 {
        u8::from(self.only_admins_write) | u8::from(self.only_admins_edit) << 1 | u8::from(self.only_admins_add) << 2
    }

    pub(super) fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        if byte > 7 {
            return Err(DecodeError::BadField("settings"));
        }
        Ok(Self { only_admins_write: byte & 1 != 0, only_admins_edit: byte & 2 != 0, only_admins_add: byte & 4 != 0 })
    }
}

/// How far one device's messages count: all of earlier generations, and of this chain those below `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainEnd {
    /// The device, from 1.
    pub device: u32,
    /// The generation of its newest sender key, from 1.
    pub generation: u32,
    /// Number of the first message of that chain that does not count.
    pub next: u32,
    /// The chain's id.
    pub chain: [u8; 32],
}

/// Somebody whose membership or office ends, with how far their messages count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Who.
    pub account: AccountId,
    /// One for each device whose sender key is known, ascending by device.
    pub chains: Vec<ChainEnd>,
}

/// Somebody who is added: who they are, and the devices that may sign for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Their record; its hash is their account id.
    pub record: AccountRecord,
    /// Their device list.
    pub list: UnverifiedDeviceList,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Begins a group; its author is the first admin.
    Create {
        /// Chosen anew for each group.
        random: [u8; 16],
        /// Who may do what.
        settings: Settings,
        /// The author and their devices.
        author: Box<Newcomer>,
        /// The group's name.
        name: String,
    },
    /// Adds members, ascending by account id.
    Add {
        /// The invite link by which they come.
        link: Option<[u8; 16]>,
        /// Who, 1 to [`MAX_TARGETS`].
        members: Vec<Newcomer>,
    },
    /// Removes members; of who left, confirms it.
    Remove(Vec<Ending>),
    /// Makes members admins, behind all that there are.
    Promote(Vec<AccountId>),
    /// Makes admins plain members.
    Demote(Vec<Ending>),
    /// Gives another name.
    Rename(String),
    /// Gives another description, perhaps none.
    Describe(String),
    /// Sets who may do what.
    Set(Settings),
    /// Makes an invite link.
    OpenLink {
        /// A name for it, made from its secret.
        link: [u8; 16],
        /// How many may come by it, at least 1.
        uses: u16,
        /// Until when, Unix time in milliseconds.
        expires_ms: u64,
        /// An admin decides about each.
        approval: bool,
    },
    /// Ends an invite link.
    RevokeLink([u8; 16]),
    /// Ends the author's own membership.
    Leave {
        /// Who is made admin with it.
        successor: Option<AccountId>,
        /// How far the author's messages count.
        chains: Vec<ChainEnd>,
    },
    /// Ends the group for ever.
    Disband,
    /// The author's device list; a device that it drops is as removed.
    List(UnverifiedDeviceList),
}

/// A change. What it says is to be believed only once it is in a [`super::Membership`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub(super) group: ChangeId,
    pub(super) author: AccountId,
    pub(super) device: u32,
    pub(super) clock: u64,
    pub(super) heads: Vec<ChangeId>,
    pub(super) act: Act,
    pub(super) signature: [u8; 64],
    pub(super) id: ChangeId,
    len: usize,
}

/// What signs a change.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'a> {
    /// A device of the author, under a list that the group knows.
    Device(u32, &'a IdentityKeyPair),
    /// The author's account key.
    Account(&'a AccountKeyPair),
}

impl Change {
    /// Signs a change. `group` is all zero for [`Act::Create`], whose id becomes the group's; `clock` is the place of
    /// its line in the conversation; `heads` are all that the author knows, in any order.
    ///
    /// Says nothing about whether it is allowed: [`super::Membership::may`] does.
    #[must_use]
    pub fn sign(
        group: ChangeId,
        author: AccountId,
        signer: Signer<'_>,
        clock: u64,
        heads: &[ChangeId],
        act: Act,
    ) -> Self {
        let device = match signer {
            Signer::Device(number, _) => number,
            Signer::Account(_) => ACCOUNT_ITSELF,
        };
        Self::made(group, author, device, clock, heads, act, |bytes| {
            let parts = [labels::GROUP_CHANGE, bytes];
            match signer {
                Signer::Device(_, key) => key.sign(&parts),
                Signer::Account(key) => key.sign(&parts),
            }
        })
    }

    pub(super) fn made(
        group: ChangeId,
        author: AccountId,
        device: u32,
        clock: u64,
        heads: &[ChangeId],
        act: Act,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Self {
        let mut heads = heads.to_vec();
        heads.sort_unstable();
        let mut change = Self { group, author, device, clock, heads, act, signature: [0; 64], id: [0; 32], len: 0 };
        let mut bytes = change.signed_bytes();
        change.signature = sign(&bytes);
        bytes.extend_from_slice(&change.signature);
        change.id = id_of(&bytes);
        change.len = bytes.len();
        change
    }

    /// The group's id: that of the change that began it.
    #[must_use]
    pub fn group(&self) -> ChangeId {
        if matches!(self.act, Act::Create { .. }) { self.id } else { self.group }
    }

    /// SHA-256("Subrosa change id v1" ‖ all bytes).
    #[must_use]
    pub fn id(&self) -> &ChangeId {
        &self.id
    }

    /// Who made it, as it claims.
    #[must_use]
    pub fn author(&self) -> &AccountId {
        &self.author
    }

    /// The device that signed it, as it claims; 0 is the account key.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.device
    }

    /// The place of its line in the conversation, as its author claims.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// The changes that its author knew and that no other one named, ascending.
    #[must_use]
    pub fn heads(&self) -> &[ChangeId] {
        &self.heads
    }

    /// What it does.
    #[must_use]
    pub fn act(&self) -> &Act {
        &self.act
    }

    /// Bytes of its encoding.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn verify(&self, key: &Ed25519PublicKey) -> Result<(), BadSignature> {
        key.verify(&[labels::GROUP_CHANGE, &self.signed_bytes()], &self.signature)
    }

    /// version u8 = 1 ‖ group id (32) ‖ author's account id (32) ‖ device number u32 ‖ clock u64 ‖ count u8 ‖ heads
    /// (32 each) ‖ kind u8 ‖ body ‖ signature (64).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.signed_bytes();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.group);
        out.extend_from_slice(&self.author);
        out.extend_from_slice(&self.device.to_be_bytes());
        out.extend_from_slice(&self.clock.to_be_bytes());
        put_count(&mut out, self.heads.len());
        out.extend(self.heads.iter().flatten());
        self.act.put(&mut out);
        out
    }

    /// The opposite of [`Self::encode`]. No signature is checked.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but exactly one change of this version, at most [`MAX_CHANGE_LEN`] bytes, whose
    /// heads and targets ascend.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_CHANGE_LEN {
            return Err(DecodeError::BadField("length"));
        }
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let (group, author, device, clock) = (reader.array()?, reader.array()?, reader.u32()?, reader.u64()?);
        let heads = counted(&mut reader, 0..=MAX_HEADS, "heads", |reader| reader.array())?;
        ascending(&heads, |head| *head, "heads")?;
        let act = Act::read(&mut reader)?;
        let creates = matches!(act, Act::Create { .. });
        if creates != heads.is_empty() || creates != (group == [0; 32]) {
            return Err(DecodeError::BadField("heads"));
        }
        let itself = matches!(act, Act::List(_)) || (matches!(act, Act::Leave { .. }) && device == ACCOUNT_ITSELF);
        if itself != (device == ACCOUNT_ITSELF) {
            return Err(DecodeError::BadField("device number"));
        }
        let signature = reader.array()?;
        reader.finish()?;
        Ok(Self { group, author, device, clock, heads, act, signature, id: id_of(bytes), len: bytes.len() })
    }
}

impl Act {
    /// How many acts it stands for: one for each whom it names, and leaving itself.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Leave { successor, .. } => 1 + usize::from(successor.is_some()),
            Self::Add { members, .. } => members.len(),
            Self::Remove(targets) | Self::Demote(targets) => targets.len(),
            Self::Promote(targets) => targets.len(),
            _ => 1,
        }
    }

    /// Whether act `at` adds somebody.
    pub(super) fn adds(&self, at: usize, target: &AccountId) -> bool {
        matches!(self, Self::Add { members, .. } if members[at].record.id() == *target)
    }

    /// Whether act `at` gives somebody an office: by a promotion, or with a leave.
    pub(super) fn promotes(&self, at: usize, target: &AccountId) -> bool {
        match self {
            Self::Promote(targets) => targets[at] == *target,
            Self::Leave { successor, .. } => at == 0 && *successor == Some(*target),
            _ => false,
        }
    }

    /// Whether act `at` is the leaving itself.
    pub(super) fn leaves(&self, at: usize) -> bool {
        matches!(self, Self::Leave { .. }) && at + 1 == self.count()
    }
}

fn id_of(bytes: &[u8]) -> ChangeId {
    sha256(&[labels::CHANGE_ID, bytes])
}
