//! What the library does, from outside, and the shape of the house. One program, because each would be a hundred megabytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)] // a failed expectation is the result

mod architecture;
mod attacks;
mod backup;
mod both_parsers;
mod circles;
mod conversation;
mod copies;
mod damaged_store;
mod devices;
mod engine_faults;
mod finding;
mod hostile_relay;
mod interrupted_init;
mod layouts;
mod link_proof;
mod meant_for;
mod open_links;
mod people;
mod removed_devices;
mod sealed_junk;
mod support;
