//! What time does to keys and sessions, and who may tell the time.

use subrosa_wire::{DeviceAddress, MailboxEpoch, http::Prekeys, mailbox::PrekeyCount};

use super::{DAY_MS, support::Person, support::TestRelay, support::pair};

use crate::{
    api::{ContactState, MessageStatus},
    engine::core::now_ms,
    net::{Ready, RelayEndpoint},
    store::{self, prekeys::PrekeyKind},
};

const NONE_LEFT: PrekeyCount = PrekeyCount { one_time_ec: 0, one_time_kem: 0 };

impl Person {
    /// So many days pass for what is kept here; nobody's clock moves.
    async fn days_pass(&self, days: u64) {
        self.inside(move |core| {
            let ms = days * DAY_MS;
            let ago = format!(
                "UPDATE prekey SET created_ms = created_ms - {ms}, replaced_ms = replaced_ms - {ms};
                 UPDATE session SET used_ms = used_ms - {ms}, setup_ms = setup_ms - {ms};
                 UPDATE envelope SET seen_ms = seen_ms - {ms};
                 UPDATE account SET last_sync_ms = last_sync_ms - {ms}, clock_doubt_ms = clock_doubt_ms - {ms},
                     prekey_day = prekey_day - {days};"
            );
            core.db.execute_batch(&ago).unwrap();
        })
        .await;
    }

    /// All that waited at the relay is here, and the relay has taken all that waited for it.
    async fn told_the_relay(&self) {
        self.engine.inner.link.clone().wait_for(|link| link.caught_up).await.unwrap();
        while self.count("SELECT count(*) FROM relay_task").await > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn upkeep(&self, drained: bool) {
        self.inside(move |core| core.upkeep(true, drained).unwrap()).await;
    }

    async fn forget(&self, drained: bool) {
        self.inside(move |core| core.forget_old(drained).unwrap()).await;
    }

    /// The relay says sixty times that no key is left, and takes all it is sent. How many secrets of each kind are kept.
    async fn asked_for_keys(&self) -> (usize, usize) {
        self.inside(|core| {
            for _ in 0..60 {
                core.refill(NONE_LEFT).unwrap();
                core.db.execute("DELETE FROM relay_task", []).unwrap();
            }
            let count = |kind| store::prekeys::count(&core.db, kind).unwrap();
            (count(PrekeyKind::OneTimeEc), count(PrekeyKind::OneTimeKem))
        })
        .await
    }

    /// A bundle as any contact with the delivery key gets it.
    async fn takes_bundle_of(&self, other: &Self) -> Prekeys {
        let account = other.account().await;
        let contact = self.inside(move |core| store::contacts::get(&core.db, &account).unwrap().unwrap()).await;
        let relay = RelayEndpoint::new(contact.peer.relay.clone(), contact.peer.pin).unwrap();
        let device = DeviceAddress { account, device: 1 };
        let capability = contact.capability();
        let mut asked = self.engine.inner.http.prekeys(&relay, &[device], capability.as_ref()).await.unwrap();
        asked.remove(0).unwrap()
    }
}

/// The first four bytes of a prekey.
fn id_of(key: &[u8]) -> u32 {
    u32::from_be_bytes(*key.first_chunk().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_waited_while_the_device_was_off_for_weeks_is_read() {
    let relay = TestRelay::start().await;
    let mut alice = Person::new(&relay, "alice").await;
    let carol = Person::new(&relay, "carol").await;
    let link = alice.link().await;
    alice.told_the_relay().await;
    // Her keys are 44 days old and have been served all that time.
    alice.days_pass(44).await;
    alice.engine.shutdown().await;
    carol.join(&link).await;
    carol.settled().await;
    // Nobody is there to send it again.
    carol.engine.shutdown().await;
    alice.restart().await;
    alice.contact_state("carol", ContactState::Ok).await;
    assert_eq!(alice.count("SELECT count(*) FROM quarantine").await, 0);
    alice.told_the_relay().await;
    let replaced = "SELECT count(*) FROM prekey WHERE kind IN (1, 4) AND replaced_ms IS NOT NULL";
    while alice.count(replaced).await < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(alice.count("SELECT count(*) FROM prekey WHERE kind IN (1, 4) AND replaced_ms IS NULL").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prekeys_rotate_while_connected_and_are_replaced_only_once_the_relay_has_new_ones() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    alice.told_the_relay().await;
    alice.upkeep(false).await;
    assert_eq!(alice.count("SELECT count(*) FROM prekey WHERE kind = 1").await, 1, "a young one stays");

    alice.days_pass(8).await;
    relay.stop().await;
    alice.upkeep(false).await;
    alice.upkeep(false).await;
    let kept = "SELECT count(*) FROM prekey WHERE kind IN (1, 4)";
    let replaced = "SELECT count(*) FROM prekey WHERE replaced_ms IS NOT NULL";
    assert_eq!((alice.count(kept).await, alice.count(replaced).await), (4, 0), "the relay still gives the old ones");
    relay.restart().await;
    alice.told_the_relay().await;
    assert_eq!((alice.count(kept).await, alice.count(replaced).await), (4, 2));

    // What was made for the old ones may come for 68 days, and later as long as the mailbox was not read.
    alice.days_pass(67).await;
    alice.forget(true).await;
    assert_eq!(alice.count(replaced).await, 2);
    alice.days_pass(2).await;
    alice.forget(false).await;
    assert_eq!(alice.count(replaced).await, 2);
    alice.forget(true).await;
    assert_eq!((alice.count(kept).await, alice.count(replaced).await), (2, 0), "the served ones stay, however old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_that_is_never_read_to_its_end_keeps_no_secrets_for_ever() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    alice.told_the_relay().await;
    alice.days_pass(8).await;
    alice.upkeep(false).await;
    alice.told_the_relay().await;
    let replaced = "SELECT count(*) FROM prekey WHERE replaced_ms IS NOT NULL";
    alice.days_pass(97).await;
    alice.forget(false).await;
    assert_eq!(alice.count(replaced).await, 2);
    alice.days_pass(2).await;
    alice.forget(false).await;
    assert_eq!(alice.count(replaced).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_time_secrets_that_somebody_took_and_never_used_are_deleted() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mallory = Person::new(&relay, "mallory").await;
    pair(&alice, &mallory).await;
    alice.told_the_relay().await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(id_of(&mallory.takes_bundle_of(&alice).await.one_time_ec.unwrap()));
    }
    let kept = |taken: Vec<u32>| {
        alice.inside(move |core| {
            let kept = |id: &u32| store::prekeys::get(&core.db, PrekeyKind::OneTimeEc, *id).unwrap();
            taken.iter().filter(|id| kept(id).is_some()).count()
        })
    };
    alice.days_pass(31).await;
    alice.upkeep(true).await;
    alice.told_the_relay().await;
    assert_eq!(kept(taken.clone()).await, 3, "a set-up made with them may be on its way");
    let next = id_of(&mallory.takes_bundle_of(&alice).await.one_time_ec.unwrap());
    assert!(taken.iter().all(|id| *id < next), "the whole stock is new: {taken:?} {next}");
    alice.days_pass(69).await;
    alice.forget(true).await;
    assert_eq!(kept(taken).await, 0);
    assert_eq!(kept(vec![next]).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_says_again_and_again_that_all_keys_are_gone_makes_us_keep_no_more_than_a_days_share() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    alice.told_the_relay().await;
    relay.stop().await;
    assert_eq!(alice.asked_for_keys().await, (500, 500));
    assert_eq!(alice.asked_for_keys().await, (500, 500));
    alice.days_pass(1).await;
    assert_eq!(alice.asked_for_keys().await, (1_000, 1_000), "an honest one gets more the next day");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_begins_a_new_life_at_every_connection_fills_no_queue() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    alice.told_the_relay().await;
    relay.stop().await;
    alice
        .inside(|core| {
            for life in 0..100 {
                let ready = Ready {
                    epoch: MailboxEpoch([life; 16]),
                    acked: 0,
                    server_time_ms: now_ms(),
                    prekeys: NONE_LEFT,
                    away_days: 0,
                    mark: [life; 16],
                };
                core.ready(ready).unwrap();
            }
        })
        .await;
    let waiting = alice.count("SELECT count(*) FROM relay_task").await;
    assert!(waiting < 40, "{waiting}");
    assert_eq!(alice.count("SELECT count(*) FROM prekey WHERE kind = 1").await, 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_clock_says_1970_does_not_stop_forgetting() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    alice.told_the_relay().await;
    let old = "SELECT count(*) FROM envelope WHERE id = x'07'";
    alice
        .inside(|core| {
            core.db.execute("INSERT INTO envelope (id, outcome, seen_ms) VALUES (x'07', 1, 7)", []).unwrap();
            core.compare_clocks(0).unwrap();
            core.compare_clocks(u64::MAX).unwrap();
            core.compare_clocks(0).unwrap();
            core.forget_old(true).unwrap();
        })
        .await;
    assert_eq!(alice.count(old).await, 1, "our own clock may be the wrong one: there is time to set it");
    assert!(alice.notice("clock").await.text.contains("days apart"));
    assert_eq!(alice.count("SELECT count(*) FROM event WHERE text LIKE '%days apart%'").await, 1, "told once");
    alice.days_pass(4).await;
    alice.forget(true).await;
    assert_eq!(alice.count(old).await, 0);
    let doubt = "SELECT count(clock_doubt_ms) FROM account";
    assert_eq!(alice.count(doubt).await, 1);
    alice.inside(|core| core.compare_clocks(now_ms() + DAY_MS / 2).unwrap()).await;
    assert_eq!(alice.count(doubt).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_made_while_our_clock_ran_ahead_serves_no_longer_than_others() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    alice.told_the_relay().await;
    alice
        .inside(|core| {
            let ahead = store::to_sql(now_ms() + 3_650 * DAY_MS);
            core.db.execute("UPDATE prekey SET created_ms = ?1", [ahead]).unwrap();
        })
        .await;
    alice.upkeep(true).await;
    alice.told_the_relay().await;
    let replaced = "SELECT count(*) FROM prekey WHERE replaced_ms IS NOT NULL";
    assert_eq!(alice.count(replaced).await, 122, "all there were");
    alice.upkeep(true).await;
    assert_eq!(alice.count("SELECT count(*) FROM prekey WHERE kind = 1").await, 2, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_nobody_answers_names_the_same_prekeys_for_a_week_only() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let target = bob.account().await;
    bob.engine.shutdown().await;
    alice.lose_sessions().await;
    let first = alice.send("bob", "one").await;
    alice.wait(&first, MessageStatus::Sent).await;
    let begun = alice.current_session(target).await.unwrap();
    alice.days_pass(6).await;
    alice.forget(true).await;
    assert_eq!(alice.current_session(target).await, Some(begun));
    alice.days_pass(2).await;
    alice.forget(true).await;
    let second = alice.send("bob", "two").await;
    alice.wait(&second, MessageStatus::Sent).await;
    let again = alice.current_session(target).await.unwrap();
    assert_ne!(again, begun);
    bob.restart().await;
    alice.wait(&second, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["one", "two"]);
    // An answered one goes on for as long as people write.
    alice.days_pass(30).await;
    alice.forget(true).await;
    assert_eq!(alice.current_session(target).await, Some(again));
}
