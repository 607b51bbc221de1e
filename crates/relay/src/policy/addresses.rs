//! Who is connected from where: no address takes all connections, and none makes them without end.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use crate::{
    lock::lock,
    policy::{
        frames::Kept,
        limiter::{Limiter, Meter, Network, Rate},
        limits::{POLITE_REFUSALS, REFUSED_RETRY_S, RateLimits},
    },
};

/// The open connections of each address. As large as there are connections, and no larger.
pub(crate) struct Addresses {
    most: usize,
    bytes: Rate,
    connects: Limiter,
    open: Mutex<HashMap<Network, Open>>,
}

/// The open connections of one address.
struct Open {
    count: usize,
    meter: Arc<Meter>,
    kept: Kept,
}

/// What becomes of a new connection.
pub(crate) enum Entry {
    /// It is served.
    Welcome(Guest),
    /// It is told to come back after so many seconds.
    Refused(Guest, u32),
    /// It is closed without a word: even refusals cost something.
    Dropped,
}

/// A connection's place among those of its address; given back when dropped.
pub(crate) struct Guest {
    addresses: Arc<Addresses>,
    network: Network,
    /// What all connections of the address have read together.
    pub(crate) meter: Arc<Meter>,
    /// What all connections of the address keep together.
    pub(crate) kept: Kept,
}

impl Addresses {
    pub(crate) fn new(rates: &RateLimits, most: usize) -> Self {
        Self { most, bytes: rates.address_kib, connects: Limiter::new(rates.connect), open: Mutex::new(HashMap::new()) }
    }

    /// A connection from `address` has come.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Entry {
        let network = Network::of(address);
        let (guest, already) = {
            let mut open = lock(&self.open);
            let here = open.entry(network).or_insert_with(|| Open {
                count: 0,
                meter: Arc::new(Meter::new(self.bytes)),
                kept: Kept::default(),
            });
            let already = here.count;
            // Never of an entry just made: at least one is allowed.
            if already >= self.most.saturating_add(POLITE_REFUSALS) {
                return Entry::Dropped;
            }
            here.count += 1;
            let (meter, kept) = (Arc::clone(&here.meter), Arc::clone(&here.kept));
            (Guest { addresses: Arc::clone(self), network, meter, kept }, already)
        };
        if already >= self.most {
            return Entry::Refused(guest, REFUSED_RETRY_S);
        }
        match self.connects.take(address, 1, now) {
            Ok(()) => Entry::Welcome(guest),
            // Refusing is work too, so it is not done for everybody who comes too often.
            Err(wait) if already < POLITE_REFUSALS => Entry::Refused(guest, wait),
            Err(_) => Entry::Dropped,
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = lock(&self.addresses.open);
        if let Some(here) = open.get_mut(&self.network) {
            here.count -= 1;
            if here.count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(most: usize, connect: Rate) -> Arc<Addresses> {
        Arc::new(Addresses::new(&RateLimits { connect, ..RateLimits::default() }, most))
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let addresses = addresses(2, Rate { burst: 1_000, per_minute: 1 });
        let (one, two) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let now = subrosa_ambient::instant();
        let Entry::Welcome(first) = addresses.enter(one, now) else { panic!() };
        let Entry::Welcome(_second) = addresses.enter(one, now) else { panic!() };
        let Entry::Refused(third, REFUSED_RETRY_S) = addresses.enter(one, now) else { panic!() };
        assert!(matches!(addresses.enter(two, now), Entry::Welcome(_)));
        let polite: Vec<Entry> = (1..POLITE_REFUSALS).map(|_| addresses.enter(one, now)).collect();
        assert!(polite.iter().all(|entry| matches!(entry, Entry::Refused(..))));
        assert!(matches!(addresses.enter(one, now), Entry::Dropped));
        drop((first, third, polite));
        assert!(matches!(addresses.enter(one, now), Entry::Welcome(_)));
        drop(_second);
        assert!(lock(&addresses.open).is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn who_connects_too_often_is_told_when_to_come_back() {
        let addresses = addresses(100, Rate { burst: 2, per_minute: 6 });
        let address = "10.0.0.1".parse().unwrap();
        let now = subrosa_ambient::instant();
        for _ in 0..2 {
            assert!(matches!(addresses.enter(address, now), Entry::Welcome(_)));
        }
        assert!(matches!(addresses.enter(address, now), Entry::Refused(_, 10)));
    }
}
