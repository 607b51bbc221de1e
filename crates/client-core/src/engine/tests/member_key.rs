//! The member key: who gets it, when it is replaced, and what the one before is worth.

use subrosa_wire::{Capability, DeviceAddress, MemberKey};

use super::*;
use crate::{
    api::{ChatKind, WhoParams},
    conversation::ConversationId,
    engine::Engine,
    net::RelayEndpoint,
    store::{conversations, peers},
};

impl Person {
    async fn member_key(&self) -> MemberKey {
        self.inside(|core| core.own.member_key.clone()).await
    }

    /// The member key that somebody gave them.
    async fn member_key_of(&self, other: &Self) -> Option<MemberKey> {
        let account = other.account().await;
        self.inside(move |core| peers::get(&core.db, &account).unwrap().unwrap().member_key).await
    }

    /// The hours since the member key was replaced have passed.
    async fn member_key_grows_old(&self, hours: i64) {
        let ago = hours * 3_600_000;
        self.inside(move |core| {
            core.db.execute("UPDATE account SET member_key_ms = member_key_ms - ?1", [ago]).unwrap();
        })
        .await;
    }

    /// Waits until our relay has been told everything.
    async fn told(&self) {
        let changed = self.engine.inner.signals.progress.subscribe();
        let look = |core: &mut Core| Ok(store::tasks::first(&core.db)?.is_none().then_some(()));
        self.engine.wait_for(support::PATIENCE_MS, changed, look).await.unwrap().expect("its relay hears nothing");
        self.settled().await;
    }

    async fn an_hour_passes(&self) {
        self.inside(|core| core.upkeep(true, true).unwrap()).await;
        self.told().await;
    }

    async fn block(&self, who: &str) {
        self.engine.contact_block(WhoParams { who: who.into() }).await.unwrap();
        self.told().await;
    }
}

/// Whether an account's relay lets somebody in with this member key.
async fn opens(engine: &Engine, relay: &TestRelay, account: AccountId, key: MemberKey) -> bool {
    let relay = RelayEndpoint::new(relay.url().parse().unwrap(), None).unwrap();
    let device = DeviceAddress { account, device: 1 };
    let asked = engine.inner.http.prekeys(&relay, &[device], Some(&Capability::MemberKey(key))).await;
    match asked.unwrap().remove(0) {
        Ok(_) => true,
        Err(refusal) if refusal.code == ErrorCode::CapabilityRefused => false,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_get_it_and_a_block_replaces_it_once_a_day() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let (ben, eve, mallory) =
        (Person::new(&relay, "ben").await, Person::new(&relay, "eve").await, Person::new(&relay, "mallory").await);
    for other in [&ben, &eve, &mallory] {
        pair(&alice, other).await;
        let hello = alice.send(&other.name, "hello").await;
        alice.wait(&hello, MessageStatus::Delivered).await;
    }
    let account = alice.account().await;
    let first = alice.member_key().await;
    assert_eq!(
        (ben.member_key_of(&alice).await, eve.member_key_of(&alice).await),
        (Some(first.clone()), Some(first.clone()))
    );
    assert_eq!(alice.member_key_of(&ben).await, Some(ben.member_key().await));
    assert!(opens(&ben.engine, &relay, account, first.clone()).await);

    alice.block("mallory").await;
    let second = alice.member_key().await;
    assert_ne!(first, second);
    assert!(opens(&ben.engine, &relay, account, second.clone()).await);
    assert!(opens(&ben.engine, &relay, account, first.clone()).await, "members who have not heard yet");
    // The others have it with the next word.
    let word = alice.send("ben", "a word").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    assert_eq!(ben.member_key_of(&alice).await, Some(second.clone()));

    // On the same day another block leaves it, and it is replaced when the day is over.
    alice.block("eve").await;
    alice.an_hour_passes().await;
    assert_eq!(alice.member_key().await, second);
    alice.member_key_grows_old(25).await;
    alice.an_hour_passes().await;
    let third = alice.member_key().await;
    assert_ne!(second, third);
    assert!(opens(&ben.engine, &relay, account, third.clone()).await);
    assert!(opens(&ben.engine, &relay, account, second).await && !opens(&ben.engine, &relay, account, first).await);
    alice.member_key_grows_old(25).await;
    alice.an_hour_passes().await;
    assert_eq!(alice.member_key().await, third, "nobody is blocked any more");
}

/// A conversation of several with these others.
async fn enters(person: &Person, others: Vec<AccountId>) -> ConversationId {
    let all = ConversationId([0x61; 32]);
    person.inside(move |core| conversations::ensure(&core.db, &all, ChatKind::Group, &others, now_ms()).unwrap()).await;
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_and_still_a_fellow_member_keeps_it() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let eve = Person::new(&relay, "eve").await;
    pair(&alice, &eve).await;
    let hello = alice.send("eve", "hello").await;
    alice.wait(&hello, MessageStatus::Delivered).await;
    enters(&alice, vec![eve.account().await]).await;
    let before = (alice.member_key().await, alice.inside(|core| core.own.delivery_key.clone()).await);
    alice.block("eve").await;
    let after = (alice.member_key().await, alice.inside(|core| core.own.delivery_key.clone()).await);
    assert!(before.0 == after.0 && before.1 != after.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_among_several_goes_by_the_member_key_to_contacts_too() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let ben = Person::new(&relay, "ben").await;
    pair(&alice, &ben).await;
    let hello = alice.send("ben", "hello").await;
    alice.wait(&hello, MessageStatus::Delivered).await;
    let (ours, theirs) = (alice.account().await, ben.account().await);
    let all = enters(&alice, vec![theirs]).await;
    enters(&ben, vec![ours]).await;
    // A delivery key that opens nothing: what is between the two of them waits, what is said to several does not.
    alice
        .inside(move |core| {
            let mut peer = peers::get(&core.db, &theirs).unwrap().unwrap();
            peer.delivery_key = Some(subrosa_wire::DeliveryKey::new([7; 16]));
            peers::put(&core.db, &peer).unwrap();
        })
        .await;
    let between = alice.send("ben", "between us").await;
    let to_all = alice.send(&all.to_string(), "to all").await;
    alice.wait(&to_all, MessageStatus::Delivered).await;
    ben.message("to all").await;
    let params = WaitParams { id: between.id, status: MessageStatus::Sent, timeout_ms: 0 };
    assert_eq!(alice.engine.wait(params).await.unwrap().status, MessageStatus::Queued);
}

/// Device 2 is removed; waits until the other two agree on a key, and gives it.
async fn after_the_removal(alice: &Person, phone: &Person, tablet: &Person) -> MemberKey {
    alice.engine.remove_device(2).await.unwrap();
    phone.notice("device_removed").await;
    let agreed = async {
        loop {
            let keys = (alice.member_key().await, tablet.member_key().await);
            if keys.0 == keys.1 && tablet.inside(|core| core.own.list.devices().len()).await == 2 {
                return keys.0;
            }
            tokio::task::yield_now().await;
        }
    };
    let key = tokio::time::timeout(std::time::Duration::from_millis(support::PATIENCE_MS), agreed).await.unwrap();
    alice.told().await;
    tablet.told().await;
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_device_knows_a_dead_member_key() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let (phone, tablet) = (alice.add_device().await, alice.add_device().await);
    phone.told().await;
    tablet.told().await;
    let account = alice.account().await;
    let old = phone.member_key().await;
    assert_eq!((alice.member_key().await, tablet.member_key().await), (old.clone(), old.clone()));
    let key = after_the_removal(&alice, &phone, &tablet).await;
    assert!(opens(&alice.engine, &relay, account, key).await);
    assert!(!opens(&alice.engine, &relay, account, old).await, "at once, not after two days, and by nobody's word");
}

/// It told another device of a member key that seems to be from the end of time, and of nothing else that is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_key_that_a_removed_device_planted_is_dead() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let (phone, tablet) = (alice.add_device().await, alice.add_device().await);
    phone.told().await;
    tablet.told().await;
    let account = alice.account().await;
    let planted = MemberKey::new([0xEE; 16]);
    tablet
        .inside(|core| {
            let sync = crate::content::KeySync {
                delivery_key: core.own.delivery_key.as_bytes().to_vec(),
                member_key: vec![0xEE; 16],
                member_changed_ms: u64::MAX,
                ..crate::content::KeySync::default()
            };
            core.change(|change| change.apply_key_sync(&sync)).unwrap();
        })
        .await;
    tablet.told().await;
    assert!(opens(&alice.engine, &relay, account, planted.clone()).await);
    let key = after_the_removal(&alice, &phone, &tablet).await;
    assert!(key != planted && opens(&alice.engine, &relay, account, key).await);
    assert!(!opens(&alice.engine, &relay, account, planted).await);
}
