//! What interfaces see of stored rows: messages, conversations, events. Names are those of the moment of reading.

use std::{cell::RefCell, collections::HashMap};

use subrosa_wire::{AccountId, MessageId};

use crate::{
    api::{
        ApiError, Chat, ChatEvent, ChatKind, Contact, ContactEvent, ContactState, Event, Message, MessageStatus,
        Notice, Person, ReceiptEvent, ReplyTo, SendResult, Sent, StateEvent,
    },
    conversation::ConversationId,
    engine::{
        core::now_ms,
        people::{self, naming::NOTES_NAME},
    },
    limits::QUOTE_CHARS,
    store::{
        self, Db, StoreError,
        account::Own,
        contacts,
        conversations::ConversationRow,
        events::Happened,
        messages::{Late, MessageRow},
    },
};

/// What stands in the place of a text that only a newer program can read.
const UNKNOWN_TEXT: &str = "update to read this";

/// Reads for one answer: each name once.
pub(crate) struct Views<'a> {
    db: &'a Db,
    own: &'a Own,
    notes: ConversationId,
    names: RefCell<HashMap<AccountId, String>>,
}

impl<'a> Views<'a> {
    pub(crate) fn new(db: &'a Db, own: &'a Own) -> Self {
        Self { db, own, notes: own.notes(), names: RefCell::new(HashMap::new()) }
    }

    /// How somebody is shown; empty for who is gone.
    pub(crate) fn name(&self, account: &AccountId) -> Result<String, StoreError> {
        if *account == self.own.address.account {
            return Ok(self.own.handle.clone());
        }
        if let Some(name) = self.names.borrow().get(account) {
            return Ok(name.clone());
        }
        let name = match contacts::name(self.db, account)? {
            Some(name) => name,
            // With us in a conversation of several: as they call themselves.
            None => store::peers::get(self.db, account)?.map(|peer| peer.handle).unwrap_or_default(),
        };
        self.names.borrow_mut().insert(*account, name.clone());
        Ok(name)
    }

    fn person(&self, account: &AccountId) -> Result<Person, StoreError> {
        Ok(Person { id: account.to_string(), name: self.name(account)? })
    }

    fn kind(&self, conversation: &ConversationId) -> Result<ChatKind, StoreError> {
        if *conversation == self.notes {
            return Ok(ChatKind::Notes);
        }
        Ok(store::conversations::kind(self.db, conversation)?.unwrap_or(ChatKind::Direct))
    }

    /// How a conversation is shown.
    pub(crate) fn conversation_name(&self, conversation: &ConversationId) -> Result<String, StoreError> {
        if *conversation == self.notes {
            return Ok(NOTES_NAME.to_owned());
        }
        let others = store::conversations::others(self.db, conversation)?;
        Ok(others.iter().map(|other| self.name(other)).collect::<Result<Vec<_>, _>>()?.join(", "))
    }

    /// A message.
    pub(crate) fn message(&self, message: &MessageRow) -> Result<Message, StoreError> {
        let unknown = message.raw.is_some();
        Ok(Message {
            cursor: None,
            id: message.id.to_string(),
            chat: message.conversation.to_string(),
            chat_kind: self.kind(&message.conversation)?,
            from: self.person(&message.sender)?,
            outgoing: message.outgoing,
            ts_ms: message.shown_ms,
            body: if unknown { UNKNOWN_TEXT.to_owned() } else { message.body.clone() },
            forwarded: message.forwarded,
            reply_to: message.reply_to.map(|id| self.reply(&message.conversation, id)).transpose()?,
            status: message.status,
            unread: (!message.outgoing).then_some(message.unread),
            unknown,
            arrived_ms: message.arrived_ms.filter(|_| message.late != Late::No),
            late: message.late == Late::Place,
            ahead: message.late == Late::Ahead,
            chat_name: None,
            snippet: Vec::new(),
        })
    }

    /// What a message answers. An original of another conversation is not shown: an id that somebody was given opens nothing.
    fn reply(&self, conversation: &ConversationId, id: MessageId) -> Result<ReplyTo, StoreError> {
        let original = store::messages::get(self.db, &id)?.filter(|original| original.conversation == *conversation);
        Ok(ReplyTo {
            id: id.to_string(),
            from: original.as_ref().map(|original| self.person(&original.sender)).transpose()?,
            quote: original
                .filter(|original| original.raw.is_none())
                .map(|original| original.body.chars().take(QUOTE_CHARS).collect()),
        })
    }

    /// A conversation, without what events leave out unless it is for the list; and when its newest message was written.
    pub(crate) fn chat(&self, row: ConversationRow, for_list: bool, now_ms: u64) -> Result<(Chat, u64), StoreError> {
        let last = row.last.map(|last| store::messages::at_row(self.db, last)).transpose()?.flatten();
        let newest_ms = last.as_ref().map_or(row.since_ms, |last| last.shown_ms);
        let last = last.filter(|_| for_list).map(|last| self.message(&last)).transpose()?;
        let name = match &row.other {
            Some((_, name)) => name.clone(),
            None => self.conversation_name(&row.id)?,
        };
        let chat = Chat {
            id: row.id.to_string(),
            kind: row.kind,
            with: row.other.map(|(account, _)| account.to_string()),
            name,
            state: row.state,
            unread: row.unread,
            first_unread: row.first_unread.map(|id| id.to_string()),
            last,
            muted_until_ms: Some(row.muted_until_ms).filter(|until| *until > now_ms),
            pinned: row.pinned,
            archived: row.archived,
            keep: row.keep.map(|keep| keep.to_string()),
            draft: row.draft.filter(|_| for_list),
        };
        Ok((chat, newest_ms))
    }

    fn chat_event(
        &self,
        cursor: u64,
        conversation: &ConversationId,
        deleted: bool,
        now_ms: u64,
    ) -> Result<Option<Event>, StoreError> {
        let Some(row) = store::conversations::list(self.db, Some(conversation))?.pop() else { return Ok(None) };
        let chat = self.chat(row, false, now_ms)?.0;
        Ok(Some(Event::Chat(ChatEvent { cursor: Some(cursor), chat, deleted })))
    }

    /// An event as it is now; `None`: what it is about is gone.
    pub(crate) fn event(&self, cursor: u64, happened: Happened, now_ms: u64) -> Result<Option<Event>, StoreError> {
        let place = Some(cursor);
        Ok(match happened {
            Happened::Message { message, .. } => match store::messages::get(self.db, &message)? {
                Some(row) => Some(Event::Message(Message { cursor: place, ..self.message(&row)? })),
                None => None,
            },
            Happened::Receipt { conversation, message, by, status, ts_ms } => Some(Event::Receipt(ReceiptEvent {
                cursor: place,
                id: message.to_string(),
                chat: conversation.to_string(),
                by: by.to_string(),
                name: self.name(&by)?,
                status,
                overall: store::messages::get(self.db, &message)?.and_then(|row| row.status).unwrap_or(status),
                ts_ms,
            })),
            Happened::State { conversation, message, status, ts_ms, error } => Some(Event::State(StateEvent {
                cursor: place,
                id: message.to_string(),
                chat: conversation.to_string(),
                status,
                ts_ms,
                error,
            })),
            Happened::Contact { account, .. } => contacts::get(self.db, &account)?.map(|contact| {
                Event::Contact(ContactEvent { cursor: place, contact: people::view(self.own, &contact) })
            }),
            Happened::Removed { account } => {
                let contact = Contact {
                    id: account.to_string(),
                    chat: self.own.chat_with(&account).to_string(),
                    state: ContactState::Removed,
                    ..Contact::default()
                };
                Some(Event::Contact(ContactEvent { cursor: place, contact }))
            }
            Happened::Conversation { conversation } => self.chat_event(cursor, &conversation, false, now_ms)?,
            Happened::Deleted { conversation } => self.chat_event(cursor, &conversation, true, now_ms)?,
            Happened::Notice { code, text, conversation, ts_ms } => Some(Event::Notice(Notice {
                cursor: place,
                code,
                text,
                chat: conversation.map(|id| id.to_string()),
                ts_ms,
            })),
        })
    }
}

/// The view of a message of ours for `send` and `wait`, with a result for each receiver; for ourselves if nobody else is there.
pub(crate) fn sent_view(db: &store::Db, own: &Own, message: &MessageRow) -> Result<Sent, ApiError> {
    let views = Views::new(db, own);
    let status = message.status.unwrap_or(MessageStatus::Queued);
    let mut results = Vec::new();
    for receiver in store::recipients::of(db, &message.id)? {
        let mut error = receiver.error;
        let mut retry_after_s = None;
        if receiver.status == MessageStatus::Queued
            && let Some((reason, next_ms)) = store::deliveries::waiting_of(db, &message.id, &receiver.account)?
        {
            error = reason.or(error);
            retry_after_s = error.as_ref().map(|_| next_ms.saturating_sub(now_ms()).div_ceil(1_000));
        }
        results.push(SendResult {
            to: receiver.account.to_string(),
            name: views.name(&receiver.account)?,
            status: receiver.status,
            unreached: receiver.unreached,
            error,
            retry_after_s,
        });
    }
    if results.is_empty() {
        results.push(SendResult {
            to: own.address.account.to_string(),
            name: views.conversation_name(&message.conversation)?,
            status,
            unreached: false,
            error: message.error.clone(),
            retry_after_s: None,
        });
    }
    Ok(Sent {
        id: message.id.to_string(),
        chat: message.conversation.to_string(),
        status,
        ts_ms: message.shown_ms,
        results,
    })
}
