//! Who was asked to send again what could not be decrypted, and who was answered.

use std::time::Duration;

use subrosa_wire::{AccountId, DeviceAddress};

use super::{Db, OptionalExtension, StoreError, array, from_sql, params, to_sql};
use crate::limits::{
    DAY_MS, MAX_RETRY_ANSWERS_PER_DAY, MAX_RETRY_IDS, MAX_RETRY_REQUESTS_PER_DAY, RETRY_ANSWER_PAUSE,
    RETRY_REQUEST_PAUSE, millis,
};

/// Forgets what nobody could send again any more.
pub(crate) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM quarantine WHERE seen_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

/// Forgets what a device sent that could not be read, and how often it asked and was asked.
pub(crate) fn forget_device(db: &Db, device: &DeviceAddress) -> Result<(), StoreError> {
    for table in ["quarantine", "retry_request", "retry_answer", "last_line", "restore", "held_line", "restore_answer"]
    {
        db.execute(
            &format!("DELETE FROM {table} WHERE account = ?1 AND device = ?2"),
            params![device.account.0, device.device],
        )?;
    }
    Ok(())
}

/// How many envelopes are kept that could not be decrypted.
pub(crate) fn quarantined(db: &Db) -> Result<u64, StoreError> {
    let count: i64 = db.prepare_cached("SELECT count(*) FROM quarantine")?.query_row([], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// Nobody can be asked for an envelope.
pub(crate) fn ask_nobody(db: &Db, id: &subrosa_wire::EnvelopeId) -> Result<(), StoreError> {
    db.execute("UPDATE quarantine SET requested = 1 WHERE id = ?1", params![id.0])?;
    Ok(())
}

/// Why the newest of them could not be processed.
pub(crate) fn newest_reason(db: &Db) -> Result<Option<String>, StoreError> {
    Ok(db
        .prepare_cached("SELECT reason FROM quarantine ORDER BY seen_ms DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// Who sent them does not have these any more; says how many of them waited here.
pub(crate) fn gone(db: &Db, device: &DeviceAddress, ids: &[Vec<u8>]) -> Result<usize, StoreError> {
    let mut statement = db.prepare_cached("DELETE FROM quarantine WHERE id = ?1 AND account = ?2 AND device = ?3")?;
    ids.iter().try_fold(0, |count, id| Ok(count + statement.execute(params![id, device.account.0, device.device])?))
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
    let Some(turn) = Turn::of(db, Turns::REQUESTS, device, now_ms)? else { return Ok(Vec::new()) };
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
        turn.take(db)?;
    }
    Ok(ids)
}

/// Whether this device may be answered now; it counts as answered then.
pub(crate) fn take_answer(db: &Db, device: &DeviceAddress, now_ms: u64) -> Result<bool, StoreError> {
    match Turn::of(db, Turns::ANSWERS, device, now_ms)? {
        Some(turn) => {
            turn.take(db)?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// How often something happens with one device.
#[derive(Clone, Copy)]
struct Turns {
    table: &'static str,
    pause: Duration,
    a_day: u32,
}

impl Turns {
    const REQUESTS: Self =
        Self { table: "retry_request", pause: RETRY_REQUEST_PAUSE, a_day: MAX_RETRY_REQUESTS_PER_DAY };
    const ANSWERS: Self = Self { table: "retry_answer", pause: RETRY_ANSWER_PAUSE, a_day: MAX_RETRY_ANSWERS_PER_DAY };
}

/// A turn that may be taken.
struct Turn<'a> {
    turns: Turns,
    device: &'a DeviceAddress,
    day_ms: u64,
    count: u32,
    now_ms: u64,
}

impl<'a> Turn<'a> {
    /// `None`: not yet, or not today any more.
    fn of(db: &Db, turns: Turns, device: &'a DeviceAddress, now_ms: u64) -> Result<Option<Self>, StoreError> {
        let known: Option<(i64, u32, i64)> = db
            .prepare_cached(&format!(
                "SELECT day_ms, count, last_ms FROM {} WHERE account = ?1 AND device = ?2",
                turns.table
            ))?
            .query_row(params![device.account.0, device.device], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let pause_ms = millis(turns.pause);
        // A time that is still to come was set by a clock that was ahead: it counts for nothing.
        let within = |since: i64, long: u64| (from_sql(since)..from_sql(since).saturating_add(long)).contains(&now_ms);
        let (day_ms, count) = match known {
            Some((_, _, last_ms)) if within(last_ms, pause_ms) => return Ok(None),
            Some((day_ms, count, _)) if within(day_ms, DAY_MS) => (from_sql(day_ms), count),
            _ => (now_ms, 0),
        };
        Ok((count < turns.a_day).then_some(Self { turns, device, day_ms, count, now_ms }))
    }

    fn take(self, db: &Db) -> Result<(), StoreError> {
        db.execute(
            &format!(
                "INSERT OR REPLACE INTO {} (account, device, day_ms, count, last_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                self.turns.table
            ),
            params![
                self.device.account.0,
                self.device.device,
                to_sql(self.day_ms),
                self.count + 1,
                to_sql(self.now_ms)
            ],
        )?;
        Ok(())
    }
}
