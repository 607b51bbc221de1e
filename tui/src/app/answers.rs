//! What the engine says: answers to what was asked, and its events.

use subrosa_client_core::{
    ApiError,
    api::{
        Chats, Contact, ContactState, Done, Event, History, Message, MessageStatus, NoParams, SendParams, Sent, Status,
    },
};

use super::{App, Focus, Weight};
use crate::{
    ask::{Answer, Call, Page, PageOf, UpTo},
    commands::Command,
    config::Preview,
    message::{Effect, Msg},
    overlay::Overlay,
    text,
};

impl App {
    pub(super) fn answer(&mut self, msg: Msg) {
        if let Msg::Answered(answer) = &msg
            && let Answer::Send(..) = **answer
        {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        if self.is_hidden() {
            return self.answer_hidden(msg);
        }
        match msg {
            Msg::Begun => {
                self.ask(Call::Account(NoParams {}));
                self.load_chats();
                self.load_status();
            }
            Msg::Connection(status) => self.status = Some(status),
            Msg::Answered(answer) => self.answered(*answer),
            Msg::Events(page) => {
                for event in page.events {
                    self.event(event);
                }
            }
            Msg::NotCopied => self.remark(Weight::Bad, "that is too long for the clipboard"),
            Msg::NotOpened(why) => self.remark(Weight::Bad, why),
            Msg::EventsEnded(error) => self.ended = Some(text::line(&error.message)),
            Msg::Looked(_)
            | Msg::Words(_)
            | Msg::Made(_)
            | Msg::Opened(_)
            | Msg::Unlocked(_)
            | Msg::EngineAt { .. } => self.door_answer(msg),
            Msg::Key(_) | Msg::Paste(_) | Msg::Mouse(_) | Msg::Resize(..) | Msg::Focus(_) | Msg::Due => {}
        }
    }

    /// The engine has answered: each answer goes to where its question came from.
    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Account(_, Ok(account)) => self.account = Some(account),
            Answer::Account(_, Err(error)) | Answer::Draft(_, Err(error)) => self.failed(&error),
            Answer::Draft(_, Ok(_)) => {}
            Answer::Status(_, answer) => self.status_answer(answer),
            Answer::Chats(_, answer) => self.chats_answer(answer),
            Answer::History(PageOf { chat, page }, answer) => self.page(&chat, &page, answer),
            Answer::Search(query, answer) => self.found(query, answer),
            Answer::Send(text, answer) => self.sent(&text, answer),
            Answer::Read(UpTo { chat, .. }, answer) => self.was_read(&chat, answer),
            Answer::SetChat(asked, answer) => self.chat_set(asked, answer),
            Answer::KeepShow(asked, answer) => self.keep_shown(asked, answer),
            Answer::Rename(asked, answer) => self.renamed(asked, answer),
            Answer::Block(asked, answer) => self.block_set(&Call::Block(asked), answer),
            Answer::Unblock(asked, answer) => self.block_set(&Call::Unblock(asked), answer),
            Answer::Remove(asked, answer) => self.contact_removed(&asked.who, answer),
            Answer::Accept(_, answer) => self.accepted(answer),
            Answer::Contact(_, answer) => self.contact_shown(answer),
            Answer::Verify(asked, answer) => self.identity_shown(asked.number.is_some(), answer),
            Answer::Receipts(_, answer) => self.receipts_shown(answer),
            Answer::Outbox(_, answer) => self.outbox_answer(answer),
            Answer::Retry(_, answer) => self.outbox_done("trying now", answer),
            Answer::TakeBack(_, answer) => self.outbox_done("taken back: no relay has it", answer),
            Answer::Invite(_, answer) => self.invited(answer),
            Answer::Links(_, answer) => self.links_answer(answer),
            Answer::Revoke(_, answer) => self.revoked(answer),
            Answer::Join(_, answer) => self.join_answer(answer),
        }
    }

    fn chats_answer(&mut self, answer: Result<Chats, ApiError>) {
        if self.asked_chats.answered() {
            self.ask(Call::all_chats());
        }
        match answer {
            Ok(chats) => {
                if !self.chats.loaded {
                    self.take_drafts(&chats.chats);
                }
                self.chats.replace(&chats.chats);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn sent(&mut self, text: &SendParams, answer: Result<Sent, ApiError>) {
        if let Err(error) = answer {
            let id = self.own_message_id(&text.to, text.id.as_deref().unwrap_or_default());
            self.set_status(&text.to, &id, MessageStatus::Failed, Some(&error.message));
            self.failed(&error);
        }
    }

    fn was_read(&mut self, chat: &str, answer: Result<Done, ApiError>) {
        let open = self.open.as_mut().filter(|open| open.chat == chat);
        match answer {
            Ok(_) => {
                let mut left = false;
                if let Some(open) = open {
                    open.set_read();
                    self.asked_read = false;
                    // Something was put in above what was read: the engine knows how much.
                    let first = self.chats.get(chat).and_then(|row| row.first_unread.as_deref());
                    left = first.is_some_and(|id| open.entry(id).is_none_or(|entry| entry.unread));
                }
                if left {
                    self.load_chats();
                } else {
                    self.chats.set_read(chat);
                }
            }
            // Tried again when the next message comes.
            Err(error) => {
                self.read_failed = true;
                self.failed(&error);
            }
        }
    }

    /// While nothing is shown, only that something came is told; what was asked before is let go.
    fn answer_hidden(&mut self, msg: Msg) {
        match msg {
            Msg::Events(page) => {
                for event in page.events {
                    if let Event::Message(message) = event
                        && !message.outgoing
                    {
                        self.heard(&message.chat);
                    }
                }
            }
            Msg::Answered(answer) => match *answer {
                Answer::Send(_, Err(error)) => {
                    if let Some(hiding) = &mut self.hiding {
                        hiding.failed = Some(error);
                    }
                }
                Answer::Chats(..) => self.asked_chats = super::Asked::default(),
                Answer::Status(..) => self.asked_status = super::Asked::default(),
                _ => {}
            },
            Msg::EventsEnded(error) => self.ended = Some(text::line(&error.message)),
            msg => self.door_answer(msg),
        }
    }

    pub(super) fn failed(&mut self, error: &ApiError) {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.remark(Weight::Bad, format!("{}{hint}", error.message));
    }

    fn status_answer(&mut self, answer: Result<Status, ApiError>) {
        if self.asked_status.answered() {
            self.ask(Call::Status(NoParams {}));
        }
        match answer {
            Ok(status) => self.status = Some(status),
            Err(error) => self.failed(&error),
        }
    }

    fn page(&mut self, chat: &str, page: &Page, answer: Result<History, ApiError>) {
        // Of a chat that was left meanwhile.
        if self.open.as_ref().is_none_or(|open| open.chat != chat) {
            return;
        }
        let watched = self.watched();
        let again = matches!(page, Page::Newest { .. }) && self.asked_newest.answered();
        let Some(open) = &mut self.open else { return };
        if let Ok(history) = &answer {
            open.set_missing(&history.missing, &self.clock);
        }
        match (answer, page) {
            // The view went elsewhere meanwhile.
            (Ok(_), Page::Newest { .. }) if open.jumping() || !open.reaches_newest() => {}
            (Ok(history), Page::Newest { limit }) => {
                if open.newest(&history.messages, *limit, watched, &self.clock) {
                    if again {
                        let page = Page::Newest { limit: crate::model::conversation::PAGE / 2 };
                        self.ask(Call::page(chat, page));
                    }
                } else {
                    self.asked_newest = super::Asked { open: true, stale: again };
                    let page = Page::Newest { limit: subrosa_client_core::limits::MAX_HISTORY_PAGE };
                    self.ask(Call::page(chat, page));
                }
            }
            (Ok(history), Page::StillThere { .. }) => {
                let again = self.asked_still_there.answered();
                if !open.only_there(&history.messages, history.more_before, &self.clock) {
                    open.start_at_newest();
                    self.load_newest();
                }
                if again {
                    self.ask(Call::page(chat, page.clone()));
                }
            }
            (Ok(history), Page::Before { id, .. }) => {
                open.before(id, &history.messages, history.more_before, &self.clock);
            }
            (Ok(history), Page::After { id, .. }) => {
                open.after(id, &history.messages, history.more_after, &self.clock);
                // What came since the page was read.
                self.load_newest();
            }
            (Ok(history), Page::Around { id, .. }) => {
                let more = (history.more_before, history.more_after);
                if open.around(id, &history.messages, more, &self.clock) {
                    self.load_newest();
                }
            }
            (Ok(history), Page::Oldest { .. }) => open.oldest(&history.messages, history.more_after, &self.clock),
            (Err(error), page) => {
                match page {
                    Page::Newest { .. } => {}
                    Page::StillThere { .. } => self.asked_still_there = super::Asked::default(),
                    Page::Before { .. } => open.page_failed(true),
                    Page::After { .. } => open.page_failed(false),
                    Page::Oldest { .. } => open.give_up_jump(None),
                    Page::Around { id, .. } => {
                        open.give_up_jump(Some(id));
                        if !open.loaded {
                            self.load_newest();
                        }
                    }
                }
                self.failed(&error);
            }
        }
    }

    fn set_status(&mut self, chat: &str, id: &str, status: MessageStatus, error: Option<&str>) {
        let newest = self.chats.set_status(chat, id, status);
        let open = self.open.as_mut().filter(|open| open.chat == chat);
        let shown = open.map(|open| open.set_status(id, status, error));
        // Sent elsewhere: by a command, or by another device.
        if status == MessageStatus::Queued {
            if !newest {
                self.load_chats();
            }
            if shown == Some(false) {
                self.load_newest();
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.message(&message),
            Event::Receipt(receipt) => self.set_status(&receipt.chat, &receipt.id, receipt.overall, None),
            Event::State(state) => {
                self.set_status(&state.chat, &state.id, state.status, state.error.as_deref());
                self.load_status();
                self.refresh_outbox();
            }
            Event::Chat(event) => {
                if !self.chats.set_chat(&event.chat) || event.deleted {
                    self.load_chats();
                }
                if event.deleted {
                    self.look_again(&event.chat.id);
                }
            }
            Event::Contact(event) => self.contact_changed(&event.contact),
            Event::Notice(notice) => {
                // What it is about stands in the conversation, too.
                if notice.code.starts_with("restor") {
                    self.load_newest();
                }
                self.remark_for(Weight::Note, notice.text, 2 * super::REMARK_MS);
            }
        }
    }

    fn message(&mut self, message: &Message) {
        if !self.chats.receive(message) {
            self.load_chats();
        }
        let watched = self.watched();
        if let Some(open) = self.open.as_mut().filter(|open| open.chat == message.chat) {
            if !open.reaches_newest() && !message.outgoing && !message.late {
                open.below += 1;
            }
            self.load_newest();
            self.asked_read &= !std::mem::take(&mut self.read_failed);
            if message.late {
                let key = self.keys.hint(Command::NextUnread).unwrap_or_default();
                self.remark(Weight::Note, format!("Further up a message arrived: {key}"));
            }
            if watched {
                return;
            }
        }
        let now = self.clock.now_ms;
        let known =
            self.chats.get(&message.chat).is_some_and(|row| row.state == ContactState::Ok && row.muted_until_ms <= now);
        if !message.outgoing && known {
            self.notify(message);
        }
    }

    fn notify(&mut self, message: &Message) {
        let name = text::line(&message.from.name);
        let (title, body) = match self.preview {
            Preview::Full => (name, text::line(&message.body)),
            Preview::Sender => (name, "New message".to_owned()),
            Preview::None => ("Subrosa".to_owned(), "New message".to_owned()),
        };
        self.effects.push(Effect::Notify { title, body });
    }

    pub(super) fn contact_changed(&mut self, contact: &Contact) {
        if contact.state == ContactState::Removed && self.open.as_ref().is_some_and(|open| open.chat == contact.chat) {
            self.close_chat();
        }
        if contact.state == ContactState::Removed || !self.chats.set_contact(contact) {
            self.load_chats();
        }
        if let Some(open) = self.open.as_mut().filter(|open| open.chat == contact.chat) {
            open.name = text::line(&contact.name);
            if open.state == ContactState::Request && contact.state == ContactState::Ok && self.focus == Focus::Messages
            {
                self.focus = Focus::Write;
                open.end_selecting();
            }
            open.state = contact.state;
        }
        if let Some(Overlay::Contact(Some(shown))) = self.overlays.last_mut()
            && shown.id == contact.id
        {
            *shown = contact.clone();
        }
        self.refresh_links();
        self.load_status();
    }
}
