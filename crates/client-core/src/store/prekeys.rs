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

/// Keeps a secret. `upload` is the relay task that carries the public half.
pub(crate) fn put(
    db: &Db,
    kind: PrekeyKind,
    id: u32,
    secret: &[u8],
    upload: i64,
    now_ms: u64,
) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO prekey (kind, id, secret, created_ms, upload) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![kind as u32, id, secret, to_sql(now_ms), upload])?;
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

/// Secrets of a kind that are kept.
pub(crate) fn count(db: &Db, kind: PrekeyKind) -> Result<usize, StoreError> {
    let count: i64 =
        db.query_row("SELECT count(*) FROM prekey WHERE kind = ?1", params![kind as u32], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Whether keys of ours are still on their way to the relay.
pub(crate) fn upload_waits(db: &Db) -> Result<bool, StoreError> {
    Ok(db
        .prepare_cached("SELECT 1 FROM relay_task WHERE EXISTS (SELECT 1 FROM prekey WHERE upload = relay_task.id)")?
        .exists([])?)
}

/// When the newest signed key was made: the one that was uploaded last, whatever clocks said.
pub(crate) fn newest_signed_ms(db: &Db) -> Result<Option<u64>, StoreError> {
    Ok(db
        .query_row(
            "SELECT created_ms FROM prekey WHERE kind = ?1 ORDER BY upload DESC, id DESC LIMIT 1",
            params![PrekeyKind::Signed as u32],
            |row| row.get(0).map(from_sql),
        )
        .optional()?)
}

/// When the oldest and the newest one-time key were made that the relay has or has given out.
pub(crate) fn stock_ms(db: &Db) -> Result<Option<(u64, u64)>, StoreError> {
    let (oldest, newest): (Option<i64>, Option<i64>) = db.query_row(
        "SELECT min(created_ms), max(created_ms) FROM prekey WHERE kind IN (?1, ?2) AND replaced_ms IS NULL",
        params![PrekeyKind::OneTimeEc as u32, PrekeyKind::OneTimeKem as u32],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(oldest.zip(newest).map(|(oldest, newest)| (from_sql(oldest), from_sql(newest))))
}

/// The relay has what this task carried, and gives nobody the keys of a kind that came to it before.
pub(crate) fn replaced_by(db: &Db, kind: PrekeyKind, upload: i64, now_ms: u64) -> Result<(), StoreError> {
    db.execute(
        "UPDATE prekey SET replaced_ms = ?3 WHERE kind = ?1 AND replaced_ms IS NULL AND coalesce(upload, 0) < ?2",
        params![kind as u32, upload, to_sql(now_ms)],
    )?;
    Ok(())
}

/// The relay says that it will never have what this task carried.
pub(crate) fn refused(db: &Db, upload: i64, now_ms: u64) -> Result<(), StoreError> {
    db.execute(
        "UPDATE prekey SET replaced_ms = ?2 WHERE upload = ?1 AND replaced_ms IS NULL",
        params![upload, to_sql(now_ms)],
    )?;
    Ok(())
}

/// Forgets secrets that were replaced before `before_ms`.
pub(crate) fn forget_replaced(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM prekey WHERE replaced_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

/// Keys that were replaced while our clock ran ahead were replaced now at the latest.
pub(crate) fn replaced_by_now(db: &Db, now_ms: u64) -> Result<(), StoreError> {
    db.execute("UPDATE prekey SET replaced_ms = ?1 WHERE replaced_ms > ?1", params![to_sql(now_ms)])?;
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
