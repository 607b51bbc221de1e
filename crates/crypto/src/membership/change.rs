//! One change of a group's membership, as it is signed and as it travels.

use super::{AccountId, ChangeId, MAX_CHANGE_LEN, MAX_DESCRIPTION_LEN, MAX_HEADS, MAX_NAME_LEN, MAX_TARGETS};
use crate::account::{AccountKeyPair, AccountRecord};
use crate::decoding::{DecodeError, Reader};
use crate::device::IdentityKeyPair;
use crate::device_list::{MAX_DEVICES, UnverifiedDeviceList};
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
        let mut change = Self { group, author, device, clock, heads, act, signature: [0; 64], id: [0; 32] };
        let mut bytes = change.signed_bytes();
        change.signature = sign(&bytes);
        bytes.extend_from_slice(&change.signature);
        change.id = id_of(&bytes);
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
        Ok(Self { group, author, device, clock, heads, act, signature, id: id_of(bytes) })
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

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create { random, settings, author, name } => {
                out.push(1);
                out.extend_from_slice(random);
                out.push(settings.to_byte());
                author.put(out);
                put_text8(out, name);
            }
            Self::Add { link, members } => {
                out.push(2);
                put_optional(out, link.as_ref());
                put_count(out, members.len());
                members.iter().for_each(|member| member.put(out));
            }
            Self::Remove(targets) => put_endings(out, 3, targets),
            Self::Promote(targets) => {
                out.push(4);
                put_count(out, targets.len());
                out.extend(targets.iter().flatten());
            }
            Self::Demote(targets) => put_endings(out, 5, targets),
            Self::Rename(name) => {
                out.push(6);
                put_text8(out, name);
            }
            Self::Describe(text) => {
                out.push(7);
                put_bytes16(out, text.as_bytes());
            }
            Self::Set(settings) => out.extend_from_slice(&[8, settings.to_byte()]),
            Self::OpenLink { link, uses, expires_ms, approval } => {
                out.push(9);
                out.extend_from_slice(link);
                out.extend_from_slice(&uses.to_be_bytes());
                out.extend_from_slice(&expires_ms.to_be_bytes());
                out.push(u8::from(*approval));
            }
            Self::RevokeLink(link) => {
                out.push(10);
                out.extend_from_slice(link);
            }
            Self::Leave { successor, chains } => {
                out.push(11);
                put_optional(out, successor.as_ref());
                put_chains(out, chains);
            }
            Self::Disband => out.push(12),
            Self::List(list) => {
                out.push(13);
                put_bytes16(out, &list.encode());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Create {
                random: reader.array()?,
                settings: Settings::from_byte(reader.u8()?)?,
                author: Box::new(Newcomer::read(reader)?),
                name: read_name(reader)?,
            },
            2 => {
                let link = read_optional(reader)?;
                let members = targets(reader, Newcomer::read)?;
                ascending(&members, |member| member.record.id(), "targets")?;
                Self::Add { link, members }
            }
            3 => Self::Remove(read_endings(reader)?),
            4 => {
                let members = targets(reader, |reader| reader.array())?;
                ascending(&members, |member| *member, "targets")?;
                Self::Promote(members)
            }
            5 => Self::Demote(read_endings(reader)?),
            6 => Self::Rename(read_name(reader)?),
            7 => Self::Describe(text(read_bytes16(reader, MAX_DESCRIPTION_LEN)?)?),
            8 => Self::Set(Settings::from_byte(reader.u8()?)?),
            9 => {
                let (link, uses, expires_ms) = (reader.array()?, u16::from_be_bytes(reader.array()?), reader.u64()?);
                if uses == 0 {
                    return Err(DecodeError::BadField("uses"));
                }
                Self::OpenLink { link, uses, expires_ms, approval: read_bool(reader)? }
            }
            10 => Self::RevokeLink(reader.array()?),
            11 => Self::Leave { successor: read_optional(reader)?, chains: read_chains(reader)? },
            12 => Self::Disband,
            13 => Self::List(read_list(reader)?),
            _ => return Err(DecodeError::BadField("kind")),
        })
    }
}

impl Newcomer {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.record.encode());
        put_bytes16(out, &self.list.encode());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = AccountRecord::decode(reader.take(AccountRecord::LEN)?)?;
        Ok(Self { record, list: read_list(reader)? })
    }
}

fn id_of(bytes: &[u8]) -> ChangeId {
    sha256(&[labels::CHANGE_ID, bytes])
}

/// At most 255 everywhere, or the length would not be read back: [`Change::sign`] is given no more.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.push(u8::try_from(count).unwrap_or(u8::MAX));
}

pub(super) fn put_text8(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_bytes16(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_optional<const N: usize>(out: &mut Vec<u8>, value: Option<&[u8; N]>) {
    out.push(u8::from(value.is_some()));
    out.extend(value.into_iter().flatten());
}

fn put_endings(out: &mut Vec<u8>, kind: u8, targets: &[Ending]) {
    out.push(kind);
    put_count(out, targets.len());
    for target in targets {
        out.extend_from_slice(&target.account);
        put_chains(out, &target.chains);
    }
}

fn put_chains(out: &mut Vec<u8>, chains: &[ChainEnd]) {
    put_count(out, chains.len());
    for end in chains {
        out.extend_from_slice(&end.device.to_be_bytes());
        out.extend_from_slice(&end.generation.to_be_bytes());
        out.extend_from_slice(&end.next.to_be_bytes());
        out.extend_from_slice(&end.chain);
    }
}

pub(super) fn counted<'a, T>(
    reader: &mut Reader<'a>,
    allowed: core::ops::RangeInclusive<usize>,
    field: &'static str,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = usize::from(reader.u8()?);
    if !allowed.contains(&count) {
        return Err(DecodeError::BadField(field));
    }
    (0..count).map(|_| read(reader)).collect()
}

fn targets<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    counted(reader, 1..=MAX_TARGETS, "targets", read)
}

/// One order for each set, and nobody twice.
fn ascending<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K, field: &'static str) -> Result<(), DecodeError> {
    let keys: Vec<K> = items.iter().map(key).collect();
    if keys.windows(2).all(|pair| pair[0] < pair[1]) { Ok(()) } else { Err(DecodeError::BadField(field)) }
}

fn read_endings(reader: &mut Reader<'_>) -> Result<Vec<Ending>, DecodeError> {
    let endings = targets(reader, |reader| Ok(Ending { account: reader.array()?, chains: read_chains(reader)? }))?;
    ascending(&endings, |ending| ending.account, "targets")?;
    Ok(endings)
}

fn read_chains(reader: &mut Reader<'_>) -> Result<Vec<ChainEnd>, DecodeError> {
    let chains = counted(reader, 0..=MAX_DEVICES, "chains", |reader| {
        let (device, generation, next, chain) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.array()?);
        if device == 0 || generation == 0 {
            return Err(DecodeError::BadField("chains"));
        }
        Ok(ChainEnd { device, generation, next, chain })
    })?;
    ascending(&chains, |end| end.device, "chains")?;
    Ok(chains)
}

fn read_list(reader: &mut Reader<'_>) -> Result<UnverifiedDeviceList, DecodeError> {
    crate::device_list::DeviceList::decode(read_bytes16(reader, usize::from(u16::MAX))?)
}

pub(super) fn read_bytes16<'a>(reader: &mut Reader<'a>, most: usize) -> Result<&'a [u8], DecodeError> {
    let len = usize::from(u16::from_be_bytes(reader.array()?));
    if len > most {
        return Err(DecodeError::BadField("length"));
    }
    reader.take(len)
}

pub(super) fn read_name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let len = usize::from(reader.u8()?);
    if len == 0 || len > MAX_NAME_LEN {
        return Err(DecodeError::BadField("name"));
    }
    text(reader.take(len)?)
}

pub(super) fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::BadField("text"))
}

pub(super) fn read_bool(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::BadField("flag")),
    }
}

fn read_optional<const N: usize>(reader: &mut Reader<'_>) -> Result<Option<[u8; N]>, DecodeError> {
    read_bool(reader)?.then(|| reader.array()).transpose()
}
