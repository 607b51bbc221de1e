//! Both ends of the socket, with a twin of the engine that answers what the test wants.

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{protocol::code, *};
use crate::{
    api::{ApiError, Connection, EngineOwner, ErrorKind, EventsParams, NoParams, SendParams, Status, WhoParams},
    client::{Client, Remote, RemoteCall},
    lock::{EngineLock, LockAttempt},
};

/// Answers `status`, refuses `contact.show`, keeps `events` waiting, and tells who called what.
#[derive(Default)]
struct Twin {
    waiting: Notify,
    release: Notify,
    /// What `events` answers next.
    page: std::sync::Mutex<Option<Value>>,
}

impl RemoteCall for Arc<Twin> {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, ApiError> {
        match method {
            "status" => Ok(json!(Status {
                relay: Connection::Online,
                relay_url: "http://127.0.0.1:1".to_owned(),
                error: None,
                outbox: 7,
                unread: 0,
                requests: 0,
                engine: EngineOwner { pid: 1, kind: "twin".to_owned() },
                last_sync_ms: None,
                clock_off_ms: None,
            })),
            "contact.show" => {
                Err(ApiError::new(ErrorKind::NotFound, format!("nobody is named {}", params["who"])).hint("look again"))
            }
            "events" => {
                self.waiting.notify_one();
                self.release.notified().await;
                let page = self.page.lock().unwrap().take();
                Ok(page.unwrap_or_else(|| json!({"events": [], "cursor": 3})))
            }
            "send" => Ok(json!({
                "id": params["id"], "chat": "", "status": "queued", "ts_ms": params["body"].as_str().unwrap().len(), "results": []
            })),
            _ => Err(ApiError::new(ErrorKind::Failed, method)),
        }
    }
}

struct Served {
    twin: Arc<Twin>,
    home: Home,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    _lock: EngineLock,
    _place: tempfile::TempDir,
}

fn served_at(place: tempfile::TempDir, home: Home) -> Served {
    home.create().unwrap();
    let LockAttempt::Held(lock) = EngineLock::attempt(&home, "twin").unwrap() else { panic!("the lock was free") };
    let twin = Arc::new(Twin::default());
    let shutdown = CancellationToken::new();
    let listener = bind(&home, &lock).unwrap();
    let task = tokio::spawn(serve(Arc::new(Remote(Arc::clone(&twin))), listener, shutdown.clone()));
    Served { twin, home, shutdown, task, _lock: lock, _place: place }
}

fn served() -> Served {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path().join("home"));
    served_at(place, home)
}

async fn client(served: &Served) -> Remote<SocketCaller> {
    Remote(SocketCaller::connect(&served.home).await.unwrap())
}

/// A connection that writes what it likes.
struct Raw(BufReader<UnixStream>);

impl Raw {
    async fn to(served: &Served) -> Self {
        Self(BufReader::new(UnixStream::connect(served.home.engine_socket()).await.unwrap()))
    }

    async fn write(&mut self, text: &[u8]) {
        self.0.write_all(text).await.unwrap();
    }

    async fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, text: &str) -> Value {
        self.write(format!("{text}\n").as_bytes()).await;
        self.line().await
    }
}

#[tokio::test]
async fn results_and_errors_arrive_as_they_are() {
    let served = served();
    let client = client(&served).await;
    assert_eq!(client.status(NoParams {}).await.unwrap().outbox, 7);
    let error = client.contact_show(WhoParams { who: "zoë".to_owned() }).await.unwrap_err();
    assert_eq!(error.code, ErrorKind::NotFound);
    assert_eq!(error.message, "nobody is named \"zoë\"");
    assert_eq!(error.hint.as_deref(), Some("look again"));
}

#[tokio::test]
async fn the_socket_is_private_and_replaces_a_dead_one() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    drop(std::os::unix::net::UnixListener::bind(home.engine_socket()).unwrap());
    let refused = SocketCaller::connect(&home).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let served = served_at(place, home);
    let mode = std::fs::metadata(served.home.engine_socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    client(&served).await.status(NoParams {}).await.unwrap();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_directory_deeper_than_a_socket_path_works() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path().join("d".repeat(150)).join("e".repeat(150)));
    let served = served_at(place, home);
    client(&served).await.status(NoParams {}).await.unwrap();
    assert!(served.home.engine_socket().exists());
}

#[tokio::test]
async fn calls_run_side_by_side_and_long_texts_fit() {
    let served = served();
    let client = client(&served).await;
    let waits = client.events(EventsParams { since: None, max: None, wait_ms: 1000 });
    let others = async {
        served.twin.waiting.notified().await;
        let body = "\u{1}".repeat(crate::limits::MAX_TEXT_BYTES);
        let sent = client
            .send(SendParams { to: "x".to_owned(), body, id: Some("ab".to_owned()), ..SendParams::default() })
            .await
            .unwrap();
        assert_eq!(sent.ts_ms, crate::limits::MAX_TEXT_BYTES as u64);
        served.twin.release.notify_one();
    };
    let (page, ()) = tokio::join!(waits, others);
    assert_eq!(page.unwrap().cursor, 3);
}

#[tokio::test]
async fn when_the_engine_stops_open_and_later_calls_say_so() {
    let served = served();
    let client = client(&served).await;
    let waits = client.events(EventsParams { since: None, max: None, wait_ms: 1000 });
    let stop = async {
        served.twin.waiting.notified().await;
        served.shutdown.cancel();
    };
    let (page, ()) = tokio::join!(waits, stop);
    assert_eq!(page.unwrap_err().code, ErrorKind::EngineGone);
    assert_eq!(client.status(NoParams {}).await.unwrap_err().code, ErrorKind::EngineGone);
    served.task.await.unwrap();
}

#[tokio::test]
async fn malformed_input_is_answered_and_survived() {
    let served = served();
    let mut raw = Raw::to(&served).await;
    for (text, code) in [
        ("{", code::PARSE),
        ("\"text\"", code::INVALID_REQUEST),
        ("[]", code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1e300,"method":"status"}"#, code::INVALID_REQUEST),
        ("{}", code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":{},"method":"status"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"1.0","id":1,"method":"status"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"format_disk"}"#, code::METHOD_NOT_FOUND),
        (r#"{"jsonrpc":"2.0","id":1,"method":"status","params":7}"#, code::INVALID_PARAMS),
        (r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"x":1}}"#, code::INVALID_PARAMS),
        (r#"{"jsonrpc":"2.0","id":1,"method":"contact.show","params":{"who":"x"}}"#, -32_005),
    ] {
        assert_eq!(raw.ask(text).await["error"]["code"], code, "{text}");
    }
    raw.write(b"\xff\xfe\x00\n").await;
    assert_eq!(raw.line().await["error"]["code"], code::PARSE);
    raw.write(&vec![b'['; MAX_REQUEST_BYTES]).await;
    raw.write(b"\n").await;
    assert_eq!(raw.line().await["error"]["code"], code::PARSE, "deep nesting is refused, not followed");
    raw.write(&vec![b'x'; 4 * MAX_REQUEST_BYTES]).await;
    raw.write(b"\n").await;
    assert_eq!(raw.line().await["error"]["code"], code::INVALID_REQUEST);
    assert_eq!(raw.ask(r#"{"jsonrpc":"2.0","id":"a","method":"status"}"#).await["result"]["outbox"], 7);
}

#[tokio::test]
async fn notifications_are_not_answered_and_a_half_closed_client_gets_its_answers() {
    let served = served();
    let mut raw = Raw::to(&served).await;
    raw.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\"}\n\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"events\"}\n")
        .await;
    raw.0.shutdown().await.unwrap();
    served.twin.waiting.notified().await;
    served.twin.release.notify_one();
    assert_eq!(raw.line().await["id"], 2);
    let mut rest = String::new();
    assert_eq!(raw.0.read_line(&mut rest).await.unwrap(), 0, "the connection ends: {rest}");
}

#[tokio::test]
async fn a_call_that_is_given_up_does_not_confuse_the_next() {
    let served = served();
    let client = client(&served).await;
    {
        let waits = client.events(EventsParams { since: None, max: None, wait_ms: 1000 });
        tokio::select! {
            _ = waits => panic!("nothing released it"),
            () = served.twin.waiting.notified() => {}
        }
    }
    served.twin.release.notify_one();
    assert_eq!(client.status(NoParams {}).await.unwrap().outbox, 7);
}

#[tokio::test]
async fn a_batch_is_answered_as_one_and_only_what_asks_for_it() {
    let served = served();
    let mut raw = Raw::to(&served).await;
    let batch = r#"[
        {"jsonrpc":"2.0","id":"first","method":"status"},
        {"jsonrpc":"2.0","method":"status"},
        7,
        {"jsonrpc":"2.0","id":null,"method":"contact.show","params":{"who":"x"}},
        {"jsonrpc":"2.0","id":-1.5,"method":"contact.show","params":["by position"]},
        {"jsonrpc":"2.0","id":2,"method":"events.subscribe"}
    ]"#;
    let answers = raw.ask(&batch.replace('\n', " ")).await;
    let answers = answers.as_array().unwrap();
    let code = |place: usize| answers[place]["error"]["code"].as_i64().unwrap();
    assert_eq!(answers.len(), 5, "{answers:#?}");
    assert_eq!((&answers[0]["id"], &answers[0]["result"]["outbox"]), (&json!("first"), &json!(7)));
    assert_eq!((&answers[1]["id"], code(1)), (&Value::Null, code::INVALID_REQUEST));
    assert_eq!((&answers[2]["id"], code(2)), (&Value::Null, -32_005));
    assert_eq!((&answers[3]["id"], code(3)), (&json!(-1.5), -32_005));
    assert_eq!(code(4), code::METHOD_NOT_FOUND);
    raw.write(b"[{\"jsonrpc\":\"2.0\",\"method\":\"status\"},{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}]\n").await;
    let many: Vec<i32> = (0..).take(MAX_BATCH + 1).collect();
    assert_eq!(raw.ask(&json!(many).to_string()).await["error"]["code"], code::INVALID_REQUEST, "no answer before");
    assert_eq!(
        raw.ask(r#"{"jsonrpc":"2.0","id":9,"method":"rpc.ping"}"#).await,
        json!({"jsonrpc":"2.0","id":9,"result":{}})
    );
}

#[tokio::test]
async fn a_subscription_brings_events_until_it_ends() {
    let served = served();
    let mut raw = Raw::to(&served).await;
    served.twin.release.notify_one();
    let subscribed =
        raw.ask(r#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"types":["notice"]}}"#).await;
    assert_eq!(subscribed["result"]["cursor"], 3);
    let notices = |first: u64| {
        let line = |cursor: u64| json!({"type": "notice", "cursor": cursor, "code": "x", "text": "", "ts_ms": 0});
        let other = json!({"type": "state", "cursor": first + 1, "id": "", "chat": "", "status": "sent", "ts_ms": 0});
        json!({"events": [line(first), other, line(first + 2)], "cursor": first + 2})
    };
    *served.twin.page.lock().unwrap() = Some(notices(4));
    served.twin.release.notify_one();
    for cursor in [4, 6] {
        let event = raw.line().await;
        assert_eq!(event["method"], "event");
        assert!(event.get("id").is_none());
        assert_eq!((&event["params"]["type"], &event["params"]["v"]), (&json!("notice"), &json!(1)));
        assert_eq!(event["params"]["cursor"], cursor);
    }
    assert_eq!(raw.ask(r#"{"jsonrpc":"2.0","id":2,"method":"events.unsubscribe"}"#).await["result"]["count"], 1);
    assert_eq!(raw.ask(r#"{"jsonrpc":"2.0","id":3,"method":"events.unsubscribe"}"#).await["result"]["count"], 0);
    let refused = raw.ask(r#"{"jsonrpc":"2.0","id":4,"method":"events.subscribe","params":{"types":["fog"]}}"#).await;
    assert_eq!(refused["error"]["code"], code::INVALID_PARAMS);
}

#[tokio::test]
async fn a_further_socket_replaces_only_what_nobody_serves() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("further.sock");
    let first = bind_at(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(bind_at(&path).unwrap_err().message.contains("already serves"));
    drop(first);
    bind_at(&path).unwrap();
    let file = place.path().join("notes.txt");
    std::fs::write(&file, "precious").unwrap();
    assert!(bind_at(&file).unwrap_err().message.contains("not a socket"));
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    assert_eq!(bind_at(&place.path().join("x".repeat(200))).unwrap_err().code, ErrorKind::Usage);
}
