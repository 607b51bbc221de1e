//! What was sent in which envelope, and who was asked to send again.

use subrosa_wire::{AccountId, DeviceAddress, EnvelopeId, MessageId};

use super::{Db, OptionalExtension, StoreError, array, from_sql, params, to_sql};
use crate::limits::{MAX_RESENDS, MAX_RETRY_IDS, MAX_RETRY_REQUESTS_PER_DAY, RETRY_REQUEST_PAUSE};

const DAY_MS: u64 = 24 * 3600 * 1_000;

/// An envelope with this message is at the relay of this device.
pub(crate) fn log_sent(
    db: &Db,
    id: &EnvelopeId,
    device: &DeviceAddress,
    message: &MessageId,
    now_ms: u64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO sent_envelope (id, account, device, message, sent_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![id.0, device.account.0, device.device, message.0, to_sql(now_ms)])?;
    Ok(())
}

/// The message that this envelope carried to this device, if it may be sent again; counts the sending.
pub(crate) fn take_resend(db: &Db, id: &[u8], device: &DeviceAddress) -> Result<Option<MessageId>, StoreError> {
    let message: Option<Vec<u8>> = db
        .query_row(
            "UPDATE sent_envelope SET resent = resent + 1
             WHERE id = ?1 AND account = ?2 AND device = ?3 AND resent < ?4 RETURNING message",
            params![id, device.account.0, device.device, MAX_RESENDS],
            |row| row.get(0),
        )
        .optional()?;
    message.map(|message| array(&message, "sent envelope").map(MessageId)).transpose()
}

/// Forgets what no relay holds any more.
pub(crate) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM sent_envelope WHERE sent_ms < ?1", params![to_sql(before_ms)])?;
    db.execute("DELETE FROM quarantine WHERE seen_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

/// Devices with quarantined envelopes that were not asked for yet.
pub(crate) fn devices_to_ask(db: &Db) -> Result<Vec<DeviceAddress>, StoreError> {
    db.prepare_cached("SELECT DISTINCT account, device FROM quarantine WHERE requested = 0")?
        .query_and_then([], |row| {
            Ok(DeviceAddress {
                account: AccountId(array(&row.get::<_, Vec<u8>>(0)?, "quarantine")?),
                device: row.get(1)?,
            })
        })?
        .collect()
}

/// The envelopes to ask a device for, if it may be asked now; they count as asked for.
pub(crate) fn take_request(db: &Db, device: &DeviceAddress, now_ms: u64) -> Result<Vec<Vec<u8>>, StoreError> {
    let known: Option<(i64, u32, i64)> = db
        .query_row(
            "SELECT day_ms, count, last_ms FROM retry_request WHERE account = ?1 AND device = ?2",
            params![device.account.0, device.device],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let pause_ms = u64::try_from(RETRY_REQUEST_PAUSE.as_millis()).unwrap_or(u64::MAX);
    let (day_ms, count) = match known {
        // A time that is still to come was set by a clock that was ahead: it counts for nothing.
        Some((_, _, last_ms)) if (from_sql(last_ms)..from_sql(last_ms).saturating_add(pause_ms)).contains(&now_ms) => {
            return Ok(Vec::new());
        }
        Some((day_ms, count, _)) if (from_sql(day_ms)..from_sql(day_ms).saturating_add(DAY_MS)).contains(&now_ms) => {
            (from_sql(day_ms), count)
        }
        _ => (now_ms, 0),
    };
    if count >= MAX_RETRY_REQUESTS_PER_DAY {
        return Ok(Vec::new());
    }
    let ids: Vec<Vec<u8>> = db
        .prepare_cached(
            "SELECT id FROM quarantine WHERE account = ?1 AND device = ?2 AND requested = 0 ORDER BY seen_ms LIMIT ?3",
        )?
        .query_map(params![device.account.0, device.device, i64::try_from(MAX_RETRY_IDS).unwrap_or(i64::MAX)], |row| {
            row.get(0)
        })?
        .collect::<Result<_, _>>()?;
    for id in &ids {
        db.prepare_cached("UPDATE quarantine SET requested = 1 WHERE id = ?1")?.execute(params![id])?;
    }
    if !ids.is_empty() {
        db.execute(
            "INSERT OR REPLACE INTO retry_request (account, device, day_ms, count, last_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![device.account.0, device.device, to_sql(day_ms), count + 1, to_sql(now_ms)],
        )?;
    }
    Ok(ids)
}
