//! The tables of `relay.db`, and opening it: refuses what is damaged, foreign or newer.
//!
//! No column anywhere says who sent an envelope; capabilities are stored as SHA-256 only.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use subrosa_wire::MailboxEpoch;

use super::integrity::{self, Checked, explain};
use crate::config::{RelayError, Synchronous};

/// The database in the data directory.
pub(crate) const FILE_NAME: &str = "relay.db";
/// Held while a relay has the directory open.
const LOCK_NAME: &str = "relay.lock";

/// "SbRl": tells our database from any other SQLite file.
const APPLICATION_ID: i64 = 0x5362_526c;
/// Step n brings a database from schema version n to n + 1. A step that was released is never edited: a change is a
/// further step.
const MIGRATIONS: [&str; 5] = [INITIAL, OPERATORS, IDLE_DEVICES, LOGIN_MARKS, GROUPS];
/// Schema version of this build.
const SCHEMA_VERSION: usize = MIGRATIONS.len();
/// Waiting for the checkpointer's short locks, never for another relay.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Page cache of the writer, KiB: the upper levels of all trees and a burst of leaves.
const WRITER_CACHE_KIB: i64 = 32 * 1024;
/// Every statement of the relay stays prepared.
const STATEMENTS: usize = 64;

const INITIAL: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    list BLOB NOT NULL,
    list_version INTEGER NOT NULL,
    created_day INTEGER NOT NULL,
    seq_floor INTEGER NOT NULL DEFAULT 0,   -- no device added later starts below it
    delivery_key BLOB,                      -- SHA-256
    previous_key BLOB,                      -- SHA-256
    previous_until_ms INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account(id),
    number INTEGER NOT NULL,
    identity BLOB NOT NULL,
    last_seq INTEGER NOT NULL,              -- counter: a number is never given twice
    acked INTEGER NOT NULL DEFAULT 0,
    waiting_rows INTEGER NOT NULL DEFAULT 0,
    waiting_bytes INTEGER NOT NULL DEFAULT 0,
    last_ec INTEGER NOT NULL DEFAULT -1,    -- highest one-time key id ever uploaded: none is served twice
    last_kem INTEGER NOT NULL DEFAULT -1,
    signed_prekey BLOB,
    last_resort_kem BLOB,
    UNIQUE (account, number)
);

CREATE TABLE prekey (
    device INTEGER NOT NULL REFERENCES device(id),
    kind INTEGER NOT NULL,                  -- 1 EC, 2 KEM
    key_id INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (device, kind, key_id)
) WITHOUT ROWID;

CREATE TABLE contact_token (
    account INTEGER NOT NULL REFERENCES account(id),
    hash BLOB NOT NULL,
    expires_ms INTEGER NOT NULL,
    binding BLOB,                           -- SHA-256 of the first joiner's binding
    submits INTEGER NOT NULL DEFAULT 0,
    prekeys INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, hash)
) WITHOUT ROWID;

CREATE TABLE body (
    id INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL,
    bytes BLOB NOT NULL
);

CREATE TABLE mailbox (
    device INTEGER NOT NULL REFERENCES device(id),
    seq INTEGER NOT NULL,
    env_id BLOB NOT NULL,
    head BLOB NOT NULL,
    body INTEGER NOT NULL,
    size INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    way INTEGER NOT NULL,                   -- how it came: 1 request lane, 2 contact token, 3 delivery key
    PRIMARY KEY (device, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX mailbox_envelope ON mailbox (device, env_id);
CREATE INDEX mailbox_expiry ON mailbox (expires_ms);
CREATE INDEX mailbox_lane ON mailbox (device) WHERE way = 1;
CREATE INDEX contact_token_expiry ON contact_token (expires_ms);
";

/// What the operator decides: who may register, and who may not connect any more.
const OPERATORS: &str = "
ALTER TABLE account ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;

CREATE TABLE registration_token (
    hash BLOB PRIMARY KEY,                  -- SHA-256
    note TEXT NOT NULL,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER
) WITHOUT ROWID;

CREATE TABLE retired_handle (               -- of removed accounts: nobody else gets it
    handle TEXT PRIMARY KEY,
    account BLOB NOT NULL
) WITHOUT ROWID;
";

/// The day on which a device was last connected, since 1970. All that an older relay knew count as seen today.
const IDLE_DEVICES: &str = "
ALTER TABLE device ADD COLUMN seen_day INTEGER NOT NULL DEFAULT 0;
UPDATE device SET seen_day = unixepoch() / 86400;
";

/// SHA-256 of the newest login's mark: the next login shows the mark, or is another copy of the device.
const LOGIN_MARKS: &str = "ALTER TABLE device ADD COLUMN login_mark BLOB;";

/// What groups ask of a relay: the member key, and contact tokens that several may join with. Whoever joined with a token of an older
/// relay did so on an unknown day.
const GROUPS: &str = "
ALTER TABLE account ADD COLUMN member_key BLOB;             -- SHA-256
ALTER TABLE account ADD COLUMN previous_member_key BLOB;    -- SHA-256
ALTER TABLE account ADD COLUMN previous_member_until_ms INTEGER NOT NULL DEFAULT 0;

ALTER TABLE contact_token ADD COLUMN uses INTEGER NOT NULL DEFAULT 1;
ALTER TABLE contact_token ADD COLUMN per_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contact_token ADD COLUMN joined INTEGER NOT NULL DEFAULT 0;

CREATE TABLE token_joiner (
    account INTEGER NOT NULL,
    token BLOB NOT NULL,
    binding BLOB NOT NULL,                  -- SHA-256
    day INTEGER NOT NULL,
    submits INTEGER NOT NULL,
    PRIMARY KEY (account, token, binding),
    FOREIGN KEY (account, token) REFERENCES contact_token (account, hash) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO token_joiner SELECT account, hash, binding, 0, submits FROM contact_token WHERE binding IS NOT NULL;
UPDATE contact_token SET joined = 1 WHERE binding IS NOT NULL;
ALTER TABLE contact_token DROP COLUMN binding;
ALTER TABLE contact_token DROP COLUMN submits;
";

/// Makes the data directory (owner only) and locks it for this process.
pub(crate) fn lock_data_dir(dir: &Path) -> Result<File, RelayError> {
    let failed = |source| RelayError::DataDir { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join(LOCK_NAME))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RelayError::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Opens the database for writing, creating it if there is none, and reads its mailbox epoch.
pub(super) fn open(
    path: &Path,
    synchronous: Synchronous,
    max_pages: Option<u32>,
    check: Option<Duration>,
) -> Result<(Connection, MailboxEpoch), RelayError> {
    // Made before SQLite does, so that only its owner can read it; the log inherits that.
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    let size = file
        .and_then(|file| file.metadata())
        .map_err(|source| RelayError::DataDir { path: path.to_owned(), source })?
        .len();
    let sql = |error| explain(path, error);
    let mut db = connect(path, OpenFlags::default())?;
    if size > 0 {
        recognize(&db, path)?;
        // Before anything is changed in it.
        if let Some(budget) = check.filter(|_| has_tables(&db).unwrap_or(true))
            && integrity::check(&mut db, path, Some(budget))? == Checked::InPart
        {
            tracing::info!(
                "the database is large: not all of it was checked; `subrosa-relay check` looks at all of it"
            );
        }
    }
    db.pragma_update(None, "journal_mode", "WAL").map_err(sql)?;
    let level = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Off => "OFF",
    };
    db.pragma_update(None, "synchronous", level).map_err(sql)?;
    db.pragma_update(None, "foreign_keys", true).map_err(sql)?;
    // Delivered ciphertext is overwritten where that costs no extra write.
    db.pragma_update(None, "secure_delete", "FAST").map_err(sql)?;
    // Checkpoints are made beside the writer, not inside its commits (`writer.rs`).
    db.pragma_update(None, "wal_autocheckpoint", 0).map_err(sql)?;
    db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB).map_err(sql)?;
    if let Some(pages) = max_pages {
        db.pragma_update(None, "max_page_count", pages).map_err(sql)?;
    }
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    migrate(&mut db).map_err(sql)?;
    let epoch: Option<Vec<u8>> =
        db.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0)).optional().map_err(sql)?;
    let epoch = epoch.and_then(|bytes| MailboxEpoch::from_slice(&bytes).ok()).ok_or_else(|| RelayError::Damaged {
        path: path.to_owned(),
        detail: "the mailbox epoch is missing".to_owned(),
    })?;
    Ok((db, epoch))
}

/// Ours, and not newer?
pub(super) fn recognize(db: &Connection, path: &Path) -> Result<(), RelayError> {
    let sql = |error| explain(path, error);
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sql);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    if pragma("application_id")? != APPLICATION_ID && tables > 0 {
        return Err(RelayError::ForeignDatabase(path.to_owned()));
    }
    let (found, known) = (pragma("user_version")?, version_number(SCHEMA_VERSION));
    if found > known {
        return Err(RelayError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// A first start that was cut off may have left an empty database.
fn has_tables(db: &Connection) -> rusqlite::Result<bool> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version > 0)
}

fn version_number(version: usize) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Creates the tables, or adds what an older relay did not have, in one transaction.
fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(0);
    let steps = MIGRATIONS.get(version..).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = db.transaction()?;
    steps.iter().try_for_each(|step| transaction.execute_batch(step))?;
    if version == 0 {
        renew_epoch(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    } else {
        tracing::info!(from = version, to = SCHEMA_VERSION, "the database was brought to this relay's schema");
    }
    transaction.pragma_update(None, "user_version", version_number(SCHEMA_VERSION))?;
    transaction.commit()
}

/// Gives the store a new mailbox epoch: from now on it is another life, and clients start from its beginning.
pub(super) fn renew_epoch(db: &Connection) -> rusqlite::Result<()> {
    let mut epoch = [0; MailboxEpoch::LEN];
    subrosa_ambient::fill(&mut epoch).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?1)", [epoch.as_slice()])?;
    Ok(())
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, RelayError> {
    // Without OpenSSL's handler at the end of the process: it frees what threads that still close a database use.
    openssl_sys::init();
    let sql = |error| explain(path, error);
    let db = Connection::open_with_flags(path, flags).map_err(sql)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    Ok(db)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, RelayError> {
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

/// A connection of a program beside the relay. It may write, so that it leaves no log behind when no relay runs: one that
/// belongs to another user would keep the relay from starting.
pub(super) fn open_aside(path: &Path) -> Result<Connection, RelayError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// A connection that only moves the log into the database.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, RelayError> {
    connect(path, OpenFlags::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as the version before wrote it.
    fn older(path: &Path, version: usize) -> Connection {
        let db = connect(path, OpenFlags::default()).unwrap();
        MIGRATIONS[..version].iter().for_each(|step| db.execute_batch(step).unwrap());
        renew_epoch(&db).unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.pragma_update(None, "user_version", version_number(version)).unwrap();
        db
    }

    #[test]
    fn who_joined_with_a_link_of_an_older_relay_has_joined() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let db = older(&path, 4);
        db.execute_batch(
            "INSERT INTO account (id, account, record, handle, list, list_version, created_day, delivery_key)
                 VALUES (1, x'01', x'', 'bob', x'', 1, 1, x'07');
             INSERT INTO contact_token (account, hash, expires_ms, binding, submits, prekeys)
                 VALUES (1, x'AA', 99, x'BB', 5, 3), (1, x'CC', 99, NULL, 0, 1);",
        )
        .unwrap();
        drop(db);
        let (db, _) = open(&path, Synchronous::Off, None, None).unwrap();
        let joiner: (Vec<u8>, Vec<u8>, i64, i64) = db
            .query_row("SELECT token, binding, day, submits FROM token_joiner", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        assert_eq!(joiner, (vec![0xAA], vec![0xBB], 0, 5));
        let tokens: Vec<(Vec<u8>, i64, i64, i64)> = db
            .prepare("SELECT hash, uses, joined, prekeys FROM contact_token ORDER BY hash")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(tokens, [(vec![0xAA], 1, 1, 3), (vec![0xCC], 1, 0, 1)]);
        // A token takes with it who joined.
        db.execute("DELETE FROM contact_token", []).unwrap();
        assert_eq!(db.query_row("SELECT count(*) FROM token_joiner", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
}
