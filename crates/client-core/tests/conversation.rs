//! Two people, two relays: link, request, messages, receipts, restarts.

use crate::support::{PATIENCE_MS, Person, TestRelay, pair};
use subrosa_client_core::{
    Client, ErrorKind,
    account::{InitParams, init},
    api::{
        ContactState, InfoParams, JoinParams, MessageStatus, NoParams, SendParams, VerifyParams, WaitParams, WhoParams,
    },
    home::Home,
    repair::repair,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leads_to_a_conversation_over_two_relays() {
    let (first, second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;

    let joined = bob.join(&alice.link().await).await;
    assert_eq!((joined.name.as_str(), joined.state, joined.verified), ("alice", ContactState::Requested, true));
    // Written before alice has answered.
    let early = bob.send("alice", "early").await;
    bob.wait(&early, MessageStatus::Delivered).await;
    let seen = alice.contact_state("bob", ContactState::Ok).await;
    assert!(seen.origin.starts_with("joined with your link of"), "{}", seen.origin);
    assert!(!seen.verified, "a link verifies in one direction only");
    assert_eq!(bob.contact_state("alice", ContactState::Ok).await.origin, "you opened their link");

    for n in 0..5 {
        alice.send("bob", &format!("a{n}")).await;
        bob.send("alice", &format!("b{n}")).await;
    }
    let last = alice.send("bob", "done").await;
    alice.wait(&last, MessageStatus::Delivered).await;
    bob.message("done").await;
    bob.read("alice").await;
    alice.wait(&last, MessageStatus::Read).await;

    let info = alice.engine.info(InfoParams { id: last.id.clone() }).await.unwrap();
    assert_eq!((info.status, info.total), (MessageStatus::Read, 1));
    assert_eq!((info.sent.len(), info.delivered.len(), info.read.len()), (1, 1, 1));
    assert!(info.queued_ms <= info.sent[0].ts_ms && info.delivered[0].ts_ms <= info.read[0].ts_ms);
    assert_eq!(info.read[0].name, "bob");

    let written: Vec<String> = (0..5).map(|n| format!("a{n}")).collect();
    let arrived: Vec<String> = bob.bodies("alice").await.into_iter().filter(|body| body.starts_with('a')).collect();
    assert_eq!(arrived, written, "order holds");
    assert_eq!(alice.bodies("bob").await, bob.bodies("alice").await, "both see one order");

    let own = alice.engine.verify(VerifyParams { who: "bob".into(), number: None }).await.unwrap();
    let other = bob.engine.verify(VerifyParams { who: "alice".into(), number: None }).await.unwrap();
    assert_eq!(own.safety_number, other.safety_number);
    let wrong = VerifyParams { who: "bob".into(), number: Some("0".repeat(60)) };
    assert_eq!(alice.engine.verify(wrong).await.unwrap_err().code, ErrorKind::IdentityChanged);
    let short = VerifyParams { who: "bob".into(), number: Some("12345 67890".into()) };
    assert_eq!(alice.engine.verify(short).await.unwrap_err().code, ErrorKind::Usage);
    let right = VerifyParams { who: "bob".into(), number: Some(other.safety_number) };
    assert!(alice.engine.verify(right).await.unwrap().verified);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_the_answer_to_a_link_is_under_way_arrives() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    for name in ["bob", "carol", "dave", "eve"] {
        let guest = Person::new(&relay, name).await;
        guest.join(&alice.link().await).await;
        // She has used up the link; her delivery key is not there yet, or just now.
        alice.contact_state(name, ContactState::Ok).await;
        let written = guest.send("alice", "before your answer").await;
        guest.wait(&written, MessageStatus::Delivered).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_leads_to_a_request_that_can_be_accepted() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;

    let hello = alice.ask("bob", "may I?").await;
    alice.wait(&hello, MessageStatus::Sent).await;
    assert!(!alice.contact("bob").await.verified);
    let more = alice.send("bob", "and another thing").await;

    let request = bob.contact_state("alice", ContactState::Request).await;
    assert_eq!(request.origin, "wrote to your handle");
    bob.message("may I?").await;
    let refused = bob
        .engine
        .send(SendParams { to: "alice".into(), body: "no".into(), ..SendParams::default() })
        .await
        .unwrap_err();
    assert!(refused.hint.unwrap().contains("contact accept"));
    // No receipt before the request is accepted, and nothing after the first message.
    let waiting = WaitParams { id: more.id.clone(), status: MessageStatus::Sent, timeout_ms: 300 };
    let waiting = alice.engine.wait(waiting).await.unwrap();
    assert_eq!(waiting.status, MessageStatus::Queued);
    assert!(waiting.results[0].error.as_deref().unwrap_or_default().contains("waiting for bob to accept"));

    bob.engine.contact_accept(WhoParams { who: "alice".into() }).await.unwrap();
    alice.wait(&hello, MessageStatus::Delivered).await;
    alice.wait(&more, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["may I?", "and another thing"]);
    let answer = bob.send("alice", "yes").await;
    bob.wait(&answer, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_the_receiver_is_away_comes_once_and_in_order() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;

    bob.engine.shutdown().await;
    let mut last = None;
    for n in 0..10 {
        last = Some(alice.send("bob", &n.to_string()).await);
    }
    alice.wait(last.as_ref().unwrap(), MessageStatus::Sent).await;
    bob.restart().await;
    bob.message("9").await;
    bob.restart().await;
    let bodies: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(bob.bodies("alice").await, bodies);
    alice.wait(last.as_ref().unwrap(), MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_without_a_relay_goes_when_it_is_back() {
    let mut relay = TestRelay::start().await;
    let mut alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;

    relay.stop().await;
    let sent = alice.send("bob", "patience").await;
    assert_eq!(sent.status, MessageStatus::Queued);
    alice.restart().await;
    relay.restart().await;
    alice.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["patience"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_message_id_is_sent_once() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;

    let params =
        SendParams { to: "bob".into(), body: "once".into(), id: Some("ab".repeat(16)), ..SendParams::default() };
    let first = alice.engine.send(params.clone()).await.unwrap();
    let again = alice.engine.send(params).await.unwrap();
    assert_eq!((&first.id, first.ts_ms), (&again.id, again.ts_ms));
    alice.wait(&first, MessageStatus::Delivered).await;
    let end = alice.send("bob", "end").await;
    alice.wait(&end, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["once", "end"]);
    // Another text of ours with it is refused, one of theirs is another message.
    let other = |to: &str| SendParams {
        to: to.to_owned(),
        body: "another".into(),
        id: Some("ab".repeat(16)),
        ..SendParams::default()
    };
    assert_eq!(alice.engine.send(other("bob")).await.unwrap_err().code, ErrorKind::Usage);
    assert_ne!(bob.engine.send(other("alice")).await.unwrap().id, first.id);
    alice.message("another").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_works_once() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let carol = Person::new(&relay, "carol").await;
    let link = alice.link().await;

    bob.join(&link).await;
    alice.contact_state("bob", ContactState::Ok).await;
    let refused = carol.engine.join(JoinParams { link: link.clone() }).await.unwrap_err();
    assert_eq!(refused.code, ErrorKind::LinkUsed, "{refused:?}");
    assert!(carol.engine.contact_list(NoParams {}).await.unwrap().contacts.is_empty(), "nothing changed");
    // Opening it again by who is a contact already is harmless.
    bob.contact_state("alice", ContactState::Ok).await;
    bob.join(&link).await;

    let own = alice.engine.join(JoinParams { link: alice.link().await }).await.unwrap_err();
    assert_eq!(own.code, ErrorKind::Usage);
    let cut = bob.engine.join(JoinParams { link: link[..link.len() - 4].to_owned() }).await.unwrap_err();
    assert_eq!(cut.code, ErrorKind::Usage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_say_what_is_wrong() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let send = |to: &str, body: String| alice.engine.send(SendParams { to: to.into(), body, ..SendParams::default() });
    assert_eq!(send("nobody", "x".into()).await.unwrap_err().code, ErrorKind::NotFound);
    assert_eq!(send("not a handle", "x".into()).await.unwrap_err().code, ErrorKind::NotFound);
    assert_eq!(send("bob", String::new()).await.unwrap_err().code, ErrorKind::Usage);
    assert_eq!(send("bob", "x".repeat(60_001)).await.unwrap_err().code, ErrorKind::Usage);
    relay.stop().await;
    let asked = SendParams { to: "bob".into(), body: "x".into(), request: true, ..SendParams::default() };
    assert_eq!(alice.engine.send(asked).await.unwrap_err().code, ErrorKind::RelayUnreachable);
    let invite = alice.engine.invite(subrosa_client_core::api::InviteParams::default());
    assert_eq!(invite.await.unwrap_err().code, ErrorKind::RelayUnreachable);
    let drained =
        alice.engine.drain(subrosa_client_core::api::TimeoutParams { timeout_ms: PATIENCE_MS }).await.unwrap();
    assert!(!drained.done && drained.error.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_was_in_use_is_put_together_again_and_never_begun_anew() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let id = alice.id().await;
    alice.engine.shutdown().await;
    std::fs::remove_file(alice.dir.path().join("account.json")).unwrap();
    let home = Home::at(alice.dir.path());
    for name in ["alice", "alicia"] {
        let params = InitParams {
            relay: relay.url().parse().unwrap(),
            pin: None,
            handle: name.to_owned(),
            registration: None,
            network: subrosa_client_core::net::Network::direct(),
        };
        let refused =
            init(&home, params, &crate::support::passphrase(), |_| panic!("no new account is made")).await.unwrap_err();
        assert_eq!(refused.code, ErrorKind::DamagedStore, "{refused:?}");
        assert!(refused.hint.unwrap().contains("account repair"));
    }
    repair(&home, || Ok((&crate::support::passphrase()).into())).unwrap();
    assert_eq!(crate::support::start(alice.dir.path()).await.account(NoParams {}).await.unwrap().id, id);
}
