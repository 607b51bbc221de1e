//! What other people say inside the ratchet, after decryption.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_client_core::fuzzing::contents(data));
