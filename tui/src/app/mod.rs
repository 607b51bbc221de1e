//! The whole state of the interface, and the one function that changes it.
//!
//! [`App::update`] takes what happened and the time, changes the state, and says what is to be done outside. It never waits, reads
//! no clock and draws nothing, so every behaviour is tested without a terminal.

mod act;
mod answers;
mod chat_acts;
mod drafts;
mod first;
mod links;
mod lock;
mod mouse;
mod outbox;
mod overlays;
mod palette;
mod search;
mod sign_in;
mod stray;
mod undo;

use std::collections::HashMap;

use jiff::tz::TimeZone;
use subrosa_client_core::{
    api::{AccountInfo, ContactState, NoParams, Person, Status},
    open::EngineAt,
};

pub(crate) use sign_in::sentence;

use crate::{
    ask::{Call, Page, UpTo},
    commands::Scope,
    config::{Preview, TuiConfig},
    editor::Editor,
    key::Key,
    keymap::KeyMap,
    layout::{Areas, areas, has_two_panes, writing_columns},
    message::{Effect, Msg},
    model::{
        chats::ChatList,
        conversation::{Conversation, FIRST_PAGE_MAX, PAGE},
        entry::Quoted,
    },
    overlay::{Overlay, Search},
    sign_in::SignIn,
    theme::Theme,
    time::Clock,
};

/// How long a remark stays in the status line.
const REMARK_MS: u64 = 4_000;

/// How long a second press of the leaving key counts as one.
const TWICE_MS: u64 = 2_000;

/// Which part has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    List,
    Write,
    Messages,
}

/// How much a remark matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Note,
    Good,
    Bad,
}

/// A line that says what just happened, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) text: String,
    pub(crate) weight: Weight,
    pub(crate) until_ms: u64,
}

/// A question to the engine that may become stale while it is open: asked again then, never twice at once.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    open: bool,
    stale: bool,
}

impl Asked {
    /// Whether to ask now.
    const fn ask(&mut self) -> bool {
        self.stale = self.open;
        !std::mem::replace(&mut self.open, true)
    }

    /// The answer came. Whether to ask again at once.
    const fn answered(&mut self) -> bool {
        self.open = std::mem::replace(&mut self.stale, false);
        self.open
    }
}

/// What a demo or another starter wants to be seen.
#[derive(Debug, Clone, Default)]
pub struct Welcome {
    /// Lines under the heading of the empty right side.
    pub lines: Vec<String>,
}

/// Everything that the screen shows.
pub(crate) struct App {
    pub(crate) clock: Clock,
    pub(crate) size: (u16, u16),
    pub(crate) keys: KeyMap,
    pub(crate) theme: Theme,
    pub(crate) welcome: Welcome,
    preview: Preview,
    pub(crate) account: Option<AccountInfo>,
    pub(crate) status: Option<Status>,
    /// Why the engine is gone.
    pub(crate) ended: Option<String>,
    pub(crate) chats: ChatList,
    pub(crate) open: Option<Conversation>,
    /// What is written and not sent, by chat.
    pub(crate) drafts: HashMap<String, Editor>,
    /// What of it the engine keeps.
    kept: HashMap<String, String>,
    keep_due_ms: Option<u64>,
    /// What the text being written answers.
    pub(crate) reply: Option<Quoted>,
    pub(crate) focus: Focus,
    /// The last one has the keys.
    pub(crate) overlays: Vec<Overlay>,
    pub(crate) remark: Option<Remark>,
    /// What stands before or over the chats; it has the keys.
    pub(crate) sign_in: Option<SignIn>,
    /// Where the engine is.
    pub(crate) engine_at: EngineAt,
    engine_asks: bool,
    /// What opens the account, if that is no passphrase.
    opens_with: Option<String>,
    /// What is kept while the screen is locked.
    hiding: Option<lock::Hiding>,
    lock_after_ms: Option<u64>,
    /// When somebody last did something.
    input_ms: u64,
    /// Texts that the engine has not taken yet.
    unanswered: usize,
    /// The last search that led somewhere: its hits are gone through.
    search: Option<Search>,
    /// The words of it, while its hits are looked at: marked where they stand.
    pub(crate) marked: Option<String>,
    /// Where jumps began: chats, and messages that were selected or in view.
    jumps: Vec<(String, Option<String>)>,
    /// A text that is nothing but the quote it was begun with.
    only_quote: Option<String>,
    /// What was done last and can be taken back.
    deed: Option<undo::Deed>,
    /// Letters typed where no text is written.
    stray: stray::Stray,
    leaving_until_ms: u64,
    /// Whether the terminal has the keyboard; terminals that never tell are taken to have it.
    pub(crate) focused: bool,
    title: String,
    new_id: Box<dyn FnMut() -> String + Send>,
    asked_chats: Asked,
    asked_status: Asked,
    asked_newest: Asked,
    asked_still_there: Asked,
    asked_read: bool,
    read_failed: bool,
    /// A chat that was just made: opened as soon as the list has it.
    open_when_known: Option<String>,
    effects: Vec<Effect>,
}

impl App {
    /// A state that knows nothing yet; `new_id` makes message ids.
    ///
    /// # Errors
    /// A configuration that [`TuiConfig::parse`] would refuse.
    pub(crate) fn new(
        config: &TuiConfig,
        theme: Theme,
        zone: TimeZone,
        size: (u16, u16),
        new_id: impl FnMut() -> String + Send + 'static,
    ) -> Result<Self, String> {
        Ok(Self {
            clock: Clock { now_ms: 0, zone },
            size,
            keys: config.keymap()?,
            theme,
            welcome: Welcome::default(),
            preview: config.preview,
            account: None,
            status: None,
            ended: None,
            chats: ChatList::default(),
            open: None,
            drafts: HashMap::new(),
            kept: HashMap::new(),
            keep_due_ms: None,
            reply: None,
            focus: Focus::List,
            overlays: Vec::new(),
            remark: None,
            sign_in: None,
            engine_at: EngineAt::Here,
            engine_asks: false,
            opens_with: None,
            hiding: None,
            lock_after_ms: config.lock_after_ms(),
            input_ms: 0,
            unanswered: 0,
            search: None,
            marked: None,
            jumps: Vec::new(),
            only_quote: None,
            deed: None,
            stray: stray::Stray::default(),
            leaving_until_ms: 0,
            focused: true,
            title: String::new(),
            new_id: Box::new(new_id),
            asked_chats: Asked::default(),
            asked_status: Asked::default(),
            asked_newest: Asked::default(),
            asked_still_there: Asked::default(),
            asked_read: false,
            read_failed: false,
            open_when_known: None,
            effects: Vec::new(),
        })
    }

    /// Takes what happened; says what is to be done.
    pub(crate) fn update(&mut self, msg: Msg, now_ms: u64) -> Vec<Effect> {
        self.clock.now_ms = now_ms;
        if matches!(msg, Msg::Key(_) | Msg::Paste(_) | Msg::Mouse(_)) {
            self.input_ms = now_ms;
        }
        match msg {
            Msg::Key(event) => self.key(Key::of(&event)),
            Msg::Paste(text) => self.paste(&text),
            Msg::Mouse(pointed) => self.mouse(pointed),
            Msg::Resize(width, height) => self.size = (width, height),
            Msg::Focus(focused) => self.focused = focused,
            Msg::Due => {}
            answer => self.answer(answer),
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// When the screen will have to change although nothing happens.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        let remark = self.remark.as_ref().map(|remark| remark.until_ms);
        [remark, self.keep_due_ms, self.lock_due_ms(), self.clock.next_midnight_ms()].into_iter().flatten().min()
    }

    /// The parts of the screen as they are now.
    pub(crate) fn areas(&self) -> Areas {
        let (width, height) = self.size;
        let rows = self.editor().map_or(1, |editor| editor.rows(writing_columns(width)).len());
        let rows = rows + usize::from(self.reply.is_some());
        areas(width, height, self.shown().is_some(), rows)
    }

    /// Which keys count.
    pub(crate) fn scope(&self) -> Scope {
        if self.sign_in.is_some() {
            return Scope::Choose;
        }
        match self.overlays.last() {
            Some(overlay) => overlays::scope(overlay),
            None => match self.focus {
                Focus::List => Scope::List,
                Focus::Write => Scope::Write,
                Focus::Messages => Scope::Messages,
            },
        }
    }

    /// The open chat, if it is on the screen: in one pane the list lies over it.
    pub(crate) fn shown(&self) -> Option<&Conversation> {
        self.open.as_ref().filter(|_| self.focus != Focus::List || has_two_panes(self.size.0))
    }

    /// The text being written in the open chat.
    pub(crate) fn editor(&self) -> Option<&Editor> {
        self.open.as_ref().and_then(|open| self.drafts.get(&open.chat))
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        let chat = self.open.as_ref()?.chat.clone();
        Some(self.drafts.entry(chat).or_default())
    }

    /// What somebody is called now; of whom there is no chat here, as the message told it.
    pub(crate) fn name_of<'a>(&'a self, person: &'a Person) -> &'a str {
        if self.account.as_ref().is_some_and(|account| account.id == person.id) {
            return "you";
        }
        self.chats.with(&person.id).map_or(&person.name, |row| &row.name)
    }

    /// Something is written in a chat and not sent.
    pub(crate) fn has_draft(&self, chat: &str) -> bool {
        self.drafts.get(chat).is_some_and(|editor| !editor.is_blank())
    }

    /// Unread messages outside the chat on the screen.
    pub(crate) fn unread_elsewhere(&self) -> u64 {
        self.chats.unread_elsewhere(self.shown().map(|open| open.chat.as_str()))
    }

    /// Somebody looks at the open chat, if there is one.
    fn looked_at(&self) -> bool {
        self.focused && self.sign_in.is_none() && self.overlays.is_empty() && self.shown().is_some()
    }

    /// Somebody looks at the end of the open chat.
    fn watched(&self) -> bool {
        self.looked_at() && self.open.as_ref().is_some_and(Conversation::at_end)
    }

    /// A message of the open chat that was put in above what is read there, loaded or not.
    fn unread_above(&self) -> Option<(String, String, String)> {
        let open = self.open.as_ref().filter(|open| open.loaded)?;
        let row = self.chats.get(&open.chat).filter(|row| row.unread > 0);
        let far = || row.and_then(|row| row.first_unread.as_deref()).filter(|id| open.entry(id).is_none());
        let id = open.unread_late().or_else(far)?;
        Some((open.chat.clone(), open.name.clone(), id.to_owned()))
    }

    fn remark(&mut self, weight: Weight, text: impl Into<String>) {
        self.remark_for(weight, text, REMARK_MS);
    }

    fn remark_for(&mut self, weight: Weight, text: impl Into<String>, ms: u64) {
        let text = crate::text::line(&text.into());
        self.remark = Some(Remark { text, weight, until_ms: self.clock.now_ms.saturating_add(ms) });
    }

    fn load_chats(&mut self) {
        if self.asked_chats.ask() {
            self.ask(Call::all_chats());
        }
    }

    fn load_status(&mut self) {
        if self.asked_status.ask() {
            self.ask(Call::Status(NoParams {}));
        }
    }

    /// Reads the end of the open chat again.
    fn load_newest(&mut self) {
        // What is loaded elsewhere does not continue at the end; what comes is loaded when the view goes there.
        let Some(open) = self.open.as_ref().filter(|open| open.reaches_newest() && !open.jumping()) else { return };
        if self.asked_newest.ask() {
            let page = Page::Newest { limit: if open.loaded { PAGE / 2 } else { PAGE } };
            self.effects.push(Effect::Ask(Call::page(&open.chat, page)));
        }
    }

    /// Messages of a chat were deleted: asks which of those in view are still there.
    fn look_again(&mut self, chat: &str) {
        if self.open.as_ref().is_some_and(|open| open.chat == chat && open.loaded) && self.asked_still_there.ask() {
            self.ask(Call::page(chat, Page::StillThere { limit: subrosa_client_core::limits::MAX_HISTORY_PAGE }));
        }
    }

    /// Opens a chat; one that is open is as it was left.
    pub(crate) fn open_chat(&mut self, chat: &str) {
        self.overlays.clear();
        let Some(row) = self.chats.get(chat).cloned() else { return };
        self.chats.select(chat);
        self.focus = if row.state == ContactState::Request { Focus::Messages } else { Focus::Write };
        if let Some(open) = self.open.as_mut().filter(|open| open.chat == chat) {
            if self.focus == Focus::Write {
                open.end_selecting();
            } else {
                open.begin_selecting();
            }
            return;
        }
        self.keep_draft();
        self.reply = None;
        let unread = u32::try_from(row.unread).unwrap_or(u32::MAX);
        let limit = unread.saturating_add(PAGE / 2).clamp(PAGE, FIRST_PAGE_MAX);
        self.open = Some(Conversation::new(chat, &row.name, row.state));
        self.asked_newest = Asked { open: true, stale: false };
        self.asked_still_there = Asked::default();
        self.asked_read = false;
        self.read_failed = false;
        self.ask(Call::page(chat, Page::Newest { limit }));
    }

    /// To the list; the open chat stays where it is, with its text and its place.
    fn leave_chat(&mut self) {
        self.keep_draft();
        if let Some(open) = &mut self.open {
            self.chats.select(&open.chat);
            open.end_selecting();
        }
        self.focus = Focus::List;
    }

    fn close_chat(&mut self) {
        self.keep_draft();
        self.open = None;
        self.reply = None;
        self.focus = Focus::List;
    }

    /// Brings everything that follows from the state in line with it.
    fn settle(&mut self) {
        let now = self.clock.now_ms;
        if self.remark.as_ref().is_some_and(|remark| remark.until_ms <= now) {
            self.remark = None;
        }
        self.watch_lock();
        self.forget_stray();
        if let Some(chat) = self.open_when_known.take_if(|chat| self.chats.get(chat).is_some()) {
            self.open_chat(&chat);
        }
        if self.focus != Focus::Messages {
            self.marked = None;
        }
        let areas = self.areas();
        self.chats.show_selection(areas.chats_in_view());
        if let (Some(open), Some(body)) = (&mut self.open, areas.body) {
            open.lay_out(usize::from(body.width), usize::from(body.height));
            if let Some(id) = open.ask_older() {
                self.effects.push(Effect::Ask(Call::page(&open.chat, Page::Before { id, limit: PAGE })));
            }
            if let Some(id) = open.ask_newer() {
                self.effects.push(Effect::Ask(Call::page(&open.chat, Page::After { id, limit: PAGE })));
            }
        }
        self.report_read();
        self.watch_draft();
        self.name_window();
    }

    /// Read receipts go out only when the chat is open, the terminal has the keyboard, and the end is in view; for what was put
    /// in further up, when that is in view.
    fn report_read(&mut self) {
        if self.asked_read || !self.looked_at() {
            return;
        }
        let watched = self.watched();
        let Some(open) = &mut self.open else { return };
        let id = open.last_unread().filter(|_| watched).or_else(|| open.late_in_view()).map(str::to_owned);
        if let Some(id) = id {
            open.report(&id);
            self.asked_read = true;
            self.effects.push(Effect::Ask(Call::Read(UpTo { chat: open.chat.clone(), id })));
        }
    }

    fn name_window(&mut self) {
        let unread = self.chats.unread_elsewhere(None);
        let title = if self.is_hidden() {
            "Subrosa (locked)".to_owned()
        } else if unread > 0 {
            format!("({unread}) Subrosa")
        } else {
            "Subrosa".to_owned()
        };
        if title != self.title {
            self.title.clone_from(&title);
            self.effects.push(Effect::Title(title));
        }
    }
}

#[cfg(test)]
mod chat_tests;
#[cfg(test)]
mod reflex_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod sign_in_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;
