//! A stored session of any bytes: refused, or written again byte for byte; and whatever it holds,
//! encrypting, and decrypting any message, does not panic. The first two bytes say how much of
//! the input is the state; the rest is the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_crypto::*;

fuzz_target!(|data: &[u8]| {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return };
    let (state, message) = rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()));
    let Ok(session) = Session::deserialize(state) else { return };
    assert_eq!(session.serialize().as_bytes(), state, "one value, one encoding");
    let _ = session.encrypt(b"text");
    for kind in [MessageKind::Session, MessageKind::Setup, MessageKind::Group] {
        let _ = session.decrypt(kind, message);
    }
});
