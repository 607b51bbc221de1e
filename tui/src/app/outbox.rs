//! What waits in the outbox: seen, sent now, taken back.

use subrosa_client_core::{
    ApiError,
    api::{Done, Outbox, OutboxCancelParams, OutboxListParams, OutboxRetryParams},
};

use super::{App, Weight};
use crate::{
    ask::Call,
    commands::Command,
    message::Effect,
    overlay::{Overlay, Waiting},
};

impl App {
    pub(super) fn show_outbox(&mut self) {
        self.overlays.push(Overlay::Outbox(Waiting::default()));
        self.ask(Call::Outbox(OutboxListParams::default()));
    }

    /// Reads it again while it is looked at.
    pub(super) fn refresh_outbox(&mut self) {
        let looked_at = matches!(self.overlays.last(), Some(Overlay::Outbox(_)));
        let question = Effect::Ask(Call::Outbox(OutboxListParams::default()));
        if looked_at && !self.effects.contains(&question) {
            self.effects.push(question);
        }
    }

    pub(super) fn outbox_answer(&mut self, answer: Result<Outbox, ApiError>) {
        let Some(Overlay::Outbox(waiting)) = self.overlays.last_mut() else { return };
        match answer {
            Ok(outbox) => {
                let selected = waiting.selected_id().map(str::to_owned);
                let at = outbox.entries.iter().position(|entry| Some(&entry.id) == selected.as_ref());
                waiting.selected = at.unwrap_or(waiting.selected).min(outbox.entries.len().saturating_sub(1));
                waiting.outbox = Some(outbox);
            }
            Err(error) => {
                self.overlays.pop();
                self.failed(&error);
            }
        }
    }

    /// Sends the selected message that waits at once, or takes it back.
    pub(super) fn retry_or_take_back(&mut self, command: Command) {
        let id = match self.overlays.last() {
            Some(Overlay::Outbox(waiting)) => waiting.selected_id(),
            Some(_) => None,
            None => self.open.as_ref().and_then(|open| open.selected()).map(|entry| entry.id.as_str()),
        };
        let Some(id) = id.map(str::to_owned) else { return };
        self.ask(match command {
            Command::Retry => Call::Retry(OutboxRetryParams { id: Some(id) }),
            _ => Call::TakeBack(OutboxCancelParams { id }),
        });
    }

    /// It is tried now, or was taken back.
    pub(super) fn outbox_done(&mut self, what: &str, answer: Result<Done, ApiError>) {
        match answer {
            Ok(_) => {
                self.remark(Weight::Good, what);
                self.refresh_outbox();
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Goes to the selected message.
    pub(super) fn go_to_waiting(&mut self, waiting: &Waiting) {
        let entry = waiting.outbox.as_ref().and_then(|outbox| outbox.entries.get(waiting.selected));
        if let Some((chat, id)) = entry.map(|entry| (entry.chat.clone(), entry.id.clone())) {
            self.jump(&chat, "", &id);
        }
    }
}

impl Waiting {
    fn selected_id(&self) -> Option<&str> {
        Some(&self.outbox.as_ref()?.entries.get(self.selected)?.id)
    }
}
