//! Files that hold or wrap keys, and the beginning of a backup. The first byte chooses which.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_client_core::fuzzing::stored_keys(data));
