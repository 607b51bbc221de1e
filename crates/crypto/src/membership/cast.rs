//! People for tests: accounts with three device lists each, and changes that nobody signed, for the graph alone.

use std::sync::LazyLock;

use super::change::{Act, ChainEnd, Change, Ending, Newcomer, Settings};
use super::graph::Graph;
use super::node::Verdict;
use super::state::State;
use super::{AccountId, ChangeId};
use crate::account::{AccountKeyPair, AccountRecord};
use crate::certificate::DeviceCertificate;
use crate::device::IdentityKeyPair;
use crate::device_list::DeviceList;

#[path = "../../tests/behaviour/person.rs"]
mod person;

pub(super) use self::person::Person;

impl Person {
    pub(super) fn id(&self) -> AccountId {
        self.record.id()
    }

    pub(super) fn newcomer(&self) -> Newcomer {
        Newcomer { record: self.record, list: self.lists[0].clone().unverified() }
    }

    pub(super) fn ending(&self) -> Ending {
        Ending { account: self.id(), chains: vec![] }
    }

    pub(super) fn ending_at(&self, next: u32) -> Ending {
        Ending { account: self.id(), chains: vec![ChainEnd { device: 1, generation: 1, next, chain: [7; 32] }] }
    }
}

/// Ten people; ana, ben, cleo, dan, eve, finn, gus, hana, ida, jon. Ids do not ascend with the names.
pub(super) static PEOPLE: LazyLock<Vec<Person>> = LazyLock::new(|| (1..=10).map(Person::new).collect());

pub(super) const NAMES: [&str; 10] = ["ana", "ben", "cleo", "dan", "eve", "finn", "gus", "hana", "ida", "jon"];

pub(super) fn person(name: &str) -> &'static Person {
    &PEOPLE[NAMES.iter().position(|known| *known == name).unwrap()]
}

pub(super) fn name_of(id: &AccountId) -> &'static str {
    NAMES[PEOPLE.iter().position(|person| person.id() == *id).unwrap()]
}

/// A change without a signature.
pub(super) fn unsigned(
    group: ChangeId,
    author: &Person,
    device: u32,
    clock: u64,
    heads: &[ChangeId],
    act: Act,
) -> Change {
    Change::made(group, author.id(), device, clock, heads, act, |_| [0; 64])
}

pub(super) fn created(author: &Person, settings: Settings) -> Change {
    let act = Act::Create { random: [1; 16], settings, author: Box::new(author.newcomer()), name: "hikers".to_owned() };
    unsigned([0; 32], author, 1, 0, &[], act)
}

pub(super) fn add(people: &[&Person]) -> Act {
    let mut members: Vec<Newcomer> = people.iter().map(|person| person.newcomer()).collect();
    members.sort_by_key(|member| member.record.id());
    Act::Add { link: None, members }
}

pub(super) fn promote(people: &[&Person]) -> Act {
    let mut members: Vec<AccountId> = people.iter().map(|person| person.id()).collect();
    members.sort_unstable();
    Act::Promote(members)
}

fn names<'a>(ids: impl IntoIterator<Item = &'a AccountId>) -> String {
    ids.into_iter().map(name_of).collect::<Vec<_>>().join(" ")
}

/// A state as one reads it.
pub(super) fn show(state: &State) -> String {
    let mut members: Vec<&str> = state.members().map(|(account, _)| name_of(account)).collect();
    members.sort_unstable();
    let members = members.join(" ");
    let settings = state.settings();
    let mut out = format!("{:?}: {}\nadmins: {}\n", state.name(), members, names(state.admins()));
    let only: Vec<&str> =
        [(settings.only_admins_write, "write"), (settings.only_admins_edit, "edit"), (settings.only_admins_add, "add")]
            .into_iter()
            .filter_map(|(only, what)| only.then_some(what))
            .collect();
    out += &format!("only admins: {}\n", only.join(" "));
    for (account, member) in state.members().filter(|(_, member)| member.list().version() > 1) {
        let devices: Vec<u32> = member.list().devices().iter().map(DeviceCertificate::number).collect();
        out += &format!("devices of {}: {devices:?}\n", name_of(account));
    }
    for (account, former) in &*state.former {
        let ends: Vec<String> =
            former.chains.iter().map(|end| format!("{}.{}<{}", end.device, end.generation, end.next)).collect();
        out += &format!(
            "{} {} {}\n",
            name_of(account),
            if former.removed { "was removed" } else { "left" },
            ends.join(" ")
        );
    }
    for (account, ends) in &*state.offices {
        out += &format!("{} was demoted {}\n", name_of(account), ends.len());
    }
    for (link, open) in state.links() {
        out += &format!("link {} of {}: {} uses\n", link[0], name_of(&open.maker), open.uses);
    }
    if state.disbanded() {
        out += "disbanded\n";
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// All changes of a graph as one reads them, with what became of each act.
pub(super) fn describe(graph: &Graph) -> String {
    let changes: Vec<&Change> = graph.changes().collect();
    let number = |id: &ChangeId| changes.iter().position(|change| change.id() == id).unwrap_or(usize::MAX);
    let mut out = String::new();
    for (at, change) in changes.iter().enumerate() {
        let what = match change.act() {
            Act::Create { .. } => "creates".to_owned(),
            Act::Add { link, members } => {
                let ids: Vec<AccountId> = members.iter().map(|member| member.record.id()).collect();
                format!("adds {} {}", names(&ids), if link.is_some() { "by link" } else { "" })
            }
            Act::Remove(targets) => format!("removes {}", names(targets.iter().map(|target| &target.account))),
            Act::Promote(targets) => format!("promotes {}", names(targets)),
            Act::Demote(targets) => format!("demotes {}", names(targets.iter().map(|target| &target.account))),
            Act::Leave { successor, .. } => format!("leaves {}", names(successor)),
            Act::List(list) => format!("list {}", list.claimed_version()),
            other => format!("{other:?}"),
        };
        let heads: Vec<usize> = change.heads().iter().map(number).collect();
        let verdicts: Vec<String> = graph
            .verdicts(change.id())
            .unwrap_or_default()
            .iter()
            .map(|verdict| match verdict {
                Verdict::Counts => "counts".to_owned(),
                Verdict::Void(by) => format!("void by {}", number(by)),
                Verdict::Refused(refusal) => format!("{refusal:?}"),
            })
            .collect();
        out += &format!(
            "{at} {}.{} after {heads:?} {what}: {}\n",
            name_of(change.author()),
            change.device(),
            verdicts.join(", ")
        );
    }
    out
}
