//! Which directories of an account live, and what is owed to whom: one replay for the running figures and for the verdict.
//!
//! A *place* is one directory of an account. It is called as the account id, or `ID/COPY` where an
//! account has several in one run. What a place that is gone was shown counts no more, and what
//! only it had accepted and no relay had taken may be gone with it.

use std::collections::{HashMap, HashSet};

use subrosa_client_core::api::MessageStatus;

use crate::journal::Entry;

/// The account id in the name of a place.
pub(crate) fn account_of(place: &str) -> &str {
    place.split('/').next().unwrap_or(place)
}

/// One directory of an account.
#[derive(Debug, Clone, Default)]
struct Place {
    gone: bool,
    /// What it accepted, or holds as a copy of the one that did.
    accepted: HashSet<String>,
    /// What it was shown, or holds as a copy of one that was.
    has: HashSet<String>,
    /// How many attempts had been made when this copy was finished; a place that is no copy has none.
    copied_after: usize,
}

/// A message as far as this is concerned.
#[derive(Debug, Clone)]
struct Message {
    /// Place it was written at.
    by: String,
    /// Account it is for.
    to: String,
    /// Its number among all attempts.
    number: usize,
}

/// What has been accepted, and what is still missing of it.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    places: HashMap<String, Place>,
    messages: HashMap<String, Message>,
    /// Accepted ids in their order.
    accepted: Vec<String>,
    known: HashSet<String>,
    /// Reported as accepted by a relay.
    sent: HashSet<String>,
    /// How many of the accepted ones are in `sent`.
    accepted_and_sent: usize,
    /// Reported as delivered.
    delivered: HashSet<String>,
    missing: HashSet<String>,
    undelivered: HashSet<String>,
}

impl Lives {
    /// Takes one more entry.
    pub(crate) fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Attempted { by, to, id, .. } => {
                let number = self.messages.len();
                let message = Message { by: by.clone(), to: to.clone(), number };
                self.messages.entry(id.clone()).or_insert(message);
            }
            Entry::Accepted { id } => self.accept(id),
            Entry::Shown { at, id, .. } => {
                self.place(at).has.insert(id.clone());
                self.look_again(id);
            }
            Entry::Moved { id, status, .. } => self.moved(id, *status),
            Entry::CopyBegun { from, to } => {
                let copy = self.place(from).clone();
                self.places.insert(to.clone(), copy);
            }
            Entry::CopyDone { to } => self.place(to).copied_after = self.messages.len(),
            Entry::Held { at, ids } => {
                let before = self.place(at).copied_after;
                for id in ids {
                    if self.messages.get(id).is_some_and(|message| message.number < before) {
                        self.place(at).has.insert(id.clone());
                        self.look_again(id);
                    }
                }
            }
            Entry::Gone { at } => {
                self.place(at).gone = true;
                for id in self.accepted.clone() {
                    self.look_again(&id);
                }
            }
            Entry::Listening { .. }
            | Entry::Chosen { .. }
            | Entry::History { .. }
            | Entry::Other { .. }
            | Entry::Process { .. }
            | Entry::Wrong { .. } => {}
        }
    }

    fn place(&mut self, name: &str) -> &mut Place {
        self.places.entry(name.to_owned()).or_default()
    }

    fn accept(&mut self, id: &str) {
        if !self.known.insert(id.to_owned()) {
            return;
        }
        self.accepted.push(id.to_owned());
        self.accepted_and_sent += usize::from(self.sent.contains(id));
        if let Some(by) = self.messages.get(id).map(|message| message.by.clone()) {
            self.place(&by).accepted.insert(id.to_owned());
        }
        self.look_again(id);
    }

    fn moved(&mut self, id: &str, status: MessageStatus) {
        match status {
            MessageStatus::Queued | MessageStatus::Failed | MessageStatus::Expired => return,
            MessageStatus::Sent => {}
            MessageStatus::Delivered | MessageStatus::Read => {
                self.delivered.insert(id.to_owned());
            }
        }
        if self.sent.insert(id.to_owned()) {
            self.accepted_and_sent += usize::from(self.known.contains(id));
        }
        self.look_again(id);
    }

    /// Whether a message is missing, and whether its sender still has to hear that it was delivered.
    fn look_again(&mut self, id: &str) {
        let accepted = self.known.contains(id);
        if accepted && self.is_owed(id) && !self.is_shown(id) {
            self.missing.insert(id.to_owned());
        } else {
            self.missing.remove(id);
        }
        if accepted && !self.delivered.contains(id) && self.hears(id) {
            self.undelivered.insert(id.to_owned());
        } else {
            self.undelivered.remove(id);
        }
    }

    /// Whether it must arrive: a relay has it, or a directory that lives does.
    fn is_owed(&self, id: &str) -> bool {
        let Some(message) = self.messages.get(id) else { return true };
        let writer = account_of(&message.by);
        let holds = |(name, place): (&String, &Place)| account_of(name) == writer && place.accepted.contains(id);
        self.sent.contains(id) || self.places.iter().any(|(name, place)| !place.gone && holds((name, place)))
    }

    /// Whether a directory of the receiver that lives was shown it, or is a copy of one that was.
    pub(crate) fn is_shown(&self, id: &str) -> bool {
        let Some(message) = self.messages.get(id) else { return false };
        self.places.iter().any(|(name, place)| !place.gone && account_of(name) == message.to && place.has.contains(id))
    }

    /// Whether the report of its delivery comes to who can tell: what a directory that is gone heard, its copy need not know.
    fn hears(&self, id: &str) -> bool {
        let Some(message) = self.messages.get(id) else { return true };
        let writer = account_of(&message.by);
        !self.places.iter().any(|(name, place)| place.gone && account_of(name) == writer)
    }

    /// Whether a place lives at the end.
    pub(crate) fn lives(&self, place: &str) -> bool {
        self.places.get(place).is_none_or(|place| !place.gone)
    }

    /// Whether a message is for an account.
    pub(crate) fn is_for(&self, id: &str, account: &str) -> bool {
        self.messages.get(id).is_some_and(|message| message.to == account)
    }

    /// Whether a place was shown a message, or is a copy of one that was.
    pub(crate) fn has(&self, place: &str, id: &str) -> bool {
        self.places.get(place).is_some_and(|place| place.has.contains(id))
    }

    /// Accepted ids in their order.
    pub(crate) fn accepted(&self) -> &[String] {
        &self.accepted
    }

    /// How much a place has accepted, what it holds as a copy included.
    pub(crate) fn accepted_at(&self, place: &str) -> usize {
        self.places.get(place).map_or(0, |place| place.accepted.len())
    }

    /// How many accepted ones a relay has.
    pub(crate) fn sent(&self) -> usize {
        self.accepted_and_sent
    }

    /// Whether it was reported as delivered.
    pub(crate) fn is_delivered(&self, id: &str) -> bool {
        self.delivered.contains(id)
    }

    /// Accepted, owed and not shown at a place that lives.
    pub(crate) fn missing(&self) -> &HashSet<String> {
        &self.missing
    }

    /// Accepted and not reported as delivered, where the report is owed.
    pub(crate) fn undelivered(&self) -> usize {
        self.undelivered.len()
    }
}
