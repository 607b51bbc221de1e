//! What is written later stands behind what waits, whatever is known of the receiver's devices when each of them is written.

use super::*;

/// Sends a text while nothing of the conversation may leave, and makes what waits rest for long.
async fn rests(from: &Person, to: &Person, body: &'static str, list_is_known: bool) -> crate::api::Sent {
    let target = to.account().await;
    from.inside(move |core| {
        let lane = lane(core, &target);
        core.busy.insert(lane.clone());
        let mut peer = store::peers::get(&core.db, &target).unwrap().unwrap();
        peer.list_stale = !list_is_known;
        store::peers::put(&core.db, &peer).unwrap();
        let sent = core.send(&lane.conversation, &text(body)).unwrap();
        core.change(|change| {
            for row in store::deliveries::all_for(change.db, &target)? {
                store::deliveries::postpone(change.db, row.id, change.now_ms + 600_000, 1, "not reached")?;
            }
            peer.list_stale = false;
            Ok(store::peers::put(change.db, &peer)?)
        })
        .unwrap();
        core.busy.remove(&lane);
        sent
    })
    .await
}

/// What came from somebody, in the order in which it came; their places in the conversation hide it.
async fn came(to: &Person) -> Vec<String> {
    to.inside(|core| {
        let mut rows = core.db.prepare("SELECT body FROM message WHERE outgoing = 0 ORDER BY row").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    })
    .await
}

async fn goes_on(from: &Person, to: &Person) {
    let target = to.account().await;
    from.inside(move |core| {
        core.change(|change| {
            store::deliveries::wake(change.db, &target)?;
            change.wake_outbox();
            Ok(())
        })
        .unwrap();
    })
    .await;
}

async fn contacts() -> (TestRelay, Person, Person) {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    alice.settled().await;
    (relay, alice, bob)
}

/// Their device list came by another way while the first rested because it could not be fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_device_list_is_not_overtaken_when_the_list_comes() {
    let (_relay, alice, bob) = contacts().await;
    let first = rests(&alice, &bob, "first", false).await;
    let second = alice.send("bob", "second").await;
    let target = bob.account().await;
    let due = alice
        .inside(move |core| store::deliveries::due(&core.db, &lane(core, &target), now_ms(), 10).unwrap().len())
        .await;
    assert_eq!(due, 0, "it stands behind the first");
    goes_on(&alice, &bob).await;
    alice.wait(&second, MessageStatus::Delivered).await;
    alice.wait(&first, MessageStatus::Delivered).await;
    assert_eq!(came(&bob).await, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_device_gets_what_waits_for_another_before_what_is_written_later() {
    let (_relay, alice, bob) = contacts().await;
    rests(&alice, &bob, "first", true).await;
    let phone = bob.add_device().await;
    phone.settled().await;
    // Alice hears of the phone.
    phone.send("alice", "from the phone").await;
    alice.message("from the phone").await;
    alice.send("bob", "second").await;
    phone.message("second").await;
    assert_eq!(came(&phone).await, ["first", "second"]);
    goes_on(&alice, &bob).await;
    bob.message("second").await;
    assert_eq!(came(&bob).await, ["first", "second"]);
}
