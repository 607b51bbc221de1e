//! Faults that only the inside can make: a full disk, lost sessions, clocks that jump, relays that contradict themselves.

#[allow(dead_code, unreachable_pub)] // uses its part of it
#[path = "../../tests/support/mod.rs"]
mod support;

mod ageing;
mod copies;
mod keeping;
mod kept;
mod late;
mod member_key;
mod once;
mod order;
mod removed;
mod removed_device;
mod restores;
mod rules;
mod several;

use subrosa_crypto::SignedPrekeyPair;
use subrosa_wire::{AccountId, DeviceAddress, ErrorCode, submit::SubmitResult};

use self::support::{Person, TestRelay, pair};

use crate::{
    Client,
    api::{ApiError, ContactState, ErrorKind, MessageStatus, NoParams, SendParams, TimeoutParams, WaitParams},
    engine::{
        core::{Core, link::HURRY_AFTER_MS, now_ms},
        send::{
            intents::{Outgoing, SendId},
            results::Retry,
            sealing::Prepared,
        },
    },
    limits::{DAY_MS, RETRY_MAX},
    store::{self, deliveries::Lane},
};

impl Person {
    async fn inside<R: Send + 'static>(&self, look: impl FnOnce(&mut Core) -> R + Send + 'static) -> R {
        self.engine.inner.core.run(|core| Ok(look(core))).await.unwrap()
    }

    async fn account(&self) -> AccountId {
        self.inside(|core| core.own.address.account).await
    }

    /// From now on the store cannot grow.
    async fn fill_disk(&self) {
        self.inside(|core| {
            core.db.execute_batch("CREATE TABLE filler (bytes BLOB)").unwrap();
            core.db.pragma_update_and_check(None, "max_page_count", 1, |_| Ok(())).unwrap();
            for size in [65_536, 4_096, 256] {
                while core.db.execute("INSERT INTO filler VALUES (zeroblob(?1))", [size]).is_ok() {}
            }
        })
        .await;
    }

    async fn make_room(&self) {
        self.inside(|core| {
            core.db.pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(())).unwrap();
            core.db.execute_batch("DROP TABLE filler").unwrap();
        })
        .await;
    }

    async fn try_send(&self, to: &str, body: String) -> Result<crate::api::Sent, ApiError> {
        self.engine.send(SendParams { to: to.into(), body, ..SendParams::default() }).await
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.inside(move |core| core.db.query_row(sql, [], |row| row.get(0)).unwrap()).await
    }

    async fn current_session(&self, peer: AccountId) -> Option<[u8; 32]> {
        let device = DeviceAddress { account: peer, device: 1 };
        self.inside(move |core| store::sessions::current(&core.db, &device).unwrap().map(|session| session.id())).await
    }

    async fn lose_sessions(&self) {
        self.inside(|core| core.db.execute("DELETE FROM session", []).unwrap()).await;
    }
}

/// What goes to somebody.
fn lane(core: &Core, account: &AccountId) -> Lane {
    let peer = store::peers::get(&core.db, account).unwrap().unwrap();
    let relay = store::peers::lane_relay(&peer.relay, peer.pin.as_ref());
    Lane { conversation: core.own.chat_with(account), relay, own: false }
}

/// A text as a person sends it.
fn text(body: &str) -> Outgoing {
    let id = SendId::Given(crate::engine::core::ids::random_id().unwrap());
    Outgoing { body: body.into(), forwarded: false, reply_to: None, id }
}

fn long(mark: &str) -> String {
    mark.repeat(50_000 / mark.len())
}

/// A store that closes while its process ends dies by SQLCipher's handler at the exit.
#[test]
fn an_engine_that_nobody_ended_has_closed_its_store_when_its_runtime_has_gone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let alice = runtime.block_on(async {
        let relay = TestRelay::start().await;
        Person::new(&relay, "alice").await
    });
    let store = crate::home::Home::at(alice.dir.path()).store();
    let log = store.with_extension("db-wal");
    assert!(log.exists());
    let Person { engine, dir, .. } = alice;
    drop(engine);
    drop(runtime);
    assert!(store.exists() && dir.path().exists());
    assert!(!log.exists(), "the last to close the store removes its log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_a_message_changes_nothing_and_passes() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;

    alice.fill_disk().await;
    let refused = alice.try_send("bob", long("x")).await.unwrap_err();
    assert_eq!(refused.code, ErrorKind::Storage, "{refused:?}");
    assert!(refused.hint.unwrap().contains("free some space"));
    assert!(alice.bodies("bob").await.is_empty());
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().outbox, 0);

    alice.make_room().await;
    let sent = alice.try_send("bob", long("y")).await.unwrap();
    alice.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, [long("y")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_the_disk_is_full_is_not_lost() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;

    bob.fill_disk().await;
    let mut link = bob.engine.inner.link.clone();
    let before = link.borrow_and_update().failures;
    let first = alice.try_send("bob", long("1")).await.unwrap();
    alice.wait(&first, MessageStatus::Sent).await;
    link.wait_for(|link| link.failures > before).await.unwrap();
    // This one comes in a batch of its own, after the one that failed.
    let second = alice.try_send("bob", "2".into()).await.unwrap();
    alice.wait(&second, MessageStatus::Sent).await;

    bob.make_room().await;
    alice.wait(&second, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, [long("1"), "2".into()]);
    assert!(bob.engine.status(NoParams {}).await.unwrap().error.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_session_encrypts_nothing_even_if_it_still_decrypts() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let hello = alice.send("bob", "hello").await;
    alice.wait(&hello, MessageStatus::Delivered).await;

    let peer = alice.account().await;
    let old = bob.current_session(peer).await.unwrap();
    bob.inside(|core| store::sessions::archive_all(&core.db).unwrap()).await;
    let sent = alice.send("bob", "in the old session").await;
    alice.wait(&sent, MessageStatus::Delivered).await;
    assert_ne!(bob.current_session(peer).await.unwrap(), old, "the receipt went in a new session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_for_a_session_that_the_other_side_lost_is_sealed_again() {
    let (first, mut second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;
    pair(&alice, &bob).await;
    let hello = alice.send("bob", "hello").await;
    alice.wait(&hello, MessageStatus::Delivered).await;

    second.stop().await;
    let stuck = alice.send("bob", "sealed in the old session").await;
    let target = bob.account().await;
    while !alice
        .inside(move |core| {
            store::deliveries::all_for(&core.db, &target).unwrap().iter().any(|row| row.moves && row.sealed)
        })
        .await
    {
        tokio::task::yield_now().await;
    }
    bob.lose_sessions().await;
    bob.send("alice", "who are you?").await;
    alice.message("who are you?").await;
    second.restart().await;
    alice.wait(&stuck, MessageStatus::Delivered).await;
    bob.message("sealed in the old session").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_message_for_other_prekeys_of_the_same_ids_is_set_aside() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;

    // As after a store was restored from a copy: the ids begin again.
    bob.inside(|core| {
        let id: u32 = core.db.query_row("SELECT max(id) FROM prekey WHERE kind = 1", [], |row| row.get(0)).unwrap();
        let other = SignedPrekeyPair::generate(id, &core.own.identity).unwrap();
        let secret = other.to_secret_bytes();
        core.db.execute("UPDATE prekey SET secret = ?1 WHERE kind = 1 AND id = ?2", (&secret[..], id)).unwrap();
    })
    .await;
    alice.lose_sessions().await;
    let sent = alice.send("bob", "for keys that are gone").await;
    alice.wait(&sent, MessageStatus::Sent).await;
    while bob.count("SELECT count(*) FROM envelope WHERE outcome = 3").await == 0 {
        assert_eq!(bob.count("SELECT count(*) FROM envelope WHERE outcome = 5").await, 0, "nothing is thrown away");
        tokio::task::yield_now().await;
    }
}

/// Two contacts, and a message of the first that is ready to leave while the relay is away.
async fn stuck_message() -> (Person, Person, crate::api::Sent, TestRelay) {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    relay.stop().await;
    let sent = alice.send("bob", "stuck").await;
    (alice, bob, sent, relay)
}

/// Pretends that the relay answered `result`; when the row may go again, if it is still there.
async fn answered(
    alice: &Person,
    target: AccountId,
    result: impl FnOnce(&Core) -> SubmitResult + Send + 'static,
) -> Option<u64> {
    alice
        .inside(move |core| {
            store::deliveries::wake(&core.db, &target).unwrap();
            let lane = lane(core, &target);
            let Prepared::Ready(batch) = core.prepare(&lane).unwrap() else { panic!("not ready") };
            let results = vec![result(core); batch.submit.items.len()];
            core.finish(&lane, &batch, &results).unwrap();
            store::deliveries::waiting_for(&core.db, &target).unwrap().map(|(_, next_ms)| next_ms)
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_cannot_make_us_loop_silence_us_or_fail_what_may_still_go() {
    let (alice, bob, sent, _relay) = stuck_message().await;
    let target = bob.account().await;
    let before = now_ms();
    let same_list = answered(&alice, target, move |core| {
        let peer = store::peers::get(&core.db, &target).unwrap().unwrap();
        SubmitResult::StaleDevices(peer.list.unwrap().encode().into())
    });
    assert!(same_list.await.unwrap() > before, "no loop");
    let full = answered(&alice, target, |_| SubmitResult::Full { retry_after_s: u32::MAX }).await.unwrap();
    assert!(full > before && full < now_ms() + DAY_MS, "{full}");
    for code in [ErrorCode::RateLimited, ErrorCode::Unavailable, ErrorCode::QuotaExceeded, ErrorCode::DeviceIdle] {
        let waits = answered(&alice, target, move |_| SubmitResult::Refused { code, retry_after_s: 0 }).await;
        assert!(waits.unwrap() > before, "{code:?}");
    }
    let params = WaitParams { id: sent.id.clone(), status: MessageStatus::Sent, timeout_ms: 0 };
    assert_eq!(alice.engine.wait(params).await.unwrap().status, MessageStatus::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_again_does_not_sit_out_a_pause_of_our_own() {
    let (alice, bob, _, _relay) = stuck_message().await;
    let target = bob.account().await;
    let next_ms = |after: Option<u64>, failed_before_ms: u64| {
        alice.inside(move |core| {
            // Nothing of it leaves meanwhile.
            let lane = lane(core, &target);
            core.busy.insert(lane.clone());
            store::deliveries::wake(&core.db, &target).unwrap();
            let wait = after.map_or(Retry::Backoff(RETRY_MAX), Retry::After);
            core.postpone(&lane, None, &ApiError::new(ErrorKind::Failed, "test"), wait).unwrap();
            core.backing_off.values_mut().for_each(|since| *since -= failed_before_ms);
            core.send(&lane.conversation, &text("again")).unwrap();
            store::deliveries::waiting_for(&core.db, &target).unwrap().unwrap().1
        })
    };
    assert_eq!(next_ms(None, HURRY_AFTER_MS).await, 0, "the message before goes now, and this one behind it");
    assert!(next_ms(None, 0).await > now_ms(), "the last try was made just now");
    assert!(next_ms(Some(60_000), HURRY_AFTER_MS).await > now_ms(), "the relay asked for this pause");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_batch_of_a_receiver_is_in_flight() {
    let (alice, bob, _, _relay) = stuck_message().await;
    let target = bob.account().await;
    let busy = alice
        .inside(move |core| {
            let lane = lane(core, &target);
            core.busy.insert(lane.clone());
            let wait = Retry::Backoff(RETRY_MAX);
            core.postpone(&lane, None, &ApiError::new(ErrorKind::Failed, "test"), wait).unwrap();
            core.busy.contains(&lane)
        })
        .await;
    assert!(busy, "only the task that serves a receiver sets it free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_strands_and_loses_nothing() {
    let (alice, bob, sent, mut relay) = stuck_message().await;
    let target = bob.account().await;
    let (kept, gone) = alice
        .inside(|core| {
            let waiting = |core: &Core| store::recipients::waiting_messages(&core.db).unwrap();
            core.db.execute("UPDATE outbox SET expires_ms = ?1", [store::to_sql(now_ms() - 1)]).unwrap();
            // Our clock is 40 days ahead of the relay's.
            core.clock_off_ms = Some(-store::to_sql(40 * DAY_MS));
            core.forget_old(true).unwrap();
            let kept = waiting(core);
            core.db.execute("UPDATE outbox SET expires_ms = ?1", [store::to_sql(now_ms() + DAY_MS)]).unwrap();
            core.clock_off_ms = Some(0);
            core.forget_old(true).unwrap();
            (kept, waiting(core))
        })
        .await;
    assert_eq!((kept, gone), (1, 1));
    // The clock was ten years ahead when the row was postponed, and is right again.
    alice
        .inside(move |core| {
            let row = store::deliveries::all_for(&core.db, &target).unwrap().remove(0);
            store::deliveries::postpone(&core.db, row.id, now_ms() + 3_650 * DAY_MS, 3, "test").unwrap();
        })
        .await;
    relay.restart().await;
    // Another contact's relay would not wake it either.
    alice.wait(&sent, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_that_stopped_goes_on_only_when_the_person_says_so() {
    let (alice, bob, sent, mut relay) = stuck_message().await;
    let target = bob.account().await;
    let held = alice
        .inside(move |core| {
            core.change(|change| {
                change.hold_account(&target, "two different device lists of the same version exist")?;
                let list = store::peers::get(change.db, &target)?.unwrap().list.unwrap().encode();
                // The relay shows us the list we know: that settles nothing.
                change.learn_list(&target, &list)?;
                Ok(store::peers::get(change.db, &target)?.unwrap().held)
            })
            .unwrap()
        })
        .await;
    assert!(held.is_some());
    relay.restart().await;
    alice.engine.contact_accept(crate::api::WhoParams { who: "bob".into() }).await.unwrap();
    alice.wait(&sent, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_device_that_is_gone_ends_without_a_failure() {
    let (alice, _bob, sent, mut relay) = stuck_message().await;
    alice
        .inside(|core| {
            core.db.execute("UPDATE delivery SET device = 9, wide = 0, list_version = 0, head = NULL", []).unwrap();
            core.db.execute("UPDATE message SET status = 2", []).unwrap();
            core.db.execute("UPDATE recipient SET status = 2", []).unwrap();
        })
        .await;
    relay.restart().await;
    while alice.count("SELECT count(*) FROM delivery WHERE moves = 1").await > 0 {
        tokio::task::yield_now().await;
    }
    let params = WaitParams { id: sent.id, status: MessageStatus::Sent, timeout_ms: 0 };
    assert_eq!(alice.engine.wait(params).await.unwrap().status, MessageStatus::Sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mailbox_of_one_device_holds_up_neither_the_other_device_nor_what_comes_after() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    alice.settled().await;
    let target = bob.account().await;
    // As after a submission that one device had room for and another had not.
    let first = alice
        .inside(move |core| {
            let lane = lane(core, &target);
            core.busy.insert(lane.clone());
            let sent = core.send(&lane.conversation, &text("one device has no room")).unwrap();
            core.change(|change| {
                let row = store::deliveries::all_for(change.db, &target)?.remove(0);
                store::deliveries::spread(change.db, &row, &[1, 9], 1)?;
                let full = store::deliveries::all_for(change.db, &target)?.into_iter().find(|row| row.to.device == 9);
                let next_ms = change.now_ms + 600_000;
                Ok(store::deliveries::postpone(change.db, full.unwrap().id, next_ms, 1, "their mailbox is full")?)
            })
            .unwrap();
            core.busy.remove(&lane);
            sent
        })
        .await;
    let second = alice.send("bob", "goes on").await;
    alice.wait(&second, MessageStatus::Delivered).await;
    alice.wait(&first, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["one device has no room", "goes on"]);
    assert!(alice.count("SELECT count(*) FROM delivery WHERE state = 0 AND device = 9").await >= 1, "it waits");
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().outbox, 0, "nobody waits for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sealed_beside_the_core_leaves_in_order_and_never_by_a_ratchet_that_went_on() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let hello = alice.send("bob", "hello").await;
    alice.wait(&hello, MessageStatus::Delivered).await;
    alice.settled().await;
    let target = bob.account().await;
    // Everything is too much to be sealed where it is taken.
    alice.inside(|core| core.inline_seals = 0).await;
    for n in 0..5 {
        alice.send("bob", &n.to_string()).await;
    }
    let last = alice.send("bob", "last").await;
    alice.wait(&last, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["hello", "0", "1", "2", "3", "4", "last"]);
    alice.settled().await;

    // Something is sealed while something else takes the same ratchet on.
    let kept = alice
        .inside(move |core| {
            let lane = lane(core, &target);
            core.busy.insert(lane.clone());
            core.send(&lane.conversation, &text("sealed twice")).unwrap();
            let Prepared::Seal(slow) = core.prepare(&lane).unwrap() else { panic!("nothing to seal") };
            let Prepared::Seal(quick) = core.prepare(&lane).unwrap() else { panic!("nothing to seal") };
            core.keep_sealed(&quick.run().unwrap()).unwrap();
            let sealed = |core: &Core| {
                let row = store::deliveries::all_for(&core.db, &target).unwrap().remove(0);
                store::deliveries::sealed(&core.db, row.id).unwrap().unwrap()
            };
            let before = sealed(core);
            core.keep_sealed(&slow.run().unwrap()).unwrap();
            let same = before == sealed(core);
            core.busy.remove(&lane);
            core.signals.outbox.notify_one();
            same
        })
        .await;
    assert!(kept, "bytes made by a ratchet that has gone on are worth nothing");
    bob.message("sealed twice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_joiner_could_not_decrypt_comes_again() {
    let (first, mut second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;
    let link = alice.link().await;
    second.stop().await;
    bob.join(&link).await;
    alice.contact_state("bob", ContactState::Ok).await;
    // Alice's answer is made in the session that bob began and has lost.
    bob.lose_sessions().await;
    second.restart().await;
    // With alice's answer comes her delivery key, and with it bob is accepted.
    bob.contact_state("alice", ContactState::Ok).await;
    let sent = bob.send("alice", "made it").await;
    bob.wait(&sent, MessageStatus::Delivered).await;
    let back = alice.send("bob", "so you did").await;
    alice.wait(&back, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_whose_answer_was_lost_can_be_made_again() {
    let (first, second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;
    let link = alice.link().await;
    // Nobody answers yet.
    alice.engine.shutdown().await;
    let joined = bob.join(&link).await;
    // Our first envelope is accepted, so the token is bound to us.
    assert!(bob.engine.flush(TimeoutParams { timeout_ms: 20_000 }).await.unwrap().done);
    let again = bob.join(&link).await;
    assert_eq!((again.id, again.state), (joined.id, ContactState::Requested));
}
