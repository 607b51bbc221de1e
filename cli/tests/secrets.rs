//! What opens an account: where it may come from, how it is changed, and that it shows nowhere.

use std::{os::unix::process::ExitStatusExt as _, process::Command};

use crate::support::{Account, Outcome, Relay, run, subrosa, write_private};
use serde_json::Value;

/// A command without anything that opens the account.
fn bare(account: &Account, arguments: &[&str]) -> Command {
    let mut command = account.command(arguments);
    command.env_remove("SUBROSA_PASSPHRASE_FILE");
    command
}

fn status(account: &Account) -> Outcome {
    run(&mut bare(account, &["status"]), None)
}

/// `init` with these flags for what opens the account.
fn init_with(name: &str, relay: &Relay, flags: &[&str]) -> Account {
    let account = Account::prepare(name);
    let words = account.recovery_file();
    let mut command = bare(&account, &["init", "--relay", &relay.url, "--name", name, "--recovery-file"]);
    run(command.arg(words).args(flags), None).line();
    account
}

fn opens_with(account: &Account) -> String {
    run(&mut bare(account, &["account", "list"]), None).line()["opens_with"].as_str().unwrap().to_owned()
}

#[test]
fn what_init_was_told_opens_the_account_from_then_on() {
    let relay = Relay::start();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    write_private(place.path().join("pass").as_path(), b"several words\n");

    let by_file = init_with("byfile", &relay, &["--passphrase-file", &path("pass")]);
    assert_eq!(status(&by_file).line()["relay"], "online");
    let by_command = init_with("bycommand", &relay, &["--passphrase-command", &format!("cat {}", path("pass"))]);
    assert_eq!(status(&by_command).line()["relay"], "online");
    assert!(opens_with(&by_command).contains("cat "));
    let by_key = init_with("bykey", &relay, &["--key-file", &path("key")]);
    assert_eq!(status(&by_key).line()["relay"], "online");

    // A flag overrides what is remembered, and says when it does not fit; a variable that does not fit is for another account.
    std::fs::rename(path("key"), path("moved")).unwrap();
    let error = status(&by_key).error(4);
    assert!(error["message"].as_str().unwrap().contains(&path("key")), "{error}");
    run(&mut bare(&by_key, &["status", "--key-file", &path("moved")]), None).line();
    let mut command = bare(&by_key, &["status"]);
    run(command.env("SUBROSA_KEY_FILE", path("moved")).env("SUBROSA_PASSPHRASE_FILE", path("pass")), None).line();
    let error = run(&mut bare(&by_key, &["status", "--passphrase-file", &path("pass")]), None).error(4);
    assert!(error["message"].as_str().unwrap().contains("a key, not a passphrase"), "{error}");
    let both = ["status", "--key-file", &path("moved"), "--passphrase-command", "true"];
    assert_eq!(run(&mut bare(&by_key, &both), None).error(2)["code"], "usage");
    let error = run(&mut bare(&by_file, &["status", "--passphrase-command", "false"]), None).error(4);
    assert!(error["message"].as_str().unwrap().contains("`false` failed"), "{error}");
}

#[test]
fn without_a_keyring_init_says_so_and_makes_nothing() {
    let relay = Relay::start();
    let account = Account::prepare("alice");
    let mut command =
        bare(&account, &["init", "--relay", &relay.url, "--name", "alice", "--keyring", "--recovery-file"]);
    command
        .arg(account.recovery_file())
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nothing/here")
        .env_remove("XDG_RUNTIME_DIR");
    let error = run(&mut command, None).error(4);
    assert!(error["message"].as_str().unwrap().contains("keyring"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--key-file"), "{error}");
    assert!(!account.data().exists() && !account.recovery_file().exists());
}

#[test]
fn what_opens_an_account_changes_while_its_engine_runs() {
    let relay = Relay::start();
    let alice = Account::init("alice", &relay);
    let place = tempfile::tempdir().unwrap();
    let key = place.path().join("key");
    let listens = alice.listen(&[]);
    let old_wrap = std::fs::read(alice.data().join("store.key")).unwrap();

    let mut wrong = bare(&alice, &["account", "passphrase", "--passphrase-command", "echo wrong", "--new-key-file"]);
    assert_eq!(run(wrong.arg(&key), None).error(4)["code"], "bad_passphrase");
    assert!(!key.exists(), "nothing is made before the old one is proven");

    let changed = alice.run(&["account", "passphrase", "--new-key-file", key.to_str().unwrap()]).line();
    assert!(changed["opens_with"].as_str().unwrap().contains(key.to_str().unwrap()), "{changed}");
    assert_eq!(changed["engine"]["kind"], "listen");
    assert_ne!(std::fs::read(alice.data().join("store.key")).unwrap(), old_wrap);
    assert_eq!(alice.run(&["status"]).line()["engine"]["kind"], "listen", "the engine goes on");
    assert!(!listens.end("KILL").success());

    assert_eq!(status(&alice).line()["relay"], "online", "the key file is remembered");
    let old = alice.passphrase_file();
    let with_old = run(&mut bare(&alice, &["status", "--passphrase-file", old.to_str().unwrap()]), None);
    assert_eq!(with_old.error(4)["code"], "bad_passphrase");
    let back = ["account", "passphrase", "--new-passphrase-command", "echo other words"];
    assert_eq!(
        run(&mut bare(&alice, &back), None).line()["opens_with"],
        "the passphrase that `echo other words` prints"
    );
    std::fs::remove_file(key).unwrap();
    assert_eq!(status(&alice).line()["relay"], "online");
    let nobody = run(&mut bare(&alice, &["account", "passphrase"]), None).error(4);
    assert!(nobody["message"].as_str().unwrap().contains("nobody to ask"), "{nobody}");
}

#[cfg(target_os = "linux")]
#[test]
fn no_secret_shows_in_arguments_environment_log_files_or_a_core() {
    const PASSPHRASE: &str = "tangerine-harbour-velvet";
    let relay = Relay::start();
    let place = tempfile::tempdir().unwrap();
    let (pass, key) = (place.path().join("pass"), place.path().join("key"));
    write_private(&pass, format!("{PASSPHRASE}\n").as_bytes());
    let show = format!("cat {}", pass.display());
    let alice = init_with("alice", &relay, &["--passphrase-command", &show]);
    let bob = init_with("bob", &relay, &["--key-file", key.to_str().unwrap()]);
    let key_text = std::fs::read_to_string(&key).unwrap();
    let random = key_text.trim().rsplit(' ').next().unwrap().to_owned();

    for (account, secret) in [(&alice, PASSPHRASE), (&bob, random.as_str())] {
        // Through a shell that would allow core files; it becomes our program.
        let mut command = subrosa();
        let program = command.get_program().to_owned();
        command = Command::new("sh");
        command
            .args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""])
            .arg(program)
            .args(["--json", "--no-input", "listen", "-vvvv", "--home"])
            .arg(account.home())
            .current_dir(place.path());
        let log = place.path().join("log");
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        let until = std::time::Instant::now() + crate::support::DEADLINE;
        while status_of_engine(account) != pid {
            assert!(std::time::Instant::now() < until, "it does not stand");
        }
        for file in ["cmdline", "environ"] {
            let content = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!String::from_utf8_lossy(&content).contains(secret), "{file}");
        }
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
        crate::support::signal(pid, "ABRT");
        let ended = child.wait().unwrap();
        assert!(ended.signal().is_some() && !ended.core_dumped(), "{ended:?}");

        let log = std::fs::read_to_string(&log).unwrap();
        assert!(!log.contains(secret));
        for entry in std::fs::read_dir(account.data()).unwrap() {
            let content = std::fs::read(entry.unwrap().path()).unwrap_or_default();
            assert!(!content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
        }
    }
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("core")), "{left:?}");
}

#[cfg(target_os = "linux")]
fn status_of_engine(account: &Account) -> Value {
    status(account).line()["engine"]["pid"].clone()
}
