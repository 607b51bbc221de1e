//! Receipts that wait to be gathered: many of one person and status travel in one content.

use subrosa_wire::{AccountId, MessageId};

use super::{Db, OptionalExtension, StoreError, array, from_sql, params, to_sql};
use crate::{api::MessageStatus, conversation::ConversationId, limits::MAX_SILENT, receipts};

/// There is room in the outbox for this person's receipts. ?1 is the most that may wait.
const ROOM: &str = "(SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_account
    WHERE state = 0 AND moves = 0 AND account = pending.account LIMIT ?1)) < ?1";

/// A receipt to be sent with others, 200 ms from now.
pub(crate) fn add(
    db: &Db,
    to: &AccountId,
    of: &Receipted,
    status: MessageStatus,
    ts_ms: u64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO pending_receipt (account, conversation, message, status, ts_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![to.0, of.conversation.0, of.message.0, receipts::number(status), to_sql(ts_ms)])?;
    Ok(())
}

/// What a receipt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipted {
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
}

/// A batch of pending receipts.
pub(crate) struct Batch {
    pub(crate) to: AccountId,
    pub(crate) status: MessageStatus,
    /// And when.
    pub(crate) items: Vec<(Receipted, u64)>,
}

/// Takes up to `max` pending receipts of one person and status, of somebody for whom the outbox has room.
pub(crate) fn take(db: &Db, max: usize) -> Result<Option<Batch>, StoreError> {
    let to: Option<Vec<u8>> = db
        .prepare_cached(&format!(
            "SELECT account FROM (SELECT DISTINCT account FROM pending_receipt) AS pending WHERE {ROOM} LIMIT 1"
        ))?
        .query_row(params![to_sql(MAX_SILENT)], |row| row.get(0))
        .optional()?;
    let Some(account) = to else { return Ok(None) };
    let status: u32 = db
        .prepare_cached("SELECT status FROM pending_receipt WHERE account = ?1 LIMIT 1")?
        .query_row(params![account], |row| row.get(0))?;
    let items = db
        .prepare_cached(
            "SELECT conversation, message, ts_ms FROM pending_receipt WHERE account = ?1 AND status = ?2 ORDER BY ts_ms LIMIT ?3",
        )?
        .query_and_then(params![account, status, i64::try_from(max).unwrap_or(i64::MAX)], |row| {
            let of = Receipted {
                conversation: ConversationId(array(&row.get::<_, Vec<u8>>(0)?, "receipt")?),
                message: MessageId(array(&row.get::<_, Vec<u8>>(1)?, "receipt")?),
            };
            Ok((of, from_sql(row.get(2)?)))
        })?
        .collect::<Result<Vec<_>, StoreError>>()?;
    for (of, _) in &items {
        db.prepare_cached("DELETE FROM pending_receipt WHERE account = ?1 AND status = ?2 AND message = ?3")?
            .execute(params![account, status, of.message.0])?;
    }
    Ok(Some(Batch {
        to: AccountId(array(&account, "receipt")?),
        status: receipts::from_number(status).ok_or(StoreError::Damaged("receipt"))?,
        items,
    }))
}

/// Whether receipts wait that may be gathered now.
pub(crate) fn any(db: &Db) -> Result<bool, StoreError> {
    Ok(db
        .prepare_cached(&format!(
            "SELECT 1 FROM (SELECT DISTINCT account FROM pending_receipt) AS pending WHERE {ROOM}"
        ))?
        .exists(params![to_sql(MAX_SILENT)])?)
}

/// Whether receipts for this person wait.
pub(crate) fn any_for(db: &Db, to: &AccountId) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM pending_receipt WHERE account = ?1")?.exists(params![to.0])?)
}

/// Receipts that were to be sent to somebody are not.
pub(crate) fn drop_for(db: &Db, to: &AccountId) -> Result<(), StoreError> {
    db.execute("DELETE FROM pending_receipt WHERE account = ?1", params![to.0])?;
    Ok(())
}

/// Nobody is told that something was delivered.
pub(crate) fn drop_delivered(db: &Db) -> Result<(), StoreError> {
    let delivered = receipts::number(MessageStatus::Delivered);
    db.prepare_cached("DELETE FROM pending_receipt WHERE status = ?1")?.execute(params![delivered])?;
    Ok(())
}
