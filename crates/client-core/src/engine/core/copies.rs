//! Two live copies of one device (docs/protocol.md, "What a client does with them"): whoever finds that another copy was used stops, until
//! a person chooses it. There are three ways to find it, and one story for all of them: the relay does not know this copy's marks any
//! more; it remembers acknowledgements that this copy never gave; another copy is told the same because this one was chosen.

use std::sync::atomic::Ordering;

use subrosa_wire::mailbox::LoginMarks;

use crate::{
    api::{ApiError, Done, ErrorKind},
    engine::core::{Core, ids::random_id},
    store,
};

/// What happened, for people.
pub(crate) const OTHER_COPY: &str = "another copy of this account was used since this one (a copied or restored directory, or another machine): \
    this one neither sends nor fetches anything, and what you write waits here";

/// What to do about it.
pub(crate) const KEEP: &str = "to go on with this copy: subrosa account keep-this-copy; to go on with the other one, stop using this one and remove its directory";

/// The notice that a person gets.
const NOTICE: &str = "other_copy";

impl Core {
    /// Whether this copy stands still: another one was used, or the device is none of its account any more.
    pub(crate) fn stands_still(&self) -> bool {
        self.signals.other_copy.load(Ordering::SeqCst) || self.is_removed()
    }

    /// Whether messages may be sealed now.
    pub(crate) fn may_seal(&self) -> bool {
        !self.stands_still() && self.signals.may_seal.load(Ordering::SeqCst)
    }

    /// What the next login shows: committed before it leaves.
    pub(crate) fn login_marks(&mut self) -> Result<LoginMarks, ApiError> {
        if self.stands_still() {
            return Err(other_copy());
        }
        let fresh = random_id()?;
        self.change(|change| Ok(store::copies::next_login(change.db, fresh)?))
    }

    /// Another copy was used: nothing goes or comes until this one is chosen.
    pub(crate) fn stand_still(&mut self) -> Result<(), ApiError> {
        if self.stands_still() {
            return Ok(());
        }
        self.change(|change| {
            store::copies::set_other_copy(change.db)?;
            change.notice(NOTICE, format!("{OTHER_COPY}. {KEEP}"), None)
        })?;
        self.signals.other_copy.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// A person chose this copy. The other one may have moved every ratchet and used up every one-time key, so all of it begins anew;
    /// it finds out as this one did. Nothing changes where this copy goes on already.
    pub(crate) fn keep_this_copy(&mut self) -> Result<Done, ApiError> {
        if !store::copies::other_copy(&self.db)? {
            return Ok(Done::default());
        }
        self.change(|change| {
            store::copies::choose(change.db)?;
            // What the relay says of acknowledgements is no news then.
            store::account::mark_restored(change.db)?;
            change.start_anew(
                "this copy of the account goes on: what only the other copy received is asked for again from everybody, and new sessions \
                 are being started",
            )?;
            change.wake_outbox();
            Ok(())
        })?;
        Ok(Done { id: None, count: 1 })
    }

    /// Reads again whether this copy stands still, once a choice is committed.
    pub(crate) fn look_for_other_copy(&self) -> Result<(), ApiError> {
        self.signals.other_copy.store(store::copies::other_copy(&self.db)?, Ordering::SeqCst);
        Ok(())
    }
}

/// Why nothing goes.
pub(crate) fn other_copy() -> ApiError {
    // What shows an error may show its text alone: the command stands in it.
    ApiError::new(ErrorKind::Refused, format!("{OTHER_COPY}. {KEEP}")).hint(KEEP)
}
