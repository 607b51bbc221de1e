//! The account's store: SQLCipher, WAL, one writer, versioned migrations.
//!
//! Each file beside this one owns the statements of one subject; all take the open connection
//! (usually a transaction of the core), so that one change is one transaction.

pub(crate) mod account;
pub(crate) mod again;
pub(crate) mod contacts;
pub(crate) mod conversations;
pub(crate) mod copies;
pub(crate) mod deliveries;
pub(crate) mod envelopes;
pub(crate) mod events;
pub(crate) mod gaps;
pub(crate) mod invites;
pub(crate) mod kept;
pub(crate) mod log;
pub(crate) mod messages;
pub(crate) mod new;
pub(crate) mod outbox;
pub(crate) mod peers;
pub(crate) mod pending_receipts;
pub(crate) mod prekeys;
pub(crate) mod recipients;
pub(crate) mod requests;
pub(crate) mod restores;
pub(crate) mod retention;
pub(crate) mod retries;
mod schema;
pub(crate) mod sessions;
pub(crate) mod space;
pub(crate) mod tasks;
mod verified;
pub(crate) mod words;

use std::{fs, io, path::Path};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use zeroize::Zeroizing;

use crate::api::{ApiError, ErrorKind};

pub(crate) use rusqlite::{Connection as Db, OptionalExtension, params};

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row that this program wrote does not read back: the file was changed or is damaged.
    #[error("the store holds a damaged {0}")]
    Damaged(&'static str),
    #[error("the store was written by a newer version of subrosa (schema {found}, this one knows {known})")]
    Newer { found: i64, known: i64 },
    #[error("the store was written by a development version of subrosa from before 0.1, which this one does not read")]
    Development,
    /// SQLite would make a new one, and throw away what a log beside it holds.
    #[error("store.db is missing")]
    Missing,
    #[error("store.db is empty")]
    Empty,
    #[error("store.db is cut off: its end is missing")]
    CutOff,
    #[error("store.db-wal is of another store; with it this one would be overwritten, so nothing was opened")]
    ForeignLog,
    /// With a wrong key the first page looks like no database at all.
    #[error("store.db does not open with the key in store.key: one of them is damaged, or of another account")]
    OtherKey,
    #[error("store.db cannot be written: it, its directory or its disk is read-only")]
    ReadOnly,
    #[error("store.db cannot be read: {error}")]
    Unreadable { error: io::Error },
}

/// SQLCipher's page size, which no store of ours changes.
pub(crate) const PAGE_BYTES: usize = 4096;

/// What helps when a store is lost.
pub(crate) const GO_BACK: &str = "put it back from a copy of the directory, or go back to a backup under another local name: \
     subrosa restore FILE --account OTHER-NAME";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let damaged = |message: String| Self::new(ErrorKind::DamagedStore, message).hint(GO_BACK);
        let storage = |message: &str, hint: &str| Self::new(ErrorKind::Storage, message).hint(hint);
        let inner = match error {
            StoreError::Sqlite(inner) => inner,
            StoreError::Newer { .. } => {
                return Self::new(ErrorKind::DamagedStore, error.to_string()).hint("install the newest subrosa");
            }
            StoreError::Development => {
                return Self::new(ErrorKind::DamagedStore, error.to_string()).hint(
                    "it was left as it is: read it with the version that wrote it (subrosa export), and begin with a new account \
                     beside it: subrosa init --account OTHER-NAME",
                );
            }
            StoreError::ForeignLog => {
                return Self::new(ErrorKind::DamagedStore, error.to_string()).hint(
                    "put the right store.db-wal back, if you have it; else set this one aside and go on without it: \
                     subrosa account repair",
                );
            }
            StoreError::Unreadable { .. } => {
                return storage(
                    &error.to_string(),
                    "check the disk, and who may read it: ls -l in the account's directory",
                );
            }
            StoreError::ReadOnly => {
                return storage(
                    &error.to_string(),
                    "see who may write: ls -ld on the account's directory and what is in it; subrosa doctor names it",
                );
            }
            StoreError::Damaged(_)
            | StoreError::Missing
            | StoreError::Empty
            | StoreError::CutOff
            | StoreError::OtherKey => {
                return damaged(error.to_string());
            }
        };
        match inner.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                storage("store.db cannot be written: the disk is full", "free some space (df -h), then try again")
            }
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly.into(),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => storage(
                "store.db cannot be opened",
                "see who may read and write it: ls -ld on the account's directory and what is in it",
            ),
            Some(ErrorCode::SystemIoFailure) => storage(
                &format!("the disk failed while store.db was read or written: {inner}"),
                "check the disk (dmesg, df -h); subrosa doctor reads the whole store",
            ),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => storage(
                "another program keeps store.db locked",
                "end it (fuser store.db, in the account's directory), then try again",
            ),
            Some(ErrorCode::NotADatabase) => damaged(StoreError::OtherKey.to_string()),
            Some(ErrorCode::DatabaseCorrupt) => damaged("store.db is damaged: parts of it do not read back".to_owned()),
            _ => Self::new(ErrorKind::Failed, format!("database: {inner}"))
                .hint("this is a fault of subrosa: please report it"),
        }
    }
}

/// Opens (or, with `create`, makes) the encrypted store and brings it to this program's schema.
pub(crate) fn open(path: &Path, key: &[u8; 32], create: bool) -> Result<Connection, StoreError> {
    if !create {
        look(path, key)?;
    }
    let mut db = open_raw(path, key, create)?;
    // What fails to open is closed as it was found: nothing is copied from its log before it has proven to be ours.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if create {
        space::prepare(&db)?;
    } else {
        look_at_end(&db, path)?;
    }
    if db.is_readonly("main")? {
        return Err(StoreError::ReadOnly);
    }
    schema::check(&db)?;
    // What is deleted is overwritten, also in pages that are free from then on.
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA foreign_keys = ON;",
    )?;
    #[cfg(feature = "simulation")]
    if subrosa_tasks::simulation::is_on() {
        // A crash of a simulated program loses nothing that a system call has written.
        db.execute_batch("PRAGMA synchronous = OFF")?;
    }
    schema::migrate(&mut db)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    db.set_prepared_statement_cache_capacity(128);
    Ok(db)
}

/// Opens a store to look at it: neither it nor its log is changed, also when it is closed.
pub(crate) fn peek(path: &Path, key: &[u8; 32]) -> Result<Connection, StoreError> {
    look(path, key)?;
    let db = open_raw(path, key, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    look_at_end(&db, path)?;
    Ok(db)
}

/// What SQLite would take for a new database, or for a log of this one, is refused before it sees it.
fn look(path: &Path, key: &[u8; 32]) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing),
        Err(error) => return Err(StoreError::Unreadable { error }),
        Ok(found) if found.len() == 0 => return Err(StoreError::Empty),
        Ok(found) if found.len() < PAGE_BYTES as u64 => return Err(StoreError::CutOff),
        Ok(_) => {}
    }
    log::check(path, key)
}

/// SQLite finds a missing end only when it reads there; until then it would write into what is left.
fn look_at_end(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let pages = from_sql(db.query_row("PRAGMA page_count", [], |row| row.get(0))?);
    // Twice: whoever else uses the store may move pages from the log to it meanwhile.
    for _ in 0..2 {
        let found = fs::metadata(path).map_err(|error| StoreError::Unreadable { error })?;
        let there = found.len() / PAGE_BYTES as u64;
        if there >= pages || log::holds(path, there + 1, pages) {
            return Ok(());
        }
    }
    Err(StoreError::CutOff)
}

/// Opens an encrypted database as it is: no schema, no log.
pub(crate) fn open_raw(path: &Path, key: &[u8; 32], create: bool) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    // Without OpenSSL's handler at the end of the process: it frees what threads that still close a store use.
    openssl_sys::init();
    let db = Connection::open_with_flags(path, flags)?;
    // The raw key skips SQLCipher's own key derivation; it must come before anything is read.
    let key = Zeroizing::new(hex::encode(key));
    let pragma = Zeroizing::new(format!("PRAGMA key = \"x'{}'\";", key.as_str()));
    // SQLCipher would write lines of its own to stderr, beside the one error that says what to do.
    db.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    db.execute_batch(&pragma)?;
    db.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;")?;
    Ok(db)
}

/// Reads the whole database: every page is authentic, every table and index fits. What is wrong, if anything is.
pub(crate) fn check(db: &Connection) -> Result<Option<String>, StoreError> {
    let first = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, String>(0)).optional();
    if let Some(problem) = first("PRAGMA cipher_integrity_check")? {
        return Ok(Some(problem));
    }
    Ok(first("PRAGMA integrity_check(1)")?.filter(|answer| answer != "ok"))
}

/// SQLite stores signed 64-bit numbers; times and counters never reach the sign bit.
pub(crate) const fn to_sql(value: u64) -> i64 {
    value.cast_signed()
}

/// See [`to_sql`].
pub(crate) const fn from_sql(value: i64) -> u64 {
    value.cast_unsigned()
}

/// A blob column of fixed size.
pub(crate) fn array<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(what))
}
