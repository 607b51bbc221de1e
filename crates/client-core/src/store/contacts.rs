//! Contacts: what somebody is to us, and what lets us submit to them.

use rusqlite::Row;
use subrosa_crypto::AccountRecord;
use subrosa_wire::{AccountId, Capability, ContactToken, TokenBinding};
use url::Url;

use super::{
    Db, OptionalExtension, StoreError, array, from_sql, params,
    peers::{self, PeerRow},
    to_sql,
};
use crate::api::ContactState;

/// A row of `contact`, with the peer it is about.
pub(crate) struct ContactRow {
    pub(crate) peer: PeerRow,
    /// How they are shown.
    pub(crate) name: String,
    /// Whom their name would be taken for, until the person names or verifies them.
    pub(crate) looks_like: Option<String>,
    pub(crate) state: ContactState,
    /// What unblocking goes back to.
    pub(crate) state_before: Option<ContactState>,
    /// When the person last accepted, blocked or unblocked them.
    pub(crate) decided_ms: u64,
    pub(crate) verified: bool,
    pub(crate) verified_ms: Option<u64>,
    pub(crate) origin: String,
    pub(crate) since_ms: u64,
    /// What lets us submit to them.
    pub(crate) reach: Reach,
    /// What they have of us.
    pub(crate) given: Given,
}

/// What lets us submit to somebody who has not given us their delivery key yet.
#[derive(Default)]
pub(crate) struct Reach {
    /// Their link, until they have answered.
    pub(crate) link: Option<OpenedLink>,
    /// Our request is in their mailbox.
    pub(crate) requested: bool,
}

/// How far somebody has what lets them submit to us.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Given {
    /// Our delivery key was sealed to them once: whoever loses them replaces it.
    pub(crate) had_key: bool,
    /// A relay accepted our introduction.
    pub(crate) introduced: bool,
    /// They wrote after it: no more introductions.
    pub(crate) answered: bool,
    /// When our new delivery key is given to them, unless a content takes it along before.
    pub(crate) introduce_ms: Option<u64>,
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
            name: handle.clone(),
            peer: PeerRow::new(record, handle, relay),
            looks_like: None,
            state,
            state_before: None,
            decided_ms: 0,
            verified: false,
            verified_ms: None,
            origin: String::new(),
            since_ms: now_ms,
            reach: Reach::default(),
            given: Given::default(),
        }
    }

    /// What we show to submit to them: their delivery key, or the token of the link we opened.
    pub(crate) fn capability(&self) -> Option<Capability> {
        if let Some(key) = &self.peer.delivery_key {
            return Some(Capability::DeliveryKey(key.clone()));
        }
        let OpenedLink { token, binding, .. } = self.reach.link.clone()?;
        Some(Capability::ContactToken { token, binding })
    }

    /// Whose row it is.
    pub(crate) const fn account(&self) -> &AccountId {
        &self.peer.account
    }
}

/// The number a state has in the store.
pub(super) const fn state_number(state: ContactState) -> u32 {
    match state {
        ContactState::Request => 1,
        ContactState::Requested => 2,
        ContactState::Ok => 3,
        ContactState::Blocked => 4,
        // Never stored: nobody is left to have it.
        ContactState::Removed => 5,
    }
}

/// See [`state_number`].
pub(super) const fn state_from_number(number: u32) -> Option<ContactState> {
    match number {
        1 => Some(ContactState::Request),
        2 => Some(ContactState::Requested),
        3 => Some(ContactState::Ok),
        4 => Some(ContactState::Blocked),
        5 => Some(ContactState::Removed),
        _ => None,
    }
}

const COLUMNS: &str = "contact.name, contact.looks_like, contact.state, contact.state_before, contact.decided_ms,
    contact.verified, contact.verified_ms, contact.origin, contact.since_ms, contact.token,
    contact.binding, contact.link_proof, contact.requested, contact.introduced, contact.answered, contact.had_key,
    contact.introduce_ms";

/// Contacts with their peers.
fn select() -> String {
    format!("SELECT {}, {COLUMNS} FROM contact JOIN peer ON peer.account = contact.account", peers::COLUMNS)
}

fn read(row: &Row<'_>) -> Result<ContactRow, StoreError> {
    const WHAT: &str = "contact";
    const AT: usize = peers::COLUMN_COUNT;
    let bytes = |at: usize| row.get::<_, Option<Vec<u8>>>(AT + at);
    let link = match (bytes(9)?, bytes(10)?, bytes(11)?) {
        (Some(token), Some(binding), Some(proof)) => Some(OpenedLink {
            token: ContactToken::new(array(&token, WHAT)?),
            binding: TokenBinding::new(array(&binding, WHAT)?),
            proof: array(&proof, WHAT)?,
        }),
        _ => None,
    };
    Ok(ContactRow {
        peer: peers::read(row)?,
        name: row.get(AT)?,
        looks_like: row.get(AT + 1)?,
        state: state_from_number(row.get(AT + 2)?).ok_or(StoreError::Damaged(WHAT))?,
        state_before: row.get::<_, Option<u32>>(AT + 3)?.and_then(state_from_number),
        decided_ms: from_sql(row.get(AT + 4)?),
        verified: row.get(AT + 5)?,
        verified_ms: row.get::<_, Option<i64>>(AT + 6)?.map(from_sql),
        origin: row.get(AT + 7)?,
        since_ms: from_sql(row.get(AT + 8)?),
        reach: Reach { link, requested: row.get(AT + 12)? },
        given: Given {
            introduced: row.get(AT + 13)?,
            answered: row.get(AT + 14)?,
            had_key: row.get(AT + 15)?,
            introduce_ms: row.get::<_, Option<i64>>(AT + 16)?.map(from_sql),
        },
    })
}

/// One contact.
pub(crate) fn get(db: &Db, account: &AccountId) -> Result<Option<ContactRow>, StoreError> {
    db.prepare_cached(&format!("{} WHERE contact.account = ?1", select()))?
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
    db.prepare_cached(&format!("{} ORDER BY contact.name COLLATE NOCASE, contact.account", select()))?
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
    db.prepare_cached("SELECT account, name, handle, state, since_ms FROM contact JOIN peer USING (account)")?
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

/// Forgets what somebody is to us, not who they are.
pub(crate) fn delete(db: &Db, account: &AccountId) -> Result<(), StoreError> {
    db.execute("DELETE FROM contact WHERE account = ?1", params![account.0])?;
    Ok(())
}

/// Adds a contact and their peer, or replaces all but the record of known ones.
pub(crate) fn put(db: &Db, contact: &ContactRow) -> Result<(), StoreError> {
    peers::put(db, &contact.peer)?;
    let (reach, given) = (&contact.reach, &contact.given);
    db.prepare_cached(
        "INSERT INTO contact (account, name, looks_like, state, state_before, decided_ms, verified, verified_ms, origin, since_ms,
             token, binding, link_proof, requested, introduced, answered, had_key, introduce_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT (account) DO UPDATE SET name = excluded.name, looks_like = excluded.looks_like, state = excluded.state,
             state_before = excluded.state_before, decided_ms = excluded.decided_ms, verified = excluded.verified,
             verified_ms = excluded.verified_ms, origin = excluded.origin, token = excluded.token, binding = excluded.binding, link_proof = excluded.link_proof,
             requested = excluded.requested, introduced = excluded.introduced, answered = excluded.answered,
             had_key = excluded.had_key, introduce_ms = excluded.introduce_ms",
    )?
    .execute(params![
        contact.account().0,
        contact.name,
        contact.looks_like,
        state_number(contact.state),
        contact.state_before.map(state_number),
        to_sql(contact.decided_ms),
        contact.verified,
        contact.verified_ms.map(to_sql),
        contact.origin,
        to_sql(contact.since_ms),
        reach.link.as_ref().map(|link| link.token.as_bytes()),
        reach.link.as_ref().map(|link| link.binding.as_bytes()),
        reach.link.as_ref().map(|link| link.proof),
        reach.requested,
        given.introduced,
        given.answered,
        given.had_key,
        given.introduce_ms.map(to_sql),
    ])?;
    Ok(())
}
