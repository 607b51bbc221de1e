//! Accounts, device lists, prekeys and capabilities in SQLite.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use subrosa_wire::{
    AccountId, Capability, CapabilityHash, DeviceAddress, ErrorCode, Handle,
    http::{ACCOUNT_RECORD_BYTES, Devices, Prekeys},
    limits::{
        LOW_ONE_TIME_EC, LOW_ONE_TIME_KEM, MAX_CONTACT_TOKENS, MAX_ONE_TIME_EC, MAX_ONE_TIME_KEM, MAX_TOKEN_PREKEYS,
    },
    mailbox::PrekeyUpload,
    submit::Refusal,
};

use super::{
    Admission, Directory, Embedded, Registration, Source, StoreError, Taken,
    columns::account_id,
    fair::Cost,
    intake::{NOBODY, account_row, delivery_key_fits, token_row},
    mailbox::{delete_upto, device_row, prekey_count, sql_int},
    shares::Shares,
    writer::OpError,
};
use crate::{
    clock::{now_ms, today},
    policy::{
        identity::{Device, DeviceList},
        limits::UNAVAILABLE_RETRY_S,
    },
};

/// `prekey.kind` of X25519 keys.
const EC: i64 = 1;
/// `prekey.kind` of ML-KEM-1024 keys.
const KEM: i64 = 2;

/// Rows that a question of one account reads and writes, about.
pub(super) const FEW: Cost = Cost::rows(4);

const MS_PER_DAY: u64 = 24 * 3600 * 1000;

fn refused(code: ErrorCode) -> OpError {
    OpError::Refused(StoreError::refused(code))
}

fn insert_device(
    db: &Connection,
    account: i64,
    number: u32,
    identity: &[u8; 32],
    seq_floor: i64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO device (account, number, identity, last_seq, seen_day) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![account, number, identity.as_slice(), seq_floor, today()])?;
    Ok(())
}

fn register(db: &Connection, wanted: &Registration, now_ms: u64) -> Result<(), OpError> {
    let existing: Option<(Vec<u8>, String, Vec<u8>)> = db
        .prepare_cached("SELECT record, handle, list FROM account WHERE account = ?1")?
        .query_row([wanted.list.account.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((record, handle, list)) = existing {
        let same = record == wanted.record && handle == wanted.handle.as_str() && list == wanted.list_bytes;
        return if same { Ok(()) } else { Err(refused(ErrorCode::AccountExists)) };
    }
    // A refusal further down undoes the use of the token.
    admit(db, wanted.admission, now_ms)?;
    let taken = db.prepare_cached("SELECT 1 FROM account WHERE handle = ?1")?.exists([wanted.handle.as_str()])?;
    let retired = db
        .prepare_cached("SELECT 1 FROM retired_handle WHERE handle = ?1 AND account <> ?2")?
        .exists(params![wanted.handle.as_str(), wanted.list.account.0.as_slice()])?;
    if taken || retired {
        return Err(refused(ErrorCode::HandleTaken));
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
        insert_device(db, account, device.number, &device.identity, 0)?;
    }
    Ok(())
}

/// Lets somebody in or not, and uses the token up.
fn admit(db: &Connection, admission: Admission, now_ms: u64) -> Result<(), OpError> {
    let token = match admission {
        Admission::Open => return Ok(()),
        Admission::Closed => return Err(refused(ErrorCode::RegistrationClosed)),
        Admission::Token(None) => return Err(refused(ErrorCode::RegistrationTokenNeeded)),
        Admission::Token(Some(token)) => token,
    };
    let used = db
        .prepare_cached(
            "UPDATE registration_token SET used = used + 1
             WHERE hash = ?1 AND used < uses AND coalesce(expires_ms > ?2, TRUE)",
        )?
        .execute(params![token.0.as_slice(), sql_int(now_ms)])?;
    if used == 0 { Err(refused(ErrorCode::RegistrationTokenRefused)) } else { Ok(()) }
}

fn put_device_list(db: &Connection, bytes: &[u8], list: &DeviceList) -> Result<Vec<DeviceAddress>, OpError> {
    let (account, held, version): (i64, Vec<u8>, u32) = db
        .prepare_cached("SELECT id, list, list_version FROM account WHERE account = ?1")?
        .query_row([list.account.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or_else(|| refused(ErrorCode::NotFound))?;
    if held == bytes {
        return Ok(Vec::new());
    }
    if list.version <= version {
        return Err(refused(ErrorCode::OldDeviceList));
    }
    let before: Vec<(i64, u32, [u8; 32])> = db
        .prepare_cached("SELECT id, number, identity FROM device WHERE account = ?1")?
        .query_map([account], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    // As every receiver of the list does it: a device that was not here is new, and has a number that was never used.
    let highest = DeviceList::stored_highest(&held).unwrap_or(u32::MAX);
    let is_held =
        |device: &Device| before.iter().any(|(_, number, key)| (*number, *key) == (device.number, device.identity));
    if list.highest < highest || list.devices.iter().any(|device| device.number <= highest && !is_held(device)) {
        return Err(refused(ErrorCode::OldDeviceList));
    }
    let mut wanted: BTreeMap<u32, [u8; 32]> =
        list.devices.iter().map(|device| (device.number, device.identity)).collect();
    let mut gone = Vec::new();
    for (row, number, identity) in before {
        // The same number with another key is another device: it must not inherit a mailbox.
        if wanted.get(&number) == Some(&identity) {
            wanted.remove(&number);
        } else {
            remove_device(db, account, row)?;
            gone.push(DeviceAddress { account: list.account, device: number });
        }
    }
    let seq_floor: i64 =
        db.prepare_cached("SELECT seq_floor FROM account WHERE id = ?1")?.query_row([account], |row| row.get(0))?;
    for (number, identity) in &wanted {
        insert_device(db, account, *number, identity, seq_floor)?;
    }
    db.prepare_cached("UPDATE account SET list = ?2, list_version = ?3 WHERE id = ?1")?.execute(params![
        account,
        bytes,
        list.version
    ])?;
    Ok(gone)
}

/// Deletes a device with its mailbox and prekeys; its numbers stay used.
pub(super) fn remove_device(db: &Connection, account: i64, device: i64) -> rusqlite::Result<()> {
    delete_upto(db, device, u64::MAX)?;
    db.prepare_cached("DELETE FROM prekey WHERE device = ?1")?.execute([device])?;
    db.prepare_cached(
        "UPDATE account SET seq_floor = max(seq_floor, (SELECT last_seq FROM device WHERE id = ?2)) WHERE id = ?1",
    )?
    .execute([account, device])?;
    db.prepare_cached("DELETE FROM device WHERE id = ?1")?.execute([device])?;
    Ok(())
}

fn put_prekeys(db: &Connection, device: &DeviceAddress, upload: &PrekeyUpload) -> Result<(), OpError> {
    let row = device_row(db, device)?.ok_or_else(|| refused(ErrorCode::NotFound))?;
    if let Some(key) = &upload.signed_prekey {
        db.prepare_cached("UPDATE device SET signed_prekey = ?2 WHERE id = ?1")?.execute(params![row, &key[..]])?;
    }
    if let Some(key) = &upload.last_resort_kem {
        db.prepare_cached("UPDATE device SET last_resort_kem = ?2 WHERE id = ?1")?.execute(params![row, &key[..]])?;
    }
    if upload.replace_one_time {
        db.prepare_cached("DELETE FROM prekey WHERE device = ?1")?.execute([row])?;
        // A restored client counts from where its copy stood.
        db.prepare_cached("UPDATE device SET last_ec = -1, last_kem = -1 WHERE id = ?1")?.execute([row])?;
    }
    let (last_ec, last_kem): (i64, i64) = db
        .prepare_cached("SELECT last_ec, last_kem FROM device WHERE id = ?1")?
        .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut insert =
        db.prepare_cached("INSERT OR REPLACE INTO prekey (device, kind, key_id, bytes) VALUES (?1, ?2, ?3, ?4)")?;
    let kinds = [(EC, &upload.one_time_ec), (KEM, &upload.one_time_kem)];
    for (kind, key) in kinds.iter().flat_map(|(kind, keys)| keys.iter().map(move |key| (kind, key))) {
        let id = key.first_chunk::<4>().ok_or_else(|| refused(ErrorCode::Malformed))?;
        let id = i64::from(u32::from_be_bytes(*id));
        // An upload whose answer was lost comes again: what was taken from it meanwhile is not served a second time.
        if id > if *kind == EC { last_ec } else { last_kem } {
            insert.execute(params![row, kind, id, &key[..]])?;
        }
    }
    db.prepare_cached(
        "UPDATE device SET
             last_ec = max(last_ec, coalesce((SELECT max(key_id) FROM prekey WHERE device = ?1 AND kind = ?2), -1)),
             last_kem = max(last_kem, coalesce((SELECT max(key_id) FROM prekey WHERE device = ?1 AND kind = ?3), -1))
         WHERE id = ?1",
    )?
    .execute(params![row, EC, KEM])?;
    let count = prekey_count(db, row)?;
    if count.one_time_ec as usize > MAX_ONE_TIME_EC || count.one_time_kem as usize > MAX_ONE_TIME_KEM {
        return Err(refused(ErrorCode::QuotaExceeded));
    }
    Ok(())
}

/// Signed prekey and last-resort KEM key: what everybody gets.
fn standing_prekeys(db: &Connection, device: i64) -> Result<Prekeys, OpError> {
    let (signed, kem): (Option<Vec<u8>>, Option<Vec<u8>>) = db
        .prepare_cached("SELECT signed_prekey, last_resort_kem FROM device WHERE id = ?1")?
        .query_row([device], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(signed), Some(kem)) = (signed, kem) else {
        // Registered a moment ago and not yet done with its first upload.
        let refusal = Refusal { code: ErrorCode::Unavailable, retry_after_s: UNAVAILABLE_RETRY_S };
        return Err(StoreError::Refused(refusal).into());
    };
    Ok(Prekeys { signed_prekey: signed.into(), one_time_ec: None, kem: kem.into(), kem_last_resort: true })
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

fn take_with_capability(
    db: &Connection,
    device: &DeviceAddress,
    capability: &Capability,
    (shares, source): (&Shares, Source),
    now_ms: u64,
) -> Result<Taken, OpError> {
    let wrong = || refused(ErrorCode::CapabilityRefused);
    let Some(account) = account_row(db, &device.account)? else {
        // Asked the same things as one that exists, so that both take as long.
        if let Capability::ContactToken { token, binding } = capability {
            let _ = token_row(db, NOBODY, &token.hash(), &binding.hash(), now_ms)?;
        }
        return Err(wrong());
    };
    match capability {
        Capability::DeliveryKey(key) if delivery_key_fits(&account, &key.hash(), now_ms) => {}
        Capability::DeliveryKey(_) => return Err(wrong()),
        Capability::ContactToken { token, binding } => {
            let token = token.hash();
            let row = token_row(db, account.id, &token, &binding.hash(), now_ms)?.map_err(refused)?;
            if row.prekeys >= MAX_TOKEN_PREKEYS {
                return Err(refused(ErrorCode::QuotaExceeded));
            }
            db.prepare_cached("UPDATE contact_token SET prekeys = prekeys + 1 WHERE account = ?1 AND hash = ?2")?
                .execute(params![account.id, token.0.as_slice()])?;
        }
    }
    if account.disabled {
        return Err(refused(ErrorCode::AccountDisabled));
    }
    let row = device_row(db, device)?.ok_or_else(|| refused(ErrorCode::NotFound))?;
    let mut prekeys = standing_prekeys(db, row)?;
    if !shares.take(source, *device, capability, subrosa_ambient::instant()) {
        return Ok(Taken { prekeys, low: None });
    }
    prekeys.one_time_ec = take_one(db, row, EC)?;
    if let Some(kem) = take_one(db, row, KEM)? {
        prekeys.kem = kem;
        prekeys.kem_last_resort = false;
    }
    let count = prekey_count(db, row)?;
    let is_low = (count.one_time_ec as usize) < LOW_ONE_TIME_EC || (count.one_time_kem as usize) < LOW_ONE_TIME_KEM;
    Ok(Taken { prekeys, low: is_low.then_some(count) })
}

fn put_contact_token(
    db: &Connection,
    account: &AccountId,
    token: &CapabilityHash,
    expires_ms: u64,
    now_ms: u64,
) -> Result<(), OpError> {
    let row = account_row(db, account)?.ok_or_else(|| refused(ErrorCode::NotFound))?.id;
    db.prepare_cached("DELETE FROM contact_token WHERE account = ?1 AND expires_ms <= ?2")?
        .execute(params![row, sql_int(now_ms)])?;
    // The same token again keeps its binding and its counts.
    db.prepare_cached(
        "INSERT INTO contact_token (account, hash, expires_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (account, hash) DO UPDATE SET expires_ms = excluded.expires_ms",
    )?
    .execute(params![row, token.0.as_slice(), sql_int(expires_ms)])?;
    let open: i64 = db
        .prepare_cached("SELECT count(*) FROM contact_token WHERE account = ?1")?
        .query_row([row], |row| row.get(0))?;
    if open > sql_int(MAX_CONTACT_TOKENS as u64) {
        return Err(refused(ErrorCode::QuotaExceeded));
    }
    Ok(())
}

impl Directory for Embedded {
    async fn register(&self, source: Source, registration: Registration) -> Result<(), StoreError> {
        self.writer.change(source, FEW, move |db| register(db, &registration, now_ms())).await
    }

    async fn resolve(&self, handle: Handle) -> Result<Option<AccountId>, StoreError> {
        self.readers
            .read(move |db| {
                db.prepare_cached("SELECT account FROM account WHERE handle = ?1 AND disabled = 0")?
                    .query_row([handle.as_str()], |row| account_id(row, 0))
                    .optional()
            })
            .await
    }

    async fn devices(&self, account: AccountId) -> Result<Option<Devices>, StoreError> {
        self.readers
            .read(move |db| {
                db.prepare_cached("SELECT record, list FROM account WHERE account = ?1")?
                    .query_row([account.0.as_slice()], |row| {
                        Ok(Devices {
                            account_record: row.get::<_, [u8; ACCOUNT_RECORD_BYTES]>(0)?,
                            device_list: row.get::<_, Vec<u8>>(1)?.into(),
                        })
                    })
                    .optional()
            })
            .await
    }

    async fn identity(&self, device: DeviceAddress) -> Result<Option<[u8; 32]>, StoreError> {
        self.readers
            .read(move |db| {
                // An account that does not exist is looked up like one that does, so that both take as long.
                let account: Option<i64> = db
                    .prepare_cached("SELECT id FROM account WHERE account = ?1")?
                    .query_row([device.account.0.as_slice()], |row| row.get(0))
                    .optional()?;
                db.prepare_cached("SELECT identity FROM device WHERE account = ?1 AND number = ?2")?
                    .query_row(params![account.unwrap_or(NOBODY), device.device], |row| row.get(0))
                    .optional()
            })
            .await
    }

    async fn put_device_list(
        &self,
        source: Source,
        list_bytes: Bytes,
        list: DeviceList,
    ) -> Result<Vec<DeviceAddress>, StoreError> {
        let cost = Cost { bytes: list_bytes.len(), ..FEW };
        self.writer.change(source, cost, move |db| put_device_list(db, &list_bytes, &list)).await
    }

    async fn put_prekeys(&self, source: Source, device: DeviceAddress, upload: PrekeyUpload) -> Result<(), StoreError> {
        let keys = || upload.one_time_ec.iter().chain(&upload.one_time_kem);
        let cost = Cost { weight: FEW.weight + keys().count(), bytes: keys().map(Bytes::len).sum() };
        self.writer.change(source, cost, move |db| put_prekeys(db, &device, &upload)).await
    }

    async fn take_prekeys(
        &self,
        source: Source,
        device: DeviceAddress,
        capability: Option<Capability>,
    ) -> Result<Taken, StoreError> {
        if let Some(capability) = capability {
            let meters = Arc::clone(&self.meters);
            let take = move |db: &Connection| {
                take_with_capability(db, &device, &capability, (&meters.one_time, source), now_ms())
            };
            return self.writer.change(source, FEW, take).await;
        }
        let prekeys = self
            .readers
            .read(move |db| {
                let Some(row) = device_row(db, &device)? else {
                    return Ok(Err(StoreError::refused(ErrorCode::NotFound)));
                };
                match standing_prekeys(db, row) {
                    Ok(prekeys) => Ok(Ok(prekeys)),
                    Err(OpError::Refused(refusal)) => Ok(Err(refusal)),
                    Err(OpError::Sql(error)) => Err(error),
                }
            })
            .await??;
        Ok(Taken { prekeys, low: None })
    }

    async fn set_delivery_keys(
        &self,
        source: Source,
        account: AccountId,
        current: CapabilityHash,
        previous: Option<(CapabilityHash, u64)>,
    ) -> Result<(), StoreError> {
        self.writer
            .change(source, FEW, move |db| {
                let (previous_key, until) = previous.map_or((None, 0), |(hash, until)| (Some(hash.0), until));
                db.prepare_cached(
                    "UPDATE account SET delivery_key = ?2, previous_key = ?3, previous_until_ms = ?4
                     WHERE account = ?1",
                )?
                .execute(params![
                    account.0.as_slice(),
                    current.0.as_slice(),
                    previous_key,
                    sql_int(until)
                ])?;
                Ok(())
            })
            .await
    }

    async fn put_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
        expires_ms: u64,
    ) -> Result<(), StoreError> {
        self.writer.change(source, FEW, move |db| put_contact_token(db, &account, &token, expires_ms, now_ms())).await
    }

    async fn remove_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
    ) -> Result<(), StoreError> {
        self.writer
            .change(source, FEW, move |db| {
                db.prepare_cached(
                    "DELETE FROM contact_token WHERE hash = ?2
                     AND account = (SELECT id FROM account WHERE account = ?1)",
                )?
                .execute(params![account.0.as_slice(), token.0.as_slice()])?;
                Ok(())
            })
            .await
    }
}
