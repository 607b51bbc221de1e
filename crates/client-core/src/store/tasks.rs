//! Requests to the own relay that must not be lost, in order.

use super::{Db, OptionalExtension, StoreError, params};

/// Queues an encoded request frame. One that waits already is made once: a relay that begins a new life at each connection
/// and takes nothing must not make the queue grow.
pub(crate) fn put(db: &Db, request: &[u8]) -> Result<i64, StoreError> {
    let waiting = db
        .query_row("SELECT id FROM relay_task WHERE request = ?1 LIMIT 1", params![request], |row| row.get(0))
        .optional()?;
    if let Some(id) = waiting {
        return Ok(id);
    }
    db.execute("INSERT INTO relay_task (request) VALUES (?1)", params![request])?;
    Ok(db.last_insert_rowid())
}

/// The oldest request.
pub(crate) fn first(db: &Db) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    let mut statement = db.prepare_cached("SELECT id, request FROM relay_task ORDER BY id LIMIT 1")?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, row.get(1)?))),
        None => Ok(None),
    }
}

/// Whether a request still waits.
pub(crate) fn waits(db: &Db, id: i64) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM relay_task WHERE id = ?1")?.exists(params![id])?)
}

/// How many wait.
pub(crate) fn count(db: &Db) -> Result<u64, StoreError> {
    let count: i64 = db.query_row("SELECT count(*) FROM relay_task", [], |row| row.get(0))?;
    Ok(super::from_sql(count))
}

/// The relay has done it, or never will.
pub(crate) fn delete(db: &Db, id: i64) -> Result<(), StoreError> {
    db.execute("DELETE FROM relay_task WHERE id = ?1", params![id])?;
    Ok(())
}
