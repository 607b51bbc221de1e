//! The event stream: every change that an interface shows, in the same transaction as the change.

use super::{Db, OptionalExtension, StoreError, from_sql, params, to_sql};
use crate::{api::Event, limits::MAX_EVENTS_KEPT};

/// Appends an event and returns its cursor.
pub(crate) fn append(db: &Db, event: &Event) -> Result<u64, StoreError> {
    /// Old events are dropped once in so many appends, not at each.
    const PRUNE_EVERY: u64 = 1_000;
    let incoming = matches!(event, Event::Message(message) if !message.outgoing);
    let json = serde_json::to_string(event).map_err(|_| StoreError::Damaged("event"))?;
    db.prepare_cached("INSERT INTO event (incoming, json) VALUES (?1, ?2)")?.execute(params![incoming, json])?;
    let cursor = from_sql(db.last_insert_rowid());
    if cursor.is_multiple_of(PRUNE_EVERY) {
        db.execute("DELETE FROM event WHERE cursor <= ?1", params![to_sql(cursor.saturating_sub(MAX_EVENTS_KEPT))])?;
    }
    Ok(cursor)
}

/// After a restore: cursors that were given out since the backup never come again, so no reader passes over new events.
pub(crate) fn skip_cursors(db: &Db) -> Result<(), StoreError> {
    /// More events than any account has between a backup and its restore.
    const JUMP: i64 = 1_000_000_000;
    let changed = db.execute("UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'event'", params![JUMP])?;
    if changed == 0 {
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?1)", params![JUMP])?;
    }
    Ok(())
}

/// The newest cursor; 0 before the first event.
pub(crate) fn newest(db: &Db) -> Result<u64, StoreError> {
    let cursor: Option<i64> = db.prepare_cached("SELECT max(cursor) FROM event")?.query_row([], |row| row.get(0))?;
    Ok(cursor.map_or(0, from_sql))
}

/// At most `max` events after `since`, oldest first; `incoming` = only messages from others.
pub(crate) fn after(db: &Db, since: u64, max: u32, incoming: bool) -> Result<Vec<Event>, StoreError> {
    let sql = if incoming {
        "SELECT cursor, json FROM event WHERE cursor > ?1 AND incoming = 1 ORDER BY cursor LIMIT ?2"
    } else {
        "SELECT cursor, json FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2"
    };
    db.prepare_cached(sql)?
        .query_and_then(params![to_sql(since), max], |row| {
            let mut event: Event =
                serde_json::from_str(&row.get::<_, String>(1)?).map_err(|_| StoreError::Damaged("event"))?;
            event.set_cursor(from_sql(row.get(0)?));
            Ok(event)
        })?
        .collect()
}

/// Where a consumer stands.
pub(crate) fn consumer(db: &Db, name: &str) -> Result<u64, StoreError> {
    let cursor: Option<i64> =
        db.query_row("SELECT cursor FROM consumer WHERE name = ?1", params![name], |row| row.get(0)).optional()?;
    Ok(cursor.map_or(0, from_sql))
}

/// Moves a consumer, never backwards.
pub(crate) fn set_consumer(db: &Db, name: &str, cursor: u64) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO consumer (name, cursor) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET cursor = max(cursor, excluded.cursor)",
        params![name, to_sql(cursor)],
    )?;
    Ok(())
}
