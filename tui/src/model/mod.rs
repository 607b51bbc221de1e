//! What the screen shows, as plain data: changed only by the engine's events and answers, and by what the person does.

pub(crate) mod chats;
pub(crate) mod conversation;
pub(crate) mod entry;
pub(crate) mod parts;
