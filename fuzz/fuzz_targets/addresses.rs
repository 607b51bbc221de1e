//! Relay and proxy addresses that people paste.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_client_core::fuzzing::addresses(data));
