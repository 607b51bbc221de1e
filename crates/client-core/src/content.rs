//! The schema of message contents: what devices say to each other inside the ratchet.
//!
//! Contents come from other people: everything is checked here before the engine acts on it.

use std::time::Duration;

use prost::{
    DecodeError, Message as _,
    encoding::{DecodeContext, decode_key, skip_field},
};
use subrosa_wire::{
    ContactToken, DeliveryKey, Handle, MemberKey, MessageId, limits::MAX_EXPIRY, submit::EnvelopeClass,
};
use url::Url;

use crate::{
    api::ContactState,
    conversation::ConversationId,
    limits::{MAX_RECEIPT_IDS, MAX_RESTORE_GONE, MAX_RESTORE_HAVE, MAX_RESTORE_LASTS, MAX_RETRY_IDS, MAX_TEXT_BYTES},
};

/// The generated protobuf messages.
pub(crate) mod proto {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/subrosa.content.v1.rs"));
}

pub(crate) use proto::{
    ContactSync, Content, Hello, Introduction, KeySync, ReadSync, Receipt, RestoreAnswer, RestoreRequest, RetryAnswer,
    RetryRequest, Text, Transcript,
    contact_sync::State as SyncedState,
    content::Body,
    receipt::{Item as ReceiptItem, Status as ReceiptStatus},
    restore_answer::Outcome as RestoreOutcome,
    restore_request::LastLine as RestoreLast,
};

/// Version of the schema.
pub(crate) const CONTENT_VERSION: u32 = 1;

/// Counts what this program knows of contents: raised with each new type of body, so that what an older program kept unread is
/// read again.
pub(crate) const CONTENTS_KNOWN: u32 = 2;

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
    /// None: their program knows no groups.
    pub(crate) member_key: Option<MemberKey>,
    pub(crate) link: Option<LinkShown>,
}

/// What somebody shows who says that they have a link of ours: which one, and a proof that the relay cannot make.
#[derive(Debug, Clone)]
pub(crate) struct LinkShown {
    pub(crate) token: ContactToken,
    pub(crate) proof: [u8; 32],
}

/// Which receipts somebody does not send: nobody waits for those.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Withholds {
    pub(crate) delivered: bool,
    pub(crate) read: bool,
}

impl Withholds {
    /// As in a content and in the store; bits of later versions say nothing here.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self { delivered: bits & 1 != 0, read: bits & 2 != 0 }
    }

    /// See [`Withholds::from_bits`].
    pub(crate) const fn bits(self) -> u32 {
        self.delivered as u32 | (self.read as u32) << 1
    }
}

/// A content whose fixed fields are checked; the body may be of a type this program does not know (`None`).
/// Without `Debug`: it holds what people say.
pub(crate) struct CheckedContent {
    pub(crate) random: [u8; 16],
    /// `None`: it is about the two accounts.
    pub(crate) conversation: Option<ConversationId>,
    /// A line in the conversation.
    pub(crate) shown: bool,
    pub(crate) clock: u64,
    pub(crate) sent_ms: u64,
    pub(crate) withholds: Withholds,
    pub(crate) list_version: u32,
    pub(crate) list_hash: [u8; 32],
    pub(crate) introduction: Option<CheckedIntroduction>,
    /// Sent again, to us who lost it.
    pub(crate) again: bool,
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
            member_key: optional(&value.member_key, "member key")?.map(MemberKey::new),
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

/// Whether a body is a line in the conversation.
pub(crate) const fn is_shown(body: &Body) -> bool {
    match body {
        Body::Text(_) => true,
        Body::Receipt(_)
        | Body::Hello(_)
        | Body::Transcript(_)
        | Body::ContactSync(_)
        | Body::ReadSync(_)
        | Body::RetryRequest(_)
        | Body::RetryAnswer(_)
        | Body::RestoreRequest(_)
        | Body::RestoreAnswer(_)
        | Body::KeySync(_) => false,
    }
}

/// Whether a body is about what the two of us sent each other: receipts and healing. Who is with us in a conversation of several says
/// it too.
pub(crate) const fn is_about_sent(body: &Body) -> bool {
    matches!(
        body,
        Body::Receipt(_)
            | Body::RetryRequest(_)
            | Body::RetryAnswer(_)
            | Body::RestoreRequest(_)
            | Body::RestoreAnswer(_)
    )
}

/// How long a content may wait for a relay and at one, and whether it is stored there: its body says so.
pub(crate) const fn travels(body: &Body) -> (EnvelopeClass, Duration) {
    match body {
        Body::Text(_)
        | Body::Receipt(_)
        | Body::Hello(_)
        | Body::Transcript(_)
        | Body::ContactSync(_)
        | Body::ReadSync(_)
        | Body::RetryRequest(_)
        | Body::RetryAnswer(_)
        | Body::RestoreRequest(_)
        | Body::RestoreAnswer(_)
        | Body::KeySync(_) => (EnvelopeClass::Durable, MAX_EXPIRY),
    }
}

fn check_body(body: &Body) -> Result<(), ContentError> {
    let ids = |ids: &[Vec<u8>], most: usize, field| {
        if ids.len() > most || ids.iter().any(|id| id.len() != 16) { Err(ContentError(field)) } else { Ok(()) }
    };
    match body {
        Body::Text(text) => check_text(&text.text, &text.reply_to),
        Body::Receipt(receipt) => {
            let fits = |item: &ReceiptItem| item.message_id.len() == 16 && item.conversation.len() == 32;
            if receipt.items.len() > MAX_RECEIPT_IDS || !receipt.items.iter().all(fits) {
                return Err(ContentError("receipt"));
            }
            Ok(())
        }
        Body::Hello(_) => Ok(()),
        Body::Transcript(transcript) => exact::<32>(&transcript.conversation, "conversation").map(|_| ()),
        Body::ContactSync(sync) => {
            // Of who is gone nothing else is told.
            if sync.state == SyncedState::Removed as i32 { Ok(()) } else { checked_handle(&sync.handle).map(|_| ()) }
        }
        Body::KeySync(sync) => {
            exact::<16>(&sync.delivery_key, "delivery key")?;
            exact::<16>(&sync.member_key, "member key").map(|_| ())
        }
        Body::ReadSync(sync) => ids(&sync.message_ids, MAX_RECEIPT_IDS, "read sync"),
        Body::RetryRequest(request) => ids(&request.envelope_ids, MAX_RETRY_IDS, "retry request"),
        Body::RetryAnswer(answer) => ids(&answer.envelope_ids, MAX_RETRY_IDS, "retry answer"),
        Body::RestoreRequest(request) => {
            exact::<16>(&request.restore_id, "restore request")?;
            let fits = |last: &RestoreLast| last.conversation.len() == 32 && last.line_id.len() == 16;
            let (beginnings, rest) = request.lines_here.as_chunks::<8>();
            let few = request.last_lines.len() <= MAX_RESTORE_LASTS && beginnings.len() <= MAX_RESTORE_HAVE;
            if !few || !rest.is_empty() || !request.last_lines.iter().all(fits) {
                return Err(ContentError("restore request"));
            }
            Ok(())
        }
        Body::RestoreAnswer(answer) => {
            exact::<16>(&answer.restore_id, "restore answer")?;
            exact::<32>(&answer.conversation, "restore answer")?;
            ids(&answer.lines_gone, MAX_RESTORE_GONE, "restore answer")
        }
    }
}

/// Decodes a decrypted content and checks every field that the engine will use.
pub(crate) fn decode(bytes: &[u8]) -> Result<CheckedContent, ContentError> {
    let content = Content::decode(bytes).map_err(|_| ContentError("not a content"))?;
    let list_hash = exact(&content.list_hash, "list hash")?;
    let introduction = content.introduction.as_ref().map(CheckedIntroduction::check).transpose()?;
    Ok(CheckedContent { list_hash, introduction, ..check(content, bytes)? })
}

/// Decodes what a transcript carries: a content of the conversation it names, with nothing that is only for another receiver.
pub(crate) fn decode_transcript(transcript: &Transcript) -> Result<CheckedContent, ContentError> {
    let bytes = transcript.content.as_slice();
    let content = Content::decode(bytes).map_err(|_| ContentError("transcript of no content"))?;
    // The device list of its author is ours, and stands in the outer content.
    if content.introduction.is_some()
        || !content.list_hash.is_empty()
        || content.conversation != transcript.conversation
    {
        return Err(ContentError("transcript"));
    }
    check(content, bytes)
}

/// Decodes what an older program kept unread: the content that came, or what a transcript carried.
pub(crate) fn decode_kept(bytes: &[u8]) -> Result<CheckedContent, ContentError> {
    check(Content::decode(bytes).map_err(|_| ContentError("not a content"))?, bytes)
}

/// All but what a content says of its sender.
fn check(content: Content, bytes: &[u8]) -> Result<CheckedContent, ContentError> {
    if content.version != CONTENT_VERSION {
        return Err(ContentError("version"));
    }
    match &content.body {
        None if has_body(bytes) != Ok(true) => return Err(ContentError("no body")),
        None => {}
        Some(body) => {
            check_body(body)?;
            if content.shown != is_shown(body) {
                return Err(ContentError("shown"));
            }
        }
    }
    let conversation = optional(&content.conversation, "conversation")?.map(ConversationId);
    // A line stands somewhere, and what is about two accounts stands in no conversation.
    let fits = if content.shown { conversation.is_some() } else { content.body.is_none() || conversation.is_none() };
    if !fits {
        return Err(ContentError("conversation"));
    }
    Ok(CheckedContent {
        random: exact(&content.random, "random")?,
        conversation,
        shown: content.shown,
        clock: content.clock,
        sent_ms: content.sent_ms,
        withholds: Withholds::from_bits(content.withholds),
        list_version: content.list_version,
        list_hash: [0; 32],
        introduction: None,
        again: content.sent_again,
        body: content.body,
    })
}

/// The state that other devices are told.
pub(crate) const fn synced_state(state: ContactState) -> SyncedState {
    match state {
        ContactState::Request => SyncedState::Request,
        ContactState::Requested => SyncedState::Requested,
        ContactState::Ok => SyncedState::Contact,
        ContactState::Blocked => SyncedState::Blocked,
        ContactState::Removed => SyncedState::Removed,
    }
}

/// See [`synced_state`]; `None`: of a newer program, or none.
pub(crate) fn state_synced(state: i32) -> Option<ContactState> {
    Some(match SyncedState::try_from(state).ok()? {
        SyncedState::Unknown => return None,
        SyncedState::Request => ContactState::Request,
        SyncedState::Requested => ContactState::Requested,
        SyncedState::Contact => ContactState::Ok,
        SyncedState::Blocked => ContactState::Blocked,
        SyncedState::Removed => ContactState::Removed,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn content(body: Option<Body>) -> Content {
        Content {
            version: CONTENT_VERSION,
            random: vec![1; 16],
            clock: 1,
            sent_ms: 2,
            list_version: 1,
            list_hash: vec![3; 32],
            introduction: None,
            shown: body.as_ref().is_some_and(is_shown),
            conversation: if body.as_ref().is_some_and(is_shown) { vec![4; 32] } else { Vec::new() },
            withholds: 0,
            sent_again: false,
            body,
        }
    }

    #[test]
    fn contents_that_break_the_schema_are_refused() {
        let text = |len: usize| Some(Body::Text(Text { text: "x".repeat(len), ..Text::default() }));
        assert!(decode(&content(text(1)).encode_to_vec()).is_ok());
        assert!(decode(&content(text(0)).encode_to_vec()).is_err());
        assert!(decode(&content(text(MAX_TEXT_BYTES + 1)).encode_to_vec()).is_err());
        assert!(decode(b"\xff\xff").is_err());
        let reply = |len: usize| Some(Body::Text(Text { text: "x".into(), reply_to: vec![1; len], forwarded: false }));
        assert!(decode(&content(reply(16)).encode_to_vec()).is_ok());
        assert!(decode(&content(reply(15)).encode_to_vec()).is_err());
        let key = |delivery, member| KeySync {
            delivery_key: vec![1; delivery],
            member_key: vec![1; member],
            ..KeySync::default()
        };
        let said = |delivery, member| decode(&content(Some(Body::KeySync(key(delivery, member)))).encode_to_vec());
        assert!(said(16, 16).is_ok() && said(17, 16).is_err() && said(16, 0).is_err());
        let item = ReceiptItem { message_id: vec![1; 15], ts_ms: 1, conversation: vec![2; 32] };
        let receipt = Receipt { status: 0, items: vec![item] };
        assert!(decode(&content(Some(Body::Receipt(receipt))).encode_to_vec()).is_err());
        let item = ReceiptItem { message_id: vec![1; 16], ts_ms: 1, conversation: Vec::new() };
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
            member_key: vec![],
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
                member_key: vec![],
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
    fn what_is_shown_stands_in_a_conversation_and_nothing_else_says_that_it_is_shown() {
        let text = || content(Some(Body::Text(Text { text: "x".into(), ..Text::default() })));
        let hello = || content(Some(Body::Hello(Hello {})));
        assert!(decode(&text().encode_to_vec()).is_ok() && decode(&hello().encode_to_vec()).is_ok());
        let silent_text = Content { shown: false, ..text() };
        let text_nowhere = Content { conversation: Vec::new(), ..text() };
        let shown_hello = Content { shown: true, conversation: vec![4; 32], ..hello() };
        let hello_somewhere = Content { conversation: vec![4; 32], ..hello() };
        for content in [silent_text, text_nowhere, shown_hello, hello_somewhere] {
            assert!(decode(&content.encode_to_vec()).is_err());
        }
    }

    #[test]
    fn a_transcript_carries_a_line_of_its_conversation_and_nothing_for_others() {
        let line = || {
            let mut line = content(Some(Body::Text(Text { text: "x".into(), ..Text::default() })));
            line.list_hash.clear();
            line
        };
        let read = |conversation: u8, content: Vec<u8>| {
            decode_transcript(&Transcript { conversation: vec![conversation; 32], content })
        };
        assert!(read(4, line().encode_to_vec()).is_ok_and(|read| read.shown && read.body.is_some()));
        assert!(read(5, line().encode_to_vec()).is_err(), "of another conversation");
        let listed = Content { list_hash: vec![3; 32], ..line() };
        assert!(read(4, listed.encode_to_vec()).is_err());
        assert!(read(4, vec![0xff]).is_err());
        // Of a type that only a newer program knows.
        let unknown = Content { body: None, ..line() };
        assert!(read(4, unknown.encode_to_vec()).is_err(), "no body at all");
        let unknown = [unknown.encode_to_vec(), b"\xa2\x06\x02hi".to_vec()].concat();
        assert!(read(4, unknown).is_ok_and(|read| read.shown && read.body.is_none()));
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
            let item = ReceiptItem { message_id: vec![7; 16], ts_ms: 9, conversation: vec![2; 32] };
            let mut bytes = content(Some(Body::Receipt(Receipt { status: 1, items: vec![item; 3] }))).encode_to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(CheckedContent { body: Some(Body::Receipt(receipt)), .. }) = decode(&bytes) {
                proptest::prop_assert!(receipt.items.iter().all(|item| item.message_id.len() == 16));
            }
        }
    }
}
