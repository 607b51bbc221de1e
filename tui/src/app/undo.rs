//! What was just done is taken back by one key, which the lowest row names as long as it works.

use super::{App, Focus, Weight};
use crate::{ask::Call, commands::Command, message::Effect};

/// How long what was done can be taken back by the key, and is named: long enough to read it and to be startled.
pub(super) const UNDO_MS: u64 = 10_000;

/// An act, and what takes it back.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    act: Call,
    undo: Call,
    /// Until when the key takes it back; nothing while the engine has not answered.
    until_ms: Option<u64>,
}

impl App {
    pub(super) fn ask(&mut self, call: Call) {
        self.effects.push(Effect::Ask(call));
    }

    /// Asks for an act that can be taken back.
    pub(super) fn act(&mut self, act: Call, undo: Call) {
        self.deed = Some(Deed { act: act.clone(), undo, until_ms: None });
        self.ask(act);
    }

    /// Says what was done, and by which key it is taken back, if it can be.
    pub(super) fn done(&mut self, act: &Call, what: &str) {
        let until_ms = self.clock.now_ms.saturating_add(UNDO_MS);
        match &mut self.deed {
            Some(deed) if deed.act == *act => deed.until_ms = Some(until_ms),
            _ => return self.remark(Weight::Good, what),
        }
        // Where one writes a letter is a letter.
        let command = if self.focus == Focus::Write { Command::Undo } else { Command::UndoAct };
        match self.keys.hint(command) {
            // First: what does not fit is cut off at the end.
            Some(key) => self.remark_for(Weight::Good, format!("{key} takes back: {what}"), UNDO_MS),
            None => self.remark(Weight::Good, what),
        }
    }

    /// Whether there is something to take back now.
    pub(super) fn can_undo(&self) -> bool {
        self.deed.as_ref().and_then(|deed| deed.until_ms).is_some_and(|until| until > self.clock.now_ms)
    }

    /// Takes back what was just done. Taking that back is the act again.
    pub(super) fn undo_act(&mut self) {
        if self.can_undo()
            && let Some(deed) = self.deed.take()
        {
            self.remark = None;
            self.act(deed.undo, deed.act);
        }
    }

    /// Something else was done meanwhile: the key means that.
    pub(super) fn forget_undo(&mut self) {
        self.deed = None;
    }
}
