//! The outbox as a person sees it: what waits and why, try it again now, take it back.

use subrosa_wire::AccountId;

use super::core::{Change, Core};
use crate::{
    api::{ApiError, Done, ErrorKind, MessageStatus, Outbox, OutboxEntry, OutboxListParams},
    content::{Body, Content},
    limits::MAX_OUTBOX_PAGE,
    store::{self, contacts, messages::MessageRow, outbox},
};

/// Why a message that was taken back failed.
const CANCELLED: &str = "cancelled";

/// Rows for our own devices among which the copy of a cancelled message is looked for: it was queued beside it.
const TRANSCRIPTS_LOOKED_AT: u32 = 1_000;

impl Core {
    pub(crate) fn outbox_list(&self, params: OutboxListParams) -> Result<Outbox, ApiError> {
        let limit = params.limit.unwrap_or(MAX_OUTBOX_PAGE).clamp(1, MAX_OUTBOX_PAGE);
        let mut entries = Vec::new();
        for row in outbox::messages(&self.db, limit)? {
            entries.push(OutboxEntry {
                id: row.message.to_string(),
                chat: row.target.to_string(),
                to: row.target.to_string(),
                name: contacts::name(&self.db, &row.target)?.unwrap_or_default(),
                attempts: row.attempts,
                next_ms: row.next_ms,
                queued_ms: row.created_ms,
                error: row.error,
            });
        }
        Ok(Outbox { entries, total: outbox::message_count(&self.db)? })
    }

    /// What waits for the receiver of a message, or everything, is tried now. Order is kept, so it is never one alone.
    pub(crate) fn outbox_retry(&mut self, id: Option<&str>) -> Result<Done, ApiError> {
        let target = match id {
            Some(id) => {
                let message = self.message_row(id)?;
                match outbox::of_message(&self.db, &message.id)? {
                    Some((_, target)) => Some(target),
                    // It has left meanwhile, or never will: nothing to try.
                    None => return Ok(Done { id: Some(message.id.to_string()), count: 0 }),
                }
            }
            None => None,
        };
        match &target {
            Some(target) => {
                self.struggling.remove(target);
                self.backing_off.remove(target);
            }
            None => {
                self.struggling.clear();
                self.backing_off.clear();
            }
        }
        let count = outbox::message_count_for(&self.db, target.as_ref())?;
        self.change(|change| {
            outbox::retry(change.db, target.as_ref())?;
            change.wake_outbox();
            Ok(())
        })?;
        Ok(Done { id: id.map(ToOwned::to_owned), count })
    }

    /// Takes a message back that no relay has accepted for any device. If the answer of a relay was lost on the way it may
    /// have arrived all the same; then its receipt says so.
    pub(crate) fn outbox_cancel(&mut self, id: &str) -> Result<Done, ApiError> {
        let message = self.message_row(id)?;
        let done = |count| Ok(Done { id: Some(message.id.to_string()), count });
        let gone = || {
            ApiError::new(ErrorKind::Failed, "a relay has this message already: it cannot be taken back")
                .hint(format!("see how far it got: subrosa info {id}"))
        };
        match message.status {
            None => {
                return Err(ApiError::new(ErrorKind::Usage, "this message was written by somebody else"));
            }
            // Taken back before.
            Some(MessageStatus::Failed | MessageStatus::Expired) => return done(0),
            Some(MessageStatus::Queued) => {}
            Some(_) => return Err(gone()),
        }
        let Some((row, target)) = outbox::of_message(&self.db, &message.id)? else { return Err(gone()) };
        if !row.done.is_empty() {
            return Err(gone());
        }
        if row.sealed.is_some() && self.busy.contains(&target) {
            return Err(ApiError::new(ErrorKind::Failed, "this message is on its way at this moment")
                .hint("try again in a few seconds: if the relay does not take it, it can be cancelled then"));
        }
        self.change(|change| {
            outbox::delete(change.db, row.id)?;
            change.cancel_transcript(&message)?;
            change.move_status(&message.id, MessageStatus::Failed, Some(CANCELLED))?;
            change.wake_outbox();
            Ok(())
        })?;
        done(1)
    }
}

impl Change<'_> {
    /// Our other devices do not hear of a message that was taken back, if they have not yet.
    fn cancel_transcript(&mut self, message: &MessageRow) -> Result<(), ApiError> {
        use prost::Message as _;
        let own = self.own.address.account;
        for row in outbox::unsent_notes(self.db, &own, TRANSCRIPTS_LOOKED_AT)? {
            let Ok(content) = Content::decode(row.content.as_slice()) else { continue };
            if matches!(content.body, Some(Body::Transcript(sent)) if sent.message_id == message.id.0) {
                outbox::delete(self.db, row.id)?;
            }
        }
        Ok(())
    }

    /// Nothing that waits for somebody goes any more; its messages say why.
    pub(crate) fn fail_outbox(&mut self, target: &AccountId, reason: &str) -> Result<(), ApiError> {
        for id in outbox::messages_for(self.db, target)? {
            if store::messages::get(self.db, &id)?.is_some_and(|one| one.status == Some(MessageStatus::Queued)) {
                self.move_status(&id, MessageStatus::Failed, Some(reason))?;
            }
        }
        Ok(outbox::delete_for(self.db, target)?)
    }
}
