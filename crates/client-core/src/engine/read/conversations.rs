//! Conversations as interfaces see them: which one is meant, the list, pages of one, and what is set for one on this device.

use crate::{
    api::{
        ApiError, Chat, ChatDraftParams, ChatSetParams, Chats, ChatsParams, Done, ErrorKind, History, HistoryParams,
        Missing, MissingState,
    },
    conversation::ConversationId,
    engine::{
        core::{Change, Core, ids::parse_id, now_ms},
        people::{
            chat_names::{ChatRef, find_chat},
            not_found,
        },
        read::views::Views,
    },
    limits::{MAX_HISTORY_PAGE, MAX_TEXT_BYTES},
    store::{
        self, conversations,
        events::Happened,
        gaps::{Gap, GapState},
        messages::{Direction, MessageRow, page},
    },
};

/// Default page of history and search.
pub(in crate::engine) const PAGE: u32 = 50;

impl Change<'_> {
    /// Tells the interfaces that a conversation's settings or counter changed.
    pub(crate) fn conversation_event(&mut self, conversation: &ConversationId) -> Result<(), ApiError> {
        self.event(&Happened::Conversation { conversation: *conversation })
    }
}

/// A span as interfaces see it.
fn missing(chat: &ConversationId, gap: &Gap) -> Missing {
    Missing {
        chat: chat.to_string(),
        from_ms: gap.from_ms,
        to_ms: gap.to_ms,
        came: gap.came,
        gone: gap.gone,
        state: match gap.state {
            GapState::Asked => MissingState::Asked,
            GapState::Answered => MissingState::Answered,
            GapState::Silent => MissingState::NoAnswer,
        },
    }
}

impl Core {
    pub(crate) fn chats(&self, params: &ChatsParams) -> Result<Chats, ApiError> {
        let (views, now_ms) = (Views::new(&self.db, &self.own), now_ms());
        let mut list = Vec::new();
        for row in conversations::list(&self.db, None)? {
            if (params.unread && row.unread == 0) || (row.archived && !params.archived && !params.unread) {
                continue;
            }
            list.push(views.chat(row, true, now_ms)?);
        }
        list.sort_by(|(a, a_ms), (b, b_ms)| (b.pinned, b_ms).cmp(&(a.pinned, a_ms)));
        Ok(Chats { chats: list.into_iter().map(|(chat, _)| chat).collect() })
    }

    pub(crate) fn chat_set(&mut self, params: &ChatSetParams) -> Result<Chat, ApiError> {
        let chat = find_chat(&self.db, &self.own, &params.chat)?;
        let keep = self.keep_for_chat(&chat.id, params.keep.as_deref(), params.agreed)?;
        let set = self.change(|change| {
            if chat.other.is_none() {
                change.ensure_notes()?;
            }
            let mut changed =
                conversations::set(change.db, &chat.id, params.muted_until_ms, params.pinned, params.archived)?;
            if let Some(keep) = keep {
                changed |= store::retention::set(change.db, &chat.id, keep)?;
            }
            if changed {
                change.conversation_event(&chat.id)?;
            }
            let row = conversations::list(change.db, Some(&chat.id))?.pop().ok_or_else(|| not_found(&params.chat))?;
            Ok(Views::new(change.db, change.own).chat(row, true, change.now_ms)?.0)
        })?;
        if keep.is_some() {
            self.signals.tidy.notify_one();
        }
        Ok(set)
    }

    /// Drafts are not announced: the interface in which somebody types knows, and the others read them with the list.
    pub(crate) fn chat_draft(&mut self, params: &ChatDraftParams) -> Result<Done, ApiError> {
        if params.text.len() > MAX_TEXT_BYTES {
            return Err(ApiError::new(ErrorKind::Usage, format!("a draft has at most {MAX_TEXT_BYTES} bytes")));
        }
        let chat = find_chat(&self.db, &self.own, &params.chat)?;
        let draft = Some(params.text.as_str()).filter(|text| !text.is_empty());
        let changed = self.change(|change| {
            if chat.other.is_none() && draft.is_some() {
                change.ensure_notes()?;
            }
            Ok(conversations::set_draft(change.db, &chat.id, draft)?)
        })?;
        Ok(Done { id: Some(chat.id.to_string()), count: u64::from(changed) })
    }

    /// A message of a chat, by id or the beginning of one.
    pub(in crate::engine) fn place(&self, chat: &ChatRef, id: &str) -> Result<MessageRow, ApiError> {
        let message =
            if id.len() == 32 { store::messages::get(&self.db, &parse_id(id)?)? } else { Some(self.message_row(id)?) };
        message.filter(|message| message.conversation == chat.id).ok_or_else(|| {
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
        let views = Views::new(&self.db, &self.own);
        let messages = rows.iter().map(|message| views.message(message)).collect::<Result<_, _>>()?;
        let missing = store::gaps::of(&self.db, &chat.id)?.into_iter().map(|gap| missing(&chat.id, &gap)).collect();
        Ok(History { messages, more_before, more_after, missing })
    }
}
