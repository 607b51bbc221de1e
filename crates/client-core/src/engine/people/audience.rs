//! Whom anything may leave for, and whom we listen to: the rules that no kind of content may forget
//! (docs/protocol.md, "What a client does with them").
//!
//! The first is asked where intents are made and again where they are sealed, the second before a content is applied.
//! Both look at what an account is to us, never at what it says of itself.

use subrosa_wire::{AccountId, Capability, mailbox::Way};

use crate::{
    api::{ApiError, ContactState},
    content::{Body, is_about_sent},
    engine::core::Change,
    store::{
        Db, StoreError,
        contacts::{self, ContactRow},
        conversations,
        peers::{self, PeerRow},
    },
};

/// Whether anything of ours may leave for a contact: we accepted them, or we asked them. Nobody else gets a key, a receipt, an
/// answer, or a call to the host that they named.
pub(crate) const fn may_hear_from_us(state: ContactState) -> bool {
    match state {
        ContactState::Ok | ContactState::Requested => true,
        ContactState::Request | ContactState::Blocked | ContactState::Removed => false,
    }
}

/// What somebody's state says of what may leave for them.
enum ByState {
    May,
    /// If they are with us in a conversation of several.
    AsFellow,
    Never,
}

const fn by_state(state: Option<ContactState>) -> ByState {
    match state {
        Some(state) if may_hear_from_us(state) => ByState::May,
        Some(ContactState::Blocked) => ByState::Never,
        _ => ByState::AsFellow,
    }
}

/// As what somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaking {
    /// To us alone, and there is no conversation of several with them.
    Alone,
    /// To us alone, and there is one.
    Fellow,
    /// In a conversation of several.
    Among,
}

/// As what somebody is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeardAs {
    /// A contact, or somebody who asks to be one.
    Themselves,
    /// Only because of a conversation of several: it makes nobody a contact, nor asks to be one.
    Fellow,
}

/// As what a content of this kind from somebody in this state means something; `None`: as nothing. No state: an account that nobody here knows.
///
/// Every kind is named: a new one has to say whom it is for.
pub(crate) const fn heard_as(
    body: Option<&Body>,
    shown: bool,
    state: Option<ContactState>,
    speaking: Speaking,
) -> Option<HeardAs> {
    let (talks, asks) = match state {
        Some(ContactState::Ok | ContactState::Requested) => (true, false),
        // What a request may be: words, or an introduction alone.
        Some(ContactState::Request) | None => (false, true),
        Some(ContactState::Blocked | ContactState::Removed) => return None,
    };
    let alone = match body {
        Some(Body::Text(_) | Body::Hello(_)) => talks || asks,
        Some(
            Body::Receipt(_)
            | Body::RetryRequest(_)
            | Body::RetryAnswer(_)
            | Body::RestoreRequest(_)
            | Body::RestoreAnswer(_),
        ) => talks,
        // Of a type that a newer program knows: words, or something that only who talks with us may say.
        None => talks || (asks && shown),
        // Between the devices of one account only.
        Some(Body::Transcript(_) | Body::ContactSync(_) | Body::ReadSync(_) | Body::KeySync(_)) => false,
    };
    let serves = match speaking {
        Speaking::Alone => false,
        // Of what they say to us alone: receipts and healing.
        Speaking::Fellow => match body {
            Some(body) => is_about_sent(body),
            None => !shown,
        },
        // Words of it. What concerns the two of us names none.
        Speaking::Among => matches!(body, Some(Body::Text(_)) | None),
    };
    match speaking {
        Speaking::Alone | Speaking::Fellow if alone => Some(HeardAs::Themselves),
        _ if serves => Some(HeardAs::Fellow),
        _ => None,
    }
}

/// Whether a request may come this way: somebody unknown, or whose request waits. The request lane bounds what strangers can do;
/// a contact token is for who was invited.
pub(crate) const fn may_ask_by(way: Way, may_have_key: bool) -> bool {
    match way {
        Way::RequestLane | Way::ContactToken => true,
        // Our delivery key is had from us, by contacts, or from a conversation of several. If this device does not know them, another one
        // of ours may, and its word about them may be under way.
        Way::DeliveryKey => may_have_key,
        // The member key is for contents of groups: nobody asks for contact with it.
        Way::MemberKey | Way::Unknown(_) => false,
    }
}

/// Somebody whom things may leave for.
pub(in crate::engine) enum Audience {
    Contact(ContactRow),
    /// With us in a conversation of several, and nobody we talk with: they get no introduction, and are reached by the key that the
    /// conversation brought.
    Fellow(PeerRow),
}

impl Audience {
    /// What is known of an account, if anything may leave for it: as [`Change::may_leave_for`], for others than ourselves.
    pub(in crate::engine) fn of(db: &Db, account: &AccountId) -> Result<Option<Self>, StoreError> {
        let contact = contacts::get(db, account)?;
        match by_state(contact.as_ref().map(|contact| contact.state)) {
            ByState::May => Ok(contact.map(Self::Contact)),
            ByState::AsFellow => Ok(fellow(db, account)?.map(Self::Fellow)),
            ByState::Never => Ok(None),
        }
    }

    pub(in crate::engine) const fn peer(&self) -> &PeerRow {
        match self {
            Self::Contact(contact) => &contact.peer,
            Self::Fellow(peer) => peer,
        }
    }

    /// What we show to submit to them what concerns the two of us, or (`as_member`) what is said among several: to all of those the member key, also to
    /// contacts. The kind of key would otherwise tell whom of the others the author knows.
    pub(in crate::engine) fn capability(&self, as_member: bool) -> Option<Capability> {
        match self {
            Self::Contact(contact) if !as_member => contact.capability(),
            _ => self.peer().member_key.clone().map(Capability::MemberKey),
        }
    }
}

fn fellow(db: &Db, account: &AccountId) -> Result<Option<PeerRow>, StoreError> {
    if conversations::is_fellow(db, account)? { peers::get(db, account) } else { Ok(None) }
}

impl Change<'_> {
    /// Whether anything may leave for this account. Our own other devices always may hear of us; who is with us in a conversation of
    /// several may unless they are blocked.
    pub(crate) fn may_leave_for(&self, target: &AccountId) -> Result<bool, ApiError> {
        if *target == self.own.address.account {
            return Ok(true);
        }
        match by_state(contacts::state(self.db, target)?) {
            ByState::May => Ok(true),
            ByState::AsFellow => self.is_fellow(target),
            ByState::Never => Ok(false),
        }
    }

    /// Whether somebody is with us in a conversation of several.
    pub(crate) fn is_fellow(&self, account: &AccountId) -> Result<bool, ApiError> {
        Ok(conversations::is_fellow(self.db, account)?)
    }

    /// Somebody who is listened to only because they are with us in a conversation of several. `contact`: what they are to us.
    pub(crate) fn fellow(
        &self,
        account: &AccountId,
        contact: Option<&ContactRow>,
    ) -> Result<Option<PeerRow>, ApiError> {
        if contact.is_some_and(|contact| may_hear_from_us(contact.state)) {
            return Ok(None);
        }
        Ok(fellow(self.db, account)?)
    }
}
