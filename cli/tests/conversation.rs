//! Two people on two relays, through the real program.

use std::{
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use crate::support::{Account, Relay, connect, run};
use serde_json::Value;

/// Alice and Bob on a relay each; Bob has used Alice's link.
fn two_people() -> (Relay, Relay, Account, Account) {
    let (one, two) = (Relay::start(), Relay::start());
    let (alice, bob) = (Account::init("alice", &one), Account::init("bob", &two));
    connect(&alice, &bob);
    (one, two, alice, bob)
}

fn bodies(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["body"].as_str().unwrap()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn an_account_is_private_and_its_words_are_kept() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    let words = std::fs::read_to_string(alice.recovery_file()).unwrap();
    assert_eq!(words.split_whitespace().count(), 24);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&alice.recovery_file()), 0o600);
    assert_eq!(mode(&alice.data()), 0o700);
    for entry in std::fs::read_dir(alice.data()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    let error = alice.run(&["init", "--relay", &relay.url, "--name", "alice"]).error(1);
    assert!(text(&error["message"]).contains("already an account"));
    let status = alice.run(&["status"]).line();
    assert_eq!((&status["relay"], &status["outbox"]), (&"online".into(), &0.into()));

    let namesake = Account::prepare("alice");
    assert_eq!(namesake.run_init(&relay.url).code, Some(1), "the handle is taken");
    assert!(!namesake.data().join("account.json").exists());
    assert!(!namesake.recovery_file().exists());
}

#[test]
fn the_wrong_passphrase_opens_nothing() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    crate::support::write_private(&alice.passphrase_file(), b"another passphrase\n");
    let error = alice.run(&["status"]).error(4);
    assert_eq!(error["code"], "bad_passphrase");
    let mut command = alice.command(&["status"]);
    let error = run(command.env_remove("SUBROSA_PASSPHRASE_FILE"), None).error(4);
    assert!(text(&error["hint"]).contains("--passphrase-file"), "{error}");
}

#[test]
fn messages_go_both_ways_with_receipts_and_times() {
    let (_one, _two, alice, bob) = two_people();
    let alice_listens = alice.listen(&[]);
    let bob_listens = bob.listen(&[]);

    let sent = bob.run(&["send", "alice", "-m", "hello Alice", "--wait", "delivered"]).line();
    assert_eq!(sent["status"], "delivered");
    let id = text(&sent["id"]).to_owned();
    let message = alice_listens.wait_for(|line| line["type"] == "message" && line["id"] == id);
    assert_eq!((&message["body"], &message["from"]["name"]), (&"hello Alice".into(), &"bob".into()));
    assert!(message["cursor"].is_u64());

    let answer = run(
        &mut alice.command(&["send", "bob", "-", "--wait", "delivered"]),
        Some("Grüße\nüber zwei Zeilen\n".as_bytes()),
    );
    assert_eq!(answer.line()["status"], "delivered");
    let message = bob_listens.wait_for(|line| line["type"] == "message");
    assert_eq!(message["body"], "Grüße\nüber zwei Zeilen");

    let info = bob.run(&["info", &id]).line();
    assert_eq!((&info["status"], info["read"].as_array().unwrap().len()), (&"delivered".into(), 0));
    assert_eq!(alice.run(&["read", "bob"]).line()["count"], 1);
    bob_listens.wait_for(|line| line["type"] == "receipt" && line["id"] == id && line["status"] == "read");
    let info = bob.run(&["info", &id[..8]]).line();
    assert_eq!(info["status"], "read");
    let time = |what: &str| info[what][0]["ts_ms"].as_u64().unwrap();
    assert!(info["queued_ms"].as_u64().unwrap() <= time("sent"));
    assert!(time("delivered") <= time("read"));

    let read = bob.run(&["send", "alice", "-m", "again", "--wait", "none"]).line();
    assert!(["queued", "sent", "delivered"].contains(&text(&read["status"])));
    alice_listens.wait_for(|line| line["type"] == "message" && line["body"] == "again");

    let history = alice.run(&["history", "bob"]).ok();
    assert_eq!(bodies(&history), ["hello Alice", "Grüße\nüber zwei Zeilen", "again"]);
    assert_eq!(bodies(&bob.run(&["history", "alice"]).ok()), bodies(&history), "one order on both sides");
    let chats = alice.run(&["chats"]).line();
    assert_eq!((&chats["name"], &chats["unread"], &chats["last"]["body"]), (&"bob".into(), &1.into(), &"again".into()));
}

#[test]
fn a_link_makes_verified_contacts_with_one_safety_number() {
    let (_one, _two, alice, bob) = two_people();
    let contact = bob.run(&["contact", "show", "alice"]).line();
    assert_eq!((&contact["state"], &contact["verified"]), (&"requested".into(), &true.into()));
    let contact = alice.run(&["contact", "list"]).line();
    assert_eq!((&contact["name"], &contact["state"]), (&"bob".into(), &"ok".into()));
    // Alice's answer is under way when her command ends.
    assert_eq!(bob.run(&["contact", "show", "alice"]).line()["state"], "ok");

    let number = |line: Value| text(&line["safety_number"]).to_owned();
    let ours = number(alice.run(&["verify", "bob"]).line());
    assert_eq!(ours, number(bob.run(&["verify", "alice"]).line()));
    assert_eq!(ours.chars().filter(char::is_ascii_digit).count(), 60);
    assert_eq!(alice.run(&["verify", "bob", "--number", &ours]).line()["verified"], true);
    let wrong: String = ours
        .chars()
        .map(|c| {
            if c == '1' {
                '2'
            } else if c == '2' {
                '1'
            } else {
                c
            }
        })
        .collect();
    assert_eq!(alice.run(&["verify", "bob", "--number", &wrong]).error(6)["code"], "identity_changed");
}

#[test]
fn a_link_works_once_and_a_damaged_one_not_at_all() {
    let (one, two, alice, _bob) = two_people();
    let link = text(&alice.run(&["invite"]).line()["link"]).to_owned();
    let (carol, dave) = (Account::init("carol", &two), Account::init("dave", &one));
    assert_eq!(run(&mut carol.command(&["join", "-"]), Some(format!("{link}\n").as_bytes())).line()["name"], "alice");
    // Carol's introduction is at the relay: now the link is used.
    alice.run(&["contact", "show", "carol"]).line();
    let error = dave.run(&["join", &link]).error(1);
    assert_eq!(error["code"], "link_used");
    assert!(dave.run(&["contact", "list"]).ok().is_empty());

    let mut damaged = link;
    damaged.pop();
    assert_eq!(dave.run(&["join", &damaged]).error(2)["code"], "usage");
    assert_eq!(dave.run(&["join", "https://example.org/"]).error(2)["code"], "usage");
}

#[test]
fn open_links_are_listed_without_their_secret_and_revoked() {
    let (one, _two, alice, _bob) = two_people();
    let link = text(&alice.run(&["invite"]).line()["link"]).to_owned();
    let listed = alice.run(&["invite", "list"]);
    let lines = listed.ok();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line["type"] == "open_link"), "{lines:?}");
    let (open, used): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["used_by"].is_null());
    assert_eq!(used[0]["used_by"]["name"], "bob");
    let secret = link.split('#').nth(1).unwrap();
    assert!((0..secret.len() - 8).all(|at| !listed.stdout.contains(&secret[at..at + 8])), "{listed:?}");

    let error = alice.run(&["invite", "revoke", text(&used[0]["id"])]).error(1);
    assert!(text(&error["message"]).contains("bob joined with this link"), "{error}");
    assert_eq!(alice.run(&["invite", "revoke", text(&open[0]["id"])]).line()["count"], 1);
    assert_eq!(alice.run(&["invite", "revoke", text(&open[0]["id"])]).error(5)["code"], "not_found");
    let dave = Account::init("dave", &one);
    assert_eq!(dave.run(&["join", &link]).error(1)["code"], "link_used");
}

#[test]
fn a_handle_that_is_no_contact_gets_a_request_and_only_by_that_word() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    let refused = alice.run(&["send", "bob", "-m", "may I?"]).error(5);
    assert!(refused["hint"].as_str().unwrap().contains("subrosa request bob -m TEXT"), "{refused}");
    let refused = alice.run(&["request", "bob", "-m", "may I?"]).error(2);
    assert!(refused["hint"].as_str().unwrap().contains("subrosa request bob --yes -m TEXT"), "{refused}");
    assert!(alice.run(&["contact", "list"]).ok().is_empty() && alice.run(&["chats"]).ok().is_empty());
    assert_eq!(alice.run(&["request", "bob", "--yes", "-m", "may I?"]).line()["status"], "sent");
    assert_eq!(alice.run(&["contact", "show", "bob"]).line()["state"], "requested");
    let request = bob.run(&["contact", "list"]).line();
    assert_eq!((&request["name"], &request["state"]), (&"alice".into(), &"request".into()));
    assert_eq!(bob.run(&["contact", "accept", "alice"]).line()["state"], "ok");
    assert_eq!(alice.run(&["contact", "show", "bob"]).line()["state"], "ok");
    assert_eq!(bob.run(&["send", "alice", "-m", "you may"]).line()["status"], "sent");
    assert_eq!(bodies(&alice.run(&["receive"]).ok()), ["you may"]);
}

#[test]
fn what_does_not_exist_is_not_found() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    for arguments in [
        &["send", "nobody", "-m", "hello"][..],
        &["history", "nobody"],
        &["contact", "show", "nobody"],
        &["contact", "accept", "nobody"],
        &["verify", "nobody"],
        &["info", "0123456789abcdef"],
        &["read", "nobody"],
    ] {
        assert_eq!(alice.run(arguments).error(5)["code"], "not_found", "{arguments:?}");
    }
    assert!(alice.run(&["chats"]).ok().is_empty(), "a message to nobody leaves no chat");
}

#[test]
fn without_its_relay_an_account_is_not_made_and_messages_wait() {
    let (mut one, mut two, alice, bob) = two_people();
    alice.run(&["contact", "show", "bob"]).line();
    one.kill();
    two.kill();
    let carol = Account::prepare("carol");
    assert_eq!(carol.run_init(&one.url).error(3)["code"], "relay_unreachable");
    assert!(!carol.data().join("account.json").exists() && !carol.recovery_file().exists());
    assert_eq!(alice.run(&["invite"]).error(3)["code"], "relay_unreachable");

    let waiting = alice.run(&["send", "bob", "-m", "later", "--timeout", "500ms"]);
    assert_eq!(waiting.error(8)["code"], "timeout");
    let sent = &waiting.lines()[0];
    assert_eq!(sent["status"], "queued");
    assert_eq!(alice.run(&["status"]).line()["outbox"], 1);
    assert_eq!(bodies(&alice.run(&["history", "bob"]).ok()), ["later"], "what is here can be read offline");
    assert_eq!(alice.run(&["receive", "--timeout", "300ms"]).error(8)["code"], "timeout");

    one.restart();
    two.restart();
    let _listens = alice.listen(&[]);
    assert_eq!(bodies(&bob.run(&["receive", "--timeout", "50s"]).ok()), ["later"]);
    assert_eq!(alice.run(&["info", text(&sent["id"])]).line()["id"], sent["id"]);
}

#[test]
fn ten_messages_to_a_stopped_receiver_come_in_order_and_once() {
    let (_one, _two, alice, bob) = two_people();
    let expected: Vec<String> = (1..=10).map(|n| format!("number {n}")).collect();
    {
        let _sender = bob.listen(&[]);
        for body in &expected {
            assert_eq!(bob.run(&["send", "alice", "-m", body]).line()["status"], "sent");
        }
    }
    let first = alice.run(&["receive", "--max", "4"]).ok();
    assert_eq!(bodies(&first), expected[..4]);
    let rest = alice.run(&["receive"]).ok();
    assert_eq!(bodies(&rest), expected[4..]);
    assert_eq!(alice.run(&["receive", "--timeout", "200ms"]).error(8)["code"], "timeout");
    let other = alice.run(&["receive", "--consumer", "backup"]).ok();
    assert_eq!(bodies(&other), expected, "another consumer has its own place");
}

#[test]
fn receive_waits_for_a_first_message() {
    let (_one, _two, alice, bob) = two_people();
    alice.run(&["contact", "list"]).ok();
    let waiting = crate::support::Running::start(&mut alice.command(&["receive", "--timeout", "50s"]));
    // It serves its engine while it waits.
    let until = Instant::now() + crate::support::DEADLINE;
    while alice.run(&["status"]).line()["engine"]["kind"] != "receive" {
        assert!(Instant::now() < until);
    }
    bob.run(&["send", "alice", "-m", "there"]).line();
    assert_eq!(waiting.wait_for(|line| line["type"] == "message")["body"], "there");
}

#[test]
fn a_second_process_sends_at_once_while_listen_runs() {
    let (_one, _two, alice, bob) = two_people();
    let listens = bob.listen(&[]);
    let mut without_passphrase = bob.command(&["send", "alice", "-m", "quick"]);
    let begun = Instant::now();
    let sent = run(without_passphrase.env_remove("SUBROSA_PASSPHRASE_FILE"), None).line();
    let took = begun.elapsed();
    assert_eq!(sent["status"], "sent");
    assert!(took < Duration::from_secs(2), "{took:?}");
    listens.wait_for(|line| line["type"] == "state" && line["id"] == sent["id"] && line["status"] == "sent");
    assert_eq!(bodies(&alice.run(&["receive"]).ok()), ["quick"]);
}

#[test]
fn a_message_cannot_drive_the_terminal_of_who_reads_it() {
    let (_one, _two, alice, bob) = two_people();
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2Jred \u{202e}txt.exe\u{9b}31m\r\nsecond line";
    run(&mut bob.command(&["send", "alice", "-"]), Some(hostile.as_bytes())).line();

    let json = alice.run(&["receive", "--consumer", "program"]);
    assert_eq!(json.line()["body"], hostile, "a program gets what was written");
    let mut command = crate::support::subrosa();
    command.arg("receive").arg("--home").arg(alice.home()).arg("--passphrase-file").arg(alice.passphrase_file());
    let text = run(&mut command, None);
    assert_eq!(text.code, Some(0), "{text:?}");
    for shown in [&json.stdout, &text.stdout] {
        assert!(shown.contains("txt.exe"), "{shown:?}");
        assert!(!shown.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
    }
    assert_eq!(text.stdout.lines().count(), 2, "{text:?}");
}

#[test]
fn many_commands_at_once_share_the_account() {
    let (_one, _two, alice, bob) = two_people();
    let mut expected: Vec<String> = (0..16).map(|n| format!("at once {n}")).collect();
    std::thread::scope(|scope| {
        for (n, body) in expected.iter().enumerate() {
            let wait = if n % 2 == 0 { "sent" } else { "none" };
            let bob = &bob;
            scope.spawn(move || bob.run(&["send", "alice", "-m", body, "--wait", wait]).line());
        }
    });
    bob.run(&["status"]).line();
    let received = alice.run(&["receive"]).ok();
    let mut received = bodies(&received);
    received.sort_unstable();
    expected.sort_unstable();
    assert_eq!(received, expected, "each once");
}

#[test]
fn the_same_id_is_sent_once() {
    let (_one, _two, alice, bob) = two_people();
    let id = "0123456789abcdef0123456789abcdef";
    let [first, again] = [0; 2].map(|_| bob.run(&["send", "alice", "-m", "once", "--id", id]).line()["id"].clone());
    assert_eq!(first, again);
    assert_eq!(bodies(&alice.run(&["receive"]).ok()), ["once"]);
    // The id certifies its author: whoever uses the same bytes makes another message.
    assert_ne!(alice.run(&["send", "bob", "-m", "mine", "--id", id]).line()["id"], first);
    assert_eq!(bodies(&bob.run(&["receive"]).ok()), ["mine"]);
}

#[test]
fn who_waits_longer_than_it_takes_learns_where_the_message_is() {
    let (_one, _two, _alice, bob) = two_people();
    let outcome = bob.run(&["send", "alice", "-m", "are you there?", "--wait", "read", "--timeout", "1s"]);
    assert_eq!(outcome.error(8)["code"], "timeout");
    assert_eq!(outcome.lines()[0]["status"], "sent");
}

#[test]
fn a_listener_takes_over_when_the_one_with_the_engine_is_killed() {
    let (_one, _two, alice, bob) = two_people();
    let first = alice.listen(&[]);
    let second = crate::support::Running::start(&mut alice.command(&["listen", "--types", "message"]));
    bob.run(&["send", "alice", "-m", "before"]).line();
    let before = second.wait_for(|_| true);
    assert_eq!(before["body"], "before");
    assert!(!first.end("KILL").success());
    bob.run(&["send", "alice", "-m", "after"]).line();
    assert_eq!(second.wait_for(|_| true)["body"], "after");

    let cursor = before["cursor"].to_string();
    let replay =
        crate::support::Running::start(&mut alice.command(&["listen", "--since", &cursor, "--types", "message"]));
    assert_eq!(replay.wait_for(|_| true)["body"], "after", "a cursor goes on where it was");
}

#[test]
fn listeners_end_in_order() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    assert_eq!(alice.listen(&[]).end("INT").code(), Some(130));
    assert_eq!(alice.listen(&[]).end("TERM").code(), Some(0));
    assert!(!alice.data().join("engine.sock").exists());
}
