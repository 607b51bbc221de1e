//! The list of chats.

use std::collections::HashMap;

use subrosa_client_core::api::{Chat, Contact, ContactState, Message, MessageStatus};

use zeroize::Zeroize as _;

use crate::{model::entry::advanced, text};

/// A chat in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// Account of the other one.
    pub(crate) with: Option<String>,
    pub(crate) name: String,
    pub(crate) state: ContactState,
    pub(crate) unread: u64,
    /// The topmost unread message, as far as the engine told it; of those that came since, one that was put in further up.
    pub(crate) first_unread: Option<String>,
    pub(crate) last: Option<Last>,
    /// Stands before the others.
    pub(crate) pinned: bool,
    /// No sign of new messages until then.
    pub(crate) muted_until_ms: u64,
    /// How long its messages are kept here, if not as those of all.
    pub(crate) keep: Option<String>,
    /// Off the usual list.
    pub(crate) archived: bool,
}

/// The newest message, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) id: String,
    pub(crate) ts_ms: u64,
    pub(crate) outgoing: bool,
    pub(crate) text: String,
    pub(crate) status: Option<MessageStatus>,
}

impl Last {
    fn of(message: &Message) -> Self {
        /// More than any list shows.
        const PREVIEW_BYTES: usize = 400;
        let mut end = message.body.len().min(PREVIEW_BYTES);
        while !message.body.is_char_boundary(end) {
            end -= 1;
        }
        let text =
            if message.unknown { "(needs a newer subrosa)".to_owned() } else { text::line(message.body[..end].trim()) };
        Self { id: message.id.clone(), ts_ms: message.ts_ms, outgoing: message.outgoing, text, status: message.status }
    }
}

/// All chats, the one with the newest message first, and which one is selected.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChatList {
    rows: Vec<Row>,
    /// The chats that are not shown now: the archived ones, or while those are shown, the others.
    others: Vec<Row>,
    archive: bool,
    /// By id, so that it stays on the same chat when the order changes.
    selected: Option<String>,
    /// A person has chosen; until then the first one is selected.
    chosen: bool,
    /// The first row in view.
    pub(crate) offset: usize,
    /// The engine has told them.
    pub(crate) loaded: bool,
}

impl ChatList {
    /// Wipes what others can read over a shoulder or in a core: names and texts.
    pub(crate) fn wipe(&mut self) {
        for row in &mut self.rows {
            row.name.zeroize();
            if let Some(last) = &mut row.last {
                last.text.zeroize();
            }
        }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Row> {
        self.rows.iter().chain(&self.others).find(|row| row.id == id)
    }

    /// The chat with an account.
    pub(crate) fn with(&self, account: &str) -> Option<&Row> {
        self.rows.iter().chain(&self.others).find(|row| row.with.as_deref() == Some(account))
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Row> {
        self.rows.iter_mut().chain(&mut self.others).find(|row| row.id == id)
    }

    /// Also those that are not shown now: the usual ones, then the archived ones.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Row> {
        let (first, second) = if self.archive { (&self.others, &self.rows) } else { (&self.rows, &self.others) };
        first.iter().chain(second)
    }

    /// The archived chats are shown.
    pub(crate) const fn shows_archived(&self) -> bool {
        self.archive
    }

    /// How many chats are not shown now.
    pub(crate) const fn other_count(&self) -> usize {
        self.others.len()
    }

    /// Shows the archived chats instead of the others, or the other way round.
    pub(crate) fn turn(&mut self) {
        self.archive = !self.archive;
        std::mem::swap(&mut self.rows, &mut self.others);
        self.offset = 0;
        self.chosen = false;
        self.keep_selection();
    }

    /// Takes the engine's list. A status that an event has already moved on stays.
    pub(crate) fn replace(&mut self, chats: &[Chat]) {
        let mut old = std::mem::take(&mut self.rows);
        old.append(&mut self.others);
        let newest: HashMap<&str, &Last> =
            old.iter().filter_map(|row| Some((row.id.as_str(), row.last.as_ref()?))).collect();
        let (archived, usual) = chats
            .iter()
            .map(|chat| {
                let mut last = chat.last.as_ref().map(Last::of);
                let before = newest.get(chat.id.as_str());
                if let (Some(last), Some(before)) = (&mut last, before)
                    && last.id == before.id
                    && let (Some(new), Some(old)) = (last.status, before.status)
                {
                    last.status = Some(advanced(old, new));
                }
                Row {
                    id: chat.id.clone(),
                    with: chat.with.clone(),
                    name: text::line(&chat.name),
                    state: chat.state,
                    unread: chat.unread,
                    first_unread: chat.first_unread.clone(),
                    last,
                    pinned: chat.pinned,
                    muted_until_ms: chat.muted_until_ms.unwrap_or(0),
                    keep: chat.keep.as_deref().map(text::line),
                    archived: chat.archived,
                }
            })
            .partition::<Vec<Row>, _>(|row| row.archived);
        // An empty archive has nothing to show.
        self.archive &= !archived.is_empty();
        (self.rows, self.others) = if self.archive { (archived, usual) } else { (usual, archived) };
        self.loaded = true;
        self.keep_selection();
    }

    /// A new message. `false`: the list has to be read again, because the chat is not known here, or may have left the archive.
    pub(crate) fn receive(&mut self, message: &Message) -> bool {
        let find = |rows: &[Row]| rows.iter().position(|row| row.id == message.chat);
        let (rows, at) = match (find(&self.rows), find(&self.others)) {
            (Some(at), _) => (&mut self.rows, at),
            (None, Some(at)) => (&mut self.others, at),
            (None, None) => return false,
        };
        let mut row = rows.remove(at);
        let archived = row.archived;
        // What was put in further up is not the newest.
        if !message.late {
            row.last = Some(Last::of(message));
        }
        if message.unread == Some(true) {
            row.unread += 1;
            if message.late {
                row.first_unread = Some(message.id.clone());
            }
        }
        // Pinned chats stay before the others.
        let pinned = rows.iter().take_while(|row| row.pinned).count();
        rows.insert(if row.pinned { 0 } else { pinned }, row);
        self.keep_selection();
        !archived
    }

    /// How far the newest message got. `false`: it is not the newest one of its chat as far as is known here.
    pub(crate) fn set_status(&mut self, chat: &str, id: &str, status: MessageStatus) -> bool {
        let Some(last) = self.get_mut(chat).and_then(|row| row.last.as_mut()) else { return false };
        if last.id != id {
            return false;
        }
        last.status = Some(last.status.map_or(status, |old| advanced(old, status)));
        true
    }

    /// A contact is new or changed. `false`: it is new.
    pub(crate) fn set_contact(&mut self, contact: &Contact) -> bool {
        let Some(row) = self.get_mut(&contact.chat) else { return false };
        row.name = text::line(&contact.name);
        row.state = contact.state;
        true
    }

    /// What is set for a chat, and how much of it is unread. `false`: the list has to be read again.
    pub(crate) fn set_chat(&mut self, chat: &Chat) -> bool {
        let Some(row) = self.get_mut(&chat.id) else { return false };
        row.unread = chat.unread;
        row.first_unread.clone_from(&chat.first_unread);
        row.muted_until_ms = chat.muted_until_ms.unwrap_or(0);
        row.keep = chat.keep.as_deref().map(text::line);
        row.archived == chat.archived && row.pinned == chat.pinned
    }

    /// Everything of a chat is read.
    pub(crate) fn set_read(&mut self, chat: &str) {
        if let Some(row) = self.get_mut(chat) {
            row.unread = 0;
            row.first_unread = None;
        }
    }

    /// Unread messages outside one chat; those of archived chats do not count.
    pub(crate) fn unread_elsewhere(&self, open: Option<&str>) -> u64 {
        self.all().filter(|row| !row.archived && Some(row.id.as_str()) != open).map(|row| row.unread).sum()
    }

    fn is_shown(&self, id: &str) -> bool {
        self.rows.iter().any(|row| row.id == id)
    }

    fn keep_selection(&mut self) {
        let known = self.chosen && self.selected.as_deref().is_some_and(|id| self.is_shown(id));
        if !known {
            self.selected = self.rows.first().map(|row| row.id.clone());
        }
    }

    pub(crate) fn selected(&self) -> Option<&str> {
        self.selected.as_deref()
    }

    pub(crate) fn selected_index(&self) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        self.rows.iter().position(|row| row.id == selected)
    }

    pub(crate) fn select(&mut self, id: &str) {
        if self.is_shown(id) {
            self.selected = Some(id.to_owned());
            self.chosen = true;
        }
    }

    /// Moves the selection by so many rows; it stops at both ends.
    pub(crate) fn move_by(&mut self, by: isize) {
        let Some(last) = self.rows.len().checked_sub(1) else { return };
        let at = self.selected_index().unwrap_or(0).saturating_add_signed(by).min(last);
        self.selected = Some(self.rows[at].id.clone());
        self.chosen = true;
    }

    /// The chat so many rows after this one, going round.
    pub(crate) fn beside(&self, id: Option<&str>, forward: bool) -> Option<&str> {
        let count = self.rows.len();
        let at = id.and_then(|id| self.rows.iter().position(|row| row.id == id));
        let next = match at {
            Some(at) if forward => (at + 1) % count,
            Some(at) => (at + count - 1) % count,
            None if count > 0 => 0,
            None => return None,
        };
        self.rows.get(next).map(|row| row.id.as_str())
    }

    /// The next chat after this one that has something unread.
    pub(crate) fn next_unread(&self, id: Option<&str>) -> Option<&str> {
        let at = id.and_then(|id| self.rows.iter().position(|row| row.id == id)).map_or(0, |at| at + 1);
        let (before, after) = self.rows.split_at(at.min(self.rows.len()));
        after.iter().chain(before).find(|row| row.unread > 0 && Some(row.id.as_str()) != id).map(|row| row.id.as_str())
    }

    /// Scrolls so that the selection is among so many visible rows.
    pub(crate) fn show_selection(&mut self, visible: usize) {
        let at = self.selected_index().unwrap_or(0);
        let visible = visible.max(1);
        self.offset = self.offset.clamp((at + 1).saturating_sub(visible), at);
        self.offset = self.offset.min(self.rows.len().saturating_sub(visible));
    }
}

#[cfg(test)]
mod tests {
    use subrosa_client_core::api::{ChatKind, Person};

    use super::*;

    fn chat(id: &str, unread: u64) -> Chat {
        Chat {
            id: id.to_owned(),
            kind: ChatKind::Direct,
            with: None,
            name: id.to_owned(),
            state: ContactState::Ok,
            unread,
            first_unread: None,
            last: None,
            muted_until_ms: None,
            keep: None,
            pinned: false,
            archived: false,
            draft: None,
        }
    }

    fn message(chat: &str, id: &str) -> Message {
        Message {
            cursor: None,
            id: id.to_owned(),
            chat: chat.to_owned(),
            chat_kind: ChatKind::Direct,
            from: Person { id: chat.to_owned(), name: chat.to_owned() },
            outgoing: false,
            ts_ms: 1,
            body: "hi\nthere".to_owned(),
            status: None,
            unread: Some(true),
            ..Message::default()
        }
    }

    fn list() -> ChatList {
        let mut list = ChatList::default();
        list.replace(&[chat("a", 0), chat("b", 2), chat("c", 1)]);
        list.select("a");
        list
    }

    #[test]
    fn a_new_message_moves_its_chat_to_the_top_and_the_selection_stays_on_its_chat() {
        let mut list = list();
        assert_eq!(list.selected(), Some("a"));
        assert!(list.receive(&message("c", "1")));
        assert_eq!(list.rows()[0].id, "c");
        assert_eq!((list.rows()[0].unread, list.selected(), list.selected_index()), (2, Some("a"), Some(1)));
        assert_eq!(list.rows()[0].last.as_ref().unwrap().text, "hi there");
        assert!(!list.receive(&message("unknown", "2")));
    }

    #[test]
    fn unread_chats_are_found_going_round() {
        let mut list = list();
        assert_eq!(list.next_unread(None), Some("b"));
        assert_eq!(list.next_unread(Some("b")), Some("c"));
        assert_eq!(list.next_unread(Some("c")), Some("b"));
        assert_eq!((list.unread_elsewhere(Some("b")), list.unread_elsewhere(None)), (1, 3));
        list.set_read("b");
        list.set_read("c");
        assert_eq!(list.next_unread(Some("a")), None);
        assert_eq!((list.beside(Some("c"), true), list.beside(Some("a"), false)), (Some("a"), Some("c")));
    }

    #[test]
    fn the_selection_stops_at_the_ends_and_is_kept_in_view() {
        let mut list = list();
        list.move_by(9);
        assert_eq!(list.selected(), Some("c"));
        list.show_selection(2);
        assert_eq!(list.offset, 1);
        list.move_by(-9);
        list.show_selection(2);
        assert_eq!((list.selected(), list.offset), (Some("a"), 0));
        ChatList::default().show_selection(0);
    }
}
