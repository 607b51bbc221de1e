//! Conversations: the list, what is set for each on this device, and how much is unread. The counters are kept by
//! triggers (see the migration).

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, OptionalExtension, StoreError, array, contacts::state_from_number, from_sql, params, to_sql};
use crate::api::ContactState;

/// A conversation of the list.
pub(crate) struct ChatRow {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    pub(crate) state: ContactState,
    pub(crate) since_ms: u64,
    pub(crate) unread: u64,
    pub(crate) muted_until_ms: u64,
    pub(crate) pinned: bool,
    pub(crate) archived: bool,
    pub(crate) draft: Option<String>,
    pub(crate) first_unread: Option<MessageId>,
    /// Row of the newest message.
    pub(crate) last: Option<i64>,
}

/// Everybody, and ourselves (?1, shown as ?2) once there is a note. Newest and first unread message come from the ends of
/// indexes, one step each; nothing here grows with the number of messages.
const LIST: &str = "
    WITH person (id, name, state, since_ms) AS (
        SELECT account, name, state, since_ms FROM contact WHERE ?3 IS NULL OR account = ?3
        UNION ALL
        SELECT id, ?2, 3, 0 FROM chat WHERE id = ?1 AND (?3 IS NULL OR id = ?3)
    )
    SELECT person.id, person.name, person.state, person.since_ms, coalesce(chat.unread, 0),
        coalesce(chat.muted_until_ms, 0), coalesce(chat.pinned, 0), coalesce(chat.archived, 0), chat.draft,
        (SELECT message.id FROM message WHERE message.chat = person.id AND message.unread = 1
            ORDER BY message.clock, message.sender, message.id LIMIT 1),
        (SELECT message.row FROM message WHERE message.chat = person.id
            ORDER BY message.clock DESC, message.sender DESC, message.id DESC LIMIT 1)
    FROM person LEFT JOIN chat ON chat.id = person.id";

fn read(row: &Row<'_>) -> Result<ChatRow, StoreError> {
    const WHAT: &str = "chat";
    Ok(ChatRow {
        id: AccountId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
        name: row.get(1)?,
        state: state_from_number(row.get(2)?).ok_or(StoreError::Damaged(WHAT))?,
        since_ms: from_sql(row.get(3)?),
        unread: from_sql(row.get(4)?),
        muted_until_ms: from_sql(row.get(5)?),
        pinned: row.get(6)?,
        archived: row.get(7)?,
        draft: row.get(8)?,
        first_unread: row.get::<_, Option<Vec<u8>>>(9)?.map(|id| array(&id, WHAT).map(MessageId)).transpose()?,
        last: row.get(10)?,
    })
}

/// All conversations, or one.
pub(crate) fn list(
    db: &Db,
    own: &AccountId,
    notes: &str,
    only: Option<&AccountId>,
) -> Result<Vec<ChatRow>, StoreError> {
    db.prepare_cached(LIST)?.query_and_then(params![own.0, notes, only.map(|id| id.0)], read)?.collect()
}

/// Changes what is given; says whether anything is different now.
pub(crate) fn set(
    db: &Db,
    chat: &AccountId,
    muted_until_ms: Option<u64>,
    pinned: Option<bool>,
    archived: Option<bool>,
) -> Result<bool, StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO chat (id) VALUES (?1)")?.execute(params![chat.0])?;
    let changed = db
        .prepare_cached(
            "UPDATE chat SET muted_until_ms = coalesce(?2, muted_until_ms), pinned = coalesce(?3, pinned),
                 archived = coalesce(?4, archived)
             WHERE id = ?1 AND (muted_until_ms, pinned, archived)
                 <> (coalesce(?2, muted_until_ms), coalesce(?3, pinned), coalesce(?4, archived))",
        )?
        .execute(params![chat.0, muted_until_ms.map(to_sql), pinned, archived])?;
    Ok(changed > 0)
}

/// Keeps a text that was begun.
pub(crate) fn set_draft(db: &Db, chat: &AccountId, draft: Option<&str>) -> Result<bool, StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO chat (id) VALUES (?1)")?.execute(params![chat.0])?;
    let changed = db
        .prepare_cached("UPDATE chat SET draft = ?2 WHERE id = ?1 AND draft IS NOT ?2")?
        .execute(params![chat.0, draft])?;
    Ok(changed > 0)
}

/// A new message brings an archived chat back, unless it is muted; says whether it did.
pub(crate) fn bring_back(db: &Db, chat: &AccountId, now_ms: u64) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached("UPDATE chat SET archived = 0 WHERE id = ?1 AND archived = 1 AND muted_until_ms <= ?2")?
        .execute(params![chat.0, to_sql(now_ms)])?;
    Ok(changed > 0)
}

/// Unread messages of all conversations.
pub(crate) fn unread(db: &Db) -> Result<u64, StoreError> {
    let count: Option<i64> =
        db.prepare_cached("SELECT sum(unread) FROM chat")?.query_row([], |row| row.get(0)).optional()?.flatten();
    Ok(count.map_or(0, from_sql))
}
