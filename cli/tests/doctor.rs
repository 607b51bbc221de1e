//! `doctor` finds what is wrong, and says what to do: nothing here may be, and still it goes to its end.

use std::{
    fs::Permissions,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
};

use crate::support::{Account, Relay};
use serde_json::Value;

/// Exit code and checks.
fn doctor(account: &Account) -> (Option<i32>, Vec<Value>) {
    let outcome = account.run(&["doctor", "--lock-timeout", "500ms"]);
    let checks = outcome.lines();
    for check in &checks {
        assert_eq!(check["type"], "check");
        assert_eq!(check["ok"], check["level"] != "fail", "{check}");
        assert!(
            check["ok"] == true || !check["fix"].as_str().unwrap().is_empty(),
            "what fails says what to do: {check}"
        );
    }
    (outcome.code, checks)
}

fn of<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {checks:?}"))
}

#[test]
fn without_an_account_it_says_how_to_make_one() {
    let (code, checks) = doctor(&Account::prepare("alice"));
    assert_eq!(code, Some(1));
    let account = of(&checks, "account");
    assert!(account["ok"] == false && account["fix"].as_str().unwrap().contains("subrosa init"), "{account}");
    of(&checks, "disk");
    of(&checks, "terminal");
}

#[test]
fn it_finds_what_is_wrong_and_is_content_with_what_is_right() {
    let mut relay = Relay::start();
    let alice = Account::init("alice", &relay);
    let (code, checks) = doctor(&alice);
    assert_eq!(code, Some(0), "{checks:?}");
    for name in [
        "terminal", "config", "home", "disk", "account", "key", "engine", "store", "relay", "tls", "mailbox", "clock",
        "prekeys", "outbox",
    ] {
        assert_eq!(of(&checks, name)["level"], "ok", "{checks:?}");
    }

    let listen = alice.listen(&[]);
    let (code, checks) = doctor(&alice);
    assert_eq!(code, Some(0), "{checks:?}");
    assert!(of(&checks, "engine")["message"].as_str().unwrap().contains("subrosa listen"), "{checks:?}");
    crate::support::signal(listen.pid(), "STOP");
    let (code, checks) = doctor(&alice);
    assert_eq!(code, Some(1));
    assert!(of(&checks, "engine")["fix"].as_str().unwrap().contains(&listen.pid().to_string()), "{checks:?}");
    crate::support::signal(listen.pid(), "CONT");
    assert!(listen.end("TERM").success());

    std::fs::set_permissions(alice.data().join("store.db"), Permissions::from_mode(0o644)).unwrap();
    relay.kill();
    let (code, checks) = doctor(&alice);
    assert_eq!(code, Some(1));
    assert!(of(&checks, "home")["fix"].as_str().unwrap().starts_with("chmod"), "{checks:?}");
    assert_eq!(of(&checks, "relay")["ok"], false);
    assert_eq!(of(&checks, "store")["ok"], true, "{checks:?}");
    std::fs::set_permissions(alice.data().join("store.db"), Permissions::from_mode(0o600)).unwrap();

    // A page in the middle, far from what opening reads.
    let store = std::fs::File::options().write(true).open(alice.data().join("store.db")).unwrap();
    let middle = store.metadata().unwrap().len() / 4096 / 2 * 4096;
    store.write_all_at(&[7; 4096], middle).unwrap();
    let (code, checks) = doctor(&alice);
    assert_eq!(code, Some(1));
    assert_eq!(of(&checks, "store")["ok"], false, "{checks:?}");
    store.write_all_at(&[7; 4096], 0).unwrap();
    let (code, checks) = doctor(&alice);
    assert_eq!(code, Some(1));
    assert_eq!(of(&checks, "store")["ok"], false, "{checks:?}");

    std::fs::write(alice.data().join("account.json"), "{").unwrap();
    std::fs::write(alice.home().join("config.toml"), "no = toml = here").unwrap();
    let (code, checks) = doctor(&alice);
    assert_eq!(code, Some(1));
    assert_eq!(of(&checks, "config")["ok"], false, "{checks:?}");
}
