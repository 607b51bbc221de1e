//! The outbox as a person sees it: what waits and why, try it again now, take it back.

use crate::{
    api::{ApiError, Done, ErrorKind, MessageStatus, Outbox, OutboxCancelParams, OutboxEntry, OutboxListParams},
    engine::core::Core,
    limits::MAX_OUTBOX_PAGE,
    store::{
        contacts,
        deliveries::{self, Standing},
        outbox, recipients,
    },
};

/// Why a message that was taken back failed.
const CANCELLED: &str = "cancelled";

impl Core {
    pub(crate) fn outbox_list(&self, params: &OutboxListParams) -> Result<Outbox, ApiError> {
        let limit = params.limit.unwrap_or(MAX_OUTBOX_PAGE).clamp(1, MAX_OUTBOX_PAGE);
        let mut entries = Vec::new();
        for row in outbox::waiting(&self.db, limit)? {
            let (error, next_ms) = match row.error {
                Some(error) => (Some(error), row.next_ms),
                None => deliveries::waiting_of(&self.db, &row.message, &row.to)?.unwrap_or((None, row.next_ms)),
            };
            entries.push(OutboxEntry {
                id: row.message.to_string(),
                chat: row.conversation.to_string(),
                to: row.to.to_string(),
                name: contacts::name(&self.db, &row.to)?.unwrap_or_default(),
                attempts: row.attempts,
                next_ms,
                queued_ms: row.created_ms,
                error,
            });
        }
        Ok(Outbox { entries, total: recipients::waiting_messages(&self.db)? })
    }

    /// What waits in the conversation of a message, or everything, is tried now. Order is kept, so it is never one alone.
    pub(crate) fn outbox_retry(&mut self, id: Option<&str>) -> Result<Done, ApiError> {
        let conversation = match id {
            Some(id) => {
                let message = self.message_row(id)?;
                if message.status != Some(MessageStatus::Queued) {
                    // It has left meanwhile, or never will: nothing to try.
                    return Ok(Done { id: Some(message.id.to_string()), count: 0 });
                }
                Some(message.conversation)
            }
            None => None,
        };
        let other = |lane: &deliveries::Lane| conversation.is_some_and(|id| lane.conversation != id);
        self.struggling.retain(other);
        self.backing_off.retain(|lane, _| other(lane));
        let waits = outbox::waiting(&self.db, MAX_OUTBOX_PAGE)?;
        let concerned = waits.iter().filter(|row| conversation.is_none_or(|id| row.conversation == id)).count();
        let count = match conversation {
            Some(_) => u64::try_from(concerned).unwrap_or(u64::MAX),
            None => recipients::waiting_messages(&self.db)?,
        };
        self.change(|change| {
            deliveries::retry(change.db, conversation.as_ref())?;
            change.wake_outbox();
            Ok(())
        })?;
        Ok(Done { id: id.map(ToOwned::to_owned), count })
    }

    /// Takes a message back that no relay has accepted for any device. If the answer of a relay was lost on the way it may
    /// have arrived all the same; then its receipt says so.
    pub(crate) fn outbox_cancel(&mut self, params: &OutboxCancelParams) -> Result<Done, ApiError> {
        let message = self.message_row(&params.id)?;
        let done = |count| Ok(Done { id: Some(message.id.to_string()), count });
        let gone = || {
            ApiError::new(ErrorKind::Failed, "a relay has this message already: it cannot be taken back")
                .hint(format!("see how far it got: subrosa info {}", params.id))
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
        let ways = deliveries::of_message(&self.db, &message.id)?;
        let mut standing = Standing::default();
        for (content, _) in &ways {
            let of = deliveries::standing(&self.db, *content, None)?;
            standing.accepted += of.accepted;
            standing.sealed += of.sealed;
        }
        if ways.is_empty() || standing.accepted > 0 {
            return Err(gone());
        }
        if standing.sealed > 0 && ways.iter().any(|(_, lane)| self.busy.contains(lane)) {
            return Err(ApiError::new(ErrorKind::Failed, "this message is on its way at this moment")
                .hint("try again in a few seconds: if the relay does not take it, it can be cancelled then"));
        }
        self.change(|change| {
            // With it goes what our other devices would hear of it, if they have not yet.
            outbox::withdraw(change.db, &message.id)?;
            for receiver in recipients::of(change.db, &message.id)? {
                change.advance(
                    &message.id,
                    &receiver.account,
                    MessageStatus::Failed,
                    change.now_ms,
                    Some(CANCELLED),
                )?;
            }
            change.wake_outbox();
            Ok(())
        })?;
        done(1)
    }
}
