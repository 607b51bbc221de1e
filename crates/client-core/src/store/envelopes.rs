//! Envelopes that ended here, and those set aside.

use subrosa_wire::{DeviceAddress, EnvelopeId};

use super::{Db, StoreError, params, to_sql};
use crate::limits::MAX_QUARANTINED;

/// How an envelope ended (docs/protocol.md, "What a client does with them"). Each is committed and acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A message was stored.
    Stored = 1,
    /// It changed something: a receipt, an introduction, a sync.
    Applied = 2,
    /// From a verified device, but not decryptable now.
    Quarantined = 3,
    /// Known already.
    Duplicate = 4,
    /// Not from anybody we listen to, or not sealed for us.
    Junk = 5,
}

/// Whether this envelope ended here before.
pub(crate) fn known(db: &Db, id: &EnvelopeId) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM envelope WHERE id = ?1")?.exists(params![id.0])?)
}

/// Remembers how it ended.
pub(crate) fn put(db: &Db, id: &EnvelopeId, outcome: Outcome, now_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO envelope (id, outcome, seen_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![id.0, outcome as u32, to_sql(now_ms)])?;
    Ok(())
}

/// Forgets ids older than any envelope can be.
pub(crate) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM envelope WHERE seen_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

/// Sets an envelope aside; the oldest make room. Says how many were given up for it.
pub(crate) fn quarantine(
    db: &Db,
    id: &EnvelopeId,
    sender: &DeviceAddress,
    envelope: (&[u8], &[u8]),
    reason: &str,
    now_ms: u64,
) -> Result<usize, StoreError> {
    db.execute(
        "INSERT OR IGNORE INTO quarantine (id, account, device, head, body, reason, seen_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![id.0, sender.account.0, sender.device, envelope.0, envelope.1, reason, to_sql(now_ms)],
    )?;
    let given_up = db.execute(
        "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine ORDER BY seen_ms
             LIMIT max(0, (SELECT count(*) FROM quarantine) - ?1))",
        params![to_sql(MAX_QUARANTINED)],
    )?;
    Ok(given_up)
}
