//! JSON-RPC: the same vocabulary on stdio and sockets, and the schema that describes it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
};

use crate::support::{Account, DEADLINE, HOSTILE, Relay, connect, run, schema, subrosa};
use serde_json::{Value, json};

/// `subrosa rpc`, held by a program.
struct Rpc {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    next: u64,
}

impl Rpc {
    fn start(account: &Account) -> Self {
        let mut command = account.command(&["rpc"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                crate::support::assert_harmless(&line);
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take(), child, lines, next: 1 }
    }

    fn write(&mut self, text: &str) {
        writeln!(self.input.as_mut().unwrap(), "{text}").unwrap();
    }

    fn line(&self) -> Value {
        self.lines.recv_timeout(DEADLINE).unwrap()
    }

    /// Calls and returns the whole answer; notifications in between are checked and passed over.
    fn call(&mut self, method: &str, params: Value) -> Value {
        schema::check_params(method, &params);
        let id = self.next;
        self.next += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        loop {
            let line = self.line();
            if line["id"] == id {
                schema::check_answer(method, &line);
                return line;
            }
            schema::check_notification(&line);
        }
    }

    fn event(&self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.line();
            schema::check_notification(&line);
            assert_eq!(line["method"], "event");
            schema::check_line(&line["params"]);
            if fits(&line["params"]) {
                return line["params"].clone();
            }
        }
    }

    /// Closes its input and waits for its end.
    fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_program_drives_an_account_over_stdio() {
    let (one, two) = (Relay::start(), Relay::start());
    let (alice, bob) = (Account::init("alice", &one), Account::init("bob", &two));
    connect(&alice, &bob);
    let mut rpc = Rpc::start(&alice);
    assert_eq!(rpc.call("account", json!({}))["result"]["name"], "alice");
    let subscribed = rpc.call("events.subscribe", json!({"types": ["message", "receipt"]}));
    assert!(subscribed["result"]["cursor"].is_u64());

    bob.run(&["send", "alice", "-m", "over stdio"]).line();
    let message = rpc.event(|_| true);
    assert_eq!((&message["type"], &message["body"]), (&json!("message"), &json!("over stdio")));

    // What others write reaches the program whole, and a terminal not at all: every line is looked at where it is read.
    run(&mut bob.command(&["send", "alice", "-"]), Some(HOSTILE.as_bytes())).line();
    assert_eq!(rpc.event(|_| true)["body"], HOSTILE);

    // The same words on the command line, which uses this program's engine.
    assert_eq!(alice.run(&["status"]).line()["engine"]["kind"], "rpc");
    let sent = rpc.call("send", json!({"to": "bob", "body": "and back"}));
    let id = sent["result"]["id"].as_str().unwrap().to_owned();
    let params = json!({"id": id, "status": "sent", "timeout_ms": 20_000});
    assert_eq!(rpc.call("wait", params)["result"]["status"], "sent");
    assert_eq!(bob.run(&["receive"]).line()["body"], "and back");
    rpc.event(|event| event["type"] == "receipt" && event["id"] == id);

    let missing = rpc.call("contact.show", json!({"who": "nobody"}));
    assert_eq!((&missing["error"]["code"], &missing["error"]["data"]["code"]), (&json!(-32_005), &json!("not_found")));
    for (method, params) in [("chats", json!({})), ("history", json!({"chat": "bob"})), ("info", json!({"id": id}))] {
        assert!(rpc.call(method, params)["result"].is_object(), "{method}");
    }
    rpc.write("{");
    assert_eq!(rpc.line()["error"]["code"], -32_700);
    rpc.write(r#"[{"jsonrpc":"2.0","id":"a","method":"status"},{"jsonrpc":"2.0","method":"status"}]"#);
    let batch = rpc.line();
    assert_eq!((batch.as_array().unwrap().len(), &batch[0]["id"]), (1, &json!("a")));
    assert_eq!(rpc.end(), Some(0));
    assert!(!alice.home().join("engine.sock").exists(), "the engine was stopped in order");
}

#[test]
fn one_shot_calls_are_answered_before_the_end() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    let calls =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"account\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"fly\"}";
    let outcome = run(&mut alice.command(&["rpc"]), Some(calls.as_bytes()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let mut answers: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!((&answers[0]["result"]["name"], &answers[1]["error"]["code"]), (&json!("alice"), &json!(-32_601)));
}

#[test]
fn the_schema_is_printed_whole_and_in_parts() {
    let whole = schema::published();
    assert!(whole["methods"]["send"]["params"]["properties"]["body"].is_object());
    let part = |arguments: &[&str]| run(subrosa().arg("schema").args(arguments), None);
    let method: Value = serde_json::from_str(&part(&["--method", "send", "--json"]).stdout).unwrap();
    assert_eq!(method["params"], whole["methods"]["send"]["params"]);
    let line: Value = serde_json::from_str(&part(&["--line", "message"]).stdout).unwrap();
    assert_eq!(line["properties"]["type"]["const"], "message");
    assert_eq!(part(&["--method", "fly", "--json"]).error(2)["code"], "usage");
    assert!(part(&["--line", "fly"]).stderr.contains("message"), "the types are named");
}

#[test]
fn a_field_that_drifts_is_noticed() {
    let good = json!({"v": 1, "type": "error", "code": "failed", "message": "x"});
    schema::check_line(&good);
    for (field, value) in [("extra", json!(1)), ("code", json!("no_such_code")), ("message", json!(7)), ("v", json!(2))]
    {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(std::panic::catch_unwind(|| schema::check_line(&bad)).is_err(), "{bad}");
    }
}
