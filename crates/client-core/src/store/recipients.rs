//! How far each message of ours got with each of the others in its conversation.

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, StoreError, array, from_sql, params, to_sql};
use crate::{
    api::MessageStatus,
    content::Withholds,
    receipts::{self, Reached},
};

/// A row of `recipient`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecipientRow {
    pub(crate) account: AccountId,
    pub(crate) status: MessageStatus,
    /// Why it waits or failed.
    pub(crate) error: Option<String>,
    /// The others do not wait for them.
    pub(crate) unreached: bool,
    pub(crate) sent_ms: Option<u64>,
    pub(crate) delivered_ms: Option<u64>,
    pub(crate) read_ms: Option<u64>,
    pub(crate) withholds: Withholds,
}

impl RecipientRow {
    /// What counts of it for the message's own status.
    pub(crate) const fn reached(&self) -> Reached {
        Reached { status: self.status, unreached: self.unreached, withholds: self.withholds }
    }
}

const SELECT: &str = "
    SELECT recipient.account, recipient.status, recipient.error, recipient.unreached, recipient.sent_ms, recipient.delivered_ms,
        recipient.read_ms, coalesce(peer.withholds, 0)
    FROM recipient LEFT JOIN peer ON peer.account = recipient.account WHERE recipient.message = ?1";

fn read(row: &Row<'_>) -> Result<RecipientRow, StoreError> {
    const WHAT: &str = "recipient";
    let time = |at: usize| row.get::<_, Option<i64>>(at).map(|ms| ms.map(from_sql));
    Ok(RecipientRow {
        account: AccountId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
        status: receipts::from_number(row.get(1)?).ok_or(StoreError::Damaged(WHAT))?,
        error: row.get(2)?,
        unreached: row.get(3)?,
        sent_ms: time(4)?,
        delivered_ms: time(5)?,
        read_ms: time(6)?,
        withholds: Withholds::from_bits(row.get(7)?),
    })
}

/// Adds somebody who is to get a message.
pub(crate) fn add(db: &Db, message: &MessageId, account: &AccountId, status: MessageStatus) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO recipient (message, account, status) VALUES (?1, ?2, ?3)")?
        .execute(params![message.0, account.0, receipts::number(status)])?;
    Ok(())
}

/// Everybody who is to get a message.
pub(crate) fn of(db: &Db, message: &MessageId) -> Result<Vec<RecipientRow>, StoreError> {
    db.prepare_cached(SELECT)?.query_and_then(params![message.0], read)?.collect()
}

/// One of them.
pub(crate) fn get(db: &Db, message: &MessageId, account: &AccountId) -> Result<Option<RecipientRow>, StoreError> {
    db.prepare_cached(&format!("{SELECT} AND recipient.account = ?2"))?
        .query_and_then(params![message.0, account.0], read)?
        .next()
        .transpose()
}

/// Stores what is known of one of them now.
pub(crate) fn put(db: &Db, message: &MessageId, row: &RecipientRow) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE recipient SET status = ?3, error = ?4, unreached = ?5, sent_ms = ?6, delivered_ms = ?7, read_ms = ?8
         WHERE message = ?1 AND account = ?2",
    )?
    .execute(params![
        message.0,
        row.account.0,
        receipts::number(row.status),
        row.error,
        row.unreached,
        row.sent_ms.map(to_sql),
        row.delivered_ms.map(to_sql),
        row.read_ms.map(to_sql),
    ])?;
    Ok(())
}

/// Messages that a relay accepted before `before_ms` for somebody who never confirmed it.
pub(crate) fn unconfirmed_before(db: &Db, before_ms: u64) -> Result<Vec<(MessageId, AccountId)>, StoreError> {
    const WHAT: &str = "recipient";
    db.prepare_cached(
        "SELECT message, account FROM recipient INDEXED BY recipient_unconfirmed WHERE status = 2 AND sent_ms < ?1",
    )?
    .query_and_then(params![to_sql(before_ms)], |row| {
        Ok((MessageId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?), AccountId(array(&row.get::<_, Vec<u8>>(1)?, WHAT)?)))
    })?
    .collect()
}

/// Messages that somebody waits for.
pub(crate) fn waiting_messages(db: &Db) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached("SELECT count(DISTINCT message) FROM recipient INDEXED BY recipient_queued WHERE status = 1")?
        .query_row([], |row| row.get(0))?;
    Ok(from_sql(count))
}
