//! Intents: what is to be said to whom. Durable before `send` returns, sealed only just before it leaves.

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use subrosa_crypto::{DeviceList, MessageKind, max_plaintext_len};
use subrosa_wire::{AccountId, DeviceAddress, MessageId, limits::MAX_EXPIRY};

use super::{core::Change, core::Core, mailbox::HURRY_AFTER_MS, notes::sent_note, people, receivers};
use crate::{
    api::{ApiError, ContactState, ErrorKind, Event, MessageStatus, SendResult, Sent, StateEvent},
    content::{
        Body, CONTENT_VERSION, ContactSync, Content, ReadSync, Receipt, ReceiptItem, ReceiptStatus, Text, Transcript,
    },
    limits::{DAY_MS, MAX_KEY_BYTES, MAX_OUTBOX, MAX_RECEIPT_IDS, MAX_SILENT, MAX_SILENT_OWN, MAX_TEXT_BYTES, millis},
    receipts,
    store::{
        self,
        account::Own,
        contacts::{self, ContactRow, state_number},
        messages::{Late, MessageRow},
    },
};

// The longest text must fit the smallest room that a first message leaves, beside everything else in a content.
const _: () = assert!(MAX_TEXT_BYTES + 1024 < max_plaintext_len(MessageKind::Setup));

/// A receipt may come this long after an envelope was fetched on its last day: the receiver may be offline meanwhile.
const CONFIRMATION_SLACK_MS: u64 = DAY_MS;

/// 16 random bytes from the operating system.
pub(crate) fn random_id() -> Result<[u8; 16], ApiError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        ApiError::new(ErrorKind::Failed, format!("no randomness from the operating system: {error}"))
    })?;
    Ok(id)
}

/// A random number of a range, from the operating system. Uniform up to 1 in 2^64.
pub(crate) fn random_within(range: &std::ops::RangeInclusive<u64>) -> Result<u64, ApiError> {
    let (start, span) = (*range.start(), u128::from(range.end().saturating_sub(*range.start())) + 1);
    let offset = ((u128::from_be_bytes(random_id()?) >> 64) * span) >> 64;
    Ok(start.saturating_add(u64::try_from(offset).unwrap_or(0)))
}

/// Reads a message id made by a caller.
pub(crate) fn parse_id(text: &str) -> Result<MessageId, ApiError> {
    text.parse().map_err(|_| {
        ApiError::new(ErrorKind::Usage, format!("{text:?} is no message id")).hint("an id has 32 hexadecimal digits")
    })
}

/// A text to be sent.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) body: String,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) id: SendId,
}

/// Where a message's id comes from.
#[derive(Clone)]
pub(crate) enum SendId {
    /// Made by the caller.
    Given(MessageId),
    /// Made from the caller's idempotency key.
    Key(String),
}

impl SendId {
    /// Under one key a chat gets one message. The id cannot be guessed by others, who could otherwise take it first: a
    /// secret of this device goes into it.
    fn resolve(&self, own: &Own, chat: &AccountId) -> MessageId {
        match self {
            Self::Given(id) => *id,
            Self::Key(key) => {
                let mut hash = Sha256::new();
                hash.update(b"Subrosa idempotency key v1");
                hash.update(own.identity.seed().as_slice());
                hash.update(own.address.account.0);
                hash.update(chat.0);
                hash.update(key.as_bytes());
                let digest: [u8; 32] = hash.finalize().into();
                let mut id = [0; 16];
                id.copy_from_slice(&digest[..16]);
                MessageId(id)
            }
        }
    }
}

/// Refuses keys that are empty or too long.
pub(crate) fn check_key(key: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(ApiError::new(ErrorKind::Usage, format!("a key has 1 to {MAX_KEY_BYTES} bytes")));
    }
    Ok(())
}

/// The content of a message of ours.
pub(crate) fn text_of(message: &MessageRow) -> Text {
    Text { text: message.body.clone(), reply_to: message.reply_to.map(|id| id.0.to_vec()).unwrap_or_default() }
}

/// Refuses texts that no receiver would take.
pub(crate) fn check_text(text: &str) -> Result<(), ApiError> {
    if text.is_empty() {
        return Err(ApiError::new(ErrorKind::Usage, "the message is empty").hint("give the text with -m TEXT"));
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(ApiError::new(
            ErrorKind::Usage,
            format!("the message has {} bytes, the most is {MAX_TEXT_BYTES}", text.len()),
        )
        .hint("send it in parts"));
    }
    Ok(())
}

impl Change<'_> {
    /// Queues a content for all devices of an account.
    pub(crate) fn queue(
        &mut self,
        target: &AccountId,
        message: Option<(&MessageId, u64)>,
        body: Body,
    ) -> Result<(), ApiError> {
        self.queue_for(target, None, message, body)
    }

    /// Queues a message of ours again for one device. Its status does not depend on it.
    pub(crate) fn queue_again(
        &mut self,
        device: &DeviceAddress,
        message: &MessageRow,
        body: Body,
    ) -> Result<(), ApiError> {
        let content = self.intent(message.id, message.clock, message.shown_ms, body);
        self.put_intent(&device.account, Some(device.device), None, &content)
    }

    /// Queues a content for all devices of an account, or for one of them.
    pub(crate) fn queue_for(
        &mut self,
        target: &AccountId,
        device: Option<u32>,
        message: Option<(&MessageId, u64)>,
        body: Body,
    ) -> Result<(), ApiError> {
        let (message_id, clock) = match message {
            Some((id, clock)) => (*id, clock),
            None => (MessageId(random_id()?), 0),
        };
        let content = self.intent(message_id, clock, self.now_ms, body);
        self.put_intent(target, device, message.map(|(id, _)| id), &content)
    }

    fn intent(&self, message_id: MessageId, clock: u64, sent_ms: u64, body: Body) -> Content {
        // Introduction and list version are those of the moment of sealing.
        Content {
            version: CONTENT_VERSION,
            message_id: message_id.0.to_vec(),
            clock,
            sent_ms,
            list_version: 0,
            list_hash: Vec::new(),
            introduction: None,
            body: Some(body),
        }
    }

    fn put_intent(
        &mut self,
        target: &AccountId,
        device: Option<u32>,
        message: Option<&MessageId>,
        content: &Content,
    ) -> Result<(), ApiError> {
        if !self.may_leave_for(target)? {
            tracing::debug!("nothing is queued for an account that was neither accepted nor asked");
            return Ok(());
        }
        if message.is_none() && !self.has_room(target)? {
            tracing::warn!("too much waits for one receiver already: a content without a message is left out");
            return Ok(());
        }
        let expires_ms = self.now_ms.saturating_add(millis(MAX_EXPIRY));
        store::outbox::put(self.db, target, device, message, &content.encode_to_vec(), self.now_ms, expires_ms)?;
        self.wake_outbox();
        Ok(())
    }

    /// Whether more contents without a message may wait for this receiver.
    fn has_room(&self, target: &AccountId) -> Result<bool, ApiError> {
        let most = if *target == self.own.address.account { MAX_SILENT_OWN } else { MAX_SILENT };
        Ok(store::outbox::silent_count(self.db, target, most)? < most)
    }

    /// Whether this account has other devices that must hear of what happens here.
    pub(crate) fn has_siblings(&self) -> bool {
        self.own.list.devices().len() > 1
    }

    /// Tells our other devices about a contact.
    pub(crate) fn sync_contact(&mut self, contact: &ContactRow) -> Result<(), ApiError> {
        if !self.has_siblings() {
            return Ok(());
        }
        let own = self.own.address.account;
        self.queue(&own, None, Body::ContactSync(contact_sync(contact)))
    }

    /// Queues a receipt, if this contact may have one.
    pub(crate) fn receipt_for(
        &mut self,
        contact: &ContactRow,
        message: &MessageId,
        status: MessageStatus,
    ) -> Result<(), ApiError> {
        if contact.state == ContactState::Ok {
            store::pending_receipts::add(self.db, &contact.account, message, status, self.now_ms)?;
            self.wake_receipts();
        }
        Ok(())
    }

    /// Moves the status of a message of ours, if the table allows it, and tells the interfaces.
    pub(crate) fn move_status(
        &mut self,
        id: &MessageId,
        to: MessageStatus,
        error: Option<&str>,
    ) -> Result<bool, ApiError> {
        let Some(message) = store::messages::get(self.db, id)? else { return Ok(false) };
        if !store::messages::move_status(self.db, &message, to, error)? {
            return Ok(false);
        }
        self.event(&Event::State(StateEvent {
            cursor: None,
            id: id.to_string(),
            chat: message.chat.to_string(),
            status: to,
            ts_ms: self.now_ms,
            error: error.map(ToOwned::to_owned),
        }))?;
        Ok(true)
    }
}

/// A contact as our other devices learn it.
pub(crate) fn contact_sync(contact: &ContactRow) -> ContactSync {
    ContactSync {
        account_record: contact.record.encode().to_vec(),
        device_list: contact.list.as_ref().map(DeviceList::encode).unwrap_or_default(),
        handle: contact.handle.clone(),
        relay: contact.relay.to_string(),
        pin: contact.pin.map(|pin| pin.to_vec()).unwrap_or_default(),
        delivery_key: contact.delivery_key.as_ref().map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
        state: state_number(contact.state),
        verified: contact.verified,
        origin: contact.origin.clone(),
        answered: contact.answered,
        decided_ms: contact.decided_ms,
    }
}

impl Core {
    /// Queues a text for a contact, or answers as before if its id is known.
    pub(crate) fn send(&mut self, account: AccountId, text: &Outgoing) -> Result<Sent, ApiError> {
        check_text(&text.body)?;
        // Somebody waits now: what rests only because of an earlier failure is tried again.
        let hurry_from = self.backing_off.get(&account).map(|since| since.saturating_add(HURRY_AFTER_MS));
        self.change(|change| {
            let id = text.id.resolve(change.own, &account);
            if let Some(known) = store::messages::get(change.db, &id)? {
                return answer_again(change.db, change.own, &known, &account, text);
            }
            if account == change.own.address.account {
                return change.take_note(id, text);
            }
            let contact = contacts::get(change.db, &account)?.ok_or_else(|| people::not_found(&account.to_string()))?;
            receivers::check_writable(&contact)?;
            if store::outbox::message_count(change.db)? >= MAX_OUTBOX {
                return Err(ApiError::new(
                    ErrorKind::RateLimited,
                    format!("{MAX_OUTBOX} messages wait in the outbox already"),
                )
                .hint("wait until the relay is reached; `subrosa status` shows why it is not"));
            }
            let clock = contact.clock.saturating_add(1);
            let message = MessageRow {
                id,
                chat: account,
                sender: change.own.address.account,
                outgoing: true,
                clock,
                shown_ms: change.now_ms,
                body: text.body.clone(),
                reply_to: text.reply_to,
                raw: None,
                status: Some(MessageStatus::Queued),
                error: None,
                unread: false,
                arrived_ms: None,
                late: Late::No,
            };
            store::messages::insert(change.db, &message)?;
            contacts::touch(change.db, &account, clock, None)?;
            change.queue(&account, Some((&id, clock)), Body::Text(text_of(&message)))?;
            if hurry_from.is_some_and(|from| change.now_ms >= from) {
                store::outbox::wake(change.db, &account)?;
            }
            if change.has_siblings() {
                let own = change.own.address.account;
                let transcript = Transcript {
                    peer: account.0.to_vec(),
                    message_id: id.0.to_vec(),
                    clock,
                    sent_ms: change.now_ms,
                    text: text.body.clone(),
                    reply_to: text_of(&message).reply_to,
                };
                change.queue(&own, None, Body::Transcript(transcript))?;
            }
            change.event(&Event::State(StateEvent {
                cursor: None,
                id: id.to_string(),
                chat: account.to_string(),
                status: MessageStatus::Queued,
                ts_ms: change.now_ms,
                error: None,
            }))?;
            sent_view(change.db, change.own, &message)
        })
    }

    /// How far a message of ours got.
    pub(crate) fn sent(&self, id: &MessageId) -> Result<Sent, ApiError> {
        let message = store::messages::get(&self.db, id)?
            .filter(|message| message.status.is_some())
            .ok_or_else(|| ApiError::new(ErrorKind::NotFound, format!("no message of yours has the id {id}")))?;
        sent_view(&self.db, &self.own, &message)
    }

    /// Whether a kind of receipt is sent. Read anew each time: a changed setting counts at once, also in an engine that runs for
    /// weeks.
    fn tells(&self, setting: &str) -> bool {
        self.home.config().and_then(|config| config.is_on(setting)).unwrap_or_else(|error| {
            tracing::warn!(%error, setting, "no such receipts while the settings cannot be read");
            false
        })
    }

    /// Turns gathered receipts into intents.
    pub(crate) fn gather_receipts(&mut self) -> Result<(), ApiError> {
        let tells = self.tells("delivery_receipts");
        self.change(|change| {
            if !tells {
                store::pending_receipts::drop_delivered(change.db)?;
            }
            while let Some(batch) = store::pending_receipts::take(change.db, MAX_RECEIPT_IDS)? {
                let status = match batch.status {
                    MessageStatus::Read => ReceiptStatus::Read,
                    _ => ReceiptStatus::Delivered,
                };
                let items = batch
                    .items
                    .into_iter()
                    .map(|(id, ts_ms)| ReceiptItem { message_id: id.0.to_vec(), ts_ms })
                    .collect();
                change.queue(&batch.to, None, Body::Receipt(Receipt { status: status as i32, items }))?;
            }
            Ok(())
        })
    }

    /// Marks a conversation, or everything up to a message in it, as read.
    pub(crate) fn read(&mut self, chat: AccountId, upto: Option<MessageId>) -> Result<u64, ApiError> {
        if chat == self.own.address.account {
            return Ok(0);
        }
        let tells = self.tells("read_receipts");
        self.change(|change| {
            let contact = contacts::get(change.db, &chat)?.ok_or_else(|| people::not_found(&chat.to_string()))?;
            let upto = upto.map(|id| store::messages::get(change.db, &id)).transpose()?.flatten();
            let unread = store::messages::unread_up_to(change.db, &chat, upto.as_ref())?;
            for id in &unread {
                store::messages::set_read(change.db, id)?;
                if tells {
                    change.receipt_for(&contact, id, MessageStatus::Read)?;
                }
            }
            if !unread.is_empty() {
                change.chat_event(&chat)?;
            }
            if change.has_siblings() {
                let own = change.own.address.account;
                for batch in unread.chunks(MAX_RECEIPT_IDS) {
                    let message_ids = batch.iter().map(|id| id.0.to_vec()).collect();
                    change.queue(&own, None, Body::ReadSync(ReadSync { message_ids }))?;
                }
            }
            Ok(u64::try_from(unread.len()).unwrap_or(u64::MAX))
        })
    }

    /// Messages that waited longer than any relay keeps them are not delivered. `read_ms`: up to when receipts were read.
    pub(crate) fn expire_outbox(&mut self, now_ms: u64, read_ms: u64) -> Result<(), ApiError> {
        let longest = millis(MAX_EXPIRY).saturating_add(CONFIRMATION_SLACK_MS);
        self.change(|change| {
            for row in store::outbox::expired(change.db, now_ms)? {
                store::outbox::delete(change.db, row.id)?;
                // What one of their devices took is not undelivered because another had no room.
                if let Some(id) = row.message.filter(|_| row.done.is_empty()) {
                    change.move_status(&id, MessageStatus::Expired, Some("not delivered within 30 days"))?;
                }
            }
            // No relay keeps an envelope longer: what nobody has confirmed by now does not arrive any more.
            let before_ms = read_ms.saturating_sub(longest);
            for id in store::messages::unconfirmed_before(change.db, before_ms)? {
                change.move_status(&id, MessageStatus::Expired, Some("accepted, but not delivered within 30 days"))?;
            }
            Ok(())
        })
    }
}

/// The answer to a `send` that was made before: the same, unless it is another message that has this id.
fn answer_again(
    db: &store::Db,
    own: &Own,
    known: &MessageRow,
    chat: &AccountId,
    text: &Outgoing,
) -> Result<Sent, ApiError> {
    let same = known.outgoing && known.chat == *chat && known.body == text.body && known.reply_to == text.reply_to;
    if same {
        return sent_view(db, own, known);
    }
    Err(match &text.id {
        SendId::Given(id) => ApiError::new(ErrorKind::Usage, format!("another message has the id {id} already"))
            .hint("leave the id out, or make a new random one"),
        SendId::Key(key) => {
            ApiError::new(ErrorKind::Usage, format!("another text was sent under the key {key:?} already"))
                .hint("a key belongs to one message: choose another for this one")
        }
    })
}

/// The view of a message of ours for `send` and `wait`.
pub(crate) fn sent_view(db: &store::Db, own: &Own, message: &MessageRow) -> Result<Sent, ApiError> {
    if message.chat == own.address.account {
        return Ok(sent_note(message));
    }
    let status = message.status.unwrap_or(MessageStatus::Queued);
    let contact = contacts::get(db, &message.chat)?;
    let name = contact.map_or_else(String::new, |contact| contact.name);
    let mut error = message.error.clone();
    let mut retry_after_s = None;
    if !receipts::reached(status, MessageStatus::Sent)
        && let Some((reason, next_ms)) = store::outbox::waiting(db, &message.chat)?
        && status == MessageStatus::Queued
    {
        error = error.or(reason);
        retry_after_s = error.as_ref().map(|_| next_ms.saturating_sub(super::core::now_ms()).div_ceil(1_000));
    }
    Ok(Sent {
        id: message.id.to_string(),
        chat: message.chat.to_string(),
        status,
        ts_ms: message.shown_ms,
        results: vec![SendResult { to: message.chat.to_string(), name, status, error, retry_after_s }],
    })
}
