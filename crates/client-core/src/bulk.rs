//! Fills an account's store with many people and messages, for measurements. Only with the feature `bulk`.
//!
//! What is written is what the engine would have written, through the same statements: rows, receipts, search index, counters,
//! events. What is left out is the network: nothing of it was ever sealed or sent.

use subrosa_crypto::{AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair};
use subrosa_wire::{AccountId, DeliveryKey, MessageId};

use crate::{
    api::{ApiError, ChatKind, ContactState, ErrorKind, MessageStatus},
    content::Withholds,
    home::Home,
    keys::{self, StoreSecret},
    lock::{EngineLock, LockAttempt},
    store::{
        self, Db,
        account::Own,
        contacts::{self, ContactRow, Given, Reach},
        conversations,
        events::Happened,
        messages::{self, Late, MessageRow},
        peers::{self, PeerRow},
        recipients::{self, RecipientRow},
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
        Ok(Self { db, own, _lock: lock })
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
            let account = *contact.account();
            let chat = self.own.chat_with(&account);
            conversations::ensure(&transaction, &chat, ChatKind::Direct, &[account], person.since_ms)?;
            let (muted, pinned, archived) = (person.muted_until_ms, person.pinned, person.archived);
            conversations::set(&transaction, &chat, Some(muted), Some(pinned), Some(archived))?;
            conversations::set_draft(&transaction, &chat, person.draft.as_deref())?;
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
        for line in lines {
            let message = row(line, &self.own);
            messages::insert(&transaction, &message)?;
            if let Some(status) = line.status {
                recipients::add(&transaction, &line.id, &line.chat, status)?;
                let times = steps(status).iter().zip(1..);
                let at = |wanted| {
                    let step = times.clone().find(|(reached, _)| **reached == wanted);
                    step.map(|(_, step)| line.shown_ms + 100 * step)
                };
                let reached = RecipientRow {
                    account: line.chat,
                    status,
                    error: None,
                    unreached: false,
                    sent_ms: at(MessageStatus::Sent),
                    delivered_ms: at(MessageStatus::Delivered),
                    read_ms: at(MessageStatus::Read),
                    withholds: Withholds::default(),
                };
                recipients::put(&transaction, &line.id, &reached)?;
            }
            if line.event {
                let happened = Happened::Message {
                    conversation: message.conversation,
                    message: message.id,
                    incoming: !line.outgoing,
                };
                store::events::append(&transaction, &happened)?;
            }
            if !line.outgoing {
                peers::seen(&transaction, &line.chat, Withholds::default(), line.shown_ms)?;
            }
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
    let contact = ContactRow::new(record, person.handle.clone(), own.relay.clone(), person.state, person.since_ms);
    Ok(ContactRow {
        peer: PeerRow {
            list: Some(list),
            list_stale: false,
            // Nobody renews it.
            old_list: 1,
            pin: own.pin,
            delivery_key: known.then(|| DeliveryKey::new(delivery_key)),
            ..contact.peer
        },
        name: person.name.clone(),
        verified: person.verified,
        verified_ms: person.verified.then_some(person.since_ms),
        decided_ms: person.since_ms,
        reach: Reach { requested: known, ..contact.reach },
        given: Given { introduced: known, answered: known, had_key: known, ..contact.given },
        ..contact
    })
}

fn row(line: &Line, own: &Own) -> MessageRow {
    MessageRow {
        id: line.id,
        conversation: own.chat_with(&line.chat),
        sender: if line.outgoing { own.address.account } else { line.chat },
        outgoing: line.outgoing,
        clock: line.clock,
        shown_ms: line.shown_ms,
        body: line.body.clone(),
        forwarded: false,
        reply_to: line.reply_to,
        raw: None,
        status: line.status,
        error: None,
        unread: line.unread,
        arrived_ms: (!line.outgoing).then_some(line.shown_ms),
        late: Late::No,
    }
}
