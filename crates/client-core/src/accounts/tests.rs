//! Which account is meant, and what happens to accounts that lost something.

use super::*;

fn account(home: &Home, handle: &str) {
    home.create().unwrap();
    let facts = Facts { v: 1, id: format!("id of {handle}"), name: handle.to_owned(), ..Facts::default() };
    fs::write(home.account_file(), serde_json::to_vec(&facts).unwrap()).unwrap();
}

fn home_with(names: &[&str]) -> (tempfile::TempDir, Accounts) {
    let place = tempfile::tempdir().unwrap();
    let accounts = Accounts::at(place.path());
    for name in names {
        account(&accounts.place_for(name).unwrap(), name);
    }
    (place, accounts)
}

fn listed(accounts: &Accounts) -> Vec<(String, bool)> {
    accounts.list().unwrap().into_iter().map(|it| (it.account, it.current)).collect()
}

#[test]
fn the_wanted_the_current_or_the_only_one_is_meant() {
    let (place, accounts) = home_with(&[]);
    assert_eq!(accounts.select(None).unwrap_err().code, ErrorKind::NoAccount);
    assert!(!place.path().join(ACCOUNTS).exists(), "asking makes nothing");

    account(&accounts.place_for("alice").unwrap(), "alice");
    let alice = accounts.select(None).unwrap();
    assert_eq!(alice.path(), place.path().join("accounts/alice"));
    assert_eq!(listed(&accounts), [("alice".to_owned(), true)]);
    assert!(!accounts.settings().path().exists());

    account(&accounts.place_for("bob").unwrap(), "bob");
    let error = accounts.select(None).unwrap_err();
    assert_eq!(error.code, ErrorKind::Usage);
    assert!(error.message.contains("alice, bob"), "{error}");
    assert_eq!(accounts.select(Some("bob")).unwrap().path(), place.path().join("accounts/bob"));
    assert_eq!(accounts.select(Some("carol")).unwrap_err().hint.unwrap(), "there are: alice, bob");

    assert!(accounts.make_current("bob").unwrap().current);
    assert_eq!(accounts.select(None).unwrap().path(), place.path().join("accounts/bob"));
    assert_eq!(listed(&accounts), [("alice".to_owned(), false), ("bob".to_owned(), true)]);
    fs::remove_dir_all(place.path().join("accounts/bob")).unwrap();
    let error = accounts.select(None).unwrap_err();
    assert!(error.message.contains("bob") && error.hint.unwrap().contains("account use"), "{}", error.message);
}

#[test]
fn a_second_account_changes_nothing_for_commands_that_name_none() {
    let (_place, accounts) = home_with(&["alice"]);
    let bob = accounts.place_for("bob").unwrap();
    account(&bob, "bob");
    assert_eq!(accounts.settle_current(&bob).unwrap(), Current::Stays("alice".to_owned()));
    assert!(accounts.select(None).unwrap().path().ends_with("alice"));
    let carol = accounts.place_for("carol").unwrap();
    account(&carol, "carol");
    assert_eq!(accounts.settle_current(&carol).unwrap(), Current::AsBefore, "somebody chose already");
}

#[test]
fn a_new_account_takes_the_place_of_a_chosen_one_that_is_gone() {
    let (_place, accounts) = home_with(&[]);
    accounts.settings().change("account", Some("gone")).unwrap();
    assert!(accounts.select(None).unwrap_err().hint.unwrap().contains("subrosa init"));
    for (name, gone) in [("alice", "gone"), ("bob", "alice")] {
        let home = accounts.place_for(name).unwrap();
        account(&home, name);
        let now = Current::Instead { gone: gone.to_owned(), now: name.to_owned() };
        assert_eq!(accounts.settle_current(&home).unwrap(), now);
        assert_eq!(accounts.select(None).unwrap().path(), home.path());
        fs::remove_dir_all(home.path()).unwrap();
    }
}

#[test]
fn an_account_that_lost_its_public_file_is_named_and_neither_passed_over_nor_made_anew() {
    let (place, accounts) = home_with(&["alice"]);
    let alice = accounts.select(None).unwrap();
    fs::write(alice.store(), "keys").unwrap();
    fs::write(alice.store_key(), "key").unwrap();
    fs::remove_file(alice.account_file()).unwrap();
    let refused = |error: ApiError| {
        assert_eq!(error.code, ErrorKind::DamagedStore, "{error}");
        assert!(error.hint.unwrap().contains("subrosa account repair alice"), "{}", error.message);
    };
    refused(accounts.select(None).unwrap_err());
    refused(accounts.select(Some("alice")).unwrap_err());
    refused(accounts.make_current("alice").unwrap_err());
    refused(accounts.rename("alice", "work").unwrap_err());
    assert_eq!(accounts.select_with_lost(None).unwrap(), alice);
    assert_eq!(accounts.lost().unwrap()[0].0, "alice");

    account(&accounts.place_for("bob").unwrap(), "bob");
    refused(accounts.rename("bob", "alice").unwrap_err());
    let error = accounts.select(None).unwrap_err();
    assert!(error.message.contains("bob") && error.message.contains("alice"), "{error}");
    accounts.settings().change("account", Some("alice")).unwrap();
    refused(accounts.select(None).unwrap_err());
    let bob = accounts.select(Some("bob")).unwrap();
    assert_eq!(accounts.settle_current(&bob).unwrap(), Current::Stays("alice".to_owned()));

    // Also directly in the home.
    fs::write(place.path().join("store.db"), "keys").unwrap();
    assert_eq!(accounts.select_with_lost(Some(UNNAMED)).unwrap().path(), place.path());
    assert_eq!(accounts.lost().unwrap().len(), 2);
}

#[test]
fn removing_an_account_leaves_what_was_set_aside_and_takes_what_links_point_to() {
    let (place, accounts) = home_with(&["alice"]);
    let alice = accounts.select(None).unwrap();
    let stick = place.path().join("stick.key");
    fs::write(&stick, "key").unwrap();
    std::os::unix::fs::symlink(&stick, alice.store_key()).unwrap();
    fs::write(alice.store(), "mine").unwrap();
    let aside = alice.path().join("store.db.2026-11-30T09-41-00");
    fs::write(&aside, "somebody's").unwrap();
    let lock = hold(&alice, "account remove").unwrap();
    assert_eq!(accounts.erase(&alice, &lock).unwrap(), std::slice::from_ref(&aside));
    assert!(!stick.exists() && alice.remains().is_empty());
    assert_eq!(fs::read(&aside).unwrap(), b"somebody's");
    assert_eq!(fs::read_dir(alice.path()).unwrap().count(), 1);
    assert!(listed(&accounts).is_empty());
}

#[test]
fn an_account_directly_in_the_home_stays_usable_beside_others() {
    let place = tempfile::tempdir().unwrap();
    account(&Home::at(place.path()), "alice");
    let accounts = Accounts::at(place.path());
    assert_eq!(accounts.select(None).unwrap().path(), place.path());
    assert_eq!(accounts.place_for("alice").unwrap_err().code, ErrorKind::Failed);
    account(&accounts.place_for("bob").unwrap(), "bob");
    assert_eq!(accounts.select(Some("alice")).unwrap().path(), place.path());
    assert_eq!(accounts.list().unwrap().len(), 2);
    assert_eq!(accounts.rename("alice", "work").unwrap_err().code, ErrorKind::Failed);

    // Whatever stands in its file.
    fs::write(place.path().join("account.json"), "{\"name\":\"../../etc\"}").unwrap();
    assert_eq!(accounts.select(Some(UNNAMED)).unwrap().path(), place.path());
}

#[test]
fn renaming_moves_the_directory_unless_somebody_has_it() {
    let (place, accounts) = home_with(&["alice", "bob"]);
    accounts.make_current("alice").unwrap();
    let LockAttempt::Held(lock) = EngineLock::attempt(&accounts.select(None).unwrap(), "listen").unwrap() else {
        panic!("it was free")
    };
    let error = accounts.rename("alice", "work").unwrap_err();
    assert_eq!(error.code, ErrorKind::AccountBusy);
    assert!(error.message.contains("`subrosa listen`"), "{error}");
    assert_eq!(accounts.list().unwrap()[0].engine.as_ref().unwrap().kind, "listen");
    drop(lock);

    assert_eq!(accounts.rename("alice", "bob").unwrap_err().code, ErrorKind::Failed);
    for name in ["../alice", "", "a b", "Work", ".hidden", "a/b", "-x"] {
        assert_eq!(accounts.rename("alice", name).unwrap_err().code, ErrorKind::Usage, "{name:?}");
    }
    // An init that failed was here.
    fs::create_dir(place.path().join("accounts/work")).unwrap();
    fs::write(place.path().join("accounts/work/engine.lock"), "").unwrap();
    let renamed = accounts.rename("alice", "work").unwrap();
    assert!(renamed.current && renamed.account == "work" && renamed.id == "id of alice");
    assert_eq!(renamed.engine, None);
    assert_eq!(listed(&accounts), [("bob".to_owned(), false), ("work".to_owned(), true)]);
    assert!(accounts.select(None).unwrap().path().ends_with("accounts/work"));
}

#[test]
fn what_is_no_account_is_not_listed() {
    let (place, accounts) = home_with(&["alice"]);
    let directory = place.path().join(ACCOUNTS);
    fs::create_dir(directory.join("half-made")).unwrap();
    fs::create_dir(directory.join("No Name")).unwrap();
    fs::write(directory.join("No Name/account.json"), "{}").unwrap();
    fs::write(directory.join("file"), "").unwrap();
    fs::create_dir(directory.join("odd")).unwrap();
    fs::write(directory.join("odd/account.json"), vec![b'{'; 1_000_000]).unwrap();
    assert_eq!(listed(&accounts), [("alice".to_owned(), false), ("odd".to_owned(), false)]);
}
