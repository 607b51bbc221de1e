//! Text from others on its way to a terminal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_client_core::fuzzing::cleaning(data));
