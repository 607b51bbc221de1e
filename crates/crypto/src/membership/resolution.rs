//! The one state of a set of changes. First what takes away: removals, demotions and device lists void what those whom
//! they name did without knowing of it. Then all the rest in one order, each judged by the state so far.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::change::Act;
use super::graph::{Node, Verdict};
use super::state::{Refusal, State};
use super::{AccountId, ChangeId};

/// Acts that do not count, by node and number.
pub(super) type Uncounted = BTreeMap<(usize, usize), Verdict>;

/// Acts that are void, by node and number, and what voids them.
type Voids = BTreeMap<(usize, usize), ChangeId>;

/// Some changes after a place where all came together, and the state at that place. Flags count from `from`.
struct Part<'a> {
    nodes: &'a [Node],
    from: usize,
    included: &'a [bool],
    base: &'a State,
}

/// What is first of those whose authors have one place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// An account's word about its own devices, before what they did.
    List,
    /// A removal or a demotion.
    Ending,
    /// One that its author signed beside the own leave, after all others: who leaves has said that all is done, and
    /// whoever confirms it must come first.
    BesideLeave,
}

/// Something that takes away, in the order in which it is judged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Taking {
    /// Its author's place; who has none is last.
    place: u32,
    class: Class,
    id: ChangeId,
    at: usize,
    node: usize,
}

/// The state of some changes after a place where all came together (`base`), and what does not count. It goes from one
/// such place to the next: what is before one is judged by itself, by whoever stands behind it and however far.
pub(super) fn resolve(nodes: &[Node], from: usize, included: &[bool], base: &State) -> (State, Uncounted) {
    let (mut state, mut uncounted, mut start) = (base.clone(), Uncounted::new(), from);
    for end in ends(nodes, from, included) {
        let part = Part { nodes, from: start, included: &included[start - from..end - from], base: &state };
        let (next, more) = part.resolve();
        state = next;
        uncounted.extend(more);
        start = end;
    }
    (state, uncounted)
}

/// Behind each place where all came together, and at the end.
fn ends(nodes: &[Node], from: usize, included: &[bool]) -> Vec<usize> {
    let inside = |node: &usize| node.checked_sub(from).is_some_and(|at| included[at]);
    let mut ends = Vec::new();
    // No change up to here is named by one after this; none for ever if one of them is named by nobody.
    let last_named = |node: usize| nodes[node].children.iter().copied().filter(inside).max().unwrap_or(usize::MAX);
    let mut reach = last_named(from - 1);
    for node in (from..nodes.len()).filter(inside) {
        if reach <= node {
            ends.push(node + 1);
        }
        reach = reach.max(last_named(node));
    }
    if ends.last() != Some(&nodes.len()) {
        ends.push(nodes.len());
    }
    ends
}

impl Part<'_> {
    fn resolve(&self) -> (State, Uncounted) {
        let voids = self.voids();
        let mut uncounted: Uncounted = voids.iter().map(|(act, by)| (*act, Verdict::Void(*by))).collect();
        let state = self.walk(self.included, &voids, Some(&mut uncounted));
        (state, uncounted)
    }

    fn end(&self) -> usize {
        self.from + self.included.len()
    }

    fn holds(&self, node: usize) -> bool {
        (self.from..self.end()).contains(&node) && self.included[node - self.from]
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        (self.from..self.end()).filter(|node| self.holds(*node))
    }

    /// Nodes that are reached by such steps, without the first one.
    fn reached(&self, node: usize, steps: impl Fn(&Node) -> &[usize]) -> Vec<bool> {
        let mut reached = vec![false; self.included.len()];
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            for next in steps(&self.nodes[node]) {
                // What is before the place is in everybody's past.
                if self.holds(*next) && !std::mem::replace(&mut reached[next - self.from], true) {
                    open.push(*next);
                }
            }
        }
        reached
    }

    fn past(&self, node: usize) -> Vec<bool> {
        self.reached(node, |node| &node.parents)
    }

    /// Who neither knew of `node` nor was known to it.
    fn beside(&self, node: usize, past: &[bool]) -> Vec<usize> {
        let future = self.reached(node, |node| &node.children);
        self.all().filter(|other| *other != node && !past[other - self.from] && !future[other - self.from]).collect()
    }

    /// First: what takes away, best placed first.
    fn voids(&self) -> Voids {
        let mut voids = Voids::new();
        let mut takings = self.takings();
        while let Some(taking) = takings.pop_first() {
            if voids.contains_key(&(taking.node, taking.at)) {
                continue;
            }
            let node = &self.nodes[taking.node];
            let past = self.past(taking.node);
            let beside = self.beside(taking.node, &past);
            // By now all that could void such a leave has done so.
            if taking.class == Class::Ending
                && beside.iter().any(|other| self.is_leave_of(*other, &node.change.author, &voids))
            {
                takings.insert(Taking { place: u32::MAX, class: Class::BesideLeave, ..taking });
                continue;
            }
            let state = self.walk(&past, &voids, None);
            match state.judge(&node.change, taking.at) {
                // It was in the author's view. Here it may be missing for something that is void only later on.
                Ok(()) | Err(Refusal::NoSuchMember | Refusal::SameRole) => {}
                Err(_) => continue,
            }
            for other in beside {
                for at in 0..self.nodes[other].change.act.count() {
                    if self.takes(&state, &taking, other, at) {
                        voids.entry((other, at)).or_insert(node.change.id);
                    }
                }
            }
        }
        voids
    }

    fn is_leave_of(&self, node: usize, author: &AccountId, voids: &Voids) -> bool {
        let change = &self.nodes[node].change;
        let last = change.act.count() - 1;
        change.author == *author && leaves(&change.act, last) && !voids.contains_key(&(node, last))
    }

    fn takings(&self) -> BTreeSet<Taking> {
        let mut takings = BTreeSet::new();
        for node in self.all() {
            let Node { change, place, .. } = &self.nodes[node];
            let mut taking =
                Taking { place: place.unwrap_or(u32::MAX), class: Class::Ending, id: change.id, at: 0, node };
            match &change.act {
                Act::Remove(targets) | Act::Demote(targets) => {
                    takings.extend((0..targets.len()).map(|at| Taking { at, ..taking }));
                }
                Act::List(list) => {
                    // As early as the first thing that it could void: a member may have become an admin meanwhile.
                    let dropped = |device| device != 0 && list.admitted().device(device).is_none();
                    let past = self.past(node);
                    let places = self.beside(node, &past).into_iter().filter_map(|other| {
                        let other = &self.nodes[other];
                        let own = other.change.author == change.author && dropped(other.change.device);
                        own.then_some(other.place).flatten()
                    });
                    taking.place = places.fold(taking.place, u32::min);
                    taking.class = Class::List;
                    takings.insert(taking);
                }
                _ => {}
            }
        }
        takings
    }

    /// Whether what `taking` holds voids another act, which is beside it. `state` is that of its own past.
    fn takes(&self, state: &State, taking: &Taking, other: usize, at: usize) -> bool {
        let other = &self.nodes[other].change;
        let change = &self.nodes[taking.node].change;
        match &change.act {
            Act::Remove(targets) => {
                let target = &targets[taking.at].account;
                other.author == *target || adds(&other.act, at, target) || promotes(&other.act, at, target)
            }
            Act::Demote(targets) => {
                let target = &targets[taking.at].account;
                // Who is no admin any more may still leave.
                (other.author == *target && !leaves(&other.act, at)) || promotes(&other.act, at, target)
            }
            Act::List(list) => {
                let had =
                    |device| state.member(&change.author).is_some_and(|member| member.list.device(device).is_some());
                other.author == change.author && had(other.device) && list.admitted().device(other.device).is_none()
            }
            _ => false,
        }
    }

    /// Then: all that is not void, ancestors first, of what is ready the worse placed first, so that the better placed
    /// has the last word; leaving comes late, since it would undo what its author did beside it; the end comes last.
    fn walk(&self, among: &[bool], voids: &Voids, mut uncounted: Option<&mut Uncounted>) -> State {
        let mut state = self.base.clone();
        let mut waits: BTreeMap<usize, usize> = BTreeMap::new();
        let mut ready = BTreeSet::new();
        let key = |node: usize| {
            let Node { change, place, .. } = &self.nodes[node];
            let void = (0..change.act.count()).all(|at| voids.contains_key(&(node, at)));
            let class = match &change.act {
                // Holds nobody up.
                _ if void => 0,
                Act::Leave { .. } => 2,
                Act::Disband => 3,
                _ => 1,
            };
            (class, Reverse(place.unwrap_or(u32::MAX)), change.id, node)
        };
        let inside = |node: &usize| self.holds(*node) && among[node - self.from];
        for node in (self.from..self.end()).filter(inside) {
            match self.nodes[node].parents.iter().filter(|parent| inside(parent)).count() {
                0 => drop(ready.insert(key(node))),
                count => drop(waits.insert(node, count)),
            }
        }
        while let Some((.., node)) = ready.pop_first() {
            let change = &self.nodes[node].change;
            for at in (0..change.act.count()).filter(|at| !voids.contains_key(&(node, *at))) {
                match state.judge(change, at) {
                    Ok(()) => state.apply(change, at),
                    Err(refusal) => {
                        if let Some(uncounted) = &mut uncounted {
                            uncounted.insert((node, at), Verdict::Refused(refusal));
                        }
                    }
                }
            }
            for child in self.nodes[node].children.iter().filter(|child| inside(child)) {
                if let Some(count) = waits.get_mut(child) {
                    *count -= 1;
                    if *count == 0 {
                        waits.remove(child);
                        ready.insert(key(*child));
                    }
                }
            }
        }
        state
    }
}

fn adds(act: &Act, at: usize, target: &AccountId) -> bool {
    matches!(act, Act::Add { members, .. } if members[at].record.id() == *target)
}

/// Giving an office: by a promotion, or with a leave.
fn promotes(act: &Act, at: usize, target: &AccountId) -> bool {
    match act {
        Act::Promote(targets) => targets[at] == *target,
        Act::Leave { successor, .. } => at == 0 && *successor == Some(*target),
        _ => false,
    }
}

fn leaves(act: &Act, at: usize) -> bool {
    matches!(act, Act::Leave { .. }) && at + 1 == act.count()
}
