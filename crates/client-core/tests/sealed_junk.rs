//! Junk in somebody else's name, from a relay that knows every certificate and needs no capability: it writes what it likes
//! into a mailbox.

use crate::support::{Person, TestRelay, pair};
use rusqlite::{Connection, params};
use subrosa_client_core::{api::MessageStatus, home::Home, keys};
use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceList, IdentityKeyPair, PartyAddress, SealedContent, SealedEnvelope,
    SendingPairKey, VerifiedCertificate, seal,
};

/// The encrypted store of somebody whose engine is stopped.
fn store(person: &Person) -> Connection {
    let key = keys::unlock(&Home::at(person.dir.path()), &crate::support::passphrase()).unwrap();
    let db = Connection::open(person.dir.path().join("store.db")).unwrap();
    db.execute_batch(&format!("PRAGMA key = \"x'{}'\";", hex::encode(key.as_bytes()))).unwrap();
    db
}

/// What everybody can know of a person, and the key that only its device has.
struct Known {
    record: AccountRecord,
    certificate: VerifiedCertificate,
    identity: IdentityKeyPair,
}

fn known(store: &Connection) -> Known {
    let (record, list, seed): (Vec<u8>, Vec<u8>, Vec<u8>) = store
        .query_row("SELECT record, device_list, identity_seed FROM account", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    let record = AccountRecord::decode(&record).unwrap();
    let list = DeviceList::decode(&list).unwrap().verify(&record).unwrap();
    let identity = IdentityKeyPair::from_seed(&seed.try_into().unwrap());
    Known { certificate: list.device(1).unwrap(), record, identity }
}

/// Seals junk in the name of `claimed`, by whoever has `identity`.
fn forge(identity: &IdentityKeyPair, claimed: &Known, to: &Known, setup: bool) -> SealedEnvelope {
    let certificate = *claimed.certificate.certificate();
    let junk = (0..2_000u32).map(|at| (at * 7 % 251) as u8).collect();
    let content = if setup {
        SealedContent::setup(claimed.record, certificate, junk)
    } else {
        SealedContent::session(claimed.record.id(), certificate, junk)
    };
    let own = PartyAddress { account: claimed.record.id(), device: 1 };
    seal(&[&SendingPairKey::new(identity, &own, &to.certificate).unwrap()], &content).unwrap()
}

/// Puts an envelope into the mailbox in which exactly one waits, behind it.
fn deliver(relay: &Connection, envelope: &SealedEnvelope) {
    relay
        .execute("INSERT INTO body (id, refs, bytes) SELECT max(id) + 1, 1, ?1 FROM body", params![envelope.body])
        .unwrap();
    relay
        .execute_batch(
            "CREATE TEMP TABLE forged AS SELECT * FROM mailbox ORDER BY seq DESC LIMIT 1;
             UPDATE device SET last_seq = last_seq + 1, waiting_rows = waiting_rows + 1
                 WHERE id = (SELECT device FROM forged);
             UPDATE forged SET seq = seq + 1, env_id = randomblob(16), body = (SELECT max(id) FROM body);",
        )
        .unwrap();
    relay.execute("UPDATE forged SET head = ?1", params![envelope.heads[0]]).unwrap();
    relay.execute_batch("INSERT INTO mailbox SELECT * FROM forged; DROP TABLE forged;").unwrap();
}

/// Everything that junk could have moved at its receiver: sessions, lists, contacts, quarantine, requests, what waits to leave.
fn state(store: &Connection) -> Vec<String> {
    let rows = |sql: &str| -> Vec<String> {
        let mut statement = store.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    [
        "SELECT 'session ' || hex(account) || device || hex(id) || current FROM session ORDER BY 1",
        "SELECT 'contact ' || name || state || list_stale || hex(device_list) || coalesce(held, '')
             FROM contact JOIN peer USING (account) ORDER BY 1",
        "SELECT 'quarantine ' || reason FROM quarantine",
        "SELECT 'asked ' || hex(account) || count FROM retry_request",
        "SELECT 'session was set up ' || hex(hash) FROM base_key ORDER BY 1",
    ]
    .into_iter()
    .flat_map(rows)
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_under_a_contacts_certificate_changes_nothing() {
    let mut relay = TestRelay::start().await;
    let mut ana = Person::new(&relay, "ana").await;
    let mut ben = Person::new(&relay, "ben").await;
    pair(&ana, &ben).await;
    let said = ben.send("ana", "settled").await;
    ben.wait(&said, MessageStatus::Delivered).await;
    ana.engine.shutdown().await;
    let waits = ben.send("ana", "waits").await;
    ben.wait(&waits, MessageStatus::Sent).await;
    ben.engine.shutdown().await;
    relay.stop().await;
    let (anas, bens) = (known(&store(&ana)), known(&store(&ben)));
    let before = state(&store(&ana));
    let given_out =
        |db: &Connection| -> i64 { db.query_row("SELECT count(*) FROM prekey", [], |row| row.get(0)).unwrap() };

    // In Ben's name: by somebody with a key of his own, and by somebody who knows Ana's public key only. As a contact's, as a
    // stranger's.
    let db = Connection::open(relay.dir.path().join("relay.db")).unwrap();
    let stocked = given_out(&db);
    let mallory = IdentityKeyPair::generate().unwrap();
    for setup in [false, true] {
        for _ in 0..3 {
            deliver(&db, &forge(&mallory, &bens, &anas, setup));
        }
        let mut guessed = forge(&mallory, &bens, &anas, setup);
        guessed.heads[0][48..].fill(0);
        deliver(&db, &guessed);
        let account = AccountKeyPair::generate().unwrap();
        let record = AccountRecord::new(account.public(), [7; 32]);
        let identity = IdentityKeyPair::generate().unwrap();
        let certificate = subrosa_crypto::DeviceCertificate::issue(&account, &record.id(), 1, &identity.public(), 1)
            .verify(&record)
            .unwrap();
        let stranger = Known { record, certificate, identity };
        deliver(&db, &forge(&mallory, &stranger, &anas, setup));
    }
    // What Ben himself seals for a group: there are none yet.
    let message = SealedContent::group(bens.record.id(), *bens.certificate.certificate(), vec![1; 300]);
    let key = SendingPairKey::new(&bens.identity, &bens.certificate.address(), &anas.certificate).unwrap();
    deliver(&db, &seal(&[&key], &message).unwrap());
    drop(db);
    relay.restart().await;
    ana.restart().await;
    ana.message("waits").await;
    ben.restart().await;
    let last = ben.send("ana", "after all of it").await;
    ben.wait(&last, MessageStatus::Delivered).await;
    for person in [&ana, &ben] {
        person.engine.shutdown().await;
    }
    relay.stop().await;
    assert_eq!(state(&store(&ana)), before);
    let outcomes: i64 =
        store(&ana).query_row("SELECT count(*) FROM envelope WHERE outcome = 5", [], |row| row.get(0)).unwrap();
    assert_eq!(outcomes, 11, "each was seen, once, and was junk");
    let db = Connection::open(relay.dir.path().join("relay.db")).unwrap();
    assert_eq!(given_out(&db), stocked, "nobody's keys were fetched");
    drop(db);

    // The same junk with the tag that only Ben and Ana can make: then Ana acts on it. The test can fail.
    relay.restart().await;
    ben.restart().await;
    let waits = ben.send("ana", "waits too").await;
    ben.wait(&waits, MessageStatus::Sent).await;
    ben.engine.shutdown().await;
    relay.stop().await;
    deliver(&Connection::open(relay.dir.path().join("relay.db")).unwrap(), &forge(&bens.identity, &bens, &anas, false));
    relay.restart().await;
    ana.restart().await;
    ben.restart().await;
    ana.message("waits too").await;
    let last = ben.send("ana", "and at last").await;
    ben.wait(&last, MessageStatus::Delivered).await;
    ana.engine.shutdown().await;
    assert_ne!(state(&store(&ana)), before);
}
