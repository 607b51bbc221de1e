//! Messages that are older than they are to be kept: which they are, and all that goes with them.

use std::collections::BTreeSet;

use subrosa_wire::MessageId;

use super::{Db, StoreError, array, from_sql, outbox, params, to_sql};
use crate::{conversation::ConversationId, keep::Keep};

/// When a message came by our own clock, or when we wrote it. What its author claims says nothing: nobody can have a message
/// deleted early, or kept for long. As in the index `message_age`.
pub(super) const AGE: &str = "(CASE WHEN outgoing THEN shown_ms ELSE arrived_ms END)";

/// Nothing of it waits to leave, neither for its receivers nor for our other devices.
const RESTS: &str = "message.status IS NOT 1 AND NOT EXISTS (
    SELECT 1 FROM outbox JOIN delivery ON delivery.outbox = outbox.id
    WHERE outbox.message = message.id AND delivery.state = 0)";

/// A message that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Old {
    row: i64,
    id: MessageId,
    pub(crate) conversation: ConversationId,
}

/// At most so many messages that are too old now: by their conversation's own time, or by that of all.
pub(crate) fn old(db: &Db, now_ms: u64, for_all: Keep, limit: u32) -> Result<Vec<Old>, StoreError> {
    db.prepare_cached(&old_sql())?
        .query_and_then(params![to_sql(now_ms), to_sql(for_all.ms()), limit], |row| {
            Ok(Old {
                row: row.get(0)?,
                id: MessageId(array(&row.get::<_, Vec<u8>>(1)?, "message")?),
                conversation: ConversationId(array(&row.get::<_, Vec<u8>>(2)?, "message")?),
            })
        })?
        .collect()
}

fn old_sql() -> String {
    format!(
        "SELECT message.row, message.id, message.conversation FROM conversation CROSS JOIN message
         WHERE coalesce(conversation.keep_ms, ?2) > 0 AND message.conversation = conversation.id
             AND {AGE} < ?1 - coalesce(conversation.keep_ms, ?2) AND {RESTS}
         LIMIT ?3"
    )
}

/// How many messages would be too old with this time: those of a conversation, or of all that have no time of their own. Counts in
/// the index; what still waits to leave, which is little, is looked up and left out.
pub(crate) fn count(
    db: &Db,
    conversation: Option<&ConversationId>,
    now_ms: u64,
    keep: Keep,
) -> Result<u64, StoreError> {
    if keep == Keep::ForEver {
        return Ok(0);
    }
    let meant = format!(
        "(conversation.id = ?1 OR (?1 IS NULL AND conversation.keep_ms IS NULL))
         AND message.conversation = conversation.id AND {AGE} < ?2"
    );
    let count: i64 = db
        .prepare_cached(&format!(
            "SELECT (SELECT count(*) FROM conversation CROSS JOIN message WHERE {meant})
                - (SELECT count(*) FROM (
                      SELECT outbox.message AS id FROM delivery JOIN outbox ON outbox.id = delivery.outbox
                      WHERE delivery.state = 0 AND outbox.message IS NOT NULL
                      UNION SELECT message FROM recipient WHERE status = 1
                  ) AS waits CROSS JOIN message ON message.id = waits.id JOIN conversation
                  WHERE {meant} AND NOT ({RESTS}))"
        ))?
        .query_row(params![conversation.map(|id| id.0), to_sql(now_ms.saturating_sub(keep.ms()))], |row| row.get(0))?;
    Ok(from_sql(count.max(0)))
}

/// Deletes messages with what is known of their receivers, their words in the index, what happened to them, and what was kept of
/// them to be sent again. That they were sent stays known while somebody may ask for it.
pub(crate) fn delete(db: &Db, messages: &[Old]) -> Result<(), StoreError> {
    // The events have no index of their messages: they are gone through once for all of these.
    db.execute_batch("CREATE TEMP TABLE IF NOT EXISTS going (id BLOB PRIMARY KEY) WITHOUT ROWID; DELETE FROM going")?;
    for message in messages {
        db.prepare_cached("INSERT OR IGNORE INTO going VALUES (?1)")?.execute(params![message.id.0])?;
    }
    for table in ["recipient", "pending_receipt", "event"] {
        db.prepare_cached(&format!("DELETE FROM {table} WHERE message IN (SELECT id FROM going)"))?.execute([])?;
    }
    for message in messages {
        outbox::empty(db, &message.id)?;
        db.prepare_cached("DELETE FROM message WHERE row = ?1")?.execute(params![message.row])?;
    }
    // Spans that lie before everything that is left.
    for conversation in messages.iter().map(|message| message.conversation).collect::<BTreeSet<_>>() {
        db.prepare_cached(&format!(
            "DELETE FROM gap WHERE conversation = ?1
                 AND to_ms < (SELECT coalesce(min({AGE}), 0) FROM message WHERE message.conversation = ?1)"
        ))?
        .execute(params![conversation.0])?;
    }
    db.execute_batch("DELETE FROM going")?;
    forget_results(db, messages)
}

/// Results of calls that show one of these messages, as the newest of a chat.
fn forget_results(db: &Db, messages: &[Old]) -> Result<(), StoreError> {
    let results = db
        .prepare_cached("SELECT id, result FROM request WHERE instr(result, '\"body\":') > 0")?
        .query_and_then([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, StoreError>>()?;
    for (request, result) in results {
        if messages.iter().any(|message| result.contains(&message.id.to_string())) {
            db.prepare_cached("DELETE FROM request WHERE id = ?1")?.execute(params![request])?;
        }
    }
    Ok(())
}

/// How long the messages of a conversation are kept; `None`: as those of all.
pub(crate) fn of(db: &Db, conversation: &ConversationId) -> Result<Option<Keep>, StoreError> {
    let keep: Option<Option<i64>> = super::OptionalExtension::optional(
        db.prepare_cached("SELECT keep_ms FROM conversation WHERE id = ?1")?
            .query_row(params![conversation.0], |row| row.get(0)),
    )?;
    Ok(keep.flatten().map(|ms| Keep::from_ms(from_sql(ms))))
}

/// See [`of`]; says whether it is another one now.
pub(crate) fn set(db: &Db, conversation: &ConversationId, keep: Option<Keep>) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached("UPDATE conversation SET keep_ms = ?2 WHERE id = ?1 AND keep_ms IS NOT ?2")?
        .execute(params![conversation.0, keep.map(|keep| to_sql(keep.ms()))])?;
    Ok(changed > 0)
}

/// Conversations that have a time of their own.
pub(crate) fn own_times(db: &Db) -> Result<u64, StoreError> {
    let count: i64 =
        db.query_row("SELECT count(*) FROM conversation WHERE keep_ms IS NOT NULL", [], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// The time for all that may delete messages of this account: the person said so.
pub(crate) fn agreed(db: &Db) -> Result<Keep, StoreError> {
    let ms: i64 = db.query_row("SELECT keep_agreed_ms FROM account", [], |row| row.get(0))?;
    Ok(Keep::from_ms(from_sql(ms)))
}

/// See [`agreed`].
pub(crate) fn agree(db: &Db, keep: Keep) -> Result<(), StoreError> {
    db.execute("UPDATE account SET keep_agreed_ms = ?1, keep_told_ms = 0", params![to_sql(keep.ms())])?;
    Ok(())
}

/// A shorter time that waits for the person's word; says whether they are to be told.
pub(crate) fn tell(db: &Db, keep: Keep) -> Result<bool, StoreError> {
    let changed =
        db.execute("UPDATE account SET keep_told_ms = ?1 WHERE keep_told_ms <> ?1", params![to_sql(keep.ms())])?;
    Ok(changed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_for_old_messages_reads_the_index_of_their_age() {
        let mut db = Db::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {}", old_sql())).unwrap();
        let none = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
        let plan = rows.map(Result::unwrap).collect::<Vec<_>>().join("\n");
        assert!(plan.contains("message_age (conversation=? AND <expr><?)") && !plan.contains("SCAN message"), "{plan}");
    }
}
