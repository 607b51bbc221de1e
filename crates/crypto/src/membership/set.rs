//! A group's changes as a device keeps them: taken in any order, verified, and judged together.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{ACCOUNT_ITSELF, Act, Change, Newcomer};
use super::graph::{Graph, Missing, Unfit, View};
use super::node::Verdict;
use super::rules::Refusal;
use super::state::State;
use super::{AccountId, ChangeId, MAX_HEADS};
use crate::device_list::DeviceListError;
use crate::kdf::sha256;
use crate::labels;

/// Most changes that wait for others that they name: a few parts of a set that came in another order. Who sends more
/// sends them again.
pub const MAX_WAITING: usize = 1_024;

/// Most bytes of those: 80 of the largest adds, or all of them at a usual size.
pub const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// A change that is not taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// A group begins with a change that creates it.
    #[error("the group's first change does not create a group")]
    NotFirst,
    /// It belongs to another group, or creates one.
    #[error("the change belongs to another group")]
    OtherGroup,
    /// Not signed by the device or account that it names.
    #[error("the change is not signed by its author")]
    BadSignature,
    /// It carries a device list that is not good.
    #[error("the change carries a bad device list: {0}")]
    BadList(#[from] DeviceListError),
    /// Its author could see that it is not allowed.
    #[error("the change was never allowed: {0}")]
    Refused(Refusal),
    /// It names a head that another head had seen.
    #[error("the change names heads of which one had seen another")]
    Heads,
    /// The group has [`super::MAX_CHANGES`].
    #[error("the group has as many changes as a group may have")]
    Full,
    /// [`MAX_WAITING`] changes, or [`MAX_WAITING_BYTES`] of them, wait for others.
    #[error("too many changes wait for others that did not come")]
    TooManyWaiting,
}

/// What became of a change that was offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is in the set, and so are others that waited for it.
    Taken {
        /// What is new, in an order in which each comes after what it names.
        new: Vec<ChangeId>,
        /// What had waited and is not taken.
        refused: Vec<(ChangeId, MembershipError)>,
    },
    /// It was there.
    Known,
    /// It waits for changes that it names, which are not here.
    Waits(Vec<ChangeId>),
}

/// All changes of one group that are known, and the state that they make.
#[derive(Clone, Debug)]
pub struct Membership {
    id: ChangeId,
    graph: Graph,
    waiting: BTreeMap<ChangeId, Change>,
}

impl Membership {
    /// A group from its first change.
    ///
    /// # Errors
    /// [`MembershipError`] unless it creates a group and is signed by a device of the list that it carries, of the
    /// account that it names.
    pub fn begin(first: Change) -> Result<Self, MembershipError> {
        let Act::Create { author, .. } = &first.act else { return Err(MembershipError::NotFirst) };
        if author.record.id() != first.author {
            return Err(MembershipError::BadSignature);
        }
        let list = author.list.clone().verify(&author.record)?;
        let device = list.device(first.device).ok_or(MembershipError::BadSignature)?;
        first.verify(&device.identity().0).map_err(|_| MembershipError::BadSignature)?;
        let id = first.id;
        let graph = Graph::begin(first).ok_or(MembershipError::NotFirst)?;
        Ok(Self { id, graph, waiting: BTreeMap::new() })
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> &ChangeId {
        &self.id
    }

    /// The state that all known changes make together.
    #[must_use]
    pub fn state(&self) -> &State {
        self.graph.state()
    }

    /// What the next change names: all heads, or the [`MAX_HEADS`] with the smallest ids.
    #[must_use]
    pub fn heads(&self) -> Vec<ChangeId> {
        self.graph.heads().iter().take(MAX_HEADS).copied().collect()
    }

    /// What contents carry to say what they were written under: SHA-256("Subrosa group heads v1" ‖ all heads, ascending).
    #[must_use]
    pub fn heads_hash(&self) -> [u8; 32] {
        let heads: Vec<u8> = self.graph.heads().iter().flatten().copied().collect();
        sha256(&[labels::GROUP_HEADS, &heads])
    }

    /// Whether a change is known and in the set.
    #[must_use]
    pub fn contains(&self, id: &ChangeId) -> bool {
        self.graph.contains(id)
    }

    /// A change of the set.
    #[must_use]
    pub fn change(&self, id: &ChangeId) -> Option<&Change> {
        self.graph.change(id)
    }

    /// All changes, each after what it names.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = &Change> {
        self.graph.changes()
    }

    /// What became of each act of a change, in the order of whom it names; of a leave with a successor first the
    /// successor's promotion.
    #[must_use]
    pub fn verdicts(&self, id: &ChangeId) -> Option<Vec<Verdict>> {
        self.graph.verdicts(id)
    }

    /// Changes that others wait for.
    #[must_use]
    pub fn missing(&self) -> BTreeSet<ChangeId> {
        let named = self.waiting.values().flat_map(|change| change.heads.iter());
        named.filter(|head| !self.contains(head) && !self.waiting.contains_key(*head)).copied().collect()
    }

    /// The state as whoever knew exactly these heads; `None` if one is not here.
    #[must_use]
    pub fn view(&self, heads: &[ChangeId]) -> Option<State> {
        self.graph.view(heads).ok().map(|view| view.state)
    }

    /// Whether a change that is not signed yet would be taken: signs nothing that nobody takes.
    ///
    /// # Errors
    /// [`Refusal`] with the reason.
    pub fn may(&self, author: &AccountId, device: u32, clock: u64, act: &Act) -> Result<(), Refusal> {
        let change = Change::made(self.id, *author, device, clock, &self.heads(), act.clone(), |_| [0; 64]);
        // With more heads than one names, the author stands where those lead.
        let view = self.graph.view(&change.heads).map_err(|_| Refusal::NotMember)?;
        view.state.allow(&change, view.next()).map(drop)
    }

    /// Takes a change from anybody.
    ///
    /// # Errors
    /// [`MembershipError`] if it can never be in the set, or there is no room.
    pub fn offer(&mut self, change: Change) -> Result<Offered, MembershipError> {
        if change.group() != self.id {
            return Err(MembershipError::OtherGroup);
        }
        if self.contains(&change.id) {
            return Ok(Offered::Known);
        }
        let view = match self.graph.view(&change.heads) {
            Ok(view) => view,
            Err(Missing(missing)) => return self.wait(change, missing),
        };
        let id = change.id;
        self.take(change, &view)?;
        Ok(self.take_waiting(id))
    }

    fn wait(&mut self, change: Change, missing: Vec<ChangeId>) -> Result<Offered, MembershipError> {
        let bytes: usize = self.waiting.values().map(Change::len).sum();
        let full = self.waiting.len() >= MAX_WAITING || bytes + change.len() > MAX_WAITING_BYTES;
        if full && !self.waiting.contains_key(&change.id) {
            return Err(MembershipError::TooManyWaiting);
        }
        self.waiting.insert(change.id, change);
        Ok(Offered::Waits(missing))
    }

    fn take(&mut self, change: Change, view: &View) -> Result<(), MembershipError> {
        verify(&change, &view.state)?;
        self.graph.insert(change, view).map_err(|unfit| match unfit {
            Unfit::Refused(refusal) => MembershipError::Refused(refusal),
            Unfit::Heads => MembershipError::Heads,
            Unfit::Full => MembershipError::Full,
        })
    }

    fn take_waiting(&mut self, first: ChangeId) -> Offered {
        let (mut new, mut refused) = (vec![first], Vec::new());
        while let Some((change, view)) = self.next_ready() {
            let id = change.id;
            match self.take(change, &view) {
                Ok(()) => new.push(id),
                Err(error) => refused.push((id, error)),
            }
        }
        Offered::Taken { new, refused }
    }

    /// One that waited and whose heads are here now, with what its author saw.
    fn next_ready(&mut self) -> Option<(Change, View)> {
        let ready = |change: &&Change| change.heads.iter().all(|head| self.contains(head));
        let id = self.waiting.values().find(ready)?.id;
        let change = self.waiting.remove(&id)?;
        let view = self.graph.view(&change.heads).ok()?;
        Some((change, view))
    }
}

/// The signature, by the key that its author's own view names, and the lists that a change carries.
fn verify(change: &Change, view: &State) -> Result<(), MembershipError> {
    let member = view.member(&change.author).ok_or(MembershipError::Refused(Refusal::NotMember))?;
    let key = if change.device == ACCOUNT_ITSELF {
        member.record.account_key().0
    } else {
        let device = member.list.device(change.device);
        device.ok_or(MembershipError::Refused(Refusal::UnknownDevice))?.identity().0
    };
    change.verify(&key).map_err(|_| MembershipError::BadSignature)?;
    match &change.act {
        Act::Add { members, .. } => {
            for Newcomer { record, list } in members {
                list.clone().verify(record)?;
            }
        }
        Act::List(list) => drop(list.clone().verify(&member.record)?),
        _ => {}
    }
    Ok(())
}
