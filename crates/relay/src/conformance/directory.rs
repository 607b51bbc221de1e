use std::collections::{HashMap, HashSet};

use subrosa_wire::{
    Capability, ContactToken, ErrorCode, TokenBinding,
    mailbox::{LoginMarks, TokenUses},
    submit::SubmitItem,
};

use super::{Bench, Person, SOURCE, accepted, hash, list_bytes};
use crate::{
    backend::{Directory as _, KeyScope, Mailbox as _, StoreError, Take},
    clock::today,
    policy::{facts::Keys, identity::DeviceList, mailbox::Login},
};

fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> ErrorCode {
    result.unwrap_err().refusal().code
}

/// A registration that comes again succeeds again, a handle has one account, and both are found.
pub(crate) async fn an_account_is_registered_once_under_a_handle_of_its_own<B: Bench>() {
    let bench = B::new().await;
    let (alice, mut mallory) = (Person::new(1), Person::new(1).registration());
    let store = bench.store();
    let wanted = alice.registration();
    mallory.handle = wanted.handle.clone();
    for _ in 0..2 {
        store.register(SOURCE, wanted.clone()).await.unwrap();
    }
    assert_eq!(code(store.register(SOURCE, mallory).await), ErrorCode::HandleTaken);
    assert_eq!(store.resolve(wanted.handle.clone()).await.unwrap(), Some((alice.id, false)));
    let bench = bench.killed().await;
    let store = bench.store();
    let devices = store.devices(alice.id).await.unwrap().unwrap();
    assert_eq!((devices.account_record, devices.device_list), (wanted.record, wanted.list_bytes));
    assert_eq!(store.identity(alice.device(1)).await.unwrap(), Some(alice.list.devices[0].identity));
    assert_eq!(store.identity(alice.device(2)).await.unwrap(), None);
}

/// A newer list takes mailbox and keys of a device that is gone, and a device that comes starts above every number ever given.
pub(crate) async fn a_replaced_list_leaves_nothing_of_who_is_gone<B: Bench>() {
    let bench = B::new().await;
    let mut alice = Person::registered(&bench, 2).await;
    alice.uploads(&bench, 2, 0..3).await;
    accepted(&bench, (0..5).map(|_| alice.envelope(2)).collect()).await;
    let given = alice.waiting(&bench, 2).await.last().unwrap().seq;
    let devices = vec![alice.list.devices[0], Person::device_with_key(3, 1)];
    alice.list = DeviceList { version: 2, highest: 3, devices, ..alice.list.clone() };
    let store = bench.store();
    let gone = store.put_device_list(SOURCE, list_bytes(&alice.list), alice.list.clone()).await.unwrap();
    assert_eq!(gone, [alice.device(2)]);
    assert!(store.put_device_list(SOURCE, list_bytes(&alice.list), alice.list.clone()).await.unwrap().is_empty());
    assert!(alice.waiting(&bench, 2).await.is_empty() && store.device(alice.device(2)).await.unwrap().is_none());
    accepted(&bench, vec![alice.envelope(3)]).await;
    assert!(alice.waiting(&bench, 3).await[0].seq > given);
    let older = DeviceList { version: 1, ..alice.list.clone() };
    assert_eq!(code(store.put_device_list(SOURCE, list_bytes(&older), older).await), ErrorCode::OldDeviceList);
}

/// However many take at once, each one-time key is given once; when none is left, none is given.
pub(crate) async fn a_one_time_key_is_taken_once<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    alice.uploads(&bench, 1, 0..15).await;
    let take = Take { device: alice.device(1), token: None, one_time: true };
    let takers = (0..20).map(|_| bench.store().take_prekeys(SOURCE, vec![take]));
    let taken = futures_util::future::join_all(takers).await;
    let taken: Vec<_> = taken.into_iter().map(|taken| taken.unwrap().remove(0)).collect();
    for keys in [
        taken.iter().filter_map(|one| one.ec.clone()).collect::<Vec<_>>(),
        taken.iter().filter_map(|one| one.kem.clone()).collect(),
    ] {
        assert_eq!(keys.len(), 15);
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 15);
    }
    let bench = bench.killed().await;
    let left = bench.store().take_prekeys(SOURCE, vec![take]).await.unwrap().remove(0);
    assert!(left.ec.is_none() && left.kem.is_none());
    // An upload whose answer was lost comes again.
    alice.uploads(&bench, 1, 0..15).await;
    let again = bench.store().take_prekeys(SOURCE, vec![take]).await.unwrap().remove(0);
    assert!(again.ec.is_none() && again.kem.is_none(), "taken a second time");
}

/// Keys and tokens are as they were last set; what is taken and submitted with a token is counted; a token that is removed or over is gone with
/// all who joined with it.
pub(crate) async fn facts_about_who_asks_are_those_of_this_moment<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    alice.uploads(&bench, 1, 0..1).await;
    let store = bench.store();
    let member = Keys { current: Some(hash(1)), previous: Some((hash(2), 77)) };
    store.set_keys(SOURCE, alice.id, KeyScope::Member, member).await.unwrap();
    let (token, binding) = (ContactToken::new([7; 16]), TokenBinding::new([8; 16]));
    let (shown, uses) = ((token.hash(), binding.hash()), TokenUses { most: 3, per_day: 2 });
    let puts = async || store.put_contact_token(SOURCE, alice.id, token.hash(), u64::MAX >> 2, uses).await.unwrap();
    puts().await;
    let take = Take { device: alice.device(1), token: Some(token.hash()), one_time: false };
    store.take_prekeys(SOURCE, vec![take]).await.unwrap();
    let mut item = alice.envelope(1);
    item.capability = Some(Capability::ContactToken { token: token.clone(), binding: binding.clone() });
    accepted(&bench, vec![item.clone(), SubmitItem { head: alice.envelope(1).head, ..item }]).await;
    // The same again keeps its counts.
    puts().await;
    let facts = store.prekey_facts(alice.id, vec![1, 2], Some(shown), today()).await.unwrap();
    let account = facts.account.unwrap();
    assert_eq!((account.delivery.current, account.member), (Some(alice.key.hash()), member));
    let found = facts.token.unwrap();
    assert_eq!((found.uses, found.joined, found.joined_today, found.prekeys), (uses, 1, 1, 1));
    assert_eq!(found.joiners, HashMap::from([(binding.hash(), 2)]));
    assert_eq!(facts.devices, HashSet::from([1]));
    let standing = store.standing_prekeys(vec![alice.device(1), alice.device(2)]).await.unwrap();
    assert!(standing.len() == 1 && standing[&alice.device(1)].signed_prekey.is_some());
    let tomorrow = store.prekey_facts(alice.id, vec![1], Some((token.hash(), hash(9))), today() + 1).await.unwrap();
    let found = tomorrow.token.unwrap();
    assert_eq!((found.joined, found.joined_today, found.joiners.len()), (1, 0, 0), "of another day, by another");
    store.remove_contact_token(SOURCE, alice.id, token.hash()).await.unwrap();
    let gone = async |person: &Person| store.prekey_facts(person.id, vec![1], Some(shown), today()).await.unwrap();
    assert!(gone(&alice).await.token.is_none());
    puts().await;
    assert_eq!(gone(&alice).await.token.unwrap().joined, 0, "another token of the same bytes");
    let nobody = gone(&Person::new(1)).await;
    assert!(nobody.account.is_none() && nobody.token.is_none() && nobody.devices.is_empty());
}

/// The mark of the newest login is kept when it was answered, and another copy is told apart by it.
pub(crate) async fn of_two_copies_the_one_that_was_let_in_last_goes_on<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    let login = |shown: Vec<[u8; 16]>, mark| Login::new(alice.device(1), &LoginMarks { shown, mark, take_over: false });
    bench.store().log_in(SOURCE, login(Vec::new(), [1; 16]), 100).await.unwrap();
    let bench = bench.killed().await;
    let store = bench.store();
    assert_eq!(code(store.log_in(SOURCE, login(vec![[2; 16]], [3; 16]), 100).await), ErrorCode::OtherCopy);
    store.seen(SOURCE, alice.device(1), u32::MAX - 50).await.unwrap();
    assert_eq!(store.log_in(SOURCE, login(vec![[1; 16]], [4; 16]), u32::MAX - 1).await.unwrap(), 49, "days away");
}

/// An account that was removed leaves nothing, and nobody else gets its handle.
pub(crate) async fn a_removed_account_is_gone_and_its_handle_stays_its_own<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 2).await;
    accepted(&bench, vec![alice.envelope(1), alice.envelope(2)]).await;
    let store = bench.store();
    let mut gone = store.remove_account(SOURCE, alice.id).await.unwrap();
    gone.sort_unstable_by_key(|device| device.device);
    assert_eq!(gone, [alice.device(1), alice.device(2)]);
    assert!(store.devices(alice.id).await.unwrap().is_none());
    assert!(store.read(alice.device(1), 0, 10).await.unwrap().rows.is_empty());
    let mut other = Person::new(1).registration();
    other.handle = alice.registration().handle;
    assert_eq!(code(store.register(SOURCE, other).await), ErrorCode::HandleTaken);
    assert_eq!(code(store.remove_account(SOURCE, alice.id).await), ErrorCode::NotFound);
}
