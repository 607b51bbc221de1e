//! The two parsers of account records and device lists, held against each other.
#![no_main]

#[path = "../../crates/client-core/tests/both_parsers.rs"]
mod both_parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| both_parsers::agree(data));
