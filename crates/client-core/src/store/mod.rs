//! The account's store: SQLCipher, WAL, one writer, versioned migrations.
//!
//! Each file beside this one owns the statements of one subject; all take the open connection
//! (usually a transaction of the core), so that one change is one transaction.

pub(crate) mod account;
pub(crate) mod chats;
pub(crate) mod contacts;
pub(crate) mod envelopes;
pub(crate) mod events;
pub(crate) mod invites;
pub(crate) mod messages;
mod migrations;
pub(crate) mod outbox;
pub(crate) mod prekeys;
pub(crate) mod requests;
pub(crate) mod retries;
mod schema;
pub(crate) mod sessions;
pub(crate) mod tasks;
pub(crate) mod words;

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};
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
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (kind, hint) = match &error {
            StoreError::Newer { .. } => (ErrorKind::DamagedStore, "update subrosa"),
            StoreError::Damaged(_) => (ErrorKind::DamagedStore, "restore the account's directory from a backup"),
            StoreError::Sqlite(inner) => match inner.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => (ErrorKind::Storage, "the disk is full: free some space and try again"),
                Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => (
                    ErrorKind::Storage,
                    "the account's directory cannot be written: check the disk and the directory's permissions",
                ),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    (ErrorKind::DamagedStore, "store.db is damaged: restore the account's directory from a backup")
                }
                _ => (ErrorKind::Failed, "this is a fault of subrosa: please report it"),
            },
        };
        Self::new(kind, error.to_string()).hint(hint)
    }
}

/// Opens (or, with `create`, makes) the encrypted store and brings it to this program's schema.
pub(crate) fn open(path: &Path, key: &[u8; 32], create: bool) -> Result<Connection, StoreError> {
    let mut db = open_raw(path, key, create)?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;",
    )?;
    schema::migrate(&mut db)?;
    db.set_prepared_statement_cache_capacity(128);
    Ok(db)
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
    // The raw key skips SQLCipher's own key derivation; it must be the first statement.
    let key = Zeroizing::new(hex::encode(key));
    let pragma = Zeroizing::new(format!("PRAGMA key = \"x'{}'\";", key.as_str()));
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
