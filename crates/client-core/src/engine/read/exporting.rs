//! Whole conversations, page by page from the oldest message on: constant memory on both sides.

use crate::{
    api::{ApiError, ExportPage, ExportParams},
    engine::{core::Core, people::chat_names::find_chat, read::views::Views},
    limits::MAX_EXPORT_PAGE,
    store::{
        self,
        messages::{Direction, page},
    },
};

impl Core {
    pub(crate) fn export(&self, params: &ExportParams) -> Result<ExportPage, ApiError> {
        let chat = find_chat(&self.db, &self.own, &params.chat)?;
        let after = params.after.as_deref().map(|id| self.place(&chat, id)).transpose()?;
        let limit = params.limit.unwrap_or(MAX_EXPORT_PAGE).clamp(1, MAX_EXPORT_PAGE);
        let messages = page(&self.db, &chat.id, after.as_ref(), Direction::After, 0, limit)?;
        let views = Views::new(&self.db, &self.own);
        let messages = messages.iter().map(|message| views.message(message)).collect::<Result<_, _>>()?;
        Ok(ExportPage {
            chat: chat.id.to_string(),
            total: store::messages::count_in(&self.db, &chat.id)?,
            name: chat.name,
            messages,
        })
    }
}
