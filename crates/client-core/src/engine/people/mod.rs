//! Contacts: finding them by what a person types, adding them, learning their device lists.

pub(in crate::engine) mod audience;
pub(in crate::engine) mod chat_names;
pub(in crate::engine) mod contact_state;
pub(in crate::engine) mod introductions;
pub(in crate::engine) mod link_use;
pub(in crate::engine) mod links;
pub(in crate::engine) mod lists;
pub(in crate::engine) mod naming;
pub(in crate::engine) mod own_keys;
pub(in crate::engine) mod receivers;
pub(in crate::engine) mod removal;

use bytes::Bytes;
use subrosa_crypto::{AccountRecord, DeviceList, safety_number};
use subrosa_wire::{
    AccountId, ContactLink,
    link::{authority, is_loopback, is_private},
    mailbox::Way,
};
use url::Url;

use crate::{
    api::{ApiError, ChatKind, Contact, ContactState, ErrorKind, Identity, VerifyParams},
    clean::clean_line,
    content::{Body, CheckedIntroduction, ContactSync, Hello, synced_state},
    conversation::ConversationId,
    engine::{
        core::{Change, Core, arrival::Arrival},
        people::{
            audience::may_hear_from_us,
            link_use::LinkUse,
            naming::{Shown, find},
        },
    },
    limits::MAX_REQUESTS_KEPT,
    store::{
        self,
        account::Own,
        contacts::{self, ContactRow, OpenedLink},
        conversations,
        events::Happened,
        peers::{self, ListFloor},
    },
};

/// The view of a contact.
pub(crate) fn view(own: &Own, contact: &ContactRow) -> Contact {
    let peer = &contact.peer;
    Contact {
        id: peer.account.to_string(),
        chat: own.chat_with(&peer.account).to_string(),
        name: contact.name.clone(),
        handle: peer.handle.clone(),
        looks_like: contact.looks_like.clone(),
        state: contact.state,
        verified: contact.verified,
        origin: contact.origin.clone(),
        relay: peer.relay.to_string(),
        devices: peer.list.as_ref().map_or(0, |list| u32::try_from(list.devices().len()).unwrap_or(u32::MAX)),
        last_seen_ms: peer.last_seen_ms,
        since_ms: contact.since_ms,
    }
}

/// An error that says whom it did not find.
pub(crate) fn not_found(who: &str) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format!("no contact or chat named {:?}", clean_line(who)))
        .hint("`subrosa contact list` shows everybody; `subrosa join LINK` adds somebody")
}

impl Change<'_> {
    /// A new contact with what is known at first. Who is a peer already (with us in a conversation of several) stays where they are
    /// known to be, with the devices that are known.
    fn fresh(
        &self,
        record: &AccountRecord,
        (handle, shown): (&str, Shown),
        (relay, pin): (&Url, Option<[u8; 32]>),
        state: ContactState,
    ) -> Result<ContactRow, ApiError> {
        let contact = ContactRow::new(*record, handle.to_owned(), relay.clone(), state, self.now_ms);
        let known = peers::get(self.db, contact.account())?;
        let peer = known.unwrap_or(peers::PeerRow { pin, ..contact.peer });
        Ok(ContactRow { peer, name: shown.name, looks_like: shown.looks_like, ..contact })
    }

    /// Stores a contact, with the conversation they are in, and tells the interfaces.
    pub(crate) fn put_contact(&mut self, contact: &ContactRow) -> Result<(), ApiError> {
        contacts::put(self.db, contact)?;
        let (chat, account) = (self.own.chat_with(contact.account()), *contact.account());
        conversations::ensure(self.db, &chat, ChatKind::Direct, &[account], self.now_ms)?;
        self.contact_event(contact)
    }

    /// Tells the interfaces that a contact changed.
    pub(crate) fn contact_event(&mut self, contact: &ContactRow) -> Result<(), ApiError> {
        let account = *contact.account();
        self.event(&Happened::Contact { conversation: self.own.chat_with(&account), account })
    }

    /// A line for the person.
    pub(crate) fn notice(
        &mut self,
        code: &str,
        text: String,
        conversation: Option<ConversationId>,
    ) -> Result<(), ApiError> {
        self.event(&Happened::Notice { code: code.to_owned(), text, conversation, ts_ms: self.now_ms })
    }

    /// A line for the person, in the chat with somebody.
    pub(crate) fn notice_about(&mut self, code: &str, text: String, account: &AccountId) -> Result<(), ApiError> {
        self.notice(code, text, Some(self.own.chat_with(account)))
    }

    /// A line for the person about what somebody's device sent: in the chat with them; of our own other devices in none.
    pub(crate) fn notice_from(&mut self, code: &str, text: String, account: &AccountId) -> Result<(), ApiError> {
        let chat = (*account != self.own.address.account).then(|| self.own.chat_with(account));
        self.notice(code, text, chat)
    }

    /// What the person calls somebody who may be no contact.
    pub(crate) fn name_of(&self, account: &AccountId) -> Result<String, ApiError> {
        match contacts::name(self.db, account)? {
            Some(name) => Ok(name),
            None => Ok(store::peers::get(self.db, account)?.map(|peer| peer.handle).unwrap_or_default()),
        }
    }

    /// Says of a new contact whom they could be taken for.
    fn warn_of(&mut self, account: &AccountId, shown: &Shown) -> Result<(), ApiError> {
        let Some(other) = &shown.looks_like else { return Ok(()) };
        let text = format!(
            "{} looks like {other}, and is another account: compare safety numbers before you trust the name",
            shown.name
        );
        self.notice_about("look_alike", text, account)
    }

    /// The person behind a contact link, checked against what their relay says.
    pub(crate) fn join(
        &mut self,
        link: &ContactLink,
        record: &AccountRecord,
        list: &Bytes,
        opened: OpenedLink,
    ) -> Result<Contact, ApiError> {
        let account = AccountId(record.id());
        let known = contacts::get(self.db, &account)?;
        if let Some(contact) = &known
            && contact.state == ContactState::Ok
            && contact.verified
        {
            // Opening a link of somebody who is a contact already changes nothing.
            return Ok(view(self.own, contact));
        }
        let verified = DeviceList::decode(list).ok().and_then(|list| list.verify(record).ok());
        let list = verified.filter(|list| list.version() >= link.list_version).ok_or_else(|| {
            ApiError::new(
                ErrorKind::IdentityChanged,
                "the relay's device list does not fit the link: it is older or not valid",
            )
            .hint("ask for a new link over a channel you trust; tell them that their relay gave a wrong list")
        })?;
        let mut contact = match known {
            Some(contact) => contact,
            None => {
                let handle = link.handle.as_str();
                let shown = naming::shown(self.db, self.own, handle, &account)?;
                self.warn_of(&account, &shown)?;
                self.fresh(record, (handle, shown), (&link.relay, link.pin), ContactState::Requested)?
            }
        };
        let peer = &mut contact.peer;
        if peer.list.as_ref().is_none_or(|known| known.version() < list.version()) {
            peer.list = Some(list);
        }
        // The link is from a channel that its relay does not write to.
        if link.list_version > peer.floor.version {
            peer.floor = ListFloor { version: link.list_version, ..ListFloor::default() };
        }
        peer.list_stale = peer.is_behind();
        peer.list_asked_ms = self.now_ms;
        peer.relay = link.relay.clone();
        peer.pin = link.pin;
        contact.verified = true;
        contact.verified_ms = Some(self.now_ms);
        contact.origin = "you opened their link".into();
        if contact.state == ContactState::Request {
            contact.state = ContactState::Ok;
        }
        contact.reach.link = Some(opened);
        contact.given.answered = false;
        self.put_contact(&contact)?;
        self.queue(&account, Body::Hello(Hello {}))?;
        self.sync_contact(&contact)?;
        Ok(view(self.own, &contact))
    }

    /// Somebody found by handle at the own relay; our first message to them is a request.
    pub(crate) fn add_requested(
        &mut self,
        handle: &str,
        record: &AccountRecord,
        list: &Bytes,
    ) -> Result<AccountId, ApiError> {
        let account = AccountId(record.id());
        if contacts::get(self.db, &account)?.is_some() {
            return Ok(account);
        }
        let shown = naming::shown(self.db, self.own, handle, &account)?;
        self.warn_of(&account, &shown)?;
        let relay = (&self.own.relay, self.own.pin);
        let mut contact = self.fresh(record, (handle, shown), relay, ContactState::Requested)?;
        contact.origin = "found by handle".into();
        let Some(list) = DeviceList::decode(list).ok().and_then(|list| list.verify(record).ok()) else {
            return Err(ApiError::new(
                ErrorKind::IdentityChanged,
                "the relay gave a device list whose signature does not verify",
            )
            .hint("nothing was sent; get a contact link from them instead"));
        };
        let peer = &mut contact.peer;
        if peer.list.as_ref().is_none_or(|known| known.version() < list.version()) {
            peer.list = Some(list);
        }
        peer.list_stale = peer.is_behind();
        self.put_contact(&contact)?;
        self.sync_contact(&contact)?;
        Ok(account)
    }

    /// Accepts a request, or lets sending go on after a refused list.
    pub(crate) fn accept(&mut self, account: &AccountId) -> Result<Contact, ApiError> {
        let mut contact = contacts::get(self.db, account)?.ok_or_else(|| not_found(&account.to_string()))?;
        self.take_list_as_it_is(&mut contact)?;
        if contact.state == ContactState::Blocked {
            return Err(ApiError::new(ErrorKind::Failed, format!("{} is blocked", contact.name))
                .hint(format!("`subrosa contact unblock '{}'` takes it back", contact.name)));
        }
        if contact.state == ContactState::Request {
            contact.state = ContactState::Ok;
            contact.decided_ms = self.now_ms;
            self.put_contact(&contact)?;
            self.queue(account, Body::Hello(Hello {}))?;
            self.receipts_for_waiting(&contact)?;
            self.sync_contact(&contact)?;
        } else {
            contacts::put(self.db, &contact)?;
        }
        Ok(view(self.own, &contact))
    }

    /// Somebody unknown introduces themselves. `None`: not to be listened to.
    pub(crate) fn meet(
        &mut self,
        record: &AccountRecord,
        introduction: &CheckedIntroduction,
        arrival: &Arrival,
    ) -> Result<Option<ContactRow>, ApiError> {
        let account = AccountId(record.id());
        let received_ms = arrival.received_ms;
        // The lane is for accounts of our own relay: whatever they say, that is where they are, and no host that a stranger
        // names is ever called.
        let (relay, pin) = match arrival.way {
            Way::RequestLane => (self.own.relay.clone(), self.own.pin),
            _ => (introduction.relay.clone(), introduction.pin),
        };
        if !self.may_call(&relay) {
            return Ok(None);
        }
        let handle = introduction.handle.as_str();
        let shown = naming::shown(self.db, self.own, handle, &account)?;
        let named = shown.clone();
        let mut contact = self.fresh(record, (handle, shown), (&relay, pin), ContactState::Request)?;
        contact.peer.delivery_key = Some(introduction.delivery_key.clone());
        contact.peer.member_key.clone_from(&introduction.member_key);
        contact.origin = "wrote to your handle".into();
        if let Some(shown) = &introduction.link {
            match self.use_invite(shown, &account, received_ms)? {
                LinkUse::Joined(origin) => {
                    contact.state = ContactState::Ok;
                    contact.origin = origin;
                }
                // Another device of ours may have made the link; its contact sync settles it.
                LinkUse::Unknown if self.has_other_devices() => {
                    contact.origin = "says they have a contact link".into();
                }
                LinkUse::Unknown | LinkUse::Refused => return Ok(None),
            }
        } else if arrival.way == Way::ContactToken && !self.has_other_devices() {
            // With a token of ours, but not a word about which.
            return Ok(None);
        }
        if contact.state == ContactState::Request && contacts::requests(self.db)? >= MAX_REQUESTS_KEPT {
            return Ok(None);
        }
        self.warn_of(&account, &named)?;
        self.put_contact(&contact)?;
        if contact.state == ContactState::Ok {
            self.queue(&account, Body::Hello(Hello {}))?;
            self.sync_contact(&contact)?;
        }
        Ok(Some(contact))
    }

    /// Nobody far away makes us call at services of this machine or its network: a relay on loopback is believed only if ours
    /// is, too, and one at a private address only if ours is as near.
    fn may_call(&self, relay: &Url) -> bool {
        let near = is_loopback(&self.own.relay);
        (near || !is_loopback(relay)) && (near || is_private(&self.own.relay) || !is_private(relay))
    }

    /// A known contact introduces themselves (again): where to reach them, and whether they accept us.
    pub(crate) fn meet_again(
        &mut self,
        contact: &mut ContactRow,
        introduction: &CheckedIntroduction,
        received_ms: u64,
    ) -> Result<(), ApiError> {
        // Only a link makes their word about where they are count.
        if introduction.link.is_some() && !self.may_call(&introduction.relay) {
            return Ok(());
        }
        let joined = match &introduction.link {
            Some(shown) => match self.use_invite(shown, contact.account(), received_ms)? {
                LinkUse::Joined(origin) => Some(origin),
                LinkUse::Unknown | LinkUse::Refused => None,
            },
            None => None,
        };
        let told = |contact: &ContactRow| {
            let peer = &contact.peer;
            (contact.state, peer.delivery_key.clone(), peer.member_key.clone(), peer.relay.clone())
        };
        let before = told(contact);
        contact.peer.delivery_key = Some(introduction.delivery_key.clone());
        contact.peer.member_key.clone_from(&introduction.member_key);
        // The relay on record is the one at which we met them. Nobody's words make us call at another host; whoever moved
        // gives or takes a new link.
        if joined.is_some() {
            contact.peer.relay = introduction.relay.clone();
            contact.peer.pin = introduction.pin;
        } else {
            self.show_other_relay(contact, introduction)?;
        }
        // Their key serves from now on; the token was for reaching them before it.
        contact.reach.link = None;
        match contact.state {
            // Their introduction to somebody who asked is the answer.
            ContactState::Requested => contact.state = ContactState::Ok,
            ContactState::Request if joined.is_some() => contact.state = ContactState::Ok,
            _ => {}
        }
        let welcomes = joined.is_some();
        if let Some(origin) = joined {
            contact.origin = origin;
        }
        if before != told(contact) || welcomes {
            self.put_contact(contact)?;
            if welcomes {
                self.queue(contact.account(), Body::Hello(Hello {}))?;
            }
            self.sync_contact(contact)?;
            // Rows that waited for a key or an answer may go.
            store::deliveries::wake(self.db, contact.account())?;
            self.wake_outbox();
        }
        Ok(())
    }

    /// Somebody says that they are at another relay than the one on record. Told once for each address.
    fn show_other_relay(
        &mut self,
        contact: &mut ContactRow,
        introduction: &CheckedIntroduction,
    ) -> Result<(), ApiError> {
        let peer = &mut contact.peer;
        let same = authority(&introduction.relay) == authority(&peer.relay)
            // Another name for the same place: known by its key, or on this machine.
            || (introduction.pin.is_some() && introduction.pin == peer.pin)
            || (is_loopback(&introduction.relay) && is_loopback(&peer.relay));
        let claimed = introduction.relay.as_str();
        if same || !may_hear_from_us(contact.state) || peer.relay_told.as_deref() == Some(claimed) {
            return Ok(());
        }
        peer.relay_told = Some(claimed.to_owned());
        peers::put(self.db, peer)?;
        let text = format!(
            "{} says that their relay is {} now; what you write still goes to {}. If they moved, exchange a new contact link",
            contact.name,
            clean_line(claimed.trim_end_matches('/')),
            peer.relay.as_str().trim_end_matches('/')
        );
        self.notice_about("relay_differs", text, &peer.account)
    }

    /// A contact that another device of ours told us about.
    pub(crate) fn synced_contact(
        &mut self,
        record: &AccountRecord,
        handle: &str,
        relay: &Url,
    ) -> Result<ContactRow, ApiError> {
        let account = AccountId(record.id());
        let shown = naming::shown(self.db, self.own, handle, &account)?;
        self.warn_of(&account, &shown)?;
        self.fresh(record, (handle, shown), (relay, None), ContactState::Requested)
    }
}

impl Core {
    /// Safety number of a contact; compares it when one is given.
    pub(crate) fn verify(&mut self, params: &VerifyParams) -> Result<Identity, ApiError> {
        let (who, number) = (params.who.as_str(), params.number.as_deref());
        self.change(|change| {
            let mut contact = find(change.db, change.own, who)?.ok_or_else(|| not_found(who))?;
            let own = (&change.own.address.account.0, change.own.record.account_key());
            let theirs = (&contact.peer.account.0, contact.peer.record.account_key());
            let safety = safety_number(own, theirs);
            if let Some(number) = number {
                // A slip of the keyboard is no changed identity.
                let digits = number.chars().filter(|char| !char.is_whitespace()).collect::<String>();
                if digits.len() != safety.digits().len() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(ApiError::new(
                        ErrorKind::Usage,
                        format!("a safety number has {} digits", safety.digits().len()),
                    )
                    .hint("give all of theirs, in quotes; spaces do not matter"));
                }
                if !safety.matches_digits(number) {
                    return Err(ApiError::new(
                        ErrorKind::IdentityChanged,
                        format!("the safety number does not match the one of {}", contact.name),
                    )
                    .hint("do not trust this contact before you compared again, both reading from the screen"));
                }
                if !contact.verified {
                    // Who was compared is no look-alike to the person any more.
                    contact.looks_like = None;
                    contact.verified = true;
                    contact.verified_ms = Some(change.now_ms);
                    change.put_contact(&contact)?;
                    change.sync_contact(&contact)?;
                }
            }
            Ok(Identity {
                id: contact.account().to_string(),
                name: contact.name.clone(),
                safety_number: safety.groups().collect::<Vec<_>>().join(" "),
                safety_qr: hex::encode(safety.qr_bytes()),
                verified: contact.verified,
                changed_ms: contact.verified_ms,
            })
        })
    }
}

/// A contact as our other devices learn it. Of who is gone nothing is told but that they are.
pub(crate) fn contact_sync(contact: &ContactRow) -> ContactSync {
    let peer = &contact.peer;
    let gone = ContactSync {
        account_record: peer.record.encode().to_vec(),
        state: synced_state(contact.state) as i32,
        decided_ms: contact.decided_ms,
        ..ContactSync::default()
    };
    if contact.state == ContactState::Removed {
        return gone;
    }
    ContactSync {
        device_list: peer.list.as_ref().map(DeviceList::encode).unwrap_or_default(),
        handle: peer.handle.clone(),
        relay: peer.relay.to_string(),
        pin: peer.pin.map(|pin| pin.to_vec()).unwrap_or_default(),
        delivery_key: peer.delivery_key.as_ref().map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
        member_key: peer.member_key.as_ref().map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
        verified: contact.verified,
        origin: contact.origin.clone(),
        answered: contact.given.answered,
        ..gone
    }
}
