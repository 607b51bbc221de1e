//! A relay that is drained, started again and restored from a backup, while two people talk through it.

use crate::support::{Account, Relay, Running, connect};
use serde_json::Value;

/// The text of the next message that came in.
fn heard(listening: &Running) -> String {
    let line = listening.wait_for(|line| line["type"] == "message" && line["outgoing"] == false);
    line["body"].as_str().unwrap().to_owned()
}

fn send(from: &Account, to: &str, text: &str) {
    from.run(&["send", to, "-m", text, "--wait", "delivered"]).ok();
}

#[test]
fn a_conversation_survives_drain_restart_and_restore_and_loses_nothing() {
    let mut relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    let (alices, bobs) = (alice.listen(&[]), bob.listen(&[]));
    send(&bob, "alice", "hello");
    assert_eq!(heard(&alices), "hello");
    send(&alice, "bob", "one");
    assert_eq!(heard(&bobs), "one");

    // Drained as its host would for an update: both engines come back by themselves.
    relay.drain();
    // Queued while there is no relay: accepted later, once. Nobody waits for that here: it would take the 20 s for which
    // `send` hopes by itself, and meanwhile both engines would come to ask ever more seldom.
    alice.run(&["send", "bob", "-m", "two", "--wait", "none"]).ok();
    relay.restart();
    assert_eq!(heard(&bobs), "two");
    send(&bob, "alice", "three");
    assert_eq!(heard(&alices), "three");

    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup.db");
    subrosa_relay::backup(relay.data(), &backup).unwrap();
    // After the backup: the restored relay has never heard of it.
    send(&alice, "bob", "four");
    assert_eq!(heard(&bobs), "four");
    relay.drain();
    subrosa_relay::restore(&backup, relay.data()).unwrap();
    relay.restart();
    send(&alice, "bob", "five");
    assert_eq!(heard(&bobs), "five", "nothing twice, nothing lost");
    send(&bob, "alice", "six");
    assert_eq!(heard(&alices), "six");
    let texts: Vec<Value> = bob.run(&["history", "alice"]).ok();
    let texts: Vec<&str> = texts.iter().filter_map(|line| line["body"].as_str()).collect();
    assert_eq!(texts, ["hello", "one", "two", "three", "four", "five", "six"]);
}
