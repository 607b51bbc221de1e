//! Short forms of what the harness runs at length. One program, because each would be a hundred megabytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)] // a failed expectation is the result

mod attack;
mod blind_relay;
mod groups;
mod kills;
mod large;
mod power_cut;
mod restores;
mod sends;
