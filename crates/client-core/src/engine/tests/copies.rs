//! Logins that are cut off, and relays that contradict themselves about copies.

use sha2::{Digest as _, Sha256};

use super::{support::Person, support::TestRelay, support::pair};
use crate::{
    Client as _,
    api::{MessageStatus, NoParams},
};

/// The relay forgets the last login and keeps this one.
fn keep_at_relay(relay: &TestRelay, name: &str, mark: Option<[u8; 16]>) {
    let db = rusqlite::Connection::open(relay.dir.path().join("relay.db")).unwrap();
    let hash: Option<[u8; 32]> = mark.map(|mark| Sha256::digest(mark).into());
    let changed = db.execute(
        "UPDATE device SET login_mark = ?2 WHERE account = (SELECT id FROM account WHERE handle = ?1)",
        rusqlite::params![name, hash],
    );
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_cut_off_before_its_answer_is_followed_by_one_that_fits() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    // Far more than are shown; the relay got the first of them, one in the middle, the last, or none.
    for kept in [Some(0), Some(3), Some(11), None] {
        bob.engine.shutdown().await;
        relay.stop().await;
        bob.restart().await;
        let cut_off = bob.inside(|core| (0..12).map(|_| core.login_marks().unwrap().mark).collect::<Vec<_>>()).await;
        assert_eq!(cut_off[6], cut_off[11], "with so many unanswered the last one has to do again");
        bob.engine.shutdown().await;
        if let Some(kept) = kept {
            keep_at_relay(&relay, "bob", Some(cut_off[kept]));
        }
        relay.restart().await;
        bob.restart().await;
        let sent = bob.send("alice", "I go on").await;
        bob.wait(&sent, MessageStatus::Delivered).await;
        assert_eq!(bob.count("SELECT length(login_marks) FROM account").await, 16, "only the confirmed one is kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_forgot_its_marks_stops_nobody_and_one_that_lies_about_them_not_for_ever() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    relay.stop().await;
    keep_at_relay(&relay, "bob", None);
    relay.restart().await;
    let sent = bob.send("alice", "known again").await;
    bob.wait(&sent, MessageStatus::Delivered).await;

    relay.stop().await;
    keep_at_relay(&relay, "bob", Some([0; 16]));
    relay.restart().await;
    bob.notice("other_copy").await;
    let sent = bob.send("alice", "I know better").await;
    assert_eq!(bob.engine.account_keep(NoParams {}).await.unwrap().count, 1);
    bob.wait(&sent, MessageStatus::Delivered).await;
}
