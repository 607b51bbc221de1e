//! Names of conversations and messages: hashes that are the same at every end (docs/protocol.md, "Contents").

use std::fmt;

use subrosa_wire::{AccountId, MessageId};

/// A conversation: notes to oneself, a chat of two, a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConversationId(pub(crate) [u8; 32]);

impl ConversationId {
    /// What two accounts say to each other.
    pub(crate) fn between(one: &AccountId, other: &AccountId) -> Self {
        Self(subrosa_crypto::chat_id(&one.0, &other.0))
    }

    /// What an account says to itself.
    pub(crate) fn notes(own: &AccountId) -> Self {
        Self::between(own, own)
    }

    /// The id of a content of this conversation.
    pub(crate) fn message_id(&self, author: &AccountId, random: &[u8; 16]) -> MessageId {
        MessageId(subrosa_crypto::message_id(&self.0, &author.0, random))
    }

    /// Reads 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        hex::decode(text).ok().and_then(|id| id.try_into().ok()).map(Self)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Shortened: it tells who talks to whom to whoever knows both accounts.
impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConversationId({}…)", hex::encode(&self.0[..4]))
    }
}

/// The id of the chat of two accounts; of one account twice: of its notes. Ids are 64 hexadecimal digits; `None`: one is not.
#[must_use]
pub fn chat_id(one: &str, other: &str) -> Option<String> {
    let account = |text: &str| ConversationId::parse(text).map(|id| AccountId(id.0));
    Some(ConversationId::between(&account(one)?, &account(other)?).to_string())
}

/// The id of the message that `send` makes with [`crate::api::SendParams::id`] `random` (32 hexadecimal digits) in a chat, for
/// whoever must know it before the answer comes. `None`: one of them is no id.
#[must_use]
pub fn message_id(chat: &str, author: &str, random: &str) -> Option<String> {
    let author = AccountId(ConversationId::parse(author)?.0);
    let random = hex::decode(random).ok()?.try_into().ok()?;
    Some(ConversationId::parse(chat)?.message_id(&author, &random).to_string())
}
