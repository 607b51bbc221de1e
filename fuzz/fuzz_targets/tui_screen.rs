//! The whole interface with names and texts from others: what is drawn, the window's title, notifications.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_tui::fuzzing::screen(data));
