//! The one state of a set of changes. First what takes away: removals, demotions and device lists void what those whom
//! they name did without knowing of it. Then all the rest in one order, each judged by the state so far.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::change::Act;
use super::node::{Node, Verdict};
use super::rules::Refusal;
use super::state::{Grant, State};
use super::{AccountId, ChangeId};
use crate::certificate::DeviceCertificate;

/// Acts that do not count, by node and number.
pub(super) type Uncounted = BTreeMap<(usize, usize), Verdict>;

/// Acts that do not count whatever else does, by node and number.
type Voids = BTreeMap<(usize, usize), Why>;

/// What some changes make together.
pub(super) struct Resolved {
    pub(super) state: State,
    pub(super) uncounted: Uncounted,
    /// Of that, what does not count because of what takes away.
    pub(super) void: BTreeSet<(usize, usize)>,
    /// The nodes in the order of standing.
    pub(super) order: Vec<usize>,
}

/// Why an act does not count whatever else does.
#[derive(Clone, Copy)]
enum Why {
    /// This act voids it.
    By((usize, usize)),
    /// It takes away, and was not allowed where it was signed, once what is void there is left out.
    Refused(Refusal),
}

/// Some changes after a place where all came together, and the state at that place. Flags count from `from`.
pub(super) struct Part<'a> {
    nodes: &'a [Node],
    from: usize,
    included: Vec<bool>,
    base: &'a State,
    /// The included nodes in the order of standing: each after what it had seen, and of those that could come next the
    /// one whose author stands best.
    order: Vec<usize>,
    /// Each one's place in it; counts from `from`. In cells, since what was placed says how what follows stands.
    positions: Vec<Cell<usize>>,
}

/// The standing of who is no admin.
const NONE: Grant = Grant { position: usize::MAX, act: usize::MAX };

/// What is first of those whose authors stand alike.
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
    standing: Grant,
    class: Class,
    id: ChangeId,
    at: usize,
    node: usize,
}

/// What was found of an act that takes away, where it was signed.
struct Judgement {
    result: Result<(), Refusal>,
    /// Its author's devices there.
    devices: Vec<u32>,
}

type Judgements = BTreeMap<(usize, usize), Judgement>;

impl<'a> Part<'a> {
    pub(super) fn new(nodes: &'a [Node], from: usize, included: Vec<bool>, base: &'a State) -> Self {
        let positions = vec![Cell::new(0); included.len()];
        let mut part = Self { nodes, from, included, base, order: vec![], positions };
        part.order = part.stand();
        part
    }

    /// The state, what does not count, and the nodes in the order of standing.
    pub(super) fn resolve(self) -> Resolved {
        let voids = self.voids();
        let verdict = |why: &Why| match why {
            Why::By((node, _)) => Verdict::Void(self.nodes[*node].change.id),
            Why::Refused(refusal) => Verdict::Refused(*refusal),
        };
        let mut uncounted: Uncounted = voids.iter().map(|(act, why)| (*act, verdict(why))).collect();
        let state = self.walk(&self.included, &voids, None, Some(&mut uncounted));
        Resolved { state, uncounted, void: voids.into_keys().collect(), order: self.order }
    }

    /// How well the author of a change stood where it was signed: by what had made the author an admin.
    fn standing(&self, node: usize) -> Grant {
        self.nodes[node].grant.map_or(NONE, |(node, act)| Grant { position: self.position(node), act })
    }

    fn position(&self, node: usize) -> usize {
        node.checked_sub(self.from).map_or_else(|| self.nodes[node].position, |at| self.positions[at].get())
    }

    fn inside(&self, among: &[bool], node: usize) -> bool {
        node >= self.from && among[node - self.from]
    }

    /// Goes through some nodes, each after what it had seen, of those that could come next the one with the least key.
    fn visit<K: Ord>(&self, among: &[bool], key: impl Fn(&Self, usize) -> K, mut visit: impl FnMut(usize)) {
        let mut ready = BTreeSet::new();
        let mut waits: BTreeMap<usize, usize> = BTreeMap::new();
        for node in (self.from..self.nodes.len()).filter(|node| self.inside(among, *node)) {
            match self.nodes[node].parents.iter().filter(|parent| self.inside(among, **parent)).count() {
                0 => drop(ready.insert((key(self, node), node))),
                count => drop(waits.insert(node, count)),
            }
        }
        while let Some((_, node)) = ready.pop_first() {
            visit(node);
            for child in self.nodes[node].children.iter().filter(|child| self.inside(among, **child)) {
                if let Some(count) = waits.get_mut(child) {
                    *count -= 1;
                    if *count == 0 {
                        waits.remove(child);
                        ready.insert((key(self, *child), *child));
                    }
                }
            }
        }
    }

    /// Places all, and gives them in that order. What made somebody an admin comes before what that one signs.
    fn stand(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let key = |part: &Self, node: usize| (part.standing(node), part.nodes[node].change.id);
        self.visit(&self.included, key, |node| {
            self.positions[node - self.from].set(self.from + order.len());
            order.push(node);
        });
        order
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        (self.from..self.nodes.len()).filter(|node| self.included[node - self.from])
    }

    /// Nodes that are reached by such steps, without the first one.
    fn reached(&self, node: usize, steps: impl Fn(&Node) -> &[usize]) -> Vec<bool> {
        let mut reached = vec![false; self.included.len()];
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            for next in steps(&self.nodes[node]) {
                // What is before the place is in everybody's past.
                if self.inside(&self.included, *next) && !std::mem::replace(&mut reached[next - self.from], true) {
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

    /// First: what takes away, in the order of its authors' standing.
    fn voids(&self) -> Voids {
        // What is void from the start: it had voided others, and a later one voided it.
        let mut from_the_start = Voids::new();
        loop {
            let (voids, held) = self.take(from_the_start.clone());
            let late = |act: &(usize, usize)| match voids.get(act) {
                Some(why @ Why::By(by)) if !voids.contains_key(by) => Some((*act, *why)),
                _ => None,
            };
            let too_late: Vec<_> = held.iter().filter_map(late).collect();
            if too_late.is_empty() {
                return voids;
            }
            from_the_start.extend(too_late);
        }
    }

    /// One pass: what is void at its end, and what voided others or could have.
    fn take(&self, mut voids: Voids) -> (Voids, Vec<(usize, usize)>) {
        let mut held = Vec::new();
        // What is void changes seldom, and what was judged holds as long as nothing that it had seen became void.
        let mut judged = Judgements::new();
        let mut takings: BTreeSet<Taking> = self.all().flat_map(|node| self.takings(node)).collect();
        while let Some(taking) = takings.pop_first() {
            let act = (taking.node, taking.at);
            if voids.contains_key(&act) {
                continue;
            }
            let change = &self.nodes[taking.node].change;
            let past = self.past(taking.node);
            let beside = self.beside(taking.node, &past);
            // By now all that could void such a leave has done so.
            let weak = |other: &usize| self.is_leave_of(*other, &change.author, &voids);
            if taking.class == Class::Ending && beside.iter().any(weak) {
                takings.insert(Taking { standing: NONE, class: Class::BesideLeave, ..taking });
                continue;
            }
            if !judged.contains_key(&act) {
                judged = self.judge_all(&voids);
            }
            let Some(judgement) = judged.remove(&act) else { continue };
            // The long way, in tests.
            #[cfg(test)]
            assert_eq!(
                judgement.result,
                self.walk(&past, &voids, Some(&self.nodes[taking.node]), None).judge(change, taking.at)
            );
            match judgement.result {
                // It was in its author's view. Here it may be missing for something that is void only later on.
                Ok(()) | Err(Refusal::NoSuchMember | Refusal::SameRole) => {}
                Err(refusal) => {
                    voids.insert(act, Why::Refused(refusal));
                    self.forget(&mut judged, [taking.node]);
                    continue;
                }
            }
            held.push(act);
            let mut touched = BTreeSet::new();
            for other in beside {
                for other in (0..self.nodes[other].change.act.count()).map(|at| (other, at)) {
                    if self.takes(act, &judgement.devices, other) && !voids.contains_key(&other) {
                        voids.insert(other, Why::By(act));
                        touched.insert(other.0);
                    }
                }
            }
            self.forget(&mut judged, touched);
        }
        (voids, held)
    }

    /// Judges all that takes away in the states that the changes before each make, without what is void. Where one change
    /// had seen exactly another and what that had seen, its state is the other's and one step: so a long line is gone
    /// through once.
    fn judge_all(&self, voids: &Voids) -> Judgements {
        let mut judged = Judgements::new();
        let inside = |node: &usize| self.inside(&self.included, *node);
        let follows_one = |node: usize| self.nodes[node].parents.iter().filter(|parent| inside(parent)).count() == 1;
        for root in self.all().filter(|node| !follows_one(*node)) {
            let mut open = vec![(root, self.walk(&self.past(root), voids, Some(&self.nodes[root]), None))];
            while let Some((node, mut state)) = open.pop() {
                self.judge_takings(node, &state, &mut judged);
                self.step(&mut state, node, voids, Some(&self.nodes[node]), None);
                let mut next: Vec<usize> = self.nodes[node]
                    .children
                    .iter()
                    .copied()
                    .filter(|child| inside(child) && follows_one(*child))
                    .collect();
                if let Some(last) = next.pop() {
                    open.extend(next.into_iter().map(|child| (child, state.clone())));
                    open.push((last, state));
                }
            }
        }
        judged
    }

    fn judge_takings(&self, node: usize, state: &State, judged: &mut Judgements) {
        let change = &self.nodes[node].change;
        if matches!(change.act, Act::Remove(_) | Act::Demote(_) | Act::List(_)) {
            let member = state.member(&change.author);
            let devices = member.map_or(vec![], |member| {
                member.list.devices().iter().map(DeviceCertificate::number).collect::<Vec<u32>>()
            });
            let judge = |at| ((node, at), Judgement { result: state.judge(change, at), devices: devices.clone() });
            judged.extend((0..change.act.count()).map(judge));
        }
    }

    /// Forgets the judgements of what had seen one of these.
    fn forget(&self, judged: &mut Judgements, touched: impl IntoIterator<Item = usize>) {
        for node in touched {
            let future = self.reached(node, |node| &node.children);
            judged.retain(|(other, _), _| !future[other - self.from]);
        }
    }

    fn takings(&self, node: usize) -> Vec<Taking> {
        let change = &self.nodes[node].change;
        let taking = Taking { standing: self.standing(node), class: Class::Ending, id: change.id, at: 0, node };
        match &change.act {
            Act::Remove(targets) | Act::Demote(targets) => {
                (0..targets.len()).map(|at| Taking { at, ..taking }).collect()
            }
            Act::List(list) => {
                // As early as the first thing that it could void: a member may have become an admin meanwhile.
                let dropped = |device| device != 0 && list.admitted().device(device).is_none();
                let past = self.past(node);
                let standings = self.beside(node, &past).into_iter().filter_map(|other| {
                    let by = &self.nodes[other].change;
                    (by.author == change.author && dropped(by.device)).then(|| self.standing(other))
                });
                vec![Taking { standing: standings.fold(taking.standing, Grant::min), class: Class::List, ..taking }]
            }
            _ => vec![],
        }
    }

    fn is_leave_of(&self, node: usize, author: &AccountId, voids: &Voids) -> bool {
        let change = &self.nodes[node].change;
        let last = change.act.count() - 1;
        change.author == *author && change.act.leaves(last) && !voids.contains_key(&(node, last))
    }

    /// Whether `taking`, which holds, voids another act, which is beside it. `devices` are those of its author where it
    /// was signed.
    fn takes(&self, taking: (usize, usize), devices: &[u32], (other, at): (usize, usize)) -> bool {
        let other = &self.nodes[other].change;
        let change = &self.nodes[taking.0].change;
        match &change.act {
            Act::Remove(targets) => {
                let target = &targets[taking.1].account;
                other.author == *target || other.act.adds(at, target) || other.act.promotes(at, target)
            }
            Act::Demote(targets) => {
                let target = &targets[taking.1].account;
                // Who is no admin any more may still leave.
                (other.author == *target && !other.act.leaves(at)) || other.act.promotes(at, target)
            }
            Act::List(list) => {
                other.author == change.author
                    && devices.contains(&other.device)
                    && list.admitted().device(other.device).is_none()
            }
            _ => false,
        }
    }

    /// Then: all that is not void, each after what it had seen, of what could come next the worse standing first, so that
    /// the better has the last word; leaving comes late, since it would undo what its author did beside it; the end last.
    fn walk(
        &self,
        among: &[bool],
        voids: &Voids,
        viewer: Option<&Node>,
        mut uncounted: Option<&mut Uncounted>,
    ) -> State {
        let mut state = self.base.clone();
        let key = |part: &Self, node: usize| {
            let change = &part.nodes[node].change;
            let void = (0..change.act.count()).all(|at| is_void((node, at), voids, viewer));
            let class = match &change.act {
                // Holds nobody up.
                _ if void => 0,
                Act::Leave { .. } => 2,
                Act::Disband => 3,
                _ => 1,
            };
            (class, Reverse(part.standing(node)), change.id)
        };
        self.visit(among, key, |node| self.step(&mut state, node, voids, viewer, uncounted.as_deref_mut()));
        state
    }

    /// One change of a walk.
    fn step(
        &self,
        state: &mut State,
        node: usize,
        voids: &Voids,
        viewer: Option<&Node>,
        mut uncounted: Option<&mut Uncounted>,
    ) {
        let change = &self.nodes[node].change;
        for at in (0..change.act.count()).filter(|at| !is_void((node, *at), voids, viewer)) {
            match state.judge(change, at) {
                Ok(()) => state.apply(change, at, self.position(node)),
                Err(refusal) => {
                    if let Some(uncounted) = &mut uncounted {
                        uncounted.insert((node, at), Verdict::Refused(refusal));
                    }
                }
            }
        }
    }
}

/// Whether an act is void, or was where `viewer` was signed.
fn is_void(act: (usize, usize), voids: &Voids, viewer: Option<&Node>) -> bool {
    voids.contains_key(&act) || viewer.is_some_and(|viewer| viewer.void.contains(&act))
}
