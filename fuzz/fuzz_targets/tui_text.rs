//! Text from others in columns; the first byte is how many.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_tui::fuzzing::text(data));
