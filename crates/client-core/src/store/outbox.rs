//! What is said: each content once, for one conversation. Under it stands a delivery for each device (`deliveries.rs`). A content
//! stays as long as somebody who could not decrypt it may ask for it again.

use subrosa_wire::{AccountId, DeviceAddress, MessageId, submit::EnvelopeClass};

use super::{Db, OptionalExtension, StoreError, array, deliveries, from_sql, params, to_sql};
use crate::conversation::ConversationId;

/// A new row of `outbox`.
pub(crate) struct NewContent<'a> {
    pub(crate) conversation: &'a ConversationId,
    /// The line that it is, or that it tells our other devices of.
    pub(crate) message: Option<&'a MessageId>,
    /// Without introduction and device list.
    pub(crate) content: &'a [u8],
    pub(crate) class: EnvelopeClass,
    pub(crate) created_ms: u64,
    pub(crate) expires_ms: u64,
}

/// Queues a content; its deliveries are for the caller to add.
pub(crate) fn put(db: &Db, new: &NewContent<'_>) -> Result<i64, StoreError> {
    db.prepare_cached(
        "INSERT INTO outbox (conversation, message, content, class, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        new.conversation.0,
        new.message.map(|id| id.0),
        new.content,
        new.class == EnvelopeClass::Ephemeral,
        to_sql(new.created_ms),
        to_sql(new.expires_ms),
    ])?;
    Ok(db.last_insert_rowid())
}

/// A content on its way.
pub(crate) struct ContentRow {
    pub(crate) content: Vec<u8>,
    pub(crate) class: EnvelopeClass,
    pub(crate) created_ms: u64,
    pub(crate) expires_ms: u64,
}

/// One content; `None` also if it is gone with its message.
pub(crate) fn get(db: &Db, id: i64) -> Result<Option<ContentRow>, StoreError> {
    db.prepare_cached("SELECT content, class, created_ms, expires_ms FROM outbox WHERE id = ?1 AND content <> x''")?
        .query_and_then(params![id], |row| {
            let ephemeral: bool = row.get(1)?;
            Ok(ContentRow {
                content: row.get(0)?,
                class: if ephemeral { EnvelopeClass::Ephemeral } else { EnvelopeClass::Durable },
                created_ms: from_sql(row.get(2)?),
                expires_ms: from_sql(row.get(3)?),
            })
        })?
        .next()
        .transpose()
}

/// The line that a content is about.
pub(crate) fn message_of(db: &Db, id: i64) -> Result<Option<MessageId>, StoreError> {
    let message: Option<Option<Vec<u8>>> = db
        .prepare_cached("SELECT message FROM outbox WHERE id = ?1")?
        .query_row(params![id], |row| row.get(0))
        .optional()?;
    message.flatten().map(|id| array(&id, "outbox row").map(MessageId)).transpose()
}

/// A content goes when nothing of it waits and nobody can ask for it.
pub(crate) fn tidy(db: &Db, id: i64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM outbox WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE outbox = ?1)")?
        .execute(params![id])?;
    Ok(())
}

/// The contents of a message are gone with it. That they were sent stays known as long as somebody may ask for them again; nothing of
/// them waits.
pub(crate) fn empty(db: &Db, message: &MessageId) -> Result<(), StoreError> {
    let rows: Vec<i64> = db
        .prepare_cached("UPDATE outbox SET content = x'' WHERE message = ?1 RETURNING id")?
        .query_map(params![message.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    rows.into_iter().try_for_each(|id| tidy(db, id))
}

/// What was sent to a device in an envelope is sent to it again, newly encrypted, if it may be and is still here; says whether. It goes to
/// the relay at which the account is reached now.
pub(crate) fn send_again(
    db: &Db,
    envelope: &[u8],
    device: &DeviceAddress,
    relay: &str,
    most: u32,
) -> Result<bool, StoreError> {
    let found: Option<(i64, u32)> = db
        .prepare_cached(
            "UPDATE delivery SET resent = resent + 1
             WHERE envelope = ?1 AND account = ?2 AND device = ?3 AND resent < ?4
                 AND EXISTS (SELECT 1 FROM outbox WHERE outbox.id = delivery.outbox AND content <> x'')
             RETURNING id, resent",
        )?
        .query_row(params![envelope, device.account.0, device.device, most], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, resent)) = found else { return Ok(false) };
    // What is sent again counts as sent so often: no device makes us send one content without end.
    db.prepare_cached(
        "INSERT INTO delivery (outbox, conversation, relay, own, account, device, wide, moves, resent)
         SELECT outbox, conversation, ?3, own, account, device, 0, 0, ?2 FROM delivery WHERE id = ?1",
    )?
    .execute(params![id, resent, relay])?;
    Ok(true)
}

/// A message that waits for somebody.
pub(crate) struct WaitingRow {
    pub(crate) message: MessageId,
    pub(crate) conversation: ConversationId,
    pub(crate) to: AccountId,
    pub(crate) attempts: u32,
    pub(crate) next_ms: u64,
    pub(crate) created_ms: u64,
    pub(crate) error: Option<String>,
}

/// Messages that wait, one row for each receiver, oldest first.
pub(crate) fn waiting(db: &Db, limit: u32) -> Result<Vec<WaitingRow>, StoreError> {
    const WHAT: &str = "outbox row";
    db.prepare_cached(
        "SELECT outbox.message, outbox.conversation, delivery.account, max(delivery.attempts), min(delivery.next_ms),
             outbox.created_ms, max(delivery.error)
         FROM recipient INDEXED BY recipient_queued
             JOIN outbox ON outbox.message = recipient.message
             JOIN delivery ON delivery.outbox = outbox.id AND delivery.account = recipient.account
                 AND delivery.state = 0 AND delivery.moves = 1
         WHERE recipient.status = 1 GROUP BY outbox.id, delivery.account ORDER BY outbox.id LIMIT ?1",
    )?
    .query_and_then(params![limit], |row| {
        Ok(WaitingRow {
            message: MessageId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
            conversation: ConversationId(array(&row.get::<_, Vec<u8>>(1)?, WHAT)?),
            to: AccountId(array(&row.get::<_, Vec<u8>>(2)?, WHAT)?),
            attempts: row.get(3)?,
            next_ms: from_sql(row.get(4)?),
            created_ms: from_sql(row.get(5)?),
            error: row.get(6)?,
        })
    })?
    .collect()
}

/// Nothing about a message leaves any more; what has left stays known.
pub(crate) fn withdraw(db: &Db, message: &MessageId) -> Result<(), StoreError> {
    let rows: Vec<i64> = db
        .prepare_cached("SELECT id FROM outbox WHERE message = ?1")?
        .query_map(params![message.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in rows {
        db.prepare_cached("DELETE FROM delivery WHERE outbox = ?1 AND state = 0")?.execute(params![id])?;
        tidy(db, id)?;
    }
    Ok(())
}

/// Contents that expired with something of them still waiting.
pub(crate) fn expired(db: &Db, now_ms: u64) -> Result<Vec<i64>, StoreError> {
    db.prepare_cached(
        "SELECT id FROM outbox WHERE expires_ms <= ?1
             AND EXISTS (SELECT 1 FROM delivery WHERE delivery.outbox = outbox.id AND delivery.state = 0)",
    )?
    .query_and_then(params![to_sql(now_ms)], |row| Ok(row.get(0)?))?
    .collect()
}

/// Forgets what no relay holds any more and nobody can ask for.
pub(crate) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    deliveries::forget_before(db, before_ms)?;
    db.execute(
        "DELETE FROM outbox WHERE created_ms < ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.outbox = outbox.id)",
        params![to_sql(before_ms)],
    )?;
    Ok(())
}
