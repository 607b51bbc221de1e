//! `daemon`: sockets, HTTP and server-sent events, and who is let in.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use crate::support::{Account, DEADLINE, HOSTILE, Relay, Running, connect, run, schema};
use serde_json::{Value, json};

/// What a server said to one request.
struct Answer {
    status: u16,
    body: Value,
}

fn connect_to(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// One request with these header lines.
fn request(address: &str, line: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = connect_to(address);
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    crate::support::assert_harmless(body);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// Server-sent events, field by field.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(address: &str, token: &str, path: &str, last: Option<&str>) -> Self {
        let mut stream = connect_to(address);
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    fn field(&mut self, name: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "no {name}");
            if let Some(value) = line.strip_prefix(&format!("{name}: ")) {
                return value.trim().to_owned();
            }
        }
    }

    /// The next event and its id.
    fn event(&mut self) -> (String, Value) {
        let mut id = self.field("id");
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if let Some(next) = line.strip_prefix("id: ") {
                id = next.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                crate::support::assert_harmless(data);
                let event: Value = serde_json::from_str(data).unwrap();
                schema::check_line(&event);
                return (id, event);
            }
        }
    }
}

#[test]
fn programs_reach_the_engine_over_http_and_sockets() {
    let (one, two) = (Relay::start(), Relay::start());
    let (alice, bob) = (Account::init("alice", &one), Account::init("bob", &two));
    connect(&alice, &bob);
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("further.sock");
    let mut command = alice.command(&["daemon", "--http", "127.0.0.1:0", "--socket", socket.to_str().unwrap()]);
    let daemon = Running::start(&mut command);
    let info = daemon.wait_for(|line| line["type"] == "daemon");
    let address = info["http"][0].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let token = std::fs::read_to_string(info["token_file"].as_str().unwrap()).unwrap().trim().to_owned();
    let host = format!("Host: {address}");
    let bearer = format!("Authorization: Bearer {token}");
    let rpc = |method: &str, params: Value| {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer = request(&address, "POST /rpc", &[&host, &bearer], &call);
        assert_eq!(answer.status, 200);
        schema::check_answer(method, &answer.body);
        answer.body
    };
    assert_eq!(rpc("status", json!({}))["result"]["engine"]["kind"], "daemon");
    assert_eq!(rpc("fly", json!({}))["error"]["code"], -32_601);

    // Who is let in.
    let status = |line: &str, headers: &[&str]| request(&address, line, headers, "{}").status;
    assert_eq!(status("GET /health", &[&host]), 200);
    assert_eq!(status("POST /rpc", &[&host]), 401);
    assert_eq!(status("POST /rpc", &[&host, "Authorization: Bearer 0000"]), 401);
    assert_eq!(status("GET /events", &[&host]), 401);
    assert_eq!(status("GET /health", &["Host: evil.example"]), 403);
    assert_eq!(status("POST /rpc", &[&host, &bearer, "Origin: http://evil.example"]), 403);
    assert_eq!(status("GET /fly", &[&host]), 404);
    assert_eq!(status("GET /events?types=fog", &[&host, &bearer]), 400);
    assert_eq!(status("GET /events?since=999999", &[&host, &bearer]), 400, "a cursor of the future");
    let long = request(&address, "POST /rpc", &[&host, &bearer], &"x".repeat(500_000));
    assert_eq!(long.status, 413);
    schema::check_line(&long.body);
    let notification = request(&address, "POST /rpc", &[&host, &bearer], r#"{"jsonrpc":"2.0","method":"status"}"#);
    assert_eq!(notification.status, 204);

    // Events, and where a reader goes on.
    let mut events = Events::open(&address, &token, "/events?types=message", None);
    events.field("retry");
    events.field("id");
    bob.run(&["send", "alice", "-m", "first"]).line();
    let (id, event) = events.event();
    assert_eq!((&event["body"], event["cursor"].to_string()), (&json!("first"), id.clone()));
    drop(events);
    run(&mut bob.command(&["send", "alice", "-"]), Some(HOSTILE.as_bytes())).line();
    let mut events = Events::open(&address, &token, "/events?types=message", Some(&id));
    assert_eq!(events.event().1["body"], HOSTILE);
    let history = r#"{"jsonrpc":"2.0","id":8,"method":"history","params":{"chat":"bob"}}"#;
    let history = request(&address, "POST /rpc", &[&host, &bearer], history);
    assert_eq!(history.body["result"]["messages"][1]["body"], HOSTILE);

    // The further socket speaks the same.
    let mut further = UnixStream::connect(&socket).unwrap();
    further.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"account\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(&further).read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["result"]["name"], "alice");

    assert_eq!(daemon.end("TERM").code(), Some(0));
    assert!(!socket.exists() && !alice.home().join("engine.sock").exists());
    let error = run(&mut alice.command(&["daemon", "--http", "0.0.0.0:0"]), None).error(2);
    assert!(error["hint"].as_str().unwrap().contains("--http-beyond-loopback"), "{error}");
}

#[test]
fn a_daemon_beside_a_listener_takes_over_when_it_dies() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    let listener = alice.listen(&[]);
    let daemon = Running::start(&mut alice.command(&["daemon"]));
    daemon.wait_for(|line| line["type"] == "daemon");
    assert!(!listener.end("KILL").success());
    let until = std::time::Instant::now() + DEADLINE;
    while alice.run(&["status"]).line()["engine"]["kind"] != "daemon" {
        assert!(std::time::Instant::now() < until, "nobody called it, and it has to take over all the same");
    }
}
