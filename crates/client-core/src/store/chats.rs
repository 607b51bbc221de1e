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

#[cfg(test)]
mod tests {
    use super::super::{messages, words::Query};
    use super::*;

    fn store() -> Db {
        let mut db = Db::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        db
    }

    fn message(number: u32, chat: u8, body: &str) -> messages::MessageRow {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        messages::MessageRow {
            id: MessageId(id),
            chat: AccountId([chat; 32]),
            sender: AccountId([chat; 32]),
            outgoing: false,
            clock: u64::from(number),
            shown_ms: u64::from(number),
            body: body.to_owned(),
            reply_to: None,
            raw: None,
            status: None,
            error: None,
            unread: true,
            arrived_ms: None,
            late: messages::Late::No,
        }
    }

    /// How SQLite means to run a statement.
    fn plan(db: &Db, sql: &str) -> String {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let none = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn no_list_page_or_search_walks_through_all_messages_or_sorts_them() {
        let db = store();
        for sql in [LIST, messages::SEARCH, messages::BELOW, messages::ABOVE]
            .into_iter()
            .map(str::to_owned)
            .chain([messages::Direction::Before, messages::Direction::After].map(messages::page_sql))
        {
            let plan = plan(&db, &sql);
            assert!(!plan.contains("SCAN message\n") && !plan.ends_with("SCAN message"), "{sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
        let list = plan(&db, LIST);
        assert!(list.contains("message_unread (chat=?)") && list.contains("message_order (chat=?)"), "{list}");
        let page = plan(&db, &messages::page_sql(messages::Direction::After));
        assert!(page.contains("message_order (chat=? AND (clock,sender,id)>(?,?,?))"), "{page}");
        assert!(plan(&db, "SELECT sum(unread) FROM chat").contains("SCAN chat"));
    }

    #[test]
    fn counters_and_index_follow_messages() {
        let db = store();
        let own = AccountId([9; 32]);
        for number in 0..4 {
            assert!(messages::insert(&db, &message(number, 1, "some words")).unwrap());
        }
        assert!(!messages::insert(&db, &message(3, 1, "again")).unwrap());
        messages::insert(&db, &message(4, 9, "words of mine")).unwrap();
        let only = |chat: u8| list(&db, &own, "notes", Some(&AccountId([chat; 32]))).unwrap().pop();
        assert_eq!((unread(&db).unwrap(), only(9).unwrap().unread), (5, 1));
        assert!(only(1).is_none(), "no contact, no chat in the list");
        assert!(messages::set_read(&db, &message(0, 1, "").id).unwrap());
        assert!(!messages::set_read(&db, &message(0, 1, "").id).unwrap());
        assert_eq!(unread(&db).unwrap(), 4);
        let query = Query::new("word").unwrap();
        let found = |chat: Option<u8>| {
            messages::search(&db, &query, chat.map(|chat| AccountId([chat; 32])).as_ref(), None, 10).unwrap().len()
        };
        assert_eq!((found(None), found(Some(1)), found(Some(9)), found(Some(2))), (5, 4, 1, 0));
        assert_eq!(messages::delete_chat(&db, &AccountId([1; 32])).unwrap(), 4);
        assert_eq!((found(None), found(Some(1)), unread(&db).unwrap()), (1, 0, 1));
    }

    /// Measures, too: `MESSAGES=1000000 cargo test -p subrosa-client-core --lib many_messages -- --nocapture`.
    #[test]
    fn many_messages_are_searched_and_listed() {
        let count: u32 = std::env::var("MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
        let dir = tempfile::tempdir().unwrap();
        let db = crate::store::open(&dir.path().join("store.db"), &[7; 32], true).unwrap();
        db.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
        for number in 0..count {
            let body =
                format!("message the number{} about word{} in w{}", number % 9_973, number % 331, number % 100_003);
            messages::insert(&db, &message(number, (number % 251) as u8, &body)).unwrap();
        }
        db.execute_batch("COMMIT").unwrap();
        let time = |what: &str, run: &dyn Fn() -> usize| {
            let mut times: Vec<_> = (0..20)
                .map(|_| {
                    let began = std::time::Instant::now();
                    let rows = run();
                    (began.elapsed(), rows)
                })
                .collect();
            times.sort();
            println!("{what}: median {:?}, worst {:?}, {} rows", times[10].0, times[19].0, times[19].1);
        };
        for query in [
            "the",
            "message",
            "mess",
            "m",
            "number",
            "w5",
            "word7",
            "number77",
            "w77777",
            "the word7 w1",
            "absent",
            "the w",
        ] {
            let parsed = Query::new(query).unwrap();
            time(query, &|| messages::search(&db, &parsed, None, None, 50).unwrap().len());
            let chat = AccountId([3; 32]);
            time(&format!("{query} in a chat"), &|| {
                messages::search(&db, &parsed, Some(&chat), None, 50).unwrap().len()
            });
        }
        time("chats", &|| list(&db, &AccountId([3; 32]), "notes", None).unwrap().len());
        time("unread", &|| usize::try_from(unread(&db).unwrap()).unwrap());
        assert_eq!(unread(&db).unwrap(), u64::from(count));
        let found = messages::search(&db, &Query::new("mess the").unwrap(), None, None, 50).unwrap();
        assert!(found.is_empty(), "only the last word may be a beginning");
        let found = messages::search(&db, &Query::new("the mess").unwrap(), None, None, 50).unwrap();
        let rows: Vec<u64> = found.iter().map(|message| message.clock).collect();
        assert_eq!(
            rows,
            (u64::from(count) - 50..u64::from(count)).rev().collect::<Vec<_>>(),
            "the newest, newest first"
        );
    }
}
