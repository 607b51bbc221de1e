//! How far messages of ours got: with each receiver, and altogether. What may follow what is the table of `receipts.rs`.

use subrosa_wire::{AccountId, MessageId};

use crate::{
    api::{ApiError, MessageStatus},
    engine::core::Change,
    receipts,
    store::{
        self,
        events::Happened,
        messages::MessageRow,
        recipients::{self, RecipientRow},
    },
};

impl Change<'_> {
    /// A message got so far with one of its receivers; says whether that is news.
    pub(crate) fn advance(
        &mut self,
        message: &MessageId,
        account: &AccountId,
        to: MessageStatus,
        ts_ms: u64,
        error: Option<&str>,
    ) -> Result<bool, ApiError> {
        let Some(mut row) = recipients::get(self.db, message, account)? else { return Ok(false) };
        let before = row.clone();
        // Of each time the earliest counts.
        let earliest = |known: Option<u64>| Some(known.map_or(ts_ms, |known| known.min(ts_ms)));
        match to {
            MessageStatus::Sent => row.sent_ms = earliest(row.sent_ms),
            MessageStatus::Delivered => row.delivered_ms = earliest(row.delivered_ms),
            MessageStatus::Read => row.read_ms = earliest(row.read_ms),
            MessageStatus::Queued | MessageStatus::Failed | MessageStatus::Expired => {}
        }
        let moved = receipts::allowed(row.status, to);
        if moved {
            row.status = to;
            row.error = error.map(ToOwned::to_owned);
            row.unreached = false;
        }
        self.put_recipient(message, &before, &row)?;
        Ok(moved)
    }

    /// Why a message waits for one of its receivers. `unreached`: the others do not wait for them.
    pub(crate) fn waits(
        &mut self,
        message: &MessageId,
        account: &AccountId,
        reason: &str,
        unreached: bool,
    ) -> Result<(), ApiError> {
        let Some(row) = recipients::get(self.db, message, account)? else { return Ok(()) };
        if row.status != MessageStatus::Queued {
            return Ok(());
        }
        let now = RecipientRow { error: Some(reason.to_owned()), unreached: row.unreached || unreached, ..row.clone() };
        self.put_recipient(message, &row, &now)
    }

    fn put_recipient(
        &mut self,
        message: &MessageId,
        before: &RecipientRow,
        now: &RecipientRow,
    ) -> Result<(), ApiError> {
        if before == now {
            return Ok(());
        }
        recipients::put(self.db, message, now)?;
        if before.reached() == now.reached() {
            return Ok(());
        }
        let Some(row) = store::messages::get(self.db, message)? else { return Ok(()) };
        let receivers: Vec<_> = recipients::of(self.db, message)?.iter().map(RecipientRow::reached).collect();
        let overall = receipts::overall(&receivers);
        let error = now.error.as_deref().filter(|_| matches!(overall, MessageStatus::Failed | MessageStatus::Expired));
        let moved = store::messages::move_status(self.db, &row, overall, error)?;
        // A receipt says by itself how far the message is.
        let told = matches!(now.status, MessageStatus::Delivered | MessageStatus::Read);
        if moved && !told { self.state_event(&row, overall, error) } else { Ok(()) }
    }

    /// Tells the interfaces how a message of ours stands.
    pub(crate) fn state_event(
        &mut self,
        message: &MessageRow,
        status: MessageStatus,
        error: Option<&str>,
    ) -> Result<(), ApiError> {
        self.event(&Happened::State {
            conversation: message.conversation,
            message: message.id,
            status,
            ts_ms: self.now_ms,
            error: error.map(ToOwned::to_owned),
        })
    }
}
