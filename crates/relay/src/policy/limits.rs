//! The relay's own bounds, each with its reason.
//! Bounds that clients know too are in `subrosa_wire::limits`.

use std::time::Duration;

use subrosa_wire::{ErrorCode, submit::Refusal};

pub use crate::policy::limiter::Rate;
pub(crate) use crate::policy::limiter::Share;

/// A start spends at most this long on looking at the whole database: some GiB on a small server. What is left unchecked
/// then is checked when it is read, and by `subrosa-relay check`.
pub(crate) const START_CHECK: Duration = Duration::from_secs(10);

/// Connections served at once. Below the usual descriptor limit of 20,000 less what the
/// database and the log need; a connection above it waits in the kernel's accept queue.
pub(crate) const MAX_CONNECTIONS: usize = 19_000;

/// Certificate files are looked at this often: a renewal comes weeks before the old one ends, two `stat` calls cost nothing.
pub(crate) const TLS_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// A session looks into its mailbox this often without being woken: a wake is only a hint.
pub(crate) const RESYNC_INTERVAL: Duration = Duration::from_secs(30);

/// A peer that takes no bytes for this long is gone or too slow to be worth its memory.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stopping relay waits for its sockets to say goodbye.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it then waits for the last commit. Together less than 5 s, what supervisors allow at least.
pub(crate) const LAST_COMMIT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Reconnects a second that a restarted relay is asked to bear: `GoAway` spreads them accordingly.
pub(crate) const RECONNECTS_PER_SECOND: u32 = 500;
/// Longest delay a `GoAway` asks for.
pub(crate) const MAX_GO_AWAY_MS: u32 = 60_000;
/// Delay a `GoAway` may ask for even when few are connected: a restart takes about as long.
pub(crate) const MIN_GO_AWAY_MS: u32 = 1_000;

/// Envelopes that may wait for one device: a month of a busy group. Never trimmed, further ones are refused.
pub(crate) const MAX_MAILBOX_ROWS: u64 = subrosa_wire::limits::MAX_MAILBOX_ROWS as u64;
/// Bytes that may wait for one device, bodies counted for each device that shares them.
pub(crate) const MAX_MAILBOX_BYTES: u64 = subrosa_wire::limits::MAX_MAILBOX_BYTES as u64;
/// When to try a full mailbox again: its owner has to come online first.
pub(crate) const FULL_RETRY_S: u32 = 600;
/// When to try a device again that has not connected for a long time.
pub(crate) const IDLE_RETRY_S: u32 = 24 * 3_600;
/// When to come back to a relay that cannot store now.
pub(crate) const UNAVAILABLE_RETRY_S: u32 = 5;
/// What a client is told then.
pub(crate) const UNAVAILABLE: Refusal = Refusal { code: ErrorCode::Unavailable, retry_after_s: UNAVAILABLE_RETRY_S };
/// When to come back for more requests to somebody whose request queue is full.
pub(crate) const REQUESTS_FULL_RETRY_S: u32 = 3_600;

/// Rows of one page read from a mailbox, so that an acknowledgement is looked at between pages.
pub(crate) const PAGE_ROWS: usize = 64;
/// Bytes after which a page ends: what one slow reader can pin in memory.
pub(crate) const PAGE_BYTES: usize = 64 * 1024;

/// Submissions of one socket that wait for their commit: fills a group commit without letting one socket fill the queue.
pub const MAX_IN_FLIGHT_SUBMITS: usize = 32;
/// Bytes of submissions that wait for a commit, over all sockets.
pub(crate) const INTAKE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of device lists in one reply, so that the reply stays below the frame limit.
pub(crate) const MAX_STALE_LIST_BYTES: usize = 256 * 1024;

/// Space on the disk below which nothing new is stored: twice what one commit can hold, because it is
/// written to the log and then to the database. So acknowledgements, which make room, always find some.
pub(crate) const MIN_FREE_BYTES: u64 = 2 * INTAKE_BYTES as u64;

/// Ephemeral envelopes waiting for a session that is busy sending: the oldest is dropped, a newer "typing" says more.
pub(crate) const MAX_EPHEMERAL_QUEUE: usize = 32;

/// Senders and pairs the request lane remembers. Beyond it requests are refused until old ones lapse.
pub(crate) const MAX_LANE_ENTRIES: usize = 100_000;
/// How long the lane remembers a pair and a sender's requests.
pub(crate) const LANE_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Connections of one address (IPv6: of one /64): a provider may put a thousand households behind one.
pub(crate) const MAX_CONNECTIONS_PER_ADDRESS: usize = 2_048;
/// Connections of one address that are told why they are refused; further ones are closed without a word.
pub(crate) const POLITE_REFUSALS: usize = 32;
/// When somebody may come back who was refused for having too many connections open.
pub(crate) const REFUSED_RETRY_S: u32 = 5;
/// A refused connection has this long to ask what it wants to ask.
pub(crate) const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Registrations whose signatures are verified at once, each on a thread of its own.
pub(crate) const MAX_CHECKS: usize = 2;

/// What the kernel keeps of bytes that a slow reader has not taken: a window for 10 Mbit/s over half the
/// world. Left to itself it may grow to several MiB for each connection.
pub(crate) const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Bytes of bodies that count like one envelope, so that a large message costs its sender's address more, of its limit and
/// of its share in a commit.
pub const SUBMIT_UNIT_BYTES: usize = 4 * 1024;

// One-time bundles of one device. What may be taken at once by everybody together (14) is less than the stock at which the
// device is told to refill (`LOW_ONE_TIME_KEM`), so that one which is connected is never found empty.

/// To one address (IPv6: a /48, which one customer may have): five devices of one person and a retry, then one an hour. A device that
/// is away for half a day is not emptied by it either.
pub(crate) const ADDRESS_SHARE: Share = Share { burst: 6, every: Duration::from_secs(3_600) };
/// By one delivery key, which all contacts share: more than an address may take, so that one of them leaves something to the others; then
/// one a minute, for somebody whose sixty contacts all write first within an hour.
pub(crate) const KEY_SHARE: Share = Share { burst: 8, every: Duration::from_secs(60) };
/// By one contact token: the joiner's first session and a retry. The other bundles it may take are last-resort ones.
pub(crate) const TOKEN_SHARE: Share = Share { burst: 2, every: Duration::from_secs(3_600) };
/// By all contact tokens of the account, of which 256 may be open.
pub(crate) const TOKENS_SHARE: Share = Share { burst: 6, every: Duration::from_secs(60) };

/// Frames of one socket that do nothing (pings, repeated acknowledgements): a client pings twice a minute.
pub(crate) const IDLE_FRAMES: Rate = Rate { burst: 256, per_minute: 120 };

/// How often things may be done. By client address if nothing else is said; behind a proxy, the address that it names.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// New connections. 20 a second are enough for an office that comes back after a restart, and for a script without engine.
    pub connect: Rate,
    /// HTTP requests of any kind, upgrades to a WebSocket among them, each of which may prove one signature.
    pub requests: Rate,
    /// `/v1/register`: an office that begins together; scripts that set up test accounts. Costs signatures and a row for ever.
    pub register: Rate,
    /// `/v1/resolve`. Slow, because walking through names is how handles would be harvested.
    pub resolve: Rate,
    /// `/v1/devices`. Asked at each new contact and each newer list.
    pub devices: Rate,
    /// `/v1/prekeys`, in devices: once for each new session, so that a group of 256 with five devices each is asked for once, then again
    /// in a minute. One-time keys are not what it guards: they are bounded for each device by the shares above and for each token by its
    /// quota, and who has no delivery key or token takes none. What is left is a read and 1.7 KB for each device.
    pub prekeys: Rate,
    /// Envelopes submitted (4 KiB of bodies count like one): 25 messages to a group of 256 with three devices each, or two seconds of all
    /// that a relay stores; then a thousand a second of its ten thousand.
    pub submit: Rate,
    /// Envelopes refused because the capability was wrong. Honest clients meet a handful in a year.
    pub wrong_capabilities: Rate,
    /// Envelopes stored for one account, whoever sends: a whole mailbox at once, then what a busy group writes.
    pub account: Rate,
    /// Envelopes stored with one capability: less than the account's, so that a flooding contact leaves room for new ones.
    pub capability: Rate,
    /// What the devices of one account ask on their own sockets: prekeys, lists, links; each is a synced write.
    pub own_requests: Rate,
    /// KiB read from one connection. Faster senders wait.
    pub connection_kib: Rate,
    /// KiB read from all connections of one address together (not behind a proxy, where all come from one).
    pub address_kib: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            connect: Rate { burst: 2_400, per_minute: 1_200 },
            requests: Rate { burst: 2_400, per_minute: 2_400 },
            register: Rate { burst: 240, per_minute: 60 },
            resolve: Rate { burst: 60, per_minute: 60 },
            devices: Rate { burst: 600, per_minute: 1_200 },
            prekeys: Rate { burst: 1_280, per_minute: 1_280 },
            submit: Rate { burst: 20_000, per_minute: 60_000 },
            wrong_capabilities: Rate { burst: 1_000, per_minute: 600 },
            account: Rate { burst: 20_000, per_minute: 6_000 },
            capability: Rate { burst: 16_000, per_minute: 4_800 },
            own_requests: Rate { burst: 600, per_minute: 120 },
            connection_kib: Rate { burst: 4 * 1024, per_minute: 4 * 1024 * 60 },
            address_kib: Rate { burst: 64 * 1024, per_minute: 32 * 1024 * 60 },
        }
    }
}
