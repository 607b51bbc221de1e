//! docs/recipes.md works: its blocks are taken out and run against a real relay.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{Account, Outcome, Relay, Running, connect, run};

/// The block of this name.
fn recipe(name: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes.md")).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- run: {name} -->\n```bash\n")).unwrap();
    let (script, _) = rest.split_once("\n```").unwrap();
    script.to_owned()
}

/// A recipe as a process of this account, in a directory of its own.
fn script(name: &str, account: &Account, place: &Path, variables: &[(&str, &str)]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_subrosa")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", &recipe(name)])
        .current_dir(place)
        .env("PATH", path)
        .env("SUBROSA_HOME", account.home())
        .env("SUBROSA_PASSPHRASE_FILE", account.passphrase_file())
        .env("LANG", "C.UTF-8")
        .env_remove("SUBROSA_LOG")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

struct Two {
    _relay: Relay,
    alice: Account,
    bob: Account,
    place: tempfile::TempDir,
}

impl Two {
    fn start() -> Self {
        let relay = Relay::start();
        let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
        connect(&bob, &alice);
        // Both sides know of each other before a script looks.
        bob.run(&["contact", "show", "alice"]).line();
        alice.run(&["contact", "show", "bob"]).line();
        Self { _relay: relay, alice, bob, place: tempfile::tempdir().unwrap() }
    }

    fn run(&self, name: &str, variables: &[(&str, &str)]) -> Outcome {
        let outcome = run(&mut script(name, &self.alice, self.place.path(), variables), None);
        assert_eq!(outcome.code, Some(0), "{}\n{}", outcome.stdout, outcome.stderr);
        outcome
    }
}

#[test]
fn an_alert_is_sent_once_a_day() {
    let two = Two::start();
    for _ in 0..2 {
        two.run("alert", &[("DISK_LIMIT", "0"), ("ALERT_TO", "bob")]);
    }
    two.run("alert", &[("DISK_LIMIT", "101"), ("ALERT_TO", "bob")]);
    two.alice.run(&["status"]).line();
    assert!(two.bob.run(&["receive"]).line()["body"].as_str().unwrap().contains("nearly full"));
}

#[test]
fn the_bot_answers_and_goes_on_where_it_stopped() {
    let two = Two::start();
    let bob_listens = two.bob.listen(&["--types", "message"]);
    let answer = |question: &str| {
        let id = two.bob.run(&["send", "alice", "-m", question]).line()["id"].clone();
        let answer = bob_listens.wait_for(|line| line["outgoing"] == false);
        assert_eq!(answer["reply_to"]["id"], id, "{answer}");
        answer["body"].clone()
    };
    let mut command = script("bot", &two.alice, two.place.path(), &[]);
    let bot = Running::start(&mut command);
    assert_eq!(answer("!add 1 2 39"), "42");
    two.bob.run(&["send", "alice", "-m", "!add no; rm -rf numbers"]).line();
    assert_eq!(answer("!add 2 -3"), "-1");
    assert!(!bot.end("KILL").success());
    let _again = Running::start(&mut command);
    assert_eq!(answer("!add 7"), "7", "what was answered is not answered again");
}

#[test]
fn a_log_is_piped_line_by_line() {
    let two = Two::start();
    std::fs::write(two.place.path().join("log"), "fine\nError: one\nfine\nerror: two\n").unwrap();
    two.run("log", &[("LOG_FILE", "log"), ("LOG_TO", "bob")]);
    two.alice.run(&["status"]).line();
    let received = two.bob.run(&["receive"]).ok();
    let bodies: Vec<_> = received.iter().map(|line| line["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["Error: one", "error: two"]);
}

#[test]
fn the_long_script_works_from_end_to_end() {
    let two = Two::start();
    let friend_home = two.bob.home();
    let variables = [("FRIEND", "bob"), ("ME", "alice"), ("FRIEND_HOME", friend_home.to_str().unwrap())];
    let outcome = two.run("everything", &variables);
    assert!(outcome.stdout.ends_with("everything worked\n"), "{outcome:?}");
}
