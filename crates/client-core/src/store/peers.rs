//! Peers: who somebody is. An account whose keys are known, where it lives, and which devices it has.

use rusqlite::Row;
use subrosa_crypto::{AccountRecord, DeviceList};
use subrosa_wire::{AccountId, DeliveryKey, MemberKey};
use url::Url;

use super::{Db, StoreError, array, deliveries, from_sql, outbox, params, to_sql, verified};
use crate::content::Withholds;

/// A row of `peer`.
pub(crate) struct PeerRow {
    pub(crate) account: AccountId,
    pub(crate) record: AccountRecord,
    /// What they call themselves: a valid handle.
    pub(crate) handle: String,
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    /// Newest verified list; `None` until it was fetched.
    pub(crate) list: Option<DeviceList>,
    pub(crate) list_stale: bool,
    /// When their relay was last asked for their list.
    pub(crate) list_asked_ms: u64,
    /// Version of a device list that the person takes although nobody has renewed it for long.
    pub(crate) old_list: u32,
    /// Why sending stopped until the person decides.
    pub(crate) held: Option<String>,
    /// The newest device list they announced themselves, and its hash where it is known: whatever their relay serves, no
    /// older one is sealed for.
    pub(crate) floor: ListFloor,
    /// A relay that they claimed and that is not the one on record: the person knows of it.
    pub(crate) relay_told: Option<String>,
    pub(crate) last_seen_ms: Option<u64>,
    /// Lets us submit to them.
    pub(crate) delivery_key: Option<DeliveryKey>,
    /// The same for contents of groups.
    pub(crate) member_key: Option<MemberKey>,
}

/// See [`PeerRow::floor`]. Version 0: they have announced none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ListFloor {
    pub(crate) version: u32,
    pub(crate) hash: Option<[u8; 32]>,
    /// The person was told that an older one is served.
    pub(crate) told: bool,
}

impl PeerRow {
    /// Somebody of whom only this is known.
    pub(crate) fn new(record: AccountRecord, handle: String, relay: Url) -> Self {
        Self {
            account: AccountId(record.id()),
            record,
            handle,
            relay,
            pin: None,
            list: None,
            list_stale: true,
            list_asked_ms: 0,
            old_list: 0,
            held: None,
            floor: ListFloor::default(),
            relay_told: None,
            last_seen_ms: None,
            delivery_key: None,
            member_key: None,
        }
    }

    /// Whether their list has to be asked for: none is known, or only an older one than they announced.
    pub(crate) fn is_behind(&self) -> bool {
        self.list.as_ref().is_none_or(|list| list.version() < self.floor.version)
    }
}

/// A relay as lanes tell them apart: by address and pin.
pub(crate) fn lane_relay(relay: &Url, pin: Option<&[u8; 32]>) -> String {
    match pin {
        Some(pin) => format!("{relay}#{}", hex::encode(pin)),
        None => relay.to_string(),
    }
}

/// The columns that [`read`] takes, of the table `peer`.
pub(super) const COLUMNS: &str = "peer.account, peer.record, peer.handle, peer.relay, peer.pin, peer.device_list,
    peer.list_stale, peer.list_asked_ms, peer.old_list, peer.held, peer.floor_version, peer.floor_hash, peer.floor_told,
    peer.relay_told, peer.last_seen_ms, peer.delivery_key, peer.member_key";

/// How many they are: what is read beside a peer stands behind them.
pub(super) const COLUMN_COUNT: usize = 17;

pub(super) fn read(row: &Row<'_>) -> Result<PeerRow, StoreError> {
    const WHAT: &str = "peer";
    let record = verified::record(&row.get::<_, Vec<u8>>(1)?)?;
    let list = row.get::<_, Option<Vec<u8>>>(5)?.map(|bytes| verified::list(&bytes, &record)).transpose()?;
    Ok(PeerRow {
        account: AccountId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
        record,
        handle: row.get(2)?,
        relay: Url::parse(&row.get::<_, String>(3)?).map_err(|_| StoreError::Damaged(WHAT))?,
        pin: row.get::<_, Option<Vec<u8>>>(4)?.map(|pin| array(&pin, WHAT)).transpose()?,
        list,
        list_stale: row.get(6)?,
        list_asked_ms: from_sql(row.get(7)?),
        old_list: row.get(8)?,
        held: row.get(9)?,
        floor: ListFloor {
            version: row.get(10)?,
            hash: row.get::<_, Option<Vec<u8>>>(11)?.map(|hash| array(&hash, WHAT)).transpose()?,
            told: row.get(12)?,
        },
        relay_told: row.get(13)?,
        last_seen_ms: row.get::<_, Option<i64>>(14)?.map(from_sql),
        delivery_key: row
            .get::<_, Option<Vec<u8>>>(15)?
            .map(|key| array(&key, WHAT).map(DeliveryKey::new))
            .transpose()?,
        member_key: row.get::<_, Option<Vec<u8>>>(16)?.map(|key| array(&key, WHAT).map(MemberKey::new)).transpose()?,
    })
}

/// One peer.
pub(crate) fn get(db: &Db, account: &AccountId) -> Result<Option<PeerRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM peer WHERE account = ?1"))?
        .query_and_then(params![account.0], read)?
        .next()
        .transpose()
}

/// Adds a peer, or replaces all but the record of a known one.
pub(crate) fn put(db: &Db, peer: &PeerRow) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO peer (account, record, handle, relay, pin, device_list, list_stale, list_asked_ms, old_list, held,
             floor_version, floor_hash, floor_told, relay_told, last_seen_ms,
             delivery_key, member_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (account) DO UPDATE SET handle = excluded.handle, relay = excluded.relay, pin = excluded.pin,
             device_list = excluded.device_list, list_stale = excluded.list_stale, list_asked_ms = excluded.list_asked_ms,
             old_list = excluded.old_list, held = excluded.held, floor_version = excluded.floor_version,
             floor_hash = excluded.floor_hash, floor_told = excluded.floor_told, relay_told = excluded.relay_told,
             last_seen_ms = excluded.last_seen_ms, delivery_key = excluded.delivery_key,
             member_key = excluded.member_key",
    )?
    .execute(params![
        peer.account.0,
        peer.record.encode(),
        peer.handle,
        peer.relay.as_str(),
        peer.pin,
        peer.list.as_ref().map(DeviceList::encode),
        peer.list_stale,
        to_sql(peer.list_asked_ms),
        peer.old_list,
        peer.held,
        peer.floor.version,
        peer.floor.hash,
        peer.floor.told,
        peer.relay_told,
        peer.last_seen_ms.map(to_sql),
        peer.delivery_key.as_ref().map(DeliveryKey::as_bytes),
        peer.member_key.as_ref().map(MemberKey::as_bytes),
    ])?;
    deliveries::move_to(db, &peer.account, &lane_relay(&peer.relay, peer.pin.as_ref()))
}

/// Everybody whose keys are known.
pub(crate) fn all_ids(db: &Db) -> Result<Vec<AccountId>, StoreError> {
    db.prepare_cached("SELECT account FROM peer")?
        .query_and_then([], |row| Ok(AccountId(array(&row.get::<_, Vec<u8>>(0)?, "peer")?)))?
        .collect()
}

/// We heard of them, and which receipts they do not send: the hot path of receiving.
pub(crate) fn seen(db: &Db, account: &AccountId, withholds: Withholds, now_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE peer SET last_seen_ms = max(coalesce(last_seen_ms, 0), ?2), withholds = ?3 WHERE account = ?1",
    )?
    .execute(params![account.0, to_sql(now_ms), withholds.bits()])?;
    Ok(())
}

/// Forgets somebody who is nothing to us any more, with the sessions and all that waits for them or came from them.
pub(crate) fn delete(db: &Db, account: &AccountId) -> Result<(), StoreError> {
    for table in [
        "session",
        "pending_receipt",
        "quarantine",
        "retry_request",
        "retry_answer",
        "kept_content",
        "last_line",
        "restore",
        "restore_gone",
        "held_line",
        "restore_answer",
        "contact",
        "peer",
    ] {
        db.execute(&format!("DELETE FROM {table} WHERE account = ?1"), params![account.0])?;
    }
    let contents: Vec<i64> = db
        .prepare("SELECT DISTINCT outbox FROM delivery WHERE account = ?1")?
        .query_map(params![account.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    db.execute("DELETE FROM delivery WHERE account = ?1", params![account.0])?;
    contents.into_iter().try_for_each(|content| outbox::tidy(db, content))
}
