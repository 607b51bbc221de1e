//! A line on a relay's admin socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_relay::fuzzing::admin(data));
