//! Messages that are older than they are to be kept go, and what was theirs goes back to the file system. A portion at a time: the
//! core's thread answers interfaces in between.

use std::collections::BTreeSet;

use crate::{
    api::ApiError,
    engine::core::Core,
    keep::Keep,
    limits::{MAX_DELETED_AT_ONCE, MAX_GIVEN_BACK_AT_ONCE},
    store::{events::Happened, retention, space},
};

impl Core {
    /// Deletes some messages that are too old, by both clocks; says whether there may be more.
    pub(crate) fn forget_messages(&mut self) -> Result<bool, ApiError> {
        let Some(now_ms) = self.now_to_forget()? else { return Ok(false) };
        let for_all = self.agreed_keep(now_ms)?;
        let old = retention::old(&self.db, now_ms, for_all, MAX_DELETED_AT_ONCE)?;
        let chats: BTreeSet<_> = old.iter().map(|message| message.conversation).collect();
        // Whoever listens is told with the first portion of a chat and after the last, not with each of thousands.
        let told: Vec<_> = if old.is_empty() {
            let ended = std::mem::take(&mut self.deleting);
            ended.into_iter().filter(|(_, portions)| *portions > 1).map(|(chat, _)| chat).collect()
        } else {
            chats.iter().filter(|chat| !self.deleting.contains_key(chat)).copied().collect()
        };
        if old.is_empty() && told.is_empty() {
            return Ok(false);
        }
        self.change(|change| {
            if !old.is_empty() {
                retention::delete(change.db, &old)?;
                change.scrub();
            }
            for conversation in &told {
                change.event(&Happened::Deleted { conversation: *conversation })?;
            }
            Ok(())
        })?;
        for chat in chats {
            *self.deleting.entry(chat).or_insert(0) += 1;
        }
        Ok(!old.is_empty())
    }

    /// The time for all chats as it counts for this account. A setting that would delete something waits for the person's word: it is
    /// one file for all accounts of a home, may be written by hand, and what is deleted does not come back.
    fn agreed_keep(&mut self, now_ms: u64) -> Result<Keep, ApiError> {
        // While the settings cannot be read, nothing is deleted by them.
        let Some(setting) = self.keep_setting() else { return Ok(Keep::ForEver) };
        let agreed = retention::agreed(&self.db)?;
        if setting == agreed {
            return Ok(agreed);
        }
        let goes = if setting.is_at_least(agreed) { 0 } else { retention::count(&self.db, None, now_ms, setting)? };
        self.change(|change| {
            if goes == 0 {
                retention::agree(change.db, setting)?;
                return Ok(setting);
            }
            if retention::tell(change.db, setting)? {
                let text = format!(
                    "the settings keep messages for {setting}; older ones here: {goes}. They stay until you agree, with: subrosa \
                     config set keep {setting}"
                );
                change.notice("keep", text, None)?;
            }
            Ok(agreed)
        })
    }

    /// Gives some free pages back; says whether there may be more.
    pub(crate) fn give_back(&mut self) -> Result<bool, ApiError> {
        let given = space::give_back(&self.db, MAX_GIVEN_BACK_AT_ONCE)?;
        if given == 0 {
            return Ok(false);
        }
        self.empty_log();
        Ok(true)
    }
}
