//! The event stream: what interfaces are told, in the same transaction as the change. A row only names what changed; what is shown of
//! it is read when it is asked for, so that nothing stays here of what is gone (`engine/views.rs`).

use std::collections::BTreeSet;

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, OptionalExtension, StoreError, array, from_sql, params, to_sql};
use crate::{api::MessageStatus, conversation::ConversationId, limits::MAX_EVENTS_KEPT, receipts};

/// Where a consumer stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Everything up to here is done.
    pub(crate) cursor: u64,
    /// So are these messages beyond it: readers that share a consumer do not end in order.
    pub(crate) done: BTreeSet<u64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A message came, or another device of ours sent one.
    Message { conversation: ConversationId, message: MessageId, incoming: bool },
    /// Somebody's device got, or somebody opened, a message of ours.
    Receipt { conversation: ConversationId, message: MessageId, by: AccountId, status: MessageStatus, ts_ms: u64 },
    /// A message of ours got into this state.
    State {
        conversation: ConversationId,
        message: MessageId,
        status: MessageStatus,
        ts_ms: u64,
        /// In our own words.
        error: Option<String>,
    },
    /// A contact is new or changed.
    Contact { conversation: ConversationId, account: AccountId },
    /// A contact is gone with all that was said: nothing else names them any more.
    Removed { account: AccountId },
    /// What is set for a conversation, or how much of it is unread.
    Conversation { conversation: ConversationId },
    /// Messages of a conversation were deleted because they were too old.
    Deleted { conversation: ConversationId },
    /// A line for the person.
    Notice { code: String, text: String, conversation: Option<ConversationId>, ts_ms: u64 },
}

/// The number a kind has in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message = 1,
    Receipt = 2,
    State = 3,
    Contact = 4,
    Removed = 5,
    Conversation = 6,
    Notice = 7,
    Deleted = 8,
}

/// The columns of a row but its cursor.
#[derive(Default)]
struct Columns<'a> {
    incoming: bool,
    conversation: Option<&'a ConversationId>,
    account: Option<&'a AccountId>,
    message: Option<&'a MessageId>,
    status: Option<MessageStatus>,
    ts_ms: Option<u64>,
    code: Option<&'a str>,
    text: Option<&'a str>,
}

impl Happened {
    fn columns(&self) -> (Kind, Columns<'_>) {
        let none = Columns::default();
        match self {
            Self::Message { conversation, message, incoming } => (
                Kind::Message,
                Columns { incoming: *incoming, conversation: Some(conversation), message: Some(message), ..none },
            ),
            Self::Receipt { conversation, message, by, status, ts_ms } => (
                Kind::Receipt,
                Columns {
                    conversation: Some(conversation),
                    account: Some(by),
                    message: Some(message),
                    status: Some(*status),
                    ts_ms: Some(*ts_ms),
                    ..none
                },
            ),
            Self::State { conversation, message, status, ts_ms, error } => (
                Kind::State,
                Columns {
                    conversation: Some(conversation),
                    message: Some(message),
                    status: Some(*status),
                    ts_ms: Some(*ts_ms),
                    text: error.as_deref(),
                    ..none
                },
            ),
            Self::Contact { conversation, account } => {
                (Kind::Contact, Columns { conversation: Some(conversation), account: Some(account), ..none })
            }
            Self::Removed { account } => (Kind::Removed, Columns { account: Some(account), ..none }),
            Self::Conversation { conversation } => {
                (Kind::Conversation, Columns { conversation: Some(conversation), ..none })
            }
            Self::Deleted { conversation } => (Kind::Deleted, Columns { conversation: Some(conversation), ..none }),
            Self::Notice { code, text, conversation, ts_ms } => (
                Kind::Notice,
                Columns {
                    conversation: conversation.as_ref(),
                    ts_ms: Some(*ts_ms),
                    code: Some(code),
                    text: Some(text),
                    ..none
                },
            ),
        }
    }
}

/// Appends an event and returns its cursor.
pub(crate) fn append(db: &Db, event: &Happened) -> Result<u64, StoreError> {
    /// Old events are dropped once in so many appends, not at each.
    const PRUNE_EVERY: u64 = 1_000;
    let (kind, columns) = event.columns();
    db.prepare_cached(
        "INSERT INTO event (kind, incoming, conversation, account, message, status, ts_ms, code, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        kind as u32,
        columns.incoming,
        columns.conversation.map(|id| id.0),
        columns.account.map(|id| id.0),
        columns.message.map(|id| id.0),
        columns.status.map(receipts::number),
        columns.ts_ms.map(to_sql),
        columns.code,
        columns.text,
    ])?;
    let cursor = from_sql(db.last_insert_rowid());
    if cursor.is_multiple_of(PRUNE_EVERY) {
        db.execute("DELETE FROM event WHERE cursor <= ?1", params![to_sql(cursor.saturating_sub(MAX_EVENTS_KEPT))])?;
    }
    Ok(cursor)
}

fn read(row: &Row<'_>) -> Result<(u64, Happened), StoreError> {
    const WHAT: &str = "event";
    fn need<T>(value: Option<T>) -> Result<T, StoreError> {
        value.ok_or(StoreError::Damaged(WHAT))
    }
    let bytes = |at: &str| row.get::<_, Option<Vec<u8>>>(at);
    let conversation = bytes("conversation")?.map(|id| array(&id, WHAT).map(ConversationId)).transpose()?;
    let account = bytes("account")?.map(|id| array(&id, WHAT).map(AccountId)).transpose()?;
    let message = bytes("message")?.map(|id| array(&id, WHAT).map(MessageId)).transpose()?;
    let status = row.get::<_, Option<u32>>("status")?.and_then(receipts::from_number);
    let ts_ms = row.get::<_, Option<i64>>("ts_ms")?.map(from_sql);
    let text = row.get::<_, Option<String>>("text")?;
    let kind: u32 = row.get("kind")?;
    let kinds = [
        Kind::Message,
        Kind::Receipt,
        Kind::State,
        Kind::Contact,
        Kind::Removed,
        Kind::Conversation,
        Kind::Notice,
        Kind::Deleted,
    ];
    let happened = match need(kinds.into_iter().find(|known| *known as u32 == kind))? {
        Kind::Message => Happened::Message {
            conversation: need(conversation)?,
            message: need(message)?,
            incoming: row.get("incoming")?,
        },
        Kind::Receipt => Happened::Receipt {
            conversation: need(conversation)?,
            message: need(message)?,
            by: need(account)?,
            status: need(status)?,
            ts_ms: need(ts_ms)?,
        },
        Kind::State => Happened::State {
            conversation: need(conversation)?,
            message: need(message)?,
            status: need(status)?,
            ts_ms: need(ts_ms)?,
            error: text,
        },
        Kind::Contact => Happened::Contact { conversation: need(conversation)?, account: need(account)? },
        Kind::Removed => Happened::Removed { account: need(account)? },
        Kind::Conversation => Happened::Conversation { conversation: need(conversation)? },
        Kind::Deleted => Happened::Deleted { conversation: need(conversation)? },
        Kind::Notice => {
            Happened::Notice { code: need(row.get("code")?)?, text: need(text)?, conversation, ts_ms: need(ts_ms)? }
        }
    };
    Ok((from_sql(row.get("cursor")?), happened))
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

/// The newest cursor that was given out; 0 before the first event.
pub(crate) fn newest(db: &Db) -> Result<u64, StoreError> {
    // Not the newest row: that may be gone with its conversation.
    let cursor: Option<i64> = db
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'event'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(cursor.map_or(0, from_sql))
}

/// At most `max` events after `since` with their cursors, oldest first; `incoming` = only messages from others.
pub(crate) fn after(db: &Db, since: u64, max: u32, incoming: bool) -> Result<Vec<(u64, Happened)>, StoreError> {
    let sql = if incoming {
        "SELECT * FROM event WHERE cursor > ?1 AND incoming = 1 ORDER BY cursor LIMIT ?2"
    } else {
        "SELECT * FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2"
    };
    db.prepare_cached(sql)?.query_and_then(params![to_sql(since), max], read)?.collect()
}

/// Nobody hears any more of what concerned an account.
pub(crate) fn forget_account(db: &Db, account: &AccountId) -> Result<(), StoreError> {
    db.execute("DELETE FROM event WHERE account = ?1", params![account.0])?;
    Ok(())
}

/// Cursors of at most `max` messages from others after `since`, oldest first.
pub(crate) fn incoming_after(db: &Db, since: u64, max: u32) -> Result<Vec<u64>, StoreError> {
    db.prepare_cached("SELECT cursor FROM event WHERE cursor > ?1 AND incoming = 1 ORDER BY cursor LIMIT ?2")?
        .query_and_then(params![to_sql(since), max], |row| Ok(from_sql(row.get(0)?)))?
        .collect()
}

/// Where a consumer stands; a new one at the beginning.
pub(crate) fn consumer(db: &Db, name: &str) -> Result<Position, StoreError> {
    let row: Option<(i64, Vec<u8>)> = db
        .query_row("SELECT cursor, done FROM consumer WHERE name = ?1", params![name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((cursor, done)) = row else { return Ok(Position::default()) };
    let (cursors, rest) = done.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(StoreError::Damaged("consumer row"));
    }
    Ok(Position { cursor: from_sql(cursor), done: cursors.iter().map(|cursor| u64::from_be_bytes(*cursor)).collect() })
}

/// Moves a consumer, never backwards.
pub(crate) fn set_consumer(db: &Db, name: &str, place: &Position) -> Result<(), StoreError> {
    let done: Vec<u8> = place.done.iter().flat_map(|cursor| cursor.to_be_bytes()).collect();
    db.execute(
        "INSERT INTO consumer (name, cursor, done) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET cursor = max(cursor, excluded.cursor), done = excluded.done",
        params![name, to_sql(place.cursor), done],
    )?;
    Ok(())
}
