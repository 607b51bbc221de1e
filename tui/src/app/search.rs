//! Finding an old message: the search, going through its hits, jumps and the way back.

use subrosa_client_core::{
    ApiError,
    api::{ContactState, Hits, Message},
    limits::MAX_QUERY_BYTES,
};

use super::{App, Asked, Focus, Weight};
use crate::{
    ask::{Call, Page, Query},
    editor::Editor,
    message::Effect,
    model::conversation::{Conversation, PAGE},
    overlay::{Hit, Overlay, Search},
    text,
};

/// Jumps that can be taken back: more nobody remembers.
const MAX_JUMPS: usize = 50;

/// Hits kept: who has seen so many types another word. Also a bound on memory.
const MAX_HITS: usize = 1_000;

impl Search {
    /// What the words and the place ask for; nothing without a word.
    pub(crate) fn query(&self) -> Option<Query> {
        let words = self.words.text().trim();
        if !words.chars().any(char::is_alphanumeric) || words.len() > MAX_QUERY_BYTES {
            return None;
        }
        let chat = self.here.as_ref().filter(|_| self.only_here).map(|(id, _)| id.clone());
        Some(Query { words: words.to_owned(), chat, before: None })
    }
}

fn hit(message: &Message) -> Hit {
    Hit {
        chat: message.chat.clone(),
        chat_name: text::line(message.chat_name.as_deref().unwrap_or_default()),
        id: message.id.clone(),
        from: (!message.outgoing).then(|| text::line(&message.from.name)),
        ts_ms: message.ts_ms,
        snippet: message.snippet.iter().map(|part| (text::line(&part.text), part.hit)).collect(),
    }
}

impl App {
    /// Opens the search for these words, in the open chat or in all.
    pub(super) fn open_search(&mut self, only_here: bool, words: &str) {
        let here = self.open.as_ref().map(|open| (open.chat.clone(), open.name.clone()));
        let only_here = only_here && here.is_some();
        let search = Search { here, only_here, words: Editor::with(words), ..Search::default() };
        self.overlays.retain(|overlay| !matches!(overlay, Overlay::Search(_)));
        self.overlays.push(Overlay::Search(search));
        self.search_again();
    }

    pub(super) fn change_scope(&mut self) {
        if let Some(Overlay::Search(search)) = self.overlays.last_mut()
            && search.here.is_some()
        {
            search.only_here = !search.only_here;
        }
        self.search_again();
    }

    /// Asks, if the words are others than those that were asked for; one question at a time.
    pub(super) fn search_again(&mut self) {
        let Some(Overlay::Search(search)) = self.overlays.last_mut() else { return };
        let query = search.query();
        if query.is_none() {
            search.hits.clear();
            search.found = None;
            search.next = None;
            search.selected = 0;
            search.error = None;
        } else if search.asked.is_none() && search.found != query {
            search.asked.clone_from(&query);
            let question = query.map(|query| Effect::Ask(Call::Search(query)));
            self.effects.extend(question);
        }
    }

    pub(super) fn found(&mut self, query: Query, answer: Result<Hits, ApiError>) {
        // Of a search that was closed meanwhile.
        let Some(Overlay::Search(search)) = self.overlays.last_mut() else { return };
        if search.asked.take_if(|asked| *asked == query).is_none() {
            return;
        }
        let base = Query { before: None, ..query.clone() };
        match answer {
            Ok(hits) => {
                if query.before.is_none() {
                    search.hits.clear();
                    search.selected = 0;
                }
                search.hits.extend(hits.hits.iter().map(hit));
                search.hits.truncate(MAX_HITS);
                search.next = hits.next.filter(|_| search.hits.len() < MAX_HITS);
                search.error = None;
            }
            Err(error) => {
                search.hits.clear();
                search.next = None;
                search.error = Some(text::line(&error.message));
            }
        }
        search.found = Some(base);
        self.search_again();
    }

    pub(super) fn move_hit(&mut self, by: isize) {
        let Some(Overlay::Search(search)) = self.overlays.last_mut() else { return };
        let last = search.hits.len().saturating_sub(1);
        search.selected = search.selected.saturating_add_signed(by).min(last);
        // At the last one there is, more are asked for.
        if by > 0
            && search.selected == last
            && search.asked.is_none()
            && let (Some(next), Some(found)) = (&search.next, &search.found)
        {
            let query = Query { before: Some(next.clone()), ..found.clone() };
            search.asked = Some(query.clone());
            self.ask(Call::Search(query));
        }
    }

    /// Goes to the selected hit; without one the search stays open.
    pub(super) fn take_hit(&mut self, search: Search) {
        if search.hits.is_empty() {
            return self.overlays.push(Overlay::Search(search));
        }
        self.search = Some(search);
        self.go_to_hit();
    }

    /// The next hit of the last search, or the one before it.
    pub(super) fn step_hit(&mut self, older: bool) {
        let Some(search) = &mut self.search else { return };
        let last = search.hits.len().saturating_sub(1);
        let next = if older { search.selected + 1 } else { search.selected.wrapping_sub(1) };
        if next > last {
            let end = if older { "oldest" } else { "newest" };
            return self.remark(Weight::Note, format!("That was the {end} hit"));
        }
        search.selected = next;
        self.go_to_hit();
    }

    fn go_to_hit(&mut self) {
        let Some((hit, at, count, more)) = self.search.as_ref().and_then(|search| {
            let hit = search.hits.get(search.selected)?.clone();
            Some((hit, search.selected + 1, search.hits.len(), search.next.is_some()))
        }) else {
            return;
        };
        self.jump(&hit.chat, &hit.chat_name, &hit.id);
        self.marked = self.search.as_ref().and_then(|search| search.found.as_ref()).map(|query| query.words.clone());
        if count == 1 {
            return self.remark(Weight::Note, "The only hit");
        }
        let more = if more { "+" } else { "" };
        let key = |command| self.keys.hint(command).unwrap_or_default();
        let (next, previous) = (key(crate::commands::Command::NextHit), key(crate::commands::Command::PreviousHit));
        self.remark(Weight::Note, format!("Hit {at} of {count}{more}: {next} older, {previous} newer"));
    }

    /// Selects a message of a chat, wherever it is; where one was is kept for the way back.
    pub(super) fn jump(&mut self, chat: &str, name: &str, id: &str) {
        if let Some(open) = &self.open {
            let from = open.selected().or_else(|| open.lowest_in_view()).map(|entry| entry.id.clone());
            self.jumps.push((open.chat.clone(), from));
            let far = self.jumps.len().saturating_sub(MAX_JUMPS);
            self.jumps.drain(..far);
        }
        self.go_to(chat, name, Some(id));
    }

    pub(super) fn jump_back(&mut self) {
        if let Some((chat, id)) = self.jumps.pop() {
            self.go_to(&chat, "", id.as_deref());
        }
    }

    fn go_to(&mut self, chat: &str, name: &str, id: Option<&str>) {
        self.overlays.clear();
        let Some(id) = id else { return self.open_chat(chat) };
        self.chats.select(chat);
        if self.open.as_ref().is_none_or(|open| open.chat != chat) {
            // Archived chats are not in the list.
            let row = self.chats.get(chat);
            let state = row.map_or(ContactState::Ok, |row| row.state);
            let name = row.map_or_else(|| name.to_owned(), |row| row.name.clone());
            self.keep_draft();
            self.reply = None;
            self.asked_newest = Asked::default();
            self.asked_read = false;
            self.read_failed = false;
            self.open = Some(Conversation::new(chat, &name, state));
        }
        self.focus = Focus::Messages;
        let wanted = self.open.as_mut().is_some_and(|open| open.jump_to(id));
        if wanted {
            let page = Page::Around { id: id.to_owned(), limit: PAGE };
            self.ask(Call::page(chat, page));
        }
    }

    /// To the oldest message, however far it is.
    pub(super) fn go_to_oldest(&mut self) {
        if let Some(open) = &mut self.open
            && open.jump_to_oldest()
        {
            let page = Page::Oldest { limit: PAGE };
            self.effects.push(Effect::Ask(Call::page(&open.chat, page)));
        }
    }

    /// To the newest message, also from a part that does not reach to it.
    pub(super) fn go_to_newest(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.reaches_newest() && !open.jumping() {
            return open.go_to_end();
        }
        open.start_at_newest();
        self.load_newest();
    }
}
