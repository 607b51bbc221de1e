//! The schema of message contents: what devices say to each other inside the ratchet.
//!
//! Contents come from other people: everything is checked here before the engine acts on it.

use prost::{
    DecodeError, Message as _,
    encoding::{DecodeContext, decode_key, skip_field},
};
use subrosa_wire::{AccountId, ContactToken, DeliveryKey, Handle, MessageId};
use url::Url;

use crate::limits::{MAX_RECEIPT_IDS, MAX_RETRY_IDS, MAX_TEXT_BYTES};

/// The generated protobuf messages.
pub(crate) mod proto {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/subrosa.content.v1.rs"));
}

pub(crate) use proto::{
    ContactSync, Content, Hello, Introduction, KeySync, ReadSync, Receipt, RetryRequest, Text, Transcript,
    content::Body,
    receipt::{Item as ReceiptItem, Status as ReceiptStatus},
};

/// Version of the schema.
pub(crate) const CONTENT_VERSION: u32 = 1;

/// Field numbers of `Content` from here on are bodies, also those of later programs.
const FIRST_BODY_FIELD: u32 = 16;

/// Longest claimed relay URL that is looked at.
const MAX_CLAIM_BYTES: usize = 300;

/// Why a decrypted content is not acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a decrypted content breaks the schema: {0}")]
pub(crate) struct ContentError(&'static str);

/// What an introduction says, checked.
#[derive(Debug, Clone)]
pub(crate) struct CheckedIntroduction {
    pub(crate) handle: Handle,
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    pub(crate) delivery_key: DeliveryKey,
    pub(crate) link: Option<LinkShown>,
}

/// What somebody shows who says that they have a link of ours: which one, and a proof that the relay cannot make.
#[derive(Debug, Clone)]
pub(crate) struct LinkShown {
    pub(crate) token: ContactToken,
    pub(crate) proof: [u8; 32],
}

/// A content whose fixed fields are checked; the body may be of a type this program does not know (`None`).
/// Without `Debug`: it holds what people say.
pub(crate) struct CheckedContent {
    pub(crate) message_id: MessageId,
    pub(crate) clock: u64,
    pub(crate) sent_ms: u64,
    pub(crate) list_version: u32,
    pub(crate) list_hash: [u8; 32],
    pub(crate) introduction: Option<CheckedIntroduction>,
    pub(crate) body: Option<Body>,
}

fn exact<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], ContentError> {
    bytes.try_into().map_err(|_| ContentError(field))
}

fn optional<const N: usize>(bytes: &[u8], field: &'static str) -> Result<Option<[u8; N]>, ContentError> {
    if bytes.is_empty() { Ok(None) } else { exact(bytes, field).map(Some) }
}

/// A relay address that somebody else claims: only schemes and hosts that a client would connect to.
pub(crate) fn checked_relay(text: &str) -> Option<Url> {
    if text.len() > MAX_CLAIM_BYTES {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain = url.scheme() == "http" && subrosa_wire::link::may_be_plaintext(&url);
    (plain || url.scheme() == "https").then_some(url)
}

/// What somebody calls themselves: only what a relay would register, so that no two handles differ by what is not seen.
fn checked_handle(text: &str) -> Result<Handle, ContentError> {
    text.parse().map_err(|_| ContentError("handle"))
}

impl CheckedIntroduction {
    fn check(value: &Introduction) -> Result<Self, ContentError> {
        let token = optional(&value.contact_token, "contact token")?.map(ContactToken::new);
        let link = match (token, optional(&value.link_proof, "link proof")?) {
            (Some(token), Some(proof)) => Some(LinkShown { token, proof }),
            (None, None) => None,
            _ => return Err(ContentError("link proof")),
        };
        Ok(Self {
            handle: checked_handle(&value.handle)?,
            relay: checked_relay(&value.relay).ok_or(ContentError("relay"))?,
            pin: optional(&value.pin, "pin")?,
            delivery_key: DeliveryKey::new(exact(&value.delivery_key, "delivery key")?),
            link,
        })
    }
}

fn check_text(text: &str, reply_to: &[u8]) -> Result<(), ContentError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        return Err(ContentError("text length"));
    }
    optional::<16>(reply_to, "reply").map(|_| ())
}

/// Whether there is a body at all, of whatever type: nothing is no text that a newer program could read.
fn has_body(mut bytes: &[u8]) -> Result<bool, DecodeError> {
    while !bytes.is_empty() {
        let (field, wire_type) = decode_key(&mut bytes)?;
        if field >= FIRST_BODY_FIELD {
            return Ok(true);
        }
        skip_field(wire_type, field, &mut bytes, DecodeContext::default())?;
    }
    Ok(false)
}

/// Decodes a decrypted content and checks every field that the engine will use.
pub(crate) fn decode(bytes: &[u8]) -> Result<CheckedContent, ContentError> {
    let content = Content::decode(bytes).map_err(|_| ContentError("not a content"))?;
    if content.version != CONTENT_VERSION {
        return Err(ContentError("version"));
    }
    match &content.body {
        None if has_body(bytes) != Ok(true) => return Err(ContentError("no body")),
        Some(Body::Text(text)) => {
            check_text(&text.text, &text.reply_to)?;
        }
        Some(Body::Receipt(receipt))
            if (receipt.items.len() > MAX_RECEIPT_IDS
                || receipt.items.iter().any(|item| item.message_id.len() != 16)) =>
        {
            return Err(ContentError("receipt"));
        }
        Some(Body::Transcript(transcript)) => {
            exact::<32>(&transcript.peer, "peer")?;
            exact::<16>(&transcript.message_id, "message id")?;
            check_text(&transcript.text, &transcript.reply_to)?;
        }
        Some(Body::ContactSync(sync)) => {
            checked_handle(&sync.handle)?;
        }
        Some(Body::KeySync(sync)) => {
            exact::<16>(&sync.delivery_key, "delivery key")?;
        }
        Some(Body::ReadSync(sync))
            if (sync.message_ids.len() > MAX_RECEIPT_IDS || sync.message_ids.iter().any(|id| id.len() != 16)) =>
        {
            return Err(ContentError("read sync"));
        }
        Some(Body::RetryRequest(request))
            if request.envelope_ids.len() > MAX_RETRY_IDS || request.envelope_ids.iter().any(|id| id.len() != 16) =>
        {
            return Err(ContentError("retry request"));
        }
        _ => {}
    }
    Ok(CheckedContent {
        message_id: MessageId(exact(&content.message_id, "message id")?),
        clock: content.clock,
        sent_ms: content.sent_ms,
        list_version: content.list_version,
        list_hash: exact(&content.list_hash, "list hash")?,
        introduction: content.introduction.as_ref().map(CheckedIntroduction::check).transpose()?,
        body: content.body,
    })
}

/// Ids of a receipt or read sync whose lengths [`decode`] has checked.
pub(crate) fn message_ids<'a>(ids: impl Iterator<Item = &'a Vec<u8>>) -> Vec<MessageId> {
    ids.filter_map(|id| MessageId::from_slice(id).ok()).collect()
}

/// What a text answers, whose length [`decode`] has checked.
pub(crate) fn reply_to(bytes: &[u8]) -> Option<MessageId> {
    MessageId::from_slice(bytes).ok()
}

/// The peer of a transcript that [`decode`] has checked.
pub(crate) fn account_id(bytes: &[u8]) -> Option<AccountId> {
    AccountId::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(body: Option<Body>) -> Content {
        Content {
            version: CONTENT_VERSION,
            message_id: vec![1; 16],
            clock: 1,
            sent_ms: 2,
            list_version: 1,
            list_hash: vec![3; 32],
            introduction: None,
            body,
        }
    }

    #[test]
    fn contents_that_break_the_schema_are_refused() {
        let text = |len: usize| Some(Body::Text(Text { text: "x".repeat(len), reply_to: Vec::new() }));
        assert!(decode(&content(text(1)).encode_to_vec()).is_ok());
        assert!(decode(&content(text(0)).encode_to_vec()).is_err());
        assert!(decode(&content(text(MAX_TEXT_BYTES + 1)).encode_to_vec()).is_err());
        assert!(decode(b"\xff\xff").is_err());
        let reply = |len: usize| Some(Body::Text(Text { text: "x".into(), reply_to: vec![1; len] }));
        assert!(decode(&content(reply(16)).encode_to_vec()).is_ok());
        assert!(decode(&content(reply(15)).encode_to_vec()).is_err());
        let key = KeySync { delivery_key: vec![1; 17], changed_ms: 1 };
        assert!(decode(&content(Some(Body::KeySync(key))).encode_to_vec()).is_err());
        let item = ReceiptItem { message_id: vec![1; 15], ts_ms: 1 };
        let receipt = Receipt { status: 0, items: vec![item] };
        assert!(decode(&content(Some(Body::Receipt(receipt))).encode_to_vec()).is_err());
        let mut short_hash = content(text(1));
        short_hash.list_hash.pop();
        assert!(decode(&short_hash.encode_to_vec()).is_err());
    }

    #[test]
    fn an_introduction_may_not_point_at_plaintext_elsewhere() {
        let mut value = content(Some(Body::Hello(Hello {})));
        value.introduction = Some(Introduction {
            handle: "bob".into(),
            relay: "http://192.0.2.7/".into(),
            pin: vec![],
            delivery_key: vec![1; 16],
            contact_token: vec![],
            link_proof: vec![],
        });
        assert!(decode(&value.encode_to_vec()).is_err());
        if let Some(introduction) = &mut value.introduction {
            introduction.relay = "https://192.0.2.7/".into();
        }
        assert!(decode(&value.encode_to_vec()).is_ok());
    }

    #[test]
    fn a_claimed_handle_is_one_that_a_relay_would_register() {
        let said = |handle: &str| {
            let introduction = Introduction {
                handle: handle.into(),
                relay: "https://192.0.2.7/".into(),
                pin: vec![],
                delivery_key: vec![1; 16],
                contact_token: vec![],
                link_proof: vec![],
            };
            let mut introduced = content(Some(Body::Hello(Hello {})));
            introduced.introduction = Some(introduction);
            let synced =
                content(Some(Body::ContactSync(ContactSync { handle: handle.into(), ..ContactSync::default() })));
            [introduced, synced].map(|content| decode(&content.encode_to_vec()).is_ok())
        };
        assert_eq!(said("bob"), [true, true]);
        for claimed in
            ["bob\u{200b}", "b\u{43e}b", "Bob", "bob ", "-bob", "my frank", "bob~1a2b3c4d", "", "\x1b[2J", "me"]
        {
            assert_eq!(said(claimed), [false, false], "{claimed:?}");
        }
    }

    #[test]
    fn a_body_of_an_unknown_type_is_kept_apart_from_damage_and_from_nothing() {
        let nothing = content(None).encode_to_vec();
        assert!(decode(&nothing).is_err());
        // Field 100, two bytes long; then a field that is no body.
        assert!(decode(&[&nothing[..], b"\xa2\x06\x02hi"].concat()).is_ok_and(|checked| checked.body.is_none()));
        assert!(decode(&[&nothing[..], b"\x72\x02hi"].concat()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_damaged_content_never_panics_and_keeps_the_bounds(at in 0usize..500, bit in 0u8..8) {
            let item = ReceiptItem { message_id: vec![7; 16], ts_ms: 9 };
            let mut bytes = content(Some(Body::Receipt(Receipt { status: 1, items: vec![item; 3] }))).encode_to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(CheckedContent { body: Some(Body::Receipt(receipt)), .. }) = decode(&bytes) {
                proptest::prop_assert!(receipt.items.iter().all(|item| item.message_id.len() == 16));
            }
        }
    }
}
