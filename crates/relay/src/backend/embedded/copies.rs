//! Backup of a database while a relay uses it, and restoring one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, params};

use super::{
    integrity::{self, Checked},
    schema::{self, lock_data_dir},
};
use crate::config::{RelayError, Synchronous};

/// Numbers of a mailbox that are skipped by a restore: more than one device can have received since the backup. So no
/// number is ever given twice, also across a restore.
const SEQ_GAP: i64 = 1 << 32;

/// Copies the database of a running or stopped relay, as it stands at one moment, and checks the copy. Pages that were
/// deleted are not copied: mail that was fetched is not in a backup.
///
/// # Errors
/// The file exists, the disk is full, or the database is damaged.
pub fn backup(data_dir: &Path, file: &Path) -> Result<u64, RelayError> {
    let source = data_dir.join(schema::FILE_NAME);
    if !source.exists() {
        let source_error = io::Error::new(io::ErrorKind::NotFound, "there is no relay.db in it");
        return Err(RelayError::DataDir { path: data_dir.to_owned(), source: source_error });
    }
    let failed = |source| RelayError::Copy { path: file.to_owned(), source };
    if file.exists() {
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it exists already")));
    }
    let partial = beside(file, ".partial");
    // Made before SQLite does, so that only its owner can read it.
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial).map_err(failed)?;
    let undo = Undo(Some(partial.clone()));
    let db = schema::open_aside(&source)?;
    let text = partial.to_str().ok_or_else(|| failed(io::Error::other("its name is not UTF-8")))?;
    db.execute("VACUUM INTO ?1", params![text]).map_err(|error| copy_error(&source, file, error))?;
    drop(db);
    let mut copy = Connection::open(&partial).map_err(|error| copy_error(&partial, file, error))?;
    integrity::check(&mut copy, &partial, None)?;
    drop(copy);
    let size = settle(&partial, file).map_err(failed)?;
    undo.keep();
    Ok(size)
}

/// Puts a backup in the place of a relay's database. What lies there is kept under another name, which is given.
///
/// # Errors
/// A relay runs there, the backup is damaged, foreign or newer, the disk is full.
pub fn restore(file: &Path, data_dir: &Path) -> Result<Option<PathBuf>, RelayError> {
    let failed = |source| RelayError::Copy { path: file.to_owned(), source };
    // Before anything is made.
    File::open(file).map_err(failed)?;
    let _lock = lock_data_dir(data_dir)?;
    let target = data_dir.join(schema::FILE_NAME);
    let partial = beside(&target, ".restoring");
    let undo = Undo(Some(partial.clone()));
    {
        let mut from = File::open(file).map_err(failed)?;
        let mut to =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial).map_err(failed)?;
        io::copy(&mut from, &mut to).map_err(failed)?;
    }
    let (mut db, _) = schema::open(&partial, Synchronous::Full, None, None).map_err(|error| renamed(error, file))?;
    integrity::check(&mut db, file, None)?;
    start_another_life(&mut db).map_err(|error| copy_error(&partial, file, error))?;
    // Back to one file: the log must not stay behind under the old name.
    db.pragma_update(None, "journal_mode", "DELETE").map_err(|error| copy_error(&partial, file, error))?;
    drop(db);
    let old = set_aside(&target).map_err(failed)?;
    settle(&partial, &target).map_err(failed)?;
    undo.keep();
    Ok(old)
}

/// After a restore the store is another one: clients start from its beginning and tell it again what it lacks. One-time
/// keys that may have been given out since the backup are never given out again.
fn start_another_life(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    schema::renew_epoch(&transaction)?;
    transaction.execute("UPDATE device SET last_seq = last_seq + ?1", [SEQ_GAP])?;
    transaction.execute("UPDATE account SET seq_floor = seq_floor + ?1", [SEQ_GAP])?;
    transaction.execute("DELETE FROM prekey", [])?;
    // Every device has logged in since: none of them shows a mark that is known here, and none is to be shut out.
    transaction.execute("UPDATE device SET login_mark = NULL", [])?;
    transaction.commit()
}

/// The same path with something behind it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Moves a database and its log away. Nothing is lost by a mistaken restore.
fn set_aside(target: &Path) -> io::Result<Option<PathBuf>> {
    if !target.exists() {
        return Ok(None);
    }
    let mut number = 1;
    let old = loop {
        let old = beside(target, &format!(".before-restore-{number}"));
        if !old.exists() {
            break old;
        }
        number += 1;
    };
    // The log belongs to the database: without it the newest changes would be missing.
    for suffix in ["-wal", "-shm", ""] {
        match std::fs::rename(beside(target, suffix), beside(&old, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(Some(old))
}

/// Syncs a finished file and gives it its name; gives its size.
fn settle(partial: &Path, file: &Path) -> io::Result<u64> {
    let written = File::open(partial)?;
    written.sync_all()?;
    std::fs::rename(partial, file)?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(dir)?.sync_all()?;
    Ok(written.metadata()?.len())
}

fn copy_error(source: &Path, file: &Path, error: rusqlite::Error) -> RelayError {
    match integrity::explain(source, error) {
        RelayError::DataDir { source, .. } => RelayError::Copy { path: file.to_owned(), source },
        damaged => damaged,
    }
}

/// Errors about the working copy are about the backup.
fn renamed(error: RelayError, file: &Path) -> RelayError {
    let path = file.to_owned();
    match error {
        RelayError::Damaged { detail, .. } => RelayError::Damaged { path, detail },
        RelayError::ForeignDatabase(_) => RelayError::ForeignDatabase(path),
        RelayError::NewerSchema { found, known, .. } => RelayError::NewerSchema { path, found, known },
        other => other,
    }
}

/// Checks a database that no relay has to be running for; nothing is changed.
///
/// # Errors
/// It is damaged or cannot be read.
pub(crate) fn check(path: &Path) -> Result<(), RelayError> {
    let mut db = schema::open_aside(path)?;
    schema::recognize(&db, path)?;
    match integrity::check(&mut db, path, None)? {
        Checked::Whole | Checked::InPart => Ok(()),
    }
}

/// Removes what is half written.
struct Undo(Option<PathBuf>);

impl Undo {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(partial) = &self.0 {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                // What is not there need not be removed.
                let _ = std::fs::remove_file(beside(partial, suffix));
            }
        }
    }
}
