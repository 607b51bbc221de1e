//! What a verified content does: a line in its conversation, a moved tick, a person met, something that another device of ours
//! did. A transcript is applied by the same function as the content it carries.

use subrosa_crypto::{AccountRecord, DeviceList};
use subrosa_wire::{AccountId, DeliveryKey, MemberKey, MessageId, mailbox::Way, submit::EnvelopeClass};

use crate::{
    api::{ApiError, ChatKind, ContactState, MessageStatus},
    content::{self, Body, CONTENTS_KNOWN, CheckedContent, ContactSync, Receipt, ReceiptStatus, Transcript},
    engine::{
        core::{
            Change, Core,
            arrival::{Arrival, Sender},
        },
        people::audience::{HeardAs, Speaking, heard_as, may_ask_by},
    },
    limits::{CLOCK_TOLERANCE_MS, MAX_CLOCK_AHEAD, SHOWN_AFTER_MS, millis},
    store::{
        self,
        contacts::{self, ContactRow},
        conversations,
        envelopes::Outcome,
        events::Happened,
        messages::{Late, MessageRow},
        peers,
        pending_receipts::Receipted,
        recipients,
    },
};

impl Change<'_> {
    /// Applies a content whose sender is verified. `raw` is kept if the body's type is unknown.
    pub(in crate::engine) fn apply(
        &mut self,
        sender: Sender,
        content: CheckedContent,
        raw: &[u8],
        arrival: &Arrival,
    ) -> Result<Outcome, ApiError> {
        if sender.own {
            return self.apply_own(&sender, content, raw, arrival);
        }
        let account = sender.device.account;
        let state = sender.contact.as_ref().map(|contact| contact.state);
        let Sender { device, record, contact, fellow, sets_up, .. } = sender;
        let chat = self.own.chat_with(&account);
        let speaking = match content.conversation.filter(|claimed| *claimed != chat) {
            Some(several) if conversations::has(self.db, &several, &account)? => Speaking::Among,
            // Somebody else's, or one of several that they are not in.
            Some(_) => return Ok(Outcome::Junk),
            None if fellow.is_some() => Speaking::Fellow,
            None => Speaking::Alone,
        };
        let Some(heard_as) = heard_as(content.body.as_ref(), content.shown, state, speaking) else {
            return Ok(Outcome::Junk);
        };
        if !self.may_stand(&content) {
            return Ok(Outcome::Junk);
        }
        if heard_as == HeardAs::Themselves
            && matches!(state, None | Some(ContactState::Request))
            && !may_ask_by(arrival.way, fellow.is_some() || self.has_other_devices())
        {
            return Ok(Outcome::Junk);
        }
        let contact = match contact {
            Some(mut contact) => {
                if let Some(introduction) = &content.introduction {
                    self.meet_again(&mut contact, introduction, arrival.received_ms)?;
                }
                Some(contact)
            }
            None if heard_as == HeardAs::Themselves => match self.meet_stranger(&record, &content, arrival)? {
                Some(contact) => Some(contact),
                None => return Ok(Outcome::Junk),
            },
            None => None,
        };
        if let Some(contact) = contact {
            self.heard(contact, &content, arrival)?;
        }
        peers::seen(self.db, &account, content.withholds, self.now_ms)?;
        if content.shown {
            let (outcome, of) = self.show(&account, content, raw, arrival.received_ms)?;
            if outcome == Outcome::Stored {
                self.receipt_for(&account, &of, MessageStatus::Delivered)?;
                if conversations::bring_back(self.db, &of.conversation, self.now_ms)? {
                    self.conversation_event(&of.conversation)?;
                }
            }
            return Ok(outcome);
        }
        match content.body {
            Some(Body::Receipt(receipt)) => self.apply_receipt(&account, &receipt),
            // An introduction only, and that is applied already.
            Some(Body::Hello(_)) => Ok(Outcome::Applied),
            Some(Body::RetryRequest(request)) => self.send_again(&device, &request),
            Some(Body::RetryAnswer(answer)) => self.never_again(&device, &answer),
            Some(Body::RestoreRequest(request)) => self.restore_to(&device, sets_up, &request),
            Some(Body::RestoreAnswer(answer)) => self.apply_restore_answer(&device, &answer),
            // For our own devices only, or shown.
            Some(Body::Text(_) | Body::Transcript(_) | Body::ContactSync(_) | Body::ReadSync(_) | Body::KeySync(_)) => {
                Ok(Outcome::Junk)
            }
            None => {
                store::kept::put(self.db, &device, raw, self.received(arrival.received_ms))?;
                Ok(Outcome::Applied)
            }
        }
    }

    /// Whoever writes with our delivery key after an introduction of ours has it. What they could not decrypt, or have lost, may have been that
    /// introduction: a request for it is no answer to it.
    fn heard(&mut self, mut contact: ContactRow, content: &CheckedContent, arrival: &Arrival) -> Result<(), ApiError> {
        let asks_again = matches!(content.body, Some(Body::RetryRequest(_) | Body::RestoreRequest(_)));
        let answers = contact.given.introduced && arrival.way == Way::DeliveryKey;
        let answered = !asks_again && (contact.given.answered || answers);
        if answered != contact.given.answered {
            contact.given.answered = answered;
            contacts::put(self.db, &contact)?;
        }
        Ok(())
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

    /// Whether a content stands in a time that others than a broken clock or malice know.
    fn may_stand(&self, content: &CheckedContent) -> bool {
        let latest = self.corrected_ms().saturating_add(millis(MAX_CLOCK_AHEAD));
        !content.shown || content.clock <= latest
    }

    /// A line of a conversation, whoever wrote it; nothing about its author is checked here.
    fn show(
        &mut self,
        author: &AccountId,
        content: CheckedContent,
        raw: &[u8],
        received_ms: u64,
    ) -> Result<(Outcome, Receipted), ApiError> {
        let conversation = content.conversation.unwrap_or_else(|| self.own.chat_with(author));
        let of = Receipted { conversation, message: conversation.message_id(author, &content.random) };
        let (body, forwarded, reply_to, raw) = match content.body {
            Some(Body::Text(text)) => (text.text, text.forwarded, content::reply_to(&text.reply_to), None),
            Some(_) => return Ok((Outcome::Junk, of)),
            None => (String::new(), false, None, Some(raw.to_vec())),
        };
        let outgoing = *author == self.own.address.account;
        let received_ms = self.received(received_ms);
        let alone = conversation == self.own.notes();
        let mut message = MessageRow {
            id: of.message,
            conversation,
            sender: *author,
            outgoing,
            clock: content.clock,
            // Shown time = min(claimed, received).
            shown_ms: content.sent_ms.min(received_ms),
            body,
            forwarded,
            reply_to,
            raw,
            // The device that sent it knows better; receipts reach every device of ours.
            status: outgoing.then_some(if alone { MessageStatus::Read } else { MessageStatus::Sent }),
            error: None,
            unread: !outgoing,
            // The place of our own words is our own doing, wherever it comes to be.
            arrived_ms: (!outgoing).then_some(self.now_ms),
            late: Late::No,
        };
        if !outgoing {
            message.late = self.lateness(&message, content.sent_ms, received_ms)?;
        }
        if !store::messages::insert(self.db, &message)? {
            return Ok((Outcome::Duplicate, of));
        }
        if outgoing {
            for other in conversations::others(self.db, &conversation)? {
                recipients::add(self.db, &message.id, &other, MessageStatus::Sent)?;
            }
        }
        self.event(&Happened::Message { conversation, message: message.id, incoming: !outgoing })?;
        Ok((Outcome::Stored, of))
    }

    /// Place and time are their author's claim: whoever reads is told when they mislead.
    fn lateness(&self, message: &MessageRow, sent_ms: u64, received_ms: u64) -> Result<Late, ApiError> {
        let tolerance_ms = CLOCK_TOLERANCE_MS.unsigned_abs();
        let ahead = self.corrected_ms().saturating_add(tolerance_ms);
        if message.clock > ahead {
            return Ok(Late::Ahead);
        }
        if store::messages::stands_above(self.db, message, self.now_ms.saturating_sub(SHOWN_AFTER_MS), ahead)? {
            return Ok(Late::Place);
        }
        // What claims to be much older than it is, and what turns the shown times back.
        let backdated = sent_ms.saturating_add(tolerance_ms) < received_ms;
        let turned_back = store::messages::shown_above(self.db, message)?
            .is_some_and(|above_ms| message.shown_ms.saturating_add(tolerance_ms) < above_ms);
        Ok(if backdated || turned_back { Late::Time } else { Late::No })
    }

    /// Only for messages that exist, are ours and went to this person.
    fn apply_receipt(&mut self, by: &AccountId, receipt: &Receipt) -> Result<Outcome, ApiError> {
        let status = match ReceiptStatus::try_from(receipt.status) {
            Ok(ReceiptStatus::Delivered) => MessageStatus::Delivered,
            Ok(ReceiptStatus::Read) => MessageStatus::Read,
            Err(_) => return Ok(Outcome::Junk),
        };
        for item in &receipt.items {
            let Ok(id) = MessageId::from_slice(&item.message_id) else { continue };
            let Some(message) = store::messages::get(self.db, &id)? else { continue };
            let conversation = message.conversation;
            if !message.outgoing
                || conversation.0.as_slice() != item.conversation
                || !conversations::has(self.db, &conversation, by)?
            {
                continue;
            }
            // Not before there was anything to get, and not in the future.
            let ts_ms = item.ts_ms.max(message.shown_ms).min(self.now_ms);
            if self.advance(&id, by, status, ts_ms, None)? {
                self.event(&Happened::Receipt { conversation, message: id, by: *by, status, ts_ms })?;
            }
        }
        Ok(Outcome::Applied)
    }

    /// From another device of this account.
    fn apply_own(
        &mut self,
        sender: &Sender,
        content: CheckedContent,
        raw: &[u8],
        arrival: &Arrival,
    ) -> Result<Outcome, ApiError> {
        match content.body {
            Some(Body::Transcript(transcript)) => self.apply_transcript(sender, &transcript, raw, arrival),
            Some(Body::ContactSync(sync)) => self.apply_contact_sync(&sync),
            Some(Body::ReadSync(sync)) => {
                let mut changed = Vec::new();
                for id in content::message_ids(sync.message_ids.iter()) {
                    if store::messages::set_read(self.db, &id)?
                        && let Some(message) = store::messages::get(self.db, &id)?
                        && !changed.contains(&message.conversation)
                    {
                        changed.push(message.conversation);
                    }
                }
                for conversation in changed {
                    self.conversation_event(&conversation)?;
                }
                Ok(Outcome::Applied)
            }
            Some(Body::KeySync(sync)) => {
                self.apply_key_sync(&sync)?;
                Ok(Outcome::Applied)
            }
            None => {
                store::kept::put(self.db, &sender.device, raw, self.received(arrival.received_ms))?;
                Ok(Outcome::Applied)
            }
            Some(Body::RetryRequest(request)) => self.send_again(&sender.device, &request),
            Some(Body::RetryAnswer(answer)) => self.never_again(&sender.device, &answer),
            Some(Body::RestoreRequest(request)) => self.restore_to(&sender.device, sender.sets_up, &request),
            Some(Body::RestoreAnswer(answer)) => self.apply_restore_answer(&sender.device, &answer),
            Some(Body::Text(_) | Body::Receipt(_) | Body::Hello(_)) => Ok(Outcome::Junk),
        }
    }

    /// Another device of ours sent this.
    fn apply_transcript(
        &mut self,
        sender: &Sender,
        transcript: &Transcript,
        raw: &[u8],
        arrival: &Arrival,
    ) -> Result<Outcome, ApiError> {
        let Ok(content) = content::decode_transcript(transcript) else { return Ok(Outcome::Junk) };
        let Some(conversation) = content.conversation else { return Ok(Outcome::Junk) };
        if conversation == self.own.notes() {
            self.ensure_notes()?;
        }
        let known = conversations::kind(self.db, &conversation)?.is_some();
        if !known || !self.may_stand(&content) {
            return Ok(Outcome::Junk);
        }
        if content.shown {
            let own = self.own.address.account;
            return Ok(self.show(&own, content, &transcript.content, arrival.received_ms)?.0);
        }
        store::kept::put(self.db, &sender.device, raw, self.received(arrival.received_ms))?;
        Ok(Outcome::Applied)
    }

    /// The conversation with oneself is there once something is in it or set for it.
    pub(in crate::engine) fn ensure_notes(&mut self) -> Result<(), ApiError> {
        conversations::ensure(self.db, &self.own.notes(), ChatKind::Notes, &[], self.now_ms)?;
        Ok(())
    }

    /// Another device of ours met or changed a contact.
    pub(in crate::engine) fn apply_contact_sync(&mut self, sync: &ContactSync) -> Result<Outcome, ApiError> {
        let record = AccountRecord::decode(&sync.account_record).ok();
        let (Some(record), Some(state)) = (record, content::state_synced(sync.state)) else {
            return Ok(Outcome::Junk);
        };
        let account = AccountId(record.id());
        if account == self.own.address.account {
            return Ok(Outcome::Junk);
        }
        let known = contacts::get(self.db, &account)?;
        if state == ContactState::Removed {
            if let Some(mut contact) = known.filter(|contact| sync.decided_ms > contact.decided_ms) {
                self.apply_decision(&mut contact, state, sync.decided_ms)?;
            }
            return Ok(Outcome::Applied);
        }
        let Some(relay) = content::checked_relay(&sync.relay) else { return Ok(Outcome::Junk) };
        let mut contact = match known {
            Some(contact) => contact,
            None => self.synced_contact(&record, &sync.handle, &relay)?,
        };
        let list = DeviceList::decode(&sync.device_list).ok().and_then(|list| list.verify(&record).ok());
        let newer = |list: &DeviceList| contact.peer.list.as_ref().is_none_or(|known| known.version() < list.version());
        if let Some(list) = list.filter(newer) {
            contact.peer.list = Some(list);
            contact.peer.list_stale = false;
        }
        contact.peer.relay = relay;
        contact.peer.pin = <[u8; 32]>::try_from(sync.pin.as_slice()).ok();
        if let Ok(key) = DeliveryKey::from_slice(&sync.delivery_key) {
            contact.peer.delivery_key = Some(key);
        }
        if let Ok(key) = MemberKey::from_slice(&sync.member_key) {
            contact.peer.member_key = Some(key);
        }
        // What the person decided last counts. Apart from that a state never falls back: an older sync may come after a
        // newer one.
        if sync.decided_ms > contact.decided_ms {
            self.apply_decision(&mut contact, state, sync.decided_ms)?;
        } else if sync.decided_ms == contact.decided_ms
            && !matches!(contact.state, ContactState::Ok | ContactState::Blocked)
        {
            contact.state = state;
        }
        if sync.verified && !contact.verified {
            contact.verified = true;
            contact.verified_ms = Some(self.now_ms);
        }
        contact.origin.clone_from(&sync.origin);
        contact.given.answered |= sync.answered;
        self.put_contact(&contact)?;
        if contact.state == ContactState::Ok {
            self.receipts_for_waiting(&contact)?;
        }
        store::deliveries::wake(self.db, &account)?;
        self.wake_outbox();
        // Somebody whom this copy did not know, because it is an older one.
        self.ask_new_devices(&account)?;
        Ok(Outcome::Applied)
    }

    /// What somebody wrote before they were accepted is delivered now that they may know.
    pub(in crate::engine) fn receipts_for_waiting(&mut self, contact: &ContactRow) -> Result<(), ApiError> {
        let conversation = self.own.chat_with(contact.account());
        for (message, author) in store::messages::unread_up_to(self.db, &conversation, None)? {
            self.receipt_for(&author, &Receipted { conversation, message }, MessageStatus::Delivered)?;
        }
        Ok(())
    }
}

impl Core {
    /// A newer program than the one that kept them reads contents that were of an unknown type. What it does not know either
    /// stays.
    pub(crate) fn read_kept(&mut self) -> Result<(), ApiError> {
        if store::account::contents_known(&self.db)? >= CONTENTS_KNOWN {
            return Ok(());
        }
        self.change(|change| {
            for message in store::messages::raw(change.db)? {
                let read = message.raw.as_deref().and_then(|raw| content::decode_kept(raw).ok());
                let Some(Body::Text(text)) = read.and_then(|content| content.body) else { continue };
                let reply_to = content::reply_to(&text.reply_to);
                store::messages::set_read_anew(change.db, &message.id, &text.text, text.forwarded, reply_to.as_ref())?;
                let (conversation, incoming) = (message.conversation, !message.outgoing);
                change.event(&Happened::Message { conversation, message: message.id, incoming })?;
            }
            for row in store::kept::all(change.db)? {
                let Ok(content) = content::decode(&row.content) else { continue };
                if content.body.is_none() {
                    continue;
                }
                if let Some(sender) = change.known_sender(row.sender)? {
                    let arrival =
                        Arrival { received_ms: row.received_ms, way: Way::DeliveryKey, class: EnvelopeClass::Durable };
                    change.apply(sender, content, &row.content, &arrival)?;
                }
                store::kept::delete(change.db, row.id)?;
            }
            Ok(store::account::set_contents_known(change.db, CONTENTS_KNOWN)?)
        })
    }
}
