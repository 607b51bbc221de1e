//! Contact links, relay links, pins and handles.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_wire::fuzzing::links(data));
