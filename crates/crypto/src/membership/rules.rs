//! Who may do what: one table, for what an author knew and for what all changes make together.

use super::change::{ACCOUNT_ITSELF, Act, Change, Newcomer};
use super::state::State;
use super::{AccountId, MAX_LINKS, MAX_MEMBERS};
use crate::device_list::Freshness;

/// Why an act does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The group has ended.
    #[error("the group was disbanded")]
    Disbanded,
    /// Its author is no member.
    #[error("its author was not in the group")]
    NotMember,
    /// The device that signed is not in its account's list.
    #[error("the device that signed is not in its account's list")]
    UnknownDevice,
    /// Only admins do this.
    #[error("only admins may do this")]
    NotAdmin,
    /// Whom it names stands before its author, or is the author.
    #[error("nobody removes or demotes an admin who stands before them")]
    StandsAhead,
    /// Only the first admin does this.
    #[error("only the first admin may do this")]
    NotFirst,
    /// Whom it names is a member already.
    #[error("they are in the group already")]
    AlreadyMember,
    /// Whom it names is no member.
    #[error("they are not in the group")]
    NoSuchMember,
    /// Whom it names has that office already, or has it not.
    #[error("they have that role already")]
    SameRole,
    /// There are [`MAX_MEMBERS`] members.
    #[error("a group has at most {MAX_MEMBERS} members")]
    Full,
    /// They were removed: by a link, or by who is no admin, they do not come back.
    #[error("they were removed, and only an admin can add them again")]
    WasRemoved,
    /// The last admin names another one first.
    #[error("the last admin cannot leave without naming another")]
    LastAdmin,
    /// No such link, or none any more, or not one of theirs.
    #[error("the invite link is not valid")]
    BadLink,
    /// The link has expired.
    #[error("the invite link has expired")]
    LinkExpired,
    /// There are [`MAX_LINKS`] links.
    #[error("a group has at most {MAX_LINKS} open invite links")]
    TooManyLinks,
    /// The list is not newer than the known one, or contradicts it.
    #[error("the device list is not newer than the known one")]
    OldList,
}

impl State {
    /// Whether one act of a change counts here. `at` is the number of the target it is for.
    pub(super) fn judge(&self, change: &Change, at: usize) -> Result<(), Refusal> {
        let author = &change.author;
        if self.disbanded {
            return Err(Refusal::Disbanded);
        }
        let member = self.members.get(author).ok_or(Refusal::NotMember)?;
        if change.device != ACCOUNT_ITSELF && member.list.device(change.device).is_none() {
            return Err(Refusal::UnknownDevice);
        }
        let admin = || self.place(author).map(drop).ok_or(Refusal::NotAdmin);
        let unless = |only_admins: bool| if only_admins { admin() } else { Ok(()) };
        match &change.act {
            // A group begins once.
            Act::Create { .. } => Err(Refusal::AlreadyMember),
            Act::Add { link, members } => {
                unless(self.settings.only_admins_add)?;
                self.judge_add(change, link.as_ref(), &members[at])
            }
            Act::Remove(targets) => {
                admin()?;
                let target = &targets[at].account;
                if !self.members.contains_key(target) && !self.former.contains_key(target) {
                    return Err(Refusal::NoSuchMember);
                }
                self.behind(author, target)
            }
            Act::Promote(targets) => {
                admin()?;
                self.judge_promotion(&targets[at])
            }
            Act::Demote(targets) => {
                admin()?;
                let target = &targets[at].account;
                if !self.members.contains_key(target) {
                    return Err(Refusal::NoSuchMember);
                }
                self.place(target).ok_or(Refusal::SameRole)?;
                self.behind(author, target)
            }
            Act::Rename(_) | Act::Describe(_) => unless(self.settings.only_admins_edit),
            Act::Set(_) => admin(),
            Act::OpenLink { link, .. } => {
                unless(self.settings.only_admins_add)?;
                if self.used_links.contains(link) {
                    return Err(Refusal::BadLink);
                }
                if self.links.len() >= MAX_LINKS { Err(Refusal::TooManyLinks) } else { Ok(()) }
            }
            Act::RevokeLink(link) => match self.links.get(link) {
                Some(open) if open.maker == *author => Ok(()),
                Some(_) => admin(),
                None => Err(Refusal::BadLink),
            },
            Act::Leave { successor: Some(successor), .. } if at == 0 => {
                admin()?;
                self.judge_promotion(successor)
            }
            Act::Leave { .. } => Ok(()),
            Act::Disband if self.admins().next() == Some(author) => Ok(()),
            Act::Disband => Err(Refusal::NotFirst),
            Act::List(list) => match list.admitted().compare(&member.list) {
                Freshness::Newer => Ok(()),
                _ => Err(Refusal::OldList),
            },
        }
    }

    fn judge_add(&self, change: &Change, link: Option<&[u8; 16]>, newcomer: &Newcomer) -> Result<(), Refusal> {
        let target = &newcomer.record.id();
        if self.members.contains_key(target) {
            return Err(Refusal::AlreadyMember);
        }
        if self.members.len() >= MAX_MEMBERS {
            return Err(Refusal::Full);
        }
        let admin = self.place(&change.author).is_some();
        let former = self.former.get(target);
        let freshness = former.map(|former| newcomer.list.admitted().compare(&former.list));
        if freshness.is_some_and(|freshness| !matches!(freshness, Freshness::Newer | Freshness::Same)) {
            return Err(Refusal::OldList);
        }
        let was_removed = former.is_some_and(|former| former.removed);
        if was_removed && (!admin || link.is_some()) {
            return Err(Refusal::WasRemoved);
        }
        let Some(link) = link else { return Ok(()) };
        let open = self.links.get(link).ok_or(Refusal::BadLink)?;
        if change.clock > open.expires_ms {
            return Err(Refusal::LinkExpired);
        }
        if (open.approval && admin) || open.maker == change.author && !open.approval {
            Ok(())
        } else {
            Err(Refusal::BadLink)
        }
    }

    fn judge_promotion(&self, target: &AccountId) -> Result<(), Refusal> {
        if !self.members.contains_key(target) {
            return Err(Refusal::NoSuchMember);
        }
        if self.place(target).is_some() { Err(Refusal::SameRole) } else { Ok(()) }
    }

    /// Whether a change is one that its author may sign here. Besides what [`Self::judge`] says, the last admin names
    /// another before leaving; that two did not know of each other is no reason to keep either.
    pub(super) fn allow(&self, change: &Change, position: usize) -> Result<Self, Refusal> {
        let mut state = self.clone();
        for at in 0..change.act.count() {
            state.judge(change, at)?;
            if change.act.leaves(at) && state.admins().eq([&change.author]) && state.members.len() > 1 {
                return Err(Refusal::LastAdmin);
            }
            state.apply(change, at, position);
        }
        Ok(state)
    }

    /// Who is no admin stands behind every admin.
    fn behind(&self, author: &AccountId, target: &AccountId) -> Result<(), Refusal> {
        if author == target {
            return Err(Refusal::StandsAhead);
        }
        match (self.place(author), self.place(target)) {
            (Some(author), Some(target)) if author > target => Err(Refusal::StandsAhead),
            _ => Ok(()),
        }
    }
}
