//! What stands before the chats: its keys, and the answers it waits for. The form and the recovery words are in [`super::first`].

use subrosa_client_core::{ApiError, open::EngineAt};

use super::{App, Weight, act::edit};
use crate::{
    account_service::{Found, Known},
    commands::Command,
    hidden::Hidden,
    key::Key,
    message::{Effect, Msg, Opened},
    sign_in::{Choose, First, SignIn, Unlock},
    text,
};

/// Columns for questions; their texts do not wrap.
pub(super) const ONE_LINE: usize = usize::MAX / 2;

impl App {
    /// Begins with the question what is there.
    pub(crate) fn begin(&mut self) -> Vec<Effect> {
        self.sign_in = Some(SignIn::Looking);
        vec![Effect::Look]
    }

    /// A key while a sign_in has them. `false`: none does.
    pub(super) fn gate_key(&mut self, key: Key) -> bool {
        let Some(sign_in) = &self.sign_in else { return false };
        let command = self.keys.command(self.scope(), key);
        match command {
            Some(command @ (Command::Suspend | Command::Redraw)) => self.run(command),
            Some(command @ (Command::Back | Command::Quit | Command::QuitTwice)) => self.gate_leave(command),
            _ => match sign_in {
                SignIn::Looking | SignIn::Opening(_) => {}
                SignIn::Told { .. } => self.sign_in = None,
                SignIn::Failed { .. } => self.failed_key(command),
                SignIn::Choose(_) => self.choose_key(command),
                SignIn::First(_) => self.first_key(command, key),
                SignIn::Words(_) => self.words_key(command, key),
                SignIn::Unlock(_) | SignIn::Locked(_) | SignIn::TakeOver(_) => self.unlock_key(command, key),
            },
        }
        true
    }

    /// Pasted text while a sign_in has the keys. `false`: none does.
    pub(super) fn gate_paste(&mut self, text: &str) -> bool {
        match &mut self.sign_in {
            None => return false,
            Some(SignIn::First(first)) if !first.waiting => {
                if let Some(hidden) = first.hidden() {
                    hidden.insert(text);
                } else if let Some(editor) = first.editor() {
                    editor.insert_line(text);
                }
                first.error = None;
            }
            Some(SignIn::Words(words)) if words.asking => {
                words.answer.insert_line(text);
            }
            Some(SignIn::Unlock(unlock) | SignIn::Locked(unlock) | SignIn::TakeOver(unlock))
                if unlock.asks && !unlock.waiting =>
            {
                unlock.error = None;
                if !unlock.typed.insert(text) {
                    unlock.error = Some("longer than any passphrase".to_owned());
                }
            }
            Some(_) => {}
        }
        true
    }

    /// Esc and the keys that leave.
    fn gate_leave(&mut self, command: Command) {
        match (&mut self.sign_in, command) {
            (Some(SignIn::Told { .. }), Command::Back) => self.sign_in = None,
            (Some(SignIn::Locked(unlock) | SignIn::TakeOver(unlock)), Command::Back) => {
                unlock.typed.clear();
                unlock.error = None;
            }
            (Some(SignIn::First(first)), Command::Back) if !first.others.is_empty() && !first.waiting => {
                let accounts = std::mem::take(&mut first.others);
                let room = std::mem::take(&mut first.room);
                self.sign_in = Some(SignIn::Choose(Choose { accounts, room, selected: 0 }));
            }
            (Some(SignIn::Words(words)), Command::Back) if words.asking && !words.confirmed => words.asking = false,
            // What would be lost takes a second press.
            (Some(SignIn::First(first)), _) if first.is_blank() => self.effects.push(Effect::Quit),
            (Some(SignIn::Words(_) | SignIn::First(_) | SignIn::TakeOver(_)), _) => self.quit_twice(),
            (Some(SignIn::Locked(_) | SignIn::Told { .. }), Command::QuitTwice) => self.quit_twice(),
            _ => self.effects.push(Effect::Quit),
        }
    }

    /// What leaving now would lose, for the warning at the first press.
    pub(super) fn loses(&self) -> Option<String> {
        match &self.sign_in {
            Some(SignIn::Words(_)) => Some("these words are gone".to_owned()),
            _ if self.unanswered == 1 => Some("1 message is lost".to_owned()),
            _ if self.unanswered > 1 => Some(format!("{} messages are lost", self.unanswered)),
            _ => None,
        }
    }

    fn failed_key(&mut self, command: Option<Command>) {
        if command != Some(Command::Confirm) {
            return;
        }
        if let Some(SignIn::Failed { account: Some(account), .. }) = self.sign_in.take() {
            self.open_account(account);
        } else {
            let look = self.begin();
            self.effects.extend(look);
        }
    }

    fn choose_key(&mut self, command: Option<Command>) {
        let Some(SignIn::Choose(choose)) = &mut self.sign_in else { return };
        match command {
            Some(Command::ChooseDown | Command::Scope) => {
                choose.selected = (choose.selected + 1).min(choose.accounts.len());
            }
            Some(Command::ChooseUp | Command::PreviousChat) => choose.selected = choose.selected.saturating_sub(1),
            Some(Command::Confirm) => match choose.accounts.get(choose.selected).cloned() {
                Some(account) => self.open_account(account),
                None => {
                    let (room, others) = (choose.room.clone(), choose.accounts.clone());
                    self.sign_in = Some(SignIn::First(Box::new(First::new(room, others))));
                }
            },
            _ => {}
        }
    }

    fn unlock_key(&mut self, command: Option<Command>, key: Key) {
        let Some(SignIn::Unlock(unlock) | SignIn::Locked(unlock) | SignIn::TakeOver(unlock)) = &mut self.sign_in else {
            return;
        };
        if unlock.waiting {
            return;
        }
        match command {
            Some(Command::Confirm) if !unlock.asks => self.effects.push(Effect::Unlock(None)),
            Some(Command::Confirm) if unlock.typed.is_empty() => {}
            Some(Command::Confirm) => {
                unlock.waiting = true;
                unlock.error = None;
                let passphrase = unlock.typed.take();
                let account = unlock.account.account.clone();
                let effect = if matches!(self.sign_in, Some(SignIn::Unlock(_))) {
                    Effect::OpenAccount { account, passphrase: Some(passphrase) }
                } else {
                    Effect::Unlock(Some(passphrase))
                };
                self.effects.push(effect);
            }
            command => {
                if unlock.asks && type_hidden(&mut unlock.typed, command, key) {
                    unlock.error = None;
                }
            }
        }
    }

    pub(super) fn open_account(&mut self, account: Known) {
        self.effects.push(Effect::OpenAccount { account: account.account.clone(), passphrase: None });
        self.sign_in = Some(SignIn::Opening(account));
    }

    /// What the service says.
    pub(super) fn door_answer(&mut self, msg: Msg) {
        match msg {
            Msg::Looked(Ok(Found::Nothing(room))) => {
                self.sign_in = Some(SignIn::First(Box::new(First::new(room, Vec::new()))));
            }
            Msg::Looked(Ok(Found::One(account))) => self.open_account(account),
            Msg::Looked(Ok(Found::Several(accounts, room))) => {
                self.sign_in = Some(SignIn::Choose(Choose { accounts, room, selected: 0 }));
            }
            Msg::Looked(Err(error)) => self.sign_in = Some(SignIn::Failed { error, account: None }),
            Msg::Words(words) => self.words(words),
            Msg::Made(answer) => self.made(answer),
            Msg::Opened(answer) => self.opened(answer),
            Msg::Unlocked(answer) => self.unlocked(answer),
            Msg::EngineAt { at, asks } => self.engine_moved(at, asks),
            _ => {}
        }
    }

    fn opened(&mut self, answer: Result<Opened, ApiError>) {
        if let Ok(Opened::Open { opens_with }) = &answer {
            self.opens_with.clone_from(opens_with);
            self.input_ms = self.clock.now_ms;
            if self.lock_after_ms.is_some() && opens_with.is_some() {
                self.remark(Weight::Note, "tui.lock_after does nothing: this account has no passphrase to type");
            }
        }
        match (answer, &mut self.sign_in) {
            // The words stay until they were seen, whatever happens.
            (answer, Some(SignIn::Words(words))) => {
                words.opened = Some(answer.map(drop));
                self.leave_words();
            }
            (Ok(Opened::Open { .. }), _) => self.sign_in = None,
            (Ok(Opened::Asks), Some(SignIn::Opening(account))) => {
                let account = std::mem::take(account);
                self.sign_in = Some(SignIn::Unlock(Unlock { account, asks: true, ..Unlock::default() }));
            }
            (Err(error), Some(SignIn::Unlock(unlock))) => refused(unlock, &error),
            (Err(error), Some(SignIn::Opening(account))) => {
                let account = Some(std::mem::take(account));
                self.sign_in = Some(SignIn::Failed { error, account });
            }
            (Err(error), _) => self.sign_in = Some(SignIn::Failed { error, account: None }),
            (Ok(Opened::Asks), _) => {}
        }
    }

    fn unlocked(&mut self, answer: Result<(), ApiError>) {
        match (answer, &mut self.sign_in) {
            (Ok(()), Some(SignIn::Locked(_))) => self.reveal(),
            // It closes when the engine is there.
            (Ok(()), _) => {}
            (Err(error), Some(SignIn::Locked(unlock) | SignIn::TakeOver(unlock))) => refused(unlock, &error),
            (Err(error), _) => self.failed(&error),
        }
    }

    pub(super) fn engine_moved(&mut self, at: EngineAt, asks: bool) {
        match (&at, &mut self.sign_in) {
            (EngineAt::Lost(error), sign_in @ None) => {
                let account = self.account.as_ref().map(|account| Known {
                    handle: account.name.clone(),
                    relay: account.relay.clone(),
                    ..Known::default()
                });
                let error = (!asks).then(|| told(error));
                let account = account.unwrap_or_default();
                *sign_in = Some(SignIn::TakeOver(Unlock { account, asks, error, ..Unlock::default() }));
            }
            (EngineAt::Lost(error), Some(SignIn::TakeOver(unlock))) => {
                unlock.asks = asks;
                if !asks {
                    unlock.error = Some(told(error));
                    unlock.waiting = false;
                }
            }
            (EngineAt::Here | EngineAt::Elsewhere, Some(SignIn::TakeOver(_))) => self.sign_in = None,
            _ => {}
        }
        if matches!(at, EngineAt::Here | EngineAt::Elsewhere) && self.engine_at != at && self.account.is_some() {
            self.load_status();
        }
        self.engine_at = at;
        self.engine_asks = asks;
    }
}

/// An error with what to do about it. Flags of the command line are of no use here.
pub(super) fn told(error: &ApiError) -> String {
    let hint = error.hint.as_deref().unwrap_or_default();
    let hint = hint.split_once(" (--").map_or(hint, |(before, _)| before);
    let hint = if hint.is_empty() { String::new() } else { format!(". {}", sentence(hint)) };
    text::line(&format!("{}{hint}", sentence(&error.message)))
}

/// Begins with a capital letter; names and paths stay as they are.
pub(crate) fn sentence(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    if word.is_empty() || !word.chars().all(|c| c.is_ascii_lowercase() || c == ',') {
        return text.to_owned();
    }
    let (first, rest) = text.split_at(1);
    format!("{}{rest}", first.to_ascii_uppercase())
}

fn refused(unlock: &mut Unlock, error: &ApiError) {
    unlock.waiting = false;
    unlock.error = Some(if error.code == subrosa_client_core::ErrorKind::BadPassphrase && unlock.asks {
        "That is not the passphrase of this account.".to_owned()
    } else {
        told(error)
    });
}

/// A key into a line that is not shown. `true`: it changed something.
pub(super) fn type_hidden(hidden: &mut Hidden, command: Option<Command>, key: Key) -> bool {
    match command {
        Some(Command::Backspace) => hidden.backspace(),
        // Nobody sees where a word of it begins.
        Some(Command::DeleteWord | Command::DeleteToBegin) => hidden.clear(),
        Some(_) => return false,
        None => match key.typed() {
            Some(c) => return hidden.insert(c.encode_utf8(&mut [0; 4])),
            None => return false,
        },
    }
    true
}

/// A key into a line that is shown. `true`: it may have changed something.
pub(super) fn type_shown(editor: &mut crate::editor::Editor, command: Option<Command>, key: Key) -> bool {
    match (command, key.typed()) {
        (Some(command), _) => edit(editor, command, ONE_LINE),
        (None, Some(c)) => {
            editor.insert_line(c.encode_utf8(&mut [0; 4]));
        }
        (None, None) => return false,
    }
    true
}
