//! What the rules look at, fetched from the database: every question about an account, a device or a token stands here once.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use subrosa_wire::{AccountId, CapabilityHash, DeviceAddress, mailbox::TokenUses};

use crate::policy::facts::{Account, Device, Keys, Token};

/// The row number of an account or device that does not exist: it is asked about like one that does, so that both take as long.
pub(super) const NOBODY: i64 = -1;

/// SQLite integers are signed; our counters never come near the sign.
pub(super) fn sql_int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count, or a number that a mailbox gave.
pub(super) fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, Option<i64>>(column)?.unwrap_or(0)).unwrap_or(0))
}

/// An account and its row number.
pub(super) fn account(db: &Connection, account: &AccountId) -> rusqlite::Result<Option<(i64, Account)>> {
    db.prepare_cached(
        "SELECT id, list_version, length(list), disabled, delivery_key, previous_key, previous_until_ms,
             member_key, previous_member_key, previous_member_until_ms
         FROM account WHERE account = ?1",
    )?
    .query_row([account.0.as_slice()], |row| {
        let hash = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<[u8; 32]>>(column)?.map(CapabilityHash));
        let keys = |first: usize| {
            let until_ms = number(row, first + 2)?;
            let previous = hash(first + 1)?.map(|key| (key, until_ms));
            Ok::<_, rusqlite::Error>(Keys { current: hash(first)?, previous })
        };
        Ok((
            row.get(0)?,
            Account {
                list_version: row.get(1)?,
                list_bytes: row.get(2)?,
                disabled: row.get(3)?,
                delivery: keys(4)?,
                member: keys(7)?,
            },
        ))
    })
    .optional()
}

/// A device on the list of an account, with its row number and the highest number of its mailbox.
pub(super) fn device(db: &Connection, account: i64, device: u32) -> rusqlite::Result<Option<(i64, u64, Device)>> {
    db.prepare_cached(
        "SELECT id, last_seq, waiting_rows, waiting_bytes, seen_day FROM device WHERE account = ?1 AND number = ?2",
    )?
    .query_row(params![account, device], |row| {
        let device = Device {
            waiting_rows: number(row, 2)?,
            waiting_bytes: number(row, 3)?,
            waiting_requests: 0,
            seen_day: row.get(4)?,
        };
        Ok((row.get(0)?, number(row, 1)?, device))
    })
    .optional()
}

/// How many envelopes of the request lane wait for a device.
pub(super) fn waiting_requests(db: &Connection, device: i64) -> rusqlite::Result<u32> {
    db.prepare_cached("SELECT count(*) FROM mailbox WHERE device = ?1 AND way = 1")?
        .query_row([device], |row| row.get(0))
}

/// A contact token of an account, without its joiners.
pub(super) fn token(
    db: &Connection,
    account: i64,
    token: &CapabilityHash,
    today: u32,
) -> rusqlite::Result<Option<Token>> {
    db.prepare_cached(
        "SELECT expires_ms, uses, per_day, joined, prekeys,
             (SELECT count(*) FROM token_joiner WHERE account = ?1 AND token = ?2 AND day = ?3)
         FROM contact_token WHERE account = ?1 AND hash = ?2",
    )?
    .query_row(params![account, token.0.as_slice(), today], |row| {
        Ok(Token {
            expires_ms: number(row, 0)?,
            uses: TokenUses { most: row.get(1)?, per_day: row.get(2)? },
            joined: row.get(3)?,
            prekeys: row.get(4)?,
            joined_today: row.get(5)?,
            joiners: HashMap::new(),
        })
    })
    .optional()
}

/// How many envelopes were stored with a token by who has this binding; `None`: they have not joined with it.
pub(super) fn joiner(
    db: &Connection,
    account: i64,
    token: &CapabilityHash,
    binding: &CapabilityHash,
) -> rusqlite::Result<Option<u32>> {
    db.prepare_cached("SELECT submits FROM token_joiner WHERE account = ?1 AND token = ?2 AND binding = ?3")?
        .query_row(params![account, token.0.as_slice(), binding.0.as_slice()], |row| row.get(0))
        .optional()
}

/// Whether an envelope waits for a device.
pub(super) fn is_known(db: &Connection, device: i64, envelope: &[u8]) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM mailbox WHERE device = ?1 AND env_id = ?2")?.exists(params![device, envelope])
}

/// The row number of a device.
pub(super) fn device_row(db: &Connection, device: &DeviceAddress) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT device.id FROM device JOIN account ON account.id = device.account
         WHERE account.account = ?1 AND device.number = ?2",
    )?
    .query_row(params![device.account.0.as_slice(), device.device], |row| row.get(0))
    .optional()
}
