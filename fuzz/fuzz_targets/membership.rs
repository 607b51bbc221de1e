//! Changes of a few people, offered to a group in several orders.
#![no_main]

#[path = "../../crates/crypto/tests/behaviour/memberships.rs"]
mod memberships;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(memberships::any_order(data)));
