//! A conversation of several people: everything that carries a message asks nowhere how many there are. Who is in it is put into
//! the stores here; who belongs to a conversation, and how that changes, is not this layer's.

use subrosa_wire::AccountId;

use super::support::{Person, TestRelay, pair};
use crate::{
    Client as _,
    api::{ChatKind, ContactState, Event, MessageStatus, SendParams, Sent, WhoParams},
    conversation::ConversationId,
    engine::core::now_ms,
    store::{conversations, peers, peers::PeerRow},
};

const ALL: ConversationId = ConversationId([0x47; 32]);

impl Person {
    /// What a member gives to the others of a conversation.
    async fn as_peer(&self) -> PeerRow {
        self.inside(|core| {
            let own = &core.own;
            let mut peer = PeerRow::new(own.record, own.handle.clone(), own.relay.clone());
            peer.member_key = Some(own.member_key.clone());
            peer
        })
        .await
    }

    /// Gives the ids of those that this one knows to be in the conversation.
    async fn enters(&self, others: Vec<PeerRow>) {
        self.inside(move |core| {
            let ids: Vec<AccountId> = others.iter().map(|peer| peer.account).collect();
            for peer in others {
                if peers::get(&core.db, &peer.account).unwrap().is_none() {
                    peers::put(&core.db, &peer).unwrap();
                }
            }
            conversations::ensure(&core.db, &ALL, ChatKind::Group, &ids, now_ms()).unwrap();
        })
        .await;
    }

    async fn says(&self, body: &str) -> Sent {
        self.send(&ALL.to_string(), body).await
    }

    async fn hears(&self, body: &str) -> String {
        let message = self.message(body).await;
        assert_eq!((message.chat, message.chat_kind), (ALL.to_string(), ChatKind::Group));
        message.id
    }

    async fn sees(&self) -> Vec<String> {
        self.bodies(&ALL.to_string()).await
    }
}

/// A conversation of all these.
async fn together(people: &[&Person]) {
    for person in people {
        let mut others = Vec::new();
        for other in people.iter().filter(|other| other.name != person.name) {
            others.push(other.as_peer().await);
        }
        person.enters(others).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_hear_each_other_though_they_are_no_contacts_and_one_relay_is_away() {
    let (relay, mut far) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let carol = Person::new(&far, "carol").await;
    // Carol knows Alice; Bob is nobody's contact.
    pair(&alice, &carol).await;
    together(&[&alice, &bob, &carol]).await;

    let first = alice.says("to all").await;
    assert_eq!(first.results.len(), 2);
    let delivered = alice.wait(&first, MessageStatus::Delivered).await;
    assert!(delivered.results.iter().all(|result| result.status == MessageStatus::Delivered), "{delivered:?}");
    bob.hears("to all").await;
    let answer = bob.says("from nobody's contact").await;
    bob.wait(&answer, MessageStatus::Delivered).await;
    carol.hears("from nobody's contact").await;
    // Nobody became a contact by that, or asked to be one.
    assert!(bob.engine.contact_list(crate::api::NoParams {}).await.unwrap().contacts.is_empty());
    assert_eq!(carol.contact("alice").await.state, ContactState::Ok);
    assert!(carol.engine.contact_show(WhoParams { who: "bob".into() }).await.is_err());

    // One who asks to be a contact stays where they are known to be: what a request claims is the own relay's.
    let (before, bobs) = (bob.as_peer().await, bob.account().await);
    bob.ask("alice", "may I?").await;
    alice.message("may I?").await;
    let after = alice.inside(move |core| peers::get(&core.db, &bobs).unwrap().unwrap()).await;
    assert_eq!((after.relay, after.pin), (before.relay, before.pin));
    assert!(after.list.is_some(), "his devices stay known");

    // Who is away holds up nobody else.
    far.stop().await;
    let meanwhile = alice.says("while carol's relay is away").await;
    let id = bob.hears("while carol's relay is away").await;
    let bobs = bobs.to_string();
    let status = alice
        .event(|event| match event {
            Event::Receipt(receipt) if receipt.id == meanwhile.id && receipt.by == bobs => Some(receipt.overall),
            _ => None,
        })
        .await;
    assert_eq!(status, MessageStatus::Queued, "one of two has it");
    far.restart().await;
    alice.wait(&meanwhile, MessageStatus::Delivered).await;

    // Read is what all have read.
    bob.read(&id).await;
    carol.hears("while carol's relay is away").await;
    carol.read(&id).await;
    alice.wait(&meanwhile, MessageStatus::Read).await;
    let all = alice.sees().await;
    assert_eq!(all, ["to all", "from nobody's contact", "while carol's relay is away"]);
    assert_eq!(bob.sees().await, all);
    assert_eq!(carol.sees().await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fellow_member_is_healed_and_one_who_was_removed_as_a_contact_stays_a_fellow() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    together(&[&alice, &bob]).await;
    alice.send("bob", "for you alone").await;
    bob.message("for you alone").await;
    let bobs = bob.id().await;
    alice.engine.contact_remove(WhoParams { who: "bob".into() }).await.unwrap();
    alice.removed(&bobs).await;
    assert!(alice.engine.contact_show(WhoParams { who: "bob".into() }).await.is_err());

    // Who is removed loses the key that they had; the conversation brings the new one.
    let alices = alice.as_peer().await;
    bob.inside(move |core| {
        let peer = peers::get(&core.db, &alices.account).unwrap().unwrap();
        peers::put(&core.db, &PeerRow { delivery_key: alices.delivery_key, ..peer }).unwrap();
    })
    .await;
    let sent = bob.says("still here").await;
    alice.hears("still here").await;
    bob.wait(&sent, MessageStatus::Delivered).await;
    bob.lose_sessions().await;
    alice.says("after bob lost his sessions").await;
    bob.hears("after bob lost his sessions").await;
    let again = bob.says("and heard it").await;
    alice.hears("and heard it").await;
    bob.wait(&again, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_or_somebody_blocked_puts_into_a_conversation_is_not_shown() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let eve = Person::new(&relay, "eve").await;
    pair(&alice, &bob).await;
    pair(&alice, &eve).await;
    together(&[&alice, &bob]).await;
    // Eve, a contact who is not in it, says that she is.
    let alices = alice.as_peer().await;
    eve.enters(vec![alices]).await;
    let inside = eve.says("let me in").await;
    eve.wait(&inside, MessageStatus::Sent).await;
    let alone = eve.send("alice", "for you alone").await;
    eve.wait(&alone, MessageStatus::Delivered).await;
    bob.says("only we two").await;
    alice.hears("only we two").await;
    assert_eq!(alice.sees().await, ["only we two"], "what came from eve before is not there");

    alice.engine.contact_block(WhoParams { who: "bob".into() }).await.unwrap();
    let ours =
        alice.engine.send(SendParams { to: ALL.to_string(), body: "bob is blocked".into(), ..SendParams::default() });
    let ours = ours.await.unwrap();
    assert_eq!(ours.results.len(), 1, "{ours:?}");
    assert_eq!(ours.results[0].to, alice.id().await, "nothing leaves for somebody blocked");
}
