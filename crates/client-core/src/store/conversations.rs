//! Conversations: who is in them, what is set for each on this device, and how much is unread. The counters are kept by
//! triggers (see the schema).

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, OptionalExtension, StoreError, array, contacts::state_from_number, from_sql, params, to_sql};
use crate::{
    api::{ChatKind, ContactState},
    conversation::ConversationId,
    keep::Keep,
};

/// A conversation of the list.
pub(crate) struct ConversationRow {
    pub(crate) id: ConversationId,
    pub(crate) kind: ChatKind,
    /// The other one of a chat, and how they are shown.
    pub(crate) other: Option<(AccountId, String)>,
    /// What the other one is to us; `ok` where there is no one other.
    pub(crate) state: ContactState,
    pub(crate) since_ms: u64,
    pub(crate) unread: u64,
    pub(crate) muted_until_ms: u64,
    pub(crate) pinned: bool,
    pub(crate) archived: bool,
    /// How long its messages are kept, if not as those of all.
    pub(crate) keep: Option<Keep>,
    pub(crate) draft: Option<String>,
    pub(crate) first_unread: Option<MessageId>,
    /// Row of the newest message.
    pub(crate) last: Option<i64>,
}

/// What somebody is in a conversation. Nobody has more to say than others in a chat of two.
const ROLE_MEMBER: u32 = 1;

const fn kind_number(kind: ChatKind) -> u32 {
    match kind {
        ChatKind::Notes => 1,
        ChatKind::Direct => 2,
        ChatKind::Group => 3,
    }
}

const fn kind_from_number(number: u32) -> Option<ChatKind> {
    Some(match number {
        1 => ChatKind::Notes,
        2 => ChatKind::Direct,
        3 => ChatKind::Group,
        _ => return None,
    })
}

/// Newest and first unread message come from the ends of indexes, one step each; nothing here grows with the number of
/// messages. ?1 is one of them, or all.
const LIST: &str = "
    SELECT conversation.id, conversation.kind, contact.account, contact.name, coalesce(contact.state, 3),
        conversation.since_ms, conversation.unread, conversation.muted_until_ms, conversation.pinned, conversation.archived,
        conversation.draft,
        (SELECT message.id FROM message WHERE message.conversation = conversation.id AND message.unread = 1
            ORDER BY message.clock, message.sender, message.id LIMIT 1),
        (SELECT message.row FROM message WHERE message.conversation = conversation.id
            ORDER BY message.clock DESC, message.sender DESC, message.id DESC LIMIT 1),
        conversation.keep_ms
    FROM conversation
        LEFT JOIN participant ON participant.conversation = conversation.id AND conversation.kind = 2
        LEFT JOIN contact ON contact.account = participant.account
    WHERE ?1 IS NULL OR conversation.id = ?1";

fn read(row: &Row<'_>) -> Result<ConversationRow, StoreError> {
    const WHAT: &str = "conversation";
    let other = match (row.get::<_, Option<Vec<u8>>>(2)?, row.get::<_, Option<String>>(3)?) {
        (Some(account), Some(name)) => Some((AccountId(array(&account, WHAT)?), name)),
        _ => None,
    };
    Ok(ConversationRow {
        id: ConversationId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
        kind: kind_from_number(row.get(1)?).ok_or(StoreError::Damaged(WHAT))?,
        other,
        state: state_from_number(row.get(4)?).ok_or(StoreError::Damaged(WHAT))?,
        since_ms: from_sql(row.get(5)?),
        unread: from_sql(row.get(6)?),
        muted_until_ms: from_sql(row.get(7)?),
        pinned: row.get(8)?,
        archived: row.get(9)?,
        draft: row.get(10)?,
        first_unread: row.get::<_, Option<Vec<u8>>>(11)?.map(|id| array(&id, WHAT).map(MessageId)).transpose()?,
        last: row.get(12)?,
        keep: row.get::<_, Option<i64>>(13)?.map(|ms| Keep::from_ms(from_sql(ms))),
    })
}

/// All conversations, or one.
pub(crate) fn list(db: &Db, only: Option<&ConversationId>) -> Result<Vec<ConversationRow>, StoreError> {
    db.prepare_cached(LIST)?.query_and_then(params![only.map(|id| id.0)], read)?.collect()
}

/// Makes a conversation known, with who else is in it; says whether it is new.
pub(crate) fn ensure(
    db: &Db,
    id: &ConversationId,
    kind: ChatKind,
    others: &[AccountId],
    now_ms: u64,
) -> Result<bool, StoreError> {
    let added = db
        .prepare_cached("INSERT OR IGNORE INTO conversation (id, kind, since_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![id.0, kind_number(kind), to_sql(now_ms)])?;
    for account in others {
        db.prepare_cached(
            "INSERT OR IGNORE INTO participant (conversation, account, role, since_ms) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![id.0, account.0, ROLE_MEMBER, to_sql(now_ms)])?;
    }
    Ok(added == 1)
}

/// What kind of conversation this is; `None`: it is not known here.
pub(crate) fn kind(db: &Db, id: &ConversationId) -> Result<Option<ChatKind>, StoreError> {
    let number: Option<u32> = db
        .prepare_cached("SELECT kind FROM conversation WHERE id = ?1")?
        .query_row(params![id.0], |row| row.get(0))
        .optional()?;
    number.map(|number| kind_from_number(number).ok_or(StoreError::Damaged("conversation"))).transpose()
}

/// Who else is in it, in the order of their ids.
pub(crate) fn others(db: &Db, id: &ConversationId) -> Result<Vec<AccountId>, StoreError> {
    db.prepare_cached("SELECT account FROM participant WHERE conversation = ?1")?
        .query_and_then(params![id.0], |row| Ok(AccountId(array(&row.get::<_, Vec<u8>>(0)?, "participant")?)))?
        .collect()
}

/// Whether somebody is with us in a conversation of several: then they are heard, healed and receipted as that, whatever else they
/// are to us.
pub(crate) fn is_fellow(db: &Db, account: &AccountId) -> Result<bool, StoreError> {
    Ok(shared_with(db, account)?.is_some())
}

/// A conversation of several in which somebody is with us.
pub(crate) fn shared_with(db: &Db, account: &AccountId) -> Result<Option<ConversationId>, StoreError> {
    db.prepare_cached(
        "SELECT conversation.id FROM participant JOIN conversation ON conversation.id = participant.conversation
         WHERE participant.account = ?1 AND conversation.kind = ?2 LIMIT 1",
    )?
    .query_and_then(params![account.0, kind_number(ChatKind::Group)], |row| {
        Ok(ConversationId(array(&row.get::<_, Vec<u8>>(0)?, "conversation")?))
    })?
    .next()
    .transpose()
}

/// Those that somebody is in.
pub(crate) fn of_account(db: &Db, account: &AccountId) -> Result<Vec<ConversationId>, StoreError> {
    db.prepare_cached("SELECT conversation FROM participant WHERE account = ?1")?
        .query_and_then(params![account.0], |row| {
            Ok(ConversationId(array(&row.get::<_, Vec<u8>>(0)?, "conversation")?))
        })?
        .collect()
}

/// Whether somebody is in it.
pub(crate) fn has(db: &Db, id: &ConversationId, account: &AccountId) -> Result<bool, StoreError> {
    Ok(db
        .prepare_cached("SELECT 1 FROM participant WHERE conversation = ?1 AND account = ?2")?
        .exists(params![id.0, account.0])?)
}

/// Changes what is given; says whether anything is different now.
pub(crate) fn set(
    db: &Db,
    id: &ConversationId,
    muted_until_ms: Option<u64>,
    pinned: Option<bool>,
    archived: Option<bool>,
) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE conversation SET muted_until_ms = coalesce(?2, muted_until_ms), pinned = coalesce(?3, pinned),
                 archived = coalesce(?4, archived)
             WHERE id = ?1 AND (muted_until_ms, pinned, archived)
                 <> (coalesce(?2, muted_until_ms), coalesce(?3, pinned), coalesce(?4, archived))",
        )?
        .execute(params![id.0, muted_until_ms.map(to_sql), pinned, archived])?;
    Ok(changed > 0)
}

/// Keeps a text that was begun.
pub(crate) fn set_draft(db: &Db, id: &ConversationId, draft: Option<&str>) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached("UPDATE conversation SET draft = ?2 WHERE id = ?1 AND draft IS NOT ?2")?
        .execute(params![id.0, draft])?;
    Ok(changed > 0)
}

/// A new message brings an archived conversation back, unless it is muted; says whether it did.
pub(crate) fn bring_back(db: &Db, id: &ConversationId, now_ms: u64) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached("UPDATE conversation SET archived = 0 WHERE id = ?1 AND archived = 1 AND muted_until_ms <= ?2")?
        .execute(params![id.0, to_sql(now_ms)])?;
    Ok(changed > 0)
}

/// Unread messages of all conversations.
pub(crate) fn unread(db: &Db) -> Result<u64, StoreError> {
    let count: Option<i64> = db
        .prepare_cached("SELECT sum(unread) FROM conversation")?
        .query_row([], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(count.map_or(0, from_sql))
}

/// Forgets a conversation: its messages with what is known of their receivers, their words in the index, all that was to be said
/// or was said in it, what happened in it, what is set for it.
pub(crate) fn delete(db: &Db, id: &ConversationId) -> Result<u64, StoreError> {
    db.execute(
        "DELETE FROM recipient WHERE message IN (SELECT id FROM message WHERE conversation = ?1)",
        params![id.0],
    )?;
    let deleted = db.execute("DELETE FROM message WHERE conversation = ?1", params![id.0])?;
    for table in ["outbox", "pending_receipt", "event", "participant", "last_line", "held_line", "gap"] {
        db.execute(&format!("DELETE FROM {table} WHERE conversation = ?1"), params![id.0])?;
    }
    db.execute("DELETE FROM conversation WHERE id = ?1", params![id.0])?;
    Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
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
            conversation: ConversationId([chat; 32]),
            sender: AccountId([chat; 32]),
            outgoing: false,
            clock: u64::from(number),
            shown_ms: u64::from(number),
            body: body.to_owned(),
            forwarded: false,
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
        for sql in [LIST, messages::BELOW, messages::ABOVE]
            .into_iter()
            .map(str::to_owned)
            .chain([messages::search_sql()])
            .chain([messages::Direction::Before, messages::Direction::After].map(messages::page_sql))
        {
            let plan = plan(&db, &sql);
            assert!(!plan.contains("SCAN message\n") && !plan.ends_with("SCAN message"), "{sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
        let list = plan(&db, LIST);
        assert!(
            list.contains("message_unread (conversation=?)") && list.contains("message_order (conversation=?)"),
            "{list}"
        );
        let page = plan(&db, &messages::page_sql(messages::Direction::After));
        assert!(page.contains("message_order (conversation=? AND (clock,sender,id)>(?,?,?))"), "{page}");
        assert!(plan(&db, "SELECT sum(unread) FROM conversation").contains("SCAN conversation"));
    }

    #[test]
    fn counters_and_index_follow_messages() {
        let db = store();
        let id = |chat: u8| ConversationId([chat; 32]);
        ensure(&db, &id(1), ChatKind::Direct, &[AccountId([1; 32])], 0).unwrap();
        ensure(&db, &id(9), ChatKind::Notes, &[], 0).unwrap();
        for number in 0..4 {
            assert!(messages::insert(&db, &message(number, 1, "some words")).unwrap());
        }
        assert!(!messages::insert(&db, &message(3, 1, "again")).unwrap());
        messages::insert(&db, &message(4, 9, "words of mine")).unwrap();
        let only = |chat: u8| list(&db, Some(&id(chat))).unwrap().pop();
        assert_eq!((unread(&db).unwrap(), only(9).unwrap().unread, only(1).unwrap().unread), (5, 1, 4));
        assert!(only(2).is_none());
        assert!(messages::set_read(&db, &message(0, 1, "").id).unwrap());
        assert!(!messages::set_read(&db, &message(0, 1, "").id).unwrap());
        assert_eq!(unread(&db).unwrap(), 4);
        let query = Query::new("word").unwrap();
        let found = |chat: Option<u8>| messages::search(&db, &query, chat.map(id).as_ref(), None, 10).unwrap().len();
        assert_eq!((found(None), found(Some(1)), found(Some(9)), found(Some(2))), (5, 4, 1, 0));
        // A text that changes is found by its new words only.
        let changed = "UPDATE message SET body = 'something else' WHERE conversation = ?1 AND clock = 2";
        db.execute(changed, params![id(1).0]).unwrap();
        let other = Query::new("else").unwrap();
        assert_eq!(messages::search(&db, &other, None, None, 10).unwrap().len(), 1);
        assert_eq!(found(Some(1)), 3);
        assert_eq!(delete(&db, &id(1)).unwrap(), 4);
        assert_eq!((found(None), found(Some(1)), unread(&db).unwrap()), (1, 0, 1));
        assert!(messages::search(&db, &other, None, None, 10).unwrap().is_empty());
        let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }

    /// Measures, too: `MESSAGES=1000000 cargo test -p subrosa-client-core --lib many_messages -- --nocapture`.
    #[test]
    fn many_messages_are_searched_and_listed() {
        let count: u32 = std::env::var("MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
        let dir = tempfile::tempdir().unwrap();
        let db = crate::store::open(&dir.path().join("store.db"), &[7; 32], true).unwrap();
        db.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
        for chat in 0..=250 {
            ensure(&db, &ConversationId([chat; 32]), ChatKind::Direct, &[AccountId([chat; 32])], 0).unwrap();
        }
        for number in 0..count {
            let body =
                format!("message the number{} about word{} in w{}", number % 9_973, number % 331, number % 100_003);
            messages::insert(&db, &message(number, (number % 251) as u8, &body)).unwrap();
        }
        db.execute_batch("COMMIT").unwrap();
        let time = |what: &str, run: &dyn Fn() -> usize| {
            let mut times: Vec<_> = (0..20)
                .map(|_| {
                    let began = subrosa_ambient::instant();
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
            let chat = ConversationId([3; 32]);
            time(&format!("{query} in a chat"), &|| {
                messages::search(&db, &parsed, Some(&chat), None, 50).unwrap().len()
            });
        }
        time("chats", &|| list(&db, None).unwrap().len());
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
