//! What an admin says a group is, so that it can be shown before its changes are there. They decide.

use super::change::Settings;
use super::layout::{counted, put_bytes16, put_count, put_text8, read_bool, read_bytes16, read_name, text};
use super::state::State;
use super::{AccountId, ChangeId, MAX_DESCRIPTION_LEN, MAX_HEADS, MAX_MEMBERS, Membership};
use crate::decoding::{DecodeError, Reader};
use crate::device::{IdentityKey, IdentityKeyPair};
use crate::ed25519::BadSignature;
use crate::labels;

const VERSION: u8 = 1;

/// A member as a checkpoint has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedMember {
    /// Who.
    pub account: AccountId,
    /// Who added them.
    pub added_by: AccountId,
    /// The place of their coming in the conversation.
    pub joined_clock: u64,
}

/// What is shown of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// Who may do what.
    pub settings: Settings,
    /// Who began it.
    pub creator: AccountId,
    /// When, as they claim.
    pub created_clock: u64,
    /// Whether it has ended for ever.
    pub disbanded: bool,
    /// In the order in which they came, at most [`MAX_MEMBERS`].
    pub members: Vec<ListedMember>,
    /// The admins, best standing first.
    pub admins: Vec<AccountId>,
}

impl Summary {
    fn put(&self, out: &mut Vec<u8>) {
        put_text8(out, &self.name);
        put_bytes16(out, self.description.as_bytes());
        out.push(self.settings.to_byte());
        out.extend_from_slice(&self.creator);
        out.extend_from_slice(&self.created_clock.to_be_bytes());
        out.push(u8::from(self.disbanded));
        put_len(out, self.members.len());
        for member in &self.members {
            out.extend_from_slice(&member.account);
            out.extend_from_slice(&member.added_by);
            out.extend_from_slice(&member.joined_clock.to_be_bytes());
        }
        put_len(out, self.admins.len());
        out.extend(self.admins.iter().flatten());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: read_name(reader)?,
            description: text(read_bytes16(reader, MAX_DESCRIPTION_LEN)?)?,
            settings: Settings::from_byte(reader.u8()?)?,
            creator: reader.array()?,
            created_clock: reader.u64()?,
            disbanded: read_bool(reader)?,
            members: listed(reader, |reader| {
                Ok(ListedMember { account: reader.array()?, added_by: reader.array()?, joined_clock: reader.u64()? })
            })?,
            admins: listed(reader, |reader| reader.array())?,
        })
    }
}

fn put_len(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

fn listed<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = usize::from(u16::from_be_bytes(reader.array()?));
    if count > MAX_MEMBERS {
        return Err(DecodeError::BadField("members"));
    }
    (0..count).map(|_| read(reader)).collect()
}

impl State {
    /// What is shown of the group.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut members: Vec<_> = self.members().collect();
        members.sort_by_key(|(_, member)| member.order);
        let listed = |(account, member): (&AccountId, &super::Member)| ListedMember {
            account: *account,
            added_by: member.added_by,
            joined_clock: member.joined_clock,
        };
        Summary {
            name: self.name.clone(),
            description: self.description.clone(),
            settings: self.settings,
            creator: self.creator,
            created_clock: self.created_clock,
            disbanded: self.disbanded,
            members: members.into_iter().map(listed).collect(),
            admins: self.admins().copied().collect(),
        }
    }
}

/// A summary of a group at some heads, signed by a device of an admin: a word of that person and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    group: ChangeId,
    author: AccountId,
    device: u32,
    heads: Vec<ChangeId>,
    summary: Summary,
    signature: [u8; 64],
}

impl Checkpoint {
    /// Signs what the group is now.
    #[must_use]
    pub fn sign(group: &Membership, author: AccountId, device: u32, key: &IdentityKeyPair) -> Self {
        let heads = group.heads();
        // With more heads than are named, what those lead to.
        let state = group.view(&heads);
        let summary = state.as_ref().unwrap_or_else(|| group.state()).summary();
        let mut checkpoint = Self { group: *group.id(), author, device, heads, summary, signature: [0; 64] };
        checkpoint.signature = key.sign(&[labels::GROUP_CHECKPOINT, &checkpoint.signed_bytes()]);
        checkpoint
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.group);
        out.extend_from_slice(&self.author);
        out.extend_from_slice(&self.device.to_be_bytes());
        put_count(&mut out, self.heads.len());
        out.extend(self.heads.iter().flatten());
        self.summary.put(&mut out);
        out
    }

    /// version u8 = 1 ‖ group id (32) ‖ author's account id (32) ‖ device number u32 ‖ count u8 ‖ heads (32 each) ‖
    /// summary ‖ signature (64); at most 30 KB.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.signed_bytes();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// The opposite of [`Self::encode`]. The signature is not checked.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but exactly one checkpoint of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let (group, author, device) = (reader.array()?, reader.array()?, reader.u32()?);
        let heads = counted(&mut reader, 1..=MAX_HEADS, "heads", |reader| reader.array())?;
        let summary = Summary::read(&mut reader)?;
        let signature = reader.array()?;
        reader.finish()?;
        Ok(Self { group, author, device, heads, summary, signature })
    }

    /// Whether the device with this identity signed it. That it is one of the author's is the caller's to know.
    #[must_use]
    pub fn is_signed_by(&self, identity: &IdentityKey) -> bool {
        let verified: Result<(), BadSignature> =
            identity.verify(&[labels::GROUP_CHECKPOINT, &self.signed_bytes()], &self.signature);
        verified.is_ok()
    }

    /// The group's id.
    #[must_use]
    pub fn group(&self) -> &ChangeId {
        &self.group
    }

    /// Who says so, as it claims.
    #[must_use]
    pub fn author(&self) -> &AccountId {
        &self.author
    }

    /// The device that signed it, as it claims.
    #[must_use]
    pub fn device(&self) -> u32 {
        self.device
    }

    /// What it says.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether the changes say the same of that moment; `None` as long as they are not all here.
    #[must_use]
    pub fn agrees(&self, group: &Membership) -> Option<bool> {
        let state = group.view(&self.heads)?;
        let known = self.group == *group.id() && state.place(&self.author).is_some();
        Some(known && state.summary() == self.summary)
    }
}
