//! Rules that need days, and what is only seen from inside: who gets a new delivery key when, how old a device list may be,
//! who is answered how often.

use subrosa_crypto::DeviceList;
use subrosa_wire::{ErrorCode, mailbox::MailboxRequest, submit::SubmitResult};

use super::{DAY_MS, support::PATIENCE_MS, support::Person, support::TestRelay, support::pair, support::who};

use crate::{
    Client,
    api::{ContactState, MessageStatus, SendParams},
    content::{Body, Hello, RetryRequest},
    engine::{
        core::{Core, now_ms},
        send::sealing::Prepared,
    },
    limits::{INTRODUCE_GAP, INTRODUCE_WITHIN, MAX_SILENT},
    store::{self, deliveries::Lane, pending_receipts::Receipted},
};

/// When each contact gets the new key.
fn moments(core: &Core) -> Vec<u64> {
    let contacts = store::contacts::all(&core.db).unwrap();
    let mut moments: Vec<_> = contacts.iter().filter_map(|contact| contact.given.introduce_ms).collect();
    moments.sort_unstable();
    moments
}

fn waiting(core: &Core) -> i64 {
    core.db.query_row("SELECT count(*) FROM delivery WHERE state = 0", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_block_no_burst_of_introductions_is_the_contact_list() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut others = Vec::new();
    for name in ["ben", "cleo", "dan", "mallory"] {
        let person = Person::new(&relay, name).await;
        pair(&alice, &person).await;
        others.push(person);
    }
    alice.settled().await;
    let before = now_ms();
    alice.engine.contact_block(who("mallory")).await.unwrap();
    let (at, rows) = alice.inside(|core| (moments(core), waiting(core))).await;
    let span = u64::try_from(INTRODUCE_WITHIN.as_millis()).unwrap();
    assert_eq!((at.len(), rows), (3, 0), "each at a moment of their own, and nothing now");
    assert!(at.iter().all(|at| (before + 1..=now_ms() + span).contains(at)), "{at:?}");

    // A word from us takes the key along.
    let sent = alice.try_send("ben", "hello".into()).await.unwrap();
    alice.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(alice.inside(|core| moments(core)).await.len(), 2);
    let answer = others[0].try_send("alice", "hello yourself".into()).await.unwrap();
    others[0].wait(&answer, MessageStatus::Delivered).await;

    // The engine was off for two days: one now, the other not in the same burst.
    relay.stop().await;
    let gap = u64::try_from(INTRODUCE_GAP.as_millis()).unwrap();
    let (left, rows) = alice
        .inside(move |core| {
            let later = now_ms() + 2 * DAY_MS;
            core.introduce_due(later).unwrap();
            (moments(core).into_iter().map(|at| at.saturating_sub(later)).collect::<Vec<_>>(), waiting(core))
        })
        .await;
    assert_eq!((left.len(), rows), (1, 1));
    assert!((1..=gap).contains(&left[0]), "{left:?}");
    relay.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_ever_given_is_replaced_whatever_its_holder_is_by_now() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let ben = Person::new(&relay, "ben").await;
    pair(&alice, &ben).await;
    alice.settled().await;
    let key = |core: &mut Core| core.own.delivery_key.clone();
    let before = alice.inside(key).await;
    // As if another decision had made a request of them again.
    alice
        .inside(|core| {
            let mut contact = store::contacts::all(&core.db).unwrap().remove(0);
            assert!(contact.given.had_key);
            contact.state = ContactState::Request;
            store::contacts::put(&core.db, &contact).unwrap();
        })
        .await;
    alice.engine.contact_remove(who("ben")).await.unwrap();
    assert!(alice.inside(key).await != before);
    // Somebody who never had it: nothing is replaced, nobody is introduced anew.
    let eve = Person::new(&relay, "eve").await;
    eve.engine
        .send(SendParams { to: "alice".into(), body: "hi".into(), request: true, ..SendParams::default() })
        .await
        .unwrap();
    alice.contact_state("eve", ContactState::Request).await;
    let before = alice.inside(key).await;
    alice.engine.contact_block(who("eve")).await.unwrap();
    assert!(alice.inside(key).await == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_queued_or_sealed_for_who_is_not_accepted() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let ben = Person::new(&relay, "ben").await;
    pair(&alice, &ben).await;
    alice.settled().await;
    let account = ben.account().await;
    let (queued, prepared) = alice
        .inside(move |core| {
            // Made while they were a contact, sealed when they are not any more.
            core.change(|change| change.queue(&account, Body::Hello(Hello {}))).unwrap();
            let lane = super::lane(core, &account);
            core.busy.insert(lane.clone());
            core.db.execute("UPDATE contact SET state = 1", []).unwrap();
            let prepared = core.prepare(&lane).unwrap();
            let prepared = format!("{prepared:?}");
            core.change(|change| change.queue(&account, Body::Hello(Hello {}))).unwrap();
            (waiting(core), prepared)
        })
        .await;
    assert_eq!((queued, prepared.as_str()), (0, "Nothing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_resends_is_answered_for_what_they_got_and_as_rarely_as_they_may_ask() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let ben = Person::new(&relay, "ben").await;
    pair(&alice, &ben).await;
    let sent = alice.try_send("ben", "once more".into()).await.unwrap();
    alice.wait(&sent, MessageStatus::Delivered).await;
    alice.settled().await;
    let account = ben.account().await;
    let answers = alice
        .inside(move |core| {
            let device = subrosa_wire::DeviceAddress { account, device: 1 };
            let id: Vec<u8> =
                core.db.query_row("SELECT envelope FROM delivery WHERE moves = 1", [], |row| row.get(0)).unwrap();
            let lane = super::lane(core, &account);
            core.busy.insert(lane.clone());
            let mut answers = Vec::new();
            for (ids, later) in [
                (vec![], 0),
                (vec![vec![7; 16]; 64], 0),
                (vec![id.clone()], 0),
                (vec![id.clone()], 1),
                (vec![id.clone()], 56 * 60 * 1_000),
                // Sent again twice already: it is told that there is no more.
                (vec![id], 3 * 3600 * 1_000),
            ] {
                let request = RetryRequest { envelope_ids: ids };
                core.change(|change| {
                    change.now_ms += later;
                    change.send_again(&device, &request)
                })
                .unwrap();
                answers.push(waiting(core));
            }
            core.db.execute("DELETE FROM delivery WHERE state = 0", []).unwrap();
            core.busy.remove(&lane);
            answers
        })
        .await;
    assert_eq!(answers, [0, 0, 1, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_make_us_say_does_not_grow_the_outbox_without_end() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let ben = Person::new(&relay, "ben").await;
    pair(&alice, &ben).await;
    alice.settled().await;
    relay.stop().await;
    let account = ben.account().await;
    let (rows, receipts) = alice
        .inside(move |core| {
            for _ in 0..MAX_SILENT + 40 {
                core.change(|change| change.queue(&account, Body::Hello(Hello {}))).unwrap();
            }
            let rows = waiting(core);
            let message = subrosa_wire::MessageId([9; 16]);
            let of = Receipted { conversation: core.own.chat_with(&account), message };
            store::pending_receipts::add(&core.db, &account, &of, MessageStatus::Delivered, 1).unwrap();
            core.gather_receipts().unwrap();
            (rows, store::pending_receipts::any_for(&core.db, &account).unwrap())
        })
        .await;
    assert_eq!(rows, i64::try_from(MAX_SILENT).unwrap());
    assert!(receipts, "it waits for room and is not lost");
}

impl Person {
    /// Publishes a list of this account that was issued so long ago, and lets a message announce it.
    async fn publish_old_list(&self, days: u64, to: &Self) {
        self.inside(move |core| {
            core.change(|change| {
                let key = change.own.account_key.as_ref().unwrap();
                let list: DeviceList =
                    change.own.list.renewed(key, &change.own.record, change.now_ms - days * DAY_MS).unwrap();
                store::account::set_list(change.db, &list)?;
                change.relay_task(MailboxRequest::PutDeviceList(list.encode().into()))?;
                change.reload_own();
                Ok(())
            })
            .unwrap();
        })
        .await;
        self.settled().await;
        let text = format!("my list is {days} days old");
        self.try_send(&to.name, text.clone()).await.unwrap();
        to.message(&text).await;
    }

    /// As if the lists of all contacts had not been asked for lately.
    async fn asked_long_ago(&self) {
        self.inside(|core| core.db.execute("UPDATE peer SET list_asked_ms = 0", []).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_nobody_renews_is_shown_then_holds_and_its_account_renews_it() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let ben = Person::new(&relay, "ben").await;
    pair(&alice, &ben).await;

    ben.publish_old_list(65, &alice).await;
    alice.asked_long_ago().await;
    let sent = alice.try_send("ben", "shown".into()).await.unwrap();
    alice.wait(&sent, MessageStatus::Delivered).await;
    assert!(alice.notice("old_list").await.text.contains("65 days"));

    ben.publish_old_list(80, &alice).await;
    alice.asked_long_ago().await;
    let held = alice.try_send("ben", "held".into()).await.unwrap();
    let account = ben.account().await;
    let reason = alice
        .engine
        .wait_for(PATIENCE_MS, alice.engine.inner.signals.progress.subscribe(), move |core| {
            Ok(store::deliveries::waiting_for(&core.db, &account)?.and_then(|(reason, _)| reason))
        })
        .await
        .unwrap()
        .unwrap();
    assert!(reason.contains("80 days ago") && reason.contains("sending has stopped"), "{reason}");
    // The person takes it as it is.
    alice.engine.contact_accept(who("ben")).await.unwrap();
    alice.wait(&held, MessageStatus::Delivered).await;

    // Ben's own upkeep signs a new one, and his next word brings it.
    let renewed = ben
        .inside(|core| {
            let before = core.own.list.version();
            core.renew_list().unwrap();
            let once = core.own.list.version();
            core.renew_list().unwrap();
            (once - before, core.own.list.version() - once, now_ms() - core.own.list.issued_ms() < DAY_MS)
        })
        .await;
    assert_eq!(renewed, (1, 0, true), "once, and not again before it is time");
    ben.settled().await;
    let sent = ben.try_send("alice", "renewed".into()).await.unwrap();
    ben.wait(&sent, MessageStatus::Delivered).await;
    alice.asked_long_ago().await;
    let sent = alice.try_send("ben", "after".into()).await.unwrap();
    alice.wait(&sent, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_account_announces_counts_more_than_what_its_relay_serves() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let ben = Person::new(&relay, "ben").await;
    pair(&alice, &ben).await;
    let account = ben.account().await;
    alice
        .inside(move |core| {
            core.change(|change| {
                let mut peer = store::peers::get(change.db, &account)?.unwrap();
                change.announced(&mut peer, 9, [9; 32])
            })
            .unwrap();
        })
        .await;
    let sent = alice.try_send("ben", "secret".into()).await.unwrap();
    assert!(alice.notice("list_withheld").await.text.contains("device list 1, but they announced list 9"));
    let status = alice.engine.outbox_list(crate::api::OutboxListParams::default()).await.unwrap();
    assert_eq!(status.total, 1);
    // Another list of that version is a conflict, an older word changes nothing.
    let held = alice
        .inside(move |core| {
            core.change(|change| {
                let mut peer = store::peers::get(change.db, &account)?.unwrap();
                change.announced(&mut peer, 8, [8; 32])?;
                assert!(peer.held.is_none() && peer.floor.version == 9);
                change.announced(&mut peer, 9, [8; 32])?;
                Ok(peer.held)
            })
            .unwrap()
        })
        .await;
    assert!(held.unwrap().contains("two different device lists"));
    // Only the person gives the floor up.
    alice.engine.contact_accept(who("ben")).await.unwrap();
    alice.wait(&sent, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_our_other_devices_waits_until_the_relay_has_heard_of_the_new_key() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let phone = alice.add_device().await;
    let note = alice.send("me", "for both").await;
    assert_eq!(phone.message("for both").await.id, note.id);
    alice.settled().await;
    alice
        .inside(|core| {
            core.contact_block(&who("bob")).unwrap();
            let relay = store::peers::lane_relay(&core.own.relay, core.own.pin.as_ref());
            let lane = Lane { conversation: core.own.notes(), relay, own: true };
            // The submission comes first: its key is not known yet.
            let Prepared::Ready(batch) = core.prepare(&lane).unwrap() else { panic!("nothing goes to the phone") };
            let refused = SubmitResult::Refused { code: ErrorCode::CapabilityRefused, retry_after_s: 0 };
            core.finish(&lane, &batch, &vec![refused; batch.rows.len()]).unwrap();
            let waits = |core: &Core| {
                let sql = "SELECT count(*), min(next_ms) FROM delivery WHERE state = 0 AND own = 1";
                core.db.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap()
            };
            let (count, next_ms) = waits(core);
            assert!(count == 2 && next_ms > 0, "key and contact wait: {count}, {next_ms}");
            while let Some((id, request)) = core.first_task().unwrap() {
                core.task_done(id, &request).unwrap();
            }
            assert_eq!(waits(core), (2, 0), "and go when it is known");
        })
        .await;
}
