//! Contents, written down from the tables of `docs/protocol.md`, "Contents". Every field can be wrong, missing or too long.

use prost::Message;

/// What a ratchet message carries.
#[derive(Clone, PartialEq, Message)]
pub struct Content {
    /// 1.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// 16 bytes, of which the message id is made.
    #[prost(bytes = "vec", tag = "2")]
    pub random: Vec<u8>,
    /// The sender's logical clock.
    #[prost(uint64, tag = "3")]
    pub clock: u64,
    /// The sender's clock.
    #[prost(uint64, tag = "4")]
    pub sent_ms: u64,
    /// The sender's device list.
    #[prost(uint32, tag = "5")]
    pub list_version: u32,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub list_hash: Vec<u8>,
    /// How to reach the sender.
    #[prost(message, optional, tag = "7")]
    pub introduction: Option<Introduction>,
    /// Empty or 32 bytes. Of what is shown it is filled in when it is sent, if it is empty.
    #[prost(bytes = "vec", tag = "8")]
    pub conversation: Vec<u8>,
    /// Whether it is a line in it.
    #[prost(bool, tag = "9")]
    pub shown: bool,
    /// Receipts that the sender does not send.
    #[prost(uint32, tag = "10")]
    pub withholds: u32,
    /// Sent again, to who lost it.
    #[prost(bool, tag = "11")]
    pub again: bool,
    /// A text.
    #[prost(message, optional, tag = "16")]
    pub text: Option<Text>,
    /// A receipt.
    #[prost(message, optional, tag = "17")]
    pub receipt: Option<Receipt>,
    /// Only an introduction.
    #[prost(message, optional, tag = "18")]
    pub hello: Option<Nothing>,
    /// Between own devices.
    #[prost(message, optional, tag = "19")]
    pub transcript: Option<Transcript>,
    /// Between own devices.
    #[prost(message, optional, tag = "20")]
    pub contact_sync: Option<ContactSync>,
    /// Between own devices.
    #[prost(message, optional, tag = "21")]
    pub read_sync: Option<Ids>,
    /// What could not be decrypted.
    #[prost(message, optional, tag = "22")]
    pub retry_request: Option<Ids>,
    /// Between own devices.
    #[prost(message, optional, tag = "23")]
    pub key_sync: Option<KeySync>,
    /// A store that is an older copy.
    #[prost(message, optional, tag = "24")]
    pub restore_request: Option<RestoreRequest>,
    /// The end of what is sent again.
    #[prost(message, optional, tag = "25")]
    pub restore_answer: Option<RestoreAnswer>,
    /// What is not kept any more.
    #[prost(message, optional, tag = "26")]
    pub retry_answer: Option<Ids>,
    /// A body of a later version.
    #[prost(message, optional, tag = "99")]
    pub unknown: Option<Text>,
}

/// A message without fields.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// How to reach somebody.
#[derive(Clone, PartialEq, Message)]
pub struct Introduction {
    /// As claimed.
    #[prost(string, tag = "1")]
    pub handle: String,
    /// A URL.
    #[prost(string, tag = "2")]
    pub relay: String,
    /// Empty or 32 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub pin: Vec<u8>,
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub delivery_key: Vec<u8>,
    /// What shows that a link was opened.
    #[prost(bytes = "vec", tag = "5")]
    pub contact_token: Vec<u8>,
    /// 32 bytes beside a token.
    #[prost(bytes = "vec", tag = "6")]
    pub link_proof: Vec<u8>,
    /// Empty or 16 bytes.
    #[prost(bytes = "vec", tag = "7")]
    pub member_key: Vec<u8>,
}

/// A text.
#[derive(Clone, PartialEq, Message)]
pub struct Text {
    /// UTF-8.
    #[prost(string, tag = "1")]
    pub text: String,
    /// Empty or 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub reply_to: Vec<u8>,
    /// Somebody else's words.
    #[prost(bool, tag = "3")]
    pub forwarded: bool,
}

/// Ticks.
#[derive(Clone, PartialEq, Message)]
pub struct Receipt {
    /// 0 delivered, 1 read.
    #[prost(uint32, tag = "1")]
    pub status: u32,
    /// For which messages.
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<ReceiptItem>,
}

/// One tick.
#[derive(Clone, PartialEq, Message)]
pub struct ReceiptItem {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub message_id: Vec<u8>,
    /// When.
    #[prost(uint64, tag = "2")]
    pub ts_ms: u64,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub conversation: Vec<u8>,
}

/// What another device of the account is said to have sent.
#[derive(Clone, PartialEq, Message)]
pub struct Transcript {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub conversation: Vec<u8>,
    /// A content of it, without introduction and device list.
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

/// What another device of the account is said to know of a contact.
#[derive(Clone, PartialEq, Message)]
pub struct ContactSync {
    /// 65 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub account_record: Vec<u8>,
    /// The contact's signed list.
    #[prost(bytes = "vec", tag = "2")]
    pub device_list: Vec<u8>,
    /// As claimed.
    #[prost(string, tag = "3")]
    pub handle: String,
    /// A URL.
    #[prost(string, tag = "4")]
    pub relay: String,
    /// Empty or 32 bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub pin: Vec<u8>,
    /// Empty or 16 bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub delivery_key: Vec<u8>,
    /// 1 to 5.
    #[prost(uint32, tag = "7")]
    pub state: u32,
    /// Whether the number was compared.
    #[prost(bool, tag = "8")]
    pub verified: bool,
    /// For people.
    #[prost(string, tag = "9")]
    pub origin: String,
    /// Whether they wrote.
    #[prost(bool, tag = "10")]
    pub answered: bool,
    /// When the person decided.
    #[prost(uint64, tag = "11")]
    pub decided_ms: u64,
    /// Empty or 16 bytes.
    #[prost(bytes = "vec", tag = "12")]
    pub member_key: Vec<u8>,
}

/// A list of ids: a read sync, a retry request, or the answer to one.
#[derive(Clone, PartialEq, Message)]
pub struct Ids {
    /// 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub ids: Vec<Vec<u8>>,
}

/// What is asked for after a restore.
#[derive(Clone, PartialEq, Message)]
pub struct RestoreRequest {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Where what is asked for begins.
    #[prost(message, repeated, tag = "2")]
    pub last: Vec<LastLine>,
    /// 8 bytes each.
    #[prost(bytes = "vec", tag = "3")]
    pub have: Vec<u8>,
}

/// The last line that came.
#[derive(Clone, PartialEq, Message)]
pub struct LastLine {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub conversation: Vec<u8>,
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub message: Vec<u8>,
    /// Its place.
    #[prost(uint64, tag = "3")]
    pub clock: u64,
}

/// What is said of what is sent again.
#[derive(Clone, PartialEq, Message)]
pub struct RestoreAnswer {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub conversation: Vec<u8>,
    /// How many answers there are.
    #[prost(uint32, tag = "3")]
    pub parts: u32,
    /// How much was sent again.
    #[prost(uint32, tag = "4")]
    pub sent: u32,
    /// 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub gone: Vec<Vec<u8>>,
    /// Why nothing is sent.
    #[prost(uint32, tag = "6")]
    pub why: u32,
}

/// The account's keys for others, of which one is new.
#[derive(Clone, PartialEq, Message)]
pub struct KeySync {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub delivery_key: Vec<u8>,
    /// Since when.
    #[prost(uint64, tag = "2")]
    pub changed_ms: u64,
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub member_key: Vec<u8>,
    /// Since when.
    #[prost(uint64, tag = "5")]
    pub member_changed_ms: u64,
}

/// What two accounts call what they say to each other (`docs/protocol.md`, "Contents").
#[must_use]
pub fn chat_id(one: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    let (smaller, larger) = if one <= other { (one, other) } else { (other, one) };
    super::sha256(&[b"Subrosa chat id v1".as_slice(), smaller, larger].concat())
}

impl Content {
    /// A content without a body: version 1, random bytes, the clock of now. The device list is filled in when it is sent, if
    /// its hash is empty.
    #[must_use]
    pub fn new() -> Self {
        let now = super::now_ms();
        Self { version: 1, random: rand::random::<[u8; 16]>().to_vec(), clock: now, sent_ms: now, ..Self::default() }
    }

    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let text = Some(Text { text: text.to_owned(), ..Text::default() });
        Self { text, shown: true, ..Self::new() }
    }

    /// What it is called, written by one account in its chat with another.
    #[must_use]
    pub fn id(&self, author: &[u8; 32], other: &[u8; 32]) -> Vec<u8> {
        let conversation = chat_id(author, other);
        let label = b"Subrosa message id v1".as_slice();
        super::sha256(&[label, &conversation, author, &self.random].concat())[..16].to_vec()
    }

    /// "I could not decrypt these."
    #[must_use]
    pub fn retry_request(ids: &[[u8; 16]]) -> Self {
        let ids = ids.iter().map(|id| id.to_vec()).collect();
        Self { clock: 0, retry_request: Some(Ids { ids }), ..Self::new() }
    }

    /// "My store is an older copy, of before everything."
    #[must_use]
    pub fn restore_request() -> Self {
        let request = RestoreRequest { id: rand::random::<[u8; 16]>().to_vec(), ..RestoreRequest::default() };
        Self { clock: 0, restore_request: Some(request), ..Self::new() }
    }

    /// An introduction alone.
    #[must_use]
    pub fn hello() -> Self {
        Self { clock: 0, hello: Some(Nothing {}), ..Self::new() }
    }

    /// Ticks for messages of a conversation.
    #[must_use]
    pub fn receipt(status: u32, conversation: &[u8; 32], messages: &[Vec<u8>]) -> Self {
        let item = |id: &Vec<u8>| ReceiptItem {
            message_id: id.clone(),
            ts_ms: super::now_ms(),
            conversation: conversation.to_vec(),
        };
        let items = messages.iter().map(item).collect();
        Self { clock: 0, receipt: Some(Receipt { status, items }), ..Self::new() }
    }

    /// With an introduction.
    #[must_use]
    pub fn introduced(self, introduction: Introduction) -> Self {
        Self { introduction: Some(introduction), ..self }
    }

    /// The body in a word, as the table of `docs/threat-model.md` says it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let kinds = [
            (self.text.is_some(), "message"),
            (self.receipt.is_some(), "receipt"),
            (self.hello.is_some(), "hello"),
            (self.transcript.is_some(), "transcript"),
            (self.contact_sync.is_some(), "contact sync"),
            (self.read_sync.is_some(), "read sync"),
            (self.retry_request.is_some(), "retry request"),
            (self.key_sync.is_some(), "key sync"),
            (self.restore_request.is_some(), "restore request"),
            (self.restore_answer.is_some(), "restore answer"),
            (self.retry_answer.is_some(), "retry answer"),
            (self.unknown.is_some(), "unknown"),
        ];
        kinds.iter().find(|(there, _)| *there).map_or("nothing known", |(_, name)| name)
    }
}
