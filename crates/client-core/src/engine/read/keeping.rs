//! How long messages are kept, as people see and set it. What is too old is deleted in `devices/retention.rs`.

use crate::{
    api::{ApiError, Done, ErrorKind, KeepAgreeParams, KeepShowParams, Keeping},
    conversation::ConversationId,
    engine::{
        core::{Core, now_ms},
        people::chat_names::find_chat,
    },
    keep::{self, Keep},
    store::retention,
};

/// A text that is no time to keep messages for.
fn wrong(error: String) -> ApiError {
    ApiError::new(ErrorKind::Usage, error).hint("90d, 8w, 1y and off are; for one chat also default: as all others")
}

impl Core {
    /// The setting for all chats; `None`: the settings cannot be read. Read anew each time, also in an engine that runs for weeks.
    pub(in crate::engine) fn keep_setting(&self) -> Option<Keep> {
        let setting = self.home.config().and_then(|config| config.get("keep"));
        match setting.map(|setting| keep::for_all(&setting.value)) {
            Ok(Ok(keep)) => Some(keep),
            Ok(Err(error)) => {
                tracing::warn!(error, "nothing is deleted by that setting");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "nothing is deleted by age while the settings cannot be read");
                None
            }
        }
    }

    /// How many messages a time would delete: in a chat, or in all that have none of their own.
    pub(in crate::engine) fn would_go(&self, chat: Option<&ConversationId>, keep: Keep) -> Result<u64, ApiError> {
        let now_ms = self.now_to_forget()?.unwrap_or_else(now_ms);
        Ok(retention::count(&self.db, chat, now_ms, keep)?)
    }

    /// A time for a chat, as it is written. What would delete messages needs a yes. `None`: nothing was said.
    pub(in crate::engine) fn keep_for_chat(
        &self,
        chat: &ConversationId,
        text: Option<&str>,
        agreed: bool,
    ) -> Result<Option<Option<Keep>>, ApiError> {
        let Some(text) = text else { return Ok(None) };
        let keep = keep::for_chat(text).map_err(wrong)?;
        let goes = self.would_go(Some(chat), self.in_force(keep)?)?;
        if goes > 0 && !agreed {
            return Err(ApiError::new(ErrorKind::Usage, format!("this deletes messages that are older: {goes}"))
                .hint("to delete them, say that you agree: --force, or \"agreed\": true in JSON-RPC"));
        }
        Ok(Some(keep))
    }

    fn in_force(&self, own: Option<Keep>) -> Result<Keep, ApiError> {
        Ok(own.map_or_else(|| retention::agreed(&self.db), Ok)?)
    }

    pub(crate) fn keep_show(&self, params: &KeepShowParams) -> Result<Keeping, ApiError> {
        let chat = params.chat.as_ref().map(|chat| find_chat(&self.db, &self.own, chat)).transpose()?;
        let chat = chat.map(|chat| chat.id);
        let setting = self.keep_setting().unwrap_or(Keep::ForEver);
        let agreed = retention::agreed(&self.db)?;
        let own = chat.as_ref().map(|chat| retention::of(&self.db, chat)).transpose()?.flatten();
        let asked = match (&params.keep, &chat) {
            (None, None) => setting,
            (None, Some(_)) => self.in_force(own)?,
            (Some(text), None) => keep::for_all(text).map_err(wrong)?,
            (Some(text), Some(_)) => self.in_force(keep::for_chat(text).map_err(wrong)?)?,
        };
        Ok(Keeping {
            keep: own.unwrap_or(agreed).to_string(),
            setting: setting.to_string(),
            own: own.is_some(),
            goes: self.would_go(chat.as_ref(), asked)?,
        })
    }

    /// The person says that the setting may delete messages of this account.
    pub(crate) fn keep_agree(&mut self, params: &KeepAgreeParams) -> Result<Done, ApiError> {
        let keep = keep::for_all(&params.keep).map_err(wrong)?;
        let goes = self.would_go(None, keep)?;
        self.change(|change| Ok(retention::agree(change.db, keep)?))?;
        self.signals.tidy.notify_one();
        Ok(Done { id: None, count: goes })
    }
}
