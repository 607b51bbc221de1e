//! What lies over the screen: opening it, its keys, and the answers it waits for.

use subrosa_client_core::{
    ApiError,
    api::{Contact, ContactState, Identity, InfoParams, JoinParams, Receipts, VerifyParams},
};

use super::{App, Weight, act::edit};
use crate::{
    ask::{Call, who},
    commands::{Command, Scope},
    editor::Editor,
    key::Key,
    overlay::{Join, Overlay, Palette, Then, Verify},
    text,
};

/// Columns for questions; their texts do not wrap.
const ONE_LINE: usize = usize::MAX / 2;

/// Rows that a page key moves in a card or list.
const PAGE_ROWS: usize = 10;

/// Which keys count in an overlay.
pub(super) const fn scope(overlay: &Overlay) -> Scope {
    match overlay {
        Overlay::Palette(_)
        | Overlay::Search(_)
        | Overlay::Menu(_)
        | Overlay::Join(_)
        | Overlay::Rename(_)
        | Overlay::Question(_) => Scope::Choose,
        Overlay::Verify(verify) if verify.number.is_some() => Scope::Choose,
        Overlay::Help { .. }
        | Overlay::Links(_)
        | Overlay::Invite(_)
        | Overlay::Contact(_)
        | Overlay::Outbox(_)
        | Overlay::Verify(_)
        | Overlay::Receipts { .. } => Scope::Card,
    }
}

impl App {
    /// A key while something lies over the screen. `false`: nothing does.
    pub(super) fn overlay_key(&mut self, key: Key) -> bool {
        let Some(overlay) = self.overlays.last() else { return false };
        // A menu's entries have the keys that they have without the menu.
        if let Overlay::Menu(menu) = overlay
            && let Some(command) = self.keys.command(menu.scope, key).map(|command| self.turned(command))
            && menu.commands.contains(&command)
        {
            self.overlays.pop();
            self.run(command);
            return true;
        }
        match self.keys.command(self.scope(), key) {
            Some(command) => self.overlay_command(command),
            None => {
                if let Some(c) = key.typed() {
                    self.overlay_paste(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
        true
    }

    fn overlay_command(&mut self, command: Command) {
        match command {
            Command::ChooseDown => self.overlay_move(1),
            Command::ChooseUp => self.overlay_move(-1),
            Command::PageDown => self.overlay_move(PAGE_ROWS.cast_signed()),
            Command::PageUp => self.overlay_move(-PAGE_ROWS.cast_signed()),
            Command::Confirm => self.confirm(),
            Command::Scope => self.change_scope(),
            Command::CopyCard => self.copy_card(),
            Command::VerifyHere => match self.overlays.last_mut() {
                Some(Overlay::Verify(verify)) => verify.number = Some(Editor::default()),
                Some(Overlay::Contact(Some(_))) => self.show_verify(),
                _ => {}
            },
            Command::AcceptHere => {
                if let Some(Overlay::Contact(Some(contact))) = self.overlays.last()
                    && contact.state == ContactState::Request
                {
                    let chat = contact.chat.clone();
                    self.ask_to_accept(&chat);
                }
            }
            // The key that opened the help also closes it.
            Command::Help if matches!(self.overlays.last(), Some(Overlay::Help { .. })) => {
                self.overlays.pop();
            }
            Command::ChatMenu if matches!(self.overlays.last(), Some(Overlay::Contact(Some(_)))) => self.run(command),
            Command::TakeBack if matches!(self.overlays.last(), Some(Overlay::Links(_))) => self.ask_to_revoke(),
            Command::Retry | Command::TakeBack => self.retry_or_take_back(command),
            Command::Back
            | Command::Quit
            | Command::QuitTwice
            | Command::Suspend
            | Command::Redraw
            | Command::Palette
            | Command::Search
            | Command::Help => {
                self.run(command);
            }
            _ => {
                let finds = match self.overlay_editor() {
                    Some(editor) => {
                        edit(editor, command, ONE_LINE);
                        true
                    }
                    None => false,
                };
                if finds {
                    self.find_again();
                }
            }
        }
    }

    /// Text into a question. `false`: nothing lies over the screen.
    pub(super) fn overlay_paste(&mut self, text: &str) -> bool {
        if self.overlays.is_empty() {
            return false;
        }
        if let Some(editor) = self.overlay_editor() {
            editor.insert_line(text);
            self.find_again();
        }
        true
    }

    fn overlay_editor(&mut self) -> Option<&mut Editor> {
        match self.overlays.last_mut()? {
            Overlay::Palette(palette) => Some(&mut palette.query),
            Overlay::Search(search) => Some(&mut search.words),
            Overlay::Join(join) if !join.waiting => Some(&mut join.link),
            Overlay::Rename(rename) if !rename.waiting => Some(&mut rename.name),
            Overlay::Verify(Verify { number: Some(number), waiting: false, .. }) => Some(number),
            _ => None,
        }
    }

    fn find_again(&mut self) {
        self.search_again();
        if let Some(Overlay::Palette(mut palette)) =
            self.overlays.pop_if(|overlay| matches!(overlay, Overlay::Palette(_)))
        {
            self.find(&mut palette);
            self.overlays.push(Overlay::Palette(palette));
        }
    }

    pub(super) fn overlay_move(&mut self, by: isize) {
        match self.overlays.last_mut() {
            Some(Overlay::Help { offset }) => {
                *offset = offset.saturating_add_signed(by).min(crate::help::rows(&self.keys, self.size.0).len());
            }
            Some(Overlay::Palette(palette)) => {
                palette.selected =
                    palette.selected.saturating_add_signed(by).min(palette.found.len().saturating_sub(1));
                palette.chosen = true;
            }
            Some(Overlay::Search(_)) => self.move_hit(by),
            Some(Overlay::Menu(menu)) => {
                menu.selected = menu.selected.saturating_add_signed(by).min(menu.commands.len().saturating_sub(1));
            }
            Some(Overlay::Question(question)) => question.is_yes = by > 0,
            Some(Overlay::Links(links)) => {
                links.selected = links.selected.saturating_add_signed(by).min(links.count() - 1);
            }
            Some(Overlay::Outbox(waiting)) => {
                let count = waiting.outbox.as_ref().map_or(0, |outbox| outbox.entries.len());
                waiting.selected = waiting.selected.saturating_add_signed(by).min(count.saturating_sub(1));
            }
            _ => {}
        }
    }

    /// Takes an entry of a list as if it had been selected and confirmed.
    pub(super) fn take_entry(&mut self, entry: usize) {
        match self.overlays.last_mut() {
            Some(Overlay::Palette(palette)) => {
                palette.selected = entry;
                palette.chosen = true;
            }
            Some(Overlay::Search(search)) => search.selected = entry,
            Some(Overlay::Menu(menu)) => menu.selected = entry,
            Some(Overlay::Question(question)) => question.is_yes = entry == 1,
            Some(Overlay::Links(links)) => links.selected = entry,
            // What can be done with it is chosen after it.
            Some(Overlay::Outbox(waiting)) => {
                waiting.selected = entry;
                return;
            }
            _ => return,
        }
        self.confirm();
    }

    fn confirm(&mut self) {
        match self.overlays.pop() {
            Some(Overlay::Palette(palette)) => self.take_from(palette),
            Some(Overlay::Search(search)) => self.take_hit(search),
            Some(Overlay::Menu(menu)) => {
                if let Some(command) = menu.commands.get(menu.selected) {
                    self.run(*command);
                }
            }
            Some(Overlay::Join(mut join)) => {
                let link = join.link.text().trim().to_owned();
                if !link.is_empty() && !join.waiting {
                    join.waiting = true;
                    join.error = None;
                    self.ask(Call::Join(JoinParams { link }));
                }
                self.overlays.push(Overlay::Join(join));
            }
            Some(Overlay::Rename(rename)) => self.take_name(rename),
            Some(Overlay::Question(question)) if question.is_yes => self.answered_yes(question.then),
            Some(Overlay::Links(links)) => self.take_link_entry(links),
            Some(Overlay::Outbox(waiting)) => self.go_to_waiting(&waiting),
            Some(Overlay::Verify(mut verify)) => {
                match verify.number.as_ref().map(|number| number.text().trim().to_owned()) {
                    None if verify.identity.is_some() => verify.number = Some(Editor::default()),
                    Some(number) if !number.is_empty() && !verify.waiting => {
                        verify.waiting = true;
                        verify.error = None;
                        let params = VerifyParams { who: verify.chat.clone(), number: Some(number) };
                        self.ask(Call::Verify(params));
                    }
                    _ => {}
                }
                self.overlays.push(Overlay::Verify(verify));
            }
            // Cards are read; Enter puts them away.
            _ => {}
        }
    }

    /// Takes the selected entry, unless it is a guess at what leaves a trace: that is named, or moved to.
    fn take_from(&mut self, palette: Palette) {
        let found = palette.found.get(palette.selected);
        if let Some(command) = found.and_then(|found| palette.guess(found)) {
            let (title, name) = (command.spec().title, command.spec().name);
            let text = format!("{title} is not run by a guess: type {name}, or move to it with the arrows");
            self.overlays.push(Overlay::Palette(palette));
            return self.remark(Weight::Note, text);
        }
        match found.map(|found| found.target.clone()) {
            Some(target) => self.take_found(palette.purpose, &target),
            None => self.overlays.push(Overlay::Palette(palette)),
        }
    }

    fn answered_yes(&mut self, then: Then) {
        match then {
            Then::Ask(call) => self.ask(call),
            Then::Act { act, undo } => self.act(act, undo),
            Then::Forward { chat, text } => self.forward(&chat, text),
        }
    }

    fn copy_card(&mut self) {
        let text = match self.overlays.last() {
            Some(Overlay::Invite(Some(invite))) => invite.link.clone(),
            Some(Overlay::Verify(Verify { identity: Some(identity), .. })) => identity.safety_number.clone(),
            Some(Overlay::Contact(Some(contact))) => contact.id.clone(),
            _ => return,
        };
        self.copy(text);
    }

    pub(super) fn show_contact(&mut self) {
        if let Some(chat) = self.chat_here().map(str::to_owned) {
            self.overlays.push(Overlay::Contact(None));
            self.ask(Call::Contact(who(&chat)));
        }
    }

    pub(super) fn show_verify(&mut self) {
        let chat = match self.overlays.last() {
            Some(Overlay::Contact(Some(contact))) => Some(contact.chat.clone()),
            _ => self.chat_here().map(str::to_owned),
        };
        if let Some(chat) = chat {
            self.overlays.push(Overlay::Verify(Verify {
                chat: chat.clone(),
                identity: None,
                number: None,
                waiting: false,
                error: None,
            }));
            self.ask(Call::Verify(VerifyParams { who: chat, number: None }));
        }
    }

    pub(super) fn show_receipts(&mut self) {
        let Some(entry) = self.open.as_ref().and_then(|open| open.selected()) else { return };
        let (id, text) = (entry.id.clone(), entry.preview());
        self.overlays.push(Overlay::Receipts { text, receipts: None });
        self.ask(Call::Receipts(InfoParams { id }));
    }

    /// An answer for a card; one that was closed meanwhile needs none.
    pub(super) fn contact_shown(&mut self, answer: Result<Contact, ApiError>) {
        match (answer, self.overlays.last_mut()) {
            (Ok(contact), Some(Overlay::Contact(card))) => *card = Some(contact),
            (Err(error), Some(Overlay::Contact(None))) => self.give_up_card(&error),
            _ => {}
        }
    }

    pub(super) fn receipts_shown(&mut self, answer: Result<Receipts, ApiError>) {
        match (answer, self.overlays.last_mut()) {
            (Ok(receipts), Some(Overlay::Receipts { receipts: card, .. })) => *card = Some(receipts),
            (Err(error), Some(Overlay::Receipts { receipts: None, .. })) => self.give_up_card(&error),
            _ => {}
        }
    }

    fn give_up_card(&mut self, error: &ApiError) {
        self.overlays.pop();
        self.failed(error);
    }

    pub(super) fn join_answer(&mut self, answer: Result<Contact, ApiError>) {
        let card = self.overlays.last_mut();
        match (answer, card) {
            (Ok(contact), card) => {
                if matches!(card, Some(Overlay::Join(_))) {
                    self.overlays.pop();
                }
                self.joined(&contact);
            }
            (Err(error), Some(Overlay::Join(join))) => {
                *join = Join { waiting: false, error: Some(text::line(&error.message)), link: join.link.clone() };
            }
            (Err(error), _) => self.failed(&error),
        }
    }

    /// A safety number; `compared`: it was held against theirs.
    pub(super) fn identity_shown(&mut self, compared: bool, answer: Result<Identity, ApiError>) {
        let Some(Overlay::Verify(verify)) = self.overlays.last_mut() else { return };
        match answer {
            Ok(identity) => {
                let name = text::line(&identity.name);
                verify.identity = Some(identity);
                verify.waiting = false;
                if compared {
                    verify.number = None;
                    self.remark(Weight::Good, format!("The numbers are equal: {name} is verified"));
                }
            }
            Err(error) if compared => {
                verify.waiting = false;
                let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                verify.error = Some(text::line(&format!("{}{hint}", error.message)));
            }
            Err(error) => self.give_up_card(&error),
        }
    }

    fn joined(&mut self, contact: &Contact) {
        self.contact_changed(contact);
        self.remark(Weight::Good, format!("{} gets your introduction", contact.name));
        self.open_when_known = Some(contact.chat.clone());
    }
}
