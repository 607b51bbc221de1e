//! Backups as people make them: beside a running engine, interrupted, with passphrases from files.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use crate::support::{Account, DEADLINE, Relay, connect, signal, write_private};
use serde_json::Value;
use tempfile::TempDir;

/// A place for backups, with the passphrase that they have.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.file("")).unwrap();
        write_private(&place.passphrase(), b"of the backup\n");
        place
    }

    fn passphrase(&self) -> PathBuf {
        self.0.path().join("passphrase")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("backups").join(name)
    }

    fn names(&self) -> Vec<String> {
        names(&self.file(""))
    }

    /// `verb FILE --backup-passphrase-file …`
    fn arguments(&self, verb: &str, file: &Path) -> Vec<String> {
        let passphrase = self.passphrase();
        [verb, file.to_str().unwrap(), "--backup-passphrase-file", passphrase.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec()
    }
}

fn names(place: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn run(account: &Account, arguments: &[String]) -> crate::support::Outcome {
    account.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_backup_is_made_beside_a_running_engine_and_restored() {
    let relay = Relay::start();
    let (alice, bob) = (Account::init("alice", &relay), Account::init("bob", &relay));
    connect(&alice, &bob);
    let place = Directory::new();
    let file = place.file("alice.backup");
    let listen = alice.listen(&[]);
    alice.run(&["send", "bob", "-m", "kept"]).ok();
    let made = run(&alice, &place.arguments("backup", &file)).line();
    assert_eq!((&made["type"], &made["messages"], &made["contacts"]), (&"backup".into(), &1.into(), &1.into()));
    assert_eq!(alice.run(&["status"]).line()["engine"]["kind"], "listen", "its engine wrote it");
    assert_eq!(place.names(), ["alice.backup"]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let again = run(&alice, &place.arguments("backup", &file)).error(2);
    assert!(again["hint"].as_str().unwrap().contains("--force"), "{again}");
    run(&alice, &[&place.arguments("backup", &file)[..], &["--force".to_owned()]].concat()).ok();
    let error = run(&alice, &place.arguments("restore", &file)).error(1);
    assert!(error["message"].as_str().unwrap().contains("already an account"), "{error}");

    assert!(listen.end("TERM").success());
    std::fs::remove_dir_all(alice.home()).unwrap();
    bob.run(&["send", "alice", "-m", "meanwhile"]).ok();
    let error = run(&alice, &["restore", file.to_str().unwrap()].map(str::to_owned)).error(4);
    assert!(error["hint"].as_str().unwrap().contains("--backup-passphrase-file"), "{error}");
    let restored = run(&alice, &place.arguments("restore", &file)).line();
    assert_eq!((&restored["type"], &restored["account"]["name"]), (&"restored".into(), &"alice".into()));

    assert_eq!(alice.run(&["receive", "--timeout", "20s"]).ok()[0]["body"], "meanwhile");
    alice.run(&["send", "bob", "-m", "here again", "--wait", "delivered", "--timeout", "1ms"]).code.unwrap();
    let bodies: Vec<Value> =
        alice.run(&["history", "bob"]).ok().into_iter().map(|mut line| line["body"].take()).collect();
    assert_eq!(bodies, ["kept", "meanwhile", "here again"]);
    let got = bob.run(&["receive", "--timeout", "20s"]).ok();
    assert_eq!(got.last().unwrap()["body"], "here again");
}

#[test]
fn an_interrupted_backup_or_restore_leaves_nothing() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    let place = Directory::new();
    let file = place.file("alice.backup");
    let arguments = place.arguments("backup", &file);
    // The unfinished file appears, and the moment it does the signal goes: whatever is being done then is undone.
    let mut interrupted = 0;
    for _ in 0..5 {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = alice.command(&words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + DEADLINE;
        while place.names().is_empty() && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "no file appears");
            std::thread::yield_now();
        }
        signal(child.id(), "INT");
        let code = child.wait().unwrap().code();
        if code == Some(0) {
            // It was quicker than the signal: then it is whole.
            assert_eq!(place.names(), ["alice.backup"]);
            std::fs::remove_file(&file).unwrap();
        } else {
            assert_eq!(code, Some(130));
            assert_eq!(place.names(), [""; 0], "nothing half done is left");
            interrupted += 1;
        }
    }
    assert!(interrupted > 0, "no backup takes less time than a signal, five times");

    run(&alice, &arguments).ok();
    std::fs::remove_dir_all(alice.home()).unwrap();
    let words = place.arguments("restore", &file);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = alice.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + DEADLINE;
    while !alice.data().join("store.db.partial-store").exists() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "no store appears");
        std::thread::yield_now();
    }
    signal(child.id(), "INT");
    if child.wait().unwrap().code() == Some(130) {
        assert_eq!(names(&alice.data()), ["engine.lock"]);
        run(&alice, &place.arguments("restore", &file)).ok();
    }
    assert!(alice.data().join("account.json").exists());
}
