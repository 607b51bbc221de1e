//! What a removed device knows is worth nothing: keys, sessions, and what it had told the others.

use subrosa_wire::{Capability, DeliveryKey, DeviceAddress};

use super::{support::PATIENCE_MS, *};

use crate::{content::KeySync, engine::Engine, net::RelayEndpoint};

/// Whether an account's relay lets somebody in with this key.
async fn opens(engine: &Engine, relay: &TestRelay, account: AccountId, key: DeliveryKey) -> bool {
    let relay = RelayEndpoint::new(relay.url().parse().unwrap(), None).unwrap();
    let device = DeviceAddress { account, device: 1 };
    let asked = engine.inner.http.prekeys(&relay, &[device], Some(&Capability::DeliveryKey(key))).await;
    match asked.unwrap().remove(0) {
        Ok(_) => true,
        Err(refusal) if refusal.code == ErrorCode::CapabilityRefused => false,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

impl Person {
    async fn key(&self) -> DeliveryKey {
        self.inside(|core| core.own.delivery_key.clone()).await
    }

    /// Waits until the state is as wanted.
    async fn until(&self, fits: impl FnMut(&mut Core) -> bool + Clone + Send + 'static) {
        let changed = self.engine.inner.signals.progress.subscribe();
        let look = move |core: &mut Core| {
            let mut fits = fits.clone();
            Ok(fits(core).then_some(()))
        };
        self.engine.wait_for(PATIENCE_MS, changed, look).await.unwrap().expect("waited in vain");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_that_a_removed_device_knows_is_dead_and_nothing_is_kept_for_it() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let phone = alice.add_device().await;
    let both = bob.send("alice", "for both").await;
    bob.wait(&both, MessageStatus::Delivered).await;
    let word = alice.send("bob", "from the first").await;
    phone.message("from the first").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    let (account, old) = (alice.account().await, phone.key().await);
    assert!(opens(&bob.engine, &relay, account, old.clone()).await);
    let device = DeviceAddress { account, device: 2 };
    let talks = move |core: &mut Core| !store::sessions::with(&core.db, &device).unwrap().is_empty();
    assert!(alice.inside(talks).await);
    phone.engine.shutdown().await;
    alice.send("bob", "waits for the phone, too").await;

    alice.engine.remove_device(2).await.unwrap();
    alice.settled().await;
    assert!(!opens(&bob.engine, &relay, account, old.clone()).await, "at once, not after a day");
    let new = alice.key().await;
    assert!(new != old && opens(&bob.engine, &relay, account, new).await);
    assert!(!alice.inside(talks).await);
    assert_eq!(alice.count("SELECT count(*) FROM delivery WHERE device = 2").await, 0);

    // What bob writes from now on is sealed for the first device alone.
    let word = alice.send("bob", "one device now").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    bob.until(move |core| store::peers::get(&core.db, &account).unwrap().unwrap().list.unwrap().devices().len() == 1)
        .await;
    let newest: i64 = bob.count("SELECT max(id) FROM outbox").await;
    let one = bob.send("alice", "for the first only").await;
    bob.wait(&one, MessageStatus::Delivered).await;
    let sealed = bob
        .inside(move |core| {
            let sql = "SELECT group_concat(DISTINCT device) FROM delivery WHERE outbox > ?1 AND account = ?2";
            core.db.query_row(sql, rusqlite::params![newest, account.0], |row| row.get::<_, String>(0)).unwrap()
        })
        .await;
    assert_eq!(sealed, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_devices_learn_the_list_and_a_key_that_the_removed_one_never_had() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let phone = alice.add_device().await;
    let tablet = alice.add_device().await;
    phone.settled().await;
    let note = alice.send("me", "for all three").await;
    tablet.message("for all three").await;
    assert_eq!(phone.message("for all three").await.id, note.id);
    // Before it is removed it tells one of the others of a key that seems to be from the end of time.
    let planted = DeliveryKey::new([0xEE; 16]);
    let sync = KeySync {
        delivery_key: planted.as_bytes().to_vec(),
        changed_ms: u64::MAX,
        member_key: vec![0xEE; 16],
        member_changed_ms: u64::MAX,
        ..KeySync::default()
    };
    tablet.inside(move |core| core.change(|change| change.apply_key_sync(&sync)).unwrap()).await;
    tablet.settled().await;
    let account = alice.account().await;
    assert!(opens(&alice.engine, &relay, account, planted.clone()).await);

    alice.engine.remove_device(2).await.unwrap();
    phone.notice("device_removed").await;
    tablet.until(|core| core.own.list.devices().len() == 2 && core.own.delivery_key.as_bytes() != &[0xEE; 16]).await;
    let key = tablet.key().await;
    let wanted = key.clone();
    alice.until(move |core| core.own.delivery_key.as_bytes() == wanted.as_bytes()).await;
    tablet.settled().await;
    alice.settled().await;
    assert!(!opens(&alice.engine, &relay, account, planted).await);
    assert!(opens(&alice.engine, &relay, account, key).await);
    let changed_ms = alice.inside(|core| store::account::delivery_key_ms(&core.db).unwrap()).await;
    assert!(changed_ms < now_ms() + 8 * DAY_MS, "a later key still wins over it");
    let note = tablet.send("me", "for two").await;
    assert_eq!(alice.message("for two").await.id, note.id);
}
