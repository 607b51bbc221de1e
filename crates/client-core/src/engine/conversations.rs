//! Conversations as interfaces see them: which one is meant, the list, pages of one, and what is set for one on this device.

use subrosa_wire::AccountId;

use super::{
    core::{Change, Core, now_ms},
    naming,
    people::not_found,
    queries::message_view,
    sending::parse_id,
};
use crate::{
    api::{
        ApiError, Chat, ChatDraftParams, ChatEvent, ChatKind, ChatSetParams, Chats, ChatsParams, Done, ErrorKind,
        Event, History, HistoryParams,
    },
    limits::{MAX_HISTORY_PAGE, MAX_TEXT_BYTES},
    store::{
        self, Db,
        account::Own,
        chats::{self, ChatRow},
        messages::{Direction, MessageRow, page},
    },
};

/// How the conversation with oneself is shown.
pub(crate) const NOTES_NAME: &str = "Note to self";

/// How it is named in commands. No handle is that short, and no contact is shown under it.
const NOTES_ALIAS: &str = "me";

/// Default page of history and search.
pub(super) const PAGE: u32 = 50;

/// Shorter beginnings of our own id are no name for ourselves.
const MIN_ID_PREFIX: usize = 8;

/// A conversation that was named.
#[derive(Debug, Clone)]
pub(crate) struct ChatRef {
    pub(crate) id: AccountId,
    pub(crate) name: String,
}

/// Names that mean ourselves and no contact is shown under.
pub(crate) fn is_own_name(name: &str) -> bool {
    name.eq_ignore_ascii_case(NOTES_ALIAS) || name.eq_ignore_ascii_case(NOTES_NAME)
}

/// Whether `text` names ourselves: `me`, our handle, our id or its beginning.
pub(crate) fn is_self(own: &Own, text: &str) -> bool {
    is_own_name(text)
        || text == own.handle
        || (text.len() >= MIN_ID_PREFIX && own.address.account.to_string().starts_with(&text.to_ascii_lowercase()))
}

/// Finds a conversation by what a person types. Who has our own handle elsewhere is not meant by it, and neither are we.
pub(crate) fn find_chat(db: &Db, own: &Own, text: &str) -> Result<ChatRef, ApiError> {
    if !is_own_name(text)
        && let Some(contact) = naming::find(db, text)?
    {
        if is_self(own, text) && contact.account.to_string() != text {
            return Err(naming::ambiguous(text, &[naming::described(&contact), "yourself (me)".to_owned()]));
        }
        return Ok(ChatRef { id: contact.account, name: contact.name });
    }
    if is_self(own, text) {
        return Ok(ChatRef { id: own.address.account, name: NOTES_NAME.to_owned() });
    }
    Err(not_found(text))
}

/// The view of a conversation; without what events leave out unless it is for the list.
fn chat_view(db: &Db, own: &Own, row: ChatRow, for_list: bool) -> Result<(Chat, u64), ApiError> {
    let last = row.last.map(|last| store::messages::at_row(db, last)).transpose()?.flatten();
    let newest_ms = last.as_ref().map_or(row.since_ms, |message| message.shown_ms);
    let last = match last.filter(|_| for_list) {
        Some(message) => Some(message_view(db, own, &row.name, &message)?),
        None => None,
    };
    let chat = Chat {
        id: row.id.to_string(),
        kind: if row.id == own.address.account { ChatKind::Notes } else { ChatKind::Direct },
        name: row.name,
        state: row.state,
        unread: row.unread,
        first_unread: row.first_unread.map(|id| id.to_string()),
        last,
        muted_until_ms: Some(row.muted_until_ms).filter(|until| *until > now_ms()),
        pinned: row.pinned,
        archived: row.archived,
        draft: row.draft.filter(|_| for_list),
    };
    Ok((chat, newest_ms))
}

impl Change<'_> {
    /// Tells the interfaces that a chat's settings or counter changed.
    pub(crate) fn chat_event(&mut self, chat: &AccountId) -> Result<(), ApiError> {
        let own = &self.own.address.account;
        if let Some(row) = chats::list(self.db, own, NOTES_NAME, Some(chat))?.pop() {
            let (chat, _) = chat_view(self.db, self.own, row, false)?;
            self.event(&Event::Chat(ChatEvent { cursor: None, chat }))?;
        }
        Ok(())
    }
}

impl Core {
    pub(crate) fn chats(&self, params: ChatsParams) -> Result<Chats, ApiError> {
        let mut list = Vec::new();
        for row in chats::list(&self.db, &self.own.address.account, NOTES_NAME, None)? {
            if (params.unread && row.unread == 0) || (row.archived && !params.archived && !params.unread) {
                continue;
            }
            list.push(chat_view(&self.db, &self.own, row, true)?);
        }
        list.sort_by(|(a, a_ms), (b, b_ms)| (b.pinned, b_ms).cmp(&(a.pinned, a_ms)));
        Ok(Chats { chats: list.into_iter().map(|(chat, _)| chat).collect() })
    }

    pub(crate) fn chat_set(&mut self, params: &ChatSetParams) -> Result<Chat, ApiError> {
        let chat = find_chat(&self.db, &self.own, &params.chat)?.id;
        self.change(|change| {
            if chats::set(change.db, &chat, params.muted_until_ms, params.pinned, params.archived)? {
                change.chat_event(&chat)?;
            }
            let row = chats::list(change.db, &change.own.address.account, NOTES_NAME, Some(&chat))?.pop();
            Ok(chat_view(change.db, change.own, row.ok_or_else(|| not_found(&params.chat))?, true)?.0)
        })
    }

    /// Drafts are not announced: the interface in which somebody types knows, and the others read them with the list.
    pub(crate) fn chat_draft(&mut self, params: &ChatDraftParams) -> Result<Done, ApiError> {
        if params.text.len() > MAX_TEXT_BYTES {
            return Err(ApiError::new(ErrorKind::Usage, format!("a draft has at most {MAX_TEXT_BYTES} bytes")));
        }
        let chat = find_chat(&self.db, &self.own, &params.chat)?.id;
        let draft = Some(params.text.as_str()).filter(|text| !text.is_empty());
        let changed = self.change(|change| Ok(chats::set_draft(change.db, &chat, draft)?))?;
        Ok(Done { id: Some(chat.to_string()), count: u64::from(changed) })
    }

    /// A message of a chat, by id or the beginning of one.
    pub(super) fn place(&self, chat: &ChatRef, id: &str) -> Result<MessageRow, ApiError> {
        let message =
            if id.len() == 32 { store::messages::get(&self.db, &parse_id(id)?)? } else { Some(self.message_row(id)?) };
        message.filter(|message| message.chat == chat.id).ok_or_else(|| {
            ApiError::new(ErrorKind::NotFound, format!("no message {id} in the chat with {}", chat.name))
                .hint("`subrosa history CHAT --json` shows the ids")
        })
    }

    pub(crate) fn history(&self, params: &HistoryParams) -> Result<History, ApiError> {
        let chat = find_chat(&self.db, &self.own, &params.chat)?;
        let limit = params.limit.unwrap_or(PAGE).clamp(1, MAX_HISTORY_PAGE);
        let since_ms = params.since_ms.unwrap_or(0);
        // One more than asked for tells whether there is more.
        let take = |from: Option<&MessageRow>, direction, limit: u32| -> Result<(Vec<MessageRow>, bool), ApiError> {
            let mut rows = page(&self.db, &chat.id, from, direction, since_ms, limit.saturating_add(1))?;
            let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            if direction == Direction::Before {
                rows.reverse();
            }
            Ok((rows, more))
        };
        let (rows, more_before, more_after) = match (params.oldest, &params.before, &params.after, &params.around) {
            (true, None, None, None) => {
                let (rows, more) = take(None, Direction::After, limit)?;
                (rows, false, more)
            }
            (false, None, None, None) => {
                let (rows, more) = take(None, Direction::Before, limit)?;
                (rows, more, false)
            }
            (false, Some(id), None, None) => {
                let (rows, more) = take(Some(&self.place(&chat, id)?), Direction::Before, limit)?;
                (rows, more, true)
            }
            (false, None, Some(id), None) => {
                let (rows, more) = take(Some(&self.place(&chat, id)?), Direction::After, limit)?;
                (rows, true, more)
            }
            (false, None, None, Some(id)) => {
                let middle = self.place(&chat, id)?;
                let older = limit.saturating_sub(1).div_ceil(2);
                let (mut rows, more_before) = take(Some(&middle), Direction::Before, older)?;
                let (newer, more_after) = take(Some(&middle), Direction::After, limit.saturating_sub(1) - older)?;
                rows.push(middle);
                rows.extend(newer);
                (rows, more_before, more_after)
            }
            _ => {
                return Err(ApiError::new(
                    ErrorKind::Usage,
                    "a page is the oldest, or before, after or around a message",
                )
                .hint("give one of them"));
            }
        };
        let messages = rows
            .iter()
            .map(|message| message_view(&self.db, &self.own, &chat.name, message))
            .collect::<Result<_, _>>()?;
        Ok(History { messages, more_before, more_after })
    }
}
