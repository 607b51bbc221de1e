//! An open conversation: the part of its messages that is loaded, and what is new in it. Where the view stands is in
//! `viewing.rs`, which part is loaded in `paging.rs`.

use std::collections::{HashMap, HashSet};

use subrosa_client_core::{
    api::{ContactState, Message, MessageStatus, Missing},
    limits::MAX_HISTORY_PAGE,
};

use zeroize::Zeroize as _;

use self::viewing::Columns;
pub(crate) use self::viewing::TICKS;
use super::entry::{Entry, advanced};
use crate::{text, time::Clock};

/// Messages asked for at once: several screens.
pub(crate) const PAGE: u32 = 100;

/// Asked for at most when a chat with many unread messages is opened at the first of them.
pub(crate) const FIRST_PAGE_MAX: u32 = 600;

/// Messages of the same person so close together stand under one name.
const GROUP_MS: u64 = 5 * 60 * 1_000;

/// Messages kept at once: what is further up or down is loaded again when it is wanted, so that memory stays flat.
const MAX_LOADED: usize = 1_000;

/// Older messages are asked for when the view is so near to the first loaded one.
const NEAR_ROWS: usize = 30;

/// Where the view stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hold {
    /// At the newest message, also when there are newer ones.
    End,
    /// This row of this message is on top.
    At { id: String, row: usize },
}

/// A part that is to be loaded instead of what is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// Around this message.
    Message(String),
    /// The beginning.
    Oldest,
}

/// Whether there are messages before the loaded ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Maybe; nobody has asked.
    More,
    /// Asked.
    Loading,
    /// These are the first.
    End,
}

/// The open conversation.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) chat: String,
    pub(crate) name: String,
    pub(crate) state: ContactState,
    /// Oldest first.
    entries: Vec<Entry>,
    /// Since when something was missing, and what is said of it.
    missing: Vec<(u64, String)>,
    pub(crate) older: Edge,
    /// Whether there are messages after the loaded ones. [`Edge::End`]: new ones are added as they come.
    newer: Edge,
    /// Where the view is to go, once that part is here.
    jump: Option<Target>,
    /// The selected message comes into the middle of the view as soon as heights are known.
    to_middle: bool,
    /// Back from another part: to the end, not to the first unread message.
    returning: bool,
    pub(crate) loaded: bool,
    hold: Hold,
    /// The selected message.
    selected: Option<String>,
    /// The message that the line before new messages stands before. It does not move while somebody reads.
    new_from: Option<String>,
    /// The first unread message comes into view as soon as heights are known.
    to_unread: bool,
    /// The message up to which is being reported as read.
    reading: Option<String>,
    /// Came while the end was out of view.
    pub(crate) below: usize,
    pub(crate) columns: Columns,
    heights: Vec<usize>,
    view: usize,
}

impl Conversation {
    pub(crate) fn new(chat: &str, name: &str, state: ContactState) -> Self {
        Self {
            chat: chat.to_owned(),
            name: name.to_owned(),
            state,
            entries: Vec::new(),
            missing: Vec::new(),
            older: Edge::Loading,
            newer: Edge::End,
            jump: None,
            to_middle: false,
            returning: false,
            loaded: false,
            hold: Hold::End,
            selected: None,
            new_from: None,
            to_unread: false,
            reading: None,
            below: 0,
            columns: Columns::default(),
            heights: Vec::new(),
            view: 0,
        }
    }

    /// Wipes names and texts.
    pub(crate) fn wipe(&mut self) {
        self.name.zeroize();
        for entry in &mut self.entries {
            entry.from.name.zeroize();
            entry.body.zeroize();
            if let Some(reply) = &mut entry.reply {
                reply.text.zeroize();
                if let Some(person) = &mut reply.from {
                    person.name.zeroize();
                }
            }
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, id: &str) -> Option<&Entry> {
        self.index(id).map(|at| &self.entries[at])
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.id == id)
    }

    /// The newest page, when the chat is opened or when something happened in it: what is stored is what is shown.
    /// `watched`: the end is in view and somebody looks. `false`: so much came that the page does not reach back to what is
    /// loaded; nothing was changed, ask for more. The longest page is always taken.
    pub(crate) fn newest(&mut self, messages: &[Message], asked: u32, watched: bool, clock: &Clock) -> bool {
        let complete = u32::try_from(messages.len()).unwrap_or(u32::MAX) < asked;
        let in_page: HashSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        let in_page = |id: &str| in_page.contains(id);
        let begin = self.entries.iter().position(|entry| in_page(&entry.id));
        let gap = begin.is_none() && !messages.is_empty() && self.entries.iter().any(|entry| !entry.local);
        if gap && asked < MAX_HISTORY_PAGE {
            return false;
        }
        let first = !std::mem::replace(&mut self.loaded, true);
        let old = std::mem::take(&mut self.entries);
        let mut before = Vec::new();
        let mut waiting = Vec::new();
        let mut known = HashMap::new();
        for (at, entry) in old.into_iter().enumerate() {
            if in_page(&entry.id) {
                known.insert(entry.id.clone(), entry);
            } else if entry.local {
                // Ours, which the engine did not have yet when it answered.
                waiting.push(entry);
            } else if begin.is_some_and(|begin| at < begin) {
                before.push(entry);
            }
        }
        self.entries = before;
        for message in messages {
            let newer = Entry::new(message, clock);
            if let Some(mut entry) = known.remove(&newer.id) {
                entry.renew(newer);
                self.entries.push(entry);
            } else {
                if !first && !newer.outgoing {
                    self.arrived(&newer, watched);
                }
                self.entries.push(newer);
            }
        }
        self.entries.append(&mut waiting);
        if complete && begin.is_none_or(|_| self.entries.len() == messages.len()) {
            self.older = Edge::End;
        } else if first || gap {
            self.older = Edge::More;
        }
        if first {
            let returning = std::mem::take(&mut self.returning);
            // What was put in further up is no beginning of what is new.
            let first_new = self.entries.iter().find(|entry| entry.unread && !entry.late);
            self.new_from = first_new.map(|entry| entry.id.clone());
            self.to_unread = self.new_from.is_some() && !returning;
            if self.new_from.is_none()
                && !returning
                && let Some(late) = self.unread_late()
            {
                self.hold = Hold::At { id: late.to_owned(), row: 0 };
            }
        }
        if self.hold == Hold::End && !self.to_unread && self.entries.len() > MAX_LOADED {
            self.entries.drain(..self.entries.len() - MAX_LOADED);
            self.older = Edge::More;
        }
        self.mark_places();
        true
    }

    /// Somebody else's message that was not here before.
    fn arrived(&mut self, entry: &Entry, watched: bool) {
        // It is not below, and the line before new messages is not for what stands among old ones.
        if entry.late {
            return;
        }
        if self.hold != Hold::End {
            self.below += 1;
        }
        // The line moves on only when all after it has been read.
        let line = self.new_from.as_deref().and_then(|id| self.index(id));
        let read = line.is_none_or(|at| self.entries[at..].iter().all(|entry| !entry.unread));
        if !watched && entry.unread && read {
            self.new_from = Some(entry.id.clone());
        }
    }

    /// A message of ours that the engine is about to get.
    pub(crate) fn push_own(&mut self, message: &Message, clock: &Clock) {
        let mut entry = Entry::new(message, clock);
        entry.local = true;
        self.entries.push(entry);
        self.new_from = None;
        self.go_to_end();
        self.mark_places();
    }

    /// How far a message got. `false`: it is not loaded here.
    pub(crate) fn set_status(&mut self, id: &str, status: MessageStatus, error: Option<&str>) -> bool {
        let Some(at) = self.index(id) else { return false };
        let entry = &mut self.entries[at];
        entry.status = Some(entry.status.map_or(status, |old| advanced(old, status)));
        if status == MessageStatus::Failed {
            entry.error = error.map(text::line);
        }
        true
    }

    /// What was reported has been read, and all that is loaded above it; all that is loaded, if nothing was reported. What
    /// was put in later is read only when it was named.
    pub(crate) fn set_read(&mut self) {
        let reported = self.reading.take();
        let upto = reported.as_deref().and_then(|id| self.index(id)).map_or(self.entries.len(), |at| at + 1);
        for entry in self.entries.iter_mut().take(upto) {
            entry.unread &= entry.late && reported.as_deref() != Some(&entry.id);
        }
    }

    /// The newest message that is to be reported as read while the end is in view.
    pub(crate) fn last_unread(&self) -> Option<&str> {
        self.entries.iter().rev().find(|entry| entry.unread && !entry.late).map(|entry| entry.id.as_str())
    }

    /// A message that was put in above older ones and has not been in view.
    pub(crate) fn unread_late(&self) -> Option<&str> {
        self.entries.iter().find(|entry| entry.unread && entry.late).map(|entry| entry.id.as_str())
    }

    /// One of those that begins in view.
    pub(crate) fn late_in_view(&self) -> Option<&str> {
        let (first, skipped, last) = self.visible()?;
        let begin = if skipped > 0 { first + 1 } else { first };
        let in_view = self.entries.get(begin..=last)?;
        in_view.iter().find(|entry| entry.unread && entry.late).map(|entry| entry.id.as_str())
    }

    /// This message is being reported as read.
    pub(crate) fn report(&mut self, id: &str) {
        self.reading = Some(id.to_owned());
    }

    /// Spans in which something was missing, as the engine knows them now.
    pub(crate) fn set_missing(&mut self, missing: &[Missing], clock: &Clock) {
        let said = |span: &Missing| {
            let (from, to) = (clock.near(span.from_ms), clock.near(span.to_ms));
            (span.from_ms, format!("{} ({from} to {to})", span.words()))
        };
        self.missing = missing.iter().map(said).collect();
        self.mark_places();
    }

    /// The line of a span stands where what was missing comes to stand.
    fn mark_missing(&mut self) {
        for entry in &mut self.entries {
            (entry.missing, entry.missing_after) = (None, None);
        }
        for (from_ms, said) in &self.missing {
            match self.entries.iter().position(|entry| entry.ts_ms > *from_ms) {
                // It stands further up, in what is not loaded.
                Some(0) if self.older != Edge::End => {}
                Some(at) => self.entries[at].missing = Some(said.clone()),
                None if self.newer == Edge::End => {
                    if let Some(last) = self.entries.last_mut() {
                        last.missing_after = Some(said.clone());
                    }
                }
                None => {}
            }
        }
    }

    /// Days, groups and minutes begin where the message before differs.
    fn mark_places(&mut self) {
        self.mark_missing();
        for at in 0..self.entries.len() {
            let (earlier, rest) = self.entries.split_at_mut(at);
            let (before, Some(entry)) = (earlier.last(), rest.first_mut()) else { return };
            let new = self.new_from.as_deref() == Some(&entry.id);
            entry.first_of_day = before.is_none_or(|before| before.day != entry.day);
            entry.first_of_group = new
                || entry.first_of_day
                || before.is_none_or(|before| {
                    before.from.id != entry.from.id || entry.ts_ms.saturating_sub(before.ts_ms) > GROUP_MS
                });
            entry.first_of_minute = entry.first_of_group || before.is_none_or(|before| before.minute != entry.minute);
        }
    }

    /// The line before new messages: the message after it, and how many are new.
    pub(crate) fn new_line(&self) -> Option<(&str, usize)> {
        let id = self.new_from.as_deref()?;
        let at = self.index(id)?;
        Some((id, self.entries[at..].iter().filter(|entry| !entry.outgoing && !entry.late).count()))
    }
}

#[path = "viewing.rs"]
mod viewing;

#[path = "paging.rs"]
mod paging;

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
