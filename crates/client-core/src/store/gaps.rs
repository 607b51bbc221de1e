//! Spans of conversations in which something may be missing, until it is known what.

use super::{Db, StoreError, from_sql, params, to_sql};
use crate::conversation::ConversationId;

/// What is known of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapState {
    /// Its people were asked.
    Asked,
    /// They have answered.
    Answered,
    /// Somebody never did.
    Silent,
}

/// A span in which something may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    /// Lines that came again.
    pub(crate) came: u64,
    /// Lines that nobody has any more.
    pub(crate) gone: u64,
    pub(crate) state: GapState,
}

/// Stores one.
pub(crate) fn put(db: &Db, conversation: &ConversationId, gap: &Gap) -> Result<(), StoreError> {
    let state = match gap.state {
        GapState::Asked => 1,
        GapState::Answered => 2,
        GapState::Silent => 3,
    };
    db.prepare_cached(
        "INSERT OR REPLACE INTO gap (conversation, from_ms, to_ms, came, gone, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        conversation.0,
        to_sql(gap.from_ms),
        to_sql(gap.to_ms),
        to_sql(gap.came),
        to_sql(gap.gone),
        state
    ])?;
    Ok(())
}

/// Nothing is missing there.
pub(crate) fn delete(db: &Db, conversation: &ConversationId, from_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM gap WHERE conversation = ?1 AND from_ms = ?2")?
        .execute(params![conversation.0, to_sql(from_ms)])?;
    Ok(())
}

/// Those of a conversation, the oldest first.
pub(crate) fn of(db: &Db, conversation: &ConversationId) -> Result<Vec<Gap>, StoreError> {
    db.prepare_cached("SELECT from_ms, to_ms, came, gone, state FROM gap WHERE conversation = ?1 ORDER BY from_ms")?
        .query_and_then(params![conversation.0], |row| {
            Ok(Gap {
                from_ms: from_sql(row.get(0)?),
                to_ms: from_sql(row.get(1)?),
                came: from_sql(row.get(2)?),
                gone: from_sql(row.get(3)?),
                state: match row.get::<_, u32>(4)? {
                    1 => GapState::Asked,
                    2 => GapState::Answered,
                    3 => GapState::Silent,
                    _ => return Err(StoreError::Damaged("gap")),
                },
            })
        })?
        .collect()
}
