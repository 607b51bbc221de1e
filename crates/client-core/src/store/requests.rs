//! Results of calls with a request id, kept a day.

use super::{Db, OptionalExtension as _, StoreError, array, params, to_sql};

/// What was asked with this id, and what came of it.
pub(crate) fn get(db: &Db, id: &[u8; 16]) -> Result<Option<([u8; 32], String)>, StoreError> {
    let found: Option<(Vec<u8>, String)> = db
        .prepare_cached("SELECT call, result FROM request WHERE id = ?1")?
        .query_row(params![id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found.map(|(call, result)| Ok((array(&call, "request")?, result))).transpose()
}

/// Keeps a result.
pub(crate) fn put(db: &Db, id: &[u8; 16], call: &[u8; 32], result: &str, now_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO request (id, call, result, done_ms) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        id,
        call,
        result,
        to_sql(now_ms)
    ])?;
    Ok(())
}

/// What was done is undone.
pub(crate) fn delete(db: &Db, id: &[u8; 16]) -> Result<(), StoreError> {
    db.execute("DELETE FROM request WHERE id = ?1", params![id])?;
    Ok(())
}

/// Forgets old results.
pub(crate) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM request WHERE done_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

/// Results that speak of somebody who is gone go with them; whoever makes such a call again is told that there is nobody.
pub(crate) fn forget_about(db: &Db, ids: [&str; 2]) -> Result<(), StoreError> {
    for id in ids {
        db.execute("DELETE FROM request WHERE instr(result, ?1) > 0", params![id])?;
    }
    Ok(())
}
