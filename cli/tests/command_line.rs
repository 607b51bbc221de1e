//! What the program says to arguments, input and directories that are not as they should be.

use std::{fs::File, io::Write as _, time::Instant};

use crate::support::{Account, Outcome, run, subrosa};
use serde_json::{Value, json};

fn plain(arguments: &[&str]) -> Outcome {
    run(subrosa().args(arguments), None)
}

const VERBS: [&str; 30] = [
    "init",
    "invite",
    "join",
    "contact",
    "verify",
    "send",
    "request",
    "receive",
    "listen",
    "chats",
    "history",
    "info",
    "read",
    "status",
    "chat",
    "search",
    "outbox",
    "relay",
    "demo",
    "export",
    "completions",
    "man",
    "account",
    "config",
    "daemon",
    "rpc",
    "schema",
    "backup",
    "restore",
    "doctor",
];

#[test]
fn help_begins_with_examples_and_costs_no_account() {
    let help = plain(&[]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.starts_with("Examples:\n  subrosa demo"), "{help:?}");
    for verb in VERBS {
        let help = plain(&[verb, "--help"]);
        assert_eq!(help.code, Some(0), "{verb}");
        assert!(help.stdout.starts_with(&format!("Examples:\n  subrosa {verb}")), "{help:?}");
        assert!(help.stdout.contains("--json"), "{verb} takes the flags of every verb");
    }
    assert!(plain(&["--version"]).stdout.starts_with("subrosa "));
}

#[test]
fn usage_errors_end_with_2_also_as_json() {
    for arguments in
        [&["fly"][..], &["send"], &["send", "bob", "-m", "x", "--wait", "soon"], &["receive", "--timeout", "soon"]]
    {
        let outcome = plain(arguments);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
        let outcome = run(subrosa().args(arguments).arg("--json"), None);
        assert_eq!(outcome.error(2)["code"], "usage");
    }
}

#[test]
fn without_an_account_every_verb_says_how_to_make_one() {
    let account = Account::prepare("alice");
    for arguments in [
        &["status"][..],
        &["chats"],
        &["send", "bob", "-m", "x"],
        &["receive"],
        &["listen"],
        &["invite"],
        &["contact", "list"],
        &["info", "12345678"],
    ] {
        let error = account.run(arguments).error(4);
        assert_eq!(error["code"], "no_account");
        assert!(error["hint"].as_str().unwrap().contains("subrosa init"), "{error}");
    }
    assert!(!account.home().exists(), "asking makes nothing");
}

#[test]
fn text_that_cannot_be_sent_is_refused_before_anything_else() {
    let account = Account::prepare("alice");
    let refused = |stdin: &[u8], part: &str| {
        let outcome = run(&mut account.command(&["send", "bob", "-"]), Some(stdin));
        let error = outcome.error(2);
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert_eq!(outcome.stdout, "");
    };
    refused(b"caf\xe9\n", "UTF-8");
    refused(b"", "empty");
    refused(b"\n", "empty");
    refused(&vec![b'x'; 60_001], "60000");
    refused(&vec![b'x'; 10_000_000], "60000");
    assert_eq!(account.run(&["send", "bob", "-m", ""]).error(2)["code"], "usage");
    assert_eq!(account.run(&["send", "bob", "-m", &"x".repeat(60_001)]).error(2)["code"], "usage");
    assert_eq!(account.run(&["send", "bob"]).error(2)["code"], "usage");
    // What fits gets as far as the account, which is missing.
    for stdin in [&b"hello"[..], &[&vec![b'x'; 60_000][..], b"\r\n"].concat()] {
        run(&mut account.command(&["send", "bob", "-m", "-"]), Some(stdin)).error(4);
    }
}

#[test]
fn init_refuses_what_it_can_know_before_it_makes_anything() {
    let account = Account::prepare("alice");
    for url in ["relay.example.org", "ftp://relay.example.org", "not a url", ""] {
        assert_eq!(account.run_init(url).error(2)["code"], "usage", "{url}");
    }
    let no_words = account.run(&["init", "--relay", "http://127.0.0.1:1", "--name", "alice"]).error(2);
    assert!(no_words["hint"].as_str().unwrap().contains("--recovery-file"));

    std::fs::write(account.recovery_file(), "the words of another account").unwrap();
    let error = account.run_init("http://127.0.0.1:1").error(1);
    assert!(error["message"].as_str().unwrap().contains("recovery file"), "{error}");
    assert_eq!(std::fs::read_to_string(account.recovery_file()).unwrap(), "the words of another account");
    std::fs::remove_file(account.recovery_file()).unwrap();

    let mut command = account.command(&["init", "--relay", "http://127.0.0.1:1", "--name", "alice", "--recovery-file"]);
    let error = run(command.arg(account.recovery_file()).env_remove("SUBROSA_PASSPHRASE_FILE"), None).error(4);
    assert_eq!(error["code"], "bad_passphrase");
    assert!(error["hint"].as_str().unwrap().contains("--passphrase-file"));
    assert!(!account.recovery_file().exists(), "no empty file is left");
}

#[test]
fn a_passphrase_file_that_is_missing_or_empty_is_named() {
    let account = Account::prepare("alice");
    crate::support::write_private(&account.passphrase_file(), b"\n");
    let error = account.run_init("http://127.0.0.1:1").error(4);
    assert!(error["message"].as_str().unwrap().contains("is empty"), "{error}");
    std::fs::remove_file(account.passphrase_file()).unwrap();
    let error = account.run_init("http://127.0.0.1:1").error(4);
    assert!(error["message"].as_str().unwrap().contains(account.passphrase_file().to_str().unwrap()), "{error}");
}

/// A directory with an account whose lock somebody else holds.
fn held(account: &Account, owner: &Value) -> File {
    std::fs::create_dir(account.home()).unwrap();
    std::fs::write(account.home().join("account.json"), "{}").unwrap();
    let mut lock = File::create(account.home().join("engine.lock")).unwrap();
    lock.lock().unwrap();
    lock.write_all(owner.to_string().as_bytes()).unwrap();
    lock
}

#[test]
fn an_account_that_is_held_and_not_served_is_busy() {
    let account = Account::prepare("alice");
    let _lock = held(&account, &json!({"pid": 4711, "kind": "receive"}));
    let begun = Instant::now();
    let error = account.run(&["status", "--lock-timeout", "300ms"]).error(10);
    assert_eq!(error["code"], "account_busy");
    assert!(error["message"].as_str().unwrap().contains("`subrosa receive` (pid 4711)"), "{error}");
    assert!(begun.elapsed().as_secs() < 5, "it waits as long as told");
}

#[test]
fn people_get_errors_as_cause_and_hint() {
    let account = Account::prepare("alice");
    let mut command = subrosa();
    command.arg("--home").arg(account.home()).arg("status");
    let outcome = run(&mut command, None);
    assert_eq!(outcome.code, Some(4));
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(lines[0].starts_with("error: no account in "), "{outcome:?}");
    assert!(lines[1].starts_with("hint: "), "{outcome:?}");
    assert!(!outcome.stderr.contains('\x1b'), "no colours without a terminal");
}

/// As `subrosa invite --qr | true`: who closes the pipe has what they wanted.
#[test]
fn a_code_that_nobody_reads_any_more_ends_the_command_like_any_other_output() {
    let relay = crate::support::Relay::start();
    let alice = Account::init("alice", &relay);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut invite = subrosa();
    invite.env("SUBROSA_HOME", alice.home()).env("SUBROSA_PASSPHRASE_FILE", alice.passphrase_file());
    let ended = invite.args(["--no-input", "invite", "--qr"]).stdout(writer).output().unwrap();
    assert_eq!(ended.status.code(), Some(141), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}
