//! One account, many processes: whoever runs the engine may stop or die at any moment.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::support::{Account, Relay, Running, connect, run, schema, signal};
use serde_json::{Value, json};

/// Five seconds, and what a busy machine adds.
const SILENCE: Duration = Duration::from_secs(20);

fn two_people() -> (Relay, Relay, Account, Account) {
    let (one, two) = (Relay::start(), Relay::start());
    let (alice, bob) = (Account::init("alice", &one), Account::init("bob", &two));
    connect(&alice, &bob);
    (one, two, alice, bob)
}

#[test]
fn an_owner_that_is_stopped_in_the_middle_of_a_call_is_named() {
    let (_one, _two, alice, bob) = two_people();
    let owner = alice.listen(&[]);
    let waiting = Running::start(&mut alice.command(&["listen", "--types", "message"]));
    bob.run(&["send", "alice", "-m", "before"]).line();
    assert_eq!(waiting.wait_for(|_| true)["body"], "before", "its call is open from now on");
    signal(owner.pid(), "STOP");
    let begun = Instant::now();
    let named = waiting.wait_for_note("account_busy");
    assert!(named.contains(&owner.pid().to_string()) && named.contains("subrosa listen"), "{named}");
    assert!(begun.elapsed() < SILENCE, "{:?}", begun.elapsed());
    assert_eq!(waiting.exit().code(), Some(10));
    let error = alice.run(&["send", "bob", "-m", "hello"]).error(10);
    assert!(error["message"].as_str().unwrap().contains(&owner.pid().to_string()), "{error}");
    signal(owner.pid(), "CONT");
    assert_eq!(alice.run(&["status"]).line()["engine"]["pid"], owner.pid());
}

#[test]
fn five_clients_go_on_when_the_owner_is_killed_again_and_again() {
    /// Messages of each sender.
    const EACH: usize = 8;
    let (_one, _two, alice, bob) = two_people();
    let first = alice.listen(&[]);
    let listeners: Vec<Running> =
        (0..2).map(|_| Running::start(&mut alice.command(&["listen", "--since", "0"]))).collect();
    let spared_pids: Vec<u64> = listeners.iter().map(|listener| u64::from(listener.pid())).collect();
    let over = AtomicBool::new(false);
    let owner_pid = || -> Option<u64> {
        let lock = std::fs::read_to_string(alice.home().join("engine.lock")).ok()?;
        serde_json::from_str::<Value>(&lock).ok()?["pid"].as_u64()
    };
    let last = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let alice = &alice;
                scope.spawn(move || {
                    let mut last = Value::Null;
                    for n in 0..EACH {
                        let (body, id) = (format!("{sender} {n}"), format!("{:032x}", sender * 1000 + n));
                        // Only a process that was itself killed has no answer: then the same command is given again.
                        loop {
                            let sent = alice.run(&["send", "bob", "-m", &body, "--id", &id, "--wait", "none"]);
                            if sent.code.is_some() {
                                last = sent.line()["id"].clone();
                                break;
                            }
                        }
                    }
                    last
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = 0;
            while !over.load(Ordering::SeqCst) {
                // Each owner once: one that is dead stays in the file until the next has written itself there.
                if let Some(pid) = owner_pid().filter(|pid| *pid != last) {
                    let spared = spared_pids.contains(&pid);
                    if !spared {
                        let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
                    }
                    last = pid;
                }
                std::thread::yield_now();
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let results: Vec<_> = senders.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::SeqCst);
        results.into_iter().map(|result| result.unwrap()).next_back().unwrap()
    });
    drop(first);

    // Both listeners print every event once, in order, over all the deaths.
    let mut seen = Vec::new();
    for listener in &listeners {
        let mut cursors = Vec::new();
        listener.wait_for(|line| {
            cursors.push(line["cursor"].as_u64().unwrap());
            line["type"] == "state" && line["id"] == last && line["status"] == "sent"
        });
        assert!(cursors.is_sorted_by(|a, b| a < b), "no event twice: {cursors:?}");
        seen.push(cursors);
    }
    assert_eq!(seen[0], seen[1], "no hole");

    let mut received: Vec<String> = Vec::new();
    while received.len() < 3 * EACH {
        let outcome = bob.run(&["receive", "--timeout", "30s"]);
        received.extend(outcome.ok().iter().map(|line| line["body"].as_str().unwrap().to_owned()));
    }
    received.sort_unstable();
    let mut expected: Vec<String> = (0..3).flat_map(|sender| (0..EACH).map(move |n| format!("{sender} {n}"))).collect();
    expected.sort_unstable();
    assert_eq!(received, expected, "each once, none lost");
}

#[test]
fn a_call_repeated_with_its_request_id_is_answered_as_the_first_time() {
    let (_one, _two, alice, _bob) = two_people();
    let call = |method: &str, params: &Value| -> Value {
        schema::check_params(method, params);
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        // Each time another process, and so another engine.
        let outcome = run(&mut alice.command(&["rpc"]), Some(line.as_bytes()));
        let answer = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
        schema::check_answer(method, &answer);
        answer
    };
    let id = |n: u32| format!("{n:032x}");
    let invite = json!({"ttl_s": 3600, "request_id": id(1)});
    let first = call("invite", &invite);
    assert!(first["result"]["link"].is_string(), "{first}");
    assert_eq!(call("invite", &invite), first, "one link");
    assert_ne!(call("invite", &json!({"ttl_s": 3600, "request_id": id(2)}))["result"], first["result"]);
    let misused = call("invite", &json!({"ttl_s": 60, "request_id": id(1)}));
    assert_eq!(misused["error"]["data"]["code"], "usage", "an id stands for one call");
    let removed = call("contact.remove", &json!({"who": "bob", "request_id": id(3)}));
    assert_eq!(removed["result"]["count"], 1);
    assert_eq!(call("contact.remove", &json!({"who": "bob", "request_id": id(3)})), removed);
    assert_eq!(
        call("contact.remove", &json!({"who": "bob", "request_id": id(4)}))["error"]["data"]["code"],
        "not_found"
    );
    assert!(call("contact.remove", &json!({"who": "bob"}))["error"].is_object());
}
