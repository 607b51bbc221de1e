//! Replies, the list of chats with its counters and settings, full-text search, blocking.
//!
//! Triggers keep what is derived from messages: the counter of unread ones and the search index, so that no way of
//! storing or removing a message can forget them. `search_text` is ours (see `words.rs`); every connection has it.

pub(in crate::store) const CONVERSATIONS: &str = "
ALTER TABLE message ADD COLUMN reply_to BLOB;             -- id of the message that it answers
DROP INDEX message_unread;
CREATE INDEX message_unread ON message (chat, clock, sender, id) WHERE unread = 1;
CREATE INDEX outbox_message ON outbox (message) WHERE message IS NOT NULL;
ALTER TABLE contact ADD COLUMN decided_ms INTEGER NOT NULL DEFAULT 0;  -- when the person last set the state
ALTER TABLE contact ADD COLUMN state_before INTEGER;                   -- what unblocking goes back to
ALTER TABLE account ADD COLUMN delivery_key_ms INTEGER NOT NULL DEFAULT 0;
CREATE TABLE chat (
    id BLOB PRIMARY KEY,                     -- account of the peer; our own for notes
    unread INTEGER NOT NULL DEFAULT 0,
    muted_until_ms INTEGER NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    draft TEXT
) WITHOUT ROWID;
INSERT INTO chat (id, unread) SELECT chat, sum(unread) FROM message GROUP BY chat;
-- Only the index: the text is in `message`. One-letter and longer beginnings of words are indexed, since a beginning is
-- otherwise gathered from all words it fits before the first hit is known.
CREATE VIRTUAL TABLE message_text USING fts5(
    chat, body, content = '', contentless_delete = 1, prefix = '1 2 3',
    tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* M* Co Cn'\"
);
INSERT INTO message_text (rowid, chat, body) SELECT row, substr(hex(chat), 1, 16), search_text(body) FROM message;
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT OR IGNORE INTO chat (id) VALUES (new.chat);
    UPDATE chat SET unread = unread + 1 WHERE id = new.chat AND new.unread = 1;
    INSERT INTO message_text (rowid, chat, body)
        VALUES (new.row, substr(hex(new.chat), 1, 16), search_text(new.body));
END;
CREATE TRIGGER message_opened AFTER UPDATE OF unread ON message WHEN old.unread <> new.unread BEGIN
    UPDATE chat SET unread = unread + new.unread - old.unread WHERE id = new.chat;
END;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    UPDATE chat SET unread = unread - old.unread WHERE id = old.chat;
    DELETE FROM message_text WHERE rowid = old.row;
END;
";
