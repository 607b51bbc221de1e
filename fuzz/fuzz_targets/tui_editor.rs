//! Acts on a text that is being written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_tui::fuzzing::editor(data));
