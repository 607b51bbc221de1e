//! Contact links we handed out. One-time use is enforced here; the relay's check is only against spam.

use subrosa_wire::{AccountId, CapabilityHash, ContactToken, LinkSecret};

use super::{Db, StoreError, array, from_sql, params, to_sql};

/// An open invitation.
pub(crate) struct InviteRow {
    pub(crate) created_ms: u64,
    pub(crate) expires_ms: u64,
    pub(crate) used: bool,
    pub(crate) secret: LinkSecret,
}

/// Adds one.
pub(crate) fn put(
    db: &Db,
    token: &ContactToken,
    secret: &LinkSecret,
    created_ms: u64,
    expires_ms: u64,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO invite (token, secret, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4)",
        params![token.as_bytes(), secret.as_bytes(), to_sql(created_ms), to_sql(expires_ms)],
    )?;
    Ok(())
}

/// Reads one that can still be used or was; not one that was revoked.
pub(crate) fn get(db: &Db, token: &[u8; 16]) -> Result<Option<InviteRow>, StoreError> {
    const SQL: &str =
        "SELECT created_ms, expires_ms, used_by, secret FROM invite WHERE token = ?1 AND secret IS NOT NULL";
    db.prepare_cached(SQL)?
        .query_and_then(params![token], |row| {
            Ok(InviteRow {
                created_ms: from_sql(row.get(0)?),
                expires_ms: from_sql(row.get(1)?),
                used: row.get::<_, Option<Vec<u8>>>(2)?.is_some(),
                secret: LinkSecret::new(array(&row.get::<_, Vec<u8>>(3)?, "invite")?),
            })
        })?
        .next()
        .transpose()
}

/// A link that is still good, or was used before it ended.
#[derive(Clone)]
pub(crate) struct OpenLink {
    pub(crate) token: ContactToken,
    pub(crate) created_ms: u64,
    pub(crate) expires_ms: u64,
    pub(crate) used: bool,
    /// Who joined with it, unless they were removed since.
    pub(crate) used_by: Option<AccountId>,
}

/// Those that have not ended, the newest first.
pub(crate) fn open(db: &Db, now_ms: u64) -> Result<Vec<OpenLink>, StoreError> {
    const SQL: &str = "SELECT token, created_ms, expires_ms, used_by FROM invite
        WHERE secret IS NOT NULL AND expires_ms > ?1 ORDER BY created_ms DESC, token";
    db.prepare_cached(SQL)?
        .query_and_then(params![to_sql(now_ms)], |row| {
            let used_by: Option<Vec<u8>> = row.get(3)?;
            Ok(OpenLink {
                token: ContactToken::new(array(&row.get::<_, Vec<u8>>(0)?, "invite")?),
                created_ms: from_sql(row.get(1)?),
                expires_ms: from_sql(row.get(2)?),
                used: used_by.is_some(),
                used_by: used_by
                    .filter(|account| !account.is_empty())
                    .map(|account| array(&account, "invite").map(AccountId))
                    .transpose()?,
            })
        })?
        .collect()
}

/// Forgets the secret: nobody proves to have the link any more. The token stays until the link would have ended, so that who
/// comes with it is refused and not taken for somebody with a link of another device of ours.
pub(crate) fn revoke(db: &Db, token: &ContactToken) -> Result<(), StoreError> {
    db.execute("UPDATE invite SET secret = NULL WHERE token = ?1", params![token.as_bytes()])?;
    Ok(())
}

/// Whether it was ours, revoked or not.
pub(crate) fn is_known(db: &Db, token: &[u8; 16]) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM invite WHERE token = ?1")?.exists(params![token])?)
}

/// Somebody joined with it.
pub(crate) fn set_used(db: &Db, token: &[u8; 16], by: &AccountId) -> Result<(), StoreError> {
    db.execute("UPDATE invite SET used_by = ?2 WHERE token = ?1", params![token, by.0])?;
    Ok(())
}

/// Whoever joined with it is forgotten; that it was used is not.
pub(crate) fn forget_user(db: &Db, account: &AccountId) -> Result<(), StoreError> {
    db.execute("UPDATE invite SET used_by = x'' WHERE used_by = ?1", params![account.0])?;
    Ok(())
}

/// Withdraws one that never reached the relay.
pub(crate) fn delete(db: &Db, token: &ContactToken) -> Result<(), StoreError> {
    db.execute("DELETE FROM invite WHERE token = ?1", params![token.as_bytes()])?;
    Ok(())
}

/// Withdraws the one whose token the relay knows by this hash.
pub(crate) fn delete_by_hash(db: &Db, hash: &CapabilityHash) -> Result<(), StoreError> {
    let tokens: Vec<Vec<u8>> =
        db.prepare_cached("SELECT token FROM invite")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for token in tokens {
        let token = ContactToken::new(array(&token, "invite")?);
        if token.hash() == *hash {
            delete(db, &token)?;
        }
    }
    Ok(())
}

/// Links whose tokens the relay still keeps, used or not: those that were revoked it forgets.
pub(crate) fn unexpired(db: &Db, now_ms: u64) -> Result<u64, StoreError> {
    let count: i64 = db.query_row(
        "SELECT count(*) FROM invite WHERE expires_ms > ?1 AND secret IS NOT NULL",
        params![to_sql(now_ms)],
        |row| row.get(0),
    )?;
    Ok(from_sql(count))
}

/// Forgets expired links.
pub(crate) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM invite WHERE expires_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}
