//! How far a message got, as a sign and a word: the same in every interface.

use crate::api::MessageStatus;

/// The sign. Without colour and without Unicode every state still differs from the others.
#[must_use]
pub const fn sign(status: MessageStatus, colour: bool, unicode: bool) -> &'static str {
    match (status, unicode) {
        (MessageStatus::Queued, true) => "◷",
        (MessageStatus::Queued, false) => ".",
        (MessageStatus::Sent, true) => "✓",
        (MessageStatus::Sent, false) => "+",
        (MessageStatus::Delivered, true) => "✓✓",
        (MessageStatus::Delivered, false) => "++",
        // Told from the one before by weight and colour, where there are any.
        (MessageStatus::Read, true) if colour => "✓✓",
        (MessageStatus::Read, true) => "✓✓*",
        (MessageStatus::Read, false) => "++*",
        (MessageStatus::Failed, _) => "! failed",
        (MessageStatus::Expired, _) => "! expired",
    }
}

/// The word.
#[must_use]
pub const fn name(status: MessageStatus) -> &'static str {
    match status {
        MessageStatus::Queued => "queued",
        MessageStatus::Sent => "sent",
        MessageStatus::Delivered => "delivered",
        MessageStatus::Read => "read",
        MessageStatus::Failed => "failed",
        MessageStatus::Expired => "expired",
    }
}
