//! Every decoder of frames, questions and answers. A frame that is taken is written and taken
//! again with the same meaning. The first byte chooses the decoder.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use subrosa_wire::http::{
    Devices, GetDevices, HttpMessage, Prekeys, Register, Registered, Resolve, Resolved, TakePrekeys,
};
use subrosa_wire::mailbox::{MailboxClientFrame, MailboxServerFrame};
use subrosa_wire::submit::{Submit, SubmitClientFrame, SubmitServerFrame};

fn again<T: PartialEq + std::fmt::Debug, E>(
    decode: impl Fn(Bytes) -> Result<T, E>,
    encode: impl Fn(&T) -> Bytes,
    bytes: &Bytes,
) {
    if let Ok(value) = decode(bytes.clone()) {
        let read = decode(encode(&value)).ok();
        assert_eq!(read.as_ref(), Some(&value));
    }
}

fn http<T: HttpMessage + PartialEq + std::fmt::Debug>(bytes: &Bytes) {
    again(T::decode, |value| value.encode().into(), bytes);
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let bytes = &Bytes::copy_from_slice(bytes);
    match which % 13 {
        0 => again(MailboxClientFrame::decode, MailboxClientFrame::encode, bytes),
        1 => again(MailboxServerFrame::decode, MailboxServerFrame::encode, bytes),
        2 => again(SubmitClientFrame::decode, SubmitClientFrame::encode, bytes),
        3 => again(SubmitServerFrame::decode, SubmitServerFrame::encode, bytes),
        4 => again(|bytes: Bytes| Submit::decode(&bytes), |submit| submit.encode().into(), bytes),
        5 => http::<Register>(bytes),
        6 => http::<Registered>(bytes),
        7 => http::<Resolve>(bytes),
        8 => http::<Resolved>(bytes),
        9 => http::<GetDevices>(bytes),
        10 => http::<Devices>(bytes),
        11 => http::<TakePrekeys>(bytes),
        _ => http::<Prekeys>(bytes),
    }
});
