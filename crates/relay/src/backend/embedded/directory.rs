//! Accounts, device lists, prekeys and capabilities in SQLite.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use subrosa_wire::{
    AccountId, CapabilityHash, DeviceAddress, Handle,
    http::{ACCOUNT_RECORD_BYTES, Devices},
    mailbox::{PrekeyUpload, TokenUses},
};

use super::{
    Embedded, capabilities,
    columns::account_id,
    facts::{NOBODY, device_row},
    fair::Cost,
    lists, prekeys,
    writer::OpError,
};
use crate::{
    backend::{DeviceFacts, Directory, KeyScope, OneTime, PrekeyFacts, Source, StoreError, Take},
    clock::now_ms,
    policy::{
        facts::Keys,
        identity::DeviceList,
        mailbox::{Login, judge_login},
        prekeys::Standing,
        registration::Registration,
    },
};

/// Rows that a question of one account reads and writes, about.
pub(super) const FEW: Cost = Cost::rows(4);

/// A device is connected today. Gives how many days it was away.
fn seen(db: &Connection, device: i64, today: u32) -> rusqlite::Result<u32> {
    let before: u32 =
        db.prepare_cached("SELECT seen_day FROM device WHERE id = ?1")?.query_row([device], |row| row.get(0))?;
    if before < today {
        db.prepare_cached("UPDATE device SET seen_day = ?2 WHERE id = ?1")?.execute(params![device, today])?;
    }
    Ok(today.saturating_sub(before))
}

fn log_in(db: &Connection, login: &Login, today: u32) -> Result<u32, OpError> {
    let Some(row) = device_row(db, &login.device)? else { return Ok(0) };
    let mark: Option<[u8; 32]> =
        db.prepare_cached("SELECT login_mark FROM device WHERE id = ?1")?.query_row([row], |row| row.get(0))?;
    judge_login(mark.as_ref(), login)?;
    db.prepare_cached("UPDATE device SET login_mark = ?2 WHERE id = ?1")?.execute(params![row, login.mark])?;
    Ok(seen(db, row, today)?)
}

impl Directory for Embedded {
    async fn register(&self, source: Source, registration: Registration) -> Result<(), StoreError> {
        self.writer.change(source, FEW, move |db| lists::register(db, &registration, now_ms())).await
    }

    async fn resolve(&self, handle: Handle) -> Result<Option<(AccountId, bool)>, StoreError> {
        self.readers
            .read(move |db| {
                db.prepare_cached("SELECT account, disabled FROM account WHERE handle = ?1")?
                    .query_row([handle.as_str()], |row| Ok((account_id(row, 0)?, row.get(1)?)))
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

    async fn device(&self, device: DeviceAddress) -> Result<Option<DeviceFacts>, StoreError> {
        self.readers
            .read(move |db| {
                let found: Option<(i64, [u8; 32], bool)> = db
                    .prepare_cached(
                        "SELECT device.id, device.identity, account.disabled
                         FROM device JOIN account ON account.id = device.account
                         WHERE account.account = ?1 AND device.number = ?2",
                    )?
                    .query_row(params![device.account.0.as_slice(), device.device], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })
                    .optional()?;
                let Some((row, identity, disabled)) = found else { return Ok(None) };
                Ok(Some(DeviceFacts { identity, disabled, prekeys: prekeys::prekey_count(db, row)? }))
            })
            .await
    }

    async fn log_in(&self, source: Source, login: Login, today: u32) -> Result<u32, StoreError> {
        self.writer.change(source, Cost::rows(1), move |db| log_in(db, &login, today)).await
    }

    async fn seen(&self, source: Source, device: DeviceAddress, today: u32) -> Result<(), StoreError> {
        self.writer
            .change(source, Cost::rows(1), move |db| {
                if let Some(row) = device_row(db, &device)? {
                    seen(db, row, today)?;
                }
                Ok(())
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
        self.writer.change(source, cost, move |db| lists::put_device_list(db, &list_bytes, &list)).await
    }

    async fn put_prekeys(&self, source: Source, device: DeviceAddress, upload: PrekeyUpload) -> Result<(), StoreError> {
        let keys = || upload.one_time_ec.iter().chain(&upload.one_time_kem);
        let cost = Cost { weight: FEW.weight + keys().count(), bytes: keys().map(Bytes::len).sum() };
        self.writer.change(source, cost, move |db| prekeys::put_prekeys(db, &device, &upload)).await
    }

    async fn prekey_facts(
        &self,
        account: AccountId,
        devices: Vec<u32>,
        shown: Option<(CapabilityHash, CapabilityHash)>,
        today: u32,
    ) -> Result<PrekeyFacts, StoreError> {
        self.readers.read(move |db| prekeys::prekey_facts(db, &account, &devices, shown.as_ref(), today)).await
    }

    async fn standing_prekeys(
        &self,
        devices: Vec<DeviceAddress>,
    ) -> Result<HashMap<DeviceAddress, Standing>, StoreError> {
        self.readers.read(move |db| prekeys::standing_prekeys(db, &devices)).await
    }

    async fn take_prekeys(&self, source: Source, takes: Vec<Take>) -> Result<Vec<OneTime>, StoreError> {
        let cost = Cost::rows(FEW.weight * takes.len());
        let take =
            move |db: &Connection| Ok(takes.iter().map(|take| prekeys::take(db, take)).collect::<Result<_, _>>()?);
        self.writer.change(source, cost, take).await
    }

    async fn set_keys(
        &self,
        source: Source,
        account: AccountId,
        scope: KeyScope,
        keys: Keys,
    ) -> Result<(), StoreError> {
        let set = move |db: &Connection| Ok(capabilities::set_keys(db, &account, scope, &keys)?);
        self.writer.change(source, FEW, set).await
    }

    async fn put_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
        expires_ms: u64,
        uses: TokenUses,
    ) -> Result<(), StoreError> {
        let put =
            move |db: &Connection| capabilities::put_contact_token(db, &account, &token, (expires_ms, uses), now_ms());
        self.writer.change(source, FEW, put).await
    }

    async fn remove_contact_token(
        &self,
        source: Source,
        account: AccountId,
        token: CapabilityHash,
    ) -> Result<(), StoreError> {
        let remove = move |db: &Connection| Ok(capabilities::remove_contact_token(db, &account, &token)?);
        self.writer.change(source, FEW, remove).await
    }

    async fn remove_account(&self, source: Source, account: AccountId) -> Result<Vec<DeviceAddress>, StoreError> {
        self.writer.change(source, FEW, move |db| lists::remove_account(db, &account)).await
    }
}
