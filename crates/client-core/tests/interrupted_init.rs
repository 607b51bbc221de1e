//! An `init` that ends in the middle: what the relay may know is kept and goes on with the same answers, what is of no use is
//! removed, and what was there before is never touched.

use std::{fs, path::Path};

use crate::support::{TestRelay, passphrase};
use subrosa_client_core::{
    ApiError, ErrorKind,
    account::{InitParams, init, is_begun},
    api::AccountInfo,
    home::Home,
    keys::{self, Passphrase},
    net::Network,
    repair::{repair, set_aside},
};
use zeroize::Zeroizing;

fn params(relay: &TestRelay, handle: &str) -> InitParams {
    InitParams {
        relay: relay.url().parse().unwrap(),
        pin: None,
        handle: handle.to_owned(),
        registration: None,
        network: Network::direct(),
    }
}

fn other_passphrase() -> Passphrase {
    Passphrase::typed(Zeroizing::new("another".to_owned())).unwrap()
}

/// Names and contents of a directory's files, without the lock and what SQLite leaves where it only looked.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, content)| {
            name != "engine.lock" && !name.ends_with("-shm") && !(name.ends_with("-wal") && content.is_empty())
        })
        .collect();
    files.sort();
    files
}

fn names(directory: &Path) -> Vec<String> {
    files(directory).into_iter().map(|(name, _)| name).collect()
}

async fn again(home: &Home, relay: &TestRelay, handle: &str, passphrase: &Passphrase) -> Result<AccountInfo, ApiError> {
    init(home, params(relay, handle), passphrase, |_| panic!("the words were handed out already")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_whose_registration_is_not_answered_goes_on_with_the_same_answers_and_no_others() {
    let mut relay = TestRelay::start().await;
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    let made = init(&home, params(&relay, "alice"), &passphrase(), |_| {
        // The keys are made; the relay goes away before it is asked to register them.
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(relay_away(&mut relay)));
        Ok(())
    })
    .await;
    let error = made.unwrap_err();
    assert_eq!(error.code, ErrorKind::RelayUnreachable, "{error}");
    assert!(error.hint.unwrap().contains("run the same init again"), "{}", error.message);
    assert_eq!(names(place.path()), ["store.db", "store.key"]);
    assert!(is_begun(&home));
    relay.restart().await;

    let before = files(place.path());
    let error = again(&home, &relay, "alice", &other_passphrase()).await.unwrap_err();
    assert_eq!(error.code, ErrorKind::BadPassphrase, "{error}");
    let error = again(&home, &relay, "bob", &passphrase()).await.unwrap_err();
    assert!(error.message.contains("an init for alice") && error.hint.unwrap().contains("OTHER"), "{}", error.message);
    let error = repair(&home, || Ok((&passphrase()).into())).unwrap_err();
    assert!(error.hint.unwrap().contains("subrosa init --relay"), "{}", error.message);
    assert_eq!(files(place.path()), before, "nothing is touched by who has other answers");

    let made = again(&home, &relay, "alice", &passphrase()).await.unwrap();
    assert_eq!(made.name, "alice");
    // In use now: without its public file it is an account to repair, not one to make.
    let public = fs::read(home.account_file()).unwrap();
    fs::remove_file(home.account_file()).unwrap();
    let before = files(place.path());
    let error = again(&home, &relay, "alice", &passphrase()).await.unwrap_err();
    assert!(error.hint.unwrap().contains("account repair"), "{}", error.message);
    assert_eq!(files(place.path()), before);
    let repaired = repair(&home, || Ok((&passphrase()).into())).unwrap();
    assert!(repaired.written && repaired.aside.is_empty() && repaired.account.id == made.id);
    assert_eq!(fs::read(home.account_file()).unwrap(), public);
}

async fn fails_at_its_words(home: &Home, relay: &TestRelay) {
    let no_paper = |_: &str| Err(ApiError::new(ErrorKind::Failed, "the paper is used up"));
    let error = init(home, params(relay, "alice"), &passphrase(), no_paper).await.unwrap_err();
    assert!(error.message.contains("paper"), "{error}");
}

async fn relay_away(relay: &mut TestRelay) {
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_that_is_refused_or_fails_removes_what_it_made_and_nothing_else() {
    let relay = TestRelay::start().await;
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    fails_at_its_words(&home, &relay).await;
    assert_eq!(names(place.path()), [""; 0]);

    // Killed right after it had made its key: that key is used, and stays when the next one fails, too.
    keys::create(&home, &passphrase()).unwrap();
    let key = files(place.path());
    assert!(is_begun(&home));
    fails_at_its_words(&home, &relay).await;
    assert_eq!(files(place.path()), key);
    // And what it had begun to write is nobody's store.
    fs::write(place.path().join("store.db.partial-new"), "half").unwrap();
    fs::write(place.path().join("store.db.partial-new-wal"), "half").unwrap();
    let made = init(&home, params(&relay, "alice"), &passphrase(), |_| Ok(())).await.unwrap();
    assert_eq!(names(place.path()), ["account.json", "store.db", "store.key"]);

    // The handle is taken: nothing is left, and the other account is as it was.
    let second = tempfile::tempdir().unwrap();
    let refused = init(&Home::at(second.path()), params(&relay, "alice"), &passphrase(), |_| Ok(())).await;
    assert_eq!(refused.unwrap_err().code, ErrorKind::Refused);
    assert_eq!(names(second.path()), [""; 0]);
    let error = init(&home, params(&relay, "carol"), &passphrase(), |_| Ok(())).await.unwrap_err();
    assert!(error.message.contains("holds an account already"), "{error}");

    // Set aside, it makes room, and comes back with its names.
    let whole = files(place.path());
    let aside = set_aside(&home).unwrap();
    assert_eq!(aside.len(), 3);
    assert!(home.remains().is_empty());
    for path in aside {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::rename(&path, place.path().join(name.rsplit_once('.').unwrap().0)).unwrap();
    }
    assert_eq!(files(place.path()), whole);
    assert!(!repair(&home, || Ok((&passphrase()).into())).unwrap().written);
    assert_eq!(set_aside(&Home::at(second.path())).unwrap_err().code, ErrorKind::NoAccount);
    drop(made);
}
