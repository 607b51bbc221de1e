//! What is written and not sent is kept by the engine: it is there again when the interface comes back.

use subrosa_client_core::api::ChatDraftParams;

use super::App;
use crate::{ask::Call, editor::Editor, message::Effect};

/// After a change it is kept so soon: a crash costs about a second of writing, and typing costs no more than a write a second.
const KEEP_MS: u64 = 1_000;

impl App {
    /// Takes the drafts of an earlier time, once.
    pub(super) fn take_drafts(&mut self, chats: &[subrosa_client_core::api::Chat]) {
        for chat in chats {
            if let Some(text) = chat.draft.as_ref().filter(|text| !text.is_empty()) {
                let editor = self.drafts.entry(chat.id.clone()).or_insert_with(|| Editor::with(text));
                if editor.text() == text {
                    self.kept.insert(chat.id.clone(), text.clone());
                }
            }
        }
    }

    /// The open chat, and what is written in it, if the engine keeps something else.
    fn draft_to_keep(&self) -> Option<(&str, &str)> {
        let chat = self.open.as_ref()?.chat.as_str();
        let text = self.drafts.get(chat).filter(|editor| !editor.is_blank()).map_or("", Editor::text);
        (self.kept.get(chat).map_or("", String::as_str) != text).then_some((chat, text))
    }

    /// Keeps it now.
    pub(super) fn keep_draft(&mut self) {
        self.keep_due_ms = None;
        if let Some((chat, text)) = self.draft_to_keep().map(|(chat, text)| (chat.to_owned(), text.to_owned())) {
            self.kept.insert(chat.clone(), text.clone());
            self.ask(Call::Draft(ChatDraftParams { chat, text }));
        }
    }

    /// Keeps it when its time has come.
    pub(super) fn watch_draft(&mut self) {
        let now = self.clock.now_ms;
        match self.keep_due_ms {
            Some(due) if due <= now => self.keep_draft(),
            Some(_) => {}
            None => self.keep_due_ms = self.draft_to_keep().is_some().then(|| now.saturating_add(KEEP_MS)),
        }
    }

    /// What is still to be done when the interface ends, however it ends.
    pub(crate) fn leave(&mut self) -> Vec<Effect> {
        self.keep_draft();
        std::mem::take(&mut self.effects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{NOW, app, chats, press, tell_chats, type_in, with_ana_open},
        keymap::Profile,
        message::Msg,
    };

    fn kept(effects: &[Effect]) -> Vec<(&str, &str)> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Ask(Call::Draft(draft)) => Some((draft.chat.as_str(), draft.text.as_str())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_draft_is_kept_soon_on_leaving_the_chat_and_at_the_end() {
        let mut app = with_ana_open(Profile::Vim, (120, 40));
        type_in(&mut app, "half");
        assert_eq!(app.due_ms(), Some(NOW + KEEP_MS));
        assert_eq!(kept(&app.update(Msg::Due, NOW + KEEP_MS)), [("ana", "half")]);
        assert_eq!(kept(&app.update(Msg::Due, NOW + 9 * KEEP_MS)), [], "nothing changed");
        type_in(&mut app, " a thought");
        assert_eq!(kept(&press(&mut app, "alt+down")), [("ana", "half a thought")]);
        press(&mut app, "alt+up");
        let effects = press(&mut app, "enter");
        assert_eq!(kept(&effects), [("ana", "")], "sent: nothing is left");
        let place = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).unwrap();
        assert!(
            place(|e| matches!(e, Effect::Ask(Call::Send(_)))) < place(|e| matches!(e, Effect::Ask(Call::Draft(_))))
        );
        type_in(&mut app, "more");
        assert_eq!(kept(&app.leave()), [("ana", "more")]);
    }

    #[test]
    fn a_draft_of_an_earlier_time_is_there_again() {
        let mut app = app(Profile::Vim, (120, 40));
        app.chats = crate::model::chats::ChatList::default();
        let mut chats = chats();
        chats[0].draft = Some("from yesterday".to_owned());
        tell_chats(&mut app, chats.clone());
        press(&mut app, "enter");
        assert_eq!(app.editor().unwrap().text(), "from yesterday");
        assert!(app.leave().iter().all(|effect| !matches!(effect, Effect::Ask(Call::Draft(_)))), "it is kept already");
        press(&mut app, "enter");
        tell_chats(&mut app, chats);
        assert!(app.editor().is_none(), "an older answer does not bring it back");
    }
}
