//! What the rules about strangers, held keys, withheld lists and late messages have to remember.

pub(in crate::store) const GUARDS: &str = "
ALTER TABLE contact ADD COLUMN had_key INTEGER NOT NULL DEFAULT 0;        -- our delivery key was once sealed to them
ALTER TABLE contact ADD COLUMN introduce_ms INTEGER;                      -- when they get our new delivery key, at the latest
ALTER TABLE contact ADD COLUMN floor_version INTEGER NOT NULL DEFAULT 0;  -- newest device list they announced: no older one is believed
ALTER TABLE contact ADD COLUMN floor_hash BLOB;
ALTER TABLE contact ADD COLUMN old_list INTEGER NOT NULL DEFAULT 0;       -- version that the person takes although it is old
ALTER TABLE contact ADD COLUMN looks_like TEXT;                           -- whom the name would be taken for
";
