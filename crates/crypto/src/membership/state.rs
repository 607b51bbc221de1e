//! Who is in a group and may do what, at one point of its history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::{Act, ChainEnd, Change, Ending, Newcomer, Settings};
use super::{AccountId, ChangeId};
use crate::account::AccountRecord;
use crate::device_list::DeviceList;

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub(super) record: AccountRecord,
    pub(super) list: DeviceList,
    pub(super) added_by: AccountId,
    pub(super) link: Option<[u8; 16]>,
    pub(super) joined: ChangeId,
    pub(super) joined_clock: u64,
    /// Who came before whom.
    pub(super) order: u32,
}

impl Member {
    /// Their account record.
    #[must_use]
    pub fn record(&self) -> &AccountRecord {
        &self.record
    }

    /// The device list that the group knows of them.
    #[must_use]
    pub fn list(&self) -> &DeviceList {
        &self.list
    }

    /// Who added them; of the first member, themselves.
    #[must_use]
    pub fn added_by(&self) -> &AccountId {
        &self.added_by
    }

    /// The change by which they came.
    #[must_use]
    pub fn joined(&self) -> &ChangeId {
        &self.joined
    }

    /// Its place in the conversation.
    #[must_use]
    pub fn joined_clock(&self) -> u64 {
        self.joined_clock
    }

    /// The invite link by which they came.
    #[must_use]
    pub fn link(&self) -> Option<&[u8; 16]> {
        self.link.as_ref()
    }

    /// Who came before whom.
    #[must_use]
    pub fn order(&self) -> u32 {
        self.order
    }
}

/// What made somebody an admin: the place of that change among all (see `resolution`), and the number of its act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    pub(super) position: usize,
    pub(super) act: usize,
}

impl Grant {
    /// Of who is an admin because nobody else was left after an act.
    pub(super) const NOBODY_ELSE: usize = usize::MAX;
}

/// The admins, each by what made them so. The places are where they are in the set that was judged; only their order is
/// a part of the state.
#[derive(Clone, Debug)]
pub(super) struct Line(BTreeMap<Grant, AccountId>);

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.0.values().eq(other.0.values())
    }
}

impl Eq for Line {}

/// Somebody whose last membership ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Former {
    /// By a removal, and not by leaving.
    pub(super) removed: bool,
    pub(super) chains: Vec<ChainEnd>,
    /// Lists never go backwards, also not by coming again.
    pub(super) list: DeviceList,
}

/// An open invite link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteLink {
    /// Who made it.
    pub maker: AccountId,
    /// How many may still come by it.
    pub uses: u16,
    /// Until when, Unix time in milliseconds.
    pub expires_ms: u64,
    /// An admin decides about each.
    pub approval: bool,
}

/// A group as its changes make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) settings: Settings,
    pub(super) creator: AccountId,
    pub(super) created_clock: u64,
    pub(super) members: BTreeMap<AccountId, Arc<Member>>,
    /// The admins by what made them so, best first.
    pub(super) line: Line,
    pub(super) former: Arc<BTreeMap<AccountId, Former>>,
    /// How far what somebody did as an admin counts, whose office was taken.
    pub(super) offices: Arc<BTreeMap<AccountId, Vec<ChainEnd>>>,
    pub(super) links: BTreeMap<[u8; 16], InviteLink>,
    /// Links that were ever made: no name is used twice.
    pub(super) used_links: Arc<BTreeSet<[u8; 16]>>,
    pub(super) disbanded: bool,
    pub(super) joins: u32,
}

impl State {
    /// What a group is after the change that began it.
    pub(super) fn created(change: &Change, author: &Newcomer, name: &str, settings: Settings) -> Self {
        let mut state = Self {
            name: name.to_owned(),
            description: String::new(),
            settings,
            creator: change.author,
            created_clock: change.clock,
            members: BTreeMap::new(),
            line: Line(BTreeMap::from([(Grant { position: 0, act: 0 }, change.author)])),
            former: Arc::default(),
            offices: Arc::default(),
            links: BTreeMap::new(),
            used_links: Arc::default(),
            disbanded: false,
            joins: 0,
        };
        state.join(change, None, author);
        state
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the group says of itself.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Who may do what.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Who began it.
    #[must_use]
    pub fn creator(&self) -> &AccountId {
        &self.creator
    }

    /// When it began, as its author claims.
    #[must_use]
    pub fn created_clock(&self) -> u64 {
        self.created_clock
    }

    /// Whether it has ended for ever.
    #[must_use]
    pub fn disbanded(&self) -> bool {
        self.disbanded
    }

    /// The members, ascending by account id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&AccountId, &Member)> {
        self.members.iter().map(|(account, member)| (account, &**member))
    }

    /// A member.
    #[must_use]
    pub fn member(&self, account: &AccountId) -> Option<&Member> {
        self.members.get(account).map(|member| &**member)
    }

    /// The admins: each may remove and demote those behind.
    pub fn admins(&self) -> impl ExactSizeIterator<Item = &AccountId> {
        self.line.0.values()
    }

    /// Place among the admins, from 0.
    #[must_use]
    pub fn place(&self, account: &AccountId) -> Option<usize> {
        self.line.0.values().position(|admin| admin == account)
    }

    pub(super) fn grant(&self, account: &AccountId) -> Option<Grant> {
        self.line.0.iter().find(|(_, admin)| *admin == account).map(|(grant, _)| *grant)
    }

    /// The open invite links.
    pub fn links(&self) -> impl Iterator<Item = (&[u8; 16], &InviteLink)> {
        self.links.iter()
    }

    /// Whose membership ended, ascending by account id: whether by a removal, and how far their messages count. Some
    /// are members again.
    pub fn former(&self) -> impl ExactSizeIterator<Item = (&AccountId, bool, &[ChainEnd])> {
        self.former.iter().map(|(account, former)| (account, former.removed, &*former.chains))
    }

    /// Whose office was taken, ascending by account id, and how far what they did as admins counts. Some are admins again.
    pub fn offices(&self) -> impl ExactSizeIterator<Item = (&AccountId, &[ChainEnd])> {
        self.offices.iter().map(|(account, chains)| (account, &**chains))
    }

    /// Whether somebody may write.
    #[must_use]
    pub fn may_write(&self, account: &AccountId) -> bool {
        !self.disbanded
            && self.members.contains_key(account)
            && (!self.settings.only_admins_write || self.place(account).is_some())
    }

    /// Whether a message counts, by the chain and the number it was written under: those of who is no member any more
    /// count as far as the change that ended it says.
    #[must_use]
    pub fn counts(&self, account: &AccountId, device: u32, generation: u32, chain: &[u8; 32], number: u32) -> bool {
        let within = |ends: &[ChainEnd]| within(ends, device, generation, chain, number);
        match (self.members.get(account), self.former.get(account)) {
            (Some(_), None) => true,
            // Of an earlier membership, if it is as old as that.
            (Some(_), Some(former)) => {
                let ended = former.chains.iter().find(|end| end.device == device);
                ended.is_none_or(|end| generation > end.generation) || within(&former.chains)
            }
            (None, Some(former)) => within(&former.chains),
            (None, None) => false,
        }
    }

    /// The same of what somebody did as an admin and not as a member: an office that was taken ends it.
    #[must_use]
    pub fn counts_as_admin(
        &self,
        account: &AccountId,
        device: u32,
        generation: u32,
        chain: &[u8; 32],
        number: u32,
    ) -> bool {
        self.place(account).is_some()
            || self.offices.get(account).is_some_and(|ends| within(ends, device, generation, chain, number))
    }

    /// What one act changes, once [`Self::judge`] let it through. `position` is the place of its change among all.
    pub(super) fn apply(&mut self, change: &Change, at: usize, position: usize) {
        match &change.act {
            Act::Create { .. } => {}
            Act::Add { link, members } => {
                self.join(change, *link, &members[at]);
                if let Some(link) = link {
                    self.use_link(link);
                }
            }
            Act::Remove(targets) => self.remove(&targets[at], position),
            Act::Promote(targets) => self.promote(targets[at], position, at),
            Act::Demote(targets) => {
                let target = &targets[at];
                self.line.0.retain(|_, admin| *admin != target.account);
                Arc::make_mut(&mut self.offices).insert(target.account, target.chains.clone());
                self.somebody_leads(position);
            }
            Act::Rename(name) => self.name.clone_from(name),
            Act::Describe(text) => self.description.clone_from(text),
            Act::Set(settings) => self.settings = *settings,
            Act::OpenLink { link, uses, expires_ms, approval } => {
                Arc::make_mut(&mut self.used_links).insert(*link);
                let open =
                    InviteLink { maker: change.author, uses: *uses, expires_ms: *expires_ms, approval: *approval };
                self.links.insert(*link, open);
            }
            Act::RevokeLink(link) => drop(self.links.remove(link)),
            Act::Leave { successor: Some(successor), .. } if at == 0 => {
                self.promote(*successor, position, at);
            }
            Act::Leave { chains, .. } => {
                self.end(&change.author, false, chains.clone());
                self.somebody_leads(position);
            }
            Act::Disband => self.disbanded = true,
            Act::List(list) => {
                if let Some(member) = self.members.get_mut(&change.author) {
                    Arc::make_mut(member).list = list.admitted().clone();
                }
            }
        }
    }

    fn promote(&mut self, account: AccountId, position: usize, act: usize) {
        self.line.0.insert(Grant { position, act }, account);
    }

    fn join(&mut self, change: &Change, link: Option<[u8; 16]>, newcomer: &Newcomer) {
        let member = Member {
            record: newcomer.record,
            list: newcomer.list.admitted().clone(),
            added_by: change.author,
            link,
            joined: change.id,
            joined_clock: change.clock,
            order: self.joins,
        };
        self.joins += 1;
        self.members.insert(newcomer.record.id(), Arc::new(member));
    }

    fn use_link(&mut self, link: &[u8; 16]) {
        if let Some(open) = self.links.get_mut(link) {
            open.uses = open.uses.saturating_sub(1);
            if open.uses == 0 {
                self.links.remove(link);
            }
        }
    }

    fn remove(&mut self, target: &Ending, position: usize) {
        let mut chains = target.chains.clone();
        // Of several removals the highest counts; what a leaver said of himself gives way.
        if !self.members.contains_key(&target.account)
            && let Some(former) = self.former.get(&target.account)
            && former.removed
        {
            chains = highest(&former.chains, &chains);
        }
        self.end(&target.account, true, chains);
        self.somebody_leads(position);
    }

    fn end(&mut self, account: &AccountId, removed: bool, chains: Vec<ChainEnd>) {
        // Of who is out already, what is known stays.
        let known = self.former.get(account).map(|former| &former.list);
        let Some(list) = self.members.get(account).map(|member| &member.list).or(known).cloned() else { return };
        self.members.remove(account);
        self.line.0.retain(|_, admin| admin != account);
        Arc::make_mut(&mut self.former).insert(*account, Former { removed, chains, list });
    }

    /// Where no admin is left, the longest member is one, as if promoted.
    fn somebody_leads(&mut self, position: usize) {
        if self.line.0.is_empty()
            && let Some(account) =
                self.members.iter().min_by_key(|(_, member)| member.order).map(|(account, _)| *account)
        {
            self.promote(account, position, Grant::NOBODY_ELSE);
        }
    }
}

fn within(ends: &[ChainEnd], device: u32, generation: u32, chain: &[u8; 32], number: u32) -> bool {
    ends.iter().find(|end| end.device == device).is_some_and(|end| {
        generation < end.generation || (generation == end.generation && *chain == end.chain && number < end.next)
    })
}

/// For each device the end that lets more through.
fn highest(one: &[ChainEnd], other: &[ChainEnd]) -> Vec<ChainEnd> {
    let mut ends: BTreeMap<u32, ChainEnd> = BTreeMap::new();
    for end in one.iter().chain(other) {
        let known = ends.entry(end.device).or_insert(*end);
        *known = (*known).max(*end);
    }
    ends.into_values().collect()
}
