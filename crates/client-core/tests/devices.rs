//! Several devices of one account, and copies of one device.

use crate::support::{Person, TestRelay, copied, pair, start, who};
use subrosa_client_core::{
    Client,
    api::{ChatKind, ContactState, MessageStatus, NoParams, SendParams},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_of_one_account_both_get_everything() {
    let (first, second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;
    pair(&alice, &bob).await;
    let phone = alice.add_device().await;

    // Known before: came with the provision. Bob learns of the device from the relay's answer.
    let both = bob.send("alice", "for both").await;
    bob.wait(&both, MessageStatus::Delivered).await;
    alice.message("for both").await;
    phone.message("for both").await;
    bob.notice("new_device").await;

    let from_alice = alice.send("bob", "from the first").await;
    alice.wait(&from_alice, MessageStatus::Delivered).await;
    assert!(phone.message("from the first").await.outgoing);
    let from_phone = phone.send("bob", "from the second").await;
    phone.wait(&from_phone, MessageStatus::Delivered).await;
    assert!(alice.message("from the second").await.outgoing);
    bob.message("from the second").await;

    // Met after the link between the devices: by link on one, by handle on the other.
    let carol = Person::new(&first, "carol").await;
    carol.join(&phone.link().await).await;
    phone.contact_state("carol", ContactState::Ok).await;
    alice.contact_state("carol", ContactState::Ok).await;
    let hi = alice.send("carol", "hi from the other device").await;
    alice.wait(&hi, MessageStatus::Delivered).await;
    assert!(phone.message("hi from the other device").await.outgoing);
    let answer = carol.send("alice", "hello both").await;
    carol.wait(&answer, MessageStatus::Delivered).await;
    phone.message("hello both").await;
    alice.message("hello both").await;

    // Read on one device is read on the other.
    phone.read("bob").await;
    bob.wait(&both, MessageStatus::Read).await;
    loop {
        if alice
            .engine
            .chats(Default::default())
            .await
            .unwrap()
            .chats
            .iter()
            .all(|chat| chat.name != "bob" || chat.unread == 0)
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(alice.bodies("bob").await, phone.bodies("bob").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_decides_on_one_device_holds_on_the_other() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let carol = Person::new(&relay, "carol").await;
    pair(&alice, &bob).await;
    pair(&alice, &carol).await;
    let phone = alice.add_device().await;

    let note = alice.send("me", "buy milk").await;
    let seen = phone.message("buy milk").await;
    assert_eq!((seen.id, seen.chat_kind, seen.status), (note.id, ChatKind::Notes, Some(MessageStatus::Read)));
    let question = bob.send("alice", "a question").await;
    phone.message("a question").await;
    let answer = SendParams {
        to: "bob".into(),
        body: "an answer".into(),
        reply_to: Some(question.id.clone()),
        ..SendParams::default()
    };
    phone.engine.send(answer).await.unwrap();
    assert_eq!(alice.message("an answer").await.reply_to.unwrap().id, question.id);

    // Blocked on the phone: also here, and Carol gets the key that both have now with the next word.
    phone.engine.contact_block(who("bob")).await.unwrap();
    // The relay knows.
    phone.settled().await;
    alice.contact_state("bob", ContactState::Blocked).await;
    let word = phone.send("carol", "listen").await;
    phone.wait(&word, MessageStatus::Delivered).await;
    let sent = carol.send("alice", "after the block").await;
    carol.wait(&sent, MessageStatus::Delivered).await;
    alice.message("after the block").await;
    phone.message("after the block").await;
    let late = bob.send("alice", "let me in").await;

    // Unblocked here: also on the phone, and what he wrote comes to both.
    alice.engine.contact_unblock(who("bob")).await.unwrap();
    bob.wait(&late, MessageStatus::Delivered).await;
    alice.message("let me in").await;
    phone.message("let me in").await;

    alice.engine.contact_remove(who("bob")).await.unwrap();
    phone.removed(&bob.id().await).await;
    let word = alice.send("carol", "listen again").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    let sent = carol.send("alice", "still a contact").await;
    carol.wait(&sent, MessageStatus::Delivered).await;
    phone.message("still a contact").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_directory_is_noticed_and_heals() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let first = alice.send("bob", "before the copy").await;
    alice.wait(&first, MessageStatus::Delivered).await;

    bob.engine.shutdown().await;
    let copy = copied(bob.dir.path());
    bob.restart().await;
    for text in ["one", "two", "three"] {
        let sent = alice.send("bob", text).await;
        alice.wait(&sent, MessageStatus::Delivered).await;
        let answer = bob.send("alice", text).await;
        bob.wait(&answer, MessageStatus::Delivered).await;
    }
    bob.engine.shutdown().await;
    // Encrypted in a session that the copy cannot follow: it is asked for again, and comes once.
    let in_flight = alice.send("bob", "in flight").await;
    alice.wait(&in_flight, MessageStatus::Sent).await;

    let restored = Person { engine: start(copy.path()).await, dir: copy, name: "bob".into() };
    // It neither fetches nor sends before it is chosen: the directory that went on may still be somewhere.
    restored.notice("other_copy").await;
    restored.engine.account_keep(NoParams {}).await.unwrap();
    restored.notice("restored").await;
    restored.message("in flight").await;
    alice.wait(&in_flight, MessageStatus::Delivered).await;
    // New sessions from the restored side: both directions work again.
    let again = restored.send("alice", "I am back").await;
    restored.wait(&again, MessageStatus::Delivered).await;
    let welcome = alice.send("bob", "welcome").await;
    alice.wait(&welcome, MessageStatus::Delivered).await;
    restored.message("welcome").await;
    assert_eq!(restored.engine.status(NoParams {}).await.unwrap().outbox, 0);
    assert_eq!(restored.bodies("alice").await.iter().filter(|body| *body == "in flight").count(), 1);
}
