//! What the rules about strangers, held keys, withheld lists and late messages have to remember.

pub(in crate::store) const GUARDS: &str = "
ALTER TABLE contact ADD COLUMN had_key INTEGER NOT NULL DEFAULT 0;        -- our delivery key was once sealed to them
ALTER TABLE contact ADD COLUMN introduce_ms INTEGER;                      -- when they get our new delivery key, at the latest
ALTER TABLE contact ADD COLUMN floor_version INTEGER NOT NULL DEFAULT 0;  -- newest device list they announced: no older one is believed
ALTER TABLE contact ADD COLUMN floor_hash BLOB;
ALTER TABLE contact ADD COLUMN floor_told INTEGER NOT NULL DEFAULT 0;     -- the person knows that an older one is served
ALTER TABLE contact ADD COLUMN old_list INTEGER NOT NULL DEFAULT 0;       -- version that the person takes although it is old
ALTER TABLE contact ADD COLUMN looks_like TEXT;                           -- whom the name would be taken for
ALTER TABLE prekey ADD COLUMN upload INTEGER;             -- relay task that carries its public half: newer ones have higher numbers
ALTER TABLE prekey ADD COLUMN replaced_ms INTEGER;        -- when the relay took newer ones in its place
CREATE INDEX prekey_upload ON prekey (upload);
ALTER TABLE session ADD COLUMN setup_ms INTEGER;          -- when we began it, until they answer
ALTER TABLE account ADD COLUMN clock_doubt_ms INTEGER;    -- since when the relay's clock contradicts ours
ALTER TABLE account ADD COLUMN prekey_day INTEGER NOT NULL DEFAULT 0;  -- the day in which so many prekeys were made:
ALTER TABLE account ADD COLUMN made_ec INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN made_kem INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN made_signed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN arrived_ms INTEGER;        -- when it was stored here, for what others wrote
ALTER TABLE message ADD COLUMN late INTEGER NOT NULL DEFAULT 0;        -- 1 by its time, 2 by its place
ALTER TABLE contact ADD COLUMN link_proof BLOB;                           -- that we have their link, until they answered
ALTER TABLE invite ADD COLUMN secret BLOB;                                -- of the link; what the relay sees of it is the token
ALTER TABLE contact ADD COLUMN list_asked_ms INTEGER NOT NULL DEFAULT 0;  -- when their relay was last asked for their list
ALTER TABLE contact ADD COLUMN relay_told TEXT;                           -- another relay that they claimed, once shown
CREATE INDEX contact_introduce ON contact (introduce_ms) WHERE introduce_ms IS NOT NULL;
-- How often this device was answered when it asked for what it could not decrypt.
CREATE TABLE retry_answer (
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    day_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) WITHOUT ROWID;
-- Rows that move no message's status: counted for each receiver, so that nobody makes them grow.
CREATE INDEX outbox_silent ON outbox (target) WHERE message IS NULL;
";
