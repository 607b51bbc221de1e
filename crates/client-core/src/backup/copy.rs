//! A consistent copy of an encrypted database under another key, while others write to the original; and its check.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use tokio_util::sync::CancellationToken;

use super::KEY_BYTES;
use crate::{
    api::{ApiError, ErrorKind},
    store::{self, Db, StoreError},
};

/// Pages of one step (4 MiB): whoever presses Ctrl-C does not wait longer.
const STEP_PAGES: i32 = 1_024;

/// Virtual-machine steps of SQLite between two looks whether to stop.
const LOOK_EVERY: i32 = 10_000;

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) messages: u64,
    pub(crate) contacts: u64,
}

/// Fails once somebody wants to stop.
pub(crate) fn go_on(stop: &CancellationToken) -> Result<(), ApiError> {
    if stop.is_cancelled() { Err(ApiError::new(ErrorKind::Failed, "stopped before it was finished")) } else { Ok(()) }
}

/// Copies `from` to the empty file `to`, as it is at one moment. Says what the copy has to hold.
pub(crate) fn copy(
    from: (&Path, &[u8; KEY_BYTES]),
    to: (&Path, &[u8; KEY_BYTES]),
    stop: &CancellationToken,
) -> Result<Counts, ApiError> {
    let source = store::open(from.0, from.1, false)?;
    // In a read transaction the source stands still, whatever the engine writes meanwhile; nobody waits for us.
    source.execute_batch("BEGIN").map_err(StoreError::from)?;
    let counts = count(&source)?;
    let mut target = store::open_raw(to.0, to.1, true)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(StoreError::from)?;
        loop {
            go_on(stop)?;
            match backup.step(STEP_PAGES).map_err(StoreError::from)? {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::yield_now(),
            }
        }
    }
    close(target)?;
    source.execute_batch("COMMIT").map_err(StoreError::from)?;
    close(source)?;
    Ok(counts)
}

/// Reads the whole copy: its pages are authentic, its tables and indexes fit, and it holds what it has to.
pub(crate) fn check(
    path: &Path,
    key: &[u8; KEY_BYTES],
    counts: Counts,
    stop: &CancellationToken,
) -> Result<(), ApiError> {
    let damaged = |what: &str| {
        ApiError::new(ErrorKind::DamagedStore, format!("the copy of the store is damaged: {what}"))
            .hint("check the disk; `subrosa doctor` checks the store itself")
    };
    let mut db = store::open_raw(path, key, false)?;
    let watch = stop.clone();
    db.progress_handler(LOOK_EVERY, Some(move || watch.is_cancelled())).map_err(StoreError::from)?;
    let problem = store::check(&db).and_then(|problem| match problem {
        Some(problem) => Ok(Some(problem)),
        None if count(&db)? == counts => Ok(None),
        None => Ok(Some("it does not hold what the store holds".to_owned())),
    });
    go_on(stop)?;
    if let Some(problem) = problem? {
        return Err(damaged(&problem));
    }
    close(db)
}

/// How much there is.
pub(crate) fn count(db: &Db) -> Result<Counts, StoreError> {
    let count = |table: &str| -> Result<u64, StoreError> {
        let count: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok(store::from_sql(count))
    };
    Ok(Counts { messages: count("message")?, contacts: count("contact")? })
}

/// Closes a database and tells if that fails; its write-ahead log is folded in.
pub(crate) fn close(db: Db) -> Result<(), ApiError> {
    db.close().map_err(|(_, error)| StoreError::from(error).into())
}
