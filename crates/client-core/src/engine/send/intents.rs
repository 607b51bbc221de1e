//! Intents: what is to be said to whom. Durable before `send` returns, sealed only just before it leaves.

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use subrosa_crypto::{MessageKind, max_plaintext_len};
use subrosa_wire::{AccountId, DeviceAddress, MessageId, limits::MAX_EXPIRY};

use crate::{
    api::{ApiError, ErrorKind, MessageStatus, Sent},
    content::{self, Body, CONTENT_VERSION, Content, Text, Transcript},
    conversation::ConversationId,
    engine::{
        core::{
            Change, Core,
            ids::random_id,
            link::{HURRY_AFTER_MS, removed},
            now_ms,
        },
        people::{self, audience::Audience, contact_sync, receivers},
        read::views::sent_view,
    },
    limits::{CLOCK_FOLLOWS, DAY_MS, MAX_KEY_BYTES, MAX_OUTBOX, MAX_SILENT, MAX_SILENT_OWN, MAX_TEXT_BYTES, millis},
    store::{
        self,
        account::Own,
        contacts::{self, ContactRow},
        deliveries::{ALL_DEVICES, Lane, NewDelivery},
        messages::{Late, MessageRow},
        outbox::NewContent,
    },
};

// The longest text must fit the smallest room that a first message leaves, beside everything else in a content.
const _: () = assert!(MAX_TEXT_BYTES + 1024 < max_plaintext_len(MessageKind::Setup));

/// A receipt may come this long after an envelope was fetched on its last day: the receiver may be offline meanwhile.
const CONFIRMATION_SLACK_MS: u64 = DAY_MS;

/// A text to be sent.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) body: String,
    pub(crate) forwarded: bool,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) id: SendId,
}

/// Where the part of a message's id comes from that is its author's choice.
#[derive(Clone)]
pub(crate) enum SendId {
    /// Made by the caller.
    Given([u8; 16]),
    /// Made from the caller's idempotency key.
    Key(String),
}

impl SendId {
    /// Under one key a conversation gets one message. Nobody else can tell the key from what is made of it: a secret of this
    /// device goes into it.
    fn resolve(&self, own: &Own, conversation: &ConversationId) -> [u8; 16] {
        match self {
            Self::Given(random) => *random,
            Self::Key(key) => {
                let mut hash = Sha256::new();
                hash.update(b"Subrosa idempotency key v1");
                hash.update(own.identity.seed().as_slice());
                hash.update(own.address.account.0);
                hash.update(conversation.0);
                hash.update(key.as_bytes());
                let digest: [u8; 32] = hash.finalize().into();
                let mut random = [0; 16];
                random.copy_from_slice(&digest[..16]);
                random
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

/// A content as it is kept until it is sealed: introduction and device list are those of that moment.
fn draft(random: [u8; 16], sent_ms: u64, body: Body) -> Content {
    Content {
        version: CONTENT_VERSION,
        random: random.to_vec(),
        clock: 0,
        sent_ms,
        list_version: 0,
        list_hash: Vec::new(),
        introduction: None,
        conversation: Vec::new(),
        shown: false,
        withholds: 0,
        sent_again: false,
        body: Some(body),
    }
}

/// A line of a conversation, as every receiver and every device of ours gets it.
fn line(conversation: &ConversationId, random: [u8; 16], message: &MessageRow) -> Content {
    let text = Text {
        text: message.body.clone(),
        reply_to: message.reply_to.map(|id| id.0.to_vec()).unwrap_or_default(),
        forwarded: message.forwarded,
    };
    Content {
        clock: message.clock,
        conversation: conversation.0.to_vec(),
        shown: true,
        ..draft(random, message.shown_ms, Body::Text(text))
    }
}

/// Whether a content without a message may be left out when many wait. What asks for all that was lost, and what ends the answer to it, are
/// few by themselves.
const fn is_bounded(body: &Body) -> bool {
    !matches!(body, Body::RestoreRequest(_) | Body::RestoreAnswer(_))
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
    /// Queues a content about us and an account, for all devices of the account.
    pub(crate) fn queue(&mut self, account: &AccountId, body: Body) -> Result<(), ApiError> {
        self.queue_for(account, ALL_DEVICES, body)
    }

    /// As [`Change::queue`], for all devices or for one of them.
    pub(crate) fn queue_for(&mut self, account: &AccountId, device: u32, body: Body) -> Result<(), ApiError> {
        let content = draft(random_id()?, self.now_ms, body);
        let to = DeviceAddress { account: *account, device };
        let lane = self.lane_about(account, &content)?;
        self.put_content(&lane, None, &content, &[to], false)
    }

    /// As [`Change::queue_for`], in the queue of a conversation: behind what waits there.
    pub(crate) fn queue_in(
        &mut self,
        conversation: &ConversationId,
        to: &DeviceAddress,
        body: Body,
    ) -> Result<(), ApiError> {
        let content = draft(random_id()?, self.now_ms, body);
        self.put_content(conversation, None, &content, &[*to], false)
    }

    /// Where a content about us and an account waits: among what the two of us say. But what answers the contents of a group goes the way
    /// of these, where we ask to be a contact and have no answer: it must not wait for it.
    fn lane_about(&self, account: &AccountId, content: &Content) -> Result<ConversationId, ApiError> {
        if content.body.as_ref().is_some_and(content::is_about_sent)
            && let Some(Audience::Contact(contact)) = Audience::of(self.db, account)?
            && contact.capability().is_none()
            && let Some(shared) = store::conversations::shared_with(self.db, account)?
        {
            return Ok(shared);
        }
        Ok(self.own.chat_with(account))
    }

    /// Queues a content of a conversation, once, with a delivery for each receiver to whom anything may leave.
    pub(in crate::engine) fn put_content(
        &mut self,
        conversation: &ConversationId,
        message: Option<&MessageId>,
        content: &Content,
        to: &[DeviceAddress],
        moves: bool,
    ) -> Result<(), ApiError> {
        let Some(body) = &content.body else { return Ok(()) };
        let (class, lives) = content::travels(body);
        let mut ways = Vec::with_capacity(to.len());
        for to in to {
            if !self.may_leave_for(&to.account)? {
                tracing::debug!("nothing is queued for an account that was neither accepted nor asked");
            } else if !moves && is_bounded(body) && !self.has_room(&to.account)? {
                tracing::warn!("too much waits for one receiver already: a content without a message is left out");
            } else if let Some((lane, listed)) = self.way_to(conversation, &to.account)? {
                ways.push((lane, listed, to));
            }
        }
        if ways.is_empty() {
            return Ok(());
        }
        let expires_ms = self.now_ms.saturating_add(millis(lives));
        let content = content.encode_to_vec();
        let new = NewContent { conversation, message, content: &content, class, created_ms: self.now_ms, expires_ms };
        let outbox = store::outbox::put(self.db, &new)?;
        for (lane, listed, to) in ways {
            let new = NewDelivery { outbox, lane: &lane, to, wide: to.device == ALL_DEVICES, moves, list_version: 0 };
            if to.device != ALL_DEVICES || listed.devices.is_empty() {
                store::deliveries::put(self.db, &new)?;
                continue;
            }
            // Those that are known now: most of the time it is they when it leaves, too. If not, what waits follows the newer list.
            for device in listed.devices {
                let to = &DeviceAddress { device, ..*to };
                store::deliveries::put(self.db, &NewDelivery { to, list_version: listed.version, ..new })?;
            }
        }
        self.wake_outbox();
        Ok(())
    }

    /// Whether more contents without a message may wait for this receiver.
    fn has_room(&self, account: &AccountId) -> Result<bool, ApiError> {
        let most = if *account == self.own.address.account { MAX_SILENT_OWN } else { MAX_SILENT };
        Ok(store::deliveries::silent_count(self.db, account, most)? < most)
    }

    /// Whether this account has other devices that must hear of what happens here.
    pub(crate) fn has_other_devices(&self) -> bool {
        self.own.list.devices().len() > 1
    }

    /// Tells our other devices about a contact.
    pub(crate) fn sync_contact(&mut self, contact: &ContactRow) -> Result<(), ApiError> {
        if !self.has_other_devices() {
            return Ok(());
        }
        let own = self.own.address.account;
        self.queue(&own, Body::ContactSync(contact_sync(contact)))
    }

    /// Who gets what is said in a conversation. Who is written to alone must be somebody who may be; of several those get it who may.
    fn written_to(&self, conversation: &ConversationId) -> Result<Vec<AccountId>, ApiError> {
        let mut others = store::conversations::others(self.db, conversation)?;
        if let [other] = others.as_slice()
            && *conversation == self.own.chat_with(other)
        {
            let contact = contacts::get(self.db, other)?.ok_or_else(|| people::not_found(&other.to_string()))?;
            receivers::check_writable(&contact)?;
            return Ok(others);
        }
        let mut may = Vec::with_capacity(others.len());
        for other in &others {
            may.push(self.may_leave_for(other)?);
        }
        let mut may = may.into_iter();
        others.retain(|_| may.next().unwrap_or(false));
        Ok(others)
    }

    /// Where the next line of a conversation stands: now, and below everything that is shown there, unless a clock put that
    /// more than a day ahead.
    fn next_clock(&self, conversation: &ConversationId) -> Result<u64, ApiError> {
        let now_ms = self.corrected_ms();
        let follows = now_ms.saturating_add(millis(CLOCK_FOLLOWS));
        let highest = store::messages::highest_clock(self.db, conversation, follows)?;
        Ok(now_ms.max(highest.saturating_add(1)))
    }
}

impl Core {
    /// Queues a text for everybody in a conversation, or answers as before if it was sent already.
    pub(crate) fn send(&mut self, conversation: &ConversationId, text: &Outgoing) -> Result<Sent, ApiError> {
        check_text(&text.body)?;
        if self.is_removed() {
            return Err(removed());
        }
        // Somebody waits now: what rests only because of an earlier failure is tried again.
        let now_ms = now_ms();
        let hurries = |(lane, since_ms): (&Lane, &u64)| {
            lane.conversation == *conversation && now_ms >= since_ms.saturating_add(HURRY_AFTER_MS)
        };
        let hurry = self.backing_off.iter().any(hurries);
        self.change(|change| {
            let own = change.own.address.account;
            let random = text.id.resolve(change.own, conversation);
            let id = conversation.message_id(&own, &random);
            if let Some(known) = store::messages::get(change.db, &id)? {
                return answer_again(change.db, change.own, &known, text);
            }
            let others = change.written_to(conversation)?;
            if others.is_empty() {
                if *conversation == change.own.notes() {
                    change.ensure_notes()?;
                } else if store::conversations::kind(change.db, conversation)?.is_none() {
                    return Err(people::not_found(&conversation.to_string()));
                }
            } else if store::recipients::waiting_messages(change.db)? >= MAX_OUTBOX {
                return Err(ApiError::new(
                    ErrorKind::RateLimited,
                    format!("{MAX_OUTBOX} messages wait in the outbox already"),
                )
                .hint("wait until the relay is reached; `subrosa status` shows why it is not"));
            }
            // Whoever writes to nobody else has read it.
            let status = if others.is_empty() { MessageStatus::Read } else { MessageStatus::Queued };
            let message = MessageRow {
                id,
                conversation: *conversation,
                sender: own,
                outgoing: true,
                clock: change.next_clock(conversation)?,
                shown_ms: change.now_ms,
                body: text.body.clone(),
                forwarded: text.forwarded,
                reply_to: text.reply_to,
                raw: None,
                status: Some(status),
                error: None,
                unread: false,
                arrived_ms: None,
                late: Late::No,
            };
            store::messages::insert(change.db, &message)?;
            let content = line(conversation, random, &message);
            let to: Vec<_> =
                others.iter().map(|account| DeviceAddress { account: *account, device: ALL_DEVICES }).collect();
            for other in &others {
                store::recipients::add(change.db, &id, other, MessageStatus::Queued)?;
            }
            change.put_content(conversation, Some(&id), &content, &to, true)?;
            if change.has_other_devices() {
                let transcript = Transcript { conversation: conversation.0.to_vec(), content: content.encode_to_vec() };
                let transcript = draft(random_id()?, change.now_ms, Body::Transcript(transcript));
                let own = DeviceAddress { account: own, device: ALL_DEVICES };
                change.put_content(conversation, Some(&id), &transcript, &[own], false)?;
            }
            if hurry {
                for other in &others {
                    store::deliveries::wake(change.db, other)?;
                }
            }
            change.state_event(&message, status, None)?;
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

    /// What waited longer than any relay keeps it is not delivered. `read_ms`: up to when receipts were read.
    pub(crate) fn expire_outbox(&mut self, now_ms: u64, read_ms: u64) -> Result<(), ApiError> {
        let longest = millis(MAX_EXPIRY).saturating_add(CONFIRMATION_SLACK_MS);
        self.change(|change| {
            for content in store::outbox::expired(change.db, now_ms)? {
                let message = store::outbox::message_of(change.db, content)?;
                for row in store::deliveries::waiting_of_content(change.db, content)? {
                    store::deliveries::delete(change.db, row.id)?;
                    let account = &row.to.account;
                    // What one of their devices took is not undelivered because another had no room.
                    let left = store::deliveries::standing(change.db, content, Some(account))?;
                    if let Some(id) = message.filter(|_| row.moves && left.accepted + left.waiting == 0) {
                        let reason = Some("not delivered within 30 days");
                        change.advance(&id, account, MessageStatus::Expired, change.now_ms, reason)?;
                    }
                }
                store::outbox::tidy(change.db, content)?;
            }
            // No relay keeps an envelope longer: what nobody has confirmed by now does not arrive any more.
            let before_ms = read_ms.saturating_sub(longest);
            for (id, account) in store::recipients::unconfirmed_before(change.db, before_ms)? {
                let reason = Some("accepted, but not delivered within 30 days");
                change.advance(&id, &account, MessageStatus::Expired, change.now_ms, reason)?;
            }
            Ok(())
        })
    }
}

/// The answer to a `send` that was made before: the same, unless it is another text that has this id.
fn answer_again(db: &store::Db, own: &Own, known: &MessageRow, text: &Outgoing) -> Result<Sent, ApiError> {
    let same = known.body == text.body && known.reply_to == text.reply_to && known.forwarded == text.forwarded;
    if same {
        return sent_view(db, own, known);
    }
    Err(match &text.id {
        SendId::Given(id) => {
            ApiError::new(ErrorKind::Usage, format!("another text was sent with the id {} already", hex::encode(id)))
                .hint("leave the id out, or make a new random one")
        }
        SendId::Key(key) => {
            ApiError::new(ErrorKind::Usage, format!("another text was sent under the key {key:?} already"))
                .hint("a key belongs to one message: choose another for this one")
        }
    })
}
