//! Search over the texts of all conversations, or of one.

use crate::{
    api::{ApiError, ErrorKind, Hits, SearchParams},
    engine::{
        core::Core,
        people::chat_names::find_chat,
        read::{conversations::PAGE, views::Views},
    },
    limits::{MAX_HISTORY_PAGE, MAX_QUERY_BYTES},
    store::{self, words::Query},
};

impl Core {
    /// Messages in which all words of the query occur, the newest first.
    pub(crate) fn search(&self, params: &SearchParams) -> Result<Hits, ApiError> {
        if params.query.len() > MAX_QUERY_BYTES {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("the query has {} bytes, the most is {MAX_QUERY_BYTES}", params.query.len()),
            )
            .hint("a few words are enough"));
        }
        let query = Query::new(&params.query).ok_or_else(|| {
            ApiError::new(ErrorKind::Usage, "there is no word to look for").hint("give one or more words")
        })?;
        let chat = match &params.chat {
            Some(chat) => Some(find_chat(&self.db, &self.own, chat)?.id),
            None => None,
        };
        let before = params.before.as_deref().map(|id| self.message_row(id)).transpose()?.map(|message| message.id);
        let limit = params.limit.unwrap_or(PAGE).clamp(1, MAX_HISTORY_PAGE);
        let rows = store::messages::search(&self.db, &query, chat.as_ref(), before.as_ref(), limit)?;
        let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| full).map(|last| last.id.to_string());
        let mut hits = Vec::with_capacity(rows.len());
        let views = Views::new(&self.db, &self.own);
        for row in &rows {
            let mut message = views.message(row)?;
            message.snippet = query.snippet(&row.body);
            message.chat_name = Some(views.conversation_name(&row.conversation)?);
            hits.push(message);
        }
        Ok(Hits { hits, next })
    }
}
