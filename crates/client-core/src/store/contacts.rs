//! Contacts: who they are, where they live, what lets us submit to them.

use rusqlite::Row;
use subrosa_crypto::{AccountRecord, DeviceList};
use subrosa_wire::{AccountId, Capability, ContactToken, DeliveryKey, TokenBinding};
use url::Url;

use super::{Db, OptionalExtension, StoreError, account::decode_list, array, from_sql, params, to_sql};
use crate::api::ContactState;

/// A row of `contact`.
pub(crate) struct ContactRow {
    pub(crate) account: AccountId,
    pub(crate) record: AccountRecord,
    /// Newest verified list; `None` until it was fetched.
    pub(crate) list: Option<DeviceList>,
    pub(crate) list_stale: bool,
    pub(crate) held: Option<String>,
    pub(crate) name: String,
    /// What they call themselves: a valid handle.
    pub(crate) handle: String,
    /// Whom their name would be taken for, until the person names or verifies them.
    pub(crate) looks_like: Option<String>,
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    pub(crate) state: ContactState,
    pub(crate) verified: bool,
    pub(crate) verified_ms: Option<u64>,
    pub(crate) origin: String,
    pub(crate) delivery_key: Option<DeliveryKey>,
    pub(crate) link: Option<OpenedLink>,
    pub(crate) requested: bool,
    pub(crate) introduced: bool,
    pub(crate) answered: bool,
    pub(crate) clock: u64,
    pub(crate) since_ms: u64,
    pub(crate) last_seen_ms: Option<u64>,
    /// When the person last accepted, blocked or unblocked them.
    pub(crate) decided_ms: u64,
    /// What unblocking goes back to.
    pub(crate) state_before: Option<ContactState>,
    /// Our delivery key was sealed to them once: whoever loses them replaces it.
    pub(crate) had_key: bool,
    /// When our new delivery key is given to them, unless a content takes it along before.
    pub(crate) introduce_ms: Option<u64>,
    /// The newest device list they announced themselves, and its hash where it is known: whatever their relay serves, no
    /// older one is sealed for.
    pub(crate) floor: ListFloor,
    /// Version of a device list that the person takes although nobody has renewed it for long.
    pub(crate) old_list: u32,
    /// When their relay was last asked for their list.
    pub(crate) list_asked_ms: u64,
    /// A relay that they claimed and that is not the one on record: the person knows of it.
    pub(crate) relay_told: Option<String>,
}

/// See [`ContactRow::floor`]. Version 0: they have announced none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ListFloor {
    pub(crate) version: u32,
    pub(crate) hash: Option<[u8; 32]>,
    /// The person was told that an older one is served.
    pub(crate) told: bool,
}

/// What is kept of a link that we opened, until its maker answered.
#[derive(Clone)]
pub(crate) struct OpenedLink {
    /// For their relay.
    pub(crate) token: ContactToken,
    pub(crate) binding: TokenBinding,
    /// For them: that our account has the link.
    pub(crate) proof: [u8; 32],
}

impl ContactRow {
    /// A new contact with what is known at first.
    pub(crate) fn new(record: AccountRecord, handle: String, relay: Url, state: ContactState, now_ms: u64) -> Self {
        Self {
            account: AccountId(record.id()),
            record,
            list: None,
            list_stale: true,
            held: None,
            name: handle.clone(),
            looks_like: None,
            handle,
            relay,
            pin: None,
            state,
            verified: false,
            verified_ms: None,
            origin: String::new(),
            delivery_key: None,
            link: None,
            requested: false,
            introduced: false,
            answered: false,
            clock: 0,
            since_ms: now_ms,
            last_seen_ms: None,
            decided_ms: 0,
            state_before: None,
            had_key: false,
            introduce_ms: None,
            floor: ListFloor::default(),
            old_list: 0,
            list_asked_ms: 0,
            relay_told: None,
        }
    }

    /// Whether their list has to be asked for: none is known, or only an older one than they announced.
    pub(crate) fn is_behind(&self) -> bool {
        self.list.as_ref().is_none_or(|list| list.version() < self.floor.version)
    }

    /// What lets us submit: their delivery key, or the token of the link we opened.
    pub(crate) fn capability(&self) -> Option<Capability> {
        if let Some(key) = &self.delivery_key {
            return Some(Capability::DeliveryKey(key.clone()));
        }
        let OpenedLink { token, binding, .. } = self.link.clone()?;
        Some(Capability::ContactToken { token, binding })
    }
}

/// The number a state has in the store and in a contact sync.
pub(crate) const fn state_number(state: ContactState) -> u32 {
    match state {
        ContactState::Request => 1,
        ContactState::Requested => 2,
        ContactState::Ok => 3,
        ContactState::Blocked => 4,
        // Never stored: what our other devices are told.
        ContactState::Removed => 5,
    }
}

/// See [`state_number`].
pub(crate) const fn state_from_number(number: u32) -> Option<ContactState> {
    match number {
        1 => Some(ContactState::Request),
        2 => Some(ContactState::Requested),
        3 => Some(ContactState::Ok),
        4 => Some(ContactState::Blocked),
        5 => Some(ContactState::Removed),
        _ => None,
    }
}

const COLUMNS: &str = "account, record, device_list, list_stale, held, name, handle, relay, pin, state, verified,
    verified_ms, origin, delivery_key, token, binding, requested, introduced, answered, clock, since_ms, last_seen_ms,
    decided_ms, state_before, had_key, introduce_ms, floor_version, floor_hash, floor_told, old_list, list_asked_ms,
    relay_told, looks_like, link_proof";

fn read(row: &Row<'_>) -> Result<ContactRow, StoreError> {
    const WHAT: &str = "contact";
    let record = AccountRecord::decode(&row.get::<_, Vec<u8>>(1)?).map_err(|_| StoreError::Damaged(WHAT))?;
    let list = match row.get::<_, Option<Vec<u8>>>(2)? {
        Some(bytes) => Some(decode_list(&bytes, &record)?),
        None => None,
    };
    let link = match (
        row.get::<_, Option<Vec<u8>>>(14)?,
        row.get::<_, Option<Vec<u8>>>(15)?,
        row.get::<_, Option<Vec<u8>>>(33)?,
    ) {
        (Some(token), Some(binding), Some(proof)) => Some(OpenedLink {
            token: ContactToken::new(array(&token, WHAT)?),
            binding: TokenBinding::new(array(&binding, WHAT)?),
            proof: array(&proof, WHAT)?,
        }),
        _ => None,
    };
    Ok(ContactRow {
        account: AccountId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
        record,
        list,
        list_stale: row.get(3)?,
        held: row.get(4)?,
        name: row.get(5)?,
        handle: row.get(6)?,
        relay: Url::parse(&row.get::<_, String>(7)?).map_err(|_| StoreError::Damaged(WHAT))?,
        pin: row.get::<_, Option<Vec<u8>>>(8)?.map(|pin| array(&pin, WHAT)).transpose()?,
        state: state_from_number(row.get(9)?).ok_or(StoreError::Damaged(WHAT))?,
        verified: row.get(10)?,
        verified_ms: row.get::<_, Option<i64>>(11)?.map(from_sql),
        origin: row.get(12)?,
        delivery_key: row
            .get::<_, Option<Vec<u8>>>(13)?
            .map(|key| array(&key, WHAT).map(DeliveryKey::new))
            .transpose()?,
        link,
        requested: row.get(16)?,
        introduced: row.get(17)?,
        answered: row.get(18)?,
        clock: from_sql(row.get(19)?),
        since_ms: from_sql(row.get(20)?),
        last_seen_ms: row.get::<_, Option<i64>>(21)?.map(from_sql),
        decided_ms: from_sql(row.get(22)?),
        state_before: row.get::<_, Option<u32>>(23)?.and_then(state_from_number),
        had_key: row.get(24)?,
        introduce_ms: row.get::<_, Option<i64>>(25)?.map(from_sql),
        floor: ListFloor {
            version: row.get(26)?,
            hash: row.get::<_, Option<Vec<u8>>>(27)?.map(|hash| array(&hash, WHAT)).transpose()?,
            told: row.get(28)?,
        },
        old_list: row.get(29)?,
        list_asked_ms: from_sql(row.get(30)?),
        relay_told: row.get(31)?,
        looks_like: row.get(32)?,
    })
}

/// One contact.
pub(crate) fn get(db: &Db, account: &AccountId) -> Result<Option<ContactRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM contact WHERE account = ?1"))?
        .query_and_then(params![account.0], read)?
        .next()
        .transpose()
}

/// What an account is to us.
pub(crate) fn state(db: &Db, account: &AccountId) -> Result<Option<ContactState>, StoreError> {
    let number: Option<u32> = db
        .prepare_cached("SELECT state FROM contact WHERE account = ?1")?
        .query_row(params![account.0], |row| row.get(0))
        .optional()?;
    number.map(|number| state_from_number(number).ok_or(StoreError::Damaged("contact"))).transpose()
}

/// How a contact is shown.
pub(crate) fn name(db: &Db, account: &AccountId) -> Result<Option<String>, StoreError> {
    Ok(db
        .prepare_cached("SELECT name FROM contact WHERE account = ?1")?
        .query_row(params![account.0], |row| row.get(0))
        .optional()?)
}

/// All contacts, by name.
pub(crate) fn all(db: &Db) -> Result<Vec<ContactRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM contact ORDER BY name COLLATE NOCASE, account"))?
        .query_and_then([], read)?
        .collect()
}

/// What is compared when somebody is looked for by name.
pub(crate) struct NameRow {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) handle: String,
    pub(crate) state: ContactState,
    pub(crate) since_ms: u64,
}

/// The names of all contacts.
pub(crate) fn names(db: &Db) -> Result<Vec<NameRow>, StoreError> {
    const WHAT: &str = "contact";
    db.prepare_cached("SELECT account, name, handle, state, since_ms FROM contact")?
        .query_and_then([], |row| {
            Ok(NameRow {
                account: AccountId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
                name: row.get(1)?,
                handle: row.get(2)?,
                state: state_from_number(row.get(3)?).ok_or(StoreError::Damaged(WHAT))?,
                since_ms: from_sql(row.get(4)?),
            })
        })?
        .collect()
}

/// Forgets somebody, with the sessions and all that waits for them or came from them.
pub(crate) fn delete(db: &Db, account: &AccountId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM session WHERE account = ?1",
        "DELETE FROM outbox WHERE target = ?1",
        "DELETE FROM pending_receipt WHERE account = ?1",
        "DELETE FROM quarantine WHERE account = ?1",
        "DELETE FROM sent_envelope WHERE account = ?1",
        "DELETE FROM retry_request WHERE account = ?1",
        "DELETE FROM retry_answer WHERE account = ?1",
        "DELETE FROM contact WHERE account = ?1",
    ] {
        db.execute(sql, params![account.0])?;
    }
    Ok(())
}

/// Our delivery key changed: everybody who has the old one is introduced to us anew. Says who they are.
pub(crate) fn introduce_again(db: &Db) -> Result<Vec<AccountId>, StoreError> {
    let knows = [state_number(ContactState::Ok), state_number(ContactState::Requested)];
    db.execute(
        "UPDATE contact SET answered = 0, introduced = 0, requested = 0 WHERE state IN (?1, ?2)",
        params![knows[0], knows[1]],
    )?;
    db.prepare_cached("SELECT account FROM contact WHERE state IN (?1, ?2)")?
        .query_and_then(params![knows[0], knows[1]], |row| {
            Ok(AccountId(array(&row.get::<_, Vec<u8>>(0)?, "contact")?))
        })?
        .collect()
}

/// Our delivery key is in bytes that may leave for them.
pub(crate) fn set_had_key(db: &Db, account: &AccountId) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE contact SET had_key = 1 WHERE account = ?1 AND had_key = 0")?
        .execute(params![account.0])?;
    Ok(())
}

/// When a contact gets our new delivery key, unless a content takes it along before. `None`: they have it.
pub(crate) fn set_introduce_ms(db: &Db, account: &AccountId, at_ms: Option<u64>) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE contact SET introduce_ms = ?2 WHERE account = ?1")?
        .execute(params![account.0, at_ms.map(to_sql)])?;
    Ok(())
}

/// Nobody gets it before this moment: of those that are due then, one goes and the others wait again.
pub(crate) fn postpone_introductions(db: &Db, not_before_ms: u64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE contact SET introduce_ms = ?1 WHERE introduce_ms < ?1")?
        .execute(params![to_sql(not_before_ms)])?;
    Ok(())
}

/// Whoever is the next to get our new delivery key, and when.
pub(crate) fn next_introduction(db: &Db) -> Result<Option<(AccountId, u64)>, StoreError> {
    db.prepare_cached(
        "SELECT account, introduce_ms FROM contact INDEXED BY contact_introduce WHERE introduce_ms IS NOT NULL
         ORDER BY introduce_ms LIMIT 1",
    )?
    .query_and_then([], |row| Ok((AccountId(array(&row.get::<_, Vec<u8>>(0)?, "contact")?), from_sql(row.get(1)?))))?
    .next()
    .transpose()
}

/// Strangers whose requests wait for an answer.
pub(crate) fn requests(db: &Db) -> Result<u64, StoreError> {
    let count: i64 = db.query_row(
        "SELECT count(*) FROM contact WHERE state = ?1",
        params![state_number(ContactState::Request)],
        |row| row.get(0),
    )?;
    Ok(from_sql(count))
}

/// Adds a contact, or replaces all but the list of a known one.
pub(crate) fn put(db: &Db, contact: &ContactRow) -> Result<(), StoreError> {
    let list = contact.list.as_ref();
    db.execute(
        "INSERT INTO contact (account, record, device_list, list_version, list_hash, list_stale, held, name, handle,
             relay, pin, state, verified, verified_ms, origin, delivery_key, token, binding, requested, introduced,
             answered, clock, since_ms, last_seen_ms, decided_ms, state_before, had_key, introduce_ms, floor_version,
             floor_hash, floor_told, old_list, list_asked_ms, relay_told, looks_like, link_proof)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30,?31,
             ?32,?33,?34,?35,?36)
         ON CONFLICT (account) DO UPDATE SET
             device_list=excluded.device_list, list_version=excluded.list_version, list_hash=excluded.list_hash,
             list_stale=excluded.list_stale, held=excluded.held, name=excluded.name, handle=excluded.handle,
             relay=excluded.relay, pin=excluded.pin, state=excluded.state, verified=excluded.verified,
             verified_ms=excluded.verified_ms, origin=excluded.origin, delivery_key=excluded.delivery_key,
             token=excluded.token, binding=excluded.binding, requested=excluded.requested,
             introduced=excluded.introduced, answered=excluded.answered, clock=excluded.clock,
             last_seen_ms=excluded.last_seen_ms, decided_ms=excluded.decided_ms, state_before=excluded.state_before,
             had_key=excluded.had_key, introduce_ms=excluded.introduce_ms, floor_version=excluded.floor_version,
             floor_hash=excluded.floor_hash, floor_told=excluded.floor_told, old_list=excluded.old_list,
             list_asked_ms=excluded.list_asked_ms, relay_told=excluded.relay_told,
             looks_like=excluded.looks_like, link_proof=excluded.link_proof",
        params![
            contact.account.0,
            contact.record.encode(),
            list.map(DeviceList::encode),
            list.map_or(0, DeviceList::version),
            list.map(DeviceList::hash),
            contact.list_stale,
            contact.held,
            contact.name,
            contact.handle,
            contact.relay.as_str(),
            contact.pin,
            state_number(contact.state),
            contact.verified,
            contact.verified_ms.map(to_sql),
            contact.origin,
            contact.delivery_key.as_ref().map(DeliveryKey::as_bytes),
            contact.link.as_ref().map(|link| link.token.as_bytes()),
            contact.link.as_ref().map(|link| link.binding.as_bytes()),
            contact.requested,
            contact.introduced,
            contact.answered,
            to_sql(contact.clock),
            to_sql(contact.since_ms),
            contact.last_seen_ms.map(to_sql),
            to_sql(contact.decided_ms),
            contact.state_before.map(state_number),
            contact.had_key,
            contact.introduce_ms.map(to_sql),
            contact.floor.version,
            contact.floor.hash,
            contact.floor.told,
            contact.old_list,
            to_sql(contact.list_asked_ms),
            contact.relay_told,
            contact.looks_like,
            contact.link.as_ref().map(|link| link.proof),
        ],
    )?;
    Ok(())
}

/// Moves the conversation's clock and the time we last heard from them: the hot path of receiving.
pub(crate) fn touch(db: &Db, account: &AccountId, clock: u64, seen_ms: Option<u64>) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE contact SET clock = max(clock, ?2), last_seen_ms = coalesce(max(coalesce(last_seen_ms, 0), ?3), last_seen_ms)
         WHERE account = ?1",
    )?
    .execute(params![account.0, to_sql(clock), seen_ms.map(to_sql)])?;
    Ok(())
}
