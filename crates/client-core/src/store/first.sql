-- The account and this device. One row.
CREATE TABLE account (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    record BLOB NOT NULL,
    account_seed BLOB,                       -- first device only
    device INTEGER NOT NULL,
    identity_seed BLOB NOT NULL,
    handle TEXT NOT NULL,
    relay TEXT NOT NULL,
    pin BLOB,
    device_list BLOB NOT NULL,
    delivery_key BLOB NOT NULL,
    delivery_key_ms INTEGER NOT NULL DEFAULT 0,
    member_key BLOB NOT NULL,                -- for contents of groups
    member_key_ms INTEGER NOT NULL DEFAULT 0,
    previous_member_key BLOB,                -- still honoured for a while
    member_key_due INTEGER NOT NULL DEFAULT 0, -- to be replaced when it has served for a day
    mailbox_epoch BLOB,
    acked INTEGER NOT NULL DEFAULT 0,
    next_prekey INTEGER NOT NULL DEFAULT 1,
    created_ms INTEGER NOT NULL,
    last_sync_ms INTEGER,
    restored INTEGER NOT NULL DEFAULT 0,     -- from a backup: its sessions start anew by themselves
    clock_doubt_ms INTEGER,                  -- since when the relay's clock contradicts ours
    prekey_day INTEGER NOT NULL DEFAULT 0,   -- the day in which so many prekeys were made:
    made_ec INTEGER NOT NULL DEFAULT 0,
    made_kem INTEGER NOT NULL DEFAULT 0,
    made_signed INTEGER NOT NULL DEFAULT 0,
    keep_agreed_ms INTEGER NOT NULL DEFAULT 0, -- the setting that may delete messages here: the person said so; 0 is for ever
    keep_told_ms INTEGER NOT NULL DEFAULT 0, -- a shorter one, which waits for their word
    contents_known INTEGER NOT NULL DEFAULT 0, -- what the program that last read kept contents knew of them
    -- What tells two live copies of this device apart.
    login_marks BLOB NOT NULL DEFAULT x'',   -- 16 bytes each: confirmed, then sent since
    take_over INTEGER NOT NULL DEFAULT 0,    -- the next login takes the place of another copy
    other_copy INTEGER NOT NULL DEFAULT 0,   -- another one was used: nothing goes or comes here
    -- What this copy lacks, and asks for: after it was restored, chosen, or away for long.
    restore_state INTEGER NOT NULL DEFAULT 0, -- 0 nothing, 1 until the mailbox is drained, 2 asked
    restore_id BLOB,                         -- this time
    restore_ms INTEGER NOT NULL DEFAULT 0,   -- since when
    restore_from_ms INTEGER NOT NULL DEFAULT 0, -- from when on it may lack something
    restore_holes INTEGER NOT NULL DEFAULT 1, -- something was taken from the mailbox that is not here
    quarantine_told_ms INTEGER               -- when the person was told last that the quarantine is full
);

-- Who somebody is: an account whose keys are known.
CREATE TABLE peer (
    account BLOB PRIMARY KEY,
    record BLOB NOT NULL,
    handle TEXT NOT NULL,                    -- as claimed
    relay TEXT NOT NULL,
    pin BLOB,
    device_list BLOB,
    list_stale INTEGER NOT NULL DEFAULT 0,   -- a newer one was announced: fetch before the next send
    list_asked_ms INTEGER NOT NULL DEFAULT 0,
    old_list INTEGER NOT NULL DEFAULT 0,     -- version that the person takes although it is old
    held TEXT,                               -- why sending stopped until the person decides
    floor_version INTEGER NOT NULL DEFAULT 0,  -- newest device list they announced: no older one is believed
    floor_hash BLOB,
    floor_told INTEGER NOT NULL DEFAULT 0,   -- the person knows that an older one is served
    relay_told TEXT,                         -- another relay that they claimed, once shown
    withholds INTEGER NOT NULL DEFAULT 0,    -- receipts that they do not send: 1 delivered, 2 read
    delivery_key BLOB,                       -- theirs: lets us submit
    member_key BLOB,                         -- theirs: the same for contents of groups
    last_seen_ms INTEGER
) WITHOUT ROWID;
-- What somebody is to us.
CREATE TABLE contact (
    account BLOB PRIMARY KEY REFERENCES peer (account),
    name TEXT NOT NULL,
    looks_like TEXT,                         -- whom the name would be taken for
    state INTEGER NOT NULL,
    state_before INTEGER,                    -- what unblocking goes back to
    decided_ms INTEGER NOT NULL DEFAULT 0,   -- when the person last set the state
    verified INTEGER NOT NULL DEFAULT 0,
    verified_ms INTEGER,
    origin TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    token BLOB,                              -- from their link, until we have their delivery key
    binding BLOB,
    link_proof BLOB,                         -- that we have their link, until they answered
    requested INTEGER NOT NULL DEFAULT 0,    -- our request is in their mailbox
    introduced INTEGER NOT NULL DEFAULT 0,   -- a relay accepted our introduction to them
    answered INTEGER NOT NULL DEFAULT 0,     -- they wrote after it: no more introductions
    had_key INTEGER NOT NULL DEFAULT 0,      -- our delivery key was once sealed to them
    introduce_ms INTEGER                     -- when they get our new delivery key, at the latest
) WITHOUT ROWID;
CREATE INDEX contact_introduce ON contact (introduce_ms) WHERE introduce_ms IS NOT NULL;

-- Notes to oneself (nobody else), a chat (one other), a group (many).
CREATE TABLE conversation (
    id BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    unread INTEGER NOT NULL DEFAULT 0,
    muted_until_ms INTEGER NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    keep_ms INTEGER,                         -- how long its messages are kept; 0 is for ever, none is as all others
    draft TEXT
) WITHOUT ROWID;
-- Who else is in it.
CREATE TABLE participant (
    conversation BLOB NOT NULL,
    account BLOB NOT NULL,
    role INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (conversation, account)
) WITHOUT ROWID;
CREATE INDEX participant_account ON participant (account);

CREATE TABLE message (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    conversation BLOB NOT NULL,
    sender BLOB NOT NULL,
    outgoing INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    shown_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    forwarded INTEGER NOT NULL DEFAULT 0,    -- somebody else's words
    reply_to BLOB,                           -- id of the message that it answers
    raw BLOB,                                -- content of a type this program does not know
    status INTEGER,                          -- ours only
    error TEXT,
    unread INTEGER NOT NULL DEFAULT 0,
    arrived_ms INTEGER,                      -- when it was stored here, for what others wrote
    late INTEGER NOT NULL DEFAULT 0          -- 1 by its time, 2 by its place, 3 its clock is ahead
);
CREATE INDEX message_order ON message (conversation, clock, sender, id);
CREATE INDEX message_unread ON message (conversation, clock, sender, id) WHERE unread = 1;
-- Its age: by our own clock, for what others wrote; when we wrote it, for ours.
CREATE INDEX message_age ON message (conversation, (CASE WHEN outgoing THEN shown_ms ELSE arrived_ms END));
CREATE INDEX message_raw ON message (row) WHERE raw IS NOT NULL;
-- How far a message of ours got with each of the others.
CREATE TABLE recipient (
    message BLOB NOT NULL,
    account BLOB NOT NULL,
    status INTEGER NOT NULL,
    error TEXT,                              -- why it waits or failed
    unreached INTEGER NOT NULL DEFAULT 0,    -- full, idle, or their relay is silent: the others do not wait for them
    sent_ms INTEGER,
    delivered_ms INTEGER,
    read_ms INTEGER,
    PRIMARY KEY (message, account)
) WITHOUT ROWID;
CREATE INDEX recipient_queued ON recipient (message) WHERE status = 1;
CREATE INDEX recipient_unconfirmed ON recipient (sent_ms) WHERE status = 2;
-- Contents that change something and are of a type this program does not know, until a newer one reads them.
CREATE TABLE kept_content (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    content BLOB NOT NULL,
    received_ms INTEGER NOT NULL
);

-- Only the index: the text is in `message`. One-letter and longer beginnings of words are indexed, since a beginning is
-- otherwise gathered from all words it fits before the first hit is known.
CREATE VIRTUAL TABLE message_text USING fts5(
    conversation, body, content = '', prefix = '1 2 3',
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* M* Co Cn'"
);
-- What is deleted leaves no word behind in the index.
INSERT INTO message_text (message_text, rank) VALUES ('secure-delete', 1);
-- Triggers keep what is derived from messages: the counter of unread ones and the index, so that no way of storing, changing or
-- removing a message can forget them. `search_text` is ours (see words.rs); every connection has it.
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    UPDATE conversation SET unread = unread + 1 WHERE id = new.conversation AND new.unread = 1;
    INSERT INTO message_text (rowid, conversation, body)
        VALUES (new.row, substr(hex(new.conversation), 1, 16), search_text(new.body));
END;
CREATE TRIGGER message_opened AFTER UPDATE OF unread ON message WHEN old.unread <> new.unread BEGIN
    UPDATE conversation SET unread = unread + new.unread - old.unread WHERE id = new.conversation;
END;
CREATE TRIGGER message_changed AFTER UPDATE OF body ON message WHEN old.body <> new.body BEGIN
    INSERT INTO message_text (message_text, rowid, conversation, body)
        VALUES ('delete', old.row, substr(hex(old.conversation), 1, 16), search_text(old.body));
    INSERT INTO message_text (rowid, conversation, body)
        VALUES (new.row, substr(hex(new.conversation), 1, 16), search_text(new.body));
END;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    UPDATE conversation SET unread = unread - old.unread WHERE id = old.conversation;
    INSERT INTO message_text (message_text, rowid, conversation, body)
        VALUES ('delete', old.row, substr(hex(old.conversation), 1, 16), search_text(old.body));
END;

-- What is said: one content for one conversation, kept as long as somebody may ask for it again.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL,
    message BLOB,                            -- the line that it is, or that it tells our other devices of
    content BLOB NOT NULL,                   -- without introduction and device list; empty: gone with its message
    class INTEGER NOT NULL,                  -- 0 durable, 1 ephemeral
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
);
CREATE INDEX outbox_message ON outbox (message) WHERE message IS NOT NULL;
CREATE INDEX outbox_conversation ON outbox (conversation);
-- A content on its way to one device.
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    outbox INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    conversation BLOB NOT NULL,
    relay TEXT NOT NULL,                     -- of the account, with its pin
    own INTEGER NOT NULL,                    -- to another device of ours
    account BLOB NOT NULL,
    device INTEGER NOT NULL,                 -- 0: for all devices, whichever they are when it leaves
    wide INTEGER NOT NULL,                   -- for every device of the account, also one that is new meanwhile
    moves INTEGER NOT NULL,                  -- 1 the status of the message; 2: sent again to a device that lost it
    state INTEGER NOT NULL DEFAULT 0,        -- 0 waits, 1 a relay has it
    list_version INTEGER NOT NULL DEFAULT 0, -- device list that was looked at for it
    introduces INTEGER NOT NULL DEFAULT 0,   -- the sealed bytes hold our introduction
    head BLOB,
    body BLOB,
    envelope BLOB,                           -- its id, once a relay has it
    accepted_ms INTEGER,
    resent INTEGER NOT NULL DEFAULT 0,       -- how often its receiver had it sent again
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL DEFAULT 0,
    error TEXT
);
CREATE INDEX delivery_outbox ON delivery (outbox, account);
-- The queue of each device, in each lane; what is needed to see whose turn it is without reading the rows.
CREATE INDEX delivery_waiting ON delivery (conversation, relay, own, account, device, outbox, next_ms) WHERE state = 0;
-- What moves no message's status is counted for each receiver, so that nobody makes it grow; and what waits by an older device list.
CREATE INDEX delivery_account ON delivery (account, moves, list_version) WHERE state = 0;
CREATE UNIQUE INDEX delivery_envelope ON delivery (envelope) WHERE envelope IS NOT NULL;
CREATE INDEX delivery_accepted ON delivery (accepted_ms) WHERE state = 1;
-- Receipts that wait to be gathered.
CREATE TABLE pending_receipt (
    account BLOB NOT NULL,
    conversation BLOB NOT NULL,
    message BLOB NOT NULL,
    status INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    PRIMARY KEY (account, status, message)
) WITHOUT ROWID;

CREATE TABLE invite (
    token BLOB PRIMARY KEY,
    secret BLOB,                             -- of the link, until it is revoked; what the relay sees of it is the token
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_by BLOB                             -- an account; empty once that was removed
) WITHOUT ROWID;
CREATE TABLE prekey (
    kind INTEGER NOT NULL,
    id INTEGER NOT NULL,
    secret BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    upload INTEGER,                          -- relay task that carries its public half: newer ones have higher numbers
    replaced_ms INTEGER,                     -- when the relay took newer ones in its place
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX prekey_upload ON prekey (upload);
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
    setup_ms INTEGER,                        -- when we began it, until they answer
    PRIMARY KEY (account, device, id)
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
CREATE INDEX quarantine_age ON quarantine (seen_ms);
CREATE INDEX quarantine_device ON quarantine (account, device) WHERE requested = 0;
-- How often a device was asked for what could not be decrypted, and how often it was answered when it asked.
CREATE TABLE retry_request (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    day_ms INTEGER NOT NULL,                 -- when the counted day began
    count INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) WITHOUT ROWID;
CREATE TABLE retry_answer (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    day_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) WITHOUT ROWID;
-- The last line of each device, in each conversation, that was applied here: what it said after that is asked for if this copy
-- is put back some day.
CREATE TABLE last_line (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    conversation BLOB NOT NULL,
    message BLOB NOT NULL,
    clock INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, device, conversation)
) WITHOUT ROWID;
-- Devices that are asked for what this copy lacks.
CREATE TABLE restore (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    state INTEGER NOT NULL,                  -- 0 once the mailbox is drained, 1 asked, 2 answered, 3 never answered
    unread INTEGER NOT NULL DEFAULT 0,       -- envelopes of theirs that nothing here opens
    hold_until_ms INTEGER NOT NULL DEFAULT 0, -- so long their lines wait for those before them
    asked_ms INTEGER NOT NULL DEFAULT 0,
    parts INTEGER NOT NULL DEFAULT 0,        -- answers that came
    came INTEGER NOT NULL DEFAULT 0,         -- lines that came again
    refused INTEGER NOT NULL DEFAULT 0,      -- they were asked too often
    PRIMARY KEY (account, device)
) WITHOUT ROWID;
-- Lines that their authors do not have any more.
CREATE TABLE restore_gone (
    message BLOB PRIMARY KEY,
    account BLOB NOT NULL
) WITHOUT ROWID;
-- Lines that wait for those before them.
CREATE TABLE held_line (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    conversation BLOB NOT NULL,
    clock INTEGER NOT NULL,
    message BLOB NOT NULL,
    content BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    way INTEGER NOT NULL
);
CREATE INDEX held_line_order ON held_line (account, device, conversation, clock, id);
-- Who was sent again what they lost, and when.
CREATE TABLE restore_answer (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    restore_id BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, device, restore_id)
) WITHOUT ROWID;
-- Spans of a conversation in which something may be missing.
CREATE TABLE gap (
    conversation BLOB NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    came INTEGER NOT NULL DEFAULT 0,
    gone INTEGER NOT NULL DEFAULT 0,
    state INTEGER NOT NULL,                  -- 1 asked, 2 answered, 3 never answered
    PRIMARY KEY (conversation, from_ms)
) WITHOUT ROWID;

-- What happened, as references: what is shown of it is read from the rows it names, so that nothing stays here of what is gone.
CREATE TABLE event (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    incoming INTEGER NOT NULL DEFAULT 0,     -- a message from somebody else
    conversation BLOB,
    account BLOB,
    message BLOB,
    status INTEGER,
    ts_ms INTEGER,
    code TEXT,
    text TEXT                                -- our own words: why something failed, a notice
);
CREATE INDEX event_incoming ON event (cursor) WHERE incoming = 1;
CREATE TABLE consumer (
    name TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL,
    done BLOB NOT NULL DEFAULT x''           -- messages (u64 each) beyond it that are done already: of readers that share it
) WITHOUT ROWID;
-- Results of calls with a request id, kept a day. An id is 16 bytes, `call` the hash of what was asked.
CREATE TABLE request (
    id BLOB PRIMARY KEY,
    call BLOB NOT NULL,
    result TEXT NOT NULL,
    done_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX request_age ON request (done_ms);
-- Requests to the own relay that must not be lost: prekeys, lists, delivery keys, tokens.
CREATE TABLE relay_task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request BLOB NOT NULL
);
