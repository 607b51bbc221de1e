//! Delivery keys and contact tokens of accounts, by their hashes.

use rusqlite::{Connection, params};
use subrosa_wire::{AccountId, CapabilityHash};

use super::{
    facts::{self, sql_int},
    writer::OpError,
};
use crate::policy::{found, judge_contact_token};

pub(super) fn set_delivery_keys(
    db: &Connection,
    account: &AccountId,
    current: &CapabilityHash,
    previous: Option<&(CapabilityHash, u64)>,
) -> rusqlite::Result<()> {
    let (key, until_ms) = previous.map_or((None, 0), |(hash, until_ms)| (Some(hash.0), *until_ms));
    db.prepare_cached(
        "UPDATE account SET delivery_key = ?2, previous_key = ?3, previous_until_ms = ?4 WHERE account = ?1",
    )?
    .execute(params![account.0.as_slice(), current.0.as_slice(), key, sql_int(until_ms)])?;
    Ok(())
}

pub(super) fn put_contact_token(
    db: &Connection,
    account: &AccountId,
    token: &CapabilityHash,
    expires_ms: u64,
    now_ms: u64,
) -> Result<(), OpError> {
    let (row, _) = found(facts::account(db, account)?)?;
    db.prepare_cached("DELETE FROM contact_token WHERE account = ?1 AND expires_ms <= ?2")?
        .execute(params![row, sql_int(now_ms)])?;
    let others = db
        .prepare_cached("SELECT count(*) FROM contact_token WHERE account = ?1 AND hash <> ?2")?
        .query_row(params![row, token.0.as_slice()], |row| row.get(0))?;
    judge_contact_token(others)?;
    // The same token again keeps its binding and its counts.
    db.prepare_cached(
        "INSERT INTO contact_token (account, hash, expires_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (account, hash) DO UPDATE SET expires_ms = excluded.expires_ms",
    )?
    .execute(params![row, token.0.as_slice(), sql_int(expires_ms)])?;
    Ok(())
}

pub(super) fn remove_contact_token(
    db: &Connection,
    account: &AccountId,
    token: &CapabilityHash,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM contact_token WHERE hash = ?2 AND account = (SELECT id FROM account WHERE account = ?1)",
    )?
    .execute(params![account.0.as_slice(), token.0.as_slice()])?;
    Ok(())
}
