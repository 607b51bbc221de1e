//! Intents and sealed submissions, first-in first-out for each receiver.

use std::collections::HashMap;

use rusqlite::Row;
use subrosa_wire::{AccountId, MessageId};

use super::{Db, StoreError, array, from_sql, params, to_sql};

/// A row of `outbox`: one content for all devices of one account.
#[derive(Clone)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    /// Only for this device of the account.
    pub(crate) device: Option<u32>,
    /// Whose status it moves.
    pub(crate) message: Option<MessageId>,
    pub(crate) content: Vec<u8>,
    /// The encoded submission, once made.
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) sealed_list: Option<u32>,
    pub(crate) introduces: bool,
    /// Devices that have it.
    pub(crate) done: Vec<u32>,
    pub(crate) attempts: u32,
}

const COLUMNS: &str = "id, message, content, sealed, sealed_list, introduces, done, attempts, device";

fn read(row: &Row<'_>) -> Result<OutboxRow, StoreError> {
    const WHAT: &str = "outbox row";
    let done: Vec<u8> = row.get(6)?;
    Ok(OutboxRow {
        id: row.get(0)?,
        message: row.get::<_, Option<Vec<u8>>>(1)?.map(|id| array(&id, WHAT).map(MessageId)).transpose()?,
        content: row.get(2)?,
        sealed: row.get(3)?,
        sealed_list: row.get(4)?,
        introduces: row.get(5)?,
        done: done.as_chunks::<4>().0.iter().map(|chunk| u32::from_be_bytes(*chunk)).collect(),
        attempts: row.get(7)?,
        device: row.get(8)?,
    })
}

/// Queues an intent for all devices of an account, or for one of them.
pub(crate) fn put(
    db: &Db,
    target: &AccountId,
    device: Option<u32>,
    message: Option<&MessageId>,
    content: &[u8],
    now_ms: u64,
    expires_ms: u64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO outbox (target, message, content, created_ms, expires_ms, device) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![target.0, message.map(|id| id.0), content, to_sql(now_ms), to_sql(expires_ms), device])?;
    Ok(())
}

/// No row is ever made to wait longer than a day (and a minute of slack): one that does was made to by a clock that was
/// ahead, and may go.
const LONGEST_WAIT_MS: u64 = 24 * 3600 * 1_000 + 60_000;

/// The row waits for some devices while others have it: it holds up nobody behind it. ?1 is the time
/// now, ?2 the longest wait.
const STRAGGLES: &str = "done <> x'' AND next_ms BETWEEN ?1 + 1 AND ?1 + ?2";

/// The oldest rows of one receiver, without those that only wait for a device whose mailbox is full.
pub(crate) fn first_of(db: &Db, target: &AccountId, now_ms: u64, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox WHERE target = ?3 AND NOT ({STRAGGLES}) ORDER BY id LIMIT ?4"
    ))?
    .query_and_then(
        params![to_sql(now_ms), to_sql(LONGEST_WAIT_MS), target.0, i64::try_from(limit).unwrap_or(i64::MAX)],
        read,
    )?
    .collect()
}

/// One row.
pub(crate) fn get(db: &Db, id: i64) -> Result<Option<OutboxRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"))?
        .query_and_then(params![id], read)?
        .next()
        .transpose()
}

/// Receivers that have something waiting, the longest waiting first, and when the next of it may go; 0: now.
pub(crate) fn targets(db: &Db, now_ms: u64) -> Result<Vec<(AccountId, u64)>, StoreError> {
    let wait = |next_ms: u64| {
        let waits = next_ms > now_ms && next_ms <= now_ms.saturating_add(LONGEST_WAIT_MS);
        if waits { next_ms } else { 0 }
    };
    // Of each receiver the oldest row that nobody has yet, and every row that some devices have; both from small
    // indexes, not from the rows, which are large and may be many.
    let rows = db
        .prepare_cached(
            "SELECT head.id, head.target, outbox.next_ms, 0
             FROM (SELECT min(id) AS id, target FROM outbox WHERE done = x'' GROUP BY target) AS head
             JOIN outbox ON outbox.id = head.id
             UNION ALL SELECT id, target, next_ms, 1 FROM outbox WHERE done <> x'' ORDER BY 1",
        )?
        .query_and_then([], |row| {
            let target = AccountId(array(&row.get::<_, Vec<u8>>(1)?, "outbox row")?);
            Ok::<_, StoreError>((target, from_sql(row.get(2)?), row.get(3)?))
        })?
        .collect::<Result<Vec<(AccountId, u64, bool)>, _>>()?;
    let mut targets: Vec<(AccountId, u64)> = Vec::new();
    let mut places: HashMap<AccountId, (usize, bool)> = HashMap::new();
    for (target, next_ms, partly) in rows {
        let wait = wait(next_ms);
        match places.get_mut(&target) {
            None => {
                places.insert(target, (targets.len(), !partly));
                targets.push((target, wait));
            }
            // What is behind the oldest row that nobody has waits for it, unless it has a time of its own.
            Some((place, has_head)) if !*has_head || wait > 0 => {
                *has_head |= !partly;
                if let Some((_, earliest)) = targets.get_mut(*place) {
                    *earliest = wait.min(*earliest);
                }
            }
            Some(_) => {}
        }
    }
    Ok(targets)
}

/// The submission is made: from now on these bytes are sent, again and again.
pub(crate) fn set_sealed(
    db: &Db,
    id: i64,
    sealed: &[u8],
    list_version: u32,
    introduces: bool,
) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE outbox SET sealed = ?2, sealed_list = ?3, introduces = ?4 WHERE id = ?1")?
        .execute(params![id, sealed, list_version, introduces])?;
    Ok(())
}

/// The sealed bytes are of no use any more; devices that have the content are not bothered again.
pub(crate) fn unseal(db: &Db, id: i64, done: &[u32]) -> Result<(), StoreError> {
    let done: Vec<u8> = done.iter().flat_map(|device| device.to_be_bytes()).collect();
    db.execute("UPDATE outbox SET sealed = NULL, sealed_list = NULL, done = ?2 WHERE id = ?1", params![id, done])?;
    Ok(())
}

/// As [`unseal`], for all rows of a receiver, or of everybody: the sessions they were sealed in are gone.
pub(crate) fn unseal_all(db: &Db, target: Option<&AccountId>) -> Result<(), StoreError> {
    db.execute(
        "UPDATE outbox SET sealed = NULL, sealed_list = NULL WHERE sealed IS NOT NULL AND (?1 IS NULL OR target = ?1)",
        params![target.map(|target| target.0)],
    )?;
    Ok(())
}

/// Some devices have it, others must wait.
pub(crate) fn set_done(db: &Db, id: i64, done: &[u32]) -> Result<(), StoreError> {
    let done: Vec<u8> = done.iter().flat_map(|device| device.to_be_bytes()).collect();
    db.execute("UPDATE outbox SET done = ?2 WHERE id = ?1", params![id, done])?;
    Ok(())
}

/// Every device has it, or it will never go.
pub(crate) fn delete(db: &Db, id: i64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute(params![id])?;
    Ok(())
}

/// A row waits until `next_ms`.
pub(crate) fn postpone(db: &Db, id: i64, next_ms: u64, attempts: u32, error: &str) -> Result<(), StoreError> {
    db.execute(
        "UPDATE outbox SET next_ms = ?2, attempts = ?3, error = ?4 WHERE id = ?1",
        params![id, to_sql(next_ms), attempts, error],
    )?;
    Ok(())
}

/// A receiver's rows may go at once: something they waited for has happened.
pub(crate) fn wake(db: &Db, target: &AccountId) -> Result<(), StoreError> {
    db.execute("UPDATE outbox SET next_ms = 0 WHERE target = ?1", params![target.0])?;
    Ok(())
}

/// Why a receiver's oldest row waits, and until when.
pub(crate) fn waiting(db: &Db, target: &AccountId) -> Result<Option<(Option<String>, u64)>, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT error, next_ms FROM outbox WHERE target = ?1 ORDER BY length(done) > 0, id LIMIT 1")?;
    let mut rows = statement.query(params![target.0])?;
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, from_sql(row.get(1)?)))),
        None => Ok(None),
    }
}

/// Messages that wait.
pub(crate) fn message_count(db: &Db) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(DISTINCT message) FROM outbox INDEXED BY outbox_message WHERE message IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// Rows without a message that wait for one receiver; counts no further than `most`.
pub(crate) fn silent_count(db: &Db, target: &AccountId, most: u64) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM outbox INDEXED BY outbox_silent
             WHERE message IS NULL AND target = ?1 LIMIT ?2)",
        )?
        .query_row(params![target.0, to_sql(most)], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// A message that waits.
pub(crate) struct WaitingRow {
    pub(crate) message: MessageId,
    pub(crate) target: AccountId,
    pub(crate) attempts: u32,
    pub(crate) next_ms: u64,
    pub(crate) created_ms: u64,
    pub(crate) error: Option<String>,
}

/// Messages that wait, oldest first.
pub(crate) fn messages(db: &Db, limit: u32) -> Result<Vec<WaitingRow>, StoreError> {
    const WHAT: &str = "outbox row";
    db.prepare_cached(
        "SELECT message, target, attempts, next_ms, created_ms, error FROM outbox WHERE message IS NOT NULL ORDER BY id LIMIT ?1",
    )?
    .query_and_then(params![limit], |row| {
        Ok(WaitingRow {
            message: MessageId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
            target: AccountId(array(&row.get::<_, Vec<u8>>(1)?, WHAT)?),
            attempts: row.get(2)?,
            next_ms: from_sql(row.get(3)?),
            created_ms: from_sql(row.get(4)?),
            error: row.get(5)?,
        })
    })?
    .collect()
}

/// A message's row and its receiver.
pub(crate) fn of_message(db: &Db, message: &MessageId) -> Result<Option<(OutboxRow, AccountId)>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS}, target FROM outbox WHERE message = ?1"))?
        .query_and_then(params![message.0], |row| {
            Ok((read(row)?, AccountId(array(&row.get::<_, Vec<u8>>(9)?, "outbox row")?)))
        })?
        .next()
        .transpose()
}

/// Rows of one receiver that nobody has yet and that move no message's status, newest first.
pub(crate) fn unsent_notes(db: &Db, target: &AccountId, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox WHERE target = ?1 AND message IS NULL AND done = x'' ORDER BY id DESC LIMIT ?2"
    ))?
    .query_and_then(params![target.0, limit], read)?
    .collect()
}

/// Ids of the messages that wait for one receiver.
pub(crate) fn messages_for(db: &Db, target: &AccountId) -> Result<Vec<MessageId>, StoreError> {
    db.prepare_cached("SELECT message FROM outbox WHERE target = ?1 AND message IS NOT NULL ORDER BY id")?
        .query_and_then(params![target.0], |row| Ok(MessageId(array(&row.get::<_, Vec<u8>>(0)?, "outbox row")?)))?
        .collect()
}

/// Nothing goes to this receiver any more.
pub(crate) fn delete_for(db: &Db, target: &AccountId) -> Result<(), StoreError> {
    db.execute("DELETE FROM outbox WHERE target = ?1", params![target.0])?;
    Ok(())
}

/// A receiver's rows, or everybody's, are tried again now, as if for the first time.
pub(crate) fn retry(db: &Db, target: Option<&AccountId>) -> Result<u64, StoreError> {
    let changed = db.execute(
        "UPDATE outbox SET next_ms = 0, attempts = 0 WHERE ?1 IS NULL OR target = ?1",
        params![target.map(|target| target.0)],
    )?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Messages that wait for one receiver, or for anybody.
pub(crate) fn message_count_for(db: &Db, target: Option<&AccountId>) -> Result<u64, StoreError> {
    match target {
        Some(target) => Ok(u64::try_from(messages_for(db, target)?.len()).unwrap_or(u64::MAX)),
        None => message_count(db),
    }
}

/// Rows that expired undelivered.
pub(crate) fn expired(db: &Db, now_ms: u64) -> Result<Vec<OutboxRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE expires_ms <= ?1"))?
        .query_and_then(params![to_sql(now_ms)], read)?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    /// Each row: receiver, devices that have it, when it may go.
    fn targets_of(rows: &[(u8, &[u32], u64)]) -> Vec<(u8, u64)> {
        let mut db = Db::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        for (target, done, next_ms) in rows {
            put(&db, &AccountId([*target; 32]), None, None, b"content", NOW, NOW).unwrap();
            let id = db.last_insert_rowid();
            set_done(&db, id, done).unwrap();
            postpone(&db, id, *next_ms, 1, "test").unwrap();
        }
        targets(&db, NOW).unwrap().into_iter().map(|(target, next_ms)| (target.0[0], next_ms)).collect()
    }

    #[test]
    fn a_receiver_may_be_served_when_its_oldest_row_may_go() {
        assert_eq!(
            targets_of(&[(1, &[], 0), (1, &[], NOW + 5), (2, &[], NOW + 7), (2, &[], 0)]),
            [(1, 0), (2, NOW + 7)]
        );
        assert_eq!(targets_of(&[(2, &[], NOW), (1, &[], NOW + 1)]), [(2, 0), (1, NOW + 1)], "the oldest first");
    }

    #[test]
    fn a_row_that_waits_for_a_full_mailbox_holds_up_nothing_and_is_not_forgotten() {
        assert_eq!(targets_of(&[(1, &[1], NOW + 9), (1, &[], 0)]), [(1, 0)]);
        assert_eq!(targets_of(&[(1, &[1], NOW + 9), (1, &[], NOW + 20)]), [(1, NOW + 9)]);
        assert_eq!(targets_of(&[(1, &[1], NOW + 9), (1, &[2], NOW + 4)]), [(1, NOW + 4)]);
        assert_eq!(targets_of(&[(1, &[1], 0), (1, &[], NOW + 20)]), [(1, 0)]);
        // Behind a row that must wait nothing overtakes.
        assert_eq!(targets_of(&[(1, &[], NOW + 20), (1, &[1], 0)]), [(1, NOW + 20)]);
    }

    #[test]
    fn a_time_that_no_wait_explains_does_not_count() {
        assert_eq!(targets_of(&[(1, &[], NOW + 10 * LONGEST_WAIT_MS)]), [(1, 0)]);
    }
}
