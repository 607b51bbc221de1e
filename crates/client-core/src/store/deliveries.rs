//! Contents on their way, one row for each device. Each device has a queue in each lane, and nothing in a queue overtakes; a
//! device that waits holds up no other.

use std::collections::BTreeMap;

use rusqlite::Row;
use subrosa_wire::{AccountId, DeviceAddress, EnvelopeId, MessageId};

use super::{Db, StoreError, array, from_sql, params, to_sql};
use crate::conversation::ConversationId;

/// What leaves together: contents of one conversation for one relay. Copies for our own other devices leave apart: together with
/// what the others get they would name us.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) conversation: ConversationId,
    /// Address and pin.
    pub(crate) relay: String,
    pub(crate) own: bool,
}

/// Stands for all devices of an account, whichever they are when a content leaves.
pub(crate) const ALL_DEVICES: u32 = 0;

/// A row of `delivery` that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveryRow {
    pub(crate) id: i64,
    pub(crate) outbox: i64,
    pub(crate) to: DeviceAddress,
    /// For every device of the account, also one that is new meanwhile.
    pub(crate) wide: bool,
    /// It moves the status of the content's message.
    pub(crate) moves: bool,
    /// It was sent before, and its device lost it.
    pub(crate) again: bool,
    /// Device list that was looked at for it.
    pub(crate) list_version: u32,
    pub(crate) sealed: bool,
    /// The sealed bytes hold our introduction.
    pub(crate) introduces: bool,
    pub(crate) attempts: u32,
}

const COLUMNS: &str =
    "id, outbox, account, device, wide, moves = 1, list_version, head IS NOT NULL, introduces, attempts, moves = 2";

fn read(row: &Row<'_>) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        id: row.get(0)?,
        outbox: row.get(1)?,
        to: DeviceAddress { account: AccountId(array(&row.get::<_, Vec<u8>>(2)?, "delivery")?), device: row.get(3)? },
        wide: row.get(4)?,
        moves: row.get(5)?,
        list_version: row.get(6)?,
        sealed: row.get(7)?,
        introduces: row.get(8)?,
        attempts: row.get(9)?,
        again: row.get(10)?,
    })
}

/// A delivery that is queued.
#[derive(Clone, Copy)]
pub(crate) struct NewDelivery<'a> {
    pub(crate) outbox: i64,
    pub(crate) lane: &'a Lane,
    /// One device, or all.
    pub(crate) to: &'a DeviceAddress,
    /// Meant for every device of the account, also one that is new meanwhile.
    pub(crate) wide: bool,
    pub(crate) moves: bool,
    /// The device list that it follows; 0: none yet.
    pub(crate) list_version: u32,
}

/// Queues a content for one device of an account, or for all.
pub(crate) fn put(db: &Db, new: &NewDelivery<'_>) -> Result<(), StoreError> {
    let NewDelivery { outbox, lane, to, wide, moves, list_version } = *new;
    db.prepare_cached(
        "INSERT INTO delivery (outbox, conversation, relay, own, account, device, wide, moves, list_version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        outbox,
        lane.conversation.0,
        lane.relay,
        lane.own,
        to.account.0,
        to.device,
        wide,
        moves,
        list_version
    ])?;
    Ok(())
}

/// No delivery is ever made to wait longer than a day (and a minute of slack): one that does was made to by a clock that was
/// ahead, and may go.
const LONGEST_WAIT_MS: u64 = 24 * 3600 * 1_000 + 60_000;

/// Lanes in which something waits, the longest waiting first, and when the next of it may go; 0: now.
pub(crate) fn lanes(db: &Db, now_ms: u64) -> Result<Vec<(Lane, u64)>, StoreError> {
    let wait = |next_ms: u64| {
        let waits = next_ms > now_ms && next_ms <= now_ms.saturating_add(LONGEST_WAIT_MS);
        if waits { next_ms } else { 0 }
    };
    // The head of each device's queue, from the index alone: the rows are large and may be many.
    let heads = db
        .prepare_cached(
            "SELECT conversation, relay, own, min(outbox), next_ms FROM delivery INDEXED BY delivery_waiting
             WHERE state = 0 GROUP BY conversation, relay, own, account, device",
        )?
        .query_and_then([], |row| {
            let lane = Lane {
                conversation: ConversationId(array(&row.get::<_, Vec<u8>>(0)?, "delivery")?),
                relay: row.get(1)?,
                own: row.get(2)?,
            };
            Ok::<_, StoreError>((lane, row.get::<_, i64>(3)?, wait(from_sql(row.get(4)?))))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut lanes: BTreeMap<Lane, (i64, u64)> = BTreeMap::new();
    for (lane, oldest, next_ms) in heads {
        let known = lanes.entry(lane).or_insert((oldest, next_ms));
        *known = (known.0.min(oldest), known.1.min(next_ms));
    }
    let mut lanes: Vec<_> = lanes.into_iter().collect();
    lanes.sort_by_key(|(_, (oldest, _))| *oldest);
    Ok(lanes.into_iter().map(|(lane, (_, next_ms))| (lane, next_ms)).collect())
}

/// The oldest deliveries of a lane that may go: of each device none that stands behind one that must wait.
pub(crate) fn due(db: &Db, lane: &Lane, now_ms: u64, limit: usize) -> Result<Vec<DeliveryRow>, StoreError> {
    db.prepare_cached(&due_sql())?
        .query_and_then(
            params![
                lane.conversation.0,
                lane.relay,
                lane.own,
                to_sql(now_ms.saturating_add(1)),
                to_sql(now_ms.saturating_add(LONGEST_WAIT_MS)),
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            read,
        )?
        .collect()
}

pub(super) fn due_sql() -> String {
    // Twice along the index, however long the queues are; only the rows that are taken are read.
    format!(
        "WITH rests AS MATERIALIZED (
             SELECT account, device, min(outbox) AS first FROM delivery INDEXED BY delivery_waiting
             WHERE state = 0 AND conversation = ?1 AND relay = ?2 AND own = ?3 AND next_ms BETWEEN ?4 AND ?5
             GROUP BY account, device),
         taken AS MATERIALIZED (
             SELECT waits.id FROM delivery AS waits INDEXED BY delivery_waiting
                 LEFT JOIN rests ON rests.account = waits.account AND rests.device = waits.device
             WHERE waits.state = 0 AND waits.conversation = ?1 AND waits.relay = ?2 AND waits.own = ?3
                 AND (rests.first IS NULL OR waits.outbox < rests.first)
             ORDER BY waits.outbox, waits.account, waits.device LIMIT ?6)
         SELECT {COLUMNS} FROM delivery WHERE id IN (SELECT id FROM taken) ORDER BY outbox, account, device"
    )
}

/// One delivery that waits.
pub(crate) fn get(db: &Db, id: i64) -> Result<Option<DeliveryRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM delivery WHERE id = ?1 AND state = 0"))?
        .query_and_then(params![id], read)?
        .next()
        .transpose()
}

/// The sealed head and body of one.
pub(crate) type HeadAndBody = (Vec<u8>, Vec<u8>);

/// Reads them; `None`: it is not sealed.
pub(crate) fn sealed(db: &Db, id: i64) -> Result<Option<HeadAndBody>, StoreError> {
    db.prepare_cached("SELECT head, body FROM delivery WHERE id = ?1 AND state = 0 AND head IS NOT NULL")?
        .query_and_then(params![id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .next()
        .transpose()
}

/// When an account's device list may be asked for again, for what waits in a lane; `None`: nothing rests for it. A device whose
/// mailbox is full holds up its own queue, not the question whether there are others.
pub(crate) fn next_ask(db: &Db, lane: &Lane, account: &AccountId, now_ms: u64) -> Result<Option<u64>, StoreError> {
    let next: Option<i64> = db
        .prepare_cached(
            "SELECT min(next_ms) FROM delivery INDEXED BY delivery_waiting
             WHERE state = 0 AND conversation = ?1 AND relay = ?2 AND own = ?3 AND account = ?4 AND next_ms BETWEEN ?5 AND ?6
                 AND list_version = 0",
        )?
        .query_row(
            params![
                lane.conversation.0,
                lane.relay,
                lane.own,
                account.0,
                to_sql(now_ms.saturating_add(1)),
                to_sql(now_ms.saturating_add(LONGEST_WAIT_MS))
            ],
            |row| row.get(0),
        )?;
    Ok(next.map(from_sql))
}

/// Whether something waits for the devices of an account that has not followed this version of its device list.
pub(crate) fn is_behind(db: &Db, account: &AccountId, list_version: u32) -> Result<bool, StoreError> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_account
             WHERE state = 0 AND account = ?1 AND moves IN (0, 1, 2) AND list_version < ?2 AND wide = 1)",
        )?
        .query_row(params![account.0, list_version], |row| row.get(0))?)
}

/// What waits in a lane for an account and has not followed this version of its device list, oldest first.
pub(crate) fn behind(
    db: &Db,
    lane: &Lane,
    account: &AccountId,
    list_version: u32,
) -> Result<Vec<DeliveryRow>, StoreError> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM delivery INDEXED BY delivery_account
         WHERE state = 0 AND account = ?1 AND moves IN (0, 1, 2) AND list_version < ?2
             AND conversation = ?3 AND relay = ?4 AND own = ?5
         ORDER BY outbox, id"
    ))?
    .query_and_then(params![account.0, list_version, lane.conversation.0, lane.relay, lane.own], read)?
    .collect()
}

/// A delivery for all devices becomes one for each of those on a device list.
pub(crate) fn spread(db: &Db, row: &DeliveryRow, devices: &[u32], list_version: u32) -> Result<(), StoreError> {
    for device in devices {
        add_device(db, row, *device, list_version)?;
    }
    delete(db, row.id)
}

/// A content goes to one more device of the account of this delivery.
pub(crate) fn add_device(db: &Db, row: &DeliveryRow, device: u32, list_version: u32) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO delivery (outbox, conversation, relay, own, account, device, wide, moves, list_version)
         SELECT outbox, conversation, relay, own, account, ?2, wide, moves, ?3 FROM delivery WHERE id = ?1",
    )?
    .execute(params![row.id, device, list_version])?;
    Ok(())
}

/// Another device list counts from now on; what was sealed for the one before is of no use.
pub(crate) fn relist(db: &Db, id: i64, list_version: u32) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE delivery SET list_version = ?2, head = NULL, body = NULL WHERE id = ?1")?
        .execute(params![id, list_version])?;
    Ok(())
}

/// What it needs first was not to be had: it follows the device list anew when it goes.
pub(crate) fn needs_list(db: &Db, id: i64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE delivery SET list_version = 0 WHERE id = ?1 AND wide = 1")?.execute(params![id])?;
    Ok(())
}

/// Devices that a content has reached, or is on its way to.
pub(crate) fn devices_of(db: &Db, outbox: i64, account: &AccountId) -> Result<Vec<u32>, StoreError> {
    db.prepare_cached("SELECT device FROM delivery WHERE outbox = ?1 AND account = ?2")?
        .query_and_then(params![outbox, account.0], |row| Ok(row.get(0)?))?
        .collect()
}

/// The sealed bytes: from now on these are sent, again and again.
pub(crate) fn set_sealed(db: &Db, id: i64, head: &[u8], body: &[u8], introduces: bool) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE delivery SET head = ?2, body = ?3, introduces = ?4 WHERE id = ?1 AND state = 0")?
        .execute(params![id, head, body, introduces])?;
    Ok(())
}

/// Sealed bytes that are of no use any more, of one receiver or of everybody: the sessions they were sealed in are gone.
pub(crate) fn unseal_all(db: &Db, account: Option<&AccountId>) -> Result<(), StoreError> {
    db.execute(
        "UPDATE delivery SET head = NULL, body = NULL
         WHERE state = 0 AND head IS NOT NULL AND (?1 IS NULL OR account = ?1)",
        params![account.map(|account| account.0)],
    )?;
    Ok(())
}

/// A relay has it.
pub(crate) fn accepted(db: &Db, id: i64, envelope: &EnvelopeId, now_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE OR REPLACE delivery SET state = 1, envelope = ?2, accepted_ms = ?3, head = NULL, body = NULL, next_ms = 0,
             error = NULL
         WHERE id = ?1",
    )?
    .execute(params![id, envelope.0, to_sql(now_ms)])?;
    Ok(())
}

/// What a relay has is of no use to its device; says whether it may go once more. Nobody makes us send one content without end.
pub(crate) fn goes_again(db: &Db, id: i64, most: u32) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached("UPDATE delivery SET resent = resent + 1 WHERE id = ?1 AND resent < ?2")?
        .execute(params![id, most])?;
    Ok(changed > 0)
}

/// It reached its device, will never go, or is not wanted there any more.
pub(crate) fn delete(db: &Db, id: i64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM delivery WHERE id = ?1")?.execute(params![id])?;
    Ok(())
}

/// Nothing goes to a device any more, and nothing that it got is sent to it again. Gives the contents that this was about.
pub(crate) fn forget_device(db: &Db, device: &DeviceAddress) -> Result<Vec<i64>, StoreError> {
    db.prepare_cached("DELETE FROM delivery WHERE account = ?1 AND device = ?2 RETURNING outbox")?
        .query_and_then(params![device.account.0, device.device], |row| Ok(row.get(0)?))?
        .collect()
}

/// It waits until `next_ms`, and what stands behind it in its queue.
pub(crate) fn postpone(db: &Db, id: i64, next_ms: u64, attempts: u32, error: &str) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE delivery SET next_ms = ?2, attempts = ?3, error = ?4 WHERE id = ?1")?
        .execute(params![id, to_sql(next_ms), attempts, error])?;
    Ok(())
}

/// What is sent again to a device goes at a pace: the next of it not before `next_ms`, nor what stands behind it.
pub(crate) fn pace(db: &Db, lane: &Lane, to: &DeviceAddress, next_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE delivery SET next_ms = ?6 WHERE moves = 2 AND id = (
             SELECT id FROM delivery INDEXED BY delivery_waiting
             WHERE state = 0 AND conversation = ?1 AND relay = ?2 AND own = ?3 AND account = ?4 AND device = ?5
             ORDER BY outbox LIMIT 1)",
    )?
    .execute(params![lane.conversation.0, lane.relay, lane.own, to.account.0, to.device, to_sql(next_ms)])?;
    Ok(())
}

/// What waits for an account may go at once: something it waited for has happened.
pub(crate) fn wake(db: &Db, account: &AccountId) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE delivery SET next_ms = 0 WHERE account = ?1 AND state = 0 AND next_ms <> 0")?
        .execute(params![account.0])?;
    Ok(())
}

/// What waits for a relay may go at once.
pub(crate) fn wake_relay(db: &Db, relay: &str) -> Result<(), StoreError> {
    db.execute("UPDATE delivery SET next_ms = 0 WHERE relay = ?1 AND state = 0 AND next_ms <> 0", params![relay])?;
    Ok(())
}

/// What waits in a conversation, or anywhere, is tried again now, as if for the first time.
pub(crate) fn retry(db: &Db, conversation: Option<&ConversationId>) -> Result<(), StoreError> {
    db.execute(
        "UPDATE delivery SET next_ms = 0, attempts = 0 WHERE state = 0 AND (?1 IS NULL OR conversation = ?1)",
        params![conversation.map(|id| id.0)],
    )?;
    Ok(())
}

/// An account is reached at another relay from now on.
pub(crate) fn move_to(db: &Db, account: &AccountId, relay: &str) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE delivery SET relay = ?2 WHERE account = ?1 AND state = 0 AND relay <> ?2")?
        .execute(params![account.0, relay])?;
    Ok(())
}

/// Why what waits for an account waits, and until when.
#[cfg(test)]
pub(crate) fn waiting_for(db: &Db, account: &AccountId) -> Result<Option<(Option<String>, u64)>, StoreError> {
    db.prepare_cached("SELECT error, next_ms FROM delivery WHERE account = ?1 AND state = 0 ORDER BY outbox LIMIT 1")?
        .query_and_then(params![account.0], |row| Ok((row.get(0)?, from_sql(row.get(1)?))))?
        .next()
        .transpose()
}

/// Why a message waits for an account, and until when: for a reason of its own, or for that of what it stands behind.
pub(crate) fn waiting_of(
    db: &Db,
    message: &MessageId,
    account: &AccountId,
) -> Result<Option<(Option<String>, u64)>, StoreError> {
    db.prepare_cached(
        "SELECT coalesce(delivery.error, head.error) AS reason, max(delivery.next_ms, head.next_ms)
         FROM outbox JOIN delivery ON delivery.outbox = outbox.id JOIN delivery AS head ON head.id = (
             SELECT first.id FROM delivery AS first INDEXED BY delivery_waiting
             WHERE first.state = 0 AND first.conversation = delivery.conversation AND first.relay = delivery.relay
                 AND first.own = delivery.own AND first.account = delivery.account AND first.device = delivery.device
             ORDER BY first.outbox LIMIT 1)
         WHERE outbox.message = ?1 AND delivery.account = ?2 AND delivery.state = 0 ORDER BY reason IS NULL LIMIT 1",
    )?
    .query_and_then(params![message.0, account.0], |row| Ok((row.get(0)?, from_sql(row.get(1)?))))?
    .next()
    .transpose()
}

/// How a content stands with an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Deliveries that wait.
    pub(crate) waiting: u32,
    /// Deliveries that a relay has.
    pub(crate) accepted: u32,
    /// Of those that wait, how many are sealed.
    pub(crate) sealed: u32,
}

/// See [`Standing`].
pub(crate) fn standing(db: &Db, outbox: i64, account: Option<&AccountId>) -> Result<Standing, StoreError> {
    Ok(db
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1),
                 count(*) FILTER (WHERE state = 0 AND head IS NOT NULL)
             FROM delivery WHERE outbox = ?1 AND (?2 IS NULL OR account = ?2)",
        )?
        .query_row(params![outbox, account.map(|account| account.0)], |row| {
            Ok(Standing { waiting: row.get(0)?, accepted: row.get(1)?, sealed: row.get(2)? })
        })?)
}

/// Deliveries of a message's status, of all its receivers.
pub(crate) fn of_message(db: &Db, message: &MessageId) -> Result<Vec<(i64, Lane)>, StoreError> {
    db.prepare_cached(
        "SELECT DISTINCT delivery.outbox, delivery.conversation, delivery.relay, delivery.own
         FROM outbox JOIN delivery ON delivery.outbox = outbox.id WHERE outbox.message = ?1 AND delivery.moves = 1",
    )?
    .query_and_then(params![message.0], |row| {
        let conversation = ConversationId(array(&row.get::<_, Vec<u8>>(1)?, "delivery")?);
        Ok((row.get(0)?, Lane { conversation, relay: row.get(2)?, own: row.get(3)? }))
    })?
    .collect()
}

/// What waits for an account: rows, the contents they are of, and whether they move a status.
pub(crate) fn all_for(db: &Db, account: &AccountId) -> Result<Vec<DeliveryRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM delivery WHERE account = ?1 AND state = 0 ORDER BY outbox"))?
        .query_and_then(params![account.0], read)?
        .collect()
}

/// What waits of one content.
pub(crate) fn waiting_of_content(db: &Db, outbox: i64) -> Result<Vec<DeliveryRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM delivery WHERE outbox = ?1 AND state = 0"))?
        .query_and_then(params![outbox], read)?
        .collect()
}

/// Deliveries that move no status and wait for one receiver; counts no further than `most`.
pub(crate) fn silent_count(db: &Db, account: &AccountId, most: u64) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_account
             WHERE state = 0 AND moves = 0 AND account = ?1 LIMIT ?2)",
        )?
        .query_row(params![account.0, to_sql(most)], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// Whether one of these envelopes went to this device.
pub(crate) fn any_sent(db: &Db, envelopes: &[Vec<u8>], device: &DeviceAddress) -> Result<bool, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT 1 FROM delivery WHERE envelope = ?1 AND account = ?2 AND device = ?3")?;
    for envelope in envelopes {
        if statement.exists(params![envelope, device.account.0, device.device])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets deliveries whose envelope no relay holds any more.
pub(super) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM delivery WHERE state = 1 AND accepted_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use subrosa_wire::submit::EnvelopeClass;

    use super::{
        super::outbox::{self, NewContent},
        *,
    };

    const NOW: u64 = 1_000_000;

    fn lane(number: u8) -> Lane {
        Lane { conversation: ConversationId([number; 32]), relay: "here".into(), own: false }
    }

    fn store() -> Db {
        let mut db = Db::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        db
    }

    /// Each row: lane, device, when it may go.
    fn filled(rows: &[(u8, u32, u64)]) -> Db {
        let db = store();
        for (number, device, next_ms) in rows {
            let conversation = &ConversationId([*number; 32]);
            let new = NewContent {
                conversation,
                message: None,
                content: b"content",
                class: EnvelopeClass::Durable,
                created_ms: NOW,
                expires_ms: NOW,
            };
            let outbox = outbox::put(&db, &new).unwrap();
            let to = DeviceAddress { account: AccountId([*number; 32]), device: *device };
            let wide = to.device == ALL_DEVICES;
            put(&db, &NewDelivery { outbox, lane: &lane(*number), to: &to, wide, moves: false, list_version: 0 })
                .unwrap();
            postpone(&db, db.last_insert_rowid(), *next_ms, 1, "test").unwrap();
        }
        db
    }

    fn lanes_of(rows: &[(u8, u32, u64)]) -> Vec<(u8, u64)> {
        let lanes = lanes(&filled(rows), NOW).unwrap();
        lanes.into_iter().map(|(lane, next_ms)| (lane.conversation.0[0], next_ms)).collect()
    }

    #[test]
    fn a_lane_may_be_served_when_the_oldest_delivery_to_a_device_may_go() {
        assert_eq!(lanes_of(&[(1, 1, 0), (1, 1, NOW + 5), (2, 1, NOW + 7), (2, 1, 0)]), [(1, 0), (2, NOW + 7)]);
        assert_eq!(lanes_of(&[(2, 1, NOW), (1, 1, NOW + 1)]), [(2, 0), (1, NOW + 1)], "the oldest first");
    }

    #[test]
    fn a_device_that_waits_holds_up_no_other_and_nothing_overtakes_in_its_queue() {
        let rows = [(1, 1, NOW + 9), (1, 2, 0), (1, 1, 0), (1, 2, NOW + 4), (1, 2, 0)];
        assert_eq!(lanes_of(&rows), [(1, 0)]);
        let db = filled(&rows);
        let due = |now| due(&db, &lane(1), now, 9).unwrap().iter().map(|row| row.outbox).collect::<Vec<_>>();
        assert_eq!(due(NOW), [2]);
        assert_eq!(due(NOW + 4), [2, 4, 5]);
        assert_eq!(due(NOW + 9), [1, 2, 3, 4, 5]);
        assert_eq!(lanes_of(&[(1, 1, NOW + 9), (1, 2, NOW + 4)]), [(1, NOW + 4)]);
    }

    #[test]
    fn a_time_that_no_wait_explains_does_not_count() {
        assert_eq!(lanes_of(&[(1, 1, NOW + 10 * LONGEST_WAIT_MS)]), [(1, 0)]);
    }

    #[test]
    fn looking_for_what_may_go_reads_the_index() {
        let db = store();
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {}", due_sql())).unwrap();
        let none = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
        let plan = rows.map(Result::unwrap).collect::<Vec<_>>().join("\n");
        assert!(
            plan.contains("delivery_waiting") && !plan.contains("SCAN delivery") && !plan.contains("SCAN waits"),
            "{plan}"
        );
    }
}
