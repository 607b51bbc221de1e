//! Which part of a conversation is loaded: pages in both directions, a jump into the middle, and far pages let go.

use std::collections::{HashMap, HashSet};

use subrosa_client_core::api::Message;

use super::{Conversation, Edge, Hold, MAX_LOADED, NEAR_ROWS, Target};
use crate::{model::entry::Entry, scroll, time::Clock};

impl Conversation {
    /// The loaded messages reach to the newest one.
    pub(crate) fn reaches_newest(&self) -> bool {
        self.newer == Edge::End
    }

    /// Another part is on its way.
    pub(crate) const fn jumping(&self) -> bool {
        self.jump.is_some()
    }

    /// Asks for the part around this message, unless it is loaded. `false`: it is, and is selected.
    pub(crate) fn jump_to(&mut self, id: &str) -> bool {
        if self.index(id).is_some() {
            self.jump = None;
            self.selected = Some(id.to_owned());
            self.to_middle = true;
            return false;
        }
        self.jump = Some(Target::Message(id.to_owned()));
        true
    }

    /// Asks for the beginning, unless it is loaded. `false`: it is, and is in view.
    pub(crate) fn jump_to_oldest(&mut self) -> bool {
        if self.older == Edge::End {
            self.jump = None;
            self.go_to_begin();
            return false;
        }
        // Asked once, however often the key is pressed.
        self.jump.replace(Target::Oldest) != Some(Target::Oldest)
    }

    /// The part around a message, or the beginning, could not be had.
    pub(crate) fn give_up_jump(&mut self, id: Option<&str>) {
        self.arrive(id);
    }

    /// What was asked for is here. `false`: something else is wanted meanwhile.
    fn arrive(&mut self, id: Option<&str>) -> bool {
        let wanted = id.map_or(Target::Oldest, |id| Target::Message(id.to_owned()));
        self.jump.take_if(|jump| *jump == wanted).is_some()
    }

    /// The first messages, which were asked for.
    pub(crate) fn oldest(&mut self, messages: &[Message], more_after: bool, clock: &Clock) {
        if !self.arrive(None) {
            return;
        }
        self.show_part(messages, (false, more_after), clock);
        if let Some(first) = self.entries.first() {
            self.hold = Hold::At { id: first.id.clone(), row: 0 };
            if self.selected.is_some() {
                self.selected = Some(first.id.clone());
            }
        }
    }

    /// The part around a message that was asked for. `false`: something else is wanted meanwhile.
    pub(crate) fn around(&mut self, id: &str, messages: &[Message], more: (bool, bool), clock: &Clock) -> bool {
        if !self.arrive(Some(id)) {
            return false;
        }
        self.show_part(messages, more, clock);
        self.selected = Some(id.to_owned());
        self.to_middle = true;
        true
    }

    /// This part instead of what is loaded.
    fn show_part(&mut self, messages: &[Message], more: (bool, bool), clock: &Clock) {
        self.entries = messages.iter().map(|message| Entry::new(message, clock)).collect();
        self.older = edge(more.0);
        self.newer = edge(more.1);
        self.loaded = true;
        self.to_unread = false;
        self.below = 0;
        self.mark_places();
    }

    /// Some messages were deleted: of the loaded ones those stay that are among these, or above them where there are `more`. What came
    /// since stays, too. `false`: none of these is loaded, so this cannot be told.
    pub(crate) fn only_there(&mut self, messages: &[Message], more: bool, clock: &Clock) -> bool {
        let there: HashMap<&str, &Message> = messages.iter().map(|message| (message.id.as_str(), message)).collect();
        let is_there = |entry: &Entry| there.contains_key(entry.id.as_str());
        let (Some(first), Some(last)) =
            (self.entries.iter().position(is_there), self.entries.iter().rposition(is_there))
        else {
            return false;
        };
        let mut at = 0;
        self.entries.retain_mut(|entry| {
            let place = at;
            at += 1;
            match there.get(entry.id.as_str()) {
                Some(message) => {
                    // What it quotes may be gone.
                    entry.reply = Entry::new(message, clock).reply;
                    true
                }
                None => entry.local || place > last || (more && place < first),
            }
        });
        self.selected.take_if(|id| !self.entries.iter().any(|entry| entry.id == *id));
        self.mark_places();
        true
    }

    /// A page before this message, which is the first loaded one unless something else was loaded meanwhile.
    pub(crate) fn before(&mut self, id: &str, messages: &[Message], more: bool, clock: &Clock) {
        if self.first_stored().is_none_or(|first| first != id) {
            return;
        }
        let mut page = self.unknown(messages, clock);
        page.append(&mut self.entries);
        self.entries = page;
        self.older = edge(more);
        if self.entries.len() > MAX_LOADED && self.hold != Hold::End {
            self.entries.truncate(MAX_LOADED);
            self.newer = Edge::More;
        }
        self.mark_places();
    }

    /// A page after this message, which is the last loaded one unless something else was loaded meanwhile.
    pub(crate) fn after(&mut self, id: &str, messages: &[Message], more: bool, clock: &Clock) {
        if self.last_stored().is_none_or(|last| last != id) {
            return;
        }
        let mut page = self.unknown(messages, clock);
        self.entries.append(&mut page);
        self.newer = edge(more);
        if let Some(far) = self.entries.len().checked_sub(MAX_LOADED).filter(|far| *far > 0) {
            self.entries.drain(..far);
            self.older = Edge::More;
        }
        self.mark_places();
    }

    fn unknown(&self, messages: &[Message], clock: &Clock) -> Vec<Entry> {
        let known: HashSet<&str> = self.entries.iter().map(|entry| entry.id.as_str()).collect();
        messages
            .iter()
            .filter(|message| !known.contains(message.id.as_str()))
            .map(|message| Entry::new(message, clock))
            .collect()
    }

    fn first_stored(&self) -> Option<&str> {
        self.entries.iter().find(|entry| !entry.local).map(|entry| entry.id.as_str())
    }

    fn last_stored(&self) -> Option<&str> {
        self.entries.iter().rev().find(|entry| !entry.local).map(|entry| entry.id.as_str())
    }

    /// Lets go of a part that does not reach to the newest message; the newest page is to be loaded.
    pub(crate) fn start_at_newest(&mut self) {
        self.entries.clear();
        self.loaded = false;
        self.older = Edge::Loading;
        self.newer = Edge::End;
        self.jump = None;
        self.selected = None;
        self.hold = Hold::End;
        self.returning = true;
        self.below = 0;
    }

    /// The message before which older ones are wanted now; they are taken to be asked for.
    pub(crate) fn ask_older(&mut self) -> Option<String> {
        let near = self.top() <= self.view.max(NEAR_ROWS);
        if !(self.loaded && self.older == Edge::More && near) || self.jumping() {
            return None;
        }
        let first = self.first_stored()?.to_owned();
        self.older = Edge::Loading;
        Some(first)
    }

    /// The message after which newer ones are wanted now; they are taken to be asked for.
    pub(crate) fn ask_newer(&mut self) -> Option<String> {
        let left = scroll::end(&self.heights, self.view).saturating_sub(self.top());
        if !(self.loaded && self.newer == Edge::More && left <= self.view.max(NEAR_ROWS)) || self.jumping() {
            return None;
        }
        let last = self.last_stored()?.to_owned();
        self.newer = Edge::Loading;
        Some(last)
    }

    /// A page did not come: asked for again when it is wanted again.
    pub(crate) fn page_failed(&mut self, older: bool) {
        let edge = if older { &mut self.older } else { &mut self.newer };
        if *edge == Edge::Loading {
            *edge = Edge::More;
        }
    }
}

const fn edge(more: bool) -> Edge {
    if more { Edge::More } else { Edge::End }
}
