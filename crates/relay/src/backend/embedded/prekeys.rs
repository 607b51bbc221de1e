//! Prekeys of devices: put, counted, and taken, each one-time key once.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use rusqlite::{Connection, params};
use subrosa_wire::{
    AccountId, CapabilityHash, DeviceAddress,
    mailbox::{PrekeyCount, PrekeyUpload},
};

use super::{
    facts::{self, NOBODY, device_row},
    writer::OpError,
};
use crate::{
    backend::{OneTime, PrekeyFacts, Take},
    policy::{
        found,
        prekeys::{Kept, Standing, Stock, judge_upload},
    },
};

/// `prekey.kind` of X25519 keys.
const EC: i64 = 1;
/// `prekey.kind` of ML-KEM-1024 keys.
const KEM: i64 = 2;

/// One-time prekeys left for a device row.
pub(super) fn prekey_count(db: &Connection, device: i64) -> rusqlite::Result<PrekeyCount> {
    db.prepare_cached(
        "SELECT (SELECT count(*) FROM prekey WHERE device = ?1 AND kind = 1),
                (SELECT count(*) FROM prekey WHERE device = ?1 AND kind = 2)",
    )?
    .query_row([device], |row| Ok(PrekeyCount { one_time_ec: row.get(0)?, one_time_kem: row.get(1)? }))
}

/// What a device has of X25519 and of ML-KEM keys.
fn stock(db: &Connection, device: i64) -> rusqlite::Result<(Stock, Stock)> {
    let count = prekey_count(db, device)?;
    db.prepare_cached("SELECT last_ec, last_kem FROM device WHERE id = ?1")?.query_row([device], |row| {
        // -1: none was ever stored.
        let last = |column| Ok::<_, rusqlite::Error>(u32::try_from(row.get::<_, i64>(column)?).ok());
        let stock = |left: u32, last| Stock { left: left as usize, last };
        Ok((stock(count.one_time_ec, last(0)?), stock(count.one_time_kem, last(1)?)))
    })
}

pub(super) fn put_prekeys(db: &Connection, device: &DeviceAddress, upload: &PrekeyUpload) -> Result<(), OpError> {
    let row = found(device_row(db, device)?)?;
    let (ec, kem) = stock(db, row)?;
    let (ec, kem) = judge_upload(ec, kem, upload)?;
    if upload.replace_one_time {
        db.prepare_cached("DELETE FROM prekey WHERE device = ?1")?.execute([row])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO prekey (device, kind, key_id, bytes) VALUES (?1, ?2, ?3, ?4)")?;
    for (kind, Kept { keys, .. }) in [(EC, &ec), (KEM, &kem)] {
        for (id, key) in keys {
            insert.execute(params![row, kind, id, &key[..]])?;
        }
    }
    let last = |kept: &Kept| kept.last.map_or(-1, i64::from);
    db.prepare_cached(
        "UPDATE device SET last_ec = ?2, last_kem = ?3,
             signed_prekey = coalesce(?4, signed_prekey), last_resort_kem = coalesce(?5, last_resort_kem)
         WHERE id = ?1",
    )?
    .execute(params![
        row,
        last(&ec),
        last(&kem),
        upload.signed_prekey.as_deref(),
        upload.last_resort_kem.as_deref()
    ])?;
    Ok(())
}

/// As [`crate::backend::Directory::prekey_facts`].
pub(super) fn prekey_facts(
    db: &Connection,
    account: &AccountId,
    devices: &[u32],
    shown: Option<&(CapabilityHash, CapabilityHash)>,
    today: u32,
) -> rusqlite::Result<PrekeyFacts> {
    let (row, account) = match facts::account(db, account)? {
        Some((row, account)) => (row, Some(account)),
        None => (NOBODY, None),
    };
    let mut token = None;
    if let Some((shown, binding)) = shown {
        token = facts::token(db, row, shown, today)?;
        let joiner = facts::joiner(db, row, shown, binding)?;
        if let (Some(token), Some(submits)) = (&mut token, joiner) {
            token.joiners.insert(*binding, submits);
        }
    }
    let mut listed = HashSet::new();
    for device in devices {
        let is_listed = db
            .prepare_cached("SELECT 1 FROM device WHERE account = ?1 AND number = ?2")?
            .exists(params![row, device])?;
        if is_listed {
            listed.insert(*device);
        }
    }
    Ok(PrekeyFacts { account, token, devices: listed })
}

/// As [`crate::backend::Directory::standing_prekeys`].
pub(super) fn standing_prekeys(
    db: &Connection,
    devices: &[DeviceAddress],
) -> rusqlite::Result<HashMap<DeviceAddress, Standing>> {
    let mut standing = HashMap::new();
    for device in devices {
        let Some(row) = device_row(db, device)? else { continue };
        let found = db.prepare_cached("SELECT signed_prekey, last_resort_kem FROM device WHERE id = ?1")?.query_row(
            [row],
            |row| {
                let key = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<Vec<u8>>>(column)?.map(Bytes::from));
                Ok(Standing { signed_prekey: key(0)?, last_resort_kem: key(1)? })
            },
        )?;
        standing.insert(*device, found);
    }
    Ok(standing)
}

fn take_one(db: &Connection, device: i64, kind: i64) -> rusqlite::Result<Option<Bytes>> {
    let taken: Option<Vec<u8>> = db
        .prepare_cached(
            "DELETE FROM prekey WHERE device = ?1 AND kind = ?2
             AND key_id = (SELECT min(key_id) FROM prekey WHERE device = ?1 AND kind = ?2) RETURNING bytes",
        )?
        // The statement has to run to its end, or the row would come back.
        .query_map(params![device, kind], |row| row.get(0))?
        .collect::<Result<Vec<_>, _>>()?
        .pop();
    Ok(taken.map(Bytes::from))
}

pub(super) fn take(db: &Connection, take: &Take) -> rusqlite::Result<OneTime> {
    // Removed a moment ago: it has nothing left.
    let Some(row) = device_row(db, &take.device)? else { return Ok(OneTime::default()) };
    if let Some(token) = &take.token {
        db.prepare_cached(
            "UPDATE contact_token SET prekeys = prekeys + 1
             WHERE hash = ?2 AND account = (SELECT account FROM device WHERE id = ?1)",
        )?
        .execute(params![row, token.0.as_slice()])?;
    }
    if !take.one_time {
        return Ok(OneTime::default());
    }
    let (ec, kem) = (take_one(db, row, EC)?, take_one(db, row, KEM)?);
    Ok(OneTime { ec, kem, left: Some(prekey_count(db, row)?) })
}
