//! What somebody hostile can do to a real engine at a real relay, tried by a client that shares no line with either
//! (`subrosa_harness::hostile`). Each test is named after the attack; the table of attacks in `docs/threat-model.md` names it.
// A test says what it expects by unwrapping it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[allow(dead_code)] // uses its part of it
#[path = "../../../crates/client-core/tests/support/mod.rs"]
mod support;

mod contacts;
mod relays;
mod search;
mod stage;
mod strangers;
