//! Sending: an intent becomes contents in the outbox, is sealed for each device, leaves in batches, and its results come back.

pub(in crate::engine) mod dispatch;
pub(in crate::engine) mod intents;
pub(in crate::engine) mod results;
pub(in crate::engine) mod routes;
pub(in crate::engine) mod sealed;
pub(in crate::engine) mod sealing;
pub(in crate::engine) mod ticks;
pub(in crate::engine) mod waiting;
