//! The store's schema and its migrations, each in one transaction.

use rusqlite::Connection;

use super::{
    StoreError,
    migrations::{conversations::CONVERSATIONS, guards::GUARDS},
    words,
};

/// Every migration ever released, oldest first; `user_version` counts those applied.
const MIGRATIONS: &[&str] = &[INITIAL, CONVERSATIONS, RESTORED, super::requests::REQUESTS, GUARDS];

/// A store that was restored from a backup starts its sessions anew by itself; what the relay says then is no news.
const RESTORED: &str = "ALTER TABLE account ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;";

const INITIAL: &str = "
-- The account and this device. One row.
CREATE TABLE account (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    record BLOB NOT NULL,
    account_seed BLOB,                 -- first device only
    device INTEGER NOT NULL,
    identity_seed BLOB NOT NULL,
    handle TEXT NOT NULL,
    relay TEXT NOT NULL,
    pin BLOB,
    device_list BLOB NOT NULL,
    delivery_key BLOB NOT NULL,
    mailbox_epoch BLOB,
    acked INTEGER NOT NULL DEFAULT 0,
    next_prekey INTEGER NOT NULL DEFAULT 1,
    created_ms INTEGER NOT NULL,
    last_sync_ms INTEGER
);
CREATE TABLE contact (
    account BLOB PRIMARY KEY,
    record BLOB NOT NULL,
    device_list BLOB,
    list_version INTEGER NOT NULL DEFAULT 0,
    list_hash BLOB,
    list_stale INTEGER NOT NULL DEFAULT 0,   -- a newer one was announced: fetch before the next send
    held TEXT,                               -- why sending stopped until the person decides
    name TEXT NOT NULL,
    handle TEXT NOT NULL,
    relay TEXT NOT NULL,
    pin BLOB,
    state INTEGER NOT NULL,
    verified INTEGER NOT NULL DEFAULT 0,
    verified_ms INTEGER,
    origin TEXT NOT NULL,
    delivery_key BLOB,                       -- theirs: lets us submit
    token BLOB,                              -- from their link, until we have their delivery key
    binding BLOB,
    requested INTEGER NOT NULL DEFAULT 0,    -- our request is in their mailbox
    introduced INTEGER NOT NULL DEFAULT 0,   -- a relay accepted our introduction to them
    answered INTEGER NOT NULL DEFAULT 0,     -- they wrote after it: no more introductions
    clock INTEGER NOT NULL DEFAULT 0,        -- highest logical clock seen in the conversation
    since_ms INTEGER NOT NULL,
    last_seen_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE invite (
    token BLOB PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_by BLOB
) WITHOUT ROWID;
CREATE TABLE prekey (
    kind INTEGER NOT NULL,
    id INTEGER NOT NULL,
    secret BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
-- Base keys of sessions that others set up, for ever: a replayed first message starts nothing.
CREATE TABLE base_key (
    hash BLOB PRIMARY KEY,
    seen_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE session (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    id BLOB NOT NULL,
    state BLOB NOT NULL,
    current INTEGER NOT NULL,
    used_ms INTEGER NOT NULL,
    PRIMARY KEY (account, device, id)
) WITHOUT ROWID;
CREATE TABLE message (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    chat BLOB NOT NULL,
    sender BLOB NOT NULL,
    outgoing INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    shown_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    raw BLOB,                                -- content of a type this program does not know
    status INTEGER,                          -- ours only
    error TEXT,
    unread INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX message_order ON message (chat, clock, sender, id);
CREATE INDEX message_unread ON message (chat) WHERE unread = 1;
CREATE INDEX message_unconfirmed ON message (status, id) WHERE status = 2;
CREATE TABLE receipt (
    message BLOB NOT NULL,
    account BLOB NOT NULL,
    status INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    PRIMARY KEY (message, account, status)
) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    target BLOB NOT NULL,                    -- account whose devices get it
    device INTEGER,                          -- only this one of them
    message BLOB,                            -- set for texts: whose status it moves
    content BLOB NOT NULL,                   -- the intent, without introduction and list version
    sealed BLOB,                             -- the submission, once made
    sealed_list INTEGER,                     -- list version it was made for
    introduces INTEGER NOT NULL DEFAULT 0,   -- the sealed bytes hold our introduction
    done BLOB NOT NULL DEFAULT x'',          -- device numbers that have it (u32 each)
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    error TEXT
);
CREATE INDEX outbox_target ON outbox (target, id);
CREATE INDEX outbox_new ON outbox (target, id) WHERE done = x'';
CREATE INDEX outbox_partly ON outbox (target, id, next_ms) WHERE done <> x'';
CREATE TABLE pending_receipt (
    account BLOB NOT NULL,
    message BLOB NOT NULL,
    status INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    PRIMARY KEY (account, status, message)
) WITHOUT ROWID;
-- Envelopes that ended here, for the longest expiry.
CREATE TABLE envelope (
    id BLOB PRIMARY KEY,
    outcome INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX envelope_age ON envelope (seen_ms);
CREATE TABLE quarantine (
    id BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    head BLOB NOT NULL,
    body BLOB NOT NULL,
    reason TEXT NOT NULL,
    seen_ms INTEGER NOT NULL,
    requested INTEGER NOT NULL DEFAULT 0     -- named in a retry request
) WITHOUT ROWID;
CREATE INDEX quarantine_device ON quarantine (account, device) WHERE requested = 0;
-- Which envelope carried which message to which device: what a retry request may ask for.
CREATE TABLE sent_envelope (
    id BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    message BLOB NOT NULL,
    sent_ms INTEGER NOT NULL,
    resent INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX sent_envelope_age ON sent_envelope (sent_ms);
CREATE TABLE retry_request (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    day_ms INTEGER NOT NULL,                 -- when the counted day began
    count INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) WITHOUT ROWID;
CREATE TABLE event (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    incoming INTEGER NOT NULL,               -- a message from somebody else
    json TEXT NOT NULL
);
CREATE INDEX event_incoming ON event (cursor) WHERE incoming = 1;
CREATE TABLE consumer (
    name TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL
) WITHOUT ROWID;
-- Requests to the own relay that must not be lost: prekeys, lists, delivery keys, tokens.
CREATE TABLE relay_task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request BLOB NOT NULL
);
";

/// Brings the store to the newest schema.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    words::register(db)?;
    let applied: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if applied > known {
        return Err(StoreError::Newer { found: applied, known });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(usize::try_from(applied).unwrap_or(0)) {
        let transaction = db.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {}", index + 1))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing_and_a_newer_store_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        db.execute_batch("PRAGMA user_version = 999").unwrap();
        assert!(matches!(migrate(&mut db), Err(StoreError::Newer { found: 999, .. })));
    }

    #[test]
    fn a_store_of_the_first_release_gets_counters_and_a_search_index() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(INITIAL).unwrap();
        db.execute_batch("PRAGMA user_version = 1").unwrap();
        for (id, body, unread) in [(1u8, "hello Grüße", 1), (2, "東京タワー", 1), (3, "\"AND\" *", 0)] {
            db.execute(
                "INSERT INTO message (id, chat, sender, outgoing, clock, shown_ms, body, unread)
                 VALUES (?1, ?2, ?2, 0, ?3, 7, ?4, ?5)",
                rusqlite::params![[id; 16], [9u8; 32], id, body, unread],
            )
            .unwrap();
        }
        migrate(&mut db).unwrap();
        assert_eq!(crate::store::chats::unread(&db).unwrap(), 2);
        let found = |query: &str| {
            let query = words::Query::new(query).unwrap();
            let found = crate::store::messages::search(&db, &query, None, None, 10).unwrap();
            found.iter().map(|message| message.id.0[0]).collect::<Vec<_>>()
        };
        assert_eq!((found("gru"), found("タワ"), found("and"), found("or")), (vec![1], vec![2], vec![3], vec![]));
        let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}
