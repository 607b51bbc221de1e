//! Durable messages a second: through a relay with real envelopes, and through the same tables without one.
//!
//! Both use the same disk in the same run, so their ratio says what the relay costs on top of the
//! database, whatever the machine is.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use rusqlite::{Connection, params};
use subrosa_wire::{
    limits::HEAD_BYTES,
    mailbox::{MailboxClientFrame, MailboxServerFrame},
    submit::{SubmitResult, SubmitServerFrame},
};

use crate::relay_client::{Device, Socket, mailbox_frame, open_submit, send, submit_frame};

/// Submissions of one connection without answer: the relay takes 32 (`crates/relay`, limits).
const IN_FLIGHT: usize = 32;
/// A receiver acknowledges after so many pushes, or when it has all.
const ACK_EVERY: u64 = 32;
/// Rows of one commit of the bare loop; the relay's group commits are of this order under load.
const BARE_BATCH: i64 = 64;

/// Mailboxes of the bare loop.
const DEVICES: i64 = 8;

/// A measured rate.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Messages.
    pub messages: u64,
    /// Time for all of them.
    pub took: Duration,
}

impl Rate {
    /// Messages a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }
}

/// Sends `each` messages over each of `pairs` connections through the relay at `authority`: accepted
/// (synced), pushed, acknowledged. The time ends when the last push has arrived and every
/// submission is answered.
///
/// # Errors
/// The relay refuses anything, or a message is lost.
pub async fn through_relay(authority: &str, pairs: usize, each: u64) -> Result<Rate> {
    let mut ready = Vec::new();
    for number in 0..pairs {
        let sender = Device::register(authority, &format!("sender-{number}")).await?;
        let receiver = Device::register(authority, &format!("receiver-{number}")).await?;
        let mailbox = receiver.open_mailbox(authority).await?;
        let frames = receiver.sealed_by(&sender, each)?;
        ready.push((open_submit(authority).await?, frames, mailbox));
    }
    let started = Instant::now();
    let mut tasks = Vec::new();
    for (submit, frames, mailbox) in ready {
        tasks.push(tokio::spawn(submit_all(submit, frames)));
        tasks.push(tokio::spawn(receive_all(mailbox, each)));
    }
    for task in tasks {
        task.await??;
    }
    Ok(Rate { messages: each * pairs as u64, took: started.elapsed() })
}

async fn submit_all(mut socket: Socket, frames: Vec<bytes::Bytes>) -> Result<()> {
    let count = frames.len();
    let mut frames = frames.into_iter();
    for frame in frames.by_ref().take(IN_FLIGHT) {
        send(&mut socket, frame).await?;
    }
    for _ in 0..count {
        match submit_frame(&mut socket).await? {
            SubmitServerFrame::Reply { result: Ok(results), .. } => {
                ensure!(results == [SubmitResult::Accepted], "not accepted: {results:?}");
            }
            other => bail!("no reply: {other:?}"),
        }
        if let Some(frame) = frames.next() {
            send(&mut socket, frame).await?;
        }
    }
    Ok(())
}

async fn receive_all(mut socket: Socket, count: u64) -> Result<()> {
    let (mut got, mut last) = (0, 0);
    while got < count {
        if let MailboxServerFrame::Push(push) = mailbox_frame(&mut socket).await? {
            ensure!(push.seq > last, "push {} after {last}", push.seq);
            last = push.seq;
            got += 1;
            if got % ACK_EVERY == 0 || got == count {
                send(&mut socket, MailboxClientFrame::Ack(last).encode()).await?;
            }
        }
    }
    Ok(())
}

/// The same work on bare SQLite tables of the relay's shape, one thread: insert bodies and mailbox
/// rows, commit (synced), read them back, delete them, commit (synced).
///
/// # Errors
/// The database cannot be written.
pub fn bare_sqlite(folder: &Path, messages: u32, body_bytes: u32) -> Result<Rate> {
    let mut db = Connection::open(folder.join("bare.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE body (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, bytes BLOB NOT NULL);
         CREATE TABLE mailbox (device INTEGER NOT NULL, seq INTEGER NOT NULL, env_id BLOB NOT NULL,
            head BLOB NOT NULL, body INTEGER NOT NULL, size INTEGER NOT NULL, received_ms INTEGER NOT NULL,
            expires_ms INTEGER NOT NULL, way INTEGER NOT NULL, PRIMARY KEY (device, seq)) WITHOUT ROWID;
         CREATE UNIQUE INDEX mailbox_envelope ON mailbox (device, env_id);
         CREATE INDEX mailbox_expiry ON mailbox (expires_ms);",
    )?;
    let body: Vec<u8> = (0..body_bytes).map(|_| rand::random()).collect();
    let started = Instant::now();
    let (mut seq, end) = (0, i64::from(messages));
    while seq < end {
        let batch = BARE_BATCH.min(end - seq);
        let write = db.transaction()?;
        {
            let mut bodies = write.prepare_cached("INSERT INTO body (refs, bytes) VALUES (1, ?1)")?;
            let mut rows = write.prepare_cached("INSERT INTO mailbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, 3)")?;
            for number in seq..seq + batch {
                bodies.execute([&body])?;
                let id: [u8; 16] = rand::random();
                let head: [u8; HEAD_BYTES] = std::array::from_fn(|_| rand::random());
                let values = params![number % DEVICES, number, id, head, write.last_insert_rowid(), body_bytes, number];
                rows.execute(values)?;
            }
        }
        write.commit()?;
        let delete = db.transaction()?;
        for device in 0..DEVICES {
            let mut read = delete.prepare_cached(
                "SELECT m.seq, m.head, b.bytes FROM mailbox m JOIN body b ON b.id = m.body WHERE m.device = ?1 AND m.seq >= ?2",
            )?;
            let mut rows = read.query(params![device, seq])?;
            while let Some(row) = rows.next()? {
                std::hint::black_box(row.get_ref(2)?);
            }
            let mut gone = delete.prepare_cached(
                "DELETE FROM body WHERE id IN (SELECT body FROM mailbox WHERE device = ?1 AND seq >= ?2)",
            )?;
            gone.execute(params![device, seq])?;
            delete
                .prepare_cached("DELETE FROM mailbox WHERE device = ?1 AND seq >= ?2")?
                .execute(params![device, seq])?;
        }
        delete.commit()?;
        seq += batch;
    }
    Ok(Rate { messages: messages.into(), took: started.elapsed() })
}
