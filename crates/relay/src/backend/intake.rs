//! Submissions: permission, device list, quota, and the rows, in one transaction.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use subrosa_wire::{
    AccountId, CapabilityHash, ErrorCode,
    limits::{IDLE_DAYS, MAX_PENDING_REQUESTS, MAX_TOKEN_SUBMITS},
    mailbox::Way,
    submit::{EnvelopeClass, Refusal},
};
use subtle::ConstantTimeEq;

use super::{
    Accepted, Batch, Embedded, Intake, IntakeItem, ItemOutcome, Meters, Permission, Quotas, Source, StoreError,
    mailbox::sql_int, writer::Kind,
};
use crate::{
    clock::{now_ms, today},
    policy::limits::{IDLE_RETRY_S, MAX_STALE_LIST_BYTES, REQUESTS_FULL_RETRY_S, UNAVAILABLE_RETRY_S},
};

/// The row number of an account or device that does not exist.
pub(super) const NOBODY: i64 = -1;

/// What the checks need of a device.
struct DeviceRow {
    id: i64,
    last_seq: u64,
    rows: u64,
    bytes: u64,
    /// When it was last connected, in days since 1970.
    seen_day: u32,
}

/// What the checks need of an account.
pub(super) struct AccountRow {
    pub(super) id: i64,
    pub(super) list_version: u32,
    delivery_key: Option<[u8; 32]>,
    previous_key: Option<[u8; 32]>,
    previous_until_ms: i64,
    pub(super) disabled: bool,
}

pub(super) fn account_row(db: &Connection, account: &AccountId) -> rusqlite::Result<Option<AccountRow>> {
    db.prepare_cached(
        "SELECT id, list_version, delivery_key, previous_key, previous_until_ms, disabled
         FROM account WHERE account = ?1",
    )?
    .query_row([account.0.as_slice()], |row| {
        Ok(AccountRow {
            id: row.get(0)?,
            list_version: row.get(1)?,
            delivery_key: row.get(2)?,
            previous_key: row.get(3)?,
            previous_until_ms: row.get(4)?,
            disabled: row.get(5)?,
        })
    })
    .optional()
}

fn same(stored: Option<&[u8; 32]>, shown: &CapabilityHash) -> bool {
    stored.is_some_and(|stored| stored.ct_eq(&shown.0).into())
}

/// Whether a delivery key is one of the account's.
pub(super) fn delivery_key_fits(account: &AccountRow, key: &CapabilityHash, now_ms: u64) -> bool {
    let current = same(account.delivery_key.as_ref(), key);
    let previous = same(account.previous_key.as_ref(), key) && account.previous_until_ms > sql_int(now_ms);
    current || previous
}

/// A contact token that is alive and not bound to somebody else.
pub(super) struct TokenRow {
    pub(super) bound: bool,
    pub(super) submits: u32,
    pub(super) prekeys: u32,
}

/// Looks a token up for the holder of `binding`.
pub(super) fn token_row(
    db: &Connection,
    account: i64,
    token: &CapabilityHash,
    binding: &CapabilityHash,
    now_ms: u64,
) -> rusqlite::Result<Result<TokenRow, ErrorCode>> {
    let found: Option<(Option<[u8; 32]>, TokenRow)> = db
        .prepare_cached(
            "SELECT binding, submits, prekeys FROM contact_token
             WHERE account = ?1 AND hash = ?2 AND expires_ms > ?3",
        )?
        .query_row(params![account, token.0.as_slice(), sql_int(now_ms)], |row| {
            let binding: Option<[u8; 32]> = row.get(0)?;
            Ok((binding, TokenRow { bound: binding.is_some(), submits: row.get(1)?, prekeys: row.get(2)? }))
        })
        .optional()?;
    Ok(match found {
        None => Err(ErrorCode::CapabilityRefused),
        Some((Some(bound), _)) if !same(Some(&bound), binding) => Err(ErrorCode::TokenUsed),
        Some((_, row)) => Ok(row),
    })
}

/// One submission inside the transaction.
struct Intaking<'a> {
    db: &'a Connection,
    batch: &'a Batch,
    quotas: Quotas,
    meters: &'a Meters,
    now_ms: u64,
    /// Days since 1970.
    today: u32,
    /// One moment for all items: of two for one device, a later one is not let in where an earlier was not.
    now: Instant,
    /// Row numbers of the bodies that at least one item was stored with.
    bodies: HashMap<usize, i64>,
    /// Devices that had no room for an item of this submission: what follows for them must not overtake it.
    full: HashSet<i64>,
    /// Bytes of device lists in the answer so far.
    list_bytes: usize,
}

impl Intaking<'_> {
    fn item(&mut self, item: &IntakeItem) -> rusqlite::Result<ItemOutcome> {
        let account = account_row(self.db, &item.device.account)?;
        // An account that does not exist is asked the same things as one that does, so that both take as long.
        let device = self.device(account.as_ref().map_or(NOBODY, |account| account.id), item.device.device)?;
        if self.is_known(device.as_ref().map_or(NOBODY, |device| device.id), item)? {
            return Ok(ItemOutcome::Repeat);
        }
        let Some(account) = account else {
            if let Permission::ContactToken(token, binding) = &item.permission {
                let _ = token_row(self.db, NOBODY, token, binding, self.now_ms)?;
            }
            return Ok(unknown_account(item.permission));
        };
        let way = match self.permission(&account, item)? {
            Ok(way) => way,
            Err(refusal) => return Ok(ItemOutcome::Refused(refusal)),
        };
        if account.disabled {
            // Told only to those who may write to it.
            return Ok(ItemOutcome::Refused(Refusal::never(ErrorCode::AccountDisabled)));
        }
        let Some(DeviceRow { id: device, last_seq, rows, bytes, seen_day }) =
            device.filter(|_| item.list_version >= account.list_version)
        else {
            return self.stale(account.id);
        };
        if let Err(retry_after_s) = self.meter(item) {
            return Ok(ItemOutcome::Refused(Refusal { code: ErrorCode::RateLimited, retry_after_s }));
        }
        if self.today.saturating_sub(seen_day) >= IDLE_DAYS {
            let refusal = Refusal { code: ErrorCode::DeviceIdle, retry_after_s: IDLE_RETRY_S };
            return Ok(ItemOutcome::Refused(refusal));
        }
        if item.class == EnvelopeClass::Ephemeral {
            return Ok(ItemOutcome::HandOn(way));
        }
        let size = self.batch.bodies.get(item.body).map_or(0, Bytes::len) as u64;
        let room = rows < self.quotas.rows && bytes.saturating_add(size) <= self.quotas.bytes;
        if !room || self.full.contains(&device) {
            self.full.insert(device);
            return Ok(ItemOutcome::Full);
        }
        if way == Way::RequestLane && self.requests_waiting(device)? >= MAX_PENDING_REQUESTS {
            let refusal = Refusal { code: ErrorCode::QuotaExceeded, retry_after_s: REQUESTS_FULL_RETRY_S };
            return Ok(ItemOutcome::Refused(refusal));
        }
        self.use_token(account.id, item)?;
        let seq = last_seq + 1;
        self.store(device, seq, item, size, way)?;
        Ok(ItemOutcome::Stored(seq))
    }

    /// A device on the list.
    fn device(&self, account: i64, number: u32) -> rusqlite::Result<Option<DeviceRow>> {
        self.db
            .prepare_cached(
                "SELECT id, last_seq, waiting_rows, waiting_bytes, seen_day FROM device
                 WHERE account = ?1 AND number = ?2",
            )?
            .query_row(params![account, number], |row| {
                let count = |column| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0));
                let (id, seen_day) = (row.get(0)?, row.get(4)?);
                Ok(DeviceRow { id, last_seq: count(1)?, rows: count(2)?, bytes: count(3)?, seen_day })
            })
            .optional()
    }

    fn is_known(&self, device: i64, item: &IntakeItem) -> rusqlite::Result<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM mailbox WHERE device = ?1 AND env_id = ?2")?
            .exists(params![device, item.id.0.as_slice()])
    }

    /// The way in that the sender's permission opens.
    fn permission(&self, account: &AccountRow, item: &IntakeItem) -> rusqlite::Result<Result<Way, Refusal>> {
        let refused = |code| Err(Refusal::never(code));
        Ok(match &item.permission {
            Permission::Request => Ok(Way::RequestLane),
            Permission::RequestRefused(refusal) => Err(*refusal),
            Permission::Missing => refused(ErrorCode::CapabilityRefused),
            Permission::DeliveryKey(key) if delivery_key_fits(account, key, self.now_ms) => Ok(Way::DeliveryKey),
            Permission::DeliveryKey(_) => refused(ErrorCode::CapabilityRefused),
            Permission::ContactToken(token, binding) => {
                match token_row(self.db, account.id, token, binding, self.now_ms)? {
                    Err(code) => refused(code),
                    Ok(row) if row.submits >= MAX_TOKEN_SUBMITS => refused(ErrorCode::QuotaExceeded),
                    // What is never stored binds nothing, so it cannot be the first use.
                    Ok(row) if item.class == EnvelopeClass::Ephemeral && !row.bound => {
                        refused(ErrorCode::CapabilityRefused)
                    }
                    Ok(_) => Ok(Way::ContactToken),
                }
            }
        })
    }

    /// Counts a permitted envelope.
    fn meter(&self, item: &IntakeItem) -> Result<(), u32> {
        self.meters.account.take(item.device.account, 1, self.now)?;
        match item.permission {
            Permission::DeliveryKey(hash) | Permission::ContactToken(hash, _) => {
                self.meters.capability.take(hash, 1, self.now)
            }
            Permission::Missing | Permission::Request | Permission::RequestRefused(_) => Ok(()),
        }
    }

    fn use_token(&self, account: i64, item: &IntakeItem) -> rusqlite::Result<()> {
        if let Permission::ContactToken(token, binding) = &item.permission {
            self.db
                .prepare_cached(
                    "UPDATE contact_token SET submits = submits + 1, binding = coalesce(binding, ?3)
                     WHERE account = ?1 AND hash = ?2",
                )?
                .execute(params![account, token.0.as_slice(), binding.0.as_slice()])?;
        }
        Ok(())
    }

    fn stale(&mut self, account: i64) -> rusqlite::Result<ItemOutcome> {
        let list: Vec<u8> =
            self.db.prepare_cached("SELECT list FROM account WHERE id = ?1")?.query_row([account], |row| row.get(0))?;
        self.list_bytes += list.len();
        Ok(if self.list_bytes > MAX_STALE_LIST_BYTES {
            // The reply is as large as it may get: the sender asks again for the rest.
            ItemOutcome::Refused(Refusal { code: ErrorCode::Unavailable, retry_after_s: UNAVAILABLE_RETRY_S })
        } else {
            ItemOutcome::StaleDevices(list.into())
        })
    }

    fn requests_waiting(&self, device: i64) -> rusqlite::Result<usize> {
        let count: i64 = self
            .db
            .prepare_cached("SELECT count(*) FROM mailbox WHERE device = ?1 AND way = 1")?
            .query_row([device], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn body(&mut self, index: usize) -> rusqlite::Result<i64> {
        if let Some(row) = self.bodies.get(&index) {
            self.db.prepare_cached("UPDATE body SET refs = refs + 1 WHERE id = ?1")?.execute([row])?;
            return Ok(*row);
        }
        let bytes: &[u8] = self.batch.bodies.get(index).map_or(&[], |bytes| bytes);
        let row = self.db.prepare_cached("INSERT INTO body (refs, bytes) VALUES (1, ?1)")?.insert([bytes])?;
        self.bodies.insert(index, row);
        Ok(row)
    }

    fn store(&mut self, device: i64, seq: u64, item: &IntakeItem, size: u64, way: Way) -> rusqlite::Result<()> {
        let body = self.body(item.body)?;
        self.db
            .prepare_cached(
                "INSERT INTO mailbox (device, seq, env_id, head, body, size, received_ms, expires_ms, way)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                device,
                sql_int(seq),
                item.id.0.as_slice(),
                item.head.as_slice(),
                body,
                sql_int(size),
                sql_int(self.now_ms),
                sql_int(item.expires_ms),
                way.number()
            ])?;
        self.db
            .prepare_cached(
                "UPDATE device SET last_seq = ?2, waiting_rows = waiting_rows + 1, waiting_bytes = waiting_bytes + ?3
                 WHERE id = ?1",
            )?
            .execute(params![device, sql_int(seq), sql_int(size)])?;
        Ok(())
    }
}

/// The same answer as a wrong capability, so that nobody learns which accounts exist. In the
/// request lane the sender has named itself, and handles are resolved openly anyway.
fn unknown_account(permission: Permission) -> ItemOutcome {
    ItemOutcome::Refused(match permission {
        Permission::Request => Refusal::never(ErrorCode::NotFound),
        Permission::RequestRefused(refusal) => refusal,
        _ => Refusal::never(ErrorCode::CapabilityRefused),
    })
}

impl Intake for Embedded {
    async fn submit(&self, source: Source, batch: Batch) -> Result<Accepted, StoreError> {
        let (quotas, meters, cost) = (self.quotas, Arc::clone(&self.meters), batch.cost());
        let change = move |db: &Connection| {
            let mut intaking = Intaking {
                db,
                batch: &batch,
                quotas,
                meters: &meters,
                now_ms: now_ms(),
                today: today(),
                now: subrosa_ambient::instant(),
                bodies: HashMap::new(),
                full: HashSet::new(),
                list_bytes: 0,
            };
            let mut outcomes = Vec::with_capacity(batch.items.len());
            for item in &batch.items {
                outcomes.push(intaking.item(item)?);
            }
            Ok(outcomes)
        };
        Ok(Accepted(self.writer.enqueue(source, cost, Kind::Submission, change).await?))
    }
}
