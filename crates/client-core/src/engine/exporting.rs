//! Whole conversations, page by page from the oldest message on: constant memory on both sides.

use super::{core::Core, queries::message_view, sending::parse_id};
use crate::{
    api::{ApiError, ErrorKind, ExportPage, ExportParams},
    limits::MAX_EXPORT_PAGE,
    store,
};

impl Core {
    pub(crate) fn export(&self, params: &ExportParams) -> Result<ExportPage, ApiError> {
        let contact = self.contact_row(&params.chat)?;
        let after = match &params.after {
            None => None,
            Some(id) => {
                let id = parse_id(id)?;
                let message = store::messages::get(&self.db, &id)?.filter(|message| message.chat == contact.account);
                Some(message.ok_or_else(|| {
                    ApiError::new(ErrorKind::NotFound, format!("no message {id} in the chat with {}", contact.name))
                })?)
            }
        };
        let limit = params.limit.unwrap_or(MAX_EXPORT_PAGE).clamp(1, MAX_EXPORT_PAGE);
        let messages = store::messages::page_after(&self.db, &contact.account, after.as_ref(), limit)?;
        Ok(ExportPage {
            chat: contact.account.to_string(),
            name: contact.name.clone(),
            total: store::messages::count_in(&self.db, &contact.account)?,
            messages: messages.iter().map(|message| message_view(&self.own, &contact.name, message)).collect(),
        })
    }
}
