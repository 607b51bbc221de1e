//! Every decoder of frames, questions and answers. The first byte chooses the decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| subrosa_wire::fuzzing::frames(data));
