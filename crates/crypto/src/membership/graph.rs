//! The changes of a group as a graph: what each had seen, and the state they make together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::{Act, Change};
use super::resolution::resolve;
use super::state::{Refusal, State};
use super::{ChangeId, MAX_CHANGES};

/// Most states that are kept of places where all that was known came together: what branches off after such a place is
/// judged from there.
const MAX_WAISTS: usize = 32;

/// What became of an act of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Counts,
    /// A removal, a demotion or a device list voids it that its author did not know of.
    Void(ChangeId),
    /// It was allowed where its author stood, and is not together with what others did meanwhile.
    Refused(Refusal),
}

/// A change and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) change: Arc<Change>,
    pub(super) parents: Vec<usize>,
    pub(super) children: Vec<usize>,
    /// The author's place among the admins that the author knew.
    pub(super) place: Option<u32>,
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
    index: BTreeMap<ChangeId, usize>,
    heads: BTreeSet<ChangeId>,
    waists: Vec<Waist>,
    state: State,
    /// Acts that do not count, by node and number.
    uncounted: BTreeMap<(usize, usize), Verdict>,
}

impl Graph {
    /// The graph of a group's first change, which the caller has verified. `None` for another change.
    pub(super) fn begin(change: Change) -> Option<Self> {
        let Act::Create { settings, author, name, .. } = &change.act else { return None };
        let state = State::created(&change, author, name, *settings);
        let id = change.id;
        let node = Node { change: Arc::new(change), parents: vec![], children: vec![], place: Some(0) };
        Some(Self {
            nodes: vec![node],
            index: BTreeMap::from([(id, 0)]),
            heads: BTreeSet::from([id]),
            waists: vec![Waist { node: 0, state: state.clone() }],
            state,
            uncounted: BTreeMap::new(),
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

    /// The state as whoever knew exactly these heads and what they had seen.
    pub(super) fn view(&self, heads: &[ChangeId]) -> Result<State, Missing> {
        let nodes = self.nodes_of(heads)?;
        if self.heads.iter().eq(heads.iter().collect::<BTreeSet<_>>()) {
            return Ok(self.state.clone());
        }
        let past = self.past(&nodes);
        // The first change is in everybody's past.
        let waist = self.waists.iter().rev().find(|waist| past[waist.node]).unwrap_or(&self.waists[0]);
        let from = waist.node + 1;
        Ok(resolve(&self.nodes, from, &past[from..], &waist.state).0)
    }

    /// Takes a change whose signature the caller has verified, and says the state that its author knew (`view`).
    pub(super) fn insert(&mut self, change: Change, view: &State) -> Result<(), Unfit> {
        if self.contains(&change.id) {
            return Ok(());
        }
        if self.nodes.len() >= MAX_CHANGES {
            return Err(Unfit::Full);
        }
        let seen = view.allow(&change).map_err(Unfit::Refused)?;
        let parents = self.nodes_of(&change.heads).map_err(|_| Unfit::Heads)?;
        let behind: Vec<usize> = parents.iter().flat_map(|parent| self.nodes[*parent].parents.clone()).collect();
        let past_of_heads = self.past(&behind);
        if parents.iter().any(|parent| past_of_heads[*parent]) {
            return Err(Unfit::Heads);
        }
        let node = self.nodes.len();
        let follows_all = self.heads.iter().eq(change.heads.iter());
        for parent in &parents {
            self.nodes[*parent].children.push(node);
        }
        for head in &change.heads {
            self.heads.remove(head);
        }
        self.heads.insert(change.id);
        self.index.insert(change.id, node);
        let place = view.place(&change.author);
        self.nodes.push(Node { change: Arc::new(change), parents, children: vec![], place });
        if follows_all {
            // Everything was seen, so nothing is beside it.
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
        let from = waist.node + 1;
        let (state, uncounted) = resolve(&self.nodes, from, &vec![true; self.nodes.len() - from], &waist.state);
        self.state = state;
        self.uncounted.split_off(&(from, 0));
        self.uncounted.extend(uncounted);
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

#[cfg(test)]
mod tests {
    use super::super::cast::{add, created, person, promote, unsigned};
    use super::super::change::Settings;
    use super::*;

    /// Cleo, whom ben removes, removes dan beside that; ana joins both ends, and demotes dan beside something that dan
    /// does. What dan did is void wherever that is looked at, whether or not something else stood beside the joining.
    #[test]
    fn what_an_author_knew_does_not_depend_on_what_else_is_here() {
        let first = created(person("ana"), Settings::default());
        let group = first.id;
        let change = |name: &str, device: u32, heads: &[&Change], act: Act| {
            let heads: Vec<ChangeId> = heads.iter().map(|head| head.id).collect();
            unsigned(group, person(name), device, heads.len() as u64, &heads, act)
        };
        let added = change("ana", 1, &[&first], add(&["ben", "cleo", "dan"].map(person)));
        let ben = change("ana", 1, &[&added], promote(&[person("ben")]));
        let cleo = change("ana", 1, &[&ben], promote(&[person("cleo")]));
        let dan = change("ana", 1, &[&cleo], promote(&[person("dan")]));
        let taken = change("ben", 1, &[&dan], Act::Remove(vec![person("cleo").ending()]));
        let void = change("cleo", 1, &[&dan], Act::Remove(vec![person("dan").ending()]));
        let joined = change("ana", 1, &[&taken, &void], Act::Rename("joined".to_owned()));
        let demoted = change("ana", 1, &[&joined], Act::Demote(vec![person("dan").ending()]));
        let beside = change("dan", 1, &[&joined], add(&[person("eve")]));
        let last = change("eve", 1, &[&demoted, &beside], Act::Leave { successor: None, chains: vec![] });
        let late = change("ben", 1, &[&taken], Act::Describe("late".to_owned()));
        let story = [&added, &ben, &cleo, &dan, &taken, &void, &joined, &demoted, &beside];
        for order in [[&last, &late], [&late, &last]] {
            let mut graph = Graph::begin(first.clone()).unwrap();
            for change in story.into_iter().chain(order) {
                let view = graph.view(&change.heads).unwrap();
                let taken = graph.insert(change.clone(), &view);
                let expected = if change.id == last.id { Err(Unfit::Refused(Refusal::NotMember)) } else { Ok(()) };
                assert_eq!(taken, expected, "{}", super::super::cast::describe(&graph));
            }
            // With the late one nothing was joined, and the demotion is judged before the removal that voids cleo's:
            // for all that is known then, dan is no member.
            assert_eq!(graph.verdicts(&beside.id), Some(vec![Verdict::Void(demoted.id)]));
        }
    }
}
