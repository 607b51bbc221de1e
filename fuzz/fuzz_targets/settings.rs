//! The settings file of the client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_client_core::fuzzing::settings(data));
