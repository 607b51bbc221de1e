//! What the operator may see and change: registration tokens, accounts, totals. Nothing here reads mail.

use std::future::Future;

use rusqlite::{Connection, OptionalExtension, params};
use subrosa_wire::{AccountId, CapabilityHash, DeviceAddress, ErrorCode};

use super::{
    Embedded, Source, StoreError,
    columns::account_id,
    directory::{FEW, remove_device},
    fair::Cost,
    mailbox::sql_int,
    writer::{Kind, OpError},
};
use crate::clock::now_ms;

/// Registration tokens that may exist at once: an operator hands them out one by one, a script gone wild makes more.
const MAX_REGISTRATION_TOKENS: i64 = 10_000;

/// A registration token to be added.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// SHA-256 of the token: itself it is stored nowhere.
    pub hash: CapabilityHash,
    /// Whom it is for, in the operator's words.
    pub note: String,
    /// How many accounts it lets in.
    pub uses: u32,
    /// When it ends, milliseconds since 1970; `None` = never.
    pub expires_ms: Option<u64>,
}

/// A registration token as the operator sees it.
#[derive(Debug, Clone)]
pub struct TokenFacts {
    /// SHA-256 of the token.
    pub hash: CapabilityHash,
    /// Whom it is for.
    pub note: String,
    /// How many accounts it lets in.
    pub uses: u32,
    /// How many it has let in.
    pub used: u32,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends; `None` = never.
    pub expires_ms: Option<u64>,
}

/// An account as the operator sees it.
#[derive(Debug, Clone)]
pub struct AccountFacts {
    /// Its id.
    pub account: AccountId,
    /// Its alias here.
    pub handle: String,
    /// Devices on its list.
    pub devices: u32,
    /// Day of registration, days since 1970.
    pub created_day: u64,
    /// Whether the operator has disabled it.
    pub disabled: bool,
    /// Envelopes that wait for its devices.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
}

/// Sums over everything stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Accounts.
    pub accounts: u64,
    /// Those that are disabled.
    pub disabled: u64,
    /// Devices.
    pub devices: u64,
    /// Waiting envelopes.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Envelopes in the fullest mailbox.
    pub deepest: u64,
    /// When the oldest waiting envelope came, milliseconds since 1970.
    pub oldest_ms: Option<u64>,
}

/// What the operator's socket asks.
pub trait Operators: Send + Sync + 'static {
    /// Adds a registration token.
    fn add_registration_token(&self, token: NewToken) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// All registration tokens, oldest first.
    fn registration_tokens(&self) -> impl Future<Output = Result<Vec<TokenFacts>, StoreError>> + Send;
    /// Removes the token whose hash begins like this, if there is exactly one. Gives how many there are.
    fn revoke_registration_token(&self, prefix: Vec<u8>) -> impl Future<Output = Result<usize, StoreError>> + Send;
    /// At most `limit` accounts behind a handle, in the order of their handles.
    fn accounts(
        &self,
        after: String,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AccountFacts>, StoreError>> + Send;
    /// Disables or enables an account; gives its devices.
    fn set_disabled(
        &self,
        account: AccountId,
        disabled: bool,
    ) -> impl Future<Output = Result<Vec<DeviceAddress>, StoreError>> + Send;
    /// Removes an account with all that waits for it; gives its devices. Its handle stays its own.
    fn remove_account(&self, account: AccountId)
    -> impl Future<Output = Result<Vec<DeviceAddress>, StoreError>> + Send;
    /// The account with this handle, also a disabled one.
    fn find_account(&self, handle: String) -> impl Future<Output = Result<Option<AccountId>, StoreError>> + Send;
    /// Sums over everything. Reads every device row: `Shared::totals` remembers them for who asks often.
    fn totals(&self) -> impl Future<Output = Result<Totals, StoreError>> + Send;
    /// Makes a commit that counts like a submission: whether mail can be stored now.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, Option<i64>>(column)?.unwrap_or(0)).unwrap_or(0))
}

fn add_token(db: &Connection, token: &NewToken, now_ms: u64) -> Result<(), OpError> {
    let held: i64 = db.query_row("SELECT count(*) FROM registration_token", [], |row| row.get(0))?;
    if held >= MAX_REGISTRATION_TOKENS {
        return Err(StoreError::refused(ErrorCode::QuotaExceeded).into());
    }
    db.execute(
        "INSERT INTO registration_token (hash, note, uses, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![token.hash.0.as_slice(), token.note, token.uses, sql_int(now_ms), token.expires_ms.map(sql_int)],
    )?;
    Ok(())
}

fn devices_of(db: &Connection, account: &AccountId) -> Result<(i64, Vec<(i64, DeviceAddress)>), OpError> {
    let row: i64 = db
        .query_row("SELECT id FROM account WHERE account = ?1", [account.0.as_slice()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::refused(ErrorCode::NotFound))?;
    let devices = db
        .prepare_cached("SELECT id, number FROM device WHERE account = ?1")?
        .query_map([row], |device| Ok((device.get(0)?, DeviceAddress { account: *account, device: device.get(1)? })))?
        .collect::<Result<_, _>>()?;
    Ok((row, devices))
}

fn addresses(devices: Vec<(i64, DeviceAddress)>) -> Vec<DeviceAddress> {
    devices.into_iter().map(|(_, address)| address).collect()
}

fn remove(db: &Connection, account: &AccountId) -> Result<Vec<DeviceAddress>, OpError> {
    let (row, devices) = devices_of(db, account)?;
    for (device, _) in &devices {
        remove_device(db, row, *device)?;
    }
    db.execute("DELETE FROM contact_token WHERE account = ?1", [row])?;
    db.execute(
        "INSERT OR REPLACE INTO retired_handle (handle, account) SELECT handle, account FROM account WHERE id = ?1",
        [row],
    )?;
    db.execute("DELETE FROM account WHERE id = ?1", [row])?;
    Ok(addresses(devices))
}

fn totals(db: &Connection) -> rusqlite::Result<Totals> {
    let (accounts, disabled) =
        db.query_row("SELECT count(*), sum(disabled) FROM account", [], |row| Ok((count(row, 0)?, count(row, 1)?)))?;
    let sums = "SELECT count(*), sum(waiting_rows), sum(waiting_bytes), max(waiting_rows) FROM device";
    let mut totals = db.query_row(sums, [], |row| {
        Ok(Totals {
            accounts,
            disabled,
            devices: count(row, 0)?,
            waiting: count(row, 1)?,
            waiting_bytes: count(row, 2)?,
            deepest: count(row, 3)?,
            oldest_ms: None,
        })
    })?;
    // The first row of each mailbox is its oldest: one look for each mailbox that has any, instead of all rows.
    let oldest: Option<i64> = db.query_row(
        "SELECT min((SELECT received_ms FROM mailbox WHERE mailbox.device = device.id ORDER BY seq LIMIT 1))
         FROM device WHERE waiting_rows > 0",
        [],
        |row| row.get(0),
    )?;
    totals.oldest_ms = oldest.and_then(|oldest| u64::try_from(oldest).ok());
    Ok(totals)
}

impl Operators for Embedded {
    async fn add_registration_token(&self, token: NewToken) -> Result<(), StoreError> {
        self.writer.change(Source::RELAY, FEW, move |db| add_token(db, &token, now_ms())).await
    }

    async fn registration_tokens(&self) -> Result<Vec<TokenFacts>, StoreError> {
        self.readers
            .read(|db| {
                db.prepare_cached(
                    "SELECT hash, note, uses, used, created_ms, expires_ms FROM registration_token ORDER BY created_ms",
                )?
                .query_map([], |row| {
                    Ok(TokenFacts {
                        hash: CapabilityHash(row.get(0)?),
                        note: row.get(1)?,
                        uses: row.get(2)?,
                        used: row.get(3)?,
                        created_ms: count(row, 4)?,
                        expires_ms: row.get::<_, Option<i64>>(5)?.and_then(|at| u64::try_from(at).ok()),
                    })
                })?
                .collect()
            })
            .await
    }

    async fn revoke_registration_token(&self, prefix: Vec<u8>) -> Result<usize, StoreError> {
        self.writer
            .change(Source::RELAY, FEW, move |db| {
                let matching = "substr(hash, 1, length(?1)) = ?1";
                let found: i64 = db.query_row(
                    &format!("SELECT count(*) FROM registration_token WHERE {matching}"),
                    [&prefix],
                    |row| row.get(0),
                )?;
                if found == 1 {
                    db.execute(&format!("DELETE FROM registration_token WHERE {matching}"), [&prefix])?;
                }
                Ok(usize::try_from(found).unwrap_or(0))
            })
            .await
    }

    async fn accounts(&self, after: String, limit: usize) -> Result<Vec<AccountFacts>, StoreError> {
        self.readers
            .read(move |db| {
                db.prepare_cached(
                    "SELECT account.account, handle, count(device.id), created_day, disabled,
                            sum(waiting_rows), sum(waiting_bytes)
                     FROM account LEFT JOIN device ON device.account = account.id
                     WHERE handle > ?1 GROUP BY account.id ORDER BY handle LIMIT ?2",
                )?
                .query_map(params![after, sql_int(limit as u64)], |row| {
                    Ok(AccountFacts {
                        account: account_id(row, 0)?,
                        handle: row.get(1)?,
                        devices: row.get(2)?,
                        created_day: count(row, 3)?,
                        disabled: row.get(4)?,
                        waiting: count(row, 5)?,
                        waiting_bytes: count(row, 6)?,
                    })
                })?
                .collect()
            })
            .await
    }

    async fn set_disabled(&self, account: AccountId, disabled: bool) -> Result<Vec<DeviceAddress>, StoreError> {
        self.writer
            .change(Source::RELAY, FEW, move |db| {
                let (row, devices) = devices_of(db, &account)?;
                db.execute("UPDATE account SET disabled = ?2 WHERE id = ?1", params![row, disabled])?;
                Ok(addresses(devices))
            })
            .await
    }

    async fn remove_account(&self, account: AccountId) -> Result<Vec<DeviceAddress>, StoreError> {
        self.writer.change(Source::RELAY, FEW, move |db| remove(db, &account)).await
    }

    async fn find_account(&self, handle: String) -> Result<Option<AccountId>, StoreError> {
        self.readers
            .read(move |db| {
                db.prepare_cached("SELECT account FROM account WHERE handle = ?1")?
                    .query_row([handle], |row| account_id(row, 0))
                    .optional()
            })
            .await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.readers.read(totals).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let write = |db: &Connection| {
            db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', x'')", [])?;
            Ok(())
        };
        let done = self.writer.enqueue(Source::RELAY, Cost::rows(1), Kind::Submission, write).await?;
        done.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store has stopped".to_owned())))
    }
}
