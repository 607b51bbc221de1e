//! Token buckets in bounded memory.
//!
//! A bucket is one number: the moment at which it is full again ("generic cell rate algorithm").
//! Taking moves that moment away; who would move it further than a whole bucket is refused and told
//! when to come back. A bucket that is full says nothing, so only such are ever forgotten: a flood of
//! new keys cannot make a limited one fresh. While the table is full of limited keys, newcomers share
//! a fixed number of further buckets.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::lock::lock;

/// Keys one limiter remembers: 100,000 × about 20 bytes (addresses), 50 (accounts) or 80 (somebody's share of a device's keys).
const MAX_BUCKETS: usize = 100_000;

/// Buckets that newcomers share while the table is full: one in so many newcomers meets a flooder.
const SHARED_BUCKETS: usize = 4_096;

/// A full table is searched for forgettable buckets at most this often: the search takes a millisecond.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// An IPv6 customer often gets a /48 with 65,536 networks of the size a limit counts. All of them
/// together may do this many times what one may.
const NETWORKS_PER_SITE: u32 = 16;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once after a quiet time.
    pub burst: u32,
    /// A minute afterwards.
    pub per_minute: u32,
}

impl Rate {
    fn times(self, factor: u32) -> Self {
        Self { burst: self.burst.saturating_mul(factor), per_minute: self.per_minute.saturating_mul(factor) }
    }
}

/// A slow rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// At once after a quiet time.
    pub(crate) burst: u32,
    /// One more after each such time.
    pub(crate) every: Duration,
}

/// A rate in nanoseconds: what one token costs, and how many a bucket holds.
#[derive(Debug, Clone, Copy)]
struct Tariff {
    step: u64,
    depth: u64,
}

const NS_PER_MINUTE: u64 = 60_000_000_000;

impl Tariff {
    fn new(rate: Rate) -> Self {
        Self::of(NS_PER_MINUTE / u64::from(rate.per_minute.max(1)), rate.burst)
    }

    fn of(step: u64, burst: u32) -> Self {
        Self { step, depth: step.saturating_mul(burst.max(1).into()) }
    }

    /// How many tokens are in a bucket that is full at `full_at`.
    fn left(self, full_at: u64, now: u64) -> Left {
        let full_at = full_at.max(now);
        let latest = now.saturating_add(self.depth);
        let tokens = latest.saturating_sub(full_at) / self.step.max(1);
        let wait = full_at.saturating_add(self.step).saturating_sub(latest);
        Left { tokens: u32::try_from(tokens).unwrap_or(u32::MAX), retry_after_s: seconds(wait) }
    }

    /// Takes `cost` tokens from a bucket that is full at `full_at`. More than a whole bucket counts as a whole one.
    ///
    /// # Errors
    /// Nanoseconds until there are enough; nothing is taken.
    fn take(self, full_at: u64, cost: u32, now: u64) -> Result<u64, u64> {
        let price = self.step.saturating_mul(cost.into()).min(self.depth);
        let after = full_at.max(now).saturating_add(price);
        let latest = now.saturating_add(self.depth);
        if after <= latest { Ok(after) } else { Err(after - latest) }
    }
}

/// How many tokens a bucket held when it was looked at, for a judgement that is made elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Tokens.
    pub tokens: u32,
    /// Seconds until there is one, when there is none.
    pub retry_after_s: u32,
}

impl Left {
    /// Takes one.
    ///
    /// # Errors
    /// Seconds until there is one.
    pub(crate) fn take(&mut self) -> Result<(), u32> {
        match self.tokens.checked_sub(1) {
            Some(rest) => {
                self.tokens = rest;
                Ok(())
            }
            None => Err(self.retry_after_s),
        }
    }
}

/// Nanoseconds as whole seconds for a client: at least one.
fn seconds(ns: u64) -> u32 {
    u32::try_from(ns.div_ceil(1_000_000_000)).unwrap_or(u32::MAX).max(1)
}

fn since(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}

/// One bucket for each key.
pub(crate) struct Buckets<K> {
    tariff: Tariff,
    start: Instant,
    capacity: usize,
    hasher: RandomState,
    table: Mutex<Table<K>>,
}

struct Table<K> {
    /// When a key's bucket is full again.
    full_at: HashMap<K, u64>,
    /// The same for those that found no room, by hash.
    shared: Vec<u64>,
    swept_at: u64,
}

impl<K: Hash + Eq> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_capacity(Tariff::new(rate), MAX_BUCKETS)
    }

    pub(crate) fn of(share: Share) -> Self {
        let step = u64::try_from(share.every.as_nanos()).unwrap_or(u64::MAX);
        Self::with_capacity(Tariff::of(step, share.burst), MAX_BUCKETS)
    }

    fn with_capacity(tariff: Tariff, capacity: usize) -> Self {
        let table = Table { full_at: HashMap::new(), shared: Vec::new(), swept_at: 0 };
        Self {
            tariff,
            start: subrosa_ambient::instant(),
            capacity,
            hasher: RandomState::new(),
            table: Mutex::new(table),
        }
    }

    /// Takes `cost` tokens; a cost of 0 only asks whether the bucket is overdrawn.
    ///
    /// # Errors
    /// Seconds until there are enough; nothing is taken.
    pub(crate) fn take(&self, key: K, cost: u32, now: Instant) -> Result<(), u32> {
        let now = since(self.start, now);
        let mut table = lock(&self.table);
        let full_at = self.full_at(&table, &key);
        let after = self.tariff.take(full_at, cost, now).map_err(seconds)?;
        if cost > 0 {
            self.put(&mut table, key, after, now);
        }
        Ok(())
    }

    /// How many tokens there are; none is taken.
    pub(crate) fn left(&self, key: &K, now: Instant) -> Left {
        let table = lock(&self.table);
        self.tariff.left(self.full_at(&table, key), since(self.start, now))
    }

    /// Takes `cost` tokens of something that has already happened: the bucket may be overdrawn by at most its depth.
    pub(crate) fn charge(&self, key: K, cost: u32, now: Instant) {
        let now = since(self.start, now);
        let mut table = lock(&self.table);
        let price = self.tariff.step.saturating_mul(cost.into());
        let after = self.full_at(&table, &key).max(now).saturating_add(price);
        let after = after.min(now.saturating_add(self.tariff.depth.saturating_mul(2)));
        self.put(&mut table, key, after, now);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.table).full_at.is_empty()
    }

    /// Forgets the keys whose bucket is full: it says nothing any more.
    pub(crate) fn forget_full(&self, now: Instant) {
        let now = since(self.start, now);
        lock(&self.table).full_at.retain(|_, full_at| *full_at > now);
    }

    fn place(&self, key: &K) -> usize {
        // The remainder fits usize: it is below SHARED_BUCKETS.
        usize::try_from(self.hasher.hash_one(key) % SHARED_BUCKETS as u64).unwrap_or(0)
    }

    /// A key that has no bucket of its own starts from the one it would share, so that it does not
    /// lose its debts when there is room again.
    fn full_at(&self, table: &Table<K>, key: &K) -> u64 {
        let shared = || table.shared.get(self.place(key)).copied().unwrap_or(0);
        table.full_at.get(key).copied().unwrap_or_else(shared)
    }

    fn put(&self, table: &mut Table<K>, key: K, after: u64, now: u64) {
        if let Some(full_at) = table.full_at.get_mut(&key) {
            *full_at = after;
            return;
        }
        let sweep_ns = u64::try_from(SWEEP_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
        if table.full_at.len() >= self.capacity && now >= table.swept_at.saturating_add(sweep_ns) {
            table.full_at.retain(|_, full_at| *full_at > now);
            table.swept_at = now;
        }
        if table.full_at.len() < self.capacity {
            table.full_at.insert(key, after);
            return;
        }
        if table.shared.is_empty() {
            tracing::warn!("a limiter's table is full of limited addresses or accounts: newcomers share buckets");
            table.shared = vec![0; SHARED_BUCKETS];
        }
        let place = self.place(&key);
        if let Some(full_at) = table.shared.get_mut(place) {
            *full_at = (*full_at).max(after);
        }
    }
}

/// Who shares an address: an IPv4 address, or an IPv6 /64, which is what one customer gets at least.
///
/// IPv4 takes the place of ::a.b.c.d/64 networks that nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(u64);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        // A listener for both families shows IPv4 clients as ::ffff:a.b.c.d, all of one /64.
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u32::from(v4).into()),
            IpAddr::V6(v6) => Self(u64::try_from(u128::from(v6) >> 64).unwrap_or(0)),
        }
    }

    /// Whoever can have this address: the /48 around an IPv6 network.
    pub(crate) fn customer(self) -> Self {
        self.site().unwrap_or(self)
    }

    /// 127.0.0.1 or ::1: a proxy or onion service of this machine, which stands for anybody.
    pub(crate) fn is_own(self) -> bool {
        self == Self::of(Ipv4Addr::LOCALHOST.into()) || self == Self::of(Ipv6Addr::LOCALHOST.into())
    }

    /// The /48 around an IPv6 network.
    const fn site(self) -> Option<Self> {
        if self.0 > u32::MAX as u64 { Some(Self(self.0 >> 16)) } else { None }
    }
}

/// Buckets for client addresses.
pub(crate) struct Limiter {
    networks: Buckets<Network>,
    sites: Buckets<Network>,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { networks: Buckets::new(rate), sites: Buckets::new(rate.times(NETWORKS_PER_SITE)) }
    }

    /// Takes `cost` tokens of `address`; a cost of 0 only asks.
    ///
    /// # Errors
    /// Seconds until there are enough.
    pub(crate) fn take(&self, address: IpAddr, cost: u32, now: Instant) -> Result<(), u32> {
        let network = Network::of(address);
        self.networks.take(network, cost, now)?;
        network.site().map_or(Ok(()), |site| self.sites.take(site, cost, now))
    }

    /// What both buckets of an address have at least.
    pub(crate) fn left(&self, address: IpAddr, now: Instant) -> Left {
        let network = Network::of(address);
        let left = self.networks.left(&network, now);
        let site = network.site().map(|site| self.sites.left(&site, now));
        site.into_iter().chain([left]).min_by_key(|left| left.tokens).unwrap_or(left)
    }

    /// As [`Buckets::charge`].
    pub(crate) fn charge(&self, address: IpAddr, cost: u32, now: Instant) {
        let network = Network::of(address);
        self.networks.charge(network, cost, now);
        if let Some(site) = network.site() {
            self.sites.charge(site, cost, now);
        }
    }
}

/// A bucket that belongs to one connection.
pub(crate) struct Allowance {
    tariff: Tariff,
    start: Instant,
    full_at: u64,
}

impl Allowance {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { tariff: Tariff::new(rate), start: subrosa_ambient::instant(), full_at: 0 }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Seconds until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), u32> {
        self.full_at = self.tariff.take(self.full_at, 1, since(self.start, now)).map_err(seconds)?;
        Ok(())
    }
}

/// Counts what has already flowed, for one or several connections, and says how long to pause.
pub(crate) struct Meter {
    tariff: Tariff,
    start: Instant,
    full_at: AtomicU64,
}

/// Bytes that a meter counts as one token.
const METER_UNIT: u64 = 1024;

impl Meter {
    /// `rate` in KiB.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { tariff: Tariff::new(rate), start: subrosa_ambient::instant(), full_at: AtomicU64::new(0) }
    }

    /// `bytes` have flowed: how long to wait before the next.
    pub(crate) fn charge(&self, bytes: usize, now: Instant) -> Duration {
        let now = since(self.start, now);
        let price = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(self.tariff.step) / METER_UNIT;
        let add = |full_at: u64| Some(full_at.max(now).saturating_add(price));
        let before = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap_or(now);
        let after = before.max(now).saturating_add(price);
        Duration::from_nanos(after.saturating_sub(now.saturating_add(self.tariff.depth)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_empties_and_refills() {
        let limiter = Limiter::new(Rate { burst: 3, per_minute: 60 });
        let (one, two) = (address("10.0.0.1"), address("10.0.0.2"));
        let now = subrosa_ambient::instant();
        for _ in 0..3 {
            assert_eq!(limiter.take(one, 1, now), Ok(()));
        }
        assert_eq!(limiter.take(one, 1, now), Err(1));
        assert_eq!(limiter.take(one, 3, now), Err(3), "a refusal took nothing and says when to come back");
        assert_eq!(limiter.take(two, 1, now), Ok(()), "addresses do not share a bucket");
        assert_eq!(limiter.take(one, 1, now + SECOND), Ok(()));
        assert_eq!(limiter.take(one, 1, now + SECOND), Err(1));
        assert_eq!(limiter.take(one, 3, now + 60 * SECOND), Ok(()));
        assert_eq!(limiter.take(one, 1, now + 60 * SECOND), Err(1), "no more than a bucket is saved up");
        assert_eq!(limiter.take(two, 1_000, now + 60 * SECOND), Ok(()), "the dearest thing costs a whole bucket");
        assert_eq!(limiter.take(two, 1, now + 60 * SECOND), Err(1));
    }

    #[test]
    fn what_has_happened_is_charged_also_beyond_the_bucket() {
        let buckets = Buckets::new(Rate { burst: 10, per_minute: 60 });
        let now = subrosa_ambient::instant();
        buckets.charge(1, 9, now);
        assert_eq!(buckets.take(1, 0, now), Ok(()));
        buckets.charge(1, 1_000, now);
        assert_eq!(buckets.take(1, 0, now), Err(10), "at most a second bucket is owed");
        assert_eq!(buckets.take(1, 0, now + 10 * SECOND), Ok(()));
    }

    #[test]
    fn an_ipv6_customer_is_one_address_and_a_site_is_sixteen() {
        let limiter = Limiter::new(Rate { burst: 1, per_minute: 1 });
        let now = subrosa_ambient::instant();
        assert!(limiter.take(address("2001:db8::1"), 1, now).is_ok());
        assert!(limiter.take(address("2001:db8::2"), 1, now).is_err());
        for network in 1..u128::from(NETWORKS_PER_SITE) {
            let other = u128::from(0x2001_0db8_u32) << 96 | network << 64;
            assert!(limiter.take(IpAddr::V6(other.into()), 1, now).is_ok(), "network {network}");
        }
        assert!(limiter.take(address("2001:db8:0:ffff::1"), 1, now).is_err(), "the site is used up");
        assert!(limiter.take(address("2001:db8:1::1"), 1, now).is_ok(), "another site is not");
    }

    #[test]
    fn ipv4_clients_of_a_listener_for_both_families_are_told_apart() {
        let limiter = Limiter::new(Rate { burst: 1, per_minute: 1 });
        let now = subrosa_ambient::instant();
        assert!(limiter.take(address("::ffff:10.0.0.1"), 1, now).is_ok());
        assert!(limiter.take(address("10.0.0.1"), 1, now).is_err(), "the same client");
        assert!(limiter.take(address("::ffff:10.0.0.2"), 1, now).is_ok());
    }

    #[test]
    fn a_flood_of_keys_neither_grows_the_table_nor_frees_a_limited_one() {
        let buckets = Buckets::with_capacity(Tariff::new(Rate { burst: 1, per_minute: 1 }), 1_000);
        let now = subrosa_ambient::instant();
        assert!(buckets.take(u64::MAX, 1, now).is_ok());
        for key in 0..20_000 {
            let _ = buckets.take(key, 1, now + SECOND);
        }
        assert!(buckets.take(u64::MAX, 1, now + 2 * SECOND).is_err());
        assert_eq!(lock(&buckets.table).full_at.len(), 1_000);
        assert_eq!(lock(&buckets.table).shared.len(), SHARED_BUCKETS);
        let refused = (5_000..20_000).filter(|key| buckets.take(*key, 1, now + 2 * SECOND).is_err()).count();
        assert_eq!(refused, 15_000, "who found no room is limited all the same");
        // A minute later all of them are full again, and make room.
        assert!(buckets.take(30_000, 1, now + 70 * SECOND).is_ok());
        assert_eq!(lock(&buckets.table).full_at.len(), 1);
    }

    #[test]
    fn a_meter_lets_a_burst_through_and_then_the_rate() {
        let meter = Meter::new(Rate { burst: 64, per_minute: 60 });
        let now = subrosa_ambient::instant();
        assert_eq!(meter.charge(64 * 1024, now), Duration::ZERO);
        let pause = meter.charge(2 * 1024, now);
        assert!((Duration::from_millis(1_900)..=2 * SECOND).contains(&pause), "{pause:?}");
        assert_eq!(meter.charge(1024, now + 3 * SECOND), Duration::ZERO);
    }
}
