//! What was read and what came, and who is told of it: receipts are gathered, and each kind can be switched off.

use subrosa_wire::{AccountId, MessageId};

use crate::{
    api::{ApiError, ContactState, Done, MessageStatus, ReadParams},
    content::{Body, ReadSync, Receipt, ReceiptItem, ReceiptStatus, Withholds},
    conversation::ConversationId,
    engine::core::{Change, Core},
    limits::MAX_RECEIPT_IDS,
    store::{self, contacts, pending_receipts::Receipted},
};

impl Change<'_> {
    /// Queues a receipt for who wrote a message, if they may have one.
    pub(crate) fn receipt_for(
        &mut self,
        author: &AccountId,
        of: &Receipted,
        status: MessageStatus,
    ) -> Result<(), ApiError> {
        let may = match contacts::state(self.db, author)? {
            Some(ContactState::Ok) => true,
            Some(ContactState::Blocked | ContactState::Removed) => false,
            _ => of.conversation != self.own.chat_with(author) && self.is_fellow(author)?,
        };
        if may {
            store::pending_receipts::add(self.db, author, of, status, self.now_ms)?;
            self.wake_receipts();
        }
        Ok(())
    }
}

impl Core {
    /// Whether a kind of receipt is sent. Read anew each time: a changed setting counts at once, also in an engine that runs for
    /// weeks.
    fn tells(&self, setting: &str) -> bool {
        self.home.config().and_then(|config| config.is_on(setting)).unwrap_or_else(|error| {
            tracing::warn!(%error, setting, "no such receipts while the settings cannot be read");
            false
        })
    }

    /// Turns gathered receipts into intents.
    pub(crate) fn gather_receipts(&mut self) -> Result<(), ApiError> {
        if self.stands_still() {
            return Ok(());
        }
        let tells = self.tells("delivery_receipts");
        self.change(|change| {
            if !tells {
                store::pending_receipts::drop_delivered(change.db)?;
            }
            while let Some(batch) = store::pending_receipts::take(change.db, MAX_RECEIPT_IDS)? {
                let status = match batch.status {
                    MessageStatus::Read => ReceiptStatus::Read,
                    _ => ReceiptStatus::Delivered,
                };
                let items = batch
                    .items
                    .into_iter()
                    .map(|(of, ts_ms)| ReceiptItem {
                        message_id: of.message.0.to_vec(),
                        ts_ms,
                        conversation: of.conversation.0.to_vec(),
                    })
                    .collect();
                change.queue(&batch.to, Body::Receipt(Receipt { status: status as i32, items }))?;
            }
            Ok(())
        })
    }

    /// Marks what was named as read: a conversation, or everything up to a message in it.
    pub(crate) fn read(&mut self, params: &ReadParams) -> Result<Done, ApiError> {
        let (chat, upto) = self.read_target(&params.what)?;
        let count = self.read_up_to(chat, upto)?;
        let id = upto.map_or_else(|| chat.to_string(), |id| id.to_string());
        Ok(Done { id: Some(id), count })
    }

    fn read_up_to(&mut self, conversation: ConversationId, upto: Option<MessageId>) -> Result<u64, ApiError> {
        let tells = self.tells("read_receipts");
        self.change(|change| {
            let upto = upto.map(|id| store::messages::get(change.db, &id)).transpose()?.flatten();
            let unread = store::messages::unread_up_to(change.db, &conversation, upto.as_ref())?;
            for (message, author) in &unread {
                store::messages::set_read(change.db, message)?;
                if tells {
                    change.receipt_for(author, &Receipted { conversation, message: *message }, MessageStatus::Read)?;
                }
            }
            if !unread.is_empty() {
                change.conversation_event(&conversation)?;
            }
            if change.has_other_devices() {
                let own = change.own.address.account;
                for batch in unread.chunks(MAX_RECEIPT_IDS) {
                    let message_ids = batch.iter().map(|(id, _)| id.0.to_vec()).collect();
                    change.queue(&own, Body::ReadSync(ReadSync { message_ids }))?;
                }
            }
            Ok(u64::try_from(unread.len()).unwrap_or(u64::MAX))
        })
    }

    /// Which receipts this account does not send.
    pub(in crate::engine) fn withholds(&self) -> Withholds {
        Withholds { delivered: !self.tells("delivery_receipts"), read: !self.tells("read_receipts") }
    }
}
