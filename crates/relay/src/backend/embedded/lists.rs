//! Accounts and their device lists: one comes, a list replaces another, one goes.

use rusqlite::{Connection, OptionalExtension, params};
use subrosa_wire::{AccountId, DeviceAddress};

use super::{columns::account_id, facts::sql_int, mailbox::delete_upto, writer::OpError};
use crate::{
    clock::{MS_PER_DAY, today},
    policy::{
        device_list::{Held, judge_list},
        found,
        identity::{Device, DeviceList},
        registration::{Admission, Registered, Registration, RegistrationFacts, judge_registration},
    },
};

fn insert_device(db: &Connection, account: i64, device: &Device, seq_floor: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO device (account, number, identity, last_seq, seen_day) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![account, device.number, device.identity.as_slice(), seq_floor, today()])?;
    Ok(())
}

fn registration_facts(db: &Connection, wanted: &Registration) -> rusqlite::Result<RegistrationFacts> {
    let (account, handle) = (wanted.list.account.0.as_slice(), wanted.handle.as_str());
    let existing = db
        .prepare_cached("SELECT record, handle, list FROM account WHERE account = ?1")?
        .query_row([account], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let token = match wanted.admission {
        Admission::Token(Some(token)) => db
            .prepare_cached("SELECT uses - used, expires_ms FROM registration_token WHERE hash = ?1")?
            .query_row([token.0.as_slice()], |row| {
                let left: i64 = row.get(0)?;
                let ends = row.get::<_, Option<i64>>(1)?.map(|ms| u64::try_from(ms).unwrap_or(0));
                Ok((u32::try_from(left).unwrap_or(0), ends))
            })
            .optional()?,
        Admission::Open | Admission::Closed | Admission::Token(None) => None,
    };
    let owner = |sql| db.prepare_cached(sql)?.query_row([handle], |row| account_id(row, 0)).optional();
    Ok(RegistrationFacts {
        existing,
        token,
        handle_of: owner("SELECT account FROM account WHERE handle = ?1")?,
        retired_of: owner("SELECT account FROM retired_handle WHERE handle = ?1")?,
    })
}

pub(super) fn register(db: &Connection, wanted: &Registration, now_ms: u64) -> Result<(), OpError> {
    let Registered::New(token) = judge_registration(&registration_facts(db, wanted)?, wanted, now_ms)? else {
        return Ok(());
    };
    if let Some(token) = token {
        db.prepare_cached("UPDATE registration_token SET used = used + 1 WHERE hash = ?1")?
            .execute([token.0.as_slice()])?;
    }
    let account = db
        .prepare_cached(
            "INSERT INTO account (account, record, handle, list, list_version, created_day)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .insert(params![
            wanted.list.account.0.as_slice(),
            wanted.record.as_slice(),
            wanted.handle.as_str(),
            &wanted.list_bytes[..],
            wanted.list.version,
            sql_int(now_ms / MS_PER_DAY),
        ])?;
    for device in &wanted.list.devices {
        insert_device(db, account, device, 0)?;
    }
    Ok(())
}

/// An account's list, with its row number and the number below which no device that comes later starts.
fn held(db: &Connection, account: &AccountId) -> rusqlite::Result<Option<(i64, i64, Held)>> {
    let row: Option<(i64, i64, Vec<u8>, u32)> = db
        .prepare_cached("SELECT id, seq_floor, list, list_version FROM account WHERE account = ?1")?
        .query_row([account.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((account, seq_floor, bytes, version)) = row else { return Ok(None) };
    let devices = db
        .prepare_cached("SELECT number, identity FROM device WHERE account = ?1")?
        .query_map([account], |row| Ok(Device { number: row.get(0)?, identity: row.get(1)? }))?
        .collect::<Result<_, _>>()?;
    Ok(Some((account, seq_floor, Held { bytes, version, devices })))
}

pub(super) fn put_device_list(db: &Connection, bytes: &[u8], list: &DeviceList) -> Result<Vec<DeviceAddress>, OpError> {
    let (account, mut seq_floor, held) = found(held(db, &list.account)?)?;
    let Some(replaced) = judge_list(&held, bytes, list)? else { return Ok(Vec::new()) };
    for number in &replaced.gone {
        seq_floor = seq_floor.max(remove_device(db, account, *number)?);
    }
    for device in &replaced.new {
        insert_device(db, account, device, seq_floor)?;
    }
    db.prepare_cached("UPDATE account SET list = ?2, list_version = ?3, seq_floor = ?4 WHERE id = ?1")?
        .execute(params![account, bytes, list.version, seq_floor])?;
    Ok(replaced.gone.into_iter().map(|device| DeviceAddress { account: list.account, device }).collect())
}

/// Deletes a device with its mailbox and prekeys. Gives the highest number of its mailbox: it stays used.
fn remove_device(db: &Connection, account: i64, number: u32) -> rusqlite::Result<i64> {
    let (device, last_seq): (i64, i64) = db
        .prepare_cached("SELECT id, last_seq FROM device WHERE account = ?1 AND number = ?2")?
        .query_row(params![account, number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    delete_upto(db, device, u64::MAX)?;
    db.prepare_cached("DELETE FROM prekey WHERE device = ?1")?.execute([device])?;
    db.prepare_cached("DELETE FROM device WHERE id = ?1")?.execute([device])?;
    Ok(last_seq)
}

/// The devices of an account, and its row number.
pub(super) fn devices_of(db: &Connection, account: &AccountId) -> Result<(i64, Vec<DeviceAddress>), OpError> {
    let row: Option<i64> = db
        .prepare_cached("SELECT id FROM account WHERE account = ?1")?
        .query_row([account.0.as_slice()], |row| row.get(0))
        .optional()?;
    let row = found(row)?;
    let devices = db
        .prepare_cached("SELECT number FROM device WHERE account = ?1")?
        .query_map([row], |device| Ok(DeviceAddress { account: *account, device: device.get(0)? }))?
        .collect::<Result<_, _>>()?;
    Ok((row, devices))
}

/// Removes an account and all that is its own; its handle stays taken.
pub(super) fn remove_account(db: &Connection, account: &AccountId) -> Result<Vec<DeviceAddress>, OpError> {
    let (row, devices) = devices_of(db, account)?;
    for device in &devices {
        remove_device(db, row, device.device)?;
    }
    db.execute("DELETE FROM contact_token WHERE account = ?1", [row])?;
    db.execute(
        "INSERT OR REPLACE INTO retired_handle (handle, account) SELECT handle, account FROM account WHERE id = ?1",
        [row],
    )?;
    db.execute("DELETE FROM account WHERE id = ?1", [row])?;
    Ok(devices)
}
