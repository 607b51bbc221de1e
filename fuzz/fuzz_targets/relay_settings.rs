//! The settings file of a relay.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_relay::fuzzing::settings(data));
