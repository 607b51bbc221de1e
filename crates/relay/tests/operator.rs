//! Who may register, and what the host's verbs do: the real binary, its admin socket and its clients.

use std::{
    os::unix::{fs::PermissionsExt, net::UnixStream},
    process::{Command, Output},
};

use crate::support::*;
use serde_json::Value;
use subrosa_relay::RegistrationMode;
use subrosa_wire::{
    ErrorCode, RegistrationToken, RelayLink,
    http::{GetDevices, Resolve},
    mailbox::MailboxServerFrame,
    submit::{Refusal, SubmitResult},
};

async fn relay(mode: Option<RegistrationMode>) -> TestRelay {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("data/admin.sock");
    TestRelay::on(dir, |config| {
        config.registration = mode;
        config.admin_socket = Some(socket);
    })
    .await
}

/// Runs a verb of the real program against a relay.
async fn verb(relay: &TestRelay, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_subrosa-relay"));
    command.args(arguments).arg("--data").arg(relay.data()).env_remove("SUBROSA_RELAY_DATA");
    subrosa_tasks::beside(move || command.output().unwrap()).await.unwrap()
}

/// Runs it with `--json`, gives its lines.
async fn lines(relay: &TestRelay, arguments: &[&str]) -> Vec<Value> {
    let output = verb(relay, &[arguments, &["--json"]].concat()).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["v"] == 1));
    assert_eq!(lines.last().unwrap()["type"], "done");
    lines[..lines.len() - 1].to_vec()
}

async fn refused_verb(relay: &TestRelay, arguments: &[&str]) -> String {
    let output = verb(relay, arguments).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn register(relay: &TestRelay, account: &Account, token: Option<&str>) -> Result<(), ErrorCode> {
    let mut registration = account.registration(&relay.authority);
    registration.registration_token = token.map(|token| RegistrationToken::from_text(token).unwrap());
    relay.at().ask(&registration).await.map(|_| ()).map_err(|refusal| refusal.code)
}

async fn create(relay: &TestRelay, more: &[&str]) -> (String, String) {
    let token = lines(relay, &[&["token", "create"], more].concat()).await.remove(0);
    (token["token"].as_str().unwrap().to_owned(), token["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_lets_in_as_many_as_it_says_and_nobody_twice() {
    let relay = relay(Some(RegistrationMode::Token)).await;
    let (bob, carol, dave) = (Account::new("bob"), Account::new("carol"), Account::new("dave"));
    assert_eq!(register(&relay, &bob, None).await, Err(ErrorCode::RegistrationTokenNeeded));
    let wrong = "00112233445566778899aabbccddeeff";
    assert_eq!(register(&relay, &bob, Some(wrong)).await, Err(ErrorCode::RegistrationTokenRefused));

    let (token, id) = create(&relay, &["--note", "for Bob", "--expires", "7d"]).await;
    // Refused for another reason: the token is not used up by that.
    let (other, _) = create(&relay, &["--uses", "2"]).await;
    assert_eq!(register(&relay, &carol, Some(&other)).await, Ok(()));
    assert_eq!(register(&relay, &Account::new("carol"), Some(&token)).await, Err(ErrorCode::HandleTaken));

    assert_eq!(register(&relay, &bob, Some(&token.to_uppercase())).await, Ok(()));
    // The answer was lost: again is fine, and uses nothing.
    assert_eq!(register(&relay, &bob, Some(&token)).await, Ok(()));
    assert_eq!(register(&relay, &dave, Some(&token)).await, Err(ErrorCode::RegistrationTokenRefused));

    let listed = lines(&relay, &["token", "list"]).await;
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["id"], &listed[0]["note"]), (&id.as_str().into(), &"for Bob".into()));
    assert_eq!((&listed[0]["used"], &listed[0]["valid"]), (&1.into(), &false.into()));
    assert_eq!((&listed[1]["used"], &listed[1]["uses"], &listed[1]["valid"]), (&1.into(), &2.into(), &true.into()));
    assert!(listed.iter().all(|line| line.get("token").is_none()), "shown once only");
    let database = std::fs::read(relay.data().join("relay.db-wal")).unwrap();
    let bytes = *RegistrationToken::from_text(&other).unwrap().as_bytes();
    assert!(!database.windows(16).any(|window| window == bytes), "the relay keeps the hash, not the token");
}

#[tokio::test]
async fn revoked_and_ended_tokens_let_nobody_in() {
    let relay = relay(Some(RegistrationMode::Token)).await;
    let (token, id) = create(&relay, &[]).await;
    let (ended, _) = create(&relay, &["--expires", "0s"]).await;
    assert!(lines(&relay, &["token", "revoke", &id]).await.is_empty());
    for token in [&token, &ended] {
        let bob = Account::new("bob");
        assert_eq!(register(&relay, &bob, Some(token)).await, Err(ErrorCode::RegistrationTokenRefused));
    }
    assert!(refused_verb(&relay, &["token", "revoke", &id]).await.contains("token list"));
    assert!(refused_verb(&relay, &["token", "revoke", "xyz"]).await.contains("token list"));
    assert!(refused_verb(&relay, &["token", "revoke", ""]).await.contains("token list"));
    assert!(refused_verb(&relay, &["token", "create", "--uses", "0"]).await.contains("--uses"));
    assert!(refused_verb(&relay, &["token", "create", "--note", "two\nlines"]).await.contains("--note"));
    let (by_itself, _) = create(&relay, &[]).await;
    lines(&relay, &["token", "revoke", &by_itself]).await;
    assert_eq!(lines(&relay, &["token", "list"]).await.len(), 1);
}

#[tokio::test]
async fn a_new_token_comes_with_the_relay_link_that_has_it_inside() {
    let relay = relay(Some(RegistrationMode::Token)).await;
    let line = lines(&relay, &["token", "create"]).await.remove(0);
    let link: RelayLink = line["link"].as_str().unwrap().parse().unwrap();
    assert_eq!(link.registration.unwrap().to_text(), line["token"].as_str().unwrap());
    assert_eq!(link.relay.authority(), relay.authority);
    assert!(lines(&relay, &["token", "list"]).await[0].get("link").is_none(), "shown once only");

    let output = verb(&relay, &["token", "create", "--qr"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let mut shown = text.lines();
    let token = shown.next().unwrap();
    let link: RelayLink = shown.next().unwrap().parse().unwrap();
    assert_eq!(link.registration.unwrap().to_text(), token);
    let widths: Vec<usize> = shown.map(|row| row.chars().count()).collect();
    assert!(widths.len() > 10 && widths.iter().all(|width| width.div_ceil(2) == widths.len()), "a square: {text}");
}

#[tokio::test]
async fn the_link_alone_is_that_without_a_token() {
    let relay = relay(Some(RegistrationMode::Token)).await;
    let token = lines(&relay, &["token", "create"]).await.remove(0);
    let with_token: RelayLink = token["link"].as_str().unwrap().parse().unwrap();
    let link = lines(&relay, &["link"]).await.remove(0);
    let link: RelayLink = link["link"].as_str().unwrap().parse().unwrap();
    assert_eq!(link, RelayLink { registration: None, ..with_token });
    let output = verb(&relay, &["link", "--qr"]).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    let (first, drawn) = shown.split_once('\n').unwrap();
    assert_eq!(first, link.to_string());
    assert!(drawn.contains('█') && drawn.lines().count() > 10, "{drawn}");
    assert!(lines(&relay, &["token", "list"]).await.len() == 1, "it makes none");
}

#[tokio::test]
async fn closed_is_closed_and_this_machine_is_open() {
    let closed = relay(Some(RegistrationMode::Closed)).await;
    let (token, _) = create(&closed, &[]).await;
    assert_eq!(register(&closed, &Account::new("bob"), Some(&token)).await, Err(ErrorCode::RegistrationClosed));
    let open = relay(None).await;
    assert_eq!(register(&open, &Account::new("bob"), Some(&token)).await, Ok(()));
    assert_eq!(lines(&open, &["status"]).await[0]["registration"], "open");
    let public = TestRelay::with(|config| {
        config.public_url = Some("https://relay.example.org/".parse().unwrap());
        config.admin_socket = Some(config.data_dir.join("admin.sock"));
    })
    .await;
    assert_eq!(lines(&public, &["status"]).await[0]["registration"], "token", "strangers reach it");
}

#[tokio::test]
async fn a_disabled_account_neither_connects_nor_receives_and_is_told_why() {
    let relay = relay(None).await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    mailbox.drain().await;
    let mut sender = Submitter::open(&at).await;
    lines(&relay, &["account", "disable", "bob"]).await;
    match mailbox.next().await {
        Some(MailboxServerFrame::Error(refusal)) => assert_eq!(refusal.code, ErrorCode::AccountDisabled),
        other => panic!("{other:?}"),
    }
    let again = Mailbox::try_open(&at, &bob, 1).await.err().unwrap();
    assert_eq!(again, Refusal::never(ErrorCode::AccountDisabled));
    let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "lost?")).await;
    assert_eq!(result, refused(ErrorCode::AccountDisabled));
    // Who may not write to Bob learns nothing.
    let stranger = sender.one(envelope(bob.device(1), Account::new("xyz").capability(), 1, "x")).await;
    assert_eq!(stranger, refused(ErrorCode::CapabilityRefused));
    let resolve = Resolve { handle: bob.handle.clone() };
    assert_eq!(at.ask(&resolve).await, Err(Refusal::never(ErrorCode::NotFound)));

    lines(&relay, &["account", "enable", &bob.id.to_string()]).await;
    let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "back")).await;
    assert_eq!(result, SubmitResult::Accepted);
    let pushes = Mailbox::open(&at, &bob, 1).await.drain().await;
    assert_eq!(pushes.iter().map(text).collect::<Vec<_>>(), ["back"]);
}

#[tokio::test]
async fn a_removed_account_is_gone_and_keeps_its_handle() {
    let relay = relay(None).await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    mailbox.drain().await;
    let result = Submitter::open(&at).await.one(envelope(bob.device(1), bob.capability(), 1, "gone")).await;
    assert_eq!(result, SubmitResult::Accepted);
    assert!(refused_verb(&relay, &["account", "remove", "bob"]).await.contains("--yes"));
    lines(&relay, &["account", "remove", "bob", "--yes"]).await;
    while let Some(frame) = mailbox.next().await {
        assert!(matches!(frame, MailboxServerFrame::Push(_) | MailboxServerFrame::Error(_)), "{frame:?}");
    }
    for table in ["account", "device", "mailbox", "body", "prekey", "contact_token"] {
        assert_eq!(count(&relay.data(), &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(at.ask(&GetDevices { account: bob.id }).await, Err(Refusal::never(ErrorCode::NotFound)));
    assert_eq!(Account::new("bob").register(&at).await.unwrap_err().code, ErrorCode::HandleTaken);
    assert!(bob.register(&at).await.is_ok(), "its owner may come back");
    assert!(refused_verb(&relay, &["account", "disable", "nobody"]).await.contains("account list"));
}

#[tokio::test]
async fn status_and_list_count_what_is_there() {
    let relay = relay(None).await;
    let at = relay.at();
    let (bob, bobs) = account(&at, "bob").await;
    bobs.hang_up().await;
    let (_alice, _alices) = account(&at, "alice").await;
    let mut sender = Submitter::open(&at).await;
    for n in 0..3 {
        sender.one(envelope(bob.device(1), bob.capability(), 1, &n.to_string())).await;
    }
    let status = lines(&relay, &["status"]).await.remove(0);
    for (key, value) in [
        ("accounts", 2),
        ("devices", 2),
        ("connected", 1),
        ("waiting", 3),
        ("waiting_bytes", 3 * 512),
        ("deepest_mailbox", 3),
    ] {
        assert_eq!(status[key], value, "{key}: {status}");
    }
    assert_eq!((&status["ready"], &status["url"]), (&true.into(), &relay.url.as_str().into()));
    let accounts = lines(&relay, &["account", "list"]).await;
    assert_eq!(accounts.iter().map(|line| &line["handle"]).collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!((&accounts[1]["waiting"], &accounts[1]["id"]), (&3.into(), &bob.id.to_string().into()));
    let people = String::from_utf8(verb(&relay, &["account", "list"]).await.stdout).unwrap();
    assert!(people.starts_with("HANDLE") && people.lines().count() == 3, "{people}");
}

#[tokio::test]
async fn the_socket_is_private_and_bears_nonsense() {
    let relay = relay(None).await;
    let path = relay.data().join("admin.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for nonsense in
        [&b"\n"[..], b"{}\n", b"\xff\xfe\n", b"{\"verb\":\"read_mail\"}\n", b"{\"verb\":\"status\",\"x\":1}\n"]
    {
        let mut stream = UnixStream::connect(&path).unwrap();
        let bytes = nonsense.to_vec();
        let answer = subrosa_tasks::beside(move || {
            use std::io::{Read as _, Write as _};
            stream.write_all(&bytes).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = soon(answer).await.unwrap();
        assert!(answer.is_empty() || answer.contains(r#""type":"error""#), "{answer}");
    }
    assert_eq!(lines(&relay, &["status"]).await.len(), 1);
    let dir = relay.stop().await;
    assert!(!dir.path().join("data/admin.sock").exists());
    let gone = Command::new(env!("CARGO_BIN_EXE_subrosa-relay"))
        .args(["status", "--data"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    let text = String::from_utf8(gone.stderr).unwrap();
    assert!(text.contains("is the relay running?") && text.contains("--data"), "{text}");
}

#[tokio::test]
async fn drain_says_go_away_and_ends_the_relay() {
    let relay = relay(None).await;
    let (_bob, mut mailbox) = account(&relay.at(), "bob").await;
    mailbox.drain().await;
    lines(&relay, &["drain"]).await;
    assert!(matches!(mailbox.next().await, Some(MailboxServerFrame::GoAway { .. })));
    drop(mailbox);
    relay.ended().await;
}
