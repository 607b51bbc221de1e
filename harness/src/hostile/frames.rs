//! The frames of both sockets and the questions over HTTPS, written down from the tables of `docs/protocol.md`, sections 8 to
//! 10. On purpose not the project's own messages: what both would get wrong alike could not be noticed here.
//!
//! A `oneof` is a set of optional fields, so that a frame which is two things at once, or nothing, can be said too.

use prost::Message;

/// A message without fields: `Ping`, `CaughtUp`, `Done` and others.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// Where a device gets its mail.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct DeviceAddress {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub account: Vec<u8>,
    /// From 1.
    #[prost(uint32, tag = "2")]
    pub device: u32,
}

/// Which versions a client speaks.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    /// Offers.
    #[prost(uint32, repeated, tag = "1")]
    pub versions: Vec<u32>,
}

/// The answer to a challenge.
#[derive(Clone, PartialEq, Message)]
pub struct Auth {
    /// Whose mailbox.
    #[prost(message, optional, tag = "1")]
    pub device: Option<DeviceAddress>,
    /// The relay as the client knows it.
    #[prost(string, tag = "2")]
    pub authority: String,
    /// Empty or 32 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub pin: Vec<u8>,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub signature: Vec<u8>,
    /// 16 bytes: what the next login shows.
    #[prost(bytes = "vec", tag = "5")]
    pub mark: Vec<u8>,
    /// At most eight of 16 bytes.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub shown: Vec<Vec<u8>>,
    /// Takes the place of another copy.
    #[prost(bool, tag = "7")]
    pub take_over: bool,
}

/// Everything up to here is committed at the client.
#[derive(Clone, PartialEq, Message)]
pub struct Ack {
    /// A number of a push.
    #[prost(uint64, tag = "1")]
    pub upto: u64,
}

/// New prekeys.
#[derive(Clone, PartialEq, Message)]
pub struct PutPrekeys {
    /// Empty or 100 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub signed_prekey: Vec<u8>,
    /// Empty or 1,636 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub last_resort_kem: Vec<u8>,
    /// 36 bytes each.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub one_time_ec: Vec<Vec<u8>>,
    /// 1,636 bytes each.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub one_time_kem: Vec<Vec<u8>>,
    /// Drop the old stock first.
    #[prost(bool, tag = "5")]
    pub replace_one_time: bool,
}

/// One field of bytes: a device list, or the hash of a token.
#[derive(Clone, PartialEq, Message)]
pub struct OneBytes {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
    /// How long a token lives; not there in the others.
    #[prost(uint32, tag = "2")]
    pub expiry_s: u32,
}

/// Hashes of the delivery keys that the relay honours.
#[derive(Clone, PartialEq, Message)]
pub struct SetDeliveryKeys {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub current_hash: Vec<u8>,
    /// Empty or 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub previous_hash: Vec<u8>,
    /// How long the previous one is honoured.
    #[prost(uint32, tag = "3")]
    pub previous_valid_s: u32,
}

/// What a device asks its relay on the mailbox socket.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Comes back in the response.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// New prekeys.
    #[prost(message, optional, tag = "2")]
    pub put_prekeys: Option<PutPrekeys>,
    /// A device list.
    #[prost(message, optional, tag = "3")]
    pub put_device_list: Option<OneBytes>,
    /// Delivery keys.
    #[prost(message, optional, tag = "4")]
    pub set_delivery_keys: Option<SetDeliveryKeys>,
    /// The hash of a contact token.
    #[prost(message, optional, tag = "5")]
    pub put_contact_token: Option<OneBytes>,
    /// The hash of a contact token.
    #[prost(message, optional, tag = "6")]
    pub remove_contact_token: Option<OneBytes>,
    /// The request lane.
    #[prost(message, optional, tag = "7")]
    pub submit_request: Option<Submit>,
    /// The end of the account at this relay.
    #[prost(message, optional, tag = "8")]
    pub remove_account: Option<Empty>,
    /// Member keys.
    #[prost(message, optional, tag = "9")]
    pub set_member_keys: Option<SetDeliveryKeys>,
}

/// Client to relay on `/v1/mailbox`.
#[derive(Clone, PartialEq, Message)]
pub struct MailboxClientFrame {
    /// The first frame.
    #[prost(message, optional, tag = "1")]
    pub hello: Option<Hello>,
    /// The second.
    #[prost(message, optional, tag = "2")]
    pub auth: Option<Auth>,
    /// Committed.
    #[prost(message, optional, tag = "3")]
    pub ack: Option<Ack>,
    /// A request.
    #[prost(message, optional, tag = "4")]
    pub request: Option<Request>,
    /// Still here.
    #[prost(message, optional, tag = "5")]
    pub ping: Option<Empty>,
}

/// What a socket is to prove.
#[derive(Clone, PartialEq, Message)]
pub struct Challenge {
    /// Chosen by the relay.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub nonce: Vec<u8>,
    /// The proof covers the TLS connection.
    #[prost(bool, tag = "3")]
    pub tls_bound: bool,
}

/// What a relay allows.
#[derive(Clone, PartialEq, Message)]
pub struct Limits {
    /// Pushed and not acknowledged.
    #[prost(uint32, tag = "1")]
    pub max_unacked: u32,
    /// Of one body.
    #[prost(uint32, tag = "2")]
    pub max_body_bytes: u32,
    /// Of one submission.
    #[prost(uint32, tag = "3")]
    pub max_submit_items: u32,
    /// Of an envelope.
    #[prost(uint32, tag = "4")]
    pub max_expiry_s: u32,
}

/// One-time keys that are left.
#[derive(Clone, PartialEq, Message)]
pub struct PrekeyCount {
    /// X25519.
    #[prost(uint32, tag = "1")]
    pub ec: u32,
    /// ML-KEM.
    #[prost(uint32, tag = "2")]
    pub kem: u32,
}

/// The socket is authenticated.
#[derive(Clone, PartialEq, Message)]
pub struct Ready {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub mailbox_epoch: Vec<u8>,
    /// Acknowledged up to here.
    #[prost(uint64, tag = "2")]
    pub acked: u64,
    /// The relay's clock.
    #[prost(uint64, tag = "3")]
    pub server_time_ms: u64,
    /// What it allows.
    #[prost(message, optional, tag = "4")]
    pub limits: Option<Limits>,
    /// What is left.
    #[prost(message, optional, tag = "5")]
    pub prekeys: Option<PrekeyCount>,
    /// Days away, if the device had left delivery.
    #[prost(uint32, tag = "6")]
    pub away_days: u32,
}

/// An envelope for the device.
#[derive(Clone, PartialEq, Message)]
pub struct Push {
    /// Its number; 0 for an ephemeral one.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// [`DURABLE`] or [`EPHEMERAL`].
    #[prost(uint32, tag = "2")]
    pub class: u32,
    /// The head.
    #[prost(bytes = "vec", tag = "3")]
    pub head: Vec<u8>,
    /// The body.
    #[prost(bytes = "vec", tag = "4")]
    pub body: Vec<u8>,
    /// When the relay committed it.
    #[prost(uint64, tag = "5")]
    pub received_ms: u64,
    /// [`BY_LANE`], [`BY_TOKEN`], [`BY_KEY`] or [`BY_MEMBER`].
    #[prost(uint32, tag = "6")]
    pub way: u32,
}

/// It came by the request lane.
pub const BY_LANE: u32 = 1;
/// It came with the token of a link.
pub const BY_TOKEN: u32 = 2;
/// It came with the delivery key.
pub const BY_KEY: u32 = 3;
/// It came with the member key.
pub const BY_MEMBER: u32 = 4;

/// The relay stops.
#[derive(Clone, PartialEq, Message)]
pub struct GoAway {
    /// When to come back.
    #[prost(uint32, tag = "1")]
    pub retry_after_ms: u32,
}

/// Section 11.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Refusal {
    /// Its number there.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// 0: waiting alone does not help.
    #[prost(uint32, tag = "2")]
    pub retry_after_s: u32,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// Of the request.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Done.
    #[prost(message, optional, tag = "2")]
    pub done: Option<Empty>,
    /// Refused.
    #[prost(message, optional, tag = "3")]
    pub error: Option<Refusal>,
    /// Of the request lane.
    #[prost(message, optional, tag = "4")]
    pub results: Option<Results>,
}

/// Relay to client on `/v1/mailbox`.
#[derive(Clone, PartialEq, Message)]
pub struct MailboxServerFrame {
    /// The first frame.
    #[prost(message, optional, tag = "1")]
    pub challenge: Option<Challenge>,
    /// The second.
    #[prost(message, optional, tag = "2")]
    pub ready: Option<Ready>,
    /// An envelope.
    #[prost(message, optional, tag = "3")]
    pub push: Option<Push>,
    /// All that waited was pushed.
    #[prost(message, optional, tag = "4")]
    pub caught_up: Option<Empty>,
    /// Another socket of this device took over.
    #[prost(message, optional, tag = "5")]
    pub displaced: Option<Empty>,
    /// The relay stops.
    #[prost(message, optional, tag = "6")]
    pub go_away: Option<GoAway>,
    /// The end.
    #[prost(message, optional, tag = "7")]
    pub error: Option<Refusal>,
    /// To a request.
    #[prost(message, optional, tag = "8")]
    pub response: Option<Response>,
    /// To a ping.
    #[prost(message, optional, tag = "9")]
    pub pong: Option<Empty>,
    /// Few one-time keys are left.
    #[prost(message, optional, tag = "10")]
    pub prekeys_low: Option<PrekeyCount>,
}

/// A contact token as it is shown to a relay.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Token {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub token: Vec<u8>,
    /// 16 bytes, chosen by who uses the link.
    #[prost(bytes = "vec", tag = "2")]
    pub binding: Vec<u8>,
}

/// What lets a submission in.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Capability {
    /// 16 bytes.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub delivery_key: Option<Vec<u8>>,
    /// Of a link.
    #[prost(message, optional, tag = "2")]
    pub contact_token: Option<Token>,
    /// 16 bytes.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub member_key: Option<Vec<u8>>,
}

/// Stored until it is acknowledged.
pub const DURABLE: u32 = 0;
/// Handed to the socket, never stored.
pub const EPHEMERAL: u32 = 1;

/// One envelope of a submission.
#[derive(Clone, PartialEq, Message)]
pub struct Item {
    /// For whom.
    #[prost(message, optional, tag = "1")]
    pub device: Option<DeviceAddress>,
    /// Absent in the request lane.
    #[prost(message, optional, tag = "2")]
    pub capability: Option<Capability>,
    /// [`DURABLE`] or [`EPHEMERAL`].
    #[prost(uint32, tag = "3")]
    pub class: u32,
    /// 0: 30 days.
    #[prost(uint32, tag = "4")]
    pub expiry_s: u32,
    /// The head.
    #[prost(bytes = "vec", tag = "5")]
    pub head: Vec<u8>,
    /// Which of the bodies.
    #[prost(uint32, tag = "6")]
    pub body_ref: u32,
    /// Of the receiver, as the sender knows it.
    #[prost(uint32, tag = "7")]
    pub list_version: u32,
}

/// A submission.
#[derive(Clone, PartialEq, Message)]
pub struct Submit {
    /// Shared by items.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub bodies: Vec<Vec<u8>>,
    /// The envelopes.
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<Item>,
}

/// A submission with its number on the socket.
#[derive(Clone, PartialEq, Message)]
pub struct SubmitFrame {
    /// Comes back in the reply.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What is submitted.
    #[prost(message, optional, tag = "2")]
    pub submit: Option<Submit>,
}

/// Client to relay on `/v1/submit`.
#[derive(Clone, PartialEq, Message)]
pub struct SubmitClientFrame {
    /// The first frame.
    #[prost(message, optional, tag = "1")]
    pub hello: Option<Hello>,
    /// A submission.
    #[prost(message, optional, tag = "2")]
    pub submit: Option<SubmitFrame>,
    /// Still here.
    #[prost(message, optional, tag = "3")]
    pub ping: Option<Empty>,
}

/// The socket is open.
#[derive(Clone, PartialEq, Message)]
pub struct Welcome {
    /// Chosen by the relay.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The relay's clock.
    #[prost(uint64, tag = "2")]
    pub server_time_ms: u64,
    /// What it allows.
    #[prost(message, optional, tag = "3")]
    pub limits: Option<Limits>,
}

/// The sender does not know the receiver's list.
#[derive(Clone, PartialEq, Message)]
pub struct StaleDevices {
    /// The list.
    #[prost(bytes = "vec", tag = "1")]
    pub device_list: Vec<u8>,
}

/// The mailbox is full.
#[derive(Clone, PartialEq, Message)]
pub struct Full {
    /// When to come back.
    #[prost(uint32, tag = "1")]
    pub retry_after_s: u32,
}

/// What became of one item.
#[derive(Clone, PartialEq, Message)]
pub struct ItemResult {
    /// Stored.
    #[prost(message, optional, tag = "1")]
    pub accepted: Option<Empty>,
    /// Seal again.
    #[prost(message, optional, tag = "2")]
    pub stale_devices: Option<StaleDevices>,
    /// Later.
    #[prost(message, optional, tag = "3")]
    pub full: Option<Full>,
    /// Not taken.
    #[prost(message, optional, tag = "4")]
    pub refused: Option<Refusal>,
}

/// What became of each item, in order.
#[derive(Clone, PartialEq, Message)]
pub struct Results {
    /// One for each item.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<ItemResult>,
}

/// The answer to a submission.
#[derive(Clone, PartialEq, Message)]
pub struct Reply {
    /// Of the submission.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What became of the items.
    #[prost(message, optional, tag = "2")]
    pub results: Option<Results>,
    /// Nothing was stored.
    #[prost(message, optional, tag = "3")]
    pub error: Option<Refusal>,
}

/// Relay to client on `/v1/submit`.
#[derive(Clone, PartialEq, Message)]
pub struct SubmitServerFrame {
    /// The first frame.
    #[prost(message, optional, tag = "1")]
    pub welcome: Option<Welcome>,
    /// To a submission.
    #[prost(message, optional, tag = "2")]
    pub reply: Option<Reply>,
    /// The end.
    #[prost(message, optional, tag = "3")]
    pub error: Option<Refusal>,
    /// The relay stops.
    #[prost(message, optional, tag = "4")]
    pub go_away: Option<GoAway>,
    /// To a ping.
    #[prost(message, optional, tag = "5")]
    pub pong: Option<Empty>,
}
