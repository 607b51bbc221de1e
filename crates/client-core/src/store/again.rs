//! What a device was sent and has lost: found in the log of what left for it, and put back into its queue.

use subrosa_wire::{AccountId, DeviceAddress, MessageId};

use super::{Db, StoreError, array, from_sql, params, to_sql};
use crate::conversation::ConversationId;

/// What is in these rows, for errors.
const WHAT: &str = "log row";

/// Conversations of which the log shows something as sent to a device.
pub(crate) fn conversations(db: &Db, device: &DeviceAddress) -> Result<Vec<ConversationId>, StoreError> {
    db.prepare_cached("SELECT DISTINCT conversation FROM delivery WHERE account = ?1 AND device = ?2 AND state = 1")?
        .query_and_then(params![device.account.0, device.device], |row| {
            Ok(ConversationId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?))
        })?
        .collect()
}

/// The place in the log of a line that a device has; of one that the log does not hold, the place of what was said before it. 0: all
/// of the log was said after it.
pub(crate) fn place_of(
    db: &Db,
    device: &DeviceAddress,
    conversation: &ConversationId,
    message: &MessageId,
    clock: u64,
) -> Result<i64, StoreError> {
    let found: Option<i64> = db
        .prepare_cached(
            "SELECT max(outbox.id) FROM outbox JOIN delivery ON delivery.outbox = outbox.id
             WHERE outbox.message = ?1 AND outbox.conversation = ?2 AND delivery.account = ?3 AND delivery.device = ?4",
        )?
        .query_row(params![message.0, conversation.0, device.account.0, device.device], |row| row.get(0))?;
    if let Some(place) = found {
        return Ok(place);
    }
    let before: Option<i64> = db
        .prepare_cached(
            "SELECT max(outbox.id) FROM outbox JOIN message ON message.id = outbox.message
             WHERE outbox.conversation = ?1 AND message.clock <= ?2",
        )?
        .query_row(params![conversation.0, to_sql(clock)], |row| row.get(0))?;
    Ok(before.unwrap_or(0))
}

/// What left for a device.
pub(crate) struct SentRow {
    pub(crate) delivery: i64,
    pub(crate) outbox: i64,
    /// The line that it is about.
    pub(crate) message: Option<MessageId>,
    /// Its content is not kept any more.
    pub(crate) gone: bool,
}

/// What left for a device after a place in the log, and is not on its way again already; in the order of its leaving.
pub(crate) fn sent_after(
    db: &Db,
    device: &DeviceAddress,
    conversation: &ConversationId,
    place: i64,
) -> Result<Vec<SentRow>, StoreError> {
    db.prepare_cached(
        "SELECT max(delivery.id), outbox.id, outbox.message, length(outbox.content) = 0
         FROM delivery JOIN outbox ON outbox.id = delivery.outbox
         WHERE delivery.account = ?1 AND delivery.device = ?2 AND delivery.state = 1 AND outbox.conversation = ?3
             AND outbox.id > ?4 AND NOT EXISTS (
                 SELECT 1 FROM delivery AS waits WHERE waits.outbox = outbox.id AND waits.account = ?1
                     AND waits.device = ?2 AND waits.state = 0)
         GROUP BY outbox.id ORDER BY outbox.id",
    )?
    .query_and_then(params![device.account.0, device.device, conversation.0, place], |row| {
        let message: Option<Vec<u8>> = row.get(2)?;
        Ok(SentRow {
            delivery: row.get(0)?,
            outbox: row.get(1)?,
            message: message.map(|id| array(&id, WHAT).map(MessageId)).transpose()?,
            gone: row.get(3)?,
        })
    })?
    .collect()
}

/// Puts one back into the queue of its device, to be encrypted anew. It moves no status: that it was sent once stays true.
pub(crate) fn send(db: &Db, row: &SentRow, relay: &str, expires_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE delivery SET state = 0, moves = 2, wide = 0, relay = ?2, list_version = 0, introduces = 0, head = NULL,
             body = NULL, envelope = NULL, accepted_ms = NULL, attempts = 0, next_ms = 0, error = NULL
         WHERE id = ?1",
    )?
    .execute(params![row.delivery, relay])?;
    // It lives as long as something that is said now.
    db.prepare_cached("UPDATE outbox SET expires_ms = max(expires_ms, ?2) WHERE id = ?1")?
        .execute(params![row.outbox, to_sql(expires_ms)])?;
    Ok(())
}

/// Lines of ours that stand behind a place of a conversation, were sent, and are so old that no log holds them.
pub(crate) fn older_lines(
    db: &Db,
    conversation: &ConversationId,
    author: &AccountId,
    clock: u64,
    before_ms: u64,
    most: usize,
) -> Result<Vec<MessageId>, StoreError> {
    db.prepare_cached(
        "SELECT id FROM message
         WHERE conversation = ?1 AND clock > ?2 AND sender = ?3 AND outgoing = 1 AND shown_ms < ?4
             AND status BETWEEN 2 AND 4
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.message = message.id AND length(outbox.content) > 0)
         ORDER BY clock DESC LIMIT ?5",
    )?
    .query_and_then(
        params![conversation.0, to_sql(clock), author.0, to_sql(before_ms), i64::try_from(most).unwrap_or(i64::MAX)],
        |row| Ok(MessageId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?)),
    )?
    .collect()
}

/// Contents that are being sent again, and to how many devices: for who looks how far it is.
pub(crate) fn waiting(db: &Db) -> Result<(u64, u64), StoreError> {
    let (contents, devices): (i64, i64) = db
        .prepare_cached(
            "SELECT count(*), count(DISTINCT hex(account) || device) FROM delivery WHERE state = 0 AND moves = 2",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((from_sql(contents), from_sql(devices)))
}
