//! Contact links that are open: seen without their secret, and taken back, so that nobody gets in any more.

use crate::support::{PATIENCE_MS, Person, TestRelay, pair};
use subrosa_client_core::{
    Client, ErrorKind,
    api::{InviteInfo, InviteRevokeParams, JoinParams, MessageStatus, NoParams, TimeoutParams},
};

async fn open(person: &Person) -> Vec<InviteInfo> {
    person.engine.invite_list(NoParams {}).await.unwrap().invites
}

fn which(id: &str) -> InviteRevokeParams {
    InviteRevokeParams { id: id.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_revoked_lets_nobody_in() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let (bob, carol) = (Person::new(&relay, "bob").await, Person::new(&relay, "carol").await);
    let (link, other) = (alice.link().await, alice.link().await);
    let links = open(&alice).await;
    assert_eq!(links.len(), 2);
    assert!(links.iter().all(|link| link.used_by.is_none() && link.created_ms < link.expires_ms && link.id.len() == 8));
    // What is shown opens nothing: no part of a link's secret half is in it.
    let shown = format!("{links:?}");
    let secret = link.split('#').nth(1).unwrap();
    assert!((0..secret.len() - 8).all(|at| !shown.contains(&secret[at..at + 8])), "{shown}");

    for (id, kind) in [("", ErrorKind::Usage), ("12", ErrorKind::Usage), ("the first", ErrorKind::Usage)] {
        assert_eq!(alice.engine.invite_revoke(which(id)).await.unwrap_err().code, kind, "{id}");
    }
    let absent = ["0000", "ffff"].into_iter().find(|id| links.iter().all(|link| !link.id.starts_with(id))).unwrap();
    assert_eq!(alice.engine.invite_revoke(which(absent)).await.unwrap_err().code, ErrorKind::NotFound);
    assert_eq!(open(&alice).await, links, "nothing was taken back");

    // Both were made within a millisecond or two, so which is which is found by trying: one of them still works.
    let done = alice.engine.invite_revoke(which(&links[0].id[..6])).await.unwrap();
    assert_eq!((done.id.as_deref(), done.count), (Some(links[0].id.as_str()), 1));
    assert_eq!(open(&alice).await, links[1..]);
    assert_eq!(alice.engine.invite_revoke(which(&links[0].id)).await.unwrap_err().code, ErrorKind::NotFound);
    let mut refused = 0;
    for (joiner, link) in [(&bob, &link), (&carol, &other)] {
        match joiner.engine.join(JoinParams { link: link.clone() }).await {
            Ok(contact) => assert_eq!(contact.name, "alice"),
            Err(error) => {
                assert_eq!(error.code, ErrorKind::LinkUsed, "the relay has forgotten it: {error:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_took_a_link_before_it_was_revoked_is_refused_by_the_engine() {
    let mut relay = TestRelay::start().await;
    let mut alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let link = alice.link().await;
    alice.engine.shutdown().await;
    // The relay lets Bob in; his introduction waits for Alice.
    bob.join(&link).await;
    let sent = bob.send("alice", "I have your link").await;
    bob.wait(&sent, MessageStatus::Sent).await;
    relay.stop().await;
    alice.restart().await;
    // Without the relay: void here at once.
    let id = open(&alice).await.remove(0).id;
    alice.engine.invite_revoke(which(&id)).await.unwrap();
    assert!(open(&alice).await.is_empty());
    relay.restart().await;
    // It is told as soon as it is there, and what waited there has come.
    let drained = TimeoutParams { timeout_ms: PATIENCE_MS };
    assert!(alice.engine.drain(drained).await.unwrap().done);
    let contacts = alice.engine.contact_list(NoParams {}).await.unwrap().contacts;
    assert!(contacts.is_empty(), "neither a contact nor a request: {contacts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_used_names_who_joined_and_is_not_revoked() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let links = open(&alice).await;
    assert_eq!(links[0].used_by.as_ref().map(|person| person.name.as_str()), Some("bob"));
    let error = alice.engine.invite_revoke(which(&links[0].id)).await.unwrap_err();
    assert_eq!(error.code, ErrorKind::Failed);
    assert!(error.message.contains("bob joined with this link") && error.hint.is_some(), "{error:?}");
    assert_eq!(open(&alice).await, links);
}
