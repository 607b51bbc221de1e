//! Note to self: a conversation with oneself. It goes to our own other devices, and to no relay if there are none.

use super::{conversations::NOTES_NAME, core::Change, sending::Outgoing};
use crate::{
    api::{ApiError, Event, MessageStatus, SendResult, Sent, StateEvent},
    content::{Body, Transcript},
    store::{
        self,
        messages::{Late, MessageRow},
    },
};
use subrosa_wire::MessageId;

/// The view of a note for `send` and `wait`: whoever wrote it has read it.
pub(super) fn sent_note(message: &MessageRow) -> Sent {
    let to = message.chat.to_string();
    let result = SendResult {
        to: to.clone(),
        name: NOTES_NAME.to_owned(),
        status: MessageStatus::Read,
        error: None,
        retry_after_s: None,
    };
    Sent {
        id: message.id.to_string(),
        chat: to,
        status: MessageStatus::Read,
        ts_ms: message.shown_ms,
        results: vec![result],
    }
}

impl Change<'_> {
    /// Stores a note and sends it to our other devices.
    pub(super) fn take_note(&mut self, id: MessageId, text: &Outgoing) -> Result<Sent, ApiError> {
        let own = self.own.address.account;
        let clock = store::messages::highest_clock(self.db, &own)?.saturating_add(1);
        let message = MessageRow {
            id,
            chat: own,
            sender: own,
            outgoing: true,
            clock,
            shown_ms: self.now_ms,
            body: text.body.clone(),
            reply_to: text.reply_to,
            raw: None,
            status: Some(MessageStatus::Read),
            error: None,
            unread: false,
            arrived_ms: None,
            late: Late::No,
        };
        store::messages::insert(self.db, &message)?;
        if self.has_siblings() {
            let transcript = Transcript {
                peer: own.0.to_vec(),
                message_id: id.0.to_vec(),
                clock,
                sent_ms: self.now_ms,
                text: text.body.clone(),
                reply_to: text.reply_to.map(|id| id.0.to_vec()).unwrap_or_default(),
            };
            self.queue(&own, None, Body::Transcript(transcript))?;
        }
        self.event(&Event::State(StateEvent {
            cursor: None,
            id: id.to_string(),
            chat: own.to_string(),
            status: MessageStatus::Read,
            ts_ms: self.now_ms,
            error: None,
        }))?;
        Ok(sent_note(&message))
    }
}
