//! Submissions: the facts about all items, the verdict on all of them, and the rows, in one transaction.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, params};
use subrosa_wire::{AccountId, DeviceAddress, mailbox::Way};

use super::{
    Embedded, capabilities,
    facts::{self, NOBODY, sql_int},
    fair::Cost,
    writer::Kind,
};
use crate::{
    backend::{Accepted, Intake, Outcomes, Source, StoreError},
    clock::{now_ms, today},
    policy::{
        Moment,
        limits::SUBMIT_UNIT_BYTES,
        permission::Permission,
        submission::{Batch, IntakeItem, ItemOutcome, Quotas, SubmissionFacts, Verdict, judge},
    },
};

/// A submission inside the transaction.
struct Intaking<'a> {
    db: &'a Connection,
    batch: &'a Batch,
    now: Moment,
    /// Row numbers of accounts that exist.
    accounts: HashMap<AccountId, i64>,
    devices: HashMap<DeviceAddress, Device>,
}

/// A device that exists.
struct Device {
    row: i64,
    /// The highest number of its mailbox.
    last_seq: u64,
    /// What was stored for it now.
    rows: u64,
    bytes: u64,
}

impl Intaking<'_> {
    /// Every fact about every item, each fetched once. What does not exist is asked about, too, so that it takes as long.
    fn fetch(&mut self) -> rusqlite::Result<SubmissionFacts> {
        let mut facts = SubmissionFacts::default();
        let mut asked: HashMap<AccountId, i64> = HashMap::new();
        for item in &self.batch.items {
            let DeviceAddress { account, device: number } = item.device;
            let account_row = match asked.get(&account) {
                Some(row) => *row,
                None => {
                    let found = facts::account(self.db, &account)?;
                    let row = found.as_ref().map_or(NOBODY, |(row, _)| *row);
                    asked.insert(account, row);
                    if let Some((row, found)) = found {
                        self.accounts.insert(account, row);
                        facts.accounts.insert(account, found);
                    }
                    row
                }
            };
            if !self.devices.contains_key(&item.device)
                && let Some((row, last_seq, mut found)) = facts::device(self.db, account_row, number)?
            {
                if item.permission == Permission::Request {
                    found.waiting_requests = facts::waiting_requests(self.db, row)?;
                }
                facts.devices.insert(item.device, found);
                self.devices.insert(item.device, Device { row, last_seq, rows: 0, bytes: 0 });
            }
            let device_row = self.devices.get(&item.device).map_or(NOBODY, |device| device.row);
            if facts::is_known(self.db, device_row, &item.id.0)? {
                facts.known.insert((item.device, item.id));
            }
            if let Some((token, binding)) = item.permission.token() {
                let place = (account, token);
                if !facts.tokens.contains_key(&place)
                    && let Some(found) = facts::token(self.db, account_row, &token, self.now.day)?
                {
                    facts.tokens.insert(place, found);
                }
                let joiner = facts::joiner(self.db, account_row, &token, &binding)?;
                if let (Some(found), Some(submits)) = (facts.tokens.get_mut(&place), joiner) {
                    found.joiners.insert(binding, submits);
                }
            }
        }
        Ok(facts)
    }

    /// Does what was decided.
    fn apply(&mut self, verdicts: &[Verdict]) -> rusqlite::Result<Outcomes> {
        let bodies = self.bodies(verdicts)?;
        let mut lists: HashMap<AccountId, Bytes> = HashMap::new();
        let mut outcomes = Vec::with_capacity(verdicts.len());
        for (item, verdict) in self.batch.items.iter().zip(verdicts) {
            let outcome = match verdict {
                Verdict::Store(way) => {
                    if let Some(body) = bodies.get(&item.body) {
                        self.store(item, *body, *way)?;
                    }
                    ItemOutcome::Stored
                }
                Verdict::Stale => ItemOutcome::StaleDevices(self.list(&mut lists, &item.device.account)?),
                Verdict::Repeat => ItemOutcome::Repeat,
                Verdict::HandOn(way) => ItemOutcome::HandOn(*way),
                Verdict::Full => ItemOutcome::Full,
                Verdict::Refused(refusal) => ItemOutcome::Refused(*refusal),
            };
            outcomes.push((item.id, outcome));
        }
        let mut counted = self.db.prepare_cached(
            "UPDATE device SET last_seq = ?2, waiting_rows = waiting_rows + ?3, waiting_bytes = waiting_bytes + ?4
             WHERE id = ?1",
        )?;
        for Device { row, last_seq, rows, bytes } in self.devices.values().filter(|device| device.rows > 0) {
            counted.execute(params![row, sql_int(*last_seq), sql_int(*rows), sql_int(*bytes)])?;
        }
        Ok(outcomes)
    }

    /// Stores each body that an item is stored with, once; gives their row numbers.
    fn bodies(&self, verdicts: &[Verdict]) -> rusqlite::Result<HashMap<usize, i64>> {
        let mut refs: HashMap<usize, i64> = HashMap::new();
        for (item, verdict) in self.batch.items.iter().zip(verdicts) {
            if matches!(verdict, Verdict::Store(_)) {
                *refs.entry(item.body).or_default() += 1;
            }
        }
        let mut insert = self.db.prepare_cached("INSERT INTO body (refs, bytes) VALUES (?1, ?2)")?;
        refs.into_iter()
            .map(|(index, refs)| {
                let bytes: &[u8] = self.batch.bodies.get(index).map_or(&[], |bytes| bytes);
                Ok((index, insert.insert(params![refs, bytes])?))
            })
            .collect()
    }

    fn store(&mut self, item: &IntakeItem, body: i64, way: Way) -> rusqlite::Result<()> {
        let size = self.batch.size(item);
        // Judged to be stored, so it exists.
        let Some(device) = self.devices.get_mut(&item.device) else { return Ok(()) };
        device.last_seq += 1;
        device.rows += 1;
        device.bytes += size;
        self.db
            .prepare_cached(
                "INSERT INTO mailbox (device, seq, env_id, head, body, size, received_ms, expires_ms, way)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                device.row,
                sql_int(device.last_seq),
                item.id.0.as_slice(),
                item.head.as_slice(),
                body,
                sql_int(size),
                sql_int(self.now.ms),
                sql_int(item.expires_ms),
                way.number()
            ])?;
        if let (Permission::ContactToken(token, binding), Some(account)) =
            (&item.permission, self.accounts.get(&item.device.account))
        {
            capabilities::use_token(self.db, *account, token, binding, self.now.day)?;
        }
        Ok(())
    }

    fn list(&self, lists: &mut HashMap<AccountId, Bytes>, account: &AccountId) -> rusqlite::Result<Bytes> {
        if let Some(list) = lists.get(account) {
            return Ok(list.clone());
        }
        let list: Vec<u8> = self
            .db
            .prepare_cached("SELECT list FROM account WHERE id = ?1")?
            .query_row([self.accounts.get(account).copied().unwrap_or(NOBODY)], |row| row.get(0))?;
        let list = Bytes::from(list);
        lists.insert(*account, list.clone());
        Ok(list)
    }
}

fn intake(db: &Connection, batch: &Batch, quotas: Quotas, now: Moment) -> rusqlite::Result<Outcomes> {
    let mut intaking = Intaking { db, batch, now, accounts: HashMap::new(), devices: HashMap::new() };
    let facts = intaking.fetch()?;
    let verdicts = judge(facts, batch, quotas, now);
    intaking.apply(&verdicts)
}

/// What a submission costs the writer.
fn cost(batch: &Batch) -> Cost {
    let bytes = batch.bodies.iter().map(Bytes::len).sum();
    Cost { weight: batch.items.len() + bytes / SUBMIT_UNIT_BYTES, bytes }
}

impl Intake for Embedded {
    async fn submit(&self, source: Source, batch: Batch) -> Result<Accepted, StoreError> {
        let (quotas, cost) = (self.quotas, cost(&batch));
        let change = move |db: &Connection| Ok(intake(db, &batch, quotas, Moment { ms: now_ms(), day: today() })?);
        Ok(Accepted(self.writer.enqueue(source, cost, Kind::Submission, change).await?))
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
