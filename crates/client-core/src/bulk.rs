//! Fills an account's store with many people and messages, for measurements. Only with the feature `bulk`.
//!
//! What is written is what the engine would have written, through the same statements: rows, receipts, search index, counters,
//! events. What is left out is the network: nothing of it was ever sealed or sent.

use std::collections::HashMap;

use subrosa_crypto::{AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair};
use subrosa_wire::{AccountId, DeliveryKey, MessageId};

use crate::{
    api::{ApiError, ContactState, ErrorKind, Event, MessageStatus},
    engine::message_view,
    home::Home,
    keys::{self, StoreSecret},
    lock::{EngineLock, LockAttempt},
    store::{
        self, Db,
        account::Own,
        chats, contacts,
        contacts::ContactRow,
        messages,
        messages::{Late, MessageRow},
    },
};

/// Ids of messages are random, so every insert touches another page of the index over them: all of it in memory.
const CACHE_KIB: u32 = 512 * 1024;

/// Somebody who is a contact without ever having been met.
#[derive(Debug, Clone)]
pub struct Person {
    /// All their keys are made from it.
    pub seed: [u8; 32],
    /// How they are shown; nobody else has that name.
    pub name: String,
    /// Their handle.
    pub handle: String,
    /// How far we are with them.
    pub state: ContactState,
    /// Their safety number was compared.
    pub verified: bool,
    /// Contact since.
    pub since_ms: u64,
    /// The chat stands before the others.
    pub pinned: bool,
    /// No sign of new messages until then; 0: not muted.
    pub muted_until_ms: u64,
    /// The chat is not in the list.
    pub archived: bool,
    /// A text that was begun.
    pub draft: Option<String>,
}

/// A message as it would have come or gone.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its id.
    pub id: MessageId,
    /// The account of the other one.
    pub chat: AccountId,
    /// Ours.
    pub outgoing: bool,
    /// Place in the conversation.
    pub clock: u64,
    /// When it was written.
    pub shown_ms: u64,
    /// The text.
    pub body: String,
    /// What it answers.
    pub reply_to: Option<MessageId>,
    /// How far it got; ours only.
    pub status: Option<MessageStatus>,
    /// Not yet opened; theirs only.
    pub unread: bool,
    /// Whether the event stream still has it.
    pub event: bool,
}

/// An account's store that is being filled. Nobody else has it meanwhile.
pub struct Filler {
    db: Db,
    own: Own,
    names: HashMap<AccountId, String>,
    _lock: EngineLock,
}

impl Filler {
    /// Opens the store of an account that no engine runs on.
    ///
    /// # Errors
    /// An engine runs; the secret is wrong; the store does not open.
    pub fn open(home: &Home, secret: impl Into<StoreSecret>) -> Result<Self, ApiError> {
        let lock = match EngineLock::attempt(home, "bulk")? {
            LockAttempt::Held(lock) => lock,
            LockAttempt::Taken(_) => {
                return Err(ApiError::new(ErrorKind::Failed, "an engine runs on this account").hint("end it first"));
            }
        };
        let key = keys::unlock(home, secret)?;
        let db = store::open(&home.store(), key.as_bytes(), false)?;
        // A filling that is cut short is begun anew: nothing to keep safe until the end.
        db.execute_batch(&format!("PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB};"))
            .map_err(store::StoreError::from)?;
        let own = store::account::load(&db)?;
        let names = contacts::all(&db)?.into_iter().map(|contact| (contact.account, contact.name)).collect();
        Ok(Self { db, own, names, _lock: lock })
    }

    /// Adds people, in one transaction. Gives their accounts.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn people(&mut self, people: &[Person]) -> Result<Vec<AccountId>, ApiError> {
        let transaction = self.db.transaction().map_err(store::StoreError::from)?;
        let mut accounts = Vec::with_capacity(people.len());
        for person in people {
            let contact = contact(person, &self.own)?;
            contacts::put(&transaction, &contact)?;
            let account = contact.account;
            chats::set(
                &transaction,
                &account,
                Some(person.muted_until_ms),
                Some(person.pinned),
                Some(person.archived),
            )?;
            chats::set_draft(&transaction, &account, person.draft.as_deref())?;
            self.names.insert(account, contact.name);
            accounts.push(account);
        }
        transaction.commit().map_err(store::StoreError::from)?;
        Ok(accounts)
    }

    /// Adds messages, in one transaction.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn lines(&mut self, lines: &[Line]) -> Result<(), ApiError> {
        let transaction = self.db.transaction().map_err(store::StoreError::from)?;
        let mut seen: HashMap<AccountId, (u64, Option<u64>)> = HashMap::new();
        for line in lines {
            let message = row(line, &self.own);
            messages::insert(&transaction, &message)?;
            for (step, reached) in line.status.map_or(&[][..], steps).iter().enumerate() {
                let ts_ms = line.shown_ms + 100 * (step as u64 + 1);
                messages::add_receipt(&transaction, &line.id, &line.chat, *reached, ts_ms)?;
            }
            if line.event {
                let name = self.names.get(&line.chat).map_or("", String::as_str);
                store::events::append(
                    &transaction,
                    &Event::Message(message_view(&transaction, &self.own, name, &message)?),
                )?;
            }
            let (clock, last_ms) = seen.entry(line.chat).or_default();
            *clock = (*clock).max(line.clock);
            *last_ms = (*last_ms).max((!line.outgoing).then_some(line.shown_ms));
        }
        for (chat, (clock, last_ms)) in seen {
            contacts::touch(&transaction, &chat, clock, last_ms)?;
        }
        transaction.commit().map_err(store::StoreError::from)?;
        Ok(())
    }

    /// Everything is on the disk when this returns.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn finish(self) -> Result<(), ApiError> {
        self.db
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE);")
            .map_err(store::StoreError::from)?;
        self.db.close().map_err(|(_, error)| store::StoreError::from(error))?;
        Ok(())
    }
}

/// The receipts that a message of this status has.
const fn steps(status: MessageStatus) -> &'static [MessageStatus] {
    use MessageStatus::{Delivered, Expired, Failed, Queued, Read, Sent};
    match status {
        Queued | Failed => &[],
        Sent | Expired => &[Sent],
        Delivered => &[Sent, Delivered],
        Read => &[Sent, Delivered, Read],
    }
}

fn contact(person: &Person, own: &Own) -> Result<ContactRow, ApiError> {
    let failed = |error: &dyn std::fmt::Display| ApiError::new(ErrorKind::Failed, error.to_string());
    let key = AccountKeyPair::from_seed(&person.seed);
    // No recovery words belong to it: nobody will ever recover these accounts.
    let record = AccountRecord::new(key.public(), person.seed);
    let identity = IdentityKeyPair::from_seed(&person.seed);
    let certificate = DeviceCertificate::issue(&key, &record.id(), 1, &identity.public(), 1);
    let list =
        DeviceList::issue(&key, &record, 1, person.since_ms, 1, vec![certificate]).map_err(|error| failed(&error))?;
    let mut delivery_key = [0; 16];
    delivery_key.copy_from_slice(&record.id()[..16]);
    let known = person.state == ContactState::Ok;
    Ok(ContactRow {
        list: Some(list),
        list_stale: false,
        // Nobody renews it.
        old_list: 1,
        name: person.name.clone(),
        pin: own.pin,
        verified: person.verified,
        verified_ms: person.verified.then_some(person.since_ms),
        delivery_key: known.then(|| DeliveryKey::new(delivery_key)),
        requested: known,
        introduced: known,
        answered: known,
        had_key: known,
        decided_ms: person.since_ms,
        ..ContactRow::new(record, person.handle.clone(), own.relay.clone(), person.state, person.since_ms)
    })
}

fn row(line: &Line, own: &Own) -> MessageRow {
    MessageRow {
        id: line.id,
        chat: line.chat,
        sender: if line.outgoing { own.address.account } else { line.chat },
        outgoing: line.outgoing,
        clock: line.clock,
        shown_ms: line.shown_ms,
        body: line.body.clone(),
        reply_to: line.reply_to,
        raw: None,
        status: line.status,
        error: None,
        unread: line.unread,
        arrived_ms: None,
        late: Late::No,
    }
}
