//! Events of a mailbox that the engine has not taken yet: bounded, in order, envelopes in batches.

use std::collections::VecDeque;

use subrosa_wire::{limits::MAX_UNACKED, mailbox::Push};

use super::MailboxEvent;

/// Envelopes in one [`MailboxEvent::Pushed`]: one transaction of the engine, short enough that a
/// receipt or a keypress does not wait for it.
pub(super) const MAX_PUSH_BATCH: usize = 64;

/// What may wait for the engine: the relay's whole window, so that answers behind it are still read,
/// and a few notices. Beyond it the socket is not read.
pub(super) const MAX_WAITING: usize = MAX_UNACKED + 64;

/// Events that the engine has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    events: VecDeque<MailboxEvent>,
    /// Envelopes and other events.
    weight: usize,
}

impl Waiting {
    pub(super) fn push(&mut self, event: MailboxEvent) {
        self.weight += 1;
        self.events.push_back(event);
    }

    /// Joins the last batch if nothing came in between and it has room.
    pub(super) fn push_envelope(&mut self, envelope: Push) {
        match self.events.back_mut() {
            Some(MailboxEvent::Pushed(batch)) if batch.len() < MAX_PUSH_BATCH => {
                self.weight += 1;
                batch.push(envelope);
            }
            _ => self.push(MailboxEvent::Pushed(vec![envelope])),
        }
    }

    pub(super) fn pop(&mut self) -> Option<MailboxEvent> {
        let event = self.events.pop_front()?;
        self.weight -= match &event {
            MailboxEvent::Pushed(batch) => batch.len(),
            _ => 1,
        };
        Some(event)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.weight < MAX_WAITING
    }
}
