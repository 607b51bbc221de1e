//! Questions about what is stored: messages, receipts, events, status. Nothing here changes anything.

use subrosa_wire::{AccountId, MessageId};

use super::{
    conversations::find_chat,
    core::Core,
    naming,
    people::{self, not_found},
    sending::{parse_id, sent_view},
};
use crate::{
    api::{
        AccountInfo, ApiError, ChatKind, Connection, Contact, Contacts, ErrorKind, EventPage, EventsParams, Message,
        MessageStatus, Person, ReceiptTime, Receipts, ReceiveParams, Received, ReplyTo, Sent, Status,
    },
    limits::{CLOCK_TOLERANCE_MS, MAX_EVENTS_PAGE, QUOTE_CHARS},
    store::{
        self, Db, StoreError,
        account::Own,
        contacts,
        contacts::ContactRow,
        messages::{Late, MessageRow},
    },
};

/// The consumer of `receive` without a name.
const DEFAULT_CONSUMER: &str = "cli";

/// Longest consumer name.
const MAX_CONSUMER_BYTES: usize = 64;

/// A message as interfaces see it. `peer_name` is the chat's shown name.
pub(crate) fn message_view(db: &Db, own: &Own, peer_name: &str, message: &MessageRow) -> Result<Message, StoreError> {
    let body = if message.raw.is_some() { "update to read this".to_owned() } else { message.body.clone() };
    let notes = message.chat == own.address.account;
    Ok(Message {
        cursor: None,
        id: message.id.to_string(),
        chat: message.chat.to_string(),
        chat_kind: if notes { ChatKind::Notes } else { ChatKind::Direct },
        from: author(own, peer_name, message),
        outgoing: message.outgoing,
        ts_ms: message.shown_ms,
        body,
        reply_to: message.reply_to.map(|id| reply_view(db, own, peer_name, &message.chat, id)).transpose()?,
        status: message.status,
        unread: (!message.outgoing).then_some(message.unread),
        unknown: message.raw.is_some(),
        arrived_ms: message.arrived_ms.filter(|_| message.late != Late::No),
        late: message.late == Late::Place,
        chat_name: None,
        snippet: Vec::new(),
    })
}

fn author(own: &Own, peer_name: &str, message: &MessageRow) -> Person {
    if message.outgoing {
        Person { id: own.address.account.to_string(), name: own.handle.clone() }
    } else {
        Person { id: message.sender.to_string(), name: peer_name.to_owned() }
    }
}

/// What a message answers. An original of another chat is not shown: an id that somebody guessed or was given opens nothing.
fn reply_view(db: &Db, own: &Own, peer_name: &str, chat: &AccountId, id: MessageId) -> Result<ReplyTo, StoreError> {
    let original = store::messages::get(db, &id)?.filter(|original| original.chat == *chat);
    Ok(ReplyTo {
        id: id.to_string(),
        from: original.as_ref().map(|original| author(own, peer_name, original)),
        quote: original
            .filter(|original| original.raw.is_none())
            .map(|original| original.body.chars().take(QUOTE_CHARS).collect()),
    })
}

/// First 16 bytes of SHA-256 of the account key, in groups of four.
pub(crate) fn fingerprint(own: &Own) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(own.record.account_key().as_bytes());
    digest[..16].chunks(2).map(hex::encode).collect::<Vec<_>>().join(" ")
}

/// The account as interfaces see it.
pub(crate) fn account_view(own: &Own, data_dir: &str) -> AccountInfo {
    AccountInfo {
        id: own.address.account.to_string(),
        name: own.handle.clone(),
        relay: own.relay.to_string(),
        fingerprint: fingerprint(own),
        data_dir: data_dir.to_owned(),
        device: own.address.device,
        proxy: None,
    }
}

impl Core {
    pub(crate) fn account_info(&self) -> AccountInfo {
        account_view(&self.own, &self.home.path().display().to_string())
    }

    /// Everything about the state but the connection, which the mailbox task knows.
    pub(crate) fn status(&self, relay: Connection, error: Option<String>) -> Result<Status, ApiError> {
        Ok(Status {
            relay,
            relay_url: self.own.relay.to_string(),
            error,
            outbox: store::outbox::message_count(&self.db)?,
            unread: store::chats::unread(&self.db)?,
            requests: contacts::requests(&self.db)?,
            engine: self.owner.clone(),
            last_sync_ms: store::account::last_sync(&self.db)?,
            clock_off_ms: self.clock_off_ms.filter(|off| off.abs() > CLOCK_TOLERANCE_MS),
        })
    }

    pub(crate) fn contact_list(&self) -> Result<Contacts, ApiError> {
        Ok(Contacts { contacts: contacts::all(&self.db)?.iter().map(people::view).collect() })
    }

    pub(crate) fn contact_show(&self, who: &str) -> Result<Contact, ApiError> {
        Ok(people::view(&self.contact_row(who)?))
    }

    pub(crate) fn contact_row(&self, who: &str) -> Result<ContactRow, ApiError> {
        naming::find(&self.db, who)?.ok_or_else(|| not_found(who))
    }

    /// A message by id or the beginning of one.
    pub(crate) fn message_row(&self, id: &str) -> Result<MessageRow, ApiError> {
        /// As for contacts: a shorter beginning would hit by accident.
        const MIN_PREFIX: usize = 8;
        let missing = || {
            ApiError::new(ErrorKind::NotFound, format!("no message with the id {id:?}"))
                .hint("`subrosa history CHAT --json` shows the ids")
        };
        let plain = id.len() >= MIN_PREFIX && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !plain {
            return Err(missing());
        }
        let mut found = store::messages::find(&self.db, &id.to_ascii_lowercase())?;
        if found.len() > 1 {
            return Err(
                ApiError::new(ErrorKind::Usage, format!("{id:?} begins several message ids")).hint("give more of it")
            );
        }
        found.pop().ok_or_else(missing)
    }

    /// The message that is answered: a whole id may be unknown here, the beginning of one has to be known.
    pub(crate) fn reply_target(&self, id: &str) -> Result<MessageId, ApiError> {
        if id.len() == 32 { parse_id(id) } else { Ok(self.message_row(id)?.id) }
    }

    pub(crate) fn receipts(&self, id: &str) -> Result<Receipts, ApiError> {
        let message = self.message_row(id)?;
        let status = message.status.ok_or_else(|| {
            ApiError::new(ErrorKind::Usage, "this message was written by somebody else: receipts are about your own")
        })?;
        let mut view = Receipts {
            id: message.id.to_string(),
            chat: message.chat.to_string(),
            status,
            total: u32::from(message.chat != self.own.address.account),
            queued_ms: message.shown_ms,
            sent: Vec::new(),
            delivered: Vec::new(),
            read: Vec::new(),
            error: sent_view(&self.db, &self.own, &message)?.results.into_iter().find_map(|result| result.error),
        };
        for (account, status, ts_ms) in store::messages::receipts_of(&self.db, &message.id)? {
            let name = contacts::get(&self.db, &account)?.map_or_else(String::new, |contact| contact.name);
            let time = ReceiptTime { by: account.to_string(), name, ts_ms };
            match status {
                MessageStatus::Sent => view.sent.push(time),
                MessageStatus::Delivered => view.delivered.push(time),
                MessageStatus::Read => view.read.push(time),
                _ => {}
            }
        }
        // Clocks differ, and a receipt can overtake the relay's reply: nothing is shown as arrived before it was sent.
        for time in view.delivered.iter_mut().chain(&mut view.read) {
            if let Some(sent) = view.sent.iter().find(|sent| sent.by == time.by) {
                time.ts_ms = time.ts_ms.max(sent.ts_ms);
            }
        }
        // Who opened it has it, also when that receipt came first or was lost.
        for read in &view.read {
            if !view.delivered.iter().any(|delivered| delivered.by == read.by) {
                view.delivered.push(read.clone());
            }
        }
        Ok(view)
    }

    pub(crate) fn events(&self, params: &EventsParams) -> Result<EventPage, ApiError> {
        let newest = store::events::newest(&self.db)?;
        let since = params.since.unwrap_or(newest);
        if since > newest {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("the cursor {since} lies in the future: the newest event is {newest}"),
            )
            .hint("cursors belong to one account's directory; start with --since 0 to see everything"));
        }
        let max = params.max.unwrap_or(MAX_EVENTS_PAGE).clamp(1, MAX_EVENTS_PAGE);
        let events = store::events::after(&self.db, since, max, false)?;
        let cursor = events.last().and_then(crate::api::Event::cursor).unwrap_or(since);
        Ok(EventPage { events, cursor })
    }

    pub(crate) fn receive_after(&self, params: &ReceiveParams) -> Result<Received, ApiError> {
        let since = store::events::consumer(&self.db, consumer_name(params.consumer.as_deref())?)?;
        if params.max == Some(0) {
            return Ok(Received { messages: Vec::new(), cursor: since });
        }
        let max = params.max.unwrap_or(MAX_EVENTS_PAGE).clamp(1, MAX_EVENTS_PAGE);
        let events = store::events::after(&self.db, since, max, true)?;
        let cursor = events.last().and_then(crate::api::Event::cursor).unwrap_or(since);
        let messages = events
            .into_iter()
            .filter_map(|event| match event {
                crate::api::Event::Message(message) => Some(message),
                _ => None,
            })
            .collect();
        Ok(Received { messages, cursor })
    }

    pub(crate) fn receive_commit(&mut self, consumer: Option<&str>, cursor: u64) -> Result<(), ApiError> {
        let name = consumer_name(consumer)?.to_owned();
        self.change(|change| {
            // A cursor beyond the newest event would hide what is still to come.
            let cursor = cursor.min(store::events::newest(change.db)?);
            Ok(store::events::set_consumer(change.db, &name, cursor)?)
        })
    }

    /// What `read WHAT` means: a chat, or a message in one.
    pub(crate) fn read_target(&self, what: &str) -> Result<(AccountId, Option<MessageId>), ApiError> {
        match find_chat(&self.db, &self.own, what) {
            Ok(chat) => return Ok((chat.id, None)),
            Err(error) if error.code != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        match self.message_row(what) {
            Ok(message) => Ok((message.chat, Some(message.id))),
            Err(_) => Err(not_found(what)),
        }
    }

    /// For `wait`: where a message stands.
    pub(crate) fn waited(&self, id: &str) -> Result<Sent, ApiError> {
        self.sent(&parse_id(id)?)
    }
}

fn consumer_name(name: Option<&str>) -> Result<&str, ApiError> {
    let name = name.unwrap_or(DEFAULT_CONSUMER);
    if name.is_empty() || name.len() > MAX_CONSUMER_BYTES {
        return Err(ApiError::new(ErrorKind::Usage, "a consumer's name has 1 to 64 bytes"));
    }
    Ok(name)
}
