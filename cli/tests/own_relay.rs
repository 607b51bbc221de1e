//! A relay with a key of its own, as others reach it: two people who know nothing but what their links say.

use crate::support::{Account, Relay, Running, connect};
use serde_json::Value;

/// One says something, the other hears it, and the receipt comes back.
fn says(from: &Account, to: &str, listening: &Running, text: &str) {
    let sent = from.run(&["send", to, "-m", text, "--wait", "delivered"]).ok();
    assert_eq!(sent.last().unwrap()["status"], "delivered", "{sent:?}");
    let heard = listening.wait_for(|line| line["type"] == "message" && line["outgoing"] == false);
    assert_eq!((&heard["body"], &heard["from"]["name"]), (&text.into(), &from.name.as_str().into()), "{heard}");
}

#[test]
fn two_people_talk_over_a_relay_that_only_its_key_vouches_for() {
    // On all addresses: it names the one by which other machines reach this one.
    let relay = Relay::start_with("0.0.0.0:0", &[]);
    assert!(relay.url.starts_with("https://"), "{}", relay.url);

    // Alice has the address from somewhere: without the key nobody vouches for it, and nothing is made.
    let alice = Account::prepare("alice");
    let unknown = alice.run_init(&relay.url).error(3);
    assert!(unknown["hint"].as_str().unwrap().contains("--pin"), "{unknown}");
    // The relay link says which key is the right one, but it lets nobody in.
    let refused = alice.run_init(&relay.link).error(1);
    assert!(refused["message"].as_str().unwrap().contains("registration token"), "{refused}");
    let words = alice.recovery_file();
    let token = relay.registration_token();
    let registration = ["--registration-token", &token, "--recovery-file", words.to_str().unwrap()];
    alice.run(&[&["init", "--relay", &relay.link, "--name", "alice"], &registration[..]].concat()).line();

    // Bob gets one link, with a token of the host inside: relay, key, token, and who wrote it.
    let token = relay.registration_token();
    let link = alice.run(&["invite", "--registration-token", &token]).line()["link"].as_str().unwrap().to_owned();
    let bob = Account::prepare("bob");
    let words = bob.recovery_file();
    bob.run(&["init", "--link", &link, "--name", "bob", "--recovery-file", words.to_str().unwrap()]).line();
    assert_eq!(bob.run(&["join", &link]).line()["type"], "contact");

    let (alices, bobs) = (alice.listen(&[]), bob.listen(&[]));
    says(&bob, "alice", &alices, "hello");
    says(&alice, "bob", &bobs, "hello yourself");
    says(&bob, "alice", &alices, "over TLS, and no authority was asked");
    let texts: Vec<Value> = alice.run(&["history", "bob"]).ok();
    assert_eq!(texts.len(), 3, "{texts:?}");
}

#[test]
fn the_link_that_comes_with_a_token_is_all_that_init_needs_and_lets_in_once() {
    let relay = Relay::start_with("0.0.0.0:0", &[]);
    let link = relay.entrance_link();
    let alice = Account::prepare("alice");
    assert_eq!(alice.run_init(&link).line()["type"], "account");
    let refused = Account::prepare("bob").run_init(&link).error(1);
    assert!(refused["message"].as_str().unwrap().contains("registration token"), "{refused}");
}

#[test]
fn who_only_this_machine_reaches_is_told_so_before_a_link_is_used_up() {
    let (near, far) = (Relay::start(), Relay::start_with("0.0.0.0:0", &["--registration", "open"]));
    let (alice, bob) = (Account::init("alice", &near), Account::prepare("bob"));
    bob.run_init(&far.link).line();
    let link = bob.run(&["invite"]).line()["link"].as_str().unwrap().to_owned();
    let refused = alice.run(&["join", &link]).error(2);
    assert!(refused["message"].as_str().unwrap().contains("from this machine only"), "{refused}");
    assert!(alice.run(&["contact", "list"]).ok().is_empty());
    // The other way round is fine: each reaches the other's relay.
    connect(&alice, &bob);
    let alices = alice.listen(&[]);
    says(&bob, "alice", &alices, "hello from afar");
}
