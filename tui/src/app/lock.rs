//! The lock: nothing of the account is on the screen until the passphrase is given again.
//!
//! The engine goes on: what comes is stored, and its senders see that it was delivered. Nothing counts as read. What the interface
//! holds is wiped and let go; it is read again afterwards. The store's key stays with the engine in this process, so the lock
//! is for eyes and hands at this screen, not for whoever can read this memory.

use std::collections::HashMap;

use subrosa_client_core::{ApiError, api::ContactState, open::EngineAt};

use super::{App, Asked, Weight};
use crate::{
    account_service::Known,
    model::chats::ChatList,
    sign_in::{SignIn, Unlock},
};

/// What is kept while nothing is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Hiding {
    /// The chat that was open.
    open: Option<String>,
    /// Chats that tell of new messages, and until when they do not.
    heard: HashMap<String, u64>,
    /// A text that the engine did not take meanwhile.
    pub(super) failed: Option<ApiError>,
}

impl App {
    /// Hides everything, if there is a passphrase to bring it back with.
    pub(super) fn lock(&mut self) {
        if let Some(opens_with) = &self.opens_with {
            let text = format!(
                "This account opens with {opens_with}. A lock needs a passphrase that only you know: leave, and give the account \
                 one with: subrosa account passphrase"
            );
            self.sign_in = Some(SignIn::Told { title: "Nothing to lock with", text: crate::text::line(&text) });
            return;
        }
        // Drafts are with the engine before they go.
        self.keep_draft();
        let rows = self.chats.rows().iter().filter(|row| row.state == ContactState::Ok);
        self.hiding = Some(Hiding {
            open: self.open.as_ref().map(|open| open.chat.clone()),
            heard: rows.map(|row| (row.id.clone(), row.muted_until_ms)).collect(),
            failed: None,
        });
        self.chats.wipe();
        if let Some(open) = &mut self.open {
            open.wipe();
        }
        self.drafts.values_mut().for_each(crate::editor::Editor::wipe);
        self.chats = ChatList::default();
        self.open = None;
        self.drafts.clear();
        self.kept.clear();
        self.keep_due_ms = None;
        self.reply = None;
        self.search = None;
        self.jumps.clear();
        self.overlays.clear();
        self.deed = None;
        self.only_quote = None;
        self.stray = super::stray::Stray::default();
        self.remark = None;
        let account = self.account.as_ref().map(|account| Known {
            handle: account.name.clone(),
            relay: account.relay.clone(),
            ..Known::default()
        });
        let account = account.unwrap_or_default();
        self.sign_in = Some(SignIn::Locked(Unlock { account, asks: true, ..Unlock::default() }));
    }

    /// Shows everything again.
    pub(super) fn reveal(&mut self) {
        self.sign_in = None;
        self.input_ms = self.clock.now_ms;
        let hiding = self.hiding.take().unwrap_or_default();
        self.open_when_known = hiding.open;
        if let Some(error) = &hiding.failed {
            self.failed(error);
        }
        self.asked_newest = Asked::default();
        self.asked_read = false;
        self.load_chats();
        self.load_status();
        if matches!(self.engine_at, EngineAt::Lost(_)) {
            let (at, asks) = (self.engine_at.clone(), self.engine_asks);
            self.engine_moved(at, asks);
        }
    }

    /// Nothing of the account may be shown.
    pub(super) const fn is_hidden(&self) -> bool {
        self.hiding.is_some()
    }

    /// Something came while nothing is shown: who and what stays hidden, too.
    pub(super) fn heard(&mut self, chat: &str) {
        let now = self.clock.now_ms;
        let told = self.hiding.as_ref().is_some_and(|hiding| hiding.heard.get(chat).is_some_and(|until| *until <= now));
        if told {
            let (title, body) = ("Subrosa".to_owned(), "New message".to_owned());
            self.effects.push(crate::message::Effect::Notify { title, body });
        }
    }

    /// When the screen locks itself, if nobody does anything.
    pub(super) fn lock_due_ms(&self) -> Option<u64> {
        let after = self.lock_after_ms.filter(|_| self.opens_with.is_none() && self.can_lock())?;
        Some(self.input_ms.saturating_add(after))
    }

    const fn can_lock(&self) -> bool {
        self.account.is_some() && matches!(self.sign_in, None | Some(SignIn::Told { .. } | SignIn::TakeOver(_)))
    }

    /// Locks when it is time.
    pub(super) fn watch_lock(&mut self) {
        if self.lock_due_ms().is_some_and(|due| due <= self.clock.now_ms) {
            self.lock();
            self.remark_for(Weight::Note, "locked, as nobody was here", u64::MAX);
        }
    }
}
