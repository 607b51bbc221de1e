//! Section 18: changes of a group, and the one state that a set of them makes.

use std::collections::BTreeMap;

use super::*;
use crate::account::{AccountKeyPair, AccountRecord};
use crate::certificate::DeviceCertificate;
use crate::device::IdentityKeyPair;
use crate::device_list::{DeviceList, UnverifiedDeviceList};
use crate::membership::{
    Act, ChainEnd, Change, Ending, Membership, MembershipError, Newcomer, Offered, Refusal, Settings, Signer, State,
    Verdict,
};

/// Somebody of a case: all that they can sign with, and the lists that they signed.
struct Person {
    account: AccountKeyPair,
    record: AccountRecord,
    devices: Vec<(u32, IdentityKeyPair)>,
    lists: Vec<UnverifiedDeviceList>,
}

impl Person {
    fn new(given: &Value) -> Self {
        let account = AccountKeyPair::from_seed(&array(&given["account_seed"]));
        let record = AccountRecord::new(account.public(), array(&given["recovery_commitment"]));
        let id = record.id();
        let device = |one: &Value| {
            let identity = IdentityKeyPair::from_seed(&array(&one["identity_seed"]));
            // Of a device that is in no list, no certificate is looked at.
            let version = one.get("list_version").map_or(1, number);
            let certificate =
                DeviceCertificate::issue(&account, &id, number(&one["device"]), &identity.public(), version);
            ((number(&one["device"]), identity), certificate)
        };
        let (devices, certificates): (Vec<_>, Vec<_>) = list(&given["devices"]).iter().map(device).unzip();
        let signed = |one: &Value| {
            let held = list(&one["devices"]).iter().map(|at| certificates[count(at)]).collect();
            let (version, highest) = (number(&one["version"]), number(&one["highest"]));
            let issued = one["issued_ms"].as_u64().unwrap();
            let made = DeviceList::issue(&account, &record, version, issued, highest, held).unwrap();
            DeviceList::decode(&changed(&made.encode(), &one["change"])).unwrap()
        };
        let lists = list(&given["lists"]).iter().map(signed).collect();
        Self { account, record, devices, lists }
    }

    fn newcomer(&self, at: &Value) -> Newcomer {
        Newcomer { record: self.record, list: self.lists[count(at)].clone() }
    }
}

type People = BTreeMap<String, Person>;

fn people(given: &Value) -> (People, Value) {
    let people: People = object(&given["people"]).iter().map(|(name, one)| (name.clone(), Person::new(one))).collect();
    let ids: Map<String, Value> =
        people.iter().map(|(name, person)| (name.clone(), show(person.record.id()))).collect();
    (people, Value::Object(ids))
}

fn settings(given: &Value) -> Settings {
    let bits = number(given);
    assert!(bits < 8);
    Settings { only_admins_write: bits & 1 != 0, only_admins_edit: bits & 2 != 0, only_admins_add: bits & 4 != 0 }
}

fn chains(given: &Value) -> Vec<ChainEnd> {
    let one = |end: &Value| ChainEnd {
        device: number(&end["device"]),
        generation: number(&end["generation"]),
        next: number(&end["next"]),
        chain: array(&end["chain"]),
    };
    list(given).iter().map(one).collect()
}

fn act(given: &Value, people: &People) -> Act {
    let id = |name: &Value| people[text(name)].record.id();
    let author = &people[text(&given["author"])];
    let name = || text(&given["name"]).to_owned();
    let endings = || {
        let one = |ending: &Value| Ending { account: id(&ending["who"]), chains: chains(&ending["chains"]) };
        let mut endings: Vec<Ending> = list(&given["endings"]).iter().map(one).collect();
        endings.sort_by_key(|ending| ending.account);
        endings
    };
    let link = || array(&given["link"]);
    match text(&given["kind"]) {
        "create" => Act::Create {
            random: array(&given["random"]),
            settings: settings(&given["settings"]),
            author: Box::new(author.newcomer(&given["list"])),
            name: name(),
        },
        "add" => {
            let one = |coming: &Value| people[text(&coming["who"])].newcomer(&coming["list"]);
            let mut members: Vec<Newcomer> = list(&given["newcomers"]).iter().map(one).collect();
            members.sort_by_key(|member| member.record.id());
            Act::Add { link: (!given["link"].is_null()).then(link), members }
        }
        "remove" => Act::Remove(endings()),
        "promote" => {
            let mut accounts: Vec<[u8; 32]> = list(&given["accounts"]).iter().map(id).collect();
            accounts.sort_unstable();
            Act::Promote(accounts)
        }
        "demote" => Act::Demote(endings()),
        "rename" => Act::Rename(name()),
        "describe" => Act::Describe(text(&given["text"]).to_owned()),
        "set" => Act::Set(settings(&given["settings"])),
        "open link" => Act::OpenLink {
            link: link(),
            uses: number(&given["uses"]).try_into().unwrap(),
            expires_ms: given["expires_ms"].as_u64().unwrap(),
            approval: given["approval"].as_bool().unwrap(),
        },
        "revoke link" => Act::RevokeLink(link()),
        "leave" => {
            let successor = (!given["successor"].is_null()).then(|| id(&given["successor"]));
            Act::Leave { successor, chains: chains(&given["chains"]) }
        }
        "disband" => Act::Disband,
        "list" => Act::List(author.lists[count(&given["list"])].clone()),
        other => panic!("no kind {other}"),
    }
}

fn made(given: &Value, people: &People, group: [u8; 32], heads: &[[u8; 32]]) -> Vec<u8> {
    let author = &people[text(&given["author"])];
    let signer = match given["device"].as_u64() {
        Some(at) => {
            let (device, key) = &author.devices[usize::try_from(at).unwrap()];
            Signer::Device(*device, key)
        }
        None => Signer::Account(&author.account),
    };
    let clock = given["clock"].as_u64().unwrap();
    let change = Change::sign(group, author.record.id(), signer, clock, heads, act(given, people));
    assert_eq!(Change::decode(&change.encode()).as_ref(), Ok(&change));
    changed(&change.encode(), &given["change"])
}

pub(super) fn changes(case: &Value) -> Computed {
    let given = &case["inputs"];
    if given.get("bytes").is_some() {
        let mut seen = bytes(&given["bytes"]);
        seen.resize(seen.len() + count(&given["zeros"]), 0);
        let read = Change::decode(&seen);
        if let Ok(read) = &read {
            assert_eq!(read.encode(), seen);
        }
        let result = read.map(|change| json!({"change_id": show(change.id())})).map_err(decode_reason);
        return Computed::outputs(decided(json!({"sha256": show(crate::kdf::sha256(&[&seen]))}), result));
    }
    let (people, accounts) = people(given);
    let heads: Vec<[u8; 32]> = list(&given["heads"]).iter().map(array).collect();
    let bytes = made(&given["change"], &people, array(&given["group"]), &heads);
    let change = Change::decode(&bytes).unwrap();
    Computed {
        intermediate: json!({"accounts": accounts}),
        outputs: json!({"bytes": show(bytes), "change_id": show(change.id())}),
    }
}

fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Disbanded => "disbanded",
        Refusal::NotMember => "author no member",
        Refusal::UnknownDevice => "unknown device",
        Refusal::NotAdmin => "no admin",
        Refusal::StandsAhead => "stands ahead",
        Refusal::NotFirst => "not first",
        Refusal::AlreadyMember => "already a member",
        Refusal::NoSuchMember => "no member",
        Refusal::SameRole => "same role",
        Refusal::Full => "full",
        Refusal::WasRemoved => "was removed",
        Refusal::LastAdmin => "last admin",
        Refusal::BadLink => "bad link",
        Refusal::LinkExpired => "link expired",
        Refusal::TooManyLinks => "too many links",
        Refusal::OldList => "old list",
    }
}

fn not_taken(error: MembershipError) -> &'static str {
    match error {
        MembershipError::NotFirst => "not first",
        MembershipError::OtherGroup => "other group",
        MembershipError::BadSignature => "bad signature",
        MembershipError::BadList(_) => "bad list",
        MembershipError::Refused(reason) => refusal(reason),
        MembershipError::Heads => "heads",
        MembershipError::Full => "too many changes",
        MembershipError::TooManyWaiting => "too many wait",
    }
}

fn state_shown(state: &State, name: impl Fn(&[u8; 32]) -> String) -> Value {
    let ends = |chains: &[ChainEnd]| {
        let one = |end: &ChainEnd| json!({"device": end.device, "generation": end.generation, "next": end.next, "chain": show(end.chain)});
        chains.iter().map(one).collect::<Vec<_>>()
    };
    let mut members: Vec<_> = state.members().collect();
    members.sort_by_key(|(_, member)| member.order());
    let member = |(account, member): (&[u8; 32], &crate::membership::Member)| {
        let devices: Vec<u32> = member.list().devices().iter().map(DeviceCertificate::number).collect();
        json!({
            "who": name(account), "list_version": member.list().version(), "devices": devices,
            "added_by": name(member.added_by()), "link": member.link().map_or(Value::Null, show),
        })
    };
    let link = |(id, link): (&[u8; 16], &crate::membership::InviteLink)| {
        json!({
            "link": show(id), "maker": name(&link.maker), "uses": link.uses, "expires_ms": link.expires_ms,
            "approval": link.approval,
        })
    };
    let by_name = |mut all: Vec<Value>| {
        all.sort_by_key(|one| text(&one["who"]).to_owned());
        all
    };
    let former = state.former().map(|(account, removed, chains)| {
        json!({"who": name(account), "ended": if removed { "removed" } else { "left" }, "chains": ends(chains)})
    });
    let offices = state.offices().map(|(account, chains)| json!({"who": name(account), "chains": ends(chains)}));
    let Settings { only_admins_write, only_admins_edit, only_admins_add } = state.settings();
    let bits = u8::from(only_admins_write) + 2 * u8::from(only_admins_edit) + 4 * u8::from(only_admins_add);
    json!({
        "members": members.into_iter().map(member).collect::<Vec<_>>(),
        "line": state.admins().map(&name).collect::<Vec<_>>(),
        "name": state.name(),
        "description": state.description(),
        "settings": bits,
        "links": state.links().map(link).collect::<Vec<_>>(),
        "former": by_name(former.collect()),
        "offices": by_name(offices.collect()),
        "disbanded": state.disbanded(),
    })
}

/// All changes in this order: the set, and why some are not in it.
fn offered(first: &Change, rest: impl Iterator<Item = Change>) -> (Membership, BTreeMap<[u8; 32], &'static str>) {
    let mut group = Membership::begin(first.clone()).unwrap();
    let mut refused = BTreeMap::new();
    for change in rest {
        let id = *change.id();
        match group.offer(change) {
            Ok(Offered::Taken { refused: more, .. }) => {
                refused.extend(more.into_iter().map(|(id, error)| (id, not_taken(error))));
            }
            Ok(Offered::Waits(_)) => {}
            Ok(Offered::Known) => panic!("offered twice"),
            Err(error) => drop(refused.insert(id, not_taken(error))),
        }
    }
    (group, refused)
}

/// The change that stands behind these in a case.
fn next(given: &Value, people: &People, before: &[Change]) -> Change {
    let heads: Vec<[u8; 32]> = list(&given["heads"]).iter().map(|head| *before[count(head)].id()).collect();
    let group = match text(&given["kind"]) {
        "create" => [0; 32],
        _ => *before[given.get("group").map_or(0, count)].id(),
    };
    Change::decode(&made(given, people, group, &heads)).unwrap()
}

/// A set that grows while a case is written.
pub(super) struct Made {
    people: People,
    all: Vec<Change>,
    group: Option<Membership>,
}

impl Made {
    pub(super) fn new(given: &Value) -> Self {
        let people = object(given).iter().map(|(name, one)| (name.clone(), Person::new(one))).collect();
        Self { people, all: Vec::new(), group: None }
    }

    /// Whether it is in the set; `None` if it is not, and is not kept in the case either.
    pub(super) fn put(&mut self, given: &Value, keep: bool) -> Option<bool> {
        let change = next(given, &self.people, &self.all);
        let taken = match &mut self.group {
            None => {
                self.group = Some(Membership::begin(change.clone()).unwrap());
                true
            }
            Some(group) => matches!(group.offer(change.clone()), Ok(Offered::Taken { .. })),
        };
        if taken || keep {
            self.all.push(change);
            return Some(taken);
        }
        None
    }

    /// The numbers of those in the set that none of the first so many had seen.
    pub(super) fn newest(&self, among: usize) -> Vec<usize> {
        let group = self.group.as_ref().unwrap();
        let known: Vec<&Change> = self.all.iter().take(among).filter(|one| group.contains(one.id())).collect();
        let named = |id: &[u8; 32]| known.iter().any(|other| other.heads().contains(id));
        let number = |id: &[u8; 32]| self.all.iter().position(|one| one.id() == id).unwrap();
        let mut newest: Vec<usize> = known.iter().filter(|one| !named(one.id())).map(|one| number(one.id())).collect();
        newest.truncate(crate::membership::MAX_HEADS);
        newest
    }
}

pub(super) fn membership(case: &Value) -> Computed {
    let given = &case["inputs"];
    let (people, accounts) = people(given);
    let mut all: Vec<Change> = Vec::new();
    for one in list(&given["changes"]) {
        all.push(next(one, &people, &all));
    }
    let mut orders: Vec<Vec<usize>> = vec![(1..all.len()).collect(), (1..all.len()).rev().collect()];
    // By a hash of their ids: as good as shuffled, and the same each time.
    for round in 0..3 {
        let mut order: Vec<usize> = (1..all.len()).collect();
        order.sort_by_key(|at| crate::kdf::sha256(&[&[round], all[*at].id()]));
        orders.push(order);
    }
    let outputs: Vec<Value> = orders.iter().map(|order| result(&all, order, &people)).collect();
    for (order, other) in orders.iter().zip(&outputs) {
        assert_eq!(*other, outputs[0], "{}: another end by another order: {order:?}", case["name"]);
    }
    Computed { intermediate: json!({"accounts": accounts}), outputs: outputs[0].clone() }
}

/// What becomes of the changes if they are offered in this order.
fn result(all: &[Change], order: &[usize], people: &People) -> Value {
    let (group, refused) = offered(&all[0], order.iter().map(|at| all[*at].clone()));
    let verdict = |verdict: &Verdict| match verdict {
        Verdict::Counts => json!("counts"),
        Verdict::Void(by) => json!({"void": all.iter().position(|change| change.id() == by)}),
        Verdict::Refused(reason) => json!({"refused": refusal(*reason)}),
    };
    let change = |change: &Change| {
        let taken = group.verdicts(change.id());
        let mut shown = json!({"id": show(change.id()), "taken": taken.is_some()});
        match taken {
            Some(verdicts) => shown["acts"] = verdicts.iter().map(verdict).collect(),
            None => shown["refused"] = refused.get(change.id()).copied().unwrap_or("waits").into(),
        }
        shown
    };
    let name = |id: &[u8; 32]| people.iter().find(|(_, person)| person.record.id() == *id).unwrap().0.clone();
    json!({
        "changes": all.iter().map(change).collect::<Vec<_>>(),
        "state": state_shown(group.state(), name),
        "heads_hash": show(group.heads_hash()),
    })
}
