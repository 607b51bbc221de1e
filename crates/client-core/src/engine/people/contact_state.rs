//! What a person decides about a contact: another name, block, unblock, remove.
//!
//! Blocking has to bite at the relay: the delivery key that the blocked one has is replaced, the old one is dead at once,
//! and everybody else is introduced to the new one: with the next content, or within a day at a random moment of their own.
//! Each of these calls may be repeated: it asks for a state, not for a step.

use crate::{
    api::{ApiError, Contact, ContactState, Done, ErrorKind, RenameParams, WhoParams},
    clean::clean_name,
    content::{Body, Hello},
    engine::{
        core::{Change, Core, ids::random_within},
        people::{
            audience::may_hear_from_us,
            naming::{self, MAX_NAME_CHARS},
            view,
        },
    },
    limits::{INTRODUCE_GAP, INTRODUCE_WITHIN, millis},
    store::{
        self,
        contacts::{self, ContactRow},
        conversations,
        events::Happened,
        peers,
    },
};

/// Why what waited for somebody who is blocked now did not go.
const BLOCKED: &str = "you blocked them";

impl Core {
    /// Shows a contact under another name, on this device.
    pub(crate) fn contact_rename(&mut self, params: &RenameParams) -> Result<Contact, ApiError> {
        let mut contact = self.contact_row(&params.who)?;
        let name = clean_name(&params.name);
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("a name has 1 to {MAX_NAME_CHARS} characters that can be shown"),
            ));
        }
        if naming::is_taken(&self.db, &self.own, &name, contact.account())? {
            return Err(ApiError::new(ErrorKind::Usage, format!("{name:?} is somebody else's name here"))
                .hint("choose one that no contact has as name or handle; `subrosa contact list` shows them"));
        }
        if contact.name != name {
            contact.name = name;
            contact.looks_like = None;
            self.change(|change| change.put_contact(&contact))?;
        }
        Ok(view(&self.own, &contact))
    }

    /// Accepts a request, or lets sending go on after a refused list.
    pub(crate) fn contact_accept(&mut self, params: &WhoParams) -> Result<Contact, ApiError> {
        let account = *self.contact_row(&params.who)?.account();
        self.change(|change| change.accept(&account))
    }

    pub(crate) fn contact_block(&mut self, params: &WhoParams) -> Result<Contact, ApiError> {
        let contact = self.contact_row(&params.who)?;
        if contact.state == ContactState::Blocked {
            return Ok(view(&self.own, &contact));
        }
        self.change(|change| change.block(contact))
    }

    pub(crate) fn contact_unblock(&mut self, params: &WhoParams) -> Result<Contact, ApiError> {
        let contact = self.contact_row(&params.who)?;
        if contact.state != ContactState::Blocked {
            return Ok(view(&self.own, &contact));
        }
        self.change(|change| change.unblock(contact))
    }

    /// Forgets a contact and everything that was said. For a request: declines it, without a word to them.
    pub(crate) fn contact_remove(&mut self, params: &WhoParams) -> Result<Done, ApiError> {
        let contact = self.contact_row(&params.who)?;
        let id = *contact.account();
        self.change(|change| change.remove(contact))?;
        Ok(Done { id: Some(id.to_string()), count: 1 })
    }
}

/// Whether they may have our delivery key: it was sealed to them once, also if that was long ago or in a state they are not in
/// any more; or another device of ours may have given it to them.
const fn may_have_our_key(contact: &ContactRow, state: ContactState) -> bool {
    contact.given.had_key || may_hear_from_us(state)
}

impl Change<'_> {
    fn block(&mut self, mut contact: ContactRow) -> Result<Contact, ApiError> {
        let rotates = may_have_our_key(&contact, contact.state);
        let member = self.member_key_of_who_goes(contact.account())?;
        contact.state_before = Some(contact.state);
        contact.decided_ms = self.now_ms;
        self.set_blocked(&mut contact)?;
        if rotates {
            self.rotate_keys(&self.own.list, member)?;
        }
        self.sync_contact(&contact)?;
        Ok(view(self.own, &contact))
    }

    /// From now on nothing goes to them, and nothing of theirs is looked at.
    fn set_blocked(&mut self, contact: &mut ContactRow) -> Result<(), ApiError> {
        contact.state = ContactState::Blocked;
        self.fail_outbox(contact.account(), BLOCKED)?;
        store::pending_receipts::drop_for(self.db, contact.account())?;
        self.put_contact(contact)
    }

    fn unblock(&mut self, mut contact: ContactRow) -> Result<Contact, ApiError> {
        contact.decided_ms = self.now_ms;
        self.set_unblocked(&mut contact)?;
        if may_hear_from_us(contact.state) {
            self.queue(contact.account(), Body::Hello(Hello {}))?;
        }
        self.sync_contact(&contact)?;
        Ok(view(self.own, &contact))
    }

    fn set_unblocked(&mut self, contact: &mut ContactRow) -> Result<(), ApiError> {
        contact.state = contact.state_before.take().unwrap_or(ContactState::Request);
        // The key they have is dead: what we send introduces us until they answer.
        contact.given.answered = false;
        contact.given.introduced = false;
        contact.reach.requested = false;
        contact.peer.list_stale = true;
        self.put_contact(contact)
    }

    fn remove(&mut self, mut contact: ContactRow) -> Result<(), ApiError> {
        let rotates = may_have_our_key(&contact, contact.state);
        let member = self.member_key_of_who_goes(contact.account())?;
        contact.state = ContactState::Removed;
        contact.decided_ms = self.now_ms;
        self.forget(&contact)?;
        if rotates {
            self.rotate_keys(&self.own.list, member)?;
        }
        self.sync_contact(&contact)
    }

    /// Forgets a contact with the conversation: nothing of it stays in the store.
    fn forget(&mut self, contact: &ContactRow) -> Result<(), ApiError> {
        let account = contact.account();
        let conversation = self.own.chat_with(account);
        conversations::delete(self.db, &conversation)?;
        if self.is_fellow(account)? {
            // With us in a conversation of several: nothing to us any more, but somebody there.
            contacts::delete(self.db, account)?;
        } else {
            peers::delete(self.db, account)?;
        }
        store::events::forget_account(self.db, account)?;
        store::invites::forget_user(self.db, account)?;
        store::requests::forget_about(self.db, [&account.to_string(), &conversation.to_string()])?;
        self.scrub();
        self.event(&Happened::Removed { account: *account })
    }

    /// What another device of ours decided about a contact, later than what is known here.
    pub(in crate::engine) fn apply_decision(
        &mut self,
        contact: &mut ContactRow,
        state: ContactState,
        decided_ms: u64,
    ) -> Result<(), ApiError> {
        contact.decided_ms = decided_ms;
        match state {
            ContactState::Removed => self.forget(contact)?,
            ContactState::Blocked if contact.state != ContactState::Blocked => {
                contact.state_before = Some(contact.state);
                self.set_blocked(contact)?;
            }
            ContactState::Blocked => {}
            other => {
                if contact.state == ContactState::Blocked {
                    self.set_unblocked(contact)?;
                }
                contact.state = other;
            }
        }
        Ok(())
    }
}

impl Core {
    /// Gives our new delivery key to whoever's moment has come. When the next one's comes.
    ///
    /// Only one at a time: an engine that was off for a day would otherwise name all contacts in one burst.
    pub(crate) fn introduce_due(&mut self, now_ms: u64) -> Result<Option<u64>, ApiError> {
        let Some((account, due_ms)) = contacts::next_introduction(&self.db)? else { return Ok(None) };
        // A moment that is further away than any was set by a clock that was ahead.
        if due_ms > now_ms && due_ms <= now_ms.saturating_add(millis(INTRODUCE_WITHIN)) {
            return Ok(Some(due_ms));
        }
        self.change(|change| {
            contacts::set_introduce_ms(change.db, &account, None)?;
            change.queue(&account, Body::Hello(Hello {}))?;
            let gap = now_ms.saturating_add(1)..=now_ms.saturating_add(millis(INTRODUCE_GAP));
            contacts::postpone_introductions(change.db, random_within(&gap)?)?;
            Ok(contacts::next_introduction(change.db)?.map(|(_, due_ms)| due_ms))
        })
    }
}
