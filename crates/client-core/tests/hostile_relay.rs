//! A relay that changes what it stores: flipped bits, replays, older lists. Its database is the real one, edited
//! while the relay is down.

use std::time::Duration;

use crate::support::{Person, TestRelay, pair};
use rusqlite::{Connection, params};
use subrosa_client_core::{
    Client, DeviceRequest, ErrorKind,
    api::{JoinParams, MessageStatus, NoParams, SendParams, WaitParams, WhoParams},
};

fn database(relay: &TestRelay) -> Connection {
    Connection::open(relay.dir.path().join("relay.db")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_with_one_flipped_signature_bit_starts_nothing() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let link = alice.link().await;
    relay.stop().await;
    let db = database(&relay);
    let (device, mut prekey): (i64, Vec<u8>) = db
        .query_row(
            "SELECT device.id, signed_prekey FROM device JOIN account ON account.id = device.account
             WHERE handle = 'alice'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    *prekey.last_mut().unwrap() ^= 1;
    db.execute("UPDATE device SET signed_prekey = ?2 WHERE id = ?1", params![device, prekey]).unwrap();
    drop(db);
    relay.restart().await;

    let refused = bob.engine.join(JoinParams { link }).await.unwrap_err();
    assert_eq!(refused.code, ErrorKind::IdentityChanged, "{refused:?}");
    assert!(bob.engine.contact_list(NoParams {}).await.unwrap().contacts.is_empty(), "nothing changed");

    // By handle the contact is there before the bundle is fetched: the message stays, sending stops, with a reason.
    let sent = bob.ask("alice", "secret").await;
    bob.notice("sending_stopped").await;
    let waiting = WaitParams { id: sent.id, status: MessageStatus::Sent, timeout_ms: 100 };
    let waiting = bob.engine.wait(waiting).await.unwrap();
    assert_eq!(waiting.status, MessageStatus::Queued);
    assert!(
        waiting.results[0].error.as_deref().unwrap_or_default().contains("keys that are not theirs"),
        "{waiting:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampered_and_replayed_envelopes_are_dropped_and_block_nothing() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    bob.engine.shutdown().await;
    let mut last = None;
    for text in ["first", "tampered", "third"] {
        last = Some(alice.send("bob", text).await);
    }
    alice.wait(last.as_ref().unwrap(), MessageStatus::Sent).await;
    relay.stop().await;

    // One bit of the second body; and the third envelope twice, under another sequence number.
    let db = database(&relay);
    let rows: Vec<(i64, i64, i64)> = db
        .prepare("SELECT device, seq, body FROM mailbox ORDER BY seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let (device, last_seq, last_body) = rows[rows.len() - 1];
    let (_, _, tampered) = rows[rows.len() - 2];
    let mut body: Vec<u8> =
        db.query_row("SELECT bytes FROM body WHERE id = ?1", params![tampered], |row| row.get(0)).unwrap();
    body[200] ^= 1;
    db.execute("UPDATE body SET bytes = ?2 WHERE id = ?1", params![tampered, body]).unwrap();
    replay(&db, device, last_seq, last_body);
    drop(db);

    relay.restart().await;
    bob.restart().await;
    bob.message("third").await;
    let after = alice.send("bob", "after").await;
    alice.wait(&after, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["first", "third", "after"]);
}

/// Copies a mailbox row to the end of the same mailbox.
fn replay(db: &Connection, device: i64, seq: i64, body: i64) {
    let columns: Vec<String> = db
        .prepare("SELECT name FROM pragma_table_info('mailbox')")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let next: i64 = db
        .query_row(
            "UPDATE device SET last_seq = last_seq + 1 WHERE id = ?1 RETURNING last_seq",
            params![device],
            |row| row.get(0),
        )
        .unwrap();
    let bytes: Vec<u8> = db.query_row("SELECT bytes FROM body WHERE id = ?1", params![body], |row| row.get(0)).unwrap();
    let new_body: i64 = db.query_row("SELECT max(id) + 1 FROM body", [], |row| row.get(0)).unwrap();
    let body_columns: Vec<String> = db
        .prepare("SELECT name FROM pragma_table_info('body')")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let select = |columns: &[String], change: &dyn Fn(&str) -> Option<String>| {
        columns.iter().map(|name| change(name).unwrap_or_else(|| name.clone())).collect::<Vec<_>>().join(", ")
    };
    let bodies = select(&body_columns, &|name| (name == "id").then(|| new_body.to_string()));
    db.execute(&format!("INSERT INTO body SELECT {bodies} FROM body WHERE id = {body}"), []).unwrap();
    assert_eq!(
        bytes,
        db.query_row("SELECT bytes FROM body WHERE id = ?1", params![new_body], |row| row.get::<_, Vec<u8>>(0))
            .unwrap()
    );
    let row = select(&columns, &|name| match name {
        "seq" => Some(next.to_string()),
        "body" => Some(new_body.to_string()),
        // The relay's own check for repeats is not what is tested here.
        "env_id" => Some("randomblob(16)".to_owned()),
        _ => None,
    });
    db.execute(&format!("INSERT INTO mailbox SELECT {row} FROM mailbox WHERE device = {device} AND seq = {seq}"), [])
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_list_older_than_the_known_one_stops_sending() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let old: Vec<u8> =
        database(&relay).query_row("SELECT list FROM account WHERE handle = 'alice'", [], |row| row.get(0)).unwrap();
    let second = DeviceRequest::new().unwrap();
    alice.engine.authorize_device(second.identity_key()).await.unwrap();
    // Bob learns the new list from Alice's next message.
    let sent = alice.send("bob", "I have two devices").await;
    alice.wait(&sent, MessageStatus::Delivered).await;
    bob.notice("new_device").await;
    assert_eq!(bob.contact("alice").await.devices, 2);

    relay.stop().await;
    database(&relay)
        .execute("UPDATE account SET list = ?1, list_version = 9 WHERE handle = 'alice'", params![old])
        .unwrap();
    relay.restart().await;
    let held = bob.send("alice", "for the right devices only").await;
    bob.notice("sending_stopped").await;
    let waiting = WaitParams { id: held.id, status: MessageStatus::Sent, timeout_ms: 100 };
    let waiting = bob.engine.wait(waiting).await.unwrap();
    assert_eq!(waiting.status, MessageStatus::Queued);
    assert!(waiting.results[0].error.as_deref().unwrap_or_default().contains("older device list"), "{waiting:?}");
    assert_eq!(bob.contact("alice").await.devices, 2, "the newer list stays");

    // The person decides to look again; the relay still lies, so it stops again.
    bob.engine.contact_accept(WhoParams { who: "alice".into() }).await.unwrap();
    let again = bob
        .engine
        .send(SendParams { to: "alice".into(), body: "still".into(), ..SendParams::default() })
        .await
        .unwrap();
    assert_eq!(again.status, MessageStatus::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capability_that_is_refused_keeps_the_message_and_names_the_reason() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    relay.stop().await;
    database(&relay).execute("UPDATE account SET delivery_key = randomblob(32) WHERE handle = 'alice'", []).unwrap();
    relay.restart().await;
    let sent = bob.send("alice", "into the void").await;
    // Whoever blocks somebody changes the key for all others, and hands it to them: it may still come.
    let reason = async {
        loop {
            let params = WaitParams { id: sent.id.clone(), status: MessageStatus::Sent, timeout_ms: 50 };
            let waiting = bob.engine.wait(params).await.unwrap();
            assert_eq!(waiting.status, MessageStatus::Queued);
            if let Some(reason) = waiting.results[0].error.clone() {
                return reason;
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_millis(crate::support::PATIENCE_MS), reason).await.unwrap();
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_restored_from_a_backup_is_told_everything_again() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    relay.stop().await;
    let db = database(&relay);
    db.execute("UPDATE meta SET value = randomblob(16) WHERE key LIKE '%epoch%'", []).unwrap();
    db.execute("DELETE FROM prekey", []).unwrap();
    db.execute("UPDATE account SET delivery_key = NULL", []).unwrap();
    drop(db);
    relay.restart().await;
    let waiting = async |person: &Person| {
        loop {
            let db = database(&relay);
            let told: i64 = db
                .query_row(
                    "SELECT count(*) FROM account JOIN device ON device.account = account.id
                     WHERE handle = ?1 AND delivery_key IS NOT NULL
                       AND (SELECT count(*) FROM prekey WHERE prekey.device = device.id) = 120",
                    params![person.name],
                    |row| row.get(0),
                )
                .unwrap();
            if told == 1 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    waiting(&alice).await;
    waiting(&bob).await;
    let sent = bob.send("alice", "as before").await;
    bob.wait(&sent, MessageStatus::Delivered).await;
}
