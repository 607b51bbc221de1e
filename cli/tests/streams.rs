//! Many messages at once: several receivers, lines, batches, keys; commands that run for each message; and what a person
//! does with messages and people from the command line.

use std::io::Write as _;

use crate::support::{Account, Relay, connect, run};
use serde_json::Value;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn history(account: &Account, chat: &str) -> Vec<String> {
    account.run(&["history", chat]).ok().iter().map(|line| text(&line["body"]).to_owned()).collect()
}

/// Alice knows Bob and Carol.
fn three_people() -> (Relay, Account, Account, Account) {
    let relay = Relay::start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Account::init(name, &relay));
    connect(&alice, &bob);
    connect(&alice, &carol);
    (relay, alice, bob, carol)
}

#[test]
fn nothing_is_sent_to_anybody_while_one_receiver_is_nobody() {
    let (relay, alice, bob, carol) = three_people();
    // Half a name that the shell split, and a stranger who has the other half as a handle.
    let frank = Account::init("frank", &relay);
    alice.run(&["contact", "rename", "carol", "my frank"]).line();
    let outcome = alice.run(&["send", "bob", "my", "frank", "-m", "for Carol only"]);
    let error = outcome.error(5);
    assert!(
        text(&error["message"]).contains("\"my\"") && text(&error["message"]).contains("nothing was sent to anybody")
    );
    let lines = run(&mut alice.command(&["send", "bob", "frank", "--lines"]), Some(b"for Carol only\n"));
    assert!(text(&lines.error(5)["message"]).contains("frank"));
    assert_eq!((outcome.stdout, lines.stdout), (String::new(), String::new()));
    assert!(
        alice.run(&["outbox", "list"]).ok().is_empty()
            && alice.run(&["chats"]).ok().iter().all(|chat| chat["last"].is_null())
    );
    assert!(frank.run(&["contact", "list"]).ok().is_empty());

    // Each once, however they are named.
    let sent = alice.run(&["send", "bob", "my frank", "carol", "bob", "-m", "to all"]).ok();
    assert_eq!(sent.len(), 2);
    assert!(sent[0]["id"] != sent[1]["id"] && sent.iter().all(|line| line["status"] == "sent"));
    assert_eq!((history(&bob, "alice"), history(&carol, "alice")), (vec!["to all".into()], vec!["to all".into()]));
    alice.run(&["send", "nobody", "noone", "-m", "x"]).error(5);
    assert!(text(&alice.run(&["send", "nobody", "-m", "x"]).error(5)["message"]).contains("nobody"));
    alice.run(&["send", "bob", "carol", "--id", &"ab".repeat(16), "-m", "x"]).error(2);
    alice.run(&["send", "bob", "-m", "x", "-"]).error(2);
    alice.run(&["send", "bob", "text without -m"]).error(2);
}

#[test]
fn lines_and_batches_go_out_one_by_one_and_errors_do_not_end_them() {
    let (_relay, alice, bob, _carol) = three_people();
    let mut input = b"first\r\n\n   \nsecond\n".to_vec();
    input.extend([b'x'; 60_001]);
    input.extend(b"\n\xff\xfe\nlast without end");
    let outcome = run(&mut alice.command(&["send", "bob", "--lines"]), Some(&input));
    assert_eq!(outcome.code, Some(9), "{outcome:?}");
    assert_eq!(outcome.lines().len(), 3);
    for part in ["line 5: longer than", "line 6: not UTF-8"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    assert_eq!(history(&bob, "alice"), ["first", "second", "last without end"]);

    let batch = "{\"to\":\"bob\",\"body\":\"one\",\"key\":\"k\"}\n{\"to\":\"me\",\"body\":\"note\"}\nnonsense\n{\"to\":\"bob\",\"body\":\"one\",\"key\":\"k\"}\n{\"to\":\"nobody\",\"body\":\"x\"}\n";
    let outcome = run(&mut alice.command(&["send", "--batch"]), Some(batch.as_bytes()));
    assert_eq!(outcome.code, Some(9), "{outcome:?}");
    let lines = outcome.lines();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["id"], &lines[1]["status"]), (&lines[2]["id"], &"read".into()));
    assert!(outcome.stderr.contains("line 3: not a message") && outcome.stderr.contains("line 5: no contact"));
    assert_eq!(history(&bob, "alice").len(), 4);
    assert_eq!(history(&alice, "me"), ["note"]);
    assert_eq!(run(&mut alice.command(&["send", "bob", "--lines"]), Some(b"")).code, Some(0));
}

#[test]
fn lines_are_sent_as_they_come() {
    let (_relay, alice, bob, _carol) = three_people();
    let listens = bob.listen(&[]);
    let mut command = alice.command(&["send", "bob", "--lines"]);
    let mut sender = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = sender.stdin.take().unwrap();
    for line in ["log line 1", "log line 2"] {
        writeln!(pipe, "{line}").unwrap();
        // Here before the next one is written.
        listens.wait_for(|event| event["type"] == "message" && event["body"] == line);
    }
    drop(pipe);
    assert!(sender.wait().unwrap().success());
}

#[test]
fn a_key_sends_once_however_often_the_script_runs() {
    let (_relay, alice, bob, _carol) = three_people();
    let send = |body: &str| alice.run(&["send", "bob", "--key", "nightly", "-m", body]);
    assert_eq!(send("done").line()["id"], send("done").line()["id"]);
    assert!(text(&send("failed").error(2)["message"]).contains("nightly"));
    assert_eq!(history(&bob, "alice"), ["done"]);
}

#[test]
fn a_command_runs_for_each_message_and_its_failures_stop_nothing() {
    let (_relay, alice, bob, _carol) = three_people();
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let script = format!(
        "read -r line || exit; case $line in *slow*) exec sleep 600;; *bad*) exit 3;; esac; echo noise; printf '%s\\n' \"$line\" >> {}",
        log.display()
    );
    for body in ["one; touch $HOME/x", "bad", "two"] {
        alice.run(&["send", "bob", "-m", body]).line();
    }
    {
        let listens = bob.listen(&["--consumer", "bot", "--types", "message", "--exec", "sh", "-c", &script]);
        listens.wait_for_note("failed: exit status: 3");
        // Printed before its command runs; the next command begins after it.
        listens.wait_for(|event| event["body"] == "two");
        alice.run(&["send", "bob", "-m", "three"]).line();
        listens.wait_for(|event| event["body"] == "three");
        alice.run(&["send", "bob", "-m", "four"]).line();
        listens.wait_for(|event| event["body"] == "four");
    }
    let logged = || -> Vec<Value> {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let seen = logged();
    assert_eq!((&seen[0]["body"], &seen[1]["body"]), (&"one; touch $HOME/x".into(), &"two".into()));
    assert_eq!((&seen[2]["body"], &seen[0]["type"]), (&"three".into(), &"message".into()));
    // Goes on where it stopped: at most the message whose command was killed comes again.
    let listens = bob.listen(&["--consumer", "bot", "--types", "message", "--exec", "sh", "-c", &script]);
    alice.run(&["send", "bob", "-m", "five"]).line();
    let first = listens.wait_for(|event| event["type"] == "message");
    assert!(["four", "five"].contains(&text(&first["body"])), "{first}");
    drop(listens);
    // One that takes too long is stopped, and the next message is there. How long others take says nothing here.
    let limited = ["--consumer", "bot", "--types", "message", "--exec-timeout", "1s", "--exec", "sh", "-c", &script];
    let listens = bob.listen(&limited);
    for body in ["slow", "after it"] {
        alice.run(&["send", "bob", "-m", body]).line();
    }
    listens.wait_for_note("was stopped after 1 s");
    listens.wait_for(|event| event["body"] == "after it");
    bob.run(&["listen", "--consumer", "x", "--since", "1"]).code.filter(|code| *code == 2).unwrap();
}

#[test]
fn people_and_chats_are_managed_from_the_command_line() {
    let (mut relay, alice, bob, carol) = three_people();
    bob.run(&["send", "alice", "-m", "the quick fox"]).line();
    let id = text(&alice.run(&["history", "bob"]).ok()[0]["id"]).to_owned();
    alice.run(&["send", "bob", "--reply", &id[..8], "-m", "seen"]).line();
    let reply = bob.run(&["history", "alice"]).ok().pop().unwrap();
    assert_eq!((&reply["reply_to"]["id"], &reply["reply_to"]["quote"]), (&id.as_str().into(), &"the quick fox".into()));
    let hit = alice.run(&["search", "quick", "fo"]).line();
    assert_eq!((&hit["type"], &hit["id"]), (&"message".into(), &id.as_str().into()));
    assert_eq!((&hit["snippet"][1]["text"], &hit["snippet"][1]["hit"]), (&"quick".into(), &true.into()));
    alice.run(&["search", "\"*"]).error(2);
    assert!(alice.run(&["search", "unheard"]).ok().is_empty());

    assert_eq!(alice.run(&["contact", "rename", "bob", "Bob Smith"]).line()["name"], "Bob Smith");
    assert_eq!(alice.run(&["chat", "set", "Bob Smith", "--mute", "on", "--pin"]).line()["pinned"], true);
    alice.run(&["chat", "set", "Bob Smith"]).error(2);
    alice.run(&["chat", "set", "Bob Smith", "--archive"]).line();
    assert!(alice.run(&["chats"]).ok().iter().all(|chat| chat["name"] != "Bob Smith"));
    assert_eq!(alice.run(&["chats", "--archived"]).ok()[0]["name"], "Bob Smith");

    assert_eq!(alice.run(&["contact", "block", "carol"]).line()["state"], "blocked");
    alice.run(&["send", "carol", "-m", "x"]).error(1);
    carol.run(&["send", "alice", "-m", "hello?", "--timeout", "500ms"]).error(8);
    assert_eq!(alice.run(&["contact", "unblock", "carol"]).line()["state"], "ok");
    alice.run(&["contact", "remove", "carol"]).error(2);
    assert_eq!(alice.run(&["contact", "remove", "carol", "--force"]).line()["type"], "ok");
    alice.run(&["contact", "show", "carol"]).error(5);
    assert!(alice.run(&["contact", "list", "--requests"]).ok().is_empty());

    relay.kill();
    let outcome = alice.run(&["send", "bob", "-m", "later", "--timeout", "100ms"]);
    outcome.error(8);
    let entry = alice.run(&["outbox", "list"]).line();
    assert_eq!((&entry["type"], &entry["id"]), (&"outbox".into(), &outcome.lines()[0]["id"]));
    assert_eq!(alice.run(&["outbox", "retry"]).line()["count"], 1);
    alice.run(&["outbox", "cancel", "00000000"]).error(5);
}

#[test]
fn what_was_said_with_somebody_who_is_removed_is_printed_by_no_reader() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    bob.run(&["send", "alice", "-m", "the code is zebra"]).line();
    alice.run(&["send", "bob", "-m", "giraffe to you"]).line();
    assert_eq!(alice.run(&["receive", "--consumer", "one"]).line()["body"], "the code is zebra");
    assert_eq!(alice.run(&["contact", "remove", "bob", "--force"]).line()["type"], "ok");

    alice.run(&["receive", "--consumer", "other", "--timeout", "200ms"]).error(8);
    assert!(alice.run(&["search", "zebra"]).ok().is_empty());
    let listens = alice.listen(&["--since", "0"]);
    let mut printed = String::new();
    // The last thing that happened.
    while !printed.contains("\"removed\"") {
        printed = printed + &listens.line() + "\n";
    }
    assert!(!printed.contains("zebra") && !printed.contains("giraffe"), "{printed}");
}
