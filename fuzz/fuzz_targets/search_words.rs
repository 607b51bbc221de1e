//! A search query (first line) in a text (the rest).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_client_core::fuzzing::search_words(data));
