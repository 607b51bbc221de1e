//! Delivery keys, member keys and contact tokens of accounts, by their hashes.

use rusqlite::{Connection, params};
use subrosa_wire::{AccountId, CapabilityHash, mailbox::TokenUses};

use super::{
    facts::{self, sql_int},
    writer::OpError,
};
use crate::{
    backend::KeyScope,
    policy::{facts::Keys, found, judge_contact_token},
};

pub(super) fn set_keys(db: &Connection, account: &AccountId, scope: KeyScope, keys: &Keys) -> rusqlite::Result<()> {
    let sql = match scope {
        KeyScope::Delivery => {
            "UPDATE account SET delivery_key = ?2, previous_key = ?3, previous_until_ms = ?4 WHERE account = ?1"
        }
        KeyScope::Member => {
            "UPDATE account SET member_key = ?2, previous_member_key = ?3, previous_member_until_ms = ?4
             WHERE account = ?1"
        }
    };
    let (previous, until_ms) = keys.previous.map_or((None, 0), |(hash, until_ms)| (Some(hash.0), until_ms));
    let current = keys.current.map(|hash| hash.0);
    db.prepare_cached(sql)?.execute(params![account.0.as_slice(), current, previous, sql_int(until_ms)])?;
    Ok(())
}

/// Somebody who may has stored an envelope with a token.
pub(super) fn use_token(
    db: &Connection,
    account: i64,
    token: &CapabilityHash,
    binding: &CapabilityHash,
    today: u32,
) -> rusqlite::Result<()> {
    let (token, binding) = (token.0.as_slice(), binding.0.as_slice());
    let joined = db
        .prepare_cached(
            "UPDATE token_joiner SET submits = submits + 1 WHERE account = ?1 AND token = ?2 AND binding = ?3",
        )?
        .execute(params![account, token, binding])?;
    if joined == 0 {
        db.prepare_cached(
            "INSERT INTO token_joiner (account, token, binding, day, submits) VALUES (?1, ?2, ?3, ?4, 1)",
        )?
        .execute(params![account, token, binding, today])?;
        db.prepare_cached("UPDATE contact_token SET joined = joined + 1 WHERE account = ?1 AND hash = ?2")?
            .execute(params![account, token])?;
    }
    Ok(())
}

pub(super) fn put_contact_token(
    db: &Connection,
    account: &AccountId,
    token: &CapabilityHash,
    (expires_ms, uses): (u64, TokenUses),
    now_ms: u64,
) -> Result<(), OpError> {
    let (row, _) = found(facts::account(db, account)?)?;
    db.prepare_cached("DELETE FROM contact_token WHERE account = ?1 AND expires_ms <= ?2")?
        .execute(params![row, sql_int(now_ms)])?;
    let others = db
        .prepare_cached("SELECT count(*) FROM contact_token WHERE account = ?1 AND hash <> ?2")?
        .query_row(params![row, token.0.as_slice()], |row| row.get(0))?;
    judge_contact_token(others)?;
    // The same token again keeps who joined, and its counts.
    db.prepare_cached(
        "INSERT INTO contact_token (account, hash, expires_ms, uses, per_day) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (account, hash) DO UPDATE
         SET expires_ms = excluded.expires_ms, uses = excluded.uses, per_day = excluded.per_day",
    )?
    .execute(params![row, token.0.as_slice(), sql_int(expires_ms), uses.most, uses.per_day])?;
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
