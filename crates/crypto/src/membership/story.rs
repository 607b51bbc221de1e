//! A group for tests, told change by change.

use super::ChangeId;
use super::cast::{Person, add, created, describe, person, promote, show, unsigned};
use super::change::{ACCOUNT_ITSELF, Act, Change, Settings};
use super::graph::{Graph, Unfit};
use super::node::Verdict;

/// A group whose changes are taken in the order in which the test makes them, and again in others at the end.
pub(super) struct Story {
    pub(super) graph: Graph,
    clock: u64,
}

impl Story {
    /// ana, ben and cleo are admins, in that order; dan, eve and finn are members.
    pub(super) fn new() -> Self {
        let graph = Graph::begin(created(person("ana"), Settings::default())).unwrap();
        let mut story = Self { graph, clock: 1 };
        story.goes("ana", add(&["ben", "cleo", "dan", "eve", "finn"].map(person)));
        story.goes("ana", promote(&[person("ben")]));
        story.goes("ana", promote(&[person("cleo")]));
        story
    }

    pub(super) fn now(&self) -> Vec<ChangeId> {
        self.graph.heads().iter().copied().collect()
    }

    pub(super) fn change(&mut self, author: &str, device: u32, heads: &[ChangeId], act: Act) -> Change {
        self.clock += 1;
        let group = *self.graph.changes().next().unwrap().id();
        unsigned(group, person(author), device, self.clock, heads, act)
    }

    /// Signed by somebody who knows all that there is.
    pub(super) fn goes(&mut self, author: &str, act: Act) -> ChangeId {
        let heads = self.now();
        self.at(author, &heads, act)
    }

    /// Signed by somebody who knew so much.
    pub(super) fn at(&mut self, author: &str, heads: &[ChangeId], act: Act) -> ChangeId {
        let device = match act {
            Act::List(_) | Act::Leave { .. } => ACCOUNT_ITSELF,
            _ => 1,
        };
        self.by(author, device, heads, act).unwrap()
    }

    pub(super) fn by(&mut self, author: &str, device: u32, heads: &[ChangeId], act: Act) -> Result<ChangeId, Unfit> {
        let change = self.change(author, device, heads, act);
        let (id, view) = (change.id, self.graph.view(heads).unwrap());
        self.graph.insert(change, &view)?;
        Ok(id)
    }

    pub(super) fn verdicts(&self, id: &ChangeId) -> Vec<Verdict> {
        self.graph.verdicts(id).unwrap()
    }

    /// The state, which every other order ends in too.
    #[track_caller]
    pub(super) fn ends(&self, expected: &str) {
        let mut other: Option<Graph> = None;
        let mut left: Vec<&Change> = self.graph.changes().collect();
        while !left.is_empty() {
            // From the newest: of what can be taken, the last one first.
            let known = |id: &ChangeId| other.as_ref().is_some_and(|graph| graph.contains(id));
            let next = left.iter().rposition(|change| change.heads().iter().all(known)).unwrap();
            let change = left.remove(next).clone();
            match &mut other {
                None => other = Graph::begin(change),
                Some(graph) => {
                    let view = graph.view(change.heads()).unwrap();
                    graph.insert(change, &view).unwrap();
                }
            }
        }
        assert_eq!(show(self.graph.state()), expected, "\n{}", describe(&self.graph));
        assert!(other.unwrap().state() == self.graph.state(), "another order, another state");
    }
}

pub(super) fn other_person(number: u8) -> Person {
    let mut seed = [0; 32];
    seed[0] = number;
    Person::with_seed(seed)
}

pub(super) fn remove(who: &str) -> Act {
    Act::Remove(vec![person(who).ending()])
}

pub(super) fn demote(who: &str) -> Act {
    Act::Demote(vec![person(who).ending()])
}

pub(super) fn leave(successor: Option<&str>) -> Act {
    Act::Leave { successor: successor.map(|who| person(who).id()), chains: vec![] }
}

pub(super) fn open_link(number: u8, uses: u16) -> Act {
    Act::OpenLink { link: [number; 16], uses, expires_ms: 1_000, approval: false }
}

pub(super) fn by_link(number: u8, who: &str) -> Act {
    Act::Add { link: Some([number; 16]), members: vec![person(who).newcomer()] }
}

pub(super) fn everybody_may_add() -> Settings {
    Settings { only_admins_add: false, ..Settings::default() }
}
