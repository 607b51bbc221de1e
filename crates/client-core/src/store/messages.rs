//! Messages and the receipts of ours.

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, OptionalExtension, StoreError, array, from_sql, params, to_sql, words::Query};
use crate::{api::MessageStatus, conversation::ConversationId, receipts};

/// Whether a message of somebody else stands elsewhere than the reader would think.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Late {
    /// It came when and where it says.
    #[default]
    No,
    /// It came well after the time that it claims.
    Time,
    /// It stands above something that was here before.
    Place,
    /// Its author's clock is ahead: it stands below what is written after it, and says nothing about the order of others.
    Ahead,
}

impl Late {
    /// The number it has in the store.
    const fn number(self) -> u32 {
        match self {
            Self::No => 0,
            Self::Time => 1,
            Self::Place => PLACE,
            Self::Ahead => AHEAD,
        }
    }

    const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::No,
            1 => Self::Time,
            AHEAD => Self::Ahead,
            _ => Self::Place,
        }
    }
}

/// [`Late::Place`] in the store.
const PLACE: u32 = 2;

/// [`Late::Ahead`] in the store.
const AHEAD: u32 = 3;

/// A row of `message`.
#[derive(Clone)]
pub(crate) struct MessageRow {
    pub(crate) id: MessageId,
    pub(crate) conversation: ConversationId,
    pub(crate) sender: AccountId,
    pub(crate) outgoing: bool,
    pub(crate) clock: u64,
    pub(crate) shown_ms: u64,
    pub(crate) body: String,
    /// Its author wrote none of it.
    pub(crate) forwarded: bool,
    pub(crate) reply_to: Option<MessageId>,
    /// Content of a type this program does not know.
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) status: Option<MessageStatus>,
    pub(crate) error: Option<String>,
    pub(crate) unread: bool,
    /// When it was stored here, by our clock: theirs only.
    pub(crate) arrived_ms: Option<u64>,
    pub(crate) late: Late,
}

const COLUMNS: &str = "message.id, message.conversation, message.sender, message.outgoing, message.clock, message.shown_ms,
    message.body, message.raw, message.status, message.error, message.unread, message.reply_to, message.arrived_ms, message.late,
    message.forwarded";

fn read(row: &Row<'_>) -> Result<MessageRow, StoreError> {
    const WHAT: &str = "message";
    Ok(MessageRow {
        id: MessageId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
        conversation: ConversationId(array(&row.get::<_, Vec<u8>>(1)?, WHAT)?),
        sender: AccountId(array(&row.get::<_, Vec<u8>>(2)?, WHAT)?),
        outgoing: row.get(3)?,
        clock: from_sql(row.get(4)?),
        shown_ms: from_sql(row.get(5)?),
        body: row.get(6)?,
        raw: row.get(7)?,
        status: row.get::<_, Option<u32>>(8)?.and_then(receipts::from_number),
        error: row.get(9)?,
        unread: row.get(10)?,
        reply_to: row.get::<_, Option<Vec<u8>>>(11)?.map(|id| array(&id, WHAT).map(MessageId)).transpose()?,
        arrived_ms: row.get::<_, Option<i64>>(12)?.map(from_sql),
        late: Late::from_number(row.get(13)?),
        forwarded: row.get(14)?,
    })
}

/// Adds a message; `false` when its id is known.
pub(crate) fn insert(db: &Db, message: &MessageRow) -> Result<bool, StoreError> {
    let added = db
        .prepare_cached(
            "INSERT OR IGNORE INTO message (id, conversation, sender, outgoing, clock, shown_ms, body, raw, status, error,
                                            unread, reply_to, arrived_ms, late, forwarded)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            message.id.0,
            message.conversation.0,
            message.sender.0,
            message.outgoing,
            to_sql(message.clock),
            to_sql(message.shown_ms),
            message.body,
            message.raw,
            message.status.map(receipts::number),
            message.error,
            message.unread,
            message.reply_to.map(|id| id.0),
            message.arrived_ms.map(to_sql),
            message.late.number(),
            message.forwarded,
        ])?;
    Ok(added == 1)
}

/// Whether a message that comes now stands above one of ours, or above one that has been here since `before_ms`. What stands
/// after `ahead` was put there by a clock that is ahead: it makes nothing late.
pub(crate) fn stands_above(db: &Db, message: &MessageRow, before_ms: u64, ahead: u64) -> Result<bool, StoreError> {
    let (below, seen): (u32, bool) = db.prepare_cached(BELOW)?.query_row(
        params![
            message.conversation.0,
            to_sql(message.clock),
            message.sender.0,
            message.id.0,
            to_sql(before_ms),
            MAX_LOOK_BELOW,
            to_sql(ahead),
            AHEAD
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(seen || below >= MAX_LOOK_BELOW)
}

/// Of the messages below a new one so many are looked at, usually none. Whoever sends a heap in the wrong order makes it no
/// more than this: what stands above so many is late.
const MAX_LOOK_BELOW: u32 = 64;

pub(super) const BELOW: &str = "
    SELECT count(*), coalesce(max(late <> ?8 AND (outgoing OR coalesce(arrived_ms, 0) <= ?5)), 0)
    FROM (SELECT outgoing, arrived_ms, late FROM message
          WHERE conversation = ?1 AND (clock, sender, id) > (?2, ?3, ?4) AND clock <= ?7
          ORDER BY clock, sender, id LIMIT ?6)";

/// The time that the message above a place shows.
pub(crate) fn shown_above(db: &Db, message: &MessageRow) -> Result<Option<u64>, StoreError> {
    Ok(db
        .prepare_cached(ABOVE)?
        .query_row(params![message.conversation.0, to_sql(message.clock), message.sender.0, message.id.0], |row| {
            row.get(0).map(from_sql)
        })
        .optional()?)
}

pub(super) const ABOVE: &str = "
    SELECT shown_ms FROM message WHERE conversation = ?1 AND (clock, sender, id) < (?2, ?3, ?4)
    ORDER BY clock DESC, sender DESC, id DESC LIMIT 1";

/// One message.
pub(crate) fn get(db: &Db, id: &MessageId) -> Result<Option<MessageRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE id = ?1"))?
        .query_and_then(params![id.0], read)?
        .next()
        .transpose()
}

/// Messages whose id begins with `prefix` (hexadecimal digits); two are enough to see that it is ambiguous.
pub(crate) fn find(db: &Db, prefix: &str) -> Result<Vec<MessageRow>, StoreError> {
    let bound = |fill: char| {
        let id = prefix.chars().chain(std::iter::repeat(fill)).take(32).collect::<String>();
        hex::decode(id).map_err(|_| StoreError::Damaged("message id"))
    };
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE id BETWEEN ?1 AND ?2 LIMIT 2"))?
        .query_and_then(params![bound('0')?, bound('f')?], read)?
        .collect()
}

/// One message by its row.
pub(crate) fn at_row(db: &Db, row: i64) -> Result<Option<MessageRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE row = ?1"))?
        .query_and_then(params![row], read)?
        .next()
        .transpose()
}

/// Messages in which the words of a query occur, the newest rows first, before one of them.
pub(crate) fn search(
    db: &Db,
    query: &Query,
    conversation: Option<&ConversationId>,
    before: Option<&MessageId>,
    limit: u32,
) -> Result<Vec<MessageRow>, StoreError> {
    let before: i64 = match before {
        Some(id) => db
            .prepare_cached("SELECT row FROM message WHERE id = ?1")?
            .query_row(params![id.0], |row| row.get(0))
            .optional()?
            .unwrap_or(0),
        None => i64::MAX,
    };
    // The conversation is a word of the index, too: otherwise a frequent word would be followed through all others.
    let expression = match conversation {
        Some(id) => format!("conversation : \"{}\" AND {}", hex::encode(&id.0[..8]), query.expression()),
        None => query.expression(),
    };
    db.prepare_cached(&search_sql())?
        .query_and_then(params![expression, before, limit, conversation.map(|id| id.0)], read)?
        .collect()
}

/// Follows the index backwards and stops at the limit: no sorting, whatever the number of hits.
pub(super) fn search_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM message_text JOIN message ON message.row = message_text.rowid
         WHERE message_text MATCH ?1 AND message_text.rowid < ?2 AND (?4 IS NULL OR message.conversation = ?4)
         ORDER BY message_text.rowid DESC LIMIT ?3"
    )
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

/// In which direction a page goes on from its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Older ones, the nearest first.
    Before,
    /// Newer ones, the nearest first.
    After,
}

/// A page of a conversation in the order people see (clock, sender, id), beginning beside a message or at the end.
pub(crate) fn page(
    db: &Db,
    conversation: &ConversationId,
    from: Option<&MessageRow>,
    direction: Direction,
    since_ms: u64,
    limit: u32,
) -> Result<Vec<MessageRow>, StoreError> {
    let (clock, sender, id) = match from {
        Some(message) => (to_sql(message.clock), message.sender.0.to_vec(), message.id.0.to_vec()),
        None if direction == Direction::After => (-1, Vec::new(), Vec::new()),
        None => (i64::MAX, Vec::new(), Vec::new()),
    };
    db.prepare_cached(&page_sql(direction))?
        .query_and_then(params![conversation.0, clock, sender, id, to_sql(since_ms), limit], read)?
        .collect()
}

pub(super) fn page_sql(direction: Direction) -> String {
    let (sign, order) = match direction {
        Direction::Before => ('<', "DESC"),
        Direction::After => ('>', "ASC"),
    };
    format!(
        "SELECT {COLUMNS} FROM message
         WHERE conversation = ?1 AND (clock, sender, id) {sign} (?2, ?3, ?4) AND shown_ms >= ?5
         ORDER BY clock {order}, sender {order}, id {order} LIMIT ?6"
    )
}

/// The highest logical clock of a conversation that is not above a bound.
pub(crate) fn highest_clock(db: &Db, conversation: &ConversationId, bound: u64) -> Result<u64, StoreError> {
    let clock: Option<i64> = db
        .prepare_cached("SELECT max(clock) FROM message WHERE conversation = ?1 AND clock <= ?2")?
        .query_row(params![conversation.0, to_sql(bound)], |row| row.get(0))?;
    Ok(clock.map_or(0, from_sql))
}

/// Messages of a conversation.
pub(crate) fn count_in(db: &Db, conversation: &ConversationId) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM message WHERE conversation = ?1")?
        .query_row(params![conversation.0], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// Messages of types that this program did not know when they came, oldest first.
pub(crate) fn raw(db: &Db) -> Result<Vec<MessageRow>, StoreError> {
    db.prepare(&format!("SELECT {COLUMNS} FROM message INDEXED BY message_raw WHERE raw IS NOT NULL ORDER BY row"))?
        .query_and_then([], read)?
        .collect()
}

/// A newer program has read what was kept of a message.
pub(crate) fn set_read_anew(
    db: &Db,
    id: &MessageId,
    body: &str,
    forwarded: bool,
    reply_to: Option<&MessageId>,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE message SET body = ?2, forwarded = ?3, reply_to = ?4, raw = NULL WHERE id = ?1",
        params![id.0, body, forwarded, reply_to.map(|id| id.0)],
    )?;
    Ok(())
}

/// Unread messages of a conversation and their authors, up to and including a place in it (all, without one). Whoever has read up to a place
/// has not read what was put in above it: that is left unless it is named.
pub(crate) fn unread_up_to(
    db: &Db,
    conversation: &ConversationId,
    upto: Option<&MessageRow>,
) -> Result<Vec<(MessageId, AccountId)>, StoreError> {
    let (clock, sender, id) = match upto {
        Some(message) => (to_sql(message.clock), message.sender.0.to_vec(), message.id.0.to_vec()),
        None => (i64::MAX, Vec::new(), Vec::new()),
    };
    db.prepare_cached(
        "SELECT id, sender FROM message WHERE conversation = ?1 AND unread = 1 AND (clock, sender, id) <= (?2, ?3, ?4)
             AND (?5 OR late <> ?6 OR id = ?4)
         ORDER BY clock, sender, id",
    )?
    .query_and_then(params![conversation.0, clock, sender, id, upto.is_none(), PLACE], |row| {
        Ok((
            MessageId(array(&row.get::<_, Vec<u8>>(0)?, "message")?),
            AccountId(array(&row.get::<_, Vec<u8>>(1)?, "message")?),
        ))
    })?
    .collect()
}

/// Opened.
pub(crate) fn set_read(db: &Db, id: &MessageId) -> Result<bool, StoreError> {
    let changed =
        db.prepare_cached("UPDATE message SET unread = 0 WHERE id = ?1 AND unread = 1")?.execute(params![id.0])?;
    Ok(changed == 1)
}
