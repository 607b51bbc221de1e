//! The relay's own bounds, each with its reason, and the token buckets of the anonymous calls.
//! Bounds that clients know too are in `subrosa_wire::limits`.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::lock::lock;

/// Connections served at once. Below the usual descriptor limit of 20,000 less what the
/// database and the log need; a connection above it waits in the kernel's accept queue.
pub(crate) const MAX_CONNECTIONS: usize = 19_000;

/// Pause after a failed `accept` (descriptors used up): long enough not to spin, short enough not to be noticed.
pub(crate) const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

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
pub(crate) const MAX_MAILBOX_ROWS: u64 = 20_000;
/// Bytes that may wait for one device, bodies counted for each device that shares them.
pub(crate) const MAX_MAILBOX_BYTES: u64 = 128 * 1024 * 1024;
/// When to try a full mailbox again: its owner has to come online first.
pub(crate) const FULL_RETRY_S: u32 = 600;
/// When to come back to a relay that cannot store now.
pub(crate) const UNAVAILABLE_RETRY_S: u32 = 5;
/// When to come back for more requests to somebody whose request queue is full.
pub(crate) const REQUESTS_FULL_RETRY_S: u32 = 3_600;

/// Rows of one page read from a mailbox, so that an acknowledgement is looked at between pages.
pub(crate) const PAGE_ROWS: usize = 64;
/// Bytes after which a page ends: what one slow reader can pin in memory.
pub(crate) const PAGE_BYTES: usize = 64 * 1024;

/// Submissions of one socket that wait for their commit: fills a group commit without letting one socket fill the queue.
pub(crate) const MAX_IN_FLIGHT_SUBMITS: usize = 32;
/// Bytes of submissions that wait for a commit, over all sockets, in KiB.
pub(crate) const INTAKE_KIB: usize = 64 * 1024;
/// Bytes of device lists in one reply, so that the reply stays below the frame limit.
pub(crate) const MAX_STALE_LIST_BYTES: usize = 256 * 1024;

/// Space on the disk below which nothing new is stored: twice what one commit can hold, because it is
/// written to the log and then to the database. So acknowledgements, which make room, always find some.
pub(crate) const MIN_FREE_BYTES: u64 = 2 * (INTAKE_KIB as u64) * 1024;

/// Ephemeral envelopes waiting for a session that is busy sending: the oldest is dropped, a newer "typing" says more.
pub(crate) const MAX_EPHEMERAL_QUEUE: usize = 32;

/// Senders and pairs the request lane remembers. Beyond it requests are refused until old ones lapse.
pub(crate) const MAX_LANE_ENTRIES: usize = 100_000;
/// How long the lane remembers a pair and a sender's requests.
pub(crate) const LANE_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Addresses one limiter remembers: 100,000 × about 50 bytes. When full, idle ones are dropped first.
const MAX_BUCKETS: usize = 100_000;

/// Rate of one kind of call from one address.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Calls at once after a quiet time.
    pub burst: u32,
    /// Calls a minute afterwards.
    pub per_minute: u32,
}

/// Rates of the anonymous calls, for each client address.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// `/v1/register`. A household or an office behind one address, and scripts that set up test accounts.
    pub register: Rate,
    /// `/v1/resolve`. Slow, because walking through names is how handles would be harvested.
    pub resolve: Rate,
    /// `/v1/devices`. Asked at each new contact and each newer list.
    pub devices: Rate,
    /// `/v1/prekeys`. Asked once for each new session.
    pub prekeys: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            register: Rate { burst: 600, per_minute: 600 },
            resolve: Rate { burst: 60, per_minute: 60 },
            devices: Rate { burst: 600, per_minute: 1_200 },
            prekeys: Rate { burst: 600, per_minute: 1_200 },
        }
    }
}

/// Token buckets of one kind of call, one for each client address.
pub(crate) struct Limiter {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::new(HashMap::new()) }
    }

    fn refill(&self, bucket: &mut Bucket, now: Instant) {
        let gained = now.duration_since(bucket.at).as_secs_f64() * f64::from(self.rate.per_minute) / 60.0;
        bucket.tokens = (bucket.tokens + gained).min(f64::from(self.rate.burst));
        bucket.at = now;
    }

    /// Takes one token of `address`.
    ///
    /// # Errors
    /// Seconds until there is one again.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), u32> {
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|_, bucket| {
                self.refill(bucket, now);
                bucket.tokens < f64::from(self.rate.burst)
            });
            if buckets.len() >= MAX_BUCKETS {
                // Everybody is at it: forgetting the busy ones only makes the limit milder for a while.
                buckets.clear();
            }
        }
        let bucket =
            buckets.entry(prefix(address)).or_insert_with(|| Bucket { tokens: f64::from(self.rate.burst), at: now });
        self.refill(bucket, now);
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - bucket.tokens) * 60.0 / f64::from(self.rate.per_minute.max(1));
        // Bounded by 60 s, so the cast is exact enough.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Err(wait.ceil().clamp(1.0, 60.0) as u32)
    }
}

/// One customer gets a whole IPv6 /64, so that is what a limit counts.
fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let limiter = Limiter::new(Rate { burst: 3, per_minute: 60 });
        let (one, two) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take(one, now), Ok(()));
        }
        assert_eq!(limiter.take(one, now), Err(1));
        assert_eq!(limiter.take(two, now), Ok(()), "addresses do not share a bucket");
        assert_eq!(limiter.take(one, now + Duration::from_secs(1)), Ok(()));
        assert_eq!(limiter.take(one, now + Duration::from_secs(1)), Err(1));
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let limiter = Limiter::new(Rate { burst: 1, per_minute: 1 });
        let now = Instant::now();
        assert!(limiter.take("2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(limiter.take("2001:db8::2".parse().unwrap(), now).is_err());
        assert!(limiter.take("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    }
}
