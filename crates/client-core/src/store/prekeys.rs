//! Secrets of our own prekeys, until they are used or too old.

use zeroize::Zeroizing;

use super::{Db, OptionalExtension, StoreError, from_sql, params, to_sql};

/// Kinds of prekeys; the number is the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrekeyKind {
    Signed = 1,
    OneTimeEc = 2,
    OneTimeKem = 3,
    LastResortKem = 4,
}

/// Keeps a secret.
pub(crate) fn put(db: &Db, kind: PrekeyKind, id: u32, secret: &[u8], now_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO prekey (kind, id, secret, created_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![kind as u32, id, secret, to_sql(now_ms)])?;
    Ok(())
}

/// Reads a secret.
pub(crate) fn get(db: &Db, kind: PrekeyKind, id: u32) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    Ok(db
        .query_row("SELECT secret FROM prekey WHERE kind = ?1 AND id = ?2", params![kind as u32, id], |row| {
            row.get::<_, Vec<u8>>(0).map(Zeroizing::new)
        })
        .optional()?)
}

/// Forgets a used one-time key: its first message can never be decrypted again.
pub(crate) fn delete(db: &Db, kind: PrekeyKind, id: u32) -> Result<(), StoreError> {
    db.execute("DELETE FROM prekey WHERE kind = ?1 AND id = ?2", params![kind as u32, id])?;
    Ok(())
}

/// When the newest key of a kind was made.
pub(crate) fn newest_ms(db: &Db, kind: PrekeyKind) -> Result<Option<u64>, StoreError> {
    let ms: Option<i64> =
        db.query_row("SELECT max(created_ms) FROM prekey WHERE kind = ?1", params![kind as u32], |row| row.get(0))?;
    Ok(ms.map(from_sql))
}

/// Forgets signed and last-resort keys older than `before_ms`, always keeping the newest of each kind.
pub(crate) fn forget_old(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    for kind in [PrekeyKind::Signed, PrekeyKind::LastResortKem] {
        db.execute(
            "DELETE FROM prekey WHERE kind = ?1 AND created_ms < ?2
                 AND created_ms < (SELECT max(created_ms) FROM prekey WHERE kind = ?1)",
            params![kind as u32, to_sql(before_ms)],
        )?;
    }
    Ok(())
}

/// Forgets all one-time keys: they may have been used by a life of this store that was rolled back.
pub(crate) fn forget_one_time(db: &Db) -> Result<(), StoreError> {
    db.execute(
        "DELETE FROM prekey WHERE kind IN (?1, ?2)",
        params![PrekeyKind::OneTimeEc as u32, PrekeyKind::OneTimeKem as u32],
    )?;
    Ok(())
}
