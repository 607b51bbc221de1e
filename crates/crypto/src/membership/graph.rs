//! The changes of a group as a graph: what each had seen, and the state they make together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::{Act, Change};
use super::node::{Node, Verdict};
use super::resolution::{Part, Resolved, Uncounted};
use super::rules::Refusal;
use super::state::State;
use super::{ChangeId, MAX_CHANGES, RESERVED_CHANGES};

/// Most states that are kept of places where all that was known came together: what branches off after such a place is
/// judged from there.
const MAX_WAISTS: usize = 32;

/// What somebody sees who knows some heads and all that those had seen.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) state: State,
    void: Arc<BTreeSet<(usize, usize)>>,
    /// Nodes from this one on are in `order`; those before are all there, at their places.
    from: usize,
    order: Vec<usize>,
}

impl View {
    /// The place of a change that follows all that is seen.
    pub(super) fn next(&self) -> usize {
        self.from + self.order.len()
    }
}

/// A node that everything before leads to and everything after comes from, and the state there. What comes after
/// changes nothing about it.
#[derive(Clone, Debug)]
struct Waist {
    node: usize,
    state: State,
}

/// Heads that are not here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing(pub(super) Vec<ChangeId>);

/// Why a change is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It was not allowed where its author stood: no honest program made it.
    Refused(Refusal),
    /// One of its heads is behind another.
    Heads,
    /// There are [`MAX_CHANGES`].
    Full,
}

/// The graph. Nothing in it is removed.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// All nodes in the order of standing.
    order: Vec<usize>,
    index: BTreeMap<ChangeId, usize>,
    heads: BTreeSet<ChangeId>,
    waists: Vec<Waist>,
    state: State,
    /// Acts that do not count, by node and number.
    uncounted: Uncounted,
    /// Of those, what is void by what takes away.
    void: Arc<BTreeSet<(usize, usize)>>,
}

impl Graph {
    /// The graph of a group's first change, which the caller has verified. `None` for another change.
    pub(super) fn begin(change: Change) -> Option<Self> {
        let Act::Create { settings, author, name, .. } = &change.act else { return None };
        let state = State::created(&change, author, name, *settings);
        let id = change.id;
        let node = Node {
            change: Arc::new(change),
            parents: vec![],
            children: vec![],
            grant: None,
            void: Arc::default(),
            position: 0,
        };
        Some(Self {
            nodes: vec![node],
            order: vec![0],
            index: BTreeMap::from([(id, 0)]),
            heads: BTreeSet::from([id]),
            waists: vec![Waist { node: 0, state: state.clone() }],
            state,
            uncounted: BTreeMap::new(),
            void: Arc::default(),
        })
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn heads(&self) -> &BTreeSet<ChangeId> {
        &self.heads
    }

    pub(super) fn contains(&self, id: &ChangeId) -> bool {
        self.index.contains_key(id)
    }

    pub(super) fn changes(&self) -> impl ExactSizeIterator<Item = &Change> {
        self.nodes.iter().map(|node| &*node.change)
    }

    pub(super) fn change(&self, id: &ChangeId) -> Option<&Change> {
        self.index.get(id).map(|at| &*self.nodes[*at].change)
    }

    /// What became of each act of a change, in the order in which it names whom they are for.
    pub(super) fn verdicts(&self, id: &ChangeId) -> Option<Vec<Verdict>> {
        let node = *self.index.get(id)?;
        let acts = 0..self.nodes[node].change.act.count();
        Some(acts.map(|at| self.uncounted.get(&(node, at)).copied().unwrap_or(Verdict::Counts)).collect())
    }

    /// All that these heads had seen, themselves included.
    fn past(&self, heads: &[usize]) -> Vec<bool> {
        let mut past = vec![false; self.nodes.len()];
        let mut open = heads.to_vec();
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut past[node], true) {
                open.extend(&self.nodes[node].parents);
            }
        }
        past
    }

    fn nodes_of(&self, heads: &[ChangeId]) -> Result<Vec<usize>, Missing> {
        let missing: Vec<ChangeId> = heads.iter().filter(|head| !self.contains(head)).copied().collect();
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        Ok(heads.iter().filter_map(|head| self.index.get(head).copied()).collect())
    }

    /// What whoever knew exactly these heads, and what they had seen, sees.
    pub(super) fn view(&self, heads: &[ChangeId]) -> Result<View, Missing> {
        let nodes = self.nodes_of(heads)?;
        if self.heads.len() == heads.len() && heads.iter().all(|head| self.heads.contains(head)) {
            let void = Arc::clone(&self.void);
            return Ok(View { state: self.state.clone(), void, from: self.nodes.len(), order: vec![] });
        }
        let past = self.past(&nodes);
        // The first change is in everybody's past.
        let waist = self.waists.iter().rev().find(|waist| past[waist.node]).unwrap_or(&self.waists[0]);
        Ok(self.resolve(waist, past[waist.node + 1..].to_vec()).0)
    }

    /// What the changes before a place where all came together make with some behind it, and what does not count of those.
    fn resolve(&self, waist: &Waist, included: Vec<bool>) -> (View, Uncounted) {
        let from = waist.node + 1;
        let Resolved { state, uncounted, mut void, order } =
            Part::new(&self.nodes, from, included, &waist.state).resolve();
        void.extend(self.void.range(..(from, 0)));
        (View { state, void: Arc::new(void), from, order }, uncounted)
    }

    /// Takes a change whose signature the caller has verified, and says what its author saw (`view`).
    pub(super) fn insert(&mut self, change: Change, view: &View) -> Result<(), Unfit> {
        if self.contains(&change.id) {
            return Ok(());
        }
        let room = match &change.act {
            Act::Remove(_) | Act::Demote(_) | Act::Leave { .. } | Act::Disband => MAX_CHANGES + RESERVED_CHANGES,
            _ => MAX_CHANGES,
        };
        if self.nodes.len() >= room {
            return Err(Unfit::Full);
        }
        let seen = view.state.allow(&change, view.next()).map_err(Unfit::Refused)?;
        let parents = self.nodes_of(&change.heads).map_err(|_| Unfit::Heads)?;
        let node = self.nodes.len();
        // Heads have not seen each other.
        let follows_all = self.heads.iter().eq(change.heads.iter());
        if !follows_all && parents.len() > 1 {
            let behind: Vec<usize> = parents.iter().flat_map(|parent| self.nodes[*parent].parents.clone()).collect();
            let past_of_heads = self.past(&behind);
            if parents.iter().any(|parent| past_of_heads[*parent]) {
                return Err(Unfit::Heads);
            }
        }
        for parent in &parents {
            self.nodes[*parent].children.push(node);
        }
        for head in &change.heads {
            self.heads.remove(head);
        }
        self.heads.insert(change.id);
        self.index.insert(change.id, node);
        let grant = view.state.grant(&change.author).map(|grant| {
            let at = grant.position.checked_sub(view.from).and_then(|at| view.order.get(at));
            (*at.unwrap_or(&self.order[grant.position]), grant.act)
        });
        self.nodes.push(Node {
            change: Arc::new(change),
            parents,
            children: vec![],
            grant,
            void: Arc::clone(&view.void),
            position: node,
        });
        if follows_all {
            // Everything was seen, so nothing is beside it.
            self.order.push(node);
            self.state = seen;
            self.keep_waist(node);
        } else {
            self.branch_off(node);
        }
        Ok(())
    }

    /// After a change beside others: judges anew what is not behind a place where all came together.
    fn branch_off(&mut self, node: usize) {
        let past = self.past(&[node]);
        // The first one stays: everything comes from it.
        while self.waists.len() > 1 && self.waists.last().is_some_and(|waist| !past[waist.node]) {
            self.waists.pop();
        }
        let waist = &self.waists[self.waists.len() - 1];
        let (View { state, void, from, order }, uncounted) =
            self.resolve(waist, vec![true; self.nodes.len() - waist.node - 1]);
        self.state = state;
        self.void = void;
        self.uncounted.split_off(&(from, 0));
        self.uncounted.extend(uncounted);
        self.order.truncate(from);
        self.order.extend(order);
        for position in from..self.order.len() {
            self.nodes[self.order[position]].position = position;
        }
    }

    /// Whether somebody was made an admin beside a change by another that stands before what made its author an admin.
    #[cfg(test)]
    pub(super) fn was_raised_beside(&self, id: &ChangeId, target: &[u8; 32]) -> bool {
        let node = self.index[id];
        let past = self.past(&[node]);
        let author = self.nodes[node].grant.map_or(usize::MAX, |(grant, _)| self.nodes[grant].position);
        self.nodes.iter().enumerate().any(|(other, raising)| {
            let act = &raising.change.act;
            let raises = (0..act.count()).any(|at| act.promotes(at, target));
            raises && !past[other] && !self.past(&[other])[node] && raising.position < author
        })
    }

    fn keep_waist(&mut self, node: usize) {
        self.waists.push(Waist { node, state: self.state.clone() });
        if self.waists.len() > MAX_WAISTS {
            // Dense at the end and thin before: of the pairs between, the first one that lies closest in proportion.
            let gap = |at: usize| {
                let (before, after) = (self.waists[at - 1].node, self.waists[at + 1].node);
                (node - before).saturating_mul(1024) / (node - after + 1)
            };
            let drop = (1..self.waists.len() - 1).min_by_key(|at| gap(*at)).unwrap_or(1);
            self.waists.remove(drop);
        }
    }
}
