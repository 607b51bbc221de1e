//! Changes of a few people, any acts on any heads, offered to a group in several orders: nothing panics, and all orders end in one
//! state. The fuzz target `membership` includes this file.

use std::sync::LazyLock;

use subrosa_crypto::membership::{
    ACCOUNT_ITSELF, Act, ChainEnd, Change, Checkpoint, Ending, Membership, Newcomer, Offered, Settings, Signer,
};
use subrosa_crypto::{AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair};

/// Changes of one input: enough that people do something, undo it, and do so beside each other.
const MOST_CHANGES: usize = 24;

/// What a change is made of, in bytes of the input.
const STEP: usize = 5;

#[path = "person.rs"]
mod person;

use person::Person;

impl Person {
    fn newcomer(&self, list: usize) -> Newcomer {
        Newcomer { record: self.record, list: self.lists[list % 3].clone().unverified() }
    }

    fn signer(&self, device: u32) -> Signer<'_> {
        match device {
            ACCOUNT_ITSELF => Signer::Account(&self.account),
            number => Signer::Device(number, &self.devices[number as usize - 1]),
        }
    }
}

static PEOPLE: LazyLock<[Person; 6]> = LazyLock::new(|| [1, 2, 3, 4, 5, 6].map(Person::new));

/// How many kinds of acts there are.
const KINDS: u8 = 13;

/// An act of a kind, in the order of `docs/protocol.md`. `more` is what is left of the byte that chose it.
fn act(kind: u8, more: u8, whom: u8, number: u8, author: &Person) -> Act {
    let mut targets: Vec<&Person> =
        PEOPLE.iter().enumerate().filter(|(bit, _)| whom >> bit & 1 == 1).map(|(_, person)| person).collect();
    if targets.is_empty() {
        targets.push(author);
    }
    targets.sort_unstable_by_key(|person| person.record.id());
    let ids = || targets.iter().map(|person| person.record.id()).collect::<Vec<_>>();
    let end = ChainEnd {
        device: u32::from(more % 4),
        generation: u32::from(number / 64),
        next: number.into(),
        chain: [more; 32],
    };
    let chains = || if more.is_multiple_of(4) { Vec::new() } else { vec![end] };
    let endings = || ids().into_iter().map(|account| Ending { account, chains: chains() }).collect();
    let link = [number % 4; 16];
    let settings = Settings {
        only_admins_write: number & 1 != 0,
        only_admins_edit: number & 2 != 0,
        only_admins_add: number & 4 != 0,
    };
    match kind {
        0 => Act::Create {
            random: [number; 16],
            settings,
            author: Box::new(author.newcomer(more.into())),
            name: "another".to_owned(),
        },
        1 => Act::Add {
            link: (more % 4 == 3).then_some(link),
            members: targets.iter().map(|person| person.newcomer(number.into())).collect(),
        },
        2 => Act::Remove(endings()),
        3 => Act::Promote(ids()),
        4 => Act::Demote(endings()),
        5 => Act::Rename("x".repeat(number.into())),
        6 => Act::Describe("y".repeat(number.into())),
        7 => Act::Set(settings),
        8 => Act::OpenLink { link, uses: (more % 4).into(), expires_ms: (number % 32).into(), approval: whom & 1 != 0 },
        9 => Act::RevokeLink(link),
        10 => Act::Leave { successor: (more % 2 == 1).then(|| ids()[0]), chains: chains() },
        11 => Act::Disband,
        _ => Act::List(author.lists[usize::from(number) % 3].clone().unverified()),
    }
}

/// What a device of another make could have sent: [`None`] for what no decoder takes.
fn arrived(change: &Change) -> Option<Change> {
    let read = Change::decode(&change.encode()).ok()?;
    assert!(read == *change, "{change:?} was read as another one");
    Some(read)
}

/// The first byte of each change says who signs it and by which device, from 240 on with the keys of somebody else; then its act; whom
/// it names, a bit each; which of the newest changes it names as heads, a bit each, or none: all; and numbers in it. Returns the kinds of
/// what was taken.
pub(crate) fn any_order(data: &[u8]) -> Vec<u8> {
    let first = Change::sign([0; 32], PEOPLE[0].record.id(), PEOPLE[0].signer(1), 1, &[], {
        let author = Box::new(PEOPLE[0].newcomer(0));
        Act::Create { random: [0; 16], settings: Settings::default(), author, name: "hikers".to_owned() }
    });
    let mut group = Membership::begin(first.clone()).unwrap();
    let mut made = vec![first.clone()];
    let mut kinds = Vec::new();
    for step in data.chunks_exact(STEP).take(MOST_CHANGES) {
        let &[who, what, whom, past, number] = step else { unreachable!("a chunk has {STEP} bytes") };
        let author = &PEOPLE[usize::from(who) % 6];
        let kind = what % KINDS;
        let act = act(kind, what / KINDS, whom, number, author);
        let device = match (&act, u32::from(who) / 6 % 4) {
            (Act::List(_), _) => ACCOUNT_ITSELF,
            (Act::Leave { .. }, device) => device,
            (_, device) => device.max(1),
        };
        let forged = who >= 240;
        let signer = if forged { &PEOPLE[(usize::from(who) + 1) % 6] } else { author }.signer(device);
        let creates = matches!(act, Act::Create { .. });
        let heads: Vec<[u8; 32]> = match past {
            _ if creates => Vec::new(),
            0 => group.heads(),
            _ => (0..8)
                .filter(|bit| past >> bit & 1 == 1)
                .filter_map(|bit| Some(*made.iter().nth_back(bit)?.id()))
                .collect(),
        };
        let id = if creates { [0; 32] } else { *group.id() };
        let clock = made.len() as u64;
        let change = Change::sign(id, author.record.id(), signer, clock, &heads, act.clone());
        let Some(change) = arrived(&change) else { continue };
        let allowed = group.may(&author.record.id(), device, clock, &act);
        let offered = group.offer(change.clone());
        let taken = matches!(offered, Ok(Offered::Taken { .. }));
        if past == 0 && !creates {
            assert_eq!(taken, allowed.is_ok() && !forged, "{allowed:?}, {offered:?}");
        }
        assert!(!(taken && (forged || creates)), "{change:?} was taken");
        if taken {
            kinds.push(kind);
        }
        made.push(change);
    }
    let backwards: Vec<&Change> = made.iter().rev().collect();
    let mut by_id = backwards.clone();
    by_id.sort_unstable_by_key(|change| change.id());
    for order in [backwards, by_id] {
        let mut other = Membership::begin(first.clone()).unwrap();
        for change in order {
            let _ = other.offer(change.clone());
        }
        agree(&group, &other);
    }
    summed_up(&group);
    kinds
}

fn agree(one: &Membership, other: &Membership) {
    assert!(one.state() == other.state(), "two states\n{:?}\n{:?}", one.state(), other.state());
    assert_eq!(one.heads_hash(), other.heads_hash());
    assert_eq!(one.missing(), other.missing());
    assert_eq!(one.changes().len(), other.changes().len());
    for change in one.changes() {
        assert_eq!(one.verdicts(change.id()), other.verdicts(change.id()), "two verdicts of {change:?}");
    }
}

/// Everybody's word of what the group is: only an admin's is borne out.
fn summed_up(group: &Membership) {
    let view = group.view(&group.heads()).unwrap();
    for person in PEOPLE.iter() {
        let checkpoint = Checkpoint::sign(group, person.record.id(), 1, &person.devices[0]);
        let read = Checkpoint::decode(&checkpoint.encode()).unwrap();
        assert_eq!(read, checkpoint);
        assert!(read.is_signed_by(&person.devices[0].public()));
        assert_eq!(read.agrees(group), Some(view.admins().any(|admin| *admin == person.record.id())));
    }
}

#[cfg(test)]
#[path = "../../../../fuzz/inputs.rs"]
mod inputs;

#[test]
fn any_changes_in_any_order_end_in_one_state() {
    let taken = std::cell::RefCell::new(std::collections::BTreeSet::new());
    inputs::hold("membership", |data| taken.borrow_mut().extend(any_order(data)));
    // The seeds reach every act; a group is begun only once.
    assert!(taken.into_inner().into_iter().eq(1..KINDS));
}
