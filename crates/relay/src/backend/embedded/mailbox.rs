//! Reading, acknowledging and expiring rows of mailboxes.

use bytes::Bytes;
use rusqlite::{Connection, params};
use subrosa_wire::{
    DeviceAddress, Seq,
    mailbox::{Push, Way},
    submit::EnvelopeClass,
};

use super::{
    Embedded,
    facts::{device_row, number, sql_int},
    fair::Cost,
    integrity::verify,
};
use crate::{
    backend::{Mailbox, MailboxState, Page, Source, StoreError},
    clock::now_ms,
    policy::{limits::PAGE_BYTES, mailbox::judge_ack},
};

/// Expired rows deleted in one operation: what others wait for it.
const EXPIRE_ROWS: u32 = 256;

/// Takes one reference off a body; the last one deletes it.
fn release_body(db: &Connection, body: i64) -> rusqlite::Result<()> {
    if db.prepare_cached("DELETE FROM body WHERE id = ?1 AND refs <= 1")?.execute([body])? == 0 {
        db.prepare_cached("UPDATE body SET refs = refs - 1 WHERE id = ?1")?.execute([body])?;
    }
    Ok(())
}

/// Deletes rows of a device up to a number, with the bodies that nobody else needs.
pub(super) fn delete_upto(db: &Connection, device: i64, upto: Seq) -> rusqlite::Result<()> {
    let gone: Vec<(i64, i64)> = db
        .prepare_cached("DELETE FROM mailbox WHERE device = ?1 AND seq <= ?2 RETURNING body, size")?
        .query_map(params![device, sql_int(upto)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    forget(db, device, &gone)
}

fn forget(db: &Connection, device: i64, gone: &[(i64, i64)]) -> rusqlite::Result<()> {
    for (body, _) in gone {
        release_body(db, *body)?;
    }
    if !gone.is_empty() {
        let bytes: i64 = gone.iter().map(|(_, size)| size).sum();
        db.prepare_cached(
            "UPDATE device SET waiting_rows = waiting_rows - ?2, waiting_bytes = waiting_bytes - ?3 WHERE id = ?1",
        )?
        .execute(params![device, sql_int(gone.len() as u64), bytes])?;
    }
    Ok(())
}

fn ack(db: &Connection, device: &DeviceAddress, upto: Seq) -> rusqlite::Result<()> {
    let Some(row) = device_row(db, device)? else { return Ok(()) };
    let (acked, last_seq) = db
        .prepare_cached("SELECT acked, last_seq FROM device WHERE id = ?1")?
        .query_row([row], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    let Some(acked) = judge_ack(acked, last_seq, upto) else { return Ok(()) };
    db.prepare_cached("UPDATE device SET acked = ?2 WHERE id = ?1")?.execute(params![row, sql_int(acked)])?;
    delete_upto(db, row, acked)
}

/// Deletes some expired rows and tokens; gives how many rows.
fn expire(db: &Connection, now_ms: u64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM contact_token WHERE (account, hash) IN
         (SELECT account, hash FROM contact_token WHERE expires_ms <= ?1 LIMIT ?2)",
    )?
    .execute(params![sql_int(now_ms), EXPIRE_ROWS])?;
    let rows: Vec<(i64, i64, i64)> = db
        .prepare_cached(
            "DELETE FROM mailbox WHERE (device, seq) IN
             (SELECT device, seq FROM mailbox WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)
             RETURNING device, body, size",
        )?
        .query_map(params![sql_int(now_ms), EXPIRE_ROWS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (device, body, size) in &rows {
        forget(db, *device, &[(*body, *size)])?;
    }
    Ok(rows.len())
}

/// What to read of a mailbox.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    device: DeviceAddress,
    after: Seq,
    max_rows: usize,
    now_ms: u64,
    /// Refuse an envelope that does not fit its id.
    verified: bool,
}

fn read(db: &Connection, wanted: &Wanted) -> rusqlite::Result<Page> {
    let Wanted { device, after, max_rows, now_ms, verified } = wanted;
    let Some(row) = device_row(db, device)? else { return Ok(Page::default()) };
    let mut statement = db.prepare_cached(
        "SELECT mailbox.seq, mailbox.head, body.bytes, mailbox.received_ms, mailbox.env_id, mailbox.way
         FROM mailbox LEFT JOIN body ON body.id = mailbox.body
         WHERE mailbox.device = ?1 AND mailbox.seq > ?2 AND mailbox.expires_ms > ?3
         ORDER BY mailbox.seq LIMIT ?4",
    )?;
    let mut found = statement.query(params![row, sql_int(*after), sql_int(*now_ms), sql_int(*max_rows as u64)])?;
    let mut page = Page::default();
    let mut bytes = 0;
    while let Some(row) = found.next()? {
        let push = Push {
            seq: number(row, 0)?,
            class: EnvelopeClass::Durable,
            head: Bytes::from(row.get::<_, Vec<u8>>(1)?),
            body: Bytes::from(row.get::<_, Vec<u8>>(2)?),
            received_ms: number(row, 3)?,
            way: Way::from_number(row.get(5)?),
        };
        // Damage is refused here, never served.
        if *verified {
            verify(device, &row.get::<_, Vec<u8>>(4)?, &push.head, &push.body)?;
        }
        bytes += push.body.len();
        page.rows.push(push);
        if page.rows.len() >= *max_rows || bytes >= PAGE_BYTES {
            page.more = true;
            break;
        }
    }
    Ok(page)
}

impl Mailbox for Embedded {
    async fn state(&self, device: DeviceAddress) -> Result<MailboxState, StoreError> {
        let epoch = self.epoch;
        self.readers
            .read(move |db| {
                let acked = match device_row(db, &device)? {
                    None => 0,
                    Some(row) => db
                        .prepare_cached("SELECT acked FROM device WHERE id = ?1")?
                        .query_row([row], |row| number(row, 0))?,
                };
                Ok(MailboxState { epoch, acked })
            })
            .await
    }

    async fn read(&self, device: DeviceAddress, after: Seq, max_rows: usize) -> Result<Page, StoreError> {
        let now = now_ms();
        let wanted = Wanted { device, after, max_rows, now_ms: now, verified: self.refuse_damage };
        self.readers.read(move |db| read(db, &wanted)).await
    }

    async fn ack(&self, source: Source, device: DeviceAddress, upto: Seq, rows: usize) -> Result<(), StoreError> {
        self.writer.change(source, Cost::rows(1 + rows), move |db| Ok(ack(db, &device, upto)?)).await
    }

    async fn expire(&self, now_ms: u64) -> Result<(), StoreError> {
        loop {
            let cost = Cost::rows(EXPIRE_ROWS as usize);
            let deleted = self.writer.change(Source::RELAY, cost, move |db| Ok(expire(db, now_ms)?)).await?;
            if deleted < EXPIRE_ROWS as usize {
                return Ok(());
            }
        }
    }
}
