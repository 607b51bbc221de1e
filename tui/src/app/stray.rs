//! Letters that are typed where no text is written: somebody thinks that they write.
//!
//! A letter that means something here does it, and nothing that leaves a trace has a letter for a key ([`crate::commands::Sort`]).
//! After the second letter in a row that means nothing, all that follows is taken for text, whatever else its letters mean, and
//! is offered to be written.

use crossterm::event::KeyCode;
use subrosa_client_core::api::ContactState;

use super::{App, Focus, REMARK_MS, Weight};
use crate::{
    commands::{Command, Scope},
    key::Key,
};

/// Letters that mean nothing before the rest is taken for text: one is a slip.
const SLIPS: usize = 2;

/// Characters kept: somebody who looks at the keyboard for so long types them again.
const MAX_STRAY: usize = 400;

/// A letter so soon after the one before is typed in one go, not chosen.
const FLOW_MS: u64 = 250;

/// How long they are offered.
const OFFER_MS: u64 = 3 * REMARK_MS;

/// What was typed beside every text field.
#[derive(Debug, Default)]
pub(super) struct Stray {
    letters: String,
    until_ms: u64,
    /// When the last of them came.
    last_ms: u64,
    /// The letter that took the offer up in the flow of typing, and until when it was one of the text: it was, if another follows.
    taken_by: Option<(char, u64)>,
}

impl Stray {
    fn is_text(&self) -> bool {
        self.letters.chars().nth(SLIPS - 1).is_some()
    }
}

impl App {
    /// A key where no text is written. `true`: it was a letter of a text, or is about one.
    pub(super) fn stray_key(&mut self, key: Key) -> bool {
        let place = self.scope();
        if !matches!(place, Scope::List | Scope::Messages) {
            self.stray.letters.clear();
            return false;
        }
        self.forget_stray();
        if self.stray.is_text() {
            return self.text_key(key);
        }
        // A word of which the second letter is the one that writes.
        if self.keys.command(place, key) == Some(Command::WriteHere) && !self.stray.letters.is_empty() && self.flows() {
            self.write_stray(key.typed());
            return true;
        }
        let does = self.keys.command(place, key).is_some_and(|command| self.applies(self.turned(command)));
        match key.typed() {
            Some(letter) if !does && letter.is_alphanumeric() => {
                self.stray.letters.push(letter);
                self.offer();
                true
            }
            _ => {
                self.stray.letters.clear();
                false
            }
        }
    }

    /// What is no longer offered is gone.
    pub(super) fn forget_stray(&mut self) {
        if self.stray.until_ms <= self.clock.now_ms {
            self.stray.letters.clear();
        }
    }

    /// A key while a text is offered to be written.
    fn text_key(&mut self, key: Key) -> bool {
        let accepts = self.keys.command(Scope::Messages, key) == Some(Command::WriteHere);
        match (key.code, key.typed()) {
            (_, letter) if accepts => self.write_stray(letter),
            (_, Some(letter)) => {
                if self.stray.letters.chars().count() < MAX_STRAY {
                    self.stray.letters.push(letter);
                }
                self.offer();
            }
            (KeyCode::Backspace, _) => {
                self.stray.letters.pop();
                self.offer();
            }
            // Whoever sends it sees first where it goes.
            (KeyCode::Enter, _) => self.offer(),
            (KeyCode::Esc, _) => {
                self.stray.letters.clear();
                self.remark = None;
            }
            _ => {
                self.stray.letters.clear();
                self.remark = None;
                return false;
            }
        }
        true
    }

    /// Says how it is written, and where.
    fn offer(&mut self) {
        self.stray.until_ms = self.clock.now_ms.saturating_add(OFFER_MS);
        self.stray.last_ms = self.clock.now_ms;
        if !self.stray.is_text() {
            return;
        }
        let row = self.chat_here().and_then(|chat| self.chats.get(chat));
        let key = |command| self.keys.hint(command).unwrap_or_default();
        let text = match row.map(|row| (row.state, row.name.as_str())) {
            None => "Nobody is there to write to yet".to_owned(),
            Some((ContactState::Request, _)) => format!("Accept the request first: {}", key(Command::Accept)),
            Some((_, name)) => {
                let to = if self.focus == Focus::List { format!(" to {name}") } else { String::new() };
                format!("{} writes{to}: {}", key(Command::WriteHere), self.stray.letters)
            }
        };
        self.remark_for(Weight::Note, text, OFFER_MS);
    }

    /// The letter that took the offer up, if the text goes on at once: somebody writes words that have it.
    pub(super) fn goes_on(&mut self, key: Key) {
        if let Some((letter, until_ms)) = self.stray.taken_by.take()
            && key.typed().is_some()
            && self.focus == Focus::Write
            && self.clock.now_ms < until_ms
        {
            self.write(letter.encode_utf8(&mut [0; 4]));
        }
    }

    /// The letter before came just now.
    const fn flows(&self) -> bool {
        self.clock.now_ms < self.stray.last_ms.saturating_add(FLOW_MS)
    }

    fn write_stray(&mut self, by: Option<char>) {
        let now = self.clock.now_ms;
        let flows = self.flows();
        let text = std::mem::take(&mut self.stray.letters);
        let Some(chat) = self.chat_here().map(str::to_owned) else { return };
        self.remark = None;
        self.open_chat(&chat);
        self.write_here();
        if self.focus == Focus::Write {
            // Behind what is written there already it is another word.
            let before = self.editor().and_then(|editor| editor.text()[..editor.cursor()].chars().next_back());
            let space = if before.is_some_and(|c| !c.is_whitespace()) { " " } else { "" };
            self.write(&format!("{space}{text}"));
            self.stray.taken_by = by.filter(|_| flows).map(|letter| (letter, now.saturating_add(FLOW_MS)));
        }
    }
}
