//! Lines that programs write to the engine's socket, its stdio and its HTTP door, and lines it answers with.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_client_core::fuzzing::socket_lines(data));
