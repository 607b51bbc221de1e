//! What only a newer program knows, and what is sent again whatever it was.

use prost::Message as _;
use subrosa_wire::DeviceAddress;

use super::{support::Person, support::TestRelay, support::pair};

use crate::{
    Client as _,
    api::{MessageStatus, NoParams},
    content::{Body, CONTENTS_KNOWN, Content, Receipt, ReceiptItem, Text},
    engine::core::{ids::random_id, now_ms},
    store,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_program_kept_unread_is_read_after_an_update() {
    let relay = TestRelay::start().await;
    let mut alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    bob.send("alice", "of a new kind").await;
    let came = alice.message("of a new kind").await;
    let ours = alice.send("bob", "read it?").await;
    alice.wait(&ours, MessageStatus::Delivered).await;
    let account = bob.account().await;
    // As if texts and read receipts had been unknown when they came.
    let id = ours.id.clone();
    alice
        .inside(move |core| {
            let conversation = core.own.chat_with(&account).0.to_vec();
            let content = |body| Content {
                version: 1,
                random: random_id().unwrap().to_vec(),
                sent_ms: now_ms(),
                list_hash: vec![7; 32],
                body: Some(body),
                ..Content::default()
            };
            let text = Text { text: "of a new kind".into(), ..Text::default() };
            let line = Content { conversation: conversation.clone(), shown: true, ..content(Body::Text(text)) };
            core.db
                .execute("UPDATE message SET raw = ?1, body = '' WHERE body = 'of a new kind'", [line.encode_to_vec()])
                .unwrap();
            let item = ReceiptItem { message_id: hex::decode(&id).unwrap(), ts_ms: now_ms(), conversation };
            let receipt = content(Body::Receipt(Receipt { status: 1, items: vec![item] }));
            let sender = DeviceAddress { account, device: 1 };
            store::kept::put(&core.db, &sender, &receipt.encode_to_vec(), now_ms()).unwrap();
            // Of a kind that this program does not know either.
            store::kept::put(&core.db, &sender, b"\xa2\x06\x02hi", now_ms()).unwrap();
            store::account::set_contents_known(&core.db, CONTENTS_KNOWN - 1).unwrap();
        })
        .await;
    assert!(alice.history("bob").await.iter().any(|message| message.unknown && message.id == came.id));
    assert_eq!(alice.found("kind").await, 0);

    alice.restart().await;
    let read = alice.history("bob").await.into_iter().find(|message| message.id == came.id).unwrap();
    assert!(!read.unknown && read.body == "of a new kind");
    assert_eq!(alice.found("kind").await, 1, "and the search finds it");
    alice.wait(&ours, MessageStatus::Read).await;
    assert_eq!(alice.count("SELECT count(*) FROM kept_content").await, 1, "what is still unknown waits on");
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().unread, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_could_not_be_decrypted_is_sent_again_like_any_content() {
    let (mut first, second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;
    pair(&alice, &bob).await;
    let hello = alice.send("bob", "hello").await;
    alice.wait(&hello, MessageStatus::Delivered).await;
    alice.settled().await;
    // Bob gets it, and his receipt waits for Alice's relay, sealed in a session that she loses.
    first.stop().await;
    let sent = alice.send("bob", "are you there?").await;
    bob.message("are you there?").await;
    let target = alice.account().await;
    while !bob
        .inside(move |core| store::deliveries::all_for(&core.db, &target).unwrap().iter().any(|row| row.sealed))
        .await
    {
        tokio::task::yield_now().await;
    }
    alice.lose_sessions().await;
    first.restart().await;
    alice.wait(&sent, MessageStatus::Delivered).await;
}

impl Person {
    /// How many messages the search finds.
    async fn found(&self, word: &str) -> usize {
        let params = crate::api::SearchParams { query: word.into(), ..crate::api::SearchParams::default() };
        self.engine.search(params).await.unwrap().hits.len()
    }
}
