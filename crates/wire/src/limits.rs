//! Every bound of the protocol between client and relay, with its reason.

use std::time::Duration;

/// Protocol versions this build speaks, best first.
pub const VERSIONS: [u32; 1] = [1];

/// Devices of one account: a phone-sized household of installations, and 256 members
/// of a group still fit one submission.
pub const MAX_DEVICES: usize = 5;

/// Login marks that an `Auth` shows: the confirmed one, and those of logins since whose end the client has not seen. Seven in a row
/// without an answer is a long night of a bad network; after that the last one is sent again.
pub const MAX_SHOWN_MARKS: usize = 8;

/// Items of one submission: a group of 256 with [`MAX_DEVICES`] each.
pub const MAX_SUBMIT_ITEMS: usize = 256 * MAX_DEVICES;

/// Bodies of one submission. One for a group; a batch of 1:1 messages carries one each.
pub const MAX_SUBMIT_BODIES: usize = 64;

/// Largest sealed body: the top padding bucket (`docs/protocol.md`, seal).
pub const MAX_BODY_BYTES: usize = 65_536;

/// Envelopes that wait for one device at most, unless a relay's host allows others: a month of a busy group.
pub const MAX_MAILBOX_ROWS: usize = 20_000;

/// Bytes that wait for one device at most, unless a relay's host allows others.
pub const MAX_MAILBOX_BYTES: usize = 128 * 1024 * 1024;

/// Smallest sealed body: the lowest padding bucket.
pub const MIN_BODY_BYTES: usize = 512;

/// The padding buckets. A body of any other length was not made by a client of ours and is refused.
pub const BODY_SIZES: [usize; 8] = [512, 1024, 2304, 4096, 8192, 16_384, 32_768, 65_536];

/// A wrapped body key (32 bytes and the 16 of its tag) and the sender's tag of 16.
pub const HEAD_BYTES: usize = 64;

/// Bodies of one submission together, so that a batch cannot exceed a frame: the longest message to a person with
/// [`MAX_DEVICES`], each with its own ciphertext.
pub const MAX_SUBMIT_BODY_BYTES: usize = MAX_DEVICES * MAX_BODY_BYTES;

/// Largest frame on `/v1/submit`: the largest submission that the other bounds allow ([`LARGEST_SUBMIT_BYTES`]), and up to
/// 64 KiB for fields that newer programs add.
pub const MAX_SUBMIT_FRAME_BYTES: usize = frame(LARGEST_SUBMIT_BYTES);

/// Largest frame on `/v1/mailbox`: the largest submission on the request lane, where items carry no capability. A full
/// prekey upload (about 40 KB) is far below it.
pub const MAX_MAILBOX_FRAME_BYTES: usize = frame(submission(ITEM_BYTES));

/// Bytes of the largest frame that a submission makes: [`MAX_SUBMIT_ITEMS`] items with the longest capability and the largest
/// numbers, [`MAX_SUBMIT_BODIES`] bodies of [`MAX_SUBMIT_BODY_BYTES`] together.
pub const LARGEST_SUBMIT_BYTES: usize = submission(ITEM_BYTES + field(CAPABILITY_BYTES));

/// Bytes of a protobuf varint.
const fn varint(value: usize) -> usize {
    let bits = (usize::BITS - value.leading_zeros()) as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

/// A field of `len` bytes: tag (all field numbers here are below 16), length, content.
const fn field(len: usize) -> usize {
    1 + varint(len) + len
}

/// A number of at most 32 bits, with its tag.
const NUMBER_BYTES: usize = 1 + varint(u32::MAX as usize);

/// The longest capability: contact token and binding, 16 bytes each.
const CAPABILITY_BYTES: usize = field(2 * field(16));

/// An item without capability: address, class, expiry, head, body reference, list version.
const ITEM_BYTES: usize = field(field(32) + NUMBER_BYTES)
    + (1 + varint(1))
    + NUMBER_BYTES
    + field(HEAD_BYTES)
    + (1 + varint(MAX_SUBMIT_BODIES - 1))
    + NUMBER_BYTES;

/// The frame of a submission of as many items and bodies as there may be.
const fn submission(item: usize) -> usize {
    // A body costs most beside its bytes with the longest length.
    let bodies = MAX_SUBMIT_BODY_BYTES + MAX_SUBMIT_BODIES * (field(MAX_BODY_BYTES) - MAX_BODY_BYTES);
    let submit = bodies + MAX_SUBMIT_ITEMS * field(item);
    // The call has an id beside it, whose varint has up to 10 bytes; the frame holds the call. The request lane nests as deep.
    field(field(submit) + 1 + 10)
}

/// The limit for frames of up to `bytes`: the next multiple of 64 KiB.
const fn frame(bytes: usize) -> usize {
    const STEP: usize = 64 * 1024;
    bytes.div_ceil(STEP) * STEP
}

const _: () = assert!(LARGEST_SUBMIT_BYTES <= MAX_SUBMIT_FRAME_BYTES);
// The page of the protocol names the two.
const _: () = assert!(MAX_SUBMIT_FRAME_BYTES == 589_824 && MAX_MAILBOX_FRAME_BYTES == 524_288);

/// Largest body of an HTTPS question, and of nearly every answer.
pub const MAX_HTTP_BYTES: usize = 16 * 1024;

/// Devices whose prekeys one question may ask for: all of a dozen people with [`MAX_DEVICES`] each, in an answer of 120 KB.
pub const MAX_BUNDLES: usize = 64;

/// Largest answer with prekeys: [`MAX_BUNDLES`] bundles of a signed prekey (100), a one-time key (36), an ML-KEM key (1,636) and the fields around
/// them, and as much again as a question for fields that newer programs add.
pub const MAX_BUNDLES_BYTES: usize = MAX_BUNDLES * (100 + 36 + 1_636 + 32) + MAX_HTTP_BYTES;

/// Envelopes pushed and not yet acknowledged: bounds the relay's and the client's memory, and is
/// enough to hide a round trip of 50 ms at 5,000 messages a second.
pub const MAX_UNACKED: usize = 256;

/// Frames waiting for an unauthenticated socket. After it the socket is closed: silent connections cost nothing.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client pings this often; a relay closes a socket that was silent for [`SILENCE_TIMEOUT`].
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Two missed pings and some slack.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long an envelope may wait: 30 days. The client remembers envelope ids as long.
pub const MAX_EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);

/// A device that has not connected for so many days leaves delivery until it does: whatever it left waiting has
/// expired two weeks before, and mail to a lost telephone must not fill relays.
pub const IDLE_DAYS: u32 = 45;

/// One-time prekeys of each kind a device keeps at the relay.
pub const MAX_ONE_TIME_EC: usize = 100;
/// ML-KEM keys are 1.6 KB each, so fewer of them.
pub const MAX_ONE_TIME_KEM: usize = 20;
/// Below this the relay says `prekeys_low`: EC keys.
pub const LOW_ONE_TIME_EC: usize = 20;
/// Below this the relay says `prekeys_low`: KEM keys. More than a relay gives out at once to everybody together (14), so that a
/// connected device refills before the last one is gone.
pub const LOW_ONE_TIME_KEM: usize = 15;

/// Envelopes the holder of one contact token may submit: introductions until the inviter answers.
pub const MAX_TOKEN_SUBMITS: u32 = 64;
/// People who may join with one contact token: a whole group.
pub const MAX_TOKEN_USES: u32 = 256;
/// Prekey bundles that may be taken with one contact token, for each who may join with it. Few of them have one-time keys (`docs/protocol.md`, questions over HTTPS).
pub const MAX_TOKEN_PREKEYS: u32 = 16;
/// Contact tokens an account may have open.
pub const MAX_CONTACT_TOKENS: usize = 256;
/// Longest life of a contact token.
pub const MAX_TOKEN_EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);

/// Request lane: requests one sender may make in 24 hours.
pub const MAX_REQUESTS_PER_DAY: usize = 20;
/// Request lane: requests that may wait for one receiver.
pub const MAX_PENDING_REQUESTS: usize = 100;

/// Handles: 3 to 32 of `a-z 0-9 . _ -`, beginning and ending with a letter or digit.
pub const MIN_HANDLE_CHARS: usize = 3;
/// See [`MIN_HANDLE_CHARS`].
pub const MAX_HANDLE_CHARS: usize = 32;

/// Longest `host:port`: a DNS name (253) and a port.
pub const MAX_AUTHORITY_BYTES: usize = 260;

/// How long a replaced delivery key may stay valid.
pub const MAX_PREVIOUS_KEY_VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// How long a replaced member key may stay valid: the new one reaches members through whichever group they look at next.
pub const MAX_PREVIOUS_MEMBER_KEY_VALIDITY: Duration = Duration::from_secs(48 * 3600);
