//! What the person does: keys, pasted text, commands.

use subrosa_client_core::{
    api::{ChatKind, ContactState, Message, MessageStatus, Person, ReplyTo, SendParams},
    message_id,
};

use super::{App, Focus, TWICE_MS, Weight};
use crate::{
    ask::Call,
    commands::{Command, Scope},
    editor::Editor,
    key::Key,
    layout::writing_columns,
    message::Effect,
    model::entry::Quoted,
    overlay::{Menu, Overlay, Purpose},
    text,
};

/// Rows of a quoted text that is begun with.
const QUOTED_ROWS: usize = 4;

impl App {
    pub(super) fn key(&mut self, key: Key) {
        self.goes_on(key);
        if self.gate_key(key) || self.overlay_key(key) || self.stray_key(key) {
            return;
        }
        if let Some(command) = self.keys.command(self.scope(), key) {
            return self.run(command);
        }
        if let Some(c) = key.typed()
            && self.focus == Focus::Write
            && self.overlays.is_empty()
        {
            self.write(c.encode_utf8(&mut [0; 4]));
        }
    }

    /// Pasted text goes where text is written. It never sends, whatever lines it has.
    pub(super) fn paste(&mut self, text: &str) {
        if self.gate_paste(text) || self.overlay_paste(text) {
            return;
        }
        if self.open.is_some() && self.focus != Focus::List {
            self.focus = Focus::Write;
            self.write(text);
        }
    }

    pub(super) fn write(&mut self, text: &str) {
        if self.open.as_ref().is_some_and(|open| open.state == ContactState::Request) {
            return;
        }
        self.forget_undo();
        let fits = self.editor_mut().is_some_and(|editor| editor.insert(text));
        if !fits {
            self.remark(Weight::Bad, "that is longer than one message can be: the end was left out");
        }
    }

    /// Whether a command would do something now: what would not is not offered.
    pub(crate) fn applies(&self, command: Command) -> bool {
        let selected = || self.open.as_ref().and_then(|open| open.selected());
        match command {
            Command::Accept => self
                .chat_here()
                .and_then(|chat| self.chats.get(chat))
                .is_some_and(|row| row.state == ContactState::Request),
            Command::Contact | Command::Verify => self.chat_here().is_some(),
            Command::NextUnread => {
                self.unread_above().is_some()
                    || self.chats.next_unread(self.shown().map(|open| open.chat.as_str())).is_some()
            }
            Command::UndoAct => self.can_undo(),
            Command::Search
            | Command::SearchHere
            | Command::SearchAll
            | Command::Open
            | Command::ListDown
            | Command::ListUp
            | Command::NextChat
            | Command::PreviousChat => !self.chats.rows().is_empty(),
            Command::JumpToQuote => self.quoted_here().is_some(),
            Command::Menu | Command::Copy | Command::Reply | Command::Quote | Command::Forward => selected().is_some(),
            Command::OpenLink | Command::CopyLink => selected().is_some_and(|entry| !entry.links.is_empty()),
            Command::Info => selected().is_some_and(|entry| entry.outgoing),
            Command::Retry | Command::TakeBack => {
                selected().is_some_and(|entry| entry.status == Some(MessageStatus::Queued))
            }
            Command::NextHit | Command::PreviousHit => {
                self.search.as_ref().is_some_and(|search| !search.hits.is_empty())
            }
            Command::JumpBack => !self.jumps.is_empty(),
            Command::Oldest | Command::Newest => self.open.is_some(),
            _ => self.chat_act_applies(command).unwrap_or(true),
        }
    }

    /// The chat that a command is about: the open one, else the selected one.
    pub(super) fn chat_here(&self) -> Option<&str> {
        match (&self.open, self.focus) {
            (Some(open), Focus::Write | Focus::Messages) => Some(&open.chat),
            _ => self.chats.selected(),
        }
    }

    /// Runs a command.
    pub(crate) fn run(&mut self, command: Command) {
        let command = self.turned(command);
        if !self.applies(command) {
            return;
        }
        match command {
            Command::Palette => self.open_palette(Purpose::Everything),
            Command::Commands => self.open_palette(Purpose::Commands),
            Command::Help | Command::HelpHere => self.overlays.push(Overlay::Help { offset: 0 }),
            Command::Search | Command::SearchHere => self.open_search(self.focus != Focus::List, ""),
            Command::SearchAll => self.open_search(false, ""),
            Command::NextHit => self.step_hit(true),
            Command::PreviousHit => self.step_hit(false),
            Command::JumpBack => self.jump_back(),
            Command::Newest => self.go_to_newest(),
            Command::Oldest => self.go_to_oldest(),
            Command::Suspend => self.effects.push(Effect::Suspend),
            Command::Redraw => self.effects.push(Effect::Redraw),
            Command::Quit => self.effects.push(Effect::Quit),
            Command::Lock => self.lock(),
            Command::QuitTwice => self.quit_twice(),
            Command::NextUnread => match self.unread_above() {
                Some((chat, name, id)) => self.jump(&chat, &name, &id),
                None => {
                    let shown = self.shown().map(|open| open.chat.clone());
                    self.go(|app, _| app.chats.next_unread(shown.as_deref()).map(str::to_owned));
                }
            },
            Command::NextChat => self.go(|app, open| app.chats.beside(open, true).map(str::to_owned)),
            Command::PreviousChat => self.go(|app, open| app.chats.beside(open, false).map(str::to_owned)),
            Command::Open => {
                if let Some(chat) = self.chats.selected().map(str::to_owned) {
                    self.open_chat(&chat);
                }
            }
            Command::ListDown => self.chats.move_by(1),
            Command::ListUp => self.chats.move_by(-1),
            Command::ListTop => self.chats.move_by(isize::MIN),
            Command::ListBottom => self.chats.move_by(isize::MAX),
            Command::Invite => self.show_links(),
            Command::Join => self.overlays.push(Overlay::Join(crate::overlay::Join::default())),
            Command::Contact => self.show_contact(),
            Command::Verify | Command::VerifyHere => self.show_verify(),
            Command::Accept | Command::AcceptHere => {
                if let Some(chat) = self.chat_here().map(str::to_owned) {
                    self.ask_to_accept(&chat);
                }
            }
            Command::Send => self.send(),
            // The first step back is to answer nothing.
            Command::Browse | Command::BackToList if self.reply.is_some() => self.reply = None,
            Command::Reply => self.begin_reply(),
            Command::JumpToQuote => self.jump_to_quote(),
            Command::Browse => self.browse(),
            Command::WriteHere => self.write_here(),
            Command::Menu => self.open_menu(),
            Command::Copy => self.copy_message(),
            Command::OpenLink | Command::CopyLink => self.link(command == Command::OpenLink),
            Command::UndoAct => self.undo_act(),
            Command::Undo if self.can_undo() => self.undo_act(),
            Command::Quote => self.quote(),
            Command::Forward => {
                if let Some(body) = self.selected_text() {
                    self.open_palette(Purpose::Forward(body));
                }
            }
            Command::Info => self.show_receipts(),
            Command::Retry | Command::TakeBack => self.retry_or_take_back(command),
            Command::Outbox => self.show_outbox(),
            Command::BackLeft | Command::BackToList => self.leave_chat(),
            Command::Back => self.back(),
            _ if self.chat_act(command) || self.scroll(command) => {}
            _ => self.edit(command),
        }
    }

    pub(super) fn quit_twice(&mut self) {
        if self.leaving_until_ms > self.clock.now_ms {
            return self.effects.push(Effect::Quit);
        }
        self.leaving_until_ms = self.clock.now_ms.saturating_add(TWICE_MS);
        let key = self.keys.hint(Command::QuitTwice).unwrap_or_default();
        let text = match self.loses() {
            Some(loses) => format!("{key} again leaves: {loses}"),
            None => format!("Press {key} again to leave"),
        };
        self.remark_for(Weight::Note, text, TWICE_MS);
    }

    fn go(&mut self, find: impl FnOnce(&Self, Option<&str>) -> Option<String>) {
        let found = find(self, self.open.as_ref().map(|open| open.chat.as_str()));
        if let Some(chat) = found {
            self.open_chat(&chat);
        }
    }

    fn browse(&mut self) {
        if let Some(open) = &mut self.open {
            open.begin_selecting();
            self.focus = Focus::Messages;
        }
    }

    pub(super) fn write_here(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.state == ContactState::Request {
            let key = self.keys.hint(Command::Accept).unwrap_or_default();
            return self.remark(Weight::Note, format!("Accept the request first: {key}"));
        }
        open.end_selecting();
        self.focus = Focus::Write;
    }

    /// Closes what is on top; from the messages back to writing where that is the usual state, else to the list; from the list
    /// to the usual chats, and at last closes the chat beside it.
    fn back(&mut self) {
        if self.overlays.pop().is_some() {
            return;
        }
        let beside = self.shown().is_some();
        match (&mut self.open, self.focus) {
            (Some(open), Focus::Messages)
                if self.keys.profile != crate::keymap::Profile::Vim && open.state != ContactState::Request =>
            {
                open.end_selecting();
                self.focus = Focus::Write;
            }
            (Some(_), Focus::Messages | Focus::Write) => self.leave_chat(),
            _ if self.chats.shows_archived() => self.chats.turn(),
            // In one pane nothing would be seen of it: the chat comes back as it was.
            (Some(_), Focus::List) if beside => self.close_chat(),
            _ => {}
        }
    }

    /// Scrolls and selects; `false`: another command.
    fn scroll(&mut self, command: Command) -> bool {
        let Some(open) = &mut self.open else { return false };
        match command {
            Command::ScrollUp => open.page(true),
            Command::ScrollDown => open.page(false),
            Command::HalfUp => open.half_page(true),
            Command::HalfDown => open.half_page(false),
            Command::LineUp => open.scroll(-1),
            Command::LineDown => open.scroll(1),
            Command::SelectUp => open.select_beside(true),
            Command::SelectDown => open.select_beside(false),
            _ => return false,
        }
        true
    }

    fn edit(&mut self, command: Command) {
        let columns = writing_columns(self.size.0);
        if command == Command::Up && self.editor().is_none_or(|editor| editor.position(columns).0 == 0) {
            if self.editor().is_none_or(Editor::is_empty) {
                self.browse();
            } else if let Some(editor) = self.editor_mut() {
                editor.home();
            }
            return;
        }
        if let Some(editor) = self.editor_mut() {
            edit(editor, command, columns);
        }
    }

    fn send(&mut self) {
        let Some(chat) = self.open.as_ref().map(|open| open.chat.clone()) else { return };
        let blank = self.editor().is_none_or(Editor::is_blank);
        if blank {
            return;
        }
        if self.only_quote.as_deref() == self.editor().map(Editor::text) {
            return self.remark(Weight::Note, "That is only the quote: write something to it");
        }
        if let Some(body) = self.drafts.remove(&chat).map(|mut editor| editor.take()) {
            let reply = self.reply.take();
            self.send_text(&chat, body, reply, false);
            self.keep_draft();
        }
    }

    /// Sends a text, and shows it at once.
    pub(super) fn send_text(&mut self, chat: &str, body: String, reply: Option<Quoted>, forwarded: bool) {
        let chosen = (self.new_id)();
        let id = self.own_message_id(chat, &chosen);
        let me = self.account.as_ref().map_or_else(|| "me".to_owned(), |account| account.id.clone());
        let message = Message {
            cursor: None,
            id: id.clone(),
            chat: chat.to_owned(),
            chat_kind: ChatKind::Direct,
            from: Person { id: me, name: "you".to_owned() },
            outgoing: true,
            ts_ms: self.clock.now_ms,
            body: body.clone(),
            status: Some(MessageStatus::Queued),
            reply_to: reply.as_ref().map(|reply| ReplyTo {
                id: reply.id.clone(),
                from: reply.from.clone(),
                quote: Some(reply.text.clone()),
            }),
            forwarded,
            ..Message::default()
        };
        self.chats.receive(&message);
        if self.open.as_ref().is_some_and(|open| open.chat == chat && !open.reaches_newest()) {
            self.go_to_newest();
        }
        if let Some(open) = self.open.as_mut().filter(|open| open.chat == chat) {
            open.push_own(&message, &self.clock);
        }
        let reply_to = reply.map(|reply| reply.id);
        self.unanswered += 1;
        let to = chat.to_owned();
        self.ask(Call::Send(SendParams { to, body, id: Some(chosen), reply_to, forwarded, ..SendParams::default() }));
    }

    /// What the engine calls a message of ours that is made with these bytes.
    pub(super) fn own_message_id(&self, chat: &str, chosen: &str) -> String {
        let made = self.account.as_ref().and_then(|account| message_id(chat, &account.id, chosen));
        made.unwrap_or_else(|| chosen.to_owned())
    }

    fn begin_reply(&mut self) {
        let Some(entry) = self.open.as_ref().and_then(|open| open.selected()) else { return };
        let reply = Quoted { id: entry.id.clone(), from: Some(entry.from.clone()), text: entry.preview() };
        self.write_here();
        if self.focus == Focus::Write {
            self.reply = Some(reply);
        }
    }

    /// The message that the selected one answers.
    fn quoted_here(&self) -> Option<&Quoted> {
        self.open.as_ref()?.selected()?.reply.as_ref().filter(|reply| reply.from.is_some())
    }

    fn jump_to_quote(&mut self) {
        let quoted = self.quoted_here().map(|reply| reply.id.clone());
        if let (Some(id), Some(chat)) = (quoted, self.open.as_ref().map(|open| open.chat.clone())) {
            self.jump(&chat, "", &id);
        }
    }

    fn selected_text(&self) -> Option<String> {
        Some(self.open.as_ref()?.selected()?.body.clone())
    }

    fn copy_message(&mut self) {
        if let Some(text) = self.selected_text() {
            self.copy(text);
        }
    }

    pub(super) fn copy(&mut self, text: String) {
        self.effects.push(Effect::Copy(text));
        self.remark(Weight::Good, "Copied");
    }

    fn quote(&mut self) {
        let Some(body) = self.selected_text() else { return };
        let mut quoted: String = body.lines().take(QUOTED_ROWS).map(|line| format!("> {line}\n")).collect();
        if body.lines().count() > QUOTED_ROWS {
            quoted.push_str("> …\n");
        }
        self.write_here();
        if self.focus == Focus::Write
            && let Some(editor) = self.editor_mut()
        {
            let only = editor.is_blank();
            editor.insert(&quoted);
            self.only_quote = only.then(|| editor.text().to_owned());
        }
    }

    fn open_menu(&mut self) {
        let Some(entry) = self.open.as_ref().and_then(|open| open.selected()) else { return };
        let title = text::fit(&entry.preview(), 40).into_owned();
        let commands = [
            // What Enter alone would run does nothing that is sent.
            Command::Reply,
            Command::Retry,
            Command::TakeBack,
            Command::JumpToQuote,
            Command::OpenLink,
            Command::CopyLink,
            Command::Copy,
            Command::Quote,
            Command::Forward,
            Command::Info,
        ]
        .into_iter()
        .filter(|command| self.applies(*command))
        .collect();
        self.overlays.push(Overlay::Menu(Menu { title, scope: Scope::Messages, commands, selected: 0 }));
    }
}

/// The commands that change a text.
pub(super) fn edit(editor: &mut Editor, command: Command, columns: usize) {
    match command {
        Command::Newline => {
            editor.insert("\n");
        }
        Command::Left => editor.left(),
        Command::Right => editor.right(),
        Command::Up => {
            editor.up(columns);
        }
        Command::Down if editor.down(columns) => {}
        Command::Down => editor.end(),
        Command::WordLeft => editor.word_left(),
        Command::WordRight => editor.word_right(),
        Command::Home => editor.home(),
        Command::End => editor.end(),
        Command::Backspace => editor.backspace(),
        Command::Delete => editor.delete(),
        Command::DeleteWord => editor.delete_word(),
        Command::DeleteToBegin => editor.delete_to_begin(),
        Command::DeleteToEnd => editor.delete_to_end(),
        Command::Undo => editor.undo(),
        _ => {}
    }
}
