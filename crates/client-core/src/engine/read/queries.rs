//! Questions about what is stored: messages, receipts, events, status. Nothing here changes anything.

use subrosa_wire::MessageId;

use crate::{
    api::{
        AccountInfo, ApiError, Connection, Contact, Contacts, ErrorKind, Event, EventPage, EventsParams, InfoParams,
        NoParams, ReceiptTime, Receipts, Sent, Status, WhoParams,
    },
    conversation::ConversationId,
    engine::{
        core::{Core, ids::parse_id, now_ms},
        people::{self, chat_names::find_chat, naming, not_found},
        read::views::{Views, sent_view},
    },
    limits::{CLOCK_TOLERANCE_MS, MAX_EVENTS_PAGE},
    store::{
        self,
        account::Own,
        contacts::{self, ContactRow},
        messages::MessageRow,
    },
};

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
            outbox: store::recipients::waiting_messages(&self.db)?,
            unread: store::conversations::unread(&self.db)?,
            requests: contacts::requests(&self.db)?,
            engine: self.owner.clone(),
            last_sync_ms: store::account::last_sync(&self.db)?,
            clock_off_ms: self.clock_off_ms.filter(|off| off.abs() > CLOCK_TOLERANCE_MS),
        })
    }

    pub(crate) fn contact_list(&self, _params: &NoParams) -> Result<Contacts, ApiError> {
        Ok(Contacts {
            contacts: contacts::all(&self.db)?.iter().map(|contact| people::view(&self.own, contact)).collect(),
        })
    }

    pub(crate) fn contact_show(&self, params: &WhoParams) -> Result<Contact, ApiError> {
        Ok(people::view(&self.own, &self.contact_row(&params.who)?))
    }

    pub(crate) fn contact_row(&self, who: &str) -> Result<ContactRow, ApiError> {
        naming::find(&self.db, &self.own, who)?.ok_or_else(|| not_found(who))
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

    pub(crate) fn info(&self, params: &InfoParams) -> Result<Receipts, ApiError> {
        let message = self.message_row(&params.id)?;
        let status = message.status.ok_or_else(|| {
            ApiError::new(ErrorKind::Usage, "this message was written by somebody else: receipts are about your own")
        })?;
        let mut view = Receipts {
            id: message.id.to_string(),
            chat: message.conversation.to_string(),
            status,
            total: u32::try_from(store::conversations::others(&self.db, &message.conversation)?.len())
                .unwrap_or(u32::MAX),
            queued_ms: message.shown_ms,
            sent: Vec::new(),
            delivered: Vec::new(),
            read: Vec::new(),
            error: sent_view(&self.db, &self.own, &message)?.results.into_iter().find_map(|result| result.error),
        };
        let views = Views::new(&self.db, &self.own);
        for row in store::recipients::of(&self.db, &message.id)? {
            let by = row.account.to_string();
            let time = |ts_ms: u64| -> Result<ReceiptTime, ApiError> {
                Ok(ReceiptTime { by: by.clone(), name: views.name(&row.account)?, ts_ms })
            };
            // Clocks differ, and a receipt can overtake the relay's reply: nothing is shown as arrived before it was sent.
            let after_sent = |ts_ms: u64| ts_ms.max(row.sent_ms.unwrap_or(0));
            if let Some(ts_ms) = row.sent_ms {
                view.sent.push(time(ts_ms)?);
            }
            // Who opened it has it, also when that receipt came first or was lost.
            if let Some(ts_ms) = row.delivered_ms.or(row.read_ms) {
                view.delivered.push(time(after_sent(ts_ms))?);
            }
            if let Some(ts_ms) = row.read_ms {
                view.read.push(time(after_sent(ts_ms))?);
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
        let (events, cursor) = self.events_after(since, params.max, false)?;
        Ok(EventPage { events, cursor })
    }

    /// A page of events as they are now, and where to go on: what has nothing left to show is passed over.
    pub(in crate::engine) fn events_after(
        &self,
        since: u64,
        max: Option<u32>,
        incoming: bool,
    ) -> Result<(Vec<Event>, u64), ApiError> {
        let max = max.unwrap_or(MAX_EVENTS_PAGE).clamp(1, MAX_EVENTS_PAGE);
        let (views, now_ms) = (Views::new(&self.db, &self.own), now_ms());
        let (mut events, mut cursor) = (Vec::new(), since);
        // Until there is something to give, or nothing more: an empty page would be taken for the end.
        loop {
            let rows = store::events::after(&self.db, cursor, max, incoming)?;
            let whole = rows.len() == usize::try_from(max).unwrap_or(usize::MAX);
            for (at, happened) in rows {
                cursor = at;
                events.extend(views.event(at, happened, now_ms)?);
            }
            if !events.is_empty() || !whole {
                return Ok((events, cursor));
            }
        }
    }

    /// What `read WHAT` means: a chat, or a message in one.
    pub(crate) fn read_target(&self, what: &str) -> Result<(ConversationId, Option<MessageId>), ApiError> {
        match find_chat(&self.db, &self.own, what) {
            Ok(chat) => return Ok((chat.id, None)),
            Err(error) if error.code != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        match self.message_row(what) {
            Ok(message) => Ok((message.conversation, Some(message.id))),
            Err(_) => Err(not_found(what)),
        }
    }

    /// For `wait`: where a message stands.
    pub(crate) fn waited(&self, id: &str) -> Result<Sent, ApiError> {
        self.sent(&parse_id(id)?)
    }
}
