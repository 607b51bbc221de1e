//! What the operator may see and change. Nothing here reads mail.

use rusqlite::{Connection, OptionalExtension, params};
use subrosa_wire::{AccountId, CapabilityHash, DeviceAddress};

use super::{
    Embedded,
    columns::account_id,
    directory::FEW,
    facts::{number, sql_int},
    lists::devices_of,
    writer::OpError,
};
use crate::{
    backend::{AccountFacts, NewToken, Operators, Source, StoreError, TokenFacts, Totals},
    clock::now_ms,
    policy::judge_registration_token,
};

fn add_token(db: &Connection, token: &NewToken, now_ms: u64) -> Result<(), OpError> {
    judge_registration_token(db.query_row("SELECT count(*) FROM registration_token", [], |row| row.get(0))?)?;
    db.execute(
        "INSERT INTO registration_token (hash, note, uses, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![token.hash.0.as_slice(), token.note, token.uses, sql_int(now_ms), token.expires_ms.map(sql_int)],
    )?;
    Ok(())
}

fn totals(db: &Connection) -> rusqlite::Result<Totals> {
    let (accounts, disabled) =
        db.query_row("SELECT count(*), sum(disabled) FROM account", [], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    let sums = "SELECT count(*), sum(waiting_rows), sum(waiting_bytes), max(waiting_rows) FROM device";
    let mut totals = db.query_row(sums, [], |row| {
        Ok(Totals {
            accounts,
            disabled,
            devices: number(row, 0)?,
            waiting: number(row, 1)?,
            waiting_bytes: number(row, 2)?,
            deepest: number(row, 3)?,
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
                        created_ms: number(row, 4)?,
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
                        created_day: number(row, 3)?,
                        disabled: row.get(4)?,
                        waiting: number(row, 5)?,
                        waiting_bytes: number(row, 6)?,
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
                Ok(devices)
            })
            .await
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
}
