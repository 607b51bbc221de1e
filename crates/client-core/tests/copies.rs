//! Two live copies of one directory: one of them goes on, the other one is told, and a person chooses.

use crate::support::{PATIENCE_MS, Person, TestRelay, copied, pair};
use subrosa_client_core::{
    Client,
    api::{Connection, MessageStatus, NoParams, SendParams, TimeoutParams},
};

/// It says why nothing goes, with the command, wherever one looks.
async fn assert_stopped(person: &Person) {
    let notice = person.notice("other_copy").await;
    assert!(notice.text.contains("subrosa account keep-this-copy"), "{notice:?}");
    let drained = person.engine.drain(TimeoutParams { timeout_ms: PATIENCE_MS }).await.unwrap();
    assert!(!drained.done && drained.error.unwrap().contains("subrosa account keep-this-copy"));
    let status = person.engine.status(NoParams {}).await.unwrap();
    assert_eq!(status.relay, Connection::Displaced);
    assert!(status.error.unwrap().contains("subrosa account keep-this-copy"));
    let checkup = person.engine.doctor(NoParams {}).await.unwrap();
    let check = checkup.checks.iter().find(|check| check.name == "relay").unwrap();
    assert!(check.fix.as_deref().unwrap().contains("subrosa account keep-this-copy"), "{check:?}");
}

async fn keep(person: &Person) -> u64 {
    person.engine.account_keep(NoParams {}).await.unwrap().count
}

async fn delivered(from: &Person, to: &str, body: &str) {
    let sent = from.send(to, body).await;
    from.wait(&sent, MessageStatus::Delivered).await;
}

fn marks(relay: &TestRelay) -> i64 {
    let db = rusqlite::Connection::open(relay.dir.path().join("relay.db")).unwrap();
    db.query_row("SELECT count(*) FROM device WHERE length(login_mark) = 32", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_live_copies_the_second_one_sends_nothing_until_it_is_chosen() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    bob.engine.shutdown().await;
    let copy = copied(bob.dir.path());
    bob.restart().await;
    delivered(&alice, "bob", "to the first").await;

    let copy = Person { engine: crate::support::start(copy.path()).await, dir: copy, name: "bob".into() };
    let queued = copy.send("alice", "from the copy").await;
    assert_stopped(&copy).await;
    // Nobody waits for it: there is nothing that could go.
    copy.settled().await;
    assert_eq!(copy.engine.status(NoParams {}).await.unwrap().outbox, 1);
    // Also after a restart, and the first one never noticed.
    copy.engine.shutdown().await;
    let copy = Person { engine: crate::support::start(copy.dir.path()).await, ..copy };
    assert_stopped(&copy).await;
    delivered(&bob, "alice", "from the first").await;
    delivered(&alice, "bob", "and back").await;
    assert_eq!(alice.bodies("bob").await, ["to the first", "from the first", "and back"]);
    assert!(copy.bodies("alice").await.iter().all(|body| body == "from the copy"), "it fetched nothing");

    // The person chooses: what waited goes, and the other one is told.
    assert_eq!(keep(&copy).await, 1);
    copy.notice("restored").await;
    copy.wait(&queued, MessageStatus::Delivered).await;
    alice.message("from the copy").await;
    delivered(&alice, "bob", "to the copy").await;
    copy.message("to the copy").await;
    assert_stopped(&bob).await;
    let late = bob.send("alice", "from the first again").await;
    bob.settled().await;
    delivered(&copy, "alice", "still the copy").await;
    assert!(!alice.bodies("bob").await.contains(&"from the first again".to_owned()));
    assert_eq!(keep(&copy).await, 0, "it goes on already");

    // Back again.
    assert_eq!(keep(&bob).await, 1);
    bob.wait(&late, MessageStatus::Delivered).await;
    alice.message("from the first again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_of_the_same_store_goes_on() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    for round in 0..3 {
        bob.restart().await;
        delivered(&bob, "alice", &format!("process {round}")).await;
    }
    relay.restart().await;
    delivered(&alice, "bob", "over a new connection").await;
    assert_eq!(marks(&relay), 2);
    let page = bob.engine.events(subrosa_client_core::api::EventsParams { since: Some(0), max: None, wait_ms: 0 });
    assert!(!format!("{:?}", page.await.unwrap()).contains("other_copy"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_connected_account_that_fell_behind_acknowledges_nothing() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    bob.settled().await;
    // Of a running engine: both would show the same mark.
    let copy = copied(bob.dir.path());
    delivered(&alice, "bob", "only here").await;
    let acknowledged = || {
        let db = rusqlite::Connection::open(relay.dir.path().join("relay.db")).unwrap();
        db.query_row("SELECT count(*) FROM mailbox", [], |row| row.get::<_, i64>(0)).unwrap() == 0
    };
    while !acknowledged() {
        tokio::task::yield_now().await;
    }
    let copy = Person { engine: crate::support::start(copy.path()).await, dir: copy, name: "bob".into() };
    assert_stopped(&copy).await;
    // It was let in, so the first one was put out. Neither sends, until one is chosen.
    assert_stopped(&bob).await;
    let waits = alice.send("bob", "for the one that is chosen").await;
    alice.wait(&waits, MessageStatus::Sent).await;
    assert!(!acknowledged(), "nobody fetched it");
    assert_eq!(keep(&bob).await, 1);
    bob.message("for the one that is chosen").await;
    alice.wait(&waits, MessageStatus::Delivered).await;
    delivered(&bob, "alice", "here I am").await;
    assert_stopped(&copy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_without_a_relay_holds_when_it_is_back() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    bob.engine.shutdown().await;
    let copy = copied(bob.dir.path());
    bob.restart().await;
    delivered(&bob, "alice", "first").await;
    bob.engine.shutdown().await;
    let copy = Person { engine: crate::support::start(copy.path()).await, dir: copy, name: "bob".into() };
    assert_stopped(&copy).await;
    relay.stop().await;
    assert_eq!(keep(&copy).await, 1);
    let body = SendParams { to: "alice".into(), body: "chosen meanwhile".into(), ..SendParams::default() };
    let sent = copy.engine.send(body).await.unwrap();
    copy.engine.shutdown().await;
    relay.restart().await;
    let copy = Person { engine: crate::support::start(copy.dir.path()).await, ..copy };
    copy.wait(&sent, MessageStatus::Delivered).await;
    bob.restart().await;
    assert_stopped(&bob).await;
}
