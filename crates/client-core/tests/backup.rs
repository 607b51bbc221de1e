//! A backup is made while people talk, the directory is lost, and both go on from the restored one.

// Test code may fail loudly.

use std::{collections::HashSet, path::Path};

use crate::support::{Person, TestRelay, pair, passphrase, start};
use subrosa_client_core::{
    Client as _, ErrorKind,
    api::{BackupMade, BackupParams, EventsParams, MessageStatus, NoParams},
    backup,
    home::Home,
    keys::{self, Passphrase},
    restore,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

fn of_backup() -> Passphrase {
    Passphrase::typed(Zeroizing::new("another passphrase".to_owned())).unwrap()
}

fn params(path: &Path) -> BackupParams {
    BackupParams { path: path.to_str().unwrap().to_owned(), force: false, key: backup::derive(&of_backup()).unwrap() }
}

async fn back_up(person: &Person, path: &Path) -> BackupMade {
    person.engine.backup(params(path)).await.unwrap()
}

fn restore(home: &Path, file: &Path) -> Result<subrosa_client_core::api::Restored, subrosa_client_core::ApiError> {
    let own_key = |home: &Home| keys::create(home, &passphrase());
    restore::restore(|_| Ok(Home::at(home)), file, &of_backup(), own_key, &CancellationToken::new())
}

fn names(place: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The store of a directory whose engine does not run.
fn store(home: &Path) -> rusqlite::Connection {
    let key = keys::unlock(&Home::at(home), &passphrase()).unwrap();
    let db = rusqlite::Connection::open(Home::at(home).store()).unwrap();
    db.execute_batch(&format!("PRAGMA key = \"x'{}'\"", hex::encode(key.as_bytes()))).unwrap();
    db
}

fn number(db: &rusqlite::Connection, query: &str) -> i64 {
    db.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Ids of sessions, those that encrypt or all.
fn sessions(db: &rusqlite::Connection, current: bool) -> HashSet<Vec<u8>> {
    let mut statement = db.prepare("SELECT id FROM session WHERE current >= ?1").unwrap();
    statement.query_map([current], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_go_on_after_one_lost_everything_but_a_backup() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let sent = alice.send("bob", "before").await;
    alice.wait(&sent, MessageStatus::Delivered).await;
    let sent = bob.send("alice", "also before").await;
    bob.wait(&sent, MessageStatus::Delivered).await;

    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("alice.backup");
    let made = back_up(&alice, &file).await;
    assert_eq!((made.messages, made.contacts), (2, 1));
    assert_eq!(made.bytes, std::fs::metadata(&file).unwrap().len());
    assert_eq!(names(place.path()), ["alice.backup"], "nothing else is left");
    let cursor = alice.engine.events(EventsParams { since: None, max: None, wait_ms: 0 }).await.unwrap().cursor;

    // They go on; the ratchets move both ways, one-time keys are used up.
    let carol = Person::new(&relay, "carol").await;
    carol.join(&alice.link().await).await;
    alice.contact_state("carol", subrosa_client_core::api::ContactState::Ok).await;
    for text in ["one", "two"] {
        let sent = alice.send("bob", text).await;
        alice.wait(&sent, MessageStatus::Delivered).await;
        let answer = bob.send("alice", text).await;
        bob.wait(&answer, MessageStatus::Delivered).await;
    }
    let id = alice.id().await;
    alice.engine.shutdown().await;
    drop(alice);
    // The relay still holds this: it was never fetched.
    let waiting = bob.send("alice", "while you were away").await;
    bob.wait(&waiting, MessageStatus::Sent).await;

    let home = tempfile::tempdir().unwrap();
    let restored = restore(home.path(), &file).unwrap();
    assert_eq!((restored.account.id.as_str(), restored.messages, restored.contacts), (id.as_str(), 2, 1));
    assert_eq!(names(home.path()), ["account.json", "engine.lock", "store.db", "store.key"]);
    let old = {
        let db = store(home.path());
        assert_eq!(number(&db, "SELECT count(*) FROM session WHERE current = 1"), 0, "old ratchets seal nothing");
        assert_eq!(number(&db, "SELECT count(*) FROM delivery WHERE head IS NOT NULL"), 0);
        assert_eq!(number(&db, "SELECT count(*) FROM event WHERE code = 'restored'"), 1);
        assert_eq!(number(&db, "PRAGMA auto_vacuum"), 2, "it goes on giving room back");
        sessions(&db, false)
    };
    assert!(!old.is_empty());

    let alice = Person { engine: start(home.path()).await, dir: home, name: "alice".into() };
    assert_eq!(alice.bodies("bob").await[..2], ["before", "also before"]);
    alice.message("while you were away").await;
    bob.wait(&waiting, MessageStatus::Delivered).await;
    let back = alice.send("bob", "I am back").await;
    alice.wait(&back, MessageStatus::Delivered).await;
    bob.message("I am back").await;
    let welcome = bob.send("alice", "welcome").await;
    bob.wait(&welcome, MessageStatus::Delivered).await;
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().outbox, 0);
    for body in ["before", "also before", "while you were away", "I am back", "welcome"] {
        assert_eq!(alice.bodies("bob").await.iter().filter(|found| *found == body).count(), 1, "{body}");
    }
    // Told once, though the relay has seen acknowledgements that this store never gave; and cursors never come again.
    let mut notices = 0;
    let mut since = 0;
    loop {
        let page = alice.engine.events(EventsParams { since: Some(since), max: None, wait_ms: 0 }).await.unwrap();
        if page.events.is_empty() {
            break;
        }
        for event in &page.events {
            if let subrosa_client_core::api::Event::Notice(notice) = event
                && notice.code == "restored"
            {
                notices += 1;
                assert!(notice.cursor.unwrap() > cursor + 1_000, "{notice:?}");
            }
        }
        since = page.cursor;
    }
    assert_eq!(notices, 1);

    alice.engine.shutdown().await;
    let now = sessions(&store(alice.dir.path()), true);
    assert!(!now.is_empty() && now.is_disjoint(&old), "every message since was sealed in a session of its own life");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_overwritten_and_nothing_half_done_is_left() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("alice.backup");
    std::fs::write(&file, "precious").unwrap();
    let error = alice.engine.backup(params(&file)).await.unwrap_err();
    assert_eq!(error.code, ErrorKind::Usage);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let error = alice.engine.backup(params(Path::new("alice.backup"))).await.unwrap_err();
    assert!(error.message.contains("absolute"), "{error}");
    let error = alice.engine.backup(params(Path::new("/no/such/place/alice.backup"))).await.unwrap_err();
    assert!(error.message.contains("/no/such/place"), "{error}");
    std::fs::remove_file(&file).unwrap();
    // Whoever gives up: the work stops, and removes what it made.
    drop(alice.engine.backup(params(&file)));
    let given_up = tokio::time::timeout(std::time::Duration::ZERO, alice.engine.backup(params(&file))).await;
    assert!(given_up.is_err());
    back_up(&alice, &place.path().join("second")).await;
    alice.engine.shutdown().await;
    assert_eq!(names(place.path()), ["second"]);

    let whole = std::fs::read(place.path().join("second")).unwrap();
    let home = place.path().join("home");
    for (what, bytes) in [
        ("cut at a chunk", whole[..37 + 2 * 65_552].to_vec()),
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("no backup", b"something else, long enough to have a header".to_vec()),
        ("empty", Vec::new()),
        ("changed", whole.iter().enumerate().map(|(place, byte)| byte ^ u8::from(place == 70_000)).collect()),
    ] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(restore(&home, &file).unwrap_err().code, ErrorKind::Failed, "{what}");
        assert!(!home.join("account.json").exists(), "{what}");
        assert!(!home.exists() || names(&home) == ["engine.lock"], "{what}: {:?}", names(&home));
    }
    let own_key = |home: &Home| keys::create(home, &passphrase());
    let wrong = restore::restore(
        |_| Ok(Home::at(&home)),
        &place.path().join("second"),
        &passphrase(),
        own_key,
        &CancellationToken::new(),
    );
    assert_eq!(wrong.unwrap_err().code, ErrorKind::BadPassphrase);
    let stopped = CancellationToken::new();
    stopped.cancel();
    let own_key = |home: &Home| keys::create(home, &passphrase());
    assert!(
        restore::restore(|_| Ok(Home::at(&home)), &place.path().join("second"), &of_backup(), own_key, &stopped)
            .is_err()
    );
    assert_eq!(names(&home), ["engine.lock"], "an interrupted restore leaves nothing");

    restore(&home, &place.path().join("second")).unwrap();
    let error = restore(&home, &place.path().join("second")).unwrap_err();
    assert!(error.message.contains("already"), "never over an account: {error}");
}
