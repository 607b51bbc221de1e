//! Names of keys and commands, and `[tui]` of the settings file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_tui::fuzzing::keys(data));
