//! What can be done with a chat and the person in it: its menu, muting, pinning, the archive, another name, blocking, removing.

use subrosa_client_core::{
    ApiError,
    api::{Chat, Contact, ContactState, Done},
    limits::MUTED_FOR_EVER_MS,
};

use super::{App, Weight};
use crate::{
    commands::{Command, Place},
    editor::Editor,
    message::{Deed, Effect},
    model::chats::Row,
    overlay::{Menu, Overlay, Question, Rename},
    text,
};

/// Eight hours: a night, or a day at work.
const MUTE_HOURS_MS: u64 = 8 * 3_600_000;

/// Seven days: a holiday.
const MUTE_WEEK_MS: u64 = 7 * 24 * 3_600_000;

impl App {
    fn row_here(&self) -> Option<&Row> {
        self.chat_here().and_then(|chat| self.chats.get(chat))
    }

    fn is_muted(&self, row: &Row) -> bool {
        row.muted_until_ms > self.clock.now_ms
    }

    /// One key turns something on and off again: the command that would do something.
    pub(super) fn turned(&self, command: Command) -> Command {
        let Some(row) = self.row_here() else { return command };
        match command {
            Command::Mute if self.is_muted(row) => Command::Unmute,
            Command::Pin if row.pinned => Command::Unpin,
            Command::Archive if row.archived => Command::Unarchive,
            Command::Block if row.state == ContactState::Blocked => Command::Unblock,
            command => command,
        }
    }

    /// Whether an act on the chat would do something; `None`: another command.
    pub(super) fn chat_act_applies(&self, command: Command) -> Option<bool> {
        let row = self.row_here();
        let with = |does: fn(&Self, &Row) -> bool| Some(row.is_some_and(|row| does(self, row)));
        match command {
            Command::ChatMenu | Command::Rename | Command::Remove => Some(row.is_some()),
            Command::Mute | Command::MuteHours | Command::MuteWeek | Command::MuteAlways => {
                with(|app, row| !app.is_muted(row))
            }
            Command::Unmute => with(Self::is_muted),
            Command::Pin => with(|_, row| !row.pinned),
            Command::Unpin => with(|_, row| row.pinned),
            Command::Archive => with(|_, row| !row.archived),
            Command::Unarchive => with(|_, row| row.archived),
            Command::Block => with(|_, row| row.state != ContactState::Blocked),
            Command::Unblock => with(|_, row| row.state == ContactState::Blocked),
            Command::Archived => Some(self.chats.other_count() > 0 || self.chats.shows_archived()),
            _ => None,
        }
    }

    /// Does it; `false`: another command.
    pub(super) fn chat_act(&mut self, command: Command) -> bool {
        if command == Command::Archived {
            self.chats.turn();
            return true;
        }
        let Some(row) = self.row_here() else { return false };
        let (chat, name) = (row.id.clone(), row.name.clone());
        let set =
            |muted_until_ms, pinned, archived| Effect::SetChat { chat: chat.clone(), muted_until_ms, pinned, archived };
        let mute = |until| set(Some(until), None, None);
        let effect = match command {
            Command::ChatMenu => {
                self.open_chat_menu(&name);
                return true;
            }
            Command::Mute => {
                let commands = vec![Command::MuteHours, Command::MuteWeek, Command::MuteAlways];
                let title = format!("Mute {name}");
                self.overlays.push(Overlay::Menu(Menu { title, place: Place::List, commands, selected: 0 }));
                return true;
            }
            Command::MuteHours => mute(self.clock.now_ms.saturating_add(MUTE_HOURS_MS)),
            Command::MuteWeek => mute(self.clock.now_ms.saturating_add(MUTE_WEEK_MS)),
            Command::MuteAlways => mute(MUTED_FOR_EVER_MS),
            Command::Unmute => mute(0),
            Command::Pin => set(None, Some(true), None),
            Command::Unpin => set(None, Some(false), None),
            Command::Archive => set(None, None, Some(true)),
            Command::Unarchive => set(None, None, Some(false)),
            Command::Unblock => Effect::Unblock { chat },
            Command::Rename => {
                let rename = Rename { chat, old: name.clone(), name: Editor::with(&name), ..Rename::default() };
                self.overlays.push(Overlay::Rename(rename));
                return true;
            }
            Command::Block => {
                self.ask(Question {
                    title: format!("Block {name}?"),
                    text:
                        "Their messages are no longer taken, what waits for them is not sent, and they are not told. \
                           Everybody else gets a new key to write to you. You can take it back."
                            .to_owned(),
                    no: "No, leave it as it is",
                    yes: "Block",
                    effect: Effect::Block { chat },
                    is_yes: false,
                });
                return true;
            }
            Command::Remove => {
                self.ask(Question {
                    title: format!("Remove {name}?"),
                    text:
                        "The contact and every message of this conversation are deleted on your devices; theirs stay. \
                           To talk again, one of you needs a new link."
                            .to_owned(),
                    no: "No, keep everything",
                    yes: "Remove for good",
                    effect: Effect::Remove { chat },
                    is_yes: false,
                });
                return true;
            }
            _ => return false,
        };
        self.effects.push(effect);
        true
    }

    fn open_chat_menu(&mut self, name: &str) {
        let commands = [
            Command::Accept,
            Command::Contact,
            Command::Rename,
            Command::Mute,
            Command::Unmute,
            Command::Pin,
            Command::Unpin,
            Command::Archive,
            Command::Unarchive,
            Command::Verify,
            Command::Block,
            Command::Unblock,
            Command::Remove,
        ];
        let shown = matches!(self.overlays.last(), Some(Overlay::Contact(_)));
        let commands = commands
            .into_iter()
            .filter(|command| self.applies(*command) && !(shown && *command == Command::Contact))
            .collect();
        let title = name.to_owned();
        self.overlays.push(Overlay::Menu(Menu { title, place: Place::List, commands, selected: 0 }));
    }

    fn ask(&mut self, question: Question) {
        self.overlays.push(Overlay::Question(question));
    }

    /// Asks the engine for the new name, if it is another one.
    pub(super) fn take_name(&mut self, mut rename: Rename) {
        let name = rename.name.text().trim().to_owned();
        if name == rename.old {
            return;
        }
        if !name.is_empty() && !rename.waiting {
            rename.waiting = true;
            rename.error = None;
            self.effects.push(Effect::Rename { chat: rename.chat.clone(), name });
        }
        self.overlays.push(Overlay::Rename(rename));
    }

    pub(super) fn chat_set(&mut self, answer: Result<Chat, ApiError>) {
        match answer {
            Ok(chat) => {
                let name = text::line(&chat.name);
                let before = self.chats.get(&chat.id);
                let muted = chat.muted_until_ms.unwrap_or(0);
                let what = match before {
                    Some(row) if row.archived != chat.archived && chat.archived => "archived".to_owned(),
                    Some(row) if row.archived != chat.archived => "back in the list".to_owned(),
                    Some(row) if row.pinned != chat.pinned && chat.pinned => "stays at the top of the list".to_owned(),
                    Some(row) if row.pinned != chat.pinned => "no longer at the top of the list".to_owned(),
                    _ if muted <= self.clock.now_ms => "no longer muted".to_owned(),
                    _ if muted == MUTED_FOR_EVER_MS => "muted".to_owned(),
                    _ => format!("muted until {}", self.clock.near(muted)),
                };
                self.remark(Weight::Good, format!("{name}: {what}"));
                if !self.chats.set_chat(&chat) {
                    self.load_chats();
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    pub(super) fn contact_set(&mut self, deed: Deed, answer: Result<Contact, ApiError>) {
        match answer {
            Ok(contact) => {
                self.overlays.pop_if(|overlay| deed == Deed::Renamed && matches!(overlay, Overlay::Rename(_)));
                let name = text::line(&contact.name);
                self.contact_changed(&contact);
                let what = match deed {
                    Deed::Renamed => format!("Shown as {name} from now on"),
                    Deed::Blocked => format!("{name} is blocked"),
                    Deed::Unblocked => format!("{name} is no longer blocked"),
                };
                self.remark(Weight::Good, what);
            }
            Err(error) => match self.overlays.last_mut() {
                Some(Overlay::Rename(rename)) if deed == Deed::Renamed => {
                    rename.waiting = false;
                    rename.error = Some(text::line(&error.message));
                }
                _ => self.failed(&error),
            },
        }
    }

    pub(super) fn contact_removed(&mut self, chat: &str, answer: Result<Done, ApiError>) {
        match answer {
            Ok(_) => {
                let name = self.chats.get(chat).map_or_else(String::new, |row| row.name.clone());
                self.overlays.retain(|overlay| !matches!(overlay, Overlay::Contact(_)));
                if self.open.as_ref().is_some_and(|open| open.chat == chat) {
                    self.close_chat();
                }
                self.drafts.remove(chat);
                self.remark(Weight::Good, format!("{name} is removed, with the conversation"));
                self.load_chats();
            }
            Err(error) => self.failed(&error),
        }
    }
}
