//! The real binary: start line, signals, kills, restarts, and what it refuses to start with.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
};

use crate::support::*;
use subrosa_wire::{
    ErrorCode,
    mailbox::MailboxServerFrame,
    submit::{Submit, SubmitResult, SubmitServerFrame},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

/// A relay process. Killed if the test ends early.
struct Process {
    child: Child,
    at: At,
}

fn command(data: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_subrosa-relay"));
    command.arg("--data").arg(data).args(["--listen", listen, "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

impl Process {
    async fn start(data: &Path, listen: &str) -> Self {
        Self::spawn(command(data, listen)).await
    }

    async fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(lines.next_line()).await.unwrap().expect("no start line");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["v"], &value["type"]), (&1.into(), &"listening".into()));
        let at = At::of(value["url"].as_str().unwrap());
        Self { child, at }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let status = std::process::Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    }

    async fn ended(mut self) -> ExitStatus {
        soon(self.child.wait()).await.unwrap()
    }
}

/// Starts, expects a refusal, gives what it says.
async fn refused_start(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    soon(child.stderr.take().unwrap().read_to_string(&mut text)).await.unwrap();
    assert!(!soon(child.wait()).await.unwrap().success());
    let mut stdout = String::new();
    soon(child.stdout.take().unwrap().read_to_string(&mut stdout)).await.unwrap();
    assert_eq!(stdout, "", "nothing on stdout unless it serves");
    text
}

#[tokio::test]
async fn a_killed_relay_starts_again_on_its_port_with_all_it_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), "127.0.0.1:0").await;
    let at = process.at.clone();
    let (bob, mailbox) = account(&at, "bob").await;
    mailbox.hang_up().await;
    let mut sender = Submitter::open(&at).await;
    for n in 0..20 {
        let result = sender.one(envelope(bob.device(1), bob.capability(), 1, &n.to_string())).await;
        assert_eq!(result, SubmitResult::Accepted);
    }
    process.signal("-KILL");
    assert!(!process.ended().await.success());
    let begun = subrosa_ambient::instant();
    let process = Process::start(dir.path(), &at.authority).await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "restart took {:?}", begun.elapsed());
    assert_eq!(process.at.url, at.url);
    let pushes = Mailbox::open(&at, &bob, 1).await.drain().await;
    assert_eq!(pushes.iter().map(text).collect::<Vec<_>>(), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn sigterm_says_go_away_and_exits_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), "127.0.0.1:0").await;
    let (bob, mut mailbox) = account(&process.at, "bob").await;
    mailbox.drain().await;
    let mut sender = Submitter::open(&process.at).await;
    // Accepted while the stop is under way, or told to come back: never left open.
    let id = sender.begin(envelope(bob.device(1), bob.capability(), 1, "last")).await;
    let begun = subrosa_ambient::instant();
    process.signal("-TERM");
    let mut accepted = false;
    loop {
        match sender.next().await {
            Some(SubmitServerFrame::Reply { id: answered, result }) => {
                assert_eq!((answered, result), (id, Ok(vec![SubmitResult::Accepted])));
                accepted = true;
            }
            Some(SubmitServerFrame::GoAway { retry_after_ms }) => {
                assert!(retry_after_ms <= 60_000);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    loop {
        match mailbox.next().await {
            Some(MailboxServerFrame::GoAway { .. }) => break,
            Some(MailboxServerFrame::Push(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(close_code(&mut mailbox.socket).await, Some(1012));
    assert_eq!(close_code(&mut sender.socket).await, Some(1012));
    drop((mailbox, sender));
    assert!(process.ended().await.success());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "stop took {:?}", begun.elapsed());
    assert!(!dir.path().join("relay.db-wal").exists(), "a clean stop leaves one file");
    assert_eq!(count(dir.path(), "SELECT count(*) FROM mailbox"), i64::from(accepted));
}

#[tokio::test]
async fn sigint_stops_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), "127.0.0.1:0").await;
    process.signal("-INT");
    assert!(process.ended().await.success());
}

/// Aborts at a crash point, starts again, and gives what Bob's mailbox then holds.
async fn crash_at(point: &str, submit: impl Fn(&Account) -> Submit) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut crashing = command(dir.path(), "127.0.0.1:0");
    crashing.env("SUBROSA_CRASH_AT", point);
    let process = Process::spawn(crashing).await;
    let at = process.at.clone();
    let (bob, mut mailbox) = account(&at, "bob").await;
    mailbox.drain().await;
    let mut sender = Submitter::open(&at).await;
    let submit = submit(&bob);
    sender.begin(submit.clone()).await;
    assert!(!process.ended().await.success());
    let _process = Process::start(dir.path(), &at.authority).await;
    // The sender has no answer and asks again with the same bytes.
    assert_eq!(Submitter::open(&at).await.one(submit).await, SubmitResult::Accepted);
    Mailbox::open(&at, &bob, 1).await.drain().await.iter().map(text).collect()
}

#[tokio::test]
async fn a_crash_between_commit_and_reply_stores_once() {
    let waiting =
        crash_at("relay-after-commit-before-reply", |bob| envelope(bob.device(1), bob.capability(), 1, "once"));
    assert_eq!(waiting.await, ["once"]);
}

#[tokio::test]
async fn a_crash_between_push_and_acknowledgement_pushes_again() {
    let waiting = crash_at("relay-after-push", |bob| envelope(bob.device(1), bob.capability(), 1, "once"));
    assert_eq!(waiting.await, ["once"]);
}

#[tokio::test]
async fn two_relays_never_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _process = Process::start(dir.path(), "127.0.0.1:0").await;
    let text = refused_start(command(dir.path(), "127.0.0.1:0")).await;
    assert!(text.contains("another relay already uses") && text.contains("--data"), "{text}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = Process::start(one.path(), "127.0.0.1:0").await;
    let text = refused_start(command(two.path(), &process.at.authority)).await;
    assert!(text.contains(&process.at.authority) && text.contains("--listen"), "{text}");
}

#[tokio::test]
async fn who_listens_for_others_speaks_tls_or_names_the_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::spawn(command(dir.path(), "0.0.0.0:0")).await;
    assert!(process.at.url.starts_with("https://"), "{}", process.at.url);
    assert!(dir.path().join("tls-key.pem").exists());
    drop(process);
    let dir = tempfile::tempdir().unwrap();
    let mut half = command(dir.path(), "0.0.0.0:0");
    half.arg("--behind-proxy");
    assert!(refused_start(half).await.contains("--public-url"));
    let mut plain = command(dir.path(), "0.0.0.0:0");
    plain.args(["--behind-proxy", "--public-url", "http://relay.example.org/"]);
    assert!(refused_start(plain).await.contains("https://"));
    let mut good = command(dir.path(), "0.0.0.0:0");
    good.args(["--behind-proxy", "--public-url", "https://relay.example.org/"]);
    let process = Process::spawn(good).await;
    assert_eq!(process.at.url, "https://relay.example.org");
    assert!(!dir.path().join("tls-key.pem").exists());
}

#[tokio::test]
async fn a_damaged_database_is_refused_with_advice_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), "127.0.0.1:0").await;
    account(&process.at, "bob").await;
    process.signal("-TERM");
    assert!(process.ended().await.success());
    let path = dir.path().join("relay.db");
    let good = std::fs::read(&path).unwrap();

    let mut torn = good.clone();
    torn[4096..8192].fill(0xa5);
    let mut headless = good.clone();
    headless[..100].fill(0);
    let cut = good[..good.len() / 2].to_vec();
    for (what, damaged) in [("a page", torn), ("the header", headless), ("the end", cut)] {
        std::fs::write(&path, &damaged).unwrap();
        let text = refused_start(command(dir.path(), "127.0.0.1:0")).await;
        assert!(text.contains("is damaged") && text.contains("restore BACKUP"), "{what}: {text}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "{what}: not touched");
    }

    std::fs::remove_file(&path).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE cookies (name TEXT)").unwrap();
    drop(db);
    let text = refused_start(command(dir.path(), "127.0.0.1:0")).await;
    assert!(text.contains("not of a Subrosa relay"), "{text}");

    std::fs::write(&path, &good).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let text = refused_start(command(dir.path(), "127.0.0.1:0")).await;
    assert!(text.contains("schema version 99"), "{text}");

    std::fs::write(&path, &good).unwrap();
    let process = Process::start(dir.path(), "127.0.0.1:0").await;
    assert_eq!(Account::new("bob").register(&process.at).await.unwrap_err().code, ErrorCode::HandleTaken);
}
