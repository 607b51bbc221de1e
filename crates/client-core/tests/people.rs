//! What a person decides about others: rename, block, unblock, remove.

use crate::support::{Person, TestRelay, pair, who};
use subrosa_client_core::{
    Client, ErrorKind,
    api::{ContactState, Event, MessageStatus, NoParams, RenameParams, SendParams, WaitParams},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_contact_gets_nothing_through_and_the_others_do() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let mallory = Person::new(&relay, "mallory").await;
    pair(&alice, &bob).await;
    pair(&alice, &mallory).await;
    let before = mallory.send("alice", "before").await;
    mallory.wait(&before, MessageStatus::Delivered).await;

    let blocked = alice.engine.contact_block(who("mallory")).await.unwrap();
    assert_eq!(blocked.state, ContactState::Blocked);
    alice.settled().await;
    // Again: nothing more happens.
    alice.engine.contact_block(who("mallory")).await.unwrap();
    alice.contact_state("mallory", ContactState::Blocked).await;
    let refused =
        alice.engine.send(SendParams { to: "mallory".into(), body: "x".into(), ..SendParams::default() }).await;
    assert!(refused.unwrap_err().hint.unwrap().contains("contact unblock"));

    // Refused by the relay itself: her key is dead.
    let late = mallory.send("alice", "are you there?").await;
    let waiting = WaitParams { id: late.id.clone(), status: MessageStatus::Sent, timeout_ms: 500 };
    let waiting = mallory.engine.wait(waiting).await.unwrap();
    assert_eq!(waiting.status, MessageStatus::Queued, "{waiting:?}");

    // Bob has the new key with the next word of hers.
    let word = alice.send("bob", "listen").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    for n in 0..3 {
        let sent = bob.send("alice", &format!("still here {n}")).await;
        bob.wait(&sent, MessageStatus::Delivered).await;
    }
    let answer = alice.send("bob", "good").await;
    alice.wait(&answer, MessageStatus::Delivered).await;
    assert_eq!(alice.bodies("mallory").await, ["before"]);

    // What she wrote meanwhile comes once she is unblocked: it was never refused for good.
    let unblocked = alice.engine.contact_unblock(who("mallory")).await.unwrap();
    assert_eq!(unblocked.state, ContactState::Ok);
    mallory.wait(&late, MessageStatus::Delivered).await;
    assert_eq!(alice.bodies("mallory").await, ["before", "are you there?"]);
    let back = alice.send("mallory", "hello again").await;
    alice.wait(&back, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_somebody_who_is_blocked_fails_and_says_why() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    alice.settled().await;
    relay.stop().await;
    let sent = alice.send("bob", "too late").await;
    alice.engine.contact_block(who("bob")).await.unwrap();
    let state = alice
        .event(|event| match event {
            Event::State(state) if state.id == sent.id && state.status == MessageStatus::Failed => Some(state.clone()),
            _ => None,
        })
        .await;
    assert_eq!(state.error.as_deref(), Some("you blocked them"));
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().outbox, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_unique_cleaned_and_local() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let carol = Person::new(&relay, "carol").await;
    pair(&alice, &bob).await;
    pair(&alice, &carol).await;
    let rename = |from: &str, to: &str| alice.engine.contact_rename(RenameParams { who: from.into(), name: to.into() });
    assert_eq!(rename("bob", " Bob\x1b[2J \u{202E}Smith ").await.unwrap().name, "Bob[2J Smith");
    alice.contact_state("Bob[2J Smith", ContactState::Ok).await;
    for taken in ["carol", "CAROL", "me", "Note to self", "alice", "", "\x07", &"x".repeat(41)] {
        assert_eq!(rename("bob", taken).await.unwrap_err().code, ErrorKind::Usage, "{taken:?}");
    }
    // By the new name, and still by the handle.
    alice.send("Bob[2J Smith", "one").await;
    let two = alice.send("bob", "two").await;
    alice.wait(&two, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["one", "two"]);
    assert_eq!(bob.contact("alice").await.name, "alice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_contact_is_forgotten_and_may_ask_again() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let carol = Person::new(&relay, "carol").await;
    pair(&alice, &bob).await;
    pair(&alice, &carol).await;
    let sent = bob.send("alice", "forget me").await;
    bob.wait(&sent, MessageStatus::Delivered).await;

    let id = bob.id().await;
    assert_eq!(alice.engine.contact_remove(who("bob")).await.unwrap().id.as_deref(), Some(id.as_str()));
    alice.removed(&id).await;
    assert_eq!(alice.engine.contact_show(who("bob")).await.unwrap_err().code, ErrorKind::NotFound);
    assert_eq!(alice.engine.contact_remove(who("bob")).await.unwrap_err().code, ErrorKind::NotFound);
    let found = subrosa_client_core::api::SearchParams { query: "forget".into(), ..Default::default() };
    assert!(alice.engine.search(found).await.unwrap().hits.is_empty());
    assert!(alice.engine.chats(Default::default()).await.unwrap().chats.iter().all(|chat| chat.name != "bob"));
    let word = alice.send("carol", "are you still there?").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    let sent = carol.send("alice", "I am still here").await;
    carol.wait(&sent, MessageStatus::Delivered).await;

    // A request is declined by removing it; nobody is told.
    let dave = Person::new(&relay, "dave").await;
    dave.ask("alice", "may I?").await;
    alice.contact_state("dave", ContactState::Request).await;
    alice.engine.contact_remove(who("dave")).await.unwrap();
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().requests, 0);
}
