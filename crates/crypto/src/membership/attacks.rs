//! What a relay, a stranger, a plain member and a removed one can try against a group's membership, with real signatures.
//! The names are those of the attacks on group messengers (Rösler et al. 2018, Balbás et al. 2023, Albrecht et al. 2023).

use super::cast::{Person, add, person, promote};
use super::change::{ACCOUNT_ITSELF, Act, ChainEnd, Change, Ending, Newcomer, Settings, Signer};
use super::checkpoint::Checkpoint;
use super::rules::Refusal;
use super::set::{MAX_WAITING, MAX_WAITING_BYTES, Membership, MembershipError, Offered};
use super::{ChangeId, MAX_HEADS};
use crate::decoding::DecodeError;
use crate::device_list::DeviceListError;

fn create(author: &Person, random: u8) -> Change {
    let act = Act::Create {
        random: [random; 16],
        settings: Settings::default(),
        author: Box::new(author.newcomer()),
        name: "hikers".to_owned(),
    };
    Change::sign([0; 32], author.id(), Signer::Device(1, &author.devices[0]), 1, &[], act)
}

fn sign(group: &Membership, who: &str, device: u32, act: Act) -> Change {
    sign_at(group, who, device, &group.heads(), act)
}

fn sign_at(group: &Membership, who: &str, device: u32, heads: &[ChangeId], act: Act) -> Change {
    let author = person(who);
    let signer = match device {
        ACCOUNT_ITSELF => Signer::Account(&author.account),
        number => Signer::Device(number, &author.devices[number as usize - 1]),
    };
    Change::sign(*group.id(), author.id(), signer, 2, heads, act)
}

fn take(group: &mut Membership, change: Change) -> ChangeId {
    let id = *change.id();
    assert!(matches!(group.offer(change), Ok(Offered::Taken { refused, .. }) if refused.is_empty()));
    id
}

/// ana began it, ben is an admin too, cleo and dan are members.
fn hikers() -> Membership {
    let mut group = Membership::begin(create(person("ana"), 1)).unwrap();
    let everybody = sign(&group, "ana", 1, add(&["ben", "cleo", "dan"].map(person)));
    take(&mut group, everybody);
    let ben = sign(&group, "ana", 2, promote(&[person("ben")]));
    take(&mut group, ben);
    group
}

fn refused(group: &mut Membership, change: Change) -> MembershipError {
    let (state, heads) = (group.state().clone(), group.heads_hash());
    let error = group.offer(change).unwrap_err();
    assert!(*group.state() == state && group.heads_hash() == heads, "a refused change changed something");
    error
}

fn remove(who: &str) -> Act {
    Act::Remove(vec![person(who).ending()])
}

fn full_chains() -> Vec<ChainEnd> {
    (1..=5).map(|device| ChainEnd { device, generation: 1, next: 1, chain: [5; 32] }).collect()
}

#[test]
fn the_relay_adds_a_member() {
    let mut group = hikers();
    // Its own account, in the name of an admin, with a key of its own.
    let relay = person("jon");
    let heads = group.heads();
    let act = add(&[relay]);
    let forged =
        Change::sign(*group.id(), person("ana").id(), Signer::Device(1, &relay.devices[0]), 2, &heads, act.clone());
    assert_eq!(refused(&mut group, forged), MembershipError::BadSignature);
    let own = Change::sign(*group.id(), relay.id(), Signer::Device(1, &relay.devices[0]), 2, &heads, act);
    assert_eq!(refused(&mut group, own), MembershipError::Refused(Refusal::NotMember));
}

#[test]
fn a_plain_member_changes_settings_adds_removes_and_promotes() {
    let mut group = hikers();
    for act in [
        Act::Set(Settings { only_admins_add: false, ..Settings::default() }),
        Act::Rename("dan's".into()),
        add(&[person("eve")]),
        remove("cleo"),
        promote(&[person("dan")]),
        Act::OpenLink { link: [1; 16], uses: 1, expires_ms: 9, approval: false },
    ] {
        assert_eq!(group.may(&person("dan").id(), 1, 2, &act), Err(Refusal::NotAdmin));
        let change = sign(&group, "dan", 1, act);
        assert_eq!(refused(&mut group, change), MembershipError::Refused(Refusal::NotAdmin));
    }
}

#[test]
fn an_old_change_is_replayed() {
    let mut group = hikers();
    let removal = sign(&group, "ana", 1, remove("dan"));
    take(&mut group, removal.clone());
    let again = sign(&group, "ben", 1, add(&[person("dan")]));
    take(&mut group, again);
    assert_eq!(group.offer(removal), Ok(Offered::Known));
    assert!(group.state().member(&person("dan").id()).is_some());
}

#[test]
fn a_change_is_replayed_into_another_group() {
    let mut group = hikers();
    let mut other = Membership::begin(create(person("ana"), 2)).unwrap();
    assert_ne!(group.id(), other.id());
    let change = sign(&group, "ana", 1, add(&[person("eve")]));
    assert_eq!(refused(&mut other, change.clone()), MembershipError::OtherGroup);
    // With the other group's id in it, the signature is not ana's.
    let mut bytes = change.encode();
    bytes[1..33].copy_from_slice(other.id());
    bytes[78..110].copy_from_slice(&other.heads()[0]);
    let moved = Change::decode(&bytes).unwrap();
    assert_eq!(refused(&mut other, moved), MembershipError::BadSignature);
    assert_eq!(refused(&mut group, create(person("ana"), 3)), MembershipError::OtherGroup);
}

#[test]
fn a_removal_is_hidden_and_two_members_are_shown_different_groups() {
    let mut hidden_from = hikers();
    let mut shown_to = hidden_from.clone();
    let removal = sign(&shown_to, "ana", 1, remove("dan"));
    take(&mut shown_to, removal.clone());
    // What either writes carries the hash of the heads, so both notice; what is missing is named by whatever follows.
    assert_ne!(hidden_from.heads_hash(), shown_to.heads_hash());
    let next = sign(&shown_to, "ben", 1, add(&[person("eve")]));
    take(&mut shown_to, next.clone());
    assert_eq!(hidden_from.offer(next), Ok(Offered::Waits(vec![*removal.id()])));
    assert_eq!(hidden_from.missing().into_iter().collect::<Vec<_>>(), [*removal.id()]);
    take(&mut hidden_from, removal);
    assert_eq!(hidden_from.heads_hash(), shown_to.heads_hash());
    assert!(hidden_from.state() == shown_to.state());
}

#[test]
fn a_new_device_of_a_member_is_slipped_in() {
    let mut group = hikers();
    let ben = person("ben");
    // A list that the account did not sign, in a change that it did.
    let thief = person("jon");
    let foreign = Act::List(thief.lists[2].clone().unverified());
    let change = Change::sign(*group.id(), ben.id(), Signer::Account(&ben.account), 2, &group.heads(), foreign);
    assert_eq!(refused(&mut group, change), MembershipError::BadList(DeviceListError::OtherAccount));
    // The account's own list, by somebody else.
    let list = Act::List(ben.lists[2].clone().unverified());
    let change = Change::sign(*group.id(), ben.id(), Signer::Account(&thief.account), 2, &group.heads(), list.clone());
    assert_eq!(refused(&mut group, change), MembershipError::BadSignature);
    // A device signs under a list that is in the set, and under none before.
    let early = sign(&group, "ben", 3, Act::Rename("early".into()));
    assert_eq!(refused(&mut group, early), MembershipError::Refused(Refusal::UnknownDevice));
    let change = sign(&group, "ben", ACCOUNT_ITSELF, list);
    take(&mut group, change);
    let now = sign(&group, "ben", 3, Act::Rename("now".into()));
    take(&mut group, now);
    // And never backwards.
    let old = sign(&group, "ben", ACCOUNT_ITSELF, Act::List(ben.lists[1].clone().unverified()));
    assert_eq!(refused(&mut group, old), MembershipError::Refused(Refusal::OldList));
}

#[test]
fn somebody_is_added_with_a_list_that_is_not_theirs() {
    let mut group = hikers();
    let newcomer = Newcomer { record: person("eve").record, list: person("jon").lists[0].clone().unverified() };
    let change = sign(&group, "ana", 1, Act::Add { link: None, members: vec![newcomer] });
    assert_eq!(refused(&mut group, change), MembershipError::BadList(DeviceListError::OtherAccount));
}

#[test]
fn a_removed_admin_backdates_and_an_accomplice_builds_on_it() {
    let mut group = hikers();
    let before = group.heads();
    let removal = sign(&group, "ana", 1, remove("ben"));
    take(&mut group, removal);
    let state = group.state().clone();
    let promoted = sign_at(&group, "ben", 1, &before, promote(&[person("dan")]));
    take(&mut group, promoted.clone());
    let on_top = sign_at(&group, "dan", 1, &[*promoted.id()], remove("cleo"));
    take(&mut group, on_top);
    assert!(*group.state() == state);
    // Knowing of the removal there is nothing left to sign.
    let late = sign(&group, "ben", 1, add(&[person("eve")]));
    assert_eq!(refused(&mut group, late), MembershipError::Refused(Refusal::NotMember));
}

#[test]
fn more_heads_than_one_names_come_together_over_two_changes() {
    let mut group = hikers();
    let before = group.heads();
    for number in 0..MAX_HEADS + 3 {
        let change = sign_at(&group, "ana", 1, &before, Act::Rename(format!("{number}")));
        take(&mut group, change);
    }
    assert_eq!(group.heads().len(), MAX_HEADS);
    for name in ["first", "second"] {
        let change = sign(&group, "ana", 1, Act::Rename(name.into()));
        take(&mut group, change);
    }
    assert_eq!(group.heads().len(), 1);
    assert_eq!(group.state().name(), "second");
}

#[test]
fn a_checkpoint_is_an_admins_word_which_the_changes_bear_out_or_not() {
    let mut group = hikers();
    let ana = person("ana");
    let checkpoint = Checkpoint::sign(&group, ana.id(), 1, &ana.devices[0]);
    let bytes = checkpoint.encode();
    let read = Checkpoint::decode(&bytes).unwrap();
    assert_eq!(read, checkpoint);
    assert!(read.is_signed_by(&ana.devices[0].public()) && !read.is_signed_by(&ana.devices[1].public()));
    assert_eq!(read.summary().members.len(), 4);
    assert_eq!(read.agrees(&group), Some(true));
    let first = Membership::begin(create(ana, 1)).unwrap();
    assert_eq!(read.agrees(&first), None, "the changes are not here");
    // Later it still says what was.
    let change = sign(&group, "ana", 1, remove("dan"));
    take(&mut group, change);
    assert_eq!(read.agrees(&group), Some(true));
    // A member who is no admin, and a lie.
    let dan = person("dan");
    let other = Checkpoint::sign(&hikers(), dan.id(), 1, &dan.devices[0]);
    assert_eq!(other.agrees(&group), Some(false));
    let mut lie = bytes.clone();
    let name = lie.windows(6).position(|part| part == b"hikers").unwrap();
    lie[name] = b'b';
    let lie = Checkpoint::decode(&lie).unwrap();
    assert!(!lie.is_signed_by(&ana.devices[0].public()));
    assert_eq!(lie.agrees(&group), Some(false));
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(
            !Checkpoint::decode(&altered).is_ok_and(|read| read.is_signed_by(&ana.devices[0].public())),
            "byte {at}"
        );
    }
}

#[test]
fn what_waits_is_bounded_and_a_head_that_another_had_seen_is_refused() {
    let mut group = hikers();
    for number in 0..MAX_WAITING {
        let mut head = [1; 32];
        head[..8].copy_from_slice(&number.to_be_bytes());
        let change = sign_at(&group, "ana", 1, &[head], Act::Rename("waits".into()));
        assert_eq!(group.offer(change), Ok(Offered::Waits(vec![head])));
    }
    let change = sign_at(&group, "ana", 1, &[[2; 32]], Act::Rename("waits".into()));
    assert_eq!(refused(&mut group, change), MembershipError::TooManyWaiting);
    let mut large = hikers();
    let removed = |number: u8| Ending { account: [number; 32], chains: full_chains() };
    let act = Act::Remove((0..64).map(removed).collect());
    let held = (0..MAX_WAITING)
        .take_while(|number| {
            let mut head = [3; 32];
            head[..8].copy_from_slice(&number.to_be_bytes());
            large.offer(sign_at(&large, "ana", 1, &[head], act.clone())).is_ok()
        })
        .count();
    let each = sign_at(&large, "ana", 1, &[[3; 32]], act).encode().len();
    assert_eq!(held, MAX_WAITING_BYTES / each);
    let heads = [group.heads()[0], *group.id()];
    let change = sign_at(&group, "ana", 1, &heads, Act::Rename("twice".into()));
    assert_eq!(refused(&mut group, change), MembershipError::Heads);
}

#[test]
fn every_altered_byte_is_refused() {
    let group = hikers();
    for change in [
        sign(&group, "ana", 1, add(&[person("eve")])),
        sign(&group, "ana", 1, Act::Remove(vec![person("dan").ending_at(4)])),
        sign(&group, "dan", ACCOUNT_ITSELF, Act::Leave { successor: None, chains: person("dan").ending_at(4).chains }),
    ] {
        let bytes = change.encode();
        assert_eq!(Change::decode(&bytes).as_ref(), Ok(&change));
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let taken = Change::decode(&altered)
                .is_ok_and(|change| matches!(group.clone().offer(change), Ok(Offered::Taken { .. })));
            assert!(!taken, "byte {at}");
        }
        assert_eq!(Change::decode(&bytes[..bytes.len() - 1]), Err(DecodeError::TooShort));
        assert_eq!(Change::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::TrailingBytes));
    }
}
