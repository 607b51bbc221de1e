//! What a relay has written after a conversation, byte by byte, against `docs/threat-model.md`; and
//! proof that the search would find a leak.
//!
//! Alice and Carol live on relay A, Bob on relay B. Alice and Bob meet by link, Carol writes to Alice
//! by handle; texts, receipts and read receipts flow. At the end mail waits on both relays, which
//! log as much as they can, and both are stopped by SIGKILL, so that their write-ahead logs stay.

// A test says what it expects by unwrapping it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, params};
use serde_json::Value;
use subrosa_client_core::{
    home::Home,
    keys::{self, Passphrase},
};
use subrosa_harness::{
    account::Account,
    exposure::{Leak, Secrets, examine, tables},
    keeper::{Keeper, Program},
    needles::{Haystacks, Needle},
    programs::{Programs, workspace},
    world::World,
};

/// Texts of the conversation; each is unlike anything a program would write by itself.
const TEXTS: [&str; 8] = [
    "the heron lands at the third bridge",
    "bring the blue umbrella, not the grey one",
    "my aunt's recipe has eleven eggs in it",
    "who told you about the lighthouse keeper?",
    "nobody reads this but the two of us",
    "I will be at the observatory by nine",
    "these words wait for somebody who is away",
    "and so do these, quite patiently indeed",
];

const LONGEST: &str = "20s";
/// The most verbose log there is.
const EVERYTHING: &str = "trace";

/// Sends through the command line and returns the message id.
async fn send(from: &Account, to: &str, text: &str, wait: &str) -> String {
    let output = from.run(["send", to, "-m", text, "--wait", wait, "--timeout", LONGEST]).await.unwrap();
    let line: Value = serde_json::from_str(output.lines().next().unwrap()).unwrap();
    line["id"].as_str().unwrap().to_owned()
}

/// An account's encrypted store, opened with its passphrase: its secrets are what the relay must not have.
fn open_store(account: &Account) -> Connection {
    let passphrase = Passphrase::from_file(&account.passphrase).unwrap().passphrase;
    let home = Home::at(account.data());
    let key = keys::unlock(&home, &passphrase).unwrap();
    let db = Connection::open_with_flags(account.data().join("store.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    db.execute_batch(&format!("PRAGMA key = \"x'{}'\";", hex::encode(key.as_bytes()))).unwrap();
    db
}

/// All values of one column of an account's store.
fn column(db: &Connection, sql: &str) -> Vec<Vec<u8>> {
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Option<Vec<u8>>>(0)).unwrap();
    rows.filter_map(Result::unwrap).collect()
}

/// Message ids and capabilities that an account knows.
fn kept_from_relays(account: &Account) -> Vec<Needle> {
    let db = open_store(account);
    let mut needles = Vec::new();
    for (what, sql) in [
        ("message id", "SELECT id FROM message"),
        ("own delivery key", "SELECT delivery_key FROM account"),
        ("own member key", "SELECT member_key FROM account"),
        ("contact's delivery key", "SELECT delivery_key FROM peer"),
        ("contact's member key", "SELECT member_key FROM peer"),
        ("contact token in use", "SELECT token FROM contact"),
        ("token binding", "SELECT binding FROM contact"),
        ("token of a link", "SELECT token FROM invite"),
    ] {
        let found = column(&db, sql);
        needles.extend(found.into_iter().map(|bytes| Needle::new(format!("{what} of {}", account.name), bytes)));
    }
    assert!(needles.iter().filter(|needle| needle.name.starts_with("message id")).count() >= 2);
    assert!(needles.iter().any(|needle| needle.name.starts_with("own delivery key")));
    needles
}

/// What names a person: account id, account key, device identity, handle.
fn names(account: &Account, relay_database: &Path) -> Vec<Needle> {
    let db = Connection::open_with_flags(relay_database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let id = hex::decode(&account.id).unwrap();
    let (record, identity): (Vec<u8>, Vec<u8>) = db
        .query_row(
            "SELECT a.record, d.identity FROM account a JOIN device d ON d.account = a.id WHERE a.account = ?1",
            [&id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let name = &account.name;
    vec![
        Needle::new(format!("account id of {name}"), id),
        Needle::new(format!("account key of {name}"), &record[1..33]),
        Needle::new(format!("device identity of {name}"), identity),
        Needle::new(format!("handle of {name}"), name.as_bytes()),
    ]
}

/// A relay's directory and logs as they were when it was killed.
struct Remains {
    data: PathBuf,
    logs: Vec<PathBuf>,
    secrets: Secrets,
}

impl Remains {
    fn examine(&self) -> Vec<Leak> {
        examine(&self.data, &self.logs, &self.secrets).unwrap()
    }

    /// A copy to plant something in.
    fn copy(&self, to: &Path) -> Self {
        let data = to.join("data");
        std::fs::create_dir_all(&data).unwrap();
        for entry in std::fs::read_dir(&self.data).unwrap() {
            let entry = entry.unwrap();
            // The host's socket holds nothing.
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
            }
        }
        let logs = self
            .logs
            .iter()
            .map(|log| {
                let copy = to.join(log.file_name().unwrap());
                std::fs::copy(log, &copy).unwrap();
                copy
            })
            .collect();
        Self { data, logs, secrets: self.secrets.clone() }
    }
}

/// Runs the conversation; returns what relay A and relay B have left.
async fn conversation(root: &Path, programs: Programs) -> [Remains; 2] {
    let log = [("SUBROSA_LOG".to_owned(), EVERYTHING.to_owned())];
    let world = World::start_with(programs, root, [&log, &log, &[], &[]]).await.unwrap();
    let [alice, bob] = world.accounts.clone();
    let [relay_a, relay_b, alices_engine, bobs_engine] = &world.keepers[..] else { panic!("four processes") };

    // By link: texts, delivered and read receipts both ways.
    send(&alice, &bob.id, TEXTS[0], "delivered").await;
    send(&bob, &alice.id, TEXTS[1], "delivered").await;
    bob.run(["read", &alice.id]).await.unwrap();
    alice.run(["read", &bob.id]).await.unwrap();
    let id = send(&alice, &bob.id, TEXTS[2], "delivered").await;
    bob.run(["read", &alice.id]).await.unwrap();
    alice
        .rpc()
        .await
        .unwrap()
        .call::<_, Value>(
            "wait",
            &serde_json::json!({"id": id, "status": "read", "timeout_ms": 20_000}),
            Duration::from_secs(30),
        )
        .await
        .unwrap();

    // By handle on the same relay: request, accept, answer.
    let carol = Account::init(&world.around.programs, root, "carol.at.relay-a", &relay_a.url(), &[]).await.unwrap();
    let carols_engine = Keeper::start(&carol.name, Program::Engine(carol.clone()), &world.around, &[]);
    carols_engine.serving().await.unwrap();
    carol.run(["request", &alice.name, "--yes", "-m", TEXTS[3], "--timeout", LONGEST]).await.unwrap();
    wait_for_request(&alice, &carol).await;
    alice.run(["contact", "accept", &carol.name]).await.unwrap();
    carol.wait_contact(&alice.id).await.unwrap();
    send(&alice, &carol.id, TEXTS[4], "delivered").await;
    send(&carol, &alice.id, TEXTS[5], "delivered").await;

    // An open link, so that a token is in use.
    alice.run(["invite"]).await.unwrap();

    // Mail that waits: Alice's for Bob on relay B, Carol's for Alice on relay A.
    let bob_away = bobs_engine.kill_and_hold().await.unwrap();
    send(&alice, &bob.id, TEXTS[6], "sent").await;
    let alice_away = alices_engine.kill_and_hold().await.unwrap();
    send(&carol, &alice.id, TEXTS[7], "sent").await;
    let carol_away = carols_engine.kill_and_hold().await.unwrap();
    let a_down = relay_a.kill_and_hold().await.unwrap();
    let b_down = relay_b.kill_and_hold().await.unwrap();

    let data = [root.join("relay-a"), root.join("relay-b")];
    // Copies, so that looking at a database changes nothing that is looked at later.
    let remains = root.join("remains");
    let mut never: Vec<Needle> = TEXTS.iter().map(|text| Needle::new(format!("text `{text}`"), *text)).collect();
    for account in [&alice, &bob, &carol] {
        never.extend(kept_from_relays(account));
    }
    let databases = [data[0].join("relay.db"), data[1].join("relay.db")];
    let people = [names(&alice, &databases[0]), names(&bob, &databases[1]), names(&carol, &databases[0])];
    let secrets = [
        Secrets {
            never: never.clone(),
            names: [people[0].clone(), people[2].clone()].concat(),
            strangers: people[1].clone(),
        },
        Secrets { never, names: people[1].clone(), strangers: [people[0].clone(), people[2].clone()].concat() },
    ];
    let mut result = Vec::new();
    for (place, secrets) in secrets.into_iter().enumerate() {
        let letter = ["a", "b"][place];
        let logs = ["stderr", "stdout"].map(|kind| root.join(format!("relay-{letter}.{kind}"))).to_vec();
        let left = Remains { data: data[place].clone(), logs, secrets };
        let folder = remains.join(letter);
        std::fs::create_dir_all(&folder).unwrap();
        result.push(left.copy(&folder));
    }
    // Nobody starts again before everything is copied.
    drop((bob_away, alice_away, carol_away, a_down, b_down));
    carols_engine.stop().await;
    world.stop().await;
    result.try_into().unwrap_or_else(|_| panic!("two relays"))
}

async fn wait_for_request(at: &Account, from: &Account) {
    let mut rpc = at.rpc().await.unwrap();
    let mut cursor = 0;
    loop {
        let params = serde_json::json!({"since": cursor, "wait_ms": 20_000});
        let page: Value = rpc.call("events", &params, Duration::from_secs(30)).await.unwrap();
        let events = page["events"].as_array().unwrap();
        assert!(!events.is_empty(), "no request of {} came", from.name);
        if events.iter().any(|event| event["type"] == "message" && event["from"]["id"] == from.id.as_str()) {
            return;
        }
        cursor = page["cursor"].as_u64().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_knows_only_what_the_threat_model_says() {
    let root = tempfile::tempdir().unwrap();
    let [a, b] = conversation(root.path(), Programs::locate().unwrap()).await;

    for (letter, left) in [("a", &a), ("b", &b)] {
        // The search works on these very files: the relay's own people stand in its directory.
        let own = Haystacks::of(&left.secrets.names).unwrap();
        let mut whole = std::fs::read(left.data.join("relay.db")).unwrap();
        whole.extend(std::fs::read(left.data.join("relay.db-wal")).unwrap_or_default());
        assert!(own.search(&whole).len() >= left.secrets.names.len(), "relay {letter}: own names are not even found");
        assert!(left.logs.iter().any(|log| log.metadata().unwrap().len() > 0), "relay {letter} logged nothing");

        let leaks = left.examine();
        if !leaks.is_empty() {
            let kept = root.keep();
            panic!("relay {letter} wrote what it must not know (kept in {}): {leaks:#?}", kept.display());
        }
    }

    planted_leaks_are_found(root.path(), &a);
    every_table_is_documented(&a);
    the_way_of_what_waits_is_one_of_three(&a);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_built_with_a_leak_is_caught() {
    let root = tempfile::tempdir().unwrap();
    let programs = Programs { relay: env!("CARGO_BIN_EXE_leaky-relay").into(), ..Programs::locate().unwrap() };
    let [a, _] = conversation(root.path(), programs).await;
    let leaks = a.examine();
    assert!(leaks.iter().any(|leak| leak.place == "traffic.sender"), "the database: {leaks:#?}");
    let log = leaks.iter().find(|leak| leak.what.starts_with("account id of") && leak.place.contains("stderr"));
    assert!(log.is_some(), "the log: {leaks:#?}");
}

/// The same search on copies in which something was planted.
fn planted_leaks_are_found(root: &Path, clean: &Remains) {
    let carol = clean.secrets.names.iter().find(|needle| needle.name.starts_with("account id of carol")).unwrap();
    let handle = clean.secrets.names.iter().find(|needle| needle.name.starts_with("handle of carol")).unwrap();
    let plant = |name: &str, change: &dyn Fn(&Remains)| {
        let folder = root.join("planted").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let copy = clean.copy(&folder);
        change(&copy);
        copy.examine()
    };
    let database = |left: &Remains| Connection::open(left.data.join("relay.db")).unwrap();
    let log = |left: &Remains, line: &[u8]| {
        use std::io::Write;
        std::fs::OpenOptions::new().append(true).open(&left.logs[0]).unwrap().write_all(line).unwrap();
    };

    let leaks = plant("sender-in-head", &|left| {
        let head = [carol.bytes.as_slice(), &[0; 16]].concat();
        assert!(database(left).execute("UPDATE mailbox SET head = ?1", [&head]).unwrap() > 0);
    });
    assert!(leaks.iter().any(|leak| leak.place == "mailbox.head"), "{leaks:?}");

    let leaks = plant("sender-in-body", &|left| {
        let body = [[7; 448].as_slice(), hex::encode_upper(&carol.bytes).as_bytes()].concat();
        let planted = database(left).execute("UPDATE body SET bytes = ?1", params![body]);
        assert!(planted.unwrap() > 0);
    });
    assert!(leaks.iter().any(|leak| leak.place == "body.bytes"), "{leaks:?}");

    let leaks = plant("sender-column", &|left| {
        let db = database(left);
        db.execute_batch("ALTER TABLE mailbox ADD COLUMN sender TEXT").unwrap();
        db.execute("UPDATE mailbox SET sender = ?1", [std::str::from_utf8(&handle.bytes).unwrap()]).unwrap();
    });
    assert!(leaks.iter().any(|leak| leak.place == "mailbox.sender"), "{leaks:?}");

    let leaks = plant("sender-table", &|left| {
        let db = database(left);
        db.execute_batch("CREATE TABLE recent (sender BLOB)").unwrap();
        db.execute("INSERT INTO recent VALUES (?1)", [&carol.bytes]).unwrap();
    });
    assert!(leaks.iter().any(|leak| leak.place == "recent.sender"), "{leaks:?}");

    // Written next to mail and taken back: no column shows it, the write-ahead log does.
    let leaks = plant("sender-taken-back", &|left| {
        let db = database(left);
        db.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        db.execute_batch("ALTER TABLE mailbox ADD COLUMN sender BLOB").unwrap();
        db.execute("UPDATE mailbox SET sender = ?1", [&carol.bytes]).unwrap();
        db.execute("UPDATE mailbox SET sender = NULL", []).unwrap();
        // A clean close would empty the log; a killed relay leaves it.
        std::mem::forget(db);
    });
    assert!(leaks.iter().any(|leak| leak.what.contains("on the page of mail")), "{leaks:?}");
    assert!(!leaks.iter().any(|leak| leak.place.starts_with("mailbox.")), "{leaks:?}");

    let leaks = plant("sender-in-log", &|left| {
        log(left, format!("DEBUG submit from={} accepted\n", hex::encode(&carol.bytes)).as_bytes());
    });
    assert!(leaks.iter().any(|leak| leak.what.starts_with("account id of carol")), "{leaks:?}");

    let leaks = plant("text-in-log", &|left| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        log(left, URL_SAFE_NO_PAD.encode(format!("x{}", TEXTS[7])).as_bytes());
    });
    assert!(leaks.iter().any(|leak| leak.what.contains(TEXTS[7])), "{leaks:?}");
}

/// Docs say: lane, token or key, and not which.
fn the_way_of_what_waits_is_one_of_three(left: &Remains) {
    let db = Connection::open(left.data.join("relay.db")).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(count("SELECT count(*) FROM mailbox WHERE way IN (1, 2, 3)") > 0, "nothing waits");
    assert_eq!(count("SELECT count(*) FROM mailbox WHERE typeof(way) != 'integer' OR way NOT IN (1, 2, 3)"), 0);
}

fn every_table_is_documented(left: &Remains) {
    let page = std::fs::read_to_string(workspace().join("docs/threat-model.md")).unwrap();
    for table in tables(&left.data.join("relay.db")).unwrap() {
        assert!(page.contains(&format!("`{table}`")), "docs/threat-model.md does not name the relay's table `{table}`");
    }
}
