//! Behaviour of the crate through its public API, one module for each subject.
// Test code: a failed unwrap is a failed test, and nobody reads its documentation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod attacks;
mod bundles;
mod decoders;
mod device_lists;
mod documents;
mod groups;
mod identities;
mod limits;
mod many_devices;
mod memberships;
mod parties;
mod safety_numbers;
mod schedules;
mod seals;
mod secrets;
mod sessions;
mod setup;
