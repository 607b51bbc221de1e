//! What a verified content does: store a message, move a tick, meet a person, follow another device of ours.

use subrosa_crypto::{AccountRecord, DeviceList};
use subrosa_wire::{AccountId, DeliveryKey, MessageId, mailbox::Way};

use super::{
    audience::{is_listened_to, may_ask_by},
    conversations::NOTES_NAME,
    core::Change,
    queries,
    receiving::{Arrival, Sender},
};
use crate::{
    api::{ApiError, ContactState, Event, MessageStatus, ReceiptEvent},
    content::{self, Body, CheckedContent, ContactSync, Receipt, ReceiptStatus, Transcript},
    limits::{CLOCK_TOLERANCE_MS, MAX_CLOCK_JUMP, SHOWN_AFTER_MS},
    store::{
        self,
        contacts::{self, ContactRow, state_from_number},
        envelopes::Outcome,
        messages::{Late, MessageRow},
    },
};

impl Change<'_> {
    /// Applies a content whose sender is verified. `raw` is kept if the body's type is unknown.
    pub(super) fn apply(
        &mut self,
        sender: &mut Sender,
        content: CheckedContent,
        raw: &[u8],
        arrival: &Arrival,
    ) -> Result<Outcome, ApiError> {
        let received_ms = arrival.received_ms;
        if sender.own {
            return self.apply_own(content);
        }
        let state = sender.contact.as_ref().map(|contact| contact.state);
        if !is_listened_to(content.body.as_ref(), state) {
            return Ok(Outcome::Junk);
        }
        if matches!(state, None | Some(ContactState::Request)) && !may_ask_by(arrival.way, self.has_siblings()) {
            return Ok(Outcome::Junk);
        }
        let mut contact = match sender.contact.take() {
            Some(mut contact) => {
                if let Some(introduction) = &content.introduction {
                    self.meet_again(&mut contact, introduction, received_ms)?;
                }
                contact
            }
            None => match self.meet_stranger(&sender.record, &content, arrival)? {
                Some(contact) => contact,
                None => return Ok(Outcome::Junk),
            },
        };
        // Whoever writes with our delivery key after an introduction of ours has it. What they could not decrypt may have
        // been that introduction: a retry request is no answer to it.
        let asks_again = matches!(content.body, Some(Body::RetryRequest(_)));
        let answers = contact.introduced && arrival.way == Way::DeliveryKey;
        let answered = !asks_again && (contact.answered || answers);
        if answered != contact.answered {
            contact.answered = answered;
            contacts::put(self.db, &contact)?;
        }
        let account = contact.account;
        let clock = content.clock.min(contact.clock.saturating_add(MAX_CLOCK_JUMP));
        contacts::touch(self.db, &account, clock, Some(self.now_ms))?;
        match content.body {
            Some(Body::Text(text)) => {
                let reply_to = content::reply_to(&text.reply_to);
                let message = self.incoming(&contact, content.message_id, clock, content.sent_ms, received_ms);
                self.store_incoming(&contact, MessageRow { body: text.text, reply_to, ..message })
            }
            Some(Body::Receipt(receipt)) => self.apply_receipt(&contact, &receipt),
            // An introduction only, and that is applied already.
            Some(Body::Hello(_)) => Ok(Outcome::Applied),
            Some(Body::RetryRequest(request)) => self.send_again(&contact, &sender.device, &request),
            // For our own devices only; refused above.
            Some(Body::Transcript(_) | Body::ContactSync(_) | Body::ReadSync(_) | Body::KeySync(_)) => {
                Ok(Outcome::Junk)
            }
            None => {
                let message = self.incoming(&contact, content.message_id, clock, content.sent_ms, received_ms);
                self.store_incoming(&contact, MessageRow { raw: Some(raw.to_vec()), ..message })
            }
        }
    }

    fn meet_stranger(
        &mut self,
        record: &AccountRecord,
        content: &CheckedContent,
        arrival: &Arrival,
    ) -> Result<Option<ContactRow>, ApiError> {
        match &content.introduction {
            Some(introduction) => self.meet(record, introduction, arrival),
            None => Ok(None),
        }
    }

    fn incoming(&self, contact: &ContactRow, id: MessageId, clock: u64, sent_ms: u64, received_ms: u64) -> MessageRow {
        let received_ms = self.received(received_ms);
        // Shown time = min(claimed, received). What claims to be much older than it is gets a mark.
        let backdated = sent_ms.saturating_add(CLOCK_TOLERANCE_MS.unsigned_abs()) < received_ms;
        MessageRow {
            id,
            chat: contact.account,
            sender: contact.account,
            outgoing: false,
            clock,
            shown_ms: sent_ms.min(received_ms),
            body: String::new(),
            reply_to: None,
            raw: None,
            status: None,
            error: None,
            unread: true,
            arrived_ms: Some(self.now_ms),
            late: if backdated { Late::Time } else { Late::No },
        }
    }

    /// Place and time are their author's claim: whoever reads is told when they mislead.
    fn lateness(&self, message: &MessageRow) -> Result<Late, ApiError> {
        if store::messages::stands_above(self.db, message, self.now_ms.saturating_sub(SHOWN_AFTER_MS))? {
            return Ok(Late::Place);
        }
        let turned_back = store::messages::shown_above(self.db, message)?
            .is_some_and(|above_ms| message.shown_ms.saturating_add(CLOCK_TOLERANCE_MS.unsigned_abs()) < above_ms);
        Ok(if turned_back { Late::Time } else { message.late })
    }

    fn store_incoming(&mut self, contact: &ContactRow, mut message: MessageRow) -> Result<Outcome, ApiError> {
        message.late = self.lateness(&message)?;
        if !store::messages::insert(self.db, &message)? {
            return Ok(Outcome::Duplicate);
        }
        self.receipt_for(contact, &message.id, MessageStatus::Delivered)?;
        let view = queries::message_view(self.db, self.own, &contact.name, &message)?;
        self.event(&Event::Message(view))?;
        if store::chats::bring_back(self.db, &message.chat, self.now_ms)? {
            self.chat_event(&message.chat)?;
        }
        Ok(Outcome::Stored)
    }

    /// Only for messages that exist, are ours and went to this person.
    fn apply_receipt(&mut self, from: &ContactRow, receipt: &Receipt) -> Result<Outcome, ApiError> {
        let by = &from.account;
        let status = match ReceiptStatus::try_from(receipt.status) {
            Ok(ReceiptStatus::Delivered) => MessageStatus::Delivered,
            Ok(ReceiptStatus::Read) => MessageStatus::Read,
            Err(_) => return Ok(Outcome::Junk),
        };
        for item in &receipt.items {
            let Ok(id) = MessageId::from_slice(&item.message_id) else { continue };
            let Some(message) = store::messages::get(self.db, &id)? else { continue };
            if !message.outgoing || message.chat != *by {
                continue;
            }
            // Not before there was anything to get, and not in the future.
            let ts_ms = item.ts_ms.max(message.shown_ms).min(self.now_ms);
            store::messages::add_receipt(self.db, &id, by, status, ts_ms)?;
            if store::messages::move_status(self.db, &message, status, None)? {
                self.event(&Event::Receipt(ReceiptEvent {
                    cursor: None,
                    id: id.to_string(),
                    chat: message.chat.to_string(),
                    by: by.to_string(),
                    name: from.name.clone(),
                    status,
                    ts_ms,
                }))?;
            }
        }
        Ok(Outcome::Applied)
    }

    /// From another device of this account.
    fn apply_own(&mut self, content: CheckedContent) -> Result<Outcome, ApiError> {
        match content.body {
            Some(Body::Transcript(transcript)) => self.apply_transcript(transcript),
            Some(Body::ContactSync(sync)) => self.apply_contact_sync(&sync),
            Some(Body::ReadSync(sync)) => {
                let mut chats = Vec::new();
                for id in content::message_ids(sync.message_ids.iter()) {
                    if store::messages::set_read(self.db, &id)?
                        && let Some(message) = store::messages::get(self.db, &id)?
                        && !chats.contains(&message.chat)
                    {
                        chats.push(message.chat);
                    }
                }
                for chat in chats {
                    self.chat_event(&chat)?;
                }
                Ok(Outcome::Applied)
            }
            Some(Body::KeySync(sync)) => {
                self.apply_key_sync(&sync)?;
                Ok(Outcome::Applied)
            }
            _ => Ok(Outcome::Junk),
        }
    }

    /// Another device of ours sent this.
    fn apply_transcript(&mut self, transcript: Transcript) -> Result<Outcome, ApiError> {
        let (Some(peer), Ok(id)) =
            (content::account_id(&transcript.peer), MessageId::from_slice(&transcript.message_id))
        else {
            return Ok(Outcome::Junk);
        };
        let note = peer == self.own.address.account;
        let (name, known_clock) = if note {
            (NOTES_NAME.to_owned(), store::messages::highest_clock(self.db, &peer)?)
        } else {
            match contacts::get(self.db, &peer)? {
                Some(contact) => (contact.name, contact.clock),
                None => return Ok(Outcome::Junk),
            }
        };
        let message = MessageRow {
            id,
            chat: peer,
            sender: self.own.address.account,
            outgoing: true,
            clock: transcript.clock.min(known_clock.saturating_add(MAX_CLOCK_JUMP)),
            shown_ms: transcript.sent_ms.min(self.now_ms),
            body: transcript.text,
            reply_to: content::reply_to(&transcript.reply_to),
            raw: None,
            // The sending device knows better; receipts reach every device of ours.
            status: Some(if note { MessageStatus::Read } else { MessageStatus::Sent }),
            error: None,
            unread: false,
            // Its place is our own doing, wherever it comes to stand.
            arrived_ms: None,
            late: Late::No,
        };
        if !store::messages::insert(self.db, &message)? {
            return Ok(Outcome::Duplicate);
        }
        contacts::touch(self.db, &peer, message.clock, None)?;
        let view = queries::message_view(self.db, self.own, &name, &message)?;
        self.event(&Event::Message(view))?;
        Ok(Outcome::Stored)
    }

    /// Another device of ours met or changed a contact.
    pub(super) fn apply_contact_sync(&mut self, sync: &ContactSync) -> Result<Outcome, ApiError> {
        let record = AccountRecord::decode(&sync.account_record).ok();
        let (Some(record), Some(relay), Some(state)) =
            (record, content::checked_relay(&sync.relay), state_from_number(sync.state))
        else {
            return Ok(Outcome::Junk);
        };
        let account = AccountId(record.id());
        if account == self.own.address.account {
            return Ok(Outcome::Junk);
        }
        let list = DeviceList::decode(&sync.device_list).ok().and_then(|list| list.verify(&record).ok());
        let mut contact = match contacts::get(self.db, &account)? {
            Some(contact) => contact,
            None if state == ContactState::Removed => return Ok(Outcome::Applied),
            None => self.synced_contact(&record, &sync.handle, relay.clone())?,
        };
        let newer = |list: &DeviceList| contact.list.as_ref().is_none_or(|known| known.version() < list.version());
        if let Some(list) = list.filter(newer) {
            contact.list = Some(list);
            contact.list_stale = false;
        }
        contact.relay = relay;
        contact.pin = <[u8; 32]>::try_from(sync.pin.as_slice()).ok();
        if let Ok(key) = DeliveryKey::from_slice(&sync.delivery_key) {
            contact.delivery_key = Some(key);
        }
        // What the person decided last counts. Apart from that a state never falls back: an older sync may come after a
        // newer one.
        if sync.decided_ms > contact.decided_ms {
            if self.apply_decision(&mut contact, state, sync.decided_ms)? {
                return Ok(Outcome::Applied);
            }
        } else if sync.decided_ms == contact.decided_ms
            && !matches!(contact.state, ContactState::Ok | ContactState::Blocked)
            && state != ContactState::Removed
        {
            contact.state = state;
        }
        if sync.verified && !contact.verified {
            contact.verified = true;
            contact.verified_ms = Some(self.now_ms);
        }
        contact.origin.clone_from(&sync.origin);
        contact.answered |= sync.answered;
        self.put_contact(&contact)?;
        if contact.state == ContactState::Ok {
            for id in store::messages::unread_up_to(self.db, &account, None)? {
                self.receipt_for(&contact, &id, MessageStatus::Delivered)?;
            }
        }
        store::outbox::wake(self.db, &account)?;
        self.wake_outbox();
        Ok(Outcome::Applied)
    }
}
