//! Attacks on what a client remembers, by a relay that edits its own database: a first message replayed
//! after everything else forgot it, accounts and handles swapped. `docs/threat-model.md` lists all of them.

use crate::support::{Person, TestRelay, pair};
use rusqlite::{Connection, params};
use subrosa_client_core::{
    Client, ErrorKind,
    api::{ContactState, JoinParams, MessageStatus, NoParams},
    home::Home,
    keys,
};
use subrosa_crypto::{AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair};

fn database(relay: &TestRelay) -> Connection {
    Connection::open(relay.dir.path().join("relay.db")).unwrap()
}

/// The encrypted store of somebody whose engine is stopped.
fn store(person: &Person) -> Connection {
    let key = keys::unlock(&Home::at(person.dir.path()), &crate::support::passphrase()).unwrap();
    let db = Connection::open(person.dir.path().join("store.db")).unwrap();
    db.execute_batch(&format!("PRAGMA key = \"x'{}'\";", hex::encode(key.as_bytes()))).unwrap();
    db
}

fn count(db: &Connection, table: &str) -> i64 {
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Everything that waits in a relay's mailboxes, again, under new numbers.
fn replay_saved(db: &Connection) {
    db.execute_batch(
        "UPDATE device SET last_seq = last_seq + 1, waiting_rows = waiting_rows + 1
             WHERE id IN (SELECT device FROM saved_mailbox);
         UPDATE saved_mailbox SET seq = (SELECT last_seq FROM device WHERE device.id = saved_mailbox.device),
             env_id = randomblob(16);
         INSERT OR REPLACE INTO body SELECT * FROM saved_body;
         INSERT INTO mailbox SELECT * FROM saved_mailbox;",
    )
    .unwrap();
}

async fn until_empty(relay: &TestRelay) {
    let db = database(relay);
    while count(&db, "mailbox") > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_first_message_to_a_last_resort_key_opens_no_second_session() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    bob.engine.shutdown().await;
    // By handle and without a capability: with the last-resort key, which Bob keeps.
    let hello = alice.ask("bob", "may I?").await;
    alice.wait(&hello, MessageStatus::Sent).await;
    alice.engine.shutdown().await;
    relay.stop().await;
    database(&relay)
        .execute_batch(
            "CREATE TABLE saved_mailbox AS SELECT * FROM mailbox; CREATE TABLE saved_body AS SELECT * FROM body;",
        )
        .unwrap();
    assert_eq!(count(&database(&relay), "saved_mailbox"), 1);
    relay.restart().await;
    bob.restart().await;
    bob.message("may I?").await;
    until_empty(&relay).await;

    // The session is long gone, and the envelope's id forgotten; once the base key too, to see that it is this
    // what stops the replay.
    for (forget, sessions) in [("", 0), ("DELETE FROM base_key;", 1)] {
        bob.engine.shutdown().await;
        relay.stop().await;
        store(&bob).execute_batch(&format!("DELETE FROM envelope; DELETE FROM session; {forget}")).unwrap();
        replay_saved(&database(&relay));
        relay.restart().await;
        bob.restart().await;
        until_empty(&relay).await;
        bob.engine.shutdown().await;
        let store = store(&bob);
        assert_eq!(count(&store, "session"), sessions, "sessions after forgetting: {forget:?}");
        assert_eq!(count(&store, "message"), 1, "delivered once");
        drop(store);
        bob.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_does_not_lead_to_an_account_that_the_relay_puts_in_its_place() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let _mallory = Person::new(&relay, "mallory").await;
    let bob = Person::new(&relay, "bob").await;
    let link = alice.link().await;
    // The id of the link leads to Mallory's record and list; then to Alice's record with Mallory's list.
    for swapped in ["record, list", "list"] {
        relay.stop().await;
        let db = database(&relay);
        db.execute_batch("CREATE TABLE IF NOT EXISTS saved AS SELECT * FROM account;").unwrap();
        db.execute_batch("UPDATE account SET (record, list) = (SELECT record, list FROM saved WHERE id = account.id);")
            .unwrap();
        db.execute(
            &format!(
                "UPDATE account SET ({swapped}) = (SELECT {swapped} FROM saved WHERE handle = 'mallory')
                 WHERE handle = 'alice'"
            ),
            [],
        )
        .unwrap();
        drop(db);
        relay.restart().await;
        let refused = bob.engine.join(JoinParams { link: link.clone() }).await.unwrap_err();
        assert_eq!(refused.code, ErrorKind::IdentityChanged, "{swapped}: {refused:?}");
        assert!(bob.engine.contact_list(NoParams {}).await.unwrap().contacts.is_empty(), "nothing changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_changes_its_account_does_not_redirect_a_contact() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mallory = Person::new(&relay, "mallory").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let before = bob.contact("alice").await;
    relay.stop().await;
    database(&relay)
        .execute_batch(
            "UPDATE account SET handle = 'nobody' WHERE handle = 'alice';
             UPDATE account SET handle = 'alice' WHERE handle = 'mallory';",
        )
        .unwrap();
    relay.restart().await;
    let sent = bob.send("alice", "for Alice").await;
    bob.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(alice.bodies("bob").await, ["for Alice"]);
    assert!(mallory.engine.contact_list(NoParams {}).await.unwrap().contacts.is_empty());
    assert_eq!(bob.contact("alice").await.id, before.id);
    assert_eq!(bob.contact("alice").await.state, ContactState::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_uses_a_device_number_again_stops_sending() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    alice.engine.shutdown().await;
    relay.stop().await;
    // With Alice's own account key: a newer list with another key in the place of her only device.
    let (record, seed): (Vec<u8>, Vec<u8>) = store(&alice)
        .query_row("SELECT record, account_seed FROM account", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let record = AccountRecord::decode(&record).unwrap();
    let key = AccountKeyPair::from_seed(&seed.try_into().unwrap());
    let identity = IdentityKeyPair::generate().unwrap().public();
    let certificate = DeviceCertificate::issue(&key, &record.id(), 1, &identity, 2);
    let list = DeviceList::issue(&key, &record, 2, 1_000, 1, vec![certificate]).unwrap();
    database(&relay)
        .execute("UPDATE account SET list = ?1, list_version = 2 WHERE handle = 'alice'", params![list.encode()])
        .unwrap();
    relay.restart().await;
    bob.send("alice", "for the right device only").await;
    let notice = bob.notice("sending_stopped").await;
    assert!(notice.text.contains("number of an earlier device"), "{notice:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_another_account_stops_sending() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let _mallory = Person::new(&relay, "mallory").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    relay.stop().await;
    // A well-signed list, under a version that makes the relay hand it out.
    database(&relay)
        .execute(
            "UPDATE account SET list = (SELECT list FROM account WHERE handle = 'mallory'), list_version = ?1
             WHERE handle = 'alice'",
            params![9],
        )
        .unwrap();
    relay.restart().await;
    bob.send("alice", "for the right devices only").await;
    bob.notice("sending_stopped").await;
    assert_eq!(bob.contact("alice").await.devices, 1);
}
