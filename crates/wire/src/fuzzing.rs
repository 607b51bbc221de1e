//! What must hold for any input of each decoder: called by the fuzz targets and by the property tests below.
#![allow(missing_docs)]

use bytes::Bytes;

use crate::{
    ContactLink, Handle, RelayLink,
    http::{Devices, GetDevices, HttpMessage, PrekeyBundles, Register, Registered, Resolve, Resolved, TakePrekeys},
    link::may_be_plaintext,
    link::pin_from_text,
    mailbox::{MailboxClientFrame, MailboxServerFrame},
    submit::{Submit, SubmitClientFrame, SubmitServerFrame},
};

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

/// A frame that is taken is written and taken again with the same meaning. The first byte chooses the decoder.
pub fn frames(data: &[u8]) {
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
        _ => http::<PrekeyBundles>(bytes),
    }
}

/// A link, pin or handle that is taken is written and taken again with the same meaning, and no link asks for plaintext to
/// another machine.
pub fn links(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(link) = text.parse::<ContactLink>() {
        assert_eq!(link.to_string().parse::<ContactLink>().as_ref(), Ok(&link));
        assert!(link.relay.scheme() == "https" || may_be_plaintext(&link.relay));
    }
    if let Ok(link) = text.parse::<RelayLink>() {
        assert_eq!(link.to_string().parse::<RelayLink>().as_ref(), Ok(&link));
        assert!(link.relay.scheme() == "https" || may_be_plaintext(&link.relay));
    }
    if let Some(pin) = pin_from_text(&text) {
        assert_eq!(pin_from_text(&hex::encode(pin)), Some(pin));
    }
    if let Ok(handle) = text.parse::<Handle>() {
        assert_eq!(handle.as_str(), text);
    }
}

#[cfg(test)]
#[path = "../../../fuzz/inputs.rs"]
mod inputs;

#[cfg(test)]
mod tests {
    use super::{inputs::hold, *};

    #[test]
    fn frames_keep_their_meaning() {
        hold("wire_frames", frames);
    }

    #[test]
    fn links_keep_their_meaning() {
        hold("links", links);
    }
}
