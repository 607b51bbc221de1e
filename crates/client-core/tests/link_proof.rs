//! A contact link proves who has it to whoever made it, and to nobody else: what a relay sees of it does not let the relay, or
//! another person, in.

use crate::support::{Person, TestRelay};
use rusqlite::{Connection, params, params_from_iter, types::Value};
use subrosa_client_core::{
    Client,
    api::{ContactState, MessageStatus, NoParams},
    chat_id,
    home::Home,
    keys,
};

/// The encrypted store of somebody whose engine is stopped.
fn store(person: &Person) -> Connection {
    let key = keys::unlock(&Home::at(person.dir.path()), &crate::support::passphrase()).unwrap();
    let db = Connection::open(person.dir.path().join("store.db")).unwrap();
    db.execute_batch(&format!("PRAGMA key = \"x'{}'\";", hex::encode(key.as_bytes()))).unwrap();
    db
}

/// The one row of a table, as columns and values.
type Row = (Vec<String>, Vec<Value>);

/// The one contact in a store, and who they are.
fn only_contact(store: &Connection) -> [(&'static str, Row); 2] {
    ["peer", "contact"].map(|table| (table, only_row(store, table)))
}

fn only_row(store: &Connection, table: &str) -> Row {
    let mut statement = store.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
    let values = statement
        .query_row([], |row| (0..columns.len()).map(|at| row.get(at)).collect::<Result<Vec<Value>, _>>())
        .unwrap();
    (columns, values)
}

/// Somebody who knows of a link what these rows say, but for the proof.
async fn impostor(
    relay: &TestRelay,
    name: &str,
    known: &[(&str, Row)],
    inviter: &str,
    proof: Option<[u8; 32]>,
) -> Person {
    let mut person = Person::new(relay, name).await;
    let chat = hex::decode(chat_id(&person.id().await, inviter).unwrap()).unwrap();
    person.engine.shutdown().await;
    let db = store(&person);
    for (table, (columns, values)) in known {
        let marks = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", "));
        db.execute(&insert, params_from_iter(values)).unwrap();
    }
    db.execute("INSERT INTO conversation (id, kind, since_ms) VALUES (?1, 2, 0)", params![chat]).unwrap();
    let inviter = hex::decode(inviter).unwrap();
    db.execute(
        "INSERT INTO participant (conversation, account, role, since_ms) VALUES (?1, ?2, 1, 0)",
        params![chat, inviter],
    )
    .unwrap();
    db.execute("UPDATE contact SET introduced = 0, answered = 0", []).unwrap();
    if let Some(proof) = proof {
        db.execute("UPDATE contact SET link_proof = ?1", params![proof]).unwrap();
    }
    drop(db);
    person.restart().await;
    person
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_does_not_join_with_the_token_it_saw() {
    let mut relay = TestRelay::start().await;
    let mut alice = Person::new(&relay, "alice").await;
    let (link, inviter) = (alice.link().await, alice.id().await);
    alice.engine.shutdown().await;
    let mut bob = Person::new(&relay, "bob").await;
    bob.join(&link).await;
    let sent = bob.send("alice", "kept back").await;
    bob.wait(&sent, MessageStatus::Sent).await;
    bob.engine.shutdown().await;
    // Token and binding went to the relay with Bob's envelopes. It keeps them back and is the first to come.
    relay.stop().await;
    Connection::open(relay.dir.path().join("relay.db"))
        .unwrap()
        .execute_batch("DELETE FROM mailbox; DELETE FROM body; UPDATE device SET waiting_rows = 0, waiting_bytes = 0;")
        .unwrap();
    relay.restart().await;
    let known = only_contact(&store(&bob));
    // With a proof that it made up; and with Bob's, which no relay sees, for an account that is not Bob's.
    let made_up = impostor(&relay, "mallory", &known, &inviter, Some([7; 32])).await;
    let moved = impostor(&relay, "trudy", &known, &inviter, None).await;
    for person in [&made_up, &moved] {
        let sent = person.send("alice", "I am the one you invited").await;
        person.wait(&sent, MessageStatus::Sent).await;
    }
    alice.restart().await;
    bob.restart().await;
    bob.send("alice", "here I am").await;
    alice.message("here I am").await;
    let contacts = alice.engine.contact_list(NoParams {}).await.unwrap().contacts;
    assert_eq!(contacts.len(), 1, "neither a contact nor a request of anybody else: {contacts:?}");
    assert_eq!((contacts[0].name.as_str(), contacts[0].state), ("bob", ContactState::Ok));
    assert!(contacts[0].origin.starts_with("joined with your link of"), "{}", contacts[0].origin);
    assert!(!contacts[0].verified, "of a joiner it is known that they had the link");
}
