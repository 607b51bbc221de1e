//! What arrives: from whom, and what the relay says about it.

use subrosa_crypto::AccountRecord;
use subrosa_wire::{
    DeviceAddress,
    mailbox::{Push, Way},
    submit::EnvelopeClass,
};

use crate::store::{contacts::ContactRow, peers::PeerRow};

/// Who sent an envelope, verified: their certificate by their account, their account by its id.
pub(crate) struct Sender {
    pub(crate) device: DeviceAddress,
    pub(crate) record: AccountRecord,
    /// `None`: another device of ours, or no contact.
    pub(crate) contact: Option<ContactRow>,
    /// Somebody we do not talk with who is with us in a conversation of several.
    pub(crate) fellow: Option<PeerRow>,
    pub(crate) own: bool,
    /// It was said with a set-up header: in a session that they began and in which they have not heard from us.
    pub(crate) sets_up: bool,
}

/// What the relay says about an envelope besides its bytes. Only the relay's word: what a rule lets through because of it
/// must be harmless from a relay that lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When the relay got it, by its clock.
    pub(crate) received_ms: u64,
    /// What its sender showed to the relay.
    pub(crate) way: Way,
    /// Stored until acknowledged, or handed on once.
    pub(crate) class: EnvelopeClass,
}

impl Arrival {
    /// What the relay said of a push.
    pub(in crate::engine) const fn of(push: &Push) -> Self {
        Self { received_ms: push.received_ms, way: push.way, class: push.class }
    }
}
