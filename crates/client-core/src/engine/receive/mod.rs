//! Receiving: the mailbox hands envelopes on, they are opened, and their contents applied.

pub(in crate::engine) mod contents;
pub(in crate::engine) mod healing;
pub(in crate::engine) mod mailbox;
pub(in crate::engine) mod opening;
pub(in crate::engine) mod restoring;
