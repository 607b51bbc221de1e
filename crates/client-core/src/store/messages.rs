//! Messages and the receipts of ours.

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, OptionalExtension, StoreError, array, from_sql, params, to_sql};
use crate::{api::MessageStatus, receipts};

/// A row of `message`.
#[derive(Clone)]
pub(crate) struct MessageRow {
    pub(crate) id: MessageId,
    /// The peer of a 1:1 conversation.
    pub(crate) chat: AccountId,
    pub(crate) sender: AccountId,
    pub(crate) outgoing: bool,
    pub(crate) clock: u64,
    pub(crate) shown_ms: u64,
    pub(crate) body: String,
    /// Content of a type this program does not know.
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) status: Option<MessageStatus>,
    pub(crate) error: Option<String>,
    pub(crate) unread: bool,
}

const COLUMNS: &str = "id, chat, sender, outgoing, clock, shown_ms, body, raw, status, error, unread";

fn read(row: &Row<'_>) -> Result<MessageRow, StoreError> {
    const WHAT: &str = "message";
    Ok(MessageRow {
        id: MessageId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
        chat: AccountId(array(&row.get::<_, Vec<u8>>(1)?, WHAT)?),
        sender: AccountId(array(&row.get::<_, Vec<u8>>(2)?, WHAT)?),
        outgoing: row.get(3)?,
        clock: from_sql(row.get(4)?),
        shown_ms: from_sql(row.get(5)?),
        body: row.get(6)?,
        raw: row.get(7)?,
        status: row.get::<_, Option<u32>>(8)?.and_then(receipts::from_number),
        error: row.get(9)?,
        unread: row.get(10)?,
    })
}

/// Adds a message; `false` when its id is known.
pub(crate) fn insert(db: &Db, message: &MessageRow) -> Result<bool, StoreError> {
    let added = db
        .prepare_cached(
            "INSERT OR IGNORE INTO message (id, chat, sender, outgoing, clock, shown_ms, body, raw, status, error, unread)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            message.id.0,
            message.chat.0,
            message.sender.0,
            message.outgoing,
            to_sql(message.clock),
            to_sql(message.shown_ms),
            message.body,
            message.raw,
            message.status.map(receipts::number),
            message.error,
            message.unread,
        ])?;
    Ok(added == 1)
}

/// One message.
pub(crate) fn get(db: &Db, id: &MessageId) -> Result<Option<MessageRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE id = ?1"))?
        .query_and_then(params![id.0], read)?
        .next()
        .transpose()
}

/// Messages whose id begins with `prefix` (lower-case hexadecimal); two are enough to see that it is ambiguous.
pub(crate) fn find(db: &Db, prefix: &str) -> Result<Vec<MessageRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE lower(hex(id)) GLOB ?1 LIMIT 2"))?
        .query_and_then(params![format!("{prefix}*")], read)?
        .collect()
}

/// Moves a message's status if the table of transitions allows it; says whether it moved.
pub(crate) fn move_status(
    db: &Db,
    message: &MessageRow,
    to: MessageStatus,
    error: Option<&str>,
) -> Result<bool, StoreError> {
    let Some(from) = message.status else { return Ok(false) };
    if !receipts::allowed(from, to) {
        return Ok(false);
    }
    db.prepare_cached("UPDATE message SET status = ?2, error = ?3 WHERE id = ?1")?.execute(params![
        message.id.0,
        receipts::number(to),
        error
    ])?;
    Ok(true)
}

/// Messages that a relay accepted before `before_ms` and nobody confirmed.
pub(crate) fn unconfirmed_before(db: &Db, before_ms: u64) -> Result<Vec<MessageId>, StoreError> {
    db.prepare_cached(
        "SELECT receipt.message FROM message JOIN receipt ON receipt.message = message.id AND receipt.status = ?1
         WHERE message.status = ?1 AND receipt.ts_ms < ?2",
    )?
    .query_and_then(params![receipts::number(MessageStatus::Sent), to_sql(before_ms)], |row| {
        Ok(MessageId(array(&row.get::<_, Vec<u8>>(0)?, "receipt")?))
    })?
    .collect()
}

/// Notes why a queued message waits.
pub(crate) fn set_error(db: &Db, id: &MessageId, error: Option<&str>) -> Result<(), StoreError> {
    db.execute("UPDATE message SET error = ?2 WHERE id = ?1", params![id.0, error])?;
    Ok(())
}

/// Records who got how far, the earliest time of each.
pub(crate) fn add_receipt(
    db: &Db,
    message: &MessageId,
    account: &AccountId,
    status: MessageStatus,
    ts_ms: u64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO receipt (message, account, status, ts_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (message, account, status) DO UPDATE SET ts_ms = min(ts_ms, excluded.ts_ms)",
    )?
    .execute(params![message.0, account.0, receipts::number(status), to_sql(ts_ms)])?;
    Ok(())
}

/// Receipts of a message.
pub(crate) fn receipts_of(db: &Db, message: &MessageId) -> Result<Vec<(AccountId, MessageStatus, u64)>, StoreError> {
    db.prepare_cached("SELECT account, status, ts_ms FROM receipt WHERE message = ?1 ORDER BY ts_ms, account")?
        .query_and_then(params![message.0], |row| {
            Ok((
                AccountId(array(&row.get::<_, Vec<u8>>(0)?, "receipt")?),
                receipts::from_number(row.get(1)?).ok_or(StoreError::Damaged("receipt"))?,
                from_sql(row.get(2)?),
            ))
        })?
        .collect()
}

/// A page of a conversation, newest first, in the order people see: clock, sender, id.
pub(crate) fn page(
    db: &Db,
    chat: &AccountId,
    before: Option<&MessageRow>,
    since_ms: u64,
    limit: u32,
) -> Result<Vec<MessageRow>, StoreError> {
    let (clock, sender, id) = match before {
        Some(message) => (to_sql(message.clock), message.sender.0.to_vec(), message.id.0.to_vec()),
        None => (i64::MAX, Vec::new(), Vec::new()),
    };
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message
         WHERE chat = ?1 AND (clock, sender, id) < (?2, ?3, ?4) AND shown_ms >= ?5
         ORDER BY clock DESC, sender DESC, id DESC LIMIT ?6"
    ))?
    .query_and_then(params![chat.0, clock, sender, id, to_sql(since_ms), limit], read)?
    .collect()
}

/// A page of a conversation, oldest first, from behind a message (or from the beginning).
pub(crate) fn page_after(
    db: &Db,
    chat: &AccountId,
    after: Option<&MessageRow>,
    limit: u32,
) -> Result<Vec<MessageRow>, StoreError> {
    let (clock, sender, id) = match after {
        Some(message) => (to_sql(message.clock), message.sender.0.to_vec(), message.id.0.to_vec()),
        None => (-1, Vec::new(), Vec::new()),
    };
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message WHERE chat = ?1 AND (clock, sender, id) > (?2, ?3, ?4)
         ORDER BY clock, sender, id LIMIT ?5"
    ))?
    .query_and_then(params![chat.0, clock, sender, id, limit], read)?
    .collect()
}

/// Messages of a conversation.
pub(crate) fn count_in(db: &Db, chat: &AccountId) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM message WHERE chat = ?1")?
        .query_row(params![chat.0], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// Unread messages of a conversation up to and including a place in it (all, without one).
pub(crate) fn unread_up_to(
    db: &Db,
    chat: &AccountId,
    upto: Option<&MessageRow>,
) -> Result<Vec<MessageRow>, StoreError> {
    let (clock, sender, id) = match upto {
        Some(message) => (to_sql(message.clock), message.sender.0.to_vec(), message.id.0.to_vec()),
        None => (i64::MAX, Vec::new(), Vec::new()),
    };
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message
         WHERE chat = ?1 AND unread = 1 AND (clock, sender, id) <= (?2, ?3, ?4)
         ORDER BY clock, sender, id"
    ))?
    .query_and_then(params![chat.0, clock, sender, id], read)?
    .collect()
}

/// Opened.
pub(crate) fn set_read(db: &Db, id: &MessageId) -> Result<bool, StoreError> {
    let changed =
        db.prepare_cached("UPDATE message SET unread = 0 WHERE id = ?1 AND unread = 1")?.execute(params![id.0])?;
    Ok(changed == 1)
}

/// Unread messages of one conversation, or of all.
pub(crate) fn unread_count(db: &Db, chat: Option<&AccountId>) -> Result<u64, StoreError> {
    let count: i64 = match chat {
        Some(chat) => db
            .prepare_cached("SELECT count(*) FROM message WHERE chat = ?1 AND unread = 1")?
            .query_row(params![chat.0], |row| row.get(0))?,
        None => db.prepare_cached("SELECT count(*) FROM message WHERE unread = 1")?.query_row([], |row| row.get(0))?,
    };
    Ok(from_sql(count))
}

/// A receipt to be sent with others, 200 ms from now.
pub(crate) fn add_pending_receipt(
    db: &Db,
    to: &AccountId,
    message: &MessageId,
    status: MessageStatus,
    ts_ms: u64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO pending_receipt (account, message, status, ts_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![to.0, message.0, receipts::number(status), to_sql(ts_ms)])?;
    Ok(())
}

/// A batch of pending receipts.
pub(crate) struct PendingReceipts {
    pub(crate) to: AccountId,
    pub(crate) status: MessageStatus,
    pub(crate) items: Vec<(MessageId, u64)>,
}

/// Takes up to `max` pending receipts of one person and status.
pub(crate) fn take_pending_receipts(db: &Db, max: usize) -> Result<Option<PendingReceipts>, StoreError> {
    let first = db
        .query_row("SELECT account, status FROM pending_receipt LIMIT 1", [], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?))
        })
        .optional()?;
    let Some((account, status)) = first else { return Ok(None) };
    let items = db
        .prepare_cached(
            "SELECT message, ts_ms FROM pending_receipt WHERE account = ?1 AND status = ?2 ORDER BY ts_ms LIMIT ?3",
        )?
        .query_and_then(params![account, status, i64::try_from(max).unwrap_or(i64::MAX)], |row| {
            Ok((MessageId(array(&row.get::<_, Vec<u8>>(0)?, "receipt")?), from_sql(row.get(1)?)))
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    for (message, _) in &items {
        db.prepare_cached("DELETE FROM pending_receipt WHERE account = ?1 AND status = ?2 AND message = ?3")?
            .execute(params![account, status, message.0])?;
    }
    Ok(Some(PendingReceipts {
        to: AccountId(array(&account, "receipt")?),
        status: receipts::from_number(status).ok_or(StoreError::Damaged("receipt"))?,
        items,
    }))
}

/// Whether receipts wait to be sent.
pub(crate) fn has_pending_receipts(db: &Db) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM pending_receipt")?.exists([])?)
}
