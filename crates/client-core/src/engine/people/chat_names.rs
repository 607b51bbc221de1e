//! Conversations by the names that people type.

use subrosa_wire::AccountId;

use super::{
    naming::{self, NOTES_NAME, is_own_name},
    not_found,
};
use crate::{
    api::{ApiError, ChatKind},
    conversation::ConversationId,
    store::{Db, account::Own, conversations},
};

/// Shorter beginnings of our own id are no name for ourselves.
const MIN_ID_PREFIX: usize = 8;

/// A conversation that was named.
#[derive(Debug, Clone)]
pub(crate) struct ChatRef {
    pub(crate) id: ConversationId,
    pub(crate) name: String,
    /// The other one, if there is one.
    pub(crate) other: Option<AccountId>,
}

/// Whether `text` names ourselves: `me`, our handle, our id or its beginning.
pub(crate) fn is_self(own: &Own, text: &str) -> bool {
    is_own_name(text)
        || text == own.handle
        || (text.len() >= MIN_ID_PREFIX && own.address.account.to_string().starts_with(&text.to_ascii_lowercase()))
}

/// Finds a conversation by what a person types, or by its id. Who has our own handle elsewhere is not meant by it, and neither
/// are we.
pub(crate) fn find_chat(db: &Db, own: &Own, text: &str) -> Result<ChatRef, ApiError> {
    let notes = || ChatRef { id: own.notes(), name: NOTES_NAME.to_owned(), other: None };
    if let Some(id) = ConversationId::parse(text) {
        if id == own.notes() {
            return Ok(notes());
        }
        if conversations::kind(db, &id)? == Some(ChatKind::Group) {
            return Ok(ChatRef { id, name: id.to_string(), other: None });
        }
    }
    if !is_own_name(text)
        && let Some(contact) = naming::find(db, own, text)?
    {
        let (account, chat) = (*contact.account(), own.chat_with(contact.account()));
        if is_self(own, text) && account.to_string() != text && chat.to_string() != text {
            return Err(naming::ambiguous(text, &[naming::described(&contact), "yourself (me)".to_owned()]));
        }
        return Ok(ChatRef { id: chat, name: contact.name, other: Some(account) });
    }
    if is_self(own, text) {
        return Ok(notes());
    }
    Err(not_found(text))
}
