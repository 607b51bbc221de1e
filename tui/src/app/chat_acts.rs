//! What can be done with a chat and the person in it: its menu, muting, pinning, the archive, another name, blocking, removing.

use subrosa_client_core::{
    ApiError,
    api::{Chat, ChatSetParams, Contact, ContactState, Done, KeepShowParams, Keeping, RenameParams},
    keep::words,
    limits::MUTED_FOR_EVER_MS,
};

use super::{App, Weight};
use crate::{
    ask::{Call, who},
    commands::{Command, Scope},
    editor::Editor,
    model::chats::Row,
    overlay::{Menu, Overlay, Question, Rename, Then},
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
            Command::ChatMenu
            | Command::Rename
            | Command::Remove
            | Command::Keep
            | Command::KeepMonth
            | Command::KeepYear
            | Command::KeepForEver
            | Command::KeepAsAll => Some(row.is_some()),
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
        let set = |muted_until_ms, pinned, archived| {
            Call::SetChat(ChatSetParams {
                chat: chat.clone(),
                muted_until_ms,
                pinned,
                archived,
                ..ChatSetParams::default()
            })
        };
        let before = if self.is_muted(row) { row.muted_until_ms } else { 0 };
        // Each act, and what takes it back.
        let mute = |until| (set(Some(until), None, None), set(Some(before), None, None));
        let pin = |on| (set(None, Some(on), None), set(None, Some(!on), None));
        let archive = |on| (set(None, None, Some(on)), set(None, None, Some(!on)));
        let (act, undo) = match command {
            Command::ChatMenu => {
                self.open_chat_menu(&name);
                return true;
            }
            Command::Mute => {
                let commands = vec![Command::MuteHours, Command::MuteWeek, Command::MuteAlways];
                let title = format!("Mute {name}");
                self.overlays.push(Overlay::Menu(Menu { title, scope: Scope::List, commands, selected: 0 }));
                return true;
            }
            Command::Keep => {
                let commands = vec![Command::KeepMonth, Command::KeepYear, Command::KeepForEver, Command::KeepAsAll];
                let title = format!("Keep messages of {name}");
                self.overlays.push(Overlay::Menu(Menu { title, scope: Scope::List, commands, selected: 0 }));
                return true;
            }
            Command::KeepMonth => return self.ask_to_keep(&chat, "30d"),
            Command::KeepYear => return self.ask_to_keep(&chat, "1y"),
            Command::KeepForEver => return self.ask_to_keep(&chat, "off"),
            Command::KeepAsAll => return self.ask_to_keep(&chat, "default"),
            Command::MuteHours => mute(self.clock.now_ms.saturating_add(MUTE_HOURS_MS)),
            Command::MuteWeek => mute(self.clock.now_ms.saturating_add(MUTE_WEEK_MS)),
            Command::MuteAlways => mute(MUTED_FOR_EVER_MS),
            Command::Unmute => mute(0),
            Command::Pin => pin(true),
            Command::Unpin => pin(false),
            Command::Archive => archive(true),
            Command::Unarchive => archive(false),
            Command::Rename => {
                let rename = Rename { chat, old: name.clone(), name: Editor::with(&name), ..Rename::default() };
                self.overlays.push(Overlay::Rename(rename));
                return true;
            }
            Command::Block => {
                self.question(Question {
                    title: format!("Block {name}?"),
                    text:
                        "Their messages are no longer taken, what waits for them is not sent, and they are not told. \
                           Everybody else gets a new key to write to you. You can take it back."
                            .to_owned(),
                    no: "No, leave it as it is",
                    yes: "Block",
                    then: Then::Act { act: Call::Block(who(&chat)), undo: Call::Unblock(who(&chat)) },
                    is_yes: false,
                });
                return true;
            }
            Command::Unblock => {
                self.question(Question {
                    title: format!("Take the block of {name} back?"),
                    text: "They are what they were before: their messages are taken again, and they see what you got and read."
                        .to_owned(),
                    no: "No, they stay blocked",
                    yes: "Unblock",
                    then: Then::Act { act: Call::Unblock(who(&chat)), undo: Call::Block(who(&chat)) },
                    is_yes: false,
                });
                return true;
            }
            Command::Remove => {
                self.question(Question {
                    title: format!("Remove {name}?"),
                    text:
                        "The contact and every message of this conversation are deleted on your devices; theirs stay. \
                           To talk again, one of you needs a new link."
                            .to_owned(),
                    no: "No, keep everything",
                    yes: "Remove for good",
                    then: Then::Ask(Call::Remove(who(&chat))),
                    is_yes: false,
                });
                return true;
            }
            _ => return false,
        };
        self.act(act, undo);
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
            Command::Keep,
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
        self.overlays.push(Overlay::Menu(Menu { title, scope: Scope::List, commands, selected: 0 }));
    }

    pub(super) fn question(&mut self, question: Question) {
        self.overlays.push(Overlay::Question(question));
    }

    /// Asks whether a request is to be accepted: nothing takes that back.
    pub(super) fn ask_to_accept(&mut self, chat: &str) {
        let Some(name) = self.chats.get(chat).map(|row| row.name.clone()) else { return };
        self.question(Question {
            title: format!("Accept {name}?"),
            text:
                "You can write to each other then. From now on they see what you got and read, also of what they have \
                   written already. Blocking them later is possible; taking this back is not."
                    .to_owned(),
            no: "Not now",
            yes: "Accept",
            then: Then::Ask(Call::Accept(who(chat))),
            is_yes: false,
        });
    }

    /// A request was accepted.
    pub(super) fn accepted(&mut self, answer: Result<Contact, ApiError>) {
        match answer {
            Ok(contact) => {
                self.contact_changed(&contact);
                self.remark(Weight::Good, format!("{} is a contact now", contact.name));
            }
            Err(error) => self.failed(&error),
        }
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
            let call = |name| Call::Rename(RenameParams { who: rename.chat.clone(), name });
            self.act(call(name), call(rename.old.clone()));
        }
        self.overlays.push(Overlay::Rename(rename));
    }

    /// What was set for a chat: said by what was asked for, as the list may have heard of it already.
    pub(super) fn chat_set(&mut self, asked: ChatSetParams, answer: Result<Chat, ApiError>) {
        match answer {
            Ok(chat) => {
                let name = text::line(&chat.name);
                let what = match asked {
                    ChatSetParams { keep: Some(_), .. } => match chat.keep.as_deref().map(text::line) {
                        Some(keep) => format!("messages are {}", words(&keep)),
                        None => "messages are kept as in all chats".to_owned(),
                    },
                    ChatSetParams { archived: Some(true), .. } => "archived".to_owned(),
                    ChatSetParams { archived: Some(false), .. } => "back in the list".to_owned(),
                    ChatSetParams { pinned: Some(true), .. } => "stays at the top of the list".to_owned(),
                    ChatSetParams { pinned: Some(false), .. } => "no longer at the top of the list".to_owned(),
                    _ => match chat.muted_until_ms.unwrap_or(0) {
                        until if until <= self.clock.now_ms => "no longer muted".to_owned(),
                        MUTED_FOR_EVER_MS => "muted".to_owned(),
                        until => format!("muted until {}", self.clock.near(until)),
                    },
                };
                self.done(&Call::SetChat(asked), &format!("{name}: {what}"));
                if !self.chats.set_chat(&chat) {
                    self.load_chats();
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    /// How much a time would delete is asked before it is set.
    fn ask_to_keep(&mut self, chat: &str, keep: &str) -> bool {
        self.ask(Call::KeepShow(KeepShowParams { chat: Some(chat.to_owned()), keep: Some(keep.to_owned()) }));
        true
    }

    /// What a time for a chat would delete: nothing, or the person says whether it may.
    pub(super) fn keep_shown(&mut self, asked: KeepShowParams, answer: Result<Keeping, ApiError>) {
        let (chat, keep) = (asked.chat.unwrap_or_default(), asked.keep.unwrap_or_default());
        let goes = match answer {
            Ok(answer) => answer.goes,
            Err(error) => return self.failed(&error),
        };
        let older = if keep == "default" { "than messages are kept".to_owned() } else { format!("than {keep}") };
        let (messages, agreed) = (if goes == 1 { "message" } else { "messages" }, goes > 0);
        let set =
            Call::SetChat(ChatSetParams { chat: chat.clone(), keep: Some(keep), agreed, ..ChatSetParams::default() });
        if !agreed {
            return self.ask(set);
        }
        let Some(name) = self.chats.get(&chat).map(|row| row.name.clone()) else { return };
        self.question(Question {
            title: format!("Delete {goes} {messages}?"),
            text: format!(
                "{goes} {messages} with {name} on this device: older {older}. From now on all that grow as old go by themselves. \
                 They cannot be brought back; the others keep theirs."
            ),
            no: "No, keep everything",
            yes: "Delete, and go on so",
            then: Then::Ask(set),
            is_yes: false,
        });
    }

    /// Blocked, or no longer.
    pub(super) fn block_set(&mut self, act: &Call, answer: Result<Contact, ApiError>) {
        match answer {
            Ok(contact) => {
                let name = text::line(&contact.name);
                self.contact_changed(&contact);
                let is = if matches!(act, Call::Block(_)) { "is blocked" } else { "is no longer blocked" };
                self.done(act, &format!("{name} {is}"));
            }
            Err(error) => self.failed(&error),
        }
    }

    pub(super) fn renamed(&mut self, asked: RenameParams, answer: Result<Contact, ApiError>) {
        match (answer, self.overlays.last_mut()) {
            (Ok(contact), _) => {
                self.overlays.pop_if(|overlay| matches!(overlay, Overlay::Rename(_)));
                let name = text::line(&contact.name);
                self.contact_changed(&contact);
                self.done(&Call::Rename(asked), &format!("Shown as {name} from now on"));
            }
            (Err(error), Some(Overlay::Rename(rename))) => {
                rename.waiting = false;
                rename.error = Some(text::line(&error.message));
            }
            (Err(error), _) => self.failed(&error),
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
