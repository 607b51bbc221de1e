//! The first run: the form for a new account, and the recovery words.

use subrosa_client_core::ApiError;

use super::{
    App, Weight,
    sign_in::{type_hidden, type_shown},
};
use crate::{
    account_service::{Known, Secret},
    commands::Command,
    key::Key,
    message::Effect,
    overlay::{Join, Overlay},
    sign_in::{Field, SignIn, Words},
};

impl App {
    pub(super) fn first_key(&mut self, command: Option<Command>, key: Key) {
        let Some(SignIn::First(first)) = &mut self.sign_in else { return };
        if first.waiting {
            return;
        }
        match command {
            Some(Command::ChooseDown | Command::Scope) => first.go(true),
            Some(Command::ChooseUp | Command::PreviousChat) => first.go(false),
            Some(Command::Confirm) if first.focus != Field::Make => {
                // A field that is wrong is not left by going on.
                if !matches!(first.remark(first.focus), crate::sign_in::Remark::Wrong(_)) {
                    first.go(true);
                }
            }
            Some(Command::Confirm) => match first.finished() {
                Ok(new) => {
                    first.waiting = true;
                    first.error = None;
                    self.effects.push(Effect::Make(new));
                }
                Err(field) => first.focus = field,
            },
            Some(command @ (Command::Left | Command::Right)) if first.focus == Field::Keep => {
                first.turn(command == Command::Right);
            }
            None if first.focus == Field::Keep && key.typed() == Some(' ') => first.turn(true),
            command => {
                let changed = if let Some(hidden) = first.hidden() {
                    type_hidden(hidden, command, key)
                } else if let Some(editor) = first.editor() {
                    type_shown(editor, command, key)
                } else {
                    false
                };
                if changed {
                    first.error = None;
                }
            }
        }
    }

    /// The words are on the screen before the relay knows of the account: they are never shown again.
    pub(super) fn words(&mut self, words: Secret) {
        if let Some(SignIn::First(form)) = self.sign_in.take_if(|sign_in| matches!(sign_in, SignIn::First(_))) {
            let asked = (self.new_id)().bytes().fold(0, |sum, byte| sum * 31 % 1_009 + usize::from(byte));
            self.sign_in = Some(SignIn::Words(Words::new(words, asked, form)));
        }
    }

    /// The account is made, or is not; then everything that was typed is there again.
    pub(super) fn made(&mut self, answer: Result<(), ApiError>) {
        match (answer, &mut self.sign_in) {
            (Ok(()), Some(SignIn::Words(words))) => {
                words.made = true;
                let account = known(&words.form.handle, &words.form.relay);
                let passphrase = (!words.form.passphrase.is_empty()).then(|| words.form.passphrase.secret());
                words.form.passphrase.clear();
                words.form.again.clear();
                self.effects.push(Effect::OpenAccount { account: account.account, passphrase });
            }
            // An earlier attempt was interrupted after its words were shown: they are those.
            (Ok(()), Some(SignIn::First(first))) => {
                let account = known(&first.handle, &first.relay);
                let passphrase = (!first.passphrase.is_empty()).then(|| first.passphrase.secret());
                let name = account.account.clone();
                self.sign_in = Some(SignIn::Opening(account));
                self.effects.push(Effect::OpenAccount { account: name, passphrase });
                self.remark_for(
                    Weight::Note,
                    "an earlier attempt was finished: the recovery words are those it showed",
                    4 * super::REMARK_MS,
                );
            }
            (Err(error), Some(SignIn::Words(_) | SignIn::First(_))) => {
                let shown = matches!(self.sign_in, Some(SignIn::Words(_)));
                let form = match self.sign_in.take() {
                    Some(SignIn::Words(words)) => words.form,
                    Some(SignIn::First(form)) => form,
                    _ => return,
                };
                let mut form = form;
                form.waiting = false;
                let void = if shown { ". No account was made; the words just shown are void" } else { "" };
                form.error = Some(format!("{}{void}", super::sign_in::told(&error)));
                self.sign_in = Some(SignIn::First(form));
            }
            (answer, _) => {
                if let Err(error) = answer {
                    self.failed(&error);
                }
            }
        }
    }

    pub(super) fn words_key(&mut self, command: Option<Command>, key: Key) {
        let Some(SignIn::Words(words)) = &mut self.sign_in else { return };
        match command {
            // They may still turn out to be void.
            Some(Command::Confirm) if !words.asking => words.asking = words.made,
            Some(Command::Confirm) if !words.seen() => words.wrong = true,
            Some(Command::Confirm) => {
                words.confirmed = true;
                self.leave_words();
            }
            command if words.asking && !words.confirmed => {
                words.wrong = false;
                type_shown(&mut words.answer, command, key);
            }
            _ => {}
        }
    }

    /// On to the chats, when the words were seen and the account is open.
    pub(super) fn leave_words(&mut self) {
        let Some(SignIn::Words(words)) = self
            .sign_in
            .take_if(|sign_in| matches!(sign_in, SignIn::Words(words) if words.confirmed && words.opened.is_some()))
        else {
            return;
        };
        if let Some(Err(error)) = words.opened {
            let account = Some(known(&words.form.handle, &words.form.relay));
            self.sign_in = Some(SignIn::Failed { error, account });
            return;
        }
        if let Some(link) = words.form.contact_link() {
            let mut join = Join::default();
            join.link.insert_line(&link);
            self.overlays.push(Overlay::Join(join));
            return;
        }
        self.make_link();
        let key = self.keys.hint(Command::Join).unwrap_or_default();
        let text = format!("Were you sent a link yourself? Close this, then press {key}");
        self.remark_for(Weight::Note, text, 4 * super::REMARK_MS);
    }
}

fn known(handle: &crate::editor::Editor, relay: &crate::editor::Editor) -> Known {
    Known {
        account: handle.text().to_owned(),
        handle: handle.text().to_owned(),
        relay: relay.text().to_owned(),
        engine: None,
    }
}
