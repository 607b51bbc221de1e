//! Intents and sealed submissions, first-in first-out for each receiver.

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, StoreError, array, from_sql, params, to_sql};

/// A row of `outbox`: one content for all devices of one account.
#[derive(Debug, Clone)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    /// Only for this device of the account.
    pub(crate) device: Option<u32>,
    /// Whose status it moves.
    pub(crate) message: Option<MessageId>,
    pub(crate) content: Vec<u8>,
    /// The encoded submission, once made.
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) sealed_list: Option<u32>,
    pub(crate) introduces: bool,
    /// Devices that have it.
    pub(crate) done: Vec<u32>,
    pub(crate) attempts: u32,
}

const COLUMNS: &str = "id, message, content, sealed, sealed_list, introduces, done, attempts, device";

fn read(row: &Row<'_>) -> Result<OutboxRow, StoreError> {
    const WHAT: &str = "outbox row";
    let done: Vec<u8> = row.get(6)?;
    Ok(OutboxRow {
        id: row.get(0)?,
        message: row.get::<_, Option<Vec<u8>>>(1)?.map(|id| array(&id, WHAT).map(MessageId)).transpose()?,
        content: row.get(2)?,
        sealed: row.get(3)?,
        sealed_list: row.get(4)?,
        introduces: row.get(5)?,
        done: done.as_chunks::<4>().0.iter().map(|chunk| u32::from_be_bytes(*chunk)).collect(),
        attempts: row.get(7)?,
        device: row.get(8)?,
    })
}

/// Queues an intent for all devices of an account, or for one of them.
pub(crate) fn put(
    db: &Db,
    target: &AccountId,
    device: Option<u32>,
    message: Option<&MessageId>,
    content: &[u8],
    now_ms: u64,
    expires_ms: u64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO outbox (target, message, content, created_ms, expires_ms, device) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![target.0, message.map(|id| id.0), content, to_sql(now_ms), to_sql(expires_ms), device])?;
    Ok(())
}

/// The oldest rows of one receiver.
pub(crate) fn first_of(db: &Db, target: &AccountId, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE target = ?1 ORDER BY id LIMIT ?2"))?
        .query_and_then(params![target.0, i64::try_from(limit).unwrap_or(i64::MAX)], read)?
        .collect()
}

/// Receivers that have something waiting, and when their oldest row may go.
pub(crate) fn targets(db: &Db) -> Result<Vec<(AccountId, u64)>, StoreError> {
    db.prepare_cached(
        "SELECT target, next_ms FROM outbox WHERE id IN (SELECT min(id) FROM outbox GROUP BY target) ORDER BY id",
    )?
    .query_and_then([], |row| Ok((AccountId(array(&row.get::<_, Vec<u8>>(0)?, "outbox row")?), from_sql(row.get(1)?))))?
    .collect()
}

/// The submission is made: from now on these bytes are sent, again and again.
pub(crate) fn set_sealed(
    db: &Db,
    id: i64,
    sealed: &[u8],
    list_version: u32,
    introduces: bool,
) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE outbox SET sealed = ?2, sealed_list = ?3, introduces = ?4 WHERE id = ?1")?
        .execute(params![id, sealed, list_version, introduces])?;
    Ok(())
}

/// The sealed bytes are of no use any more; devices that have the content are not bothered again.
pub(crate) fn unseal(db: &Db, id: i64, done: &[u32]) -> Result<(), StoreError> {
    let done: Vec<u8> = done.iter().flat_map(|device| device.to_be_bytes()).collect();
    db.execute("UPDATE outbox SET sealed = NULL, sealed_list = NULL, done = ?2 WHERE id = ?1", params![id, done])?;
    Ok(())
}

/// As [`unseal`], for all rows of a receiver, or of everybody: the sessions they were sealed in are gone.
pub(crate) fn unseal_all(db: &Db, target: Option<&AccountId>) -> Result<(), StoreError> {
    db.execute(
        "UPDATE outbox SET sealed = NULL, sealed_list = NULL WHERE sealed IS NOT NULL AND (?1 IS NULL OR target = ?1)",
        params![target.map(|target| target.0)],
    )?;
    Ok(())
}

/// Some devices have it, others must wait.
pub(crate) fn set_done(db: &Db, id: i64, done: &[u32]) -> Result<(), StoreError> {
    let done: Vec<u8> = done.iter().flat_map(|device| device.to_be_bytes()).collect();
    db.execute("UPDATE outbox SET done = ?2 WHERE id = ?1", params![id, done])?;
    Ok(())
}

/// Every device has it, or it will never go.
pub(crate) fn delete(db: &Db, id: i64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute(params![id])?;
    Ok(())
}

/// The oldest row of a receiver waits until `next_ms`.
pub(crate) fn postpone(
    db: &Db,
    target: &AccountId,
    next_ms: u64,
    attempts: u32,
    error: &str,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE outbox SET next_ms = ?2, attempts = ?3, error = ?4
         WHERE id = (SELECT min(id) FROM outbox WHERE target = ?1)",
        params![target.0, to_sql(next_ms), attempts, error],
    )?;
    Ok(())
}

/// A receiver's rows may go at once: something they waited for has happened.
pub(crate) fn wake(db: &Db, target: &AccountId) -> Result<(), StoreError> {
    db.execute("UPDATE outbox SET next_ms = 0 WHERE target = ?1", params![target.0])?;
    Ok(())
}

/// Why a receiver's oldest row waits, and until when.
pub(crate) fn waiting(db: &Db, target: &AccountId) -> Result<Option<(Option<String>, u64)>, StoreError> {
    let mut statement = db.prepare_cached("SELECT error, next_ms FROM outbox WHERE target = ?1 ORDER BY id LIMIT 1")?;
    let mut rows = statement.query(params![target.0])?;
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, from_sql(row.get(1)?)))),
        None => Ok(None),
    }
}

/// Messages that wait.
pub(crate) fn message_count(db: &Db) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached("SELECT count(DISTINCT message) FROM outbox WHERE message IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// Rows that expired undelivered.
pub(crate) fn expired(db: &Db, now_ms: u64) -> Result<Vec<OutboxRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE expires_ms <= ?1"))?
        .query_and_then(params![to_sql(now_ms)], read)?
        .collect()
}
