//! Whom anything may leave for, and whom we listen to: the rules that no kind of content may forget
//! (docs/protocol.md, "What a client does with them").
//!
//! The first is asked where intents are made and again where they are sealed, the second before a content is applied.
//! Both look at what an account is to us, never at what it says of itself.

use subrosa_wire::{AccountId, mailbox::Way};

use crate::{
    api::{ApiError, ContactState},
    content::Body,
    engine::core::Change,
    store::{contacts, conversations},
};

/// Whether anything of ours may leave for a contact: we accepted them, or we asked them. Nobody else gets a key, a receipt, an
/// answer, or a call to the host that they named.
pub(crate) const fn may_hear_from_us(state: ContactState) -> bool {
    match state {
        ContactState::Ok | ContactState::Requested => true,
        ContactState::Request | ContactState::Blocked | ContactState::Removed => false,
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

/// Whether a content of this kind from somebody in this state means anything. `None`: an account that nobody here knows.
///
/// Every kind is named: a new one has to say whom it is for.
pub(crate) const fn is_listened_to(
    body: Option<&Body>,
    shown: bool,
    state: Option<ContactState>,
    speaking: Speaking,
) -> bool {
    let as_contact = match state {
        Some(ContactState::Ok | ContactState::Requested) => (true, false),
        // What a request may be: words, or an introduction alone.
        Some(ContactState::Request) | None => (false, true),
        Some(ContactState::Blocked | ContactState::Removed) => return false,
    };
    let (talks, asks) = match speaking {
        Speaking::Alone => as_contact,
        // Of what they say to us alone only that which serves the conversation: receipts and healing.
        Speaking::Fellow => {
            return match body {
                Some(Body::Receipt(_) | Body::RetryRequest(_)) => true,
                None if !shown => true,
                _ => is_listened_to(body, shown, state, Speaking::Alone),
            };
        }
        // Words of the conversation. What concerns the two of us names none.
        Speaking::Among => return matches!(body, Some(Body::Text(_)) | None),
    };
    match body {
        Some(Body::Text(_) | Body::Hello(_)) => talks || asks,
        Some(Body::Receipt(_) | Body::RetryRequest(_)) => talks,
        // Of a type that a newer program knows: words, or something that only who talks with us may say.
        None => talks || (asks && shown),
        // Between the devices of one account only.
        Some(Body::Transcript(_) | Body::ContactSync(_) | Body::ReadSync(_) | Body::KeySync(_)) => false,
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
        Way::Unknown(_) => false,
    }
}

impl Change<'_> {
    /// Whether anything may leave for this account. Our own other devices always may hear of us; who is with us in a conversation of
    /// several may unless they are blocked.
    pub(crate) fn may_leave_for(&self, target: &AccountId) -> Result<bool, ApiError> {
        if *target == self.own.address.account {
            return Ok(true);
        }
        match contacts::state(self.db, target)? {
            Some(state) if may_hear_from_us(state) => Ok(true),
            Some(ContactState::Blocked) => Ok(false),
            _ => self.is_fellow(target),
        }
    }

    /// Whether somebody is with us in a conversation of several.
    pub(crate) fn is_fellow(&self, account: &AccountId) -> Result<bool, ApiError> {
        Ok(conversations::is_fellow(self.db, account)?)
    }
}
