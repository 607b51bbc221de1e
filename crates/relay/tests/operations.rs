//! Health, metrics, logs, supervisors, backup, restore, and damage that is found before it is served.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::support::*;
use subrosa_relay::RelayError;
use subrosa_wire::{
    ErrorCode,
    mailbox::{MailboxServerFrame, PrekeyUpload},
    submit::SubmitResult,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

fn program(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_subrosa-relay"));
    command.args(arguments).args(paths).env_remove("SUBROSA_RELAY_DATA").output().unwrap()
}

fn backup(data: &Path, file: &Path) -> Output {
    program(&["backup", "--json", "--data"], &[data, file])
}

fn restore(data: &Path, file: &Path) -> Output {
    program(&["restore", "--json", "--data"], &[data, file])
}

fn ok(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn get(url: &str) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = soon(client.get(url).send()).await.unwrap();
    (response.status().as_u16(), soon(response.text()).await.unwrap())
}

#[tokio::test]
async fn ready_is_who_can_store_and_alive_is_who_answers() {
    let relay = TestRelay::start().await;
    assert_eq!(get(&format!("{}/healthz", relay.url)).await, (200, "ok\n".into()));
    assert_eq!(get(&format!("{}/readyz", relay.url)).await, (200, "ready\n".into()));
    let full = TestRelay::with(|config| config.min_free_bytes = u64::MAX).await;
    assert_eq!(get(&format!("{}/readyz", full.url)).await, (503, "not ready\n".into()));
    assert_eq!(get(&format!("{}/healthz", full.url)).await.0, 200);
    assert_eq!(get(&format!("{}/metrics", relay.url)).await.0, 404, "metrics are not public");
}

/// The value of a metric, with its labels as they are written.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn metrics_count_what_happened_and_name_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (_process, at, metrics) = start(dir.path(), &["--metrics", "127.0.0.1:0"], Stdio::null()).await;
    let (bob, mut mailbox) = account(&at, "bob").await;
    mailbox.drain().await;
    let mut sender = Submitter::open(&at).await;
    let submit = envelope(bob.device(1), bob.capability(), 1, "hello");
    sender.one(submit.clone()).await;
    sender.one(submit).await;
    sender.one(envelope(bob.device(1), Account::new("eve").capability(), 1, "no")).await;
    assert_eq!(Account::new("bob").register(&at).await.unwrap_err().code, ErrorCode::HandleTaken);
    assert_eq!(mailbox.push().await.seq, 1);
    mailbox.put_prekeys(PrekeyUpload::default()).await.unwrap();

    let (status, text) = get(&format!("http://{}/metrics", metrics.unwrap())).await;
    assert_eq!(status, 200);
    for (name, expected) in [
        ("subrosa_relay_envelopes_accepted_total{as=\"stored\"}", 1.0),
        ("subrosa_relay_envelopes_accepted_total{as=\"repeat\"}", 1.0),
        ("subrosa_relay_envelopes_delivered_total", 1.0),
        ("subrosa_relay_envelopes_acknowledged_total", 0.0),
        ("subrosa_relay_refusals_total{reason=\"capability_refused\"}", 1.0),
        ("subrosa_relay_refusals_total{reason=\"handle_taken\"}", 1.0),
        ("subrosa_relay_sessions", 1.0),
        ("subrosa_relay_accounts", 1.0),
        ("subrosa_relay_mailbox_envelopes", 1.0),
        ("subrosa_relay_mailbox_bytes", 512.0),
        ("subrosa_relay_mailbox_deepest", 1.0),
        ("subrosa_relay_ready", 1.0),
    ] {
        assert!((value(&text, name) - expected).abs() < f64::EPSILON, "{name}: {text}");
    }
    assert!(value(&text, "subrosa_relay_connections") >= 2.0);
    assert!(value(&text, "subrosa_relay_commit_seconds_count") >= 3.0);
    for secret in [bob.id.to_string(), "bob".to_owned(), "127.0.0.1".to_owned()] {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
}

/// The real binary; gives where it listens and where its metrics are.
async fn start(data: &Path, more: &[&str], stderr: Stdio) -> (tokio::process::Child, At, Option<String>) {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_subrosa-relay"))
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .args(more)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon(lines.next_line()).await.unwrap().expect("no start line");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let metrics = value["metrics"].as_str().map(str::to_owned);
    (child, At::of(value["url"].as_str().unwrap()), metrics)
}

#[tokio::test]
async fn the_log_names_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let stderr = std::fs::File::create(&log).unwrap();
    let data = dir.path().join("data");
    let (mut child, at, _) = start(&data, &["--log-format", "json"], stderr.into()).await;
    let (bob, mut mailbox) = account(&at, "bob-of-the-log").await;
    mailbox.drain().await;
    let mut sender = Submitter::open(&at).await;
    sender.one(envelope(bob.device(1), bob.capability(), 1, "hello")).await;
    sender.one(envelope(bob.device(1), Account::new("eve").capability(), 1, "no")).await;
    assert!(Mailbox::try_open(&at, &Account::new("nobody-of-the-log"), 1).await.is_err());
    // From an address that is not the listener's.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.77:0".parse().unwrap()).unwrap();
    let mut garbage = soon(socket.connect(at.authority.parse().unwrap())).await.unwrap();
    garbage.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(garbage.read_to_end(&mut answer)).await;
    assert!(program(&["account", "disable", "bob-of-the-log", "--data"], &[&data]).status.success());
    assert!(program(&["drain", "--data"], &[&data]).status.success());
    drop((mailbox, sender));
    assert!(soon(child.wait()).await.unwrap().success());
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("stopping") && text.lines().all(|line| line.starts_with('{')), "{text}");
    for secret in [bob.id.to_string(), "of-the-log".to_owned(), "127.0.0.77".to_owned()] {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_supervisor_hands_over_the_socket_and_hears_when_it_serves_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let heard = std::os::unix::net::UnixDatagram::bind(dir.path().join("notify")).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The shell puts the socket where a supervisor would: at 3, with the right pid.
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_subrosa-relay"), "serve", "--data"])
        .arg(dir.path().join("data"))
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let hear = move || {
        let mut buffer = [0; 64];
        let length = heard.recv(&mut buffer).unwrap();
        (String::from_utf8(buffer[..length].to_vec()).unwrap(), heard)
    };
    let (first, heard) = subrosa_tasks::beside(hear).await.unwrap();
    assert_eq!(first, "READY=1");
    assert_eq!(get(&format!("http://{address}/healthz")).await.0, 200);
    assert!(program(&["drain", "--data"], &[&dir.path().join("data")]).status.success());
    let mut buffer = [0; 64];
    let length = heard.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"STOPPING=1");
    assert!(soon(child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn a_backup_is_whole_and_a_restored_relay_is_another_life() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    mailbox.drain().await;
    let key = bytes::Bytes::from([&[0, 0, 0, 1][..], &[7; 32]].concat());
    mailbox.put_prekeys(PrekeyUpload { one_time_ec: vec![key], ..PrekeyUpload::default() }).await.unwrap();
    let epoch = mailbox.epoch;
    mailbox.hang_up().await;
    let mut sender = Submitter::open(&at).await;
    for text in ["one", "two"] {
        sender.one(envelope(bob.device(1), bob.capability(), 1, text)).await;
    }
    let file = relay.dir.path().join("backup.db");
    let line = ok(&backup(&relay.data(), &file));
    assert_eq!((&line["type"], &line["v"]), (&"backup".into(), &1.into()));
    assert!(failed(&backup(&relay.data(), &file)).contains("it exists already"));
    assert!(failed(&restore(&relay.data(), &file)).contains("another relay already uses"));
    // What came later is not in it.
    sender.one(envelope(bob.device(1), bob.capability(), 1, "three")).await;
    let mut mailbox = Mailbox::open(&at, &bob, 1).await;
    assert_eq!(mailbox.drain().await.last().unwrap().seq, 3);
    mailbox.ack(3).await;
    mailbox.hang_up().await;
    drop(sender);

    let dir = relay.stop().await;
    let data = dir.path().join("data");
    let line = ok(&restore(&data, &file));
    let old = line["old"].as_str().unwrap();
    assert!(program(&["check"], &[Path::new(old)]).status.success(), "what was there is kept");
    let relay = TestRelay::on(dir, |_| {}).await;
    let at = relay.at();
    let mut mailbox = Mailbox::open(&at, &bob, 1).await;
    assert_ne!(mailbox.epoch, epoch);
    assert_eq!((mailbox.acked, mailbox.prekeys.one_time_ec), (0, 0), "keys that may be used are not given out again");
    assert_eq!(mailbox.drain().await.iter().map(text).collect::<Vec<_>>(), ["one", "two"]);
    let mut sender = Submitter::open(&at).await;
    let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "four")).await;
    assert_eq!(result, SubmitResult::Accepted);
    let push = mailbox.push().await;
    assert!(push.seq > 1_000_000, "no number is given twice: {}", push.seq);
    mailbox.ack(push.seq).await;
    mailbox.hang_up().await;
    assert_eq!(Mailbox::open(&at, &bob, 1).await.drain().await, []);
    // Into an empty directory, too.
    let elsewhere = relay.dir.path().join("elsewhere");
    assert!(ok(&restore(&elsewhere, &file))["old"].is_null());
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_changes_nothing() {
    let relay = TestRelay::start().await;
    account(&relay.at(), "bob-in-backup").await;
    let dir = relay.stop().await;
    let (data, file) = (dir.path().join("data"), dir.path().join("backup.db"));
    ok(&backup(&data, &file));
    let before = std::fs::read(data.join("relay.db")).unwrap();
    let good = std::fs::read(&file).unwrap();
    let mut damaged = good.clone();
    damaged[places(&good, b"bob-in-backup")[0]] ^= 1;
    for (bytes, part) in [
        (damaged, "is damaged"),
        (b"no database at all, but long enough for one".repeat(99), "is damaged"),
        (good[..good.len() / 2].to_vec(), "is damaged"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let text = failed(&restore(&data, &file));
        assert!(text.contains(part) && text.contains("backup.db"), "{text}");
        assert!(failed(&program(&["check"], &[&file])).contains("is damaged"));
    }
    assert!(failed(&restore(&data, &dir.path().join("missing.db"))).contains("missing.db"));
    assert!(failed(&backup(&dir.path().join("nowhere"), &dir.path().join("x.db"))).contains("nowhere"));
    assert_eq!(std::fs::read(data.join("relay.db")).unwrap(), before);
    let mut names: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["relay.db", "relay.lock"], "nothing is left behind");
}

/// A database with two people and mail, and what of it may be looked for in its bytes.
async fn database() -> (tempfile::TempDir, Account, Vec<u8>) {
    let relay = TestRelay::start().await;
    let (bob, mailbox) = account(&relay.at(), "bob-with-mail").await;
    mailbox.hang_up().await;
    account(&relay.at(), "carol").await;
    let mut sender = Submitter::open(&relay.at()).await;
    for n in 0..40 {
        sender.one(envelope(bob.device(1), bob.capability(), 1, &format!("text {n:02}"))).await;
    }
    drop(sender);
    let dir = relay.stop().await;
    let bytes = std::fs::read(dir.path().join("data/relay.db")).unwrap();
    (dir, bob, bytes)
}

fn places(bytes: &[u8], part: &[u8]) -> Vec<usize> {
    (0..bytes.len() - part.len()).filter(|at| bytes[*at..].starts_with(part)).collect()
}

async fn open(dir: &Path, start_check: Duration) -> Result<subrosa_relay::Relay, RelayError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = subrosa_relay::Config::new(dir.join("data"));
    config.start_check = start_check;
    subrosa_relay::Relay::open(config, listener).await
}

#[tokio::test]
async fn a_flipped_byte_of_a_row_or_an_index_keeps_the_relay_from_starting() {
    let (dir, bob, good) = database().await;
    let path = dir.path().join("data/relay.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    let id: Vec<u8> = db.query_row("SELECT env_id FROM mailbox LIMIT 1", [], |row| row.get(0)).unwrap();
    drop(db);
    for (what, part, at_least) in [
        ("an envelope's id, in the row and in the index", &id[..], 2),
        ("a body", b"text 17", 1),
        ("a handle, in the row and in the index", b"bob-with-mail", 2),
        ("an account's id, in rows and index", &bob.id.0, 2),
        ("an account's record", &bob.record[1..], 1),
        ("a device's key, in the list and in the row", bob.devices[0].1.verifying_key().as_bytes(), 2),
    ] {
        let found = places(&good, part);
        assert!(found.len() >= at_least, "{what}: {found:?}");
        for at in found {
            let mut flipped = good.clone();
            flipped[at + 3] ^= 0x10;
            std::fs::write(&path, &flipped).unwrap();
            let text = open(dir.path(), PATIENCE).await.err().unwrap_or_else(|| panic!("{what} at {at}")).to_string();
            assert!(text.contains("is damaged") && text.contains("restore BACKUP"), "{what}: {text}");
            assert!(failed(&program(&["check"], &[&path])).contains("is damaged"), "{what} at {at}");
        }
    }
    std::fs::write(&path, &good).unwrap();
    assert!(open(dir.path(), PATIENCE).await.is_ok());
}

/// Without any check at start: what is read is what was written, or an error.
#[tokio::test]
async fn damage_that_nobody_looked_for_is_never_served() {
    let (dir, bob, good) = database().await;
    let path = dir.path().join("data/relay.db");
    let expected: Vec<String> = (0..40).map(|n| format!("text {n:02}")).collect();
    let mut served = 0;
    // Each page, at places that differ from page to page.
    for page in 1..good.len() / 4096 {
        let mut flipped = good.clone();
        flipped[page * 4096 + (page * 1_237) % 4096] ^= 0x41;
        std::fs::write(&path, &flipped).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(dir.path().join(format!("data/relay.db{suffix}")));
        }
        let Ok(relay) = open(dir.path(), Duration::ZERO).await else { continue };
        let at = At::of(&relay.url());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(relay.serve(async move {
            let _ = stopped.await;
        }));
        if let Ok(mut mailbox) = Mailbox::try_open(&at, &bob, 1).await {
            let mut pushes = Vec::new();
            loop {
                match mailbox.next().await {
                    Some(MailboxServerFrame::Push(push)) => pushes.push(push),
                    Some(MailboxServerFrame::CaughtUp | MailboxServerFrame::GoAway { .. }) | None => break,
                    Some(MailboxServerFrame::PrekeysLow(_)) => {}
                    Some(other) => panic!("{other:?}"),
                }
            }
            assert!(pushes.iter().all(|push| expected.contains(&text(push))), "page {page}: what was not written");
            served += usize::from(pushes.iter().map(text).eq(expected.iter().cloned()));
        }
        drop(stop);
        let _ = soon(task).await.unwrap();
    }
    assert!(served > 0, "most flips hit what this mailbox does not need");
}
