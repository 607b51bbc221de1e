//! Consumers: one reader at a time, or several that divide the messages; and what counts as printed.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{Account, DEADLINE, Outcome, Relay, Running, connect, run, schema};
use serde_json::{Value, json};

fn bodies(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|line| line["body"].as_str().unwrap().to_owned()).collect()
}

/// Bob has so many messages of Alice waiting.
fn waiting(count: usize) -> (Relay, Account, Account, Vec<String>) {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    let expected: Vec<String> = (1..=count).map(|n| format!("number {n:02}")).collect();
    let lines = expected.join("\n");
    let sent = run(&mut alice.command(&["send", "bob", "--lines"]), Some(lines.as_bytes())).ok();
    assert_eq!(sent.len(), count);
    (relay, alice, bob, expected)
}

/// Several commands at once.
fn at_once(account: &Account, arguments: &[&str], count: usize) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..count).map(|_| scope.spawn(|| account.run(arguments))).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    })
}

fn daemon(account: &Account, arguments: &[&str]) -> (Running, Value) {
    let mut command = account.command(&["daemon"]);
    let daemon = Running::start(command.args(arguments));
    let info = daemon.wait_for(|line| line["type"] == "daemon");
    (daemon, info)
}

#[test]
fn two_receivers_of_one_consumer_do_not_print_the_same_messages() {
    let (_relay, _alice, bob, expected) = waiting(40);
    let outcomes = at_once(&bob, &["receive", "--timeout", "1s"], 2);
    let mut printed: Vec<String> = outcomes.iter().flat_map(|outcome| bodies(&outcome.lines())).collect();
    printed.sort();
    assert_eq!(printed, expected, "each once");
    let mut codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(8)], "the second found nothing left");
}

#[test]
fn two_listeners_of_one_consumer_do_not_both_run_the_command() {
    let (_relay, alice, bob, expected) = waiting(3);
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let script = format!("cat >> {}", log.display());
    let arguments = ["--consumer", "bot", "--types", "message", "--exec", "sh", "-c", &script];
    let first = bob.listen(&arguments);
    first.wait_for(|event| event["body"] == "number 03");

    let error = bob.run(&[&["listen"][..], &arguments].concat()).error(10);
    assert_eq!(error["code"], "consumer_busy");
    let (message, hint) = (error["message"].as_str().unwrap(), error["hint"].as_str().unwrap());
    assert!(message.contains("\"bot\"") && message.contains(&format!("pid {}", first.pid())), "{error}");
    assert!(hint.contains("--wait") && hint.contains("--share"), "{error}");
    // A name of its own is nobody else's.
    assert_eq!(bodies(&bob.run(&["receive", "--consumer", "other"]).ok()), expected);

    alice.run(&["send", "bob", "-m", "number 04"]).line();
    first.wait_for(|event| event["body"] == "number 04");
    alice.run(&["send", "bob", "-m", "number 05"]).line();
    // Printed after the command of the one before has ended.
    first.wait_for(|event| event["body"] == "number 05");
    let seen = std::fs::read_to_string(&log).unwrap();
    for n in 1..=4 {
        assert_eq!(seen.matches(&format!("number 0{n}")).count(), 1, "{seen}");
    }
}

#[test]
fn a_killed_holder_frees_the_consumer() {
    let (_relay, alice, bob, expected) = waiting(1);
    let (_daemon, _) = daemon(&bob, &[]);
    let holds = Running::start(&mut bob.command(&["listen", "--consumer", "bot", "--types", "message"]));
    holds.wait_for(|event| event["body"] == expected[0].as_str());
    let error = bob.run(&["receive", "--consumer", "bot"]).error(10);
    assert!(error["message"].as_str().unwrap().contains(&format!("pid {}", holds.pid())), "{error}");
    let waits = Running::start(&mut bob.command(&["listen", "--consumer", "bot", "--types", "message", "--wait"]));
    assert!(!holds.end("KILL").success());
    alice.run(&["send", "bob", "-m", "after"]).line();
    waits.wait_for(|event| event["body"] == "after");
}

#[test]
fn a_listener_keeps_its_consumer_when_the_engine_changes_hands() {
    let (_relay, alice, bob, expected) = waiting(1);
    let (daemon, _) = daemon(&bob, &[]);
    let holds = Running::start(&mut bob.command(&["listen", "--consumer", "bot", "--types", "message"]));
    holds.wait_for(|event| event["body"] == expected[0].as_str());
    assert!(!daemon.end("KILL").success());
    let until = std::time::Instant::now() + DEADLINE;
    while bob.run(&["status"]).line()["engine"]["kind"] != "listen" {
        if std::time::Instant::now() + std::time::Duration::from_secs(45) > until {
            eprintln!("status: {:?}", bob.run(&["status"]));
            holds.line();
        }
    }
    // Nothing has come since: the lease of the first engine is gone, and is taken again all the same.
    let error = bob.run(&["receive", "--consumer", "bot"]).error(10);
    assert!(error["message"].as_str().unwrap().contains(&format!("pid {}", holds.pid())), "{error}");
    alice.run(&["send", "bob", "-m", "after"]).line();
    holds.wait_for(|event| event["body"] == "after");
}

#[test]
fn what_could_not_be_written_comes_again() {
    let (_relay, _alice, bob, expected) = waiting(40);
    // `receive >&-`
    let mut closed = Command::new("sh");
    let program = bob.command(&["receive"]);
    closed.args(["-c", "exec \"$@\" >&-", "sh"]).arg(program.get_program()).args(program.get_args());
    closed.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let outcome = run(&mut closed, None);
    assert!(outcome.error(1)["message"].as_str().unwrap().contains("standard output is closed"));

    // A reader that is gone before the first line, as in `receive | true`.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut broken = bob.command(&["receive"]);
    let status = broken.stdout(writer).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(141));

    // `receive | head -1`: the reader takes one line and ends; what stood behind it is not lost.
    let mut piped = bob.command(&["receive"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(1, piped.stdout.take().unwrap()).read_line(&mut first).unwrap();
    piped.wait().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["body"], expected[0].as_str());

    let rest = bodies(&bob.run(&["receive"]).ok());
    // One or another line may have been in the pipe when it was closed.
    assert!(rest.len() > 20 && rest.len() < 40 && expected.ends_with(&rest), "{rest:?}");
}

#[test]
fn sharers_print_each_message_once() {
    let (_relay, alice, bob, expected) = waiting(40);
    // The engine is one of theirs, and changes hands while they read.
    let outcomes = at_once(&bob, &["receive", "--share", "--timeout", "1s"], 3);
    let mut printed: Vec<String> = outcomes.iter().flat_map(|outcome| bodies(&outcome.lines())).collect();
    printed.sort();
    assert_eq!(printed, expected, "each once: {outcomes:?}");

    // What a dead sharer had in hand goes to another one.
    let (_daemon, _) = daemon(&bob, &[]);
    let stuck = ["listen", "--consumer", "work", "--share", "--exec", "sleep", "600"];
    let dies = Running::start(&mut bob.command(&stuck));
    assert_eq!(dies.wait_for(|event| event["type"] == "message")["body"], expected[0].as_str());
    let lives = Running::start(&mut bob.command(&["listen", "--consumer", "work", "--share"]));
    let seen: Vec<Value> = (1..40).map(|_| lives.wait_for(|event| event["type"] == "message")).collect();
    assert_eq!(bodies(&seen), expected[1..], "all but the one that the other has");
    assert!(!dies.end("KILL").success());
    assert_eq!(lives.wait_for(|event| event["type"] == "message")["body"], expected[0].as_str());
    alice.run(&["send", "bob", "-m", "new"]).line();
    lives.wait_for(|event| event["body"] == "new");
    let alone = bob.run(&["receive", "--consumer", "work"]).error(10);
    assert!(alone["message"].as_str().unwrap().contains("shared by"), "{alone}");
    bob.run(&["listen", "--consumer", "work", "--share", "--types", "receipt"]).error(2);
}

/// A program on the account's socket.
struct Program(BufReader<UnixStream>);

impl Program {
    fn on(socket: &str) -> Self {
        let stream = UnixStream::connect(Path::new(socket)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        schema::check_params(method, &params);
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        writeln!(self.0.get_mut(), "{call}").unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let answer = serde_json::from_str(&line).unwrap();
        schema::check_answer(method, &answer);
        answer
    }
}

#[test]
fn a_stale_lease_commits_nothing() {
    let (_relay, _alice, bob, expected) = waiting(2);
    let (_daemon, info) = daemon(&bob, &["--http", "127.0.0.1:0"]);
    let socket = info["sockets"][0].as_str().unwrap().to_owned();
    let mut first = Program::on(&socket);
    assert_eq!(first.call("drain", json!({"timeout_ms": 50_000}))["result"]["done"], true);
    let got = first.call("receive", json!({"consumer": "bot", "message_wait_ms": 50_000}))["result"].take();
    let (lease, cursor) = (got["lease"].clone(), got["cursor"].clone());
    let mut second = Program::on(&socket);
    let busy = second.call("receive", json!({"consumer": "bot", "wait_ms": 0}));
    assert_eq!(busy["error"]["data"]["code"], "consumer_busy");
    // The same connection is the same reader.
    assert_eq!(first.call("receive", json!({"consumer": "bot"}))["result"]["lease"], lease);
    drop(first);

    let mut taken = second.call("receive", json!({"consumer": "bot"}));
    assert!(taken["error"].is_null(), "{taken}");
    let taken = taken["result"].take();
    let stale = second.call("receive.commit", json!({"consumer": "bot", "cursor": cursor, "lease": lease}));
    assert_eq!(stale["error"]["data"]["code"], "lease_lost", "{stale}");
    let none =
        json!({"jsonrpc": "2.0", "id": 2, "method": "receive.commit", "params": {"consumer": "bot", "cursor": cursor}});
    writeln!(second.0.get_mut(), "{none}").unwrap();
    let mut line = String::new();
    second.0.read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["error"]["code"], -32_602, "{line}");
    let again = second.call("receive", json!({"consumer": "bot"}))["result"].take();
    assert_eq!(bodies(again["messages"].as_array().unwrap()), expected, "nothing was committed");
    let good = json!({"consumer": "bot", "cursor": cursor, "lease": taken["lease"]});
    assert!(second.call("receive.commit", good.clone())["error"].is_null());
    assert_eq!(second.call("receive", json!({"consumer": "bot"}))["result"]["messages"], json!([]));
    let release = json!({"consumer": "bot", "lease": taken["lease"]});
    assert_eq!(second.call("receive.release", release)["result"]["count"], 1);
    assert_eq!(second.call("receive.commit", good)["error"]["data"]["code"], "lease_lost");

    // Over HTTP nobody stays: a lease ends by itself.
    let address = info["http"][0].as_str().unwrap().strip_prefix("http://").unwrap();
    let token = std::fs::read_to_string(info["token_file"].as_str().unwrap()).unwrap();
    let post = |params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "receive", "params": params}).to_string();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!(
            "POST /rpc HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            token.trim(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str::<Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let held = post(json!({"consumer": "web", "hold_ms": 2_000}));
    assert_eq!(post(json!({"consumer": "web", "wait_ms": 0}))["error"]["data"]["code"], "consumer_busy");
    assert!(post(json!({"consumer": "web", "lease": held["result"]["lease"]}))["error"].is_null());
    // Waits until the first one has ended.
    let next = post(json!({"consumer": "web", "wait_ms": 50_000}));
    assert_ne!(next["result"]["lease"], held["result"]["lease"]);
    assert_eq!(bodies(next["result"]["messages"].as_array().unwrap()), expected);
}
