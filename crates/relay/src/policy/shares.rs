//! Who gets how many of a device's one-time prekeys.
//!
//! All contacts of an account share its delivery key, and a link is used before anybody knows by whom. So the stock of a
//! device is divided before it is given out: what one address, one token, all tokens and the delivery key may take at once is
//! each less than the stock, and all of it together too. Beyond a share the answer is the last-resort one, flagged,
//! as for a stranger: a session starts all the same.

use std::time::Instant;

use subrosa_wire::{CapabilityHash, DeviceAddress};

use super::{
    limiter::{Buckets, Network},
    limits::{ADDRESS_SHARE, KEY_SHARE, TOKEN_SHARE, TOKENS_SHARE},
    permission::Permission,
};

/// One-time bundles given out, each counted for the one device whose stock they come from: an account with five devices has
/// five stocks, and a sender asks for one bundle of each.
pub(crate) struct Shares {
    /// To one asker's address.
    address: Buckets<(DeviceAddress, Network)>,
    /// By a delivery key: a new one after a block does not pay for what was done with the old.
    key: Buckets<(DeviceAddress, CapabilityHash)>,
    /// By one contact token.
    token: Buckets<(DeviceAddress, CapabilityHash)>,
    /// By all contact tokens together.
    tokens: Buckets<DeviceAddress>,
}

impl Shares {
    pub(crate) fn new() -> Self {
        Self {
            address: Buckets::of(ADDRESS_SHARE),
            key: Buckets::of(KEY_SHARE),
            token: Buckets::of(TOKEN_SHARE),
            tokens: Buckets::of(TOKENS_SHARE),
        }
    }

    /// Counts a bundle with one-time keys of `device` that somebody at an address with this permission asks for; `false`: it has none.
    /// The permission was checked, so nobody uses up the share of others without it.
    pub(crate) fn take(
        &self,
        asker: Option<Network>,
        device: DeviceAddress,
        permission: &Permission,
        now: Instant,
    ) -> bool {
        // The address first: one that took its share must not use up what is for all.
        if let Some(address) = asker
            && self.address.take((device, address), 1, now).is_err()
        {
            return false;
        }
        match permission {
            Permission::DeliveryKey(key) => self.key.take((device, *key), 1, now).is_ok(),
            Permission::ContactToken(token, _) => {
                self.token.take((device, *token), 1, now).is_ok() && self.tokens.take(device, 1, now).is_ok()
            }
            Permission::MemberKey(_) | Permission::Missing | Permission::Request | Permission::RequestRefused(_) => {
                false
            }
        }
    }

    /// Who asked for whose keys is not kept longer than it counts.
    pub(crate) fn forget_old(&self, now: Instant) {
        self.address.forget_full(now);
        self.key.forget_full(now);
        self.token.forget_full(now);
        self.tokens.forget_full(now);
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use subrosa_wire::{
        AccountId,
        limits::{LOW_ONE_TIME_EC, LOW_ONE_TIME_KEM, MAX_DEVICES},
    };

    use super::*;
    use crate::backend::Source;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn device(number: u32) -> DeviceAddress {
        DeviceAddress { account: AccountId([1; 32]), device: number }
    }

    fn key(n: u8) -> Permission {
        Permission::DeliveryKey(CapabilityHash([n; 32]))
    }

    fn token(n: u8) -> Permission {
        Permission::ContactToken(CapabilityHash([n; 32]), CapabilityHash([1; 32]))
    }

    fn at(address: &str) -> Option<Network> {
        Source::of(address.parse::<IpAddr>().unwrap()).asker()
    }

    /// How many of `tries` get one-time keys.
    fn given(tries: u32, take: impl Fn(u32) -> bool) -> u32 {
        u32::try_from((0..tries).filter(|n| take(*n)).count()).unwrap()
    }

    #[test]
    fn an_address_that_took_its_share_leaves_the_rest_of_the_key_to_others() {
        let (shares, now) = (Shares::new(), subrosa_ambient::instant());
        let ask = |address: &str| shares.take(at(address), device(1), &key(1), now);
        assert_eq!(given(1_000, |_| ask("192.0.2.1")), ADDRESS_SHARE.burst);
        assert!(ask("192.0.2.2"), "another contact");
        // A customer with a /48 has 65,536 networks.
        let rest = KEY_SHARE.burst - ADDRESS_SHARE.burst - 1;
        assert_eq!(given(1_000, |n| ask(&format!("2001:db8:0:{n:x}::1"))), rest.min(ADDRESS_SHARE.burst));
    }

    #[test]
    fn each_device_has_a_stock_of_its_own() {
        let (shares, now) = (Shares::new(), subrosa_ambient::instant());
        let most = u32::try_from(MAX_DEVICES).unwrap();
        for number in 1..=most {
            // Five devices of one person write to five devices of another.
            assert_eq!(given(most, |_| shares.take(at("192.0.2.1"), device(number), &key(1), now)), most);
        }
    }

    #[test]
    fn all_that_may_be_taken_at_once_is_less_than_what_a_device_keeps() {
        let (shares, now) = (Shares::new(), subrosa_ambient::instant());
        let ask = |n: u32, capability: &Permission| {
            shares.take(at(&format!("198.51.{}.{}", n / 250, n % 250)), device(1), capability, now)
        };
        let by_key = given(1_000, |n| ask(n, &key(1)));
        let by_one_token = given(1_000, |n| ask(1_000 + n, &token(1)));
        let by_tokens = given(250, |n| ask(2_000 + n, &token(u8::try_from(n).unwrap())));
        assert_eq!((by_key, by_one_token), (KEY_SHARE.burst, TOKEN_SHARE.burst));
        assert_eq!(by_one_token + by_tokens, TOKENS_SHARE.burst);
        let all = usize::try_from(by_key + by_one_token + by_tokens).unwrap();
        assert!(
            all < LOW_ONE_TIME_KEM.min(LOW_ONE_TIME_EC),
            "{all}: a device that was told refills before it is empty"
        );
    }

    #[test]
    fn what_was_done_with_a_key_is_not_charged_to_the_next() {
        let (shares, now) = (Shares::new(), subrosa_ambient::instant());
        let ask = |n: u32, which: u8| shares.take(at(&format!("198.51.100.{n}")), device(1), &key(which), now);
        assert_eq!(given(100, |n| ask(n, 1)), KEY_SHARE.burst);
        assert!(ask(200, 2));
    }

    #[test]
    fn many_people_who_meet_in_an_hour_all_get_their_keys() {
        let (shares, now) = (Shares::new(), subrosa_ambient::instant());
        let meet = |n: u32| {
            let moment = now + HOUR / 60 * n;
            shares.take(at(&format!("198.51.100.{n}")), device(1), &key(1), moment)
        };
        assert_eq!(given(60, meet), 60);
    }

    #[test]
    fn who_asked_is_forgotten_when_it_does_not_count_any_more() {
        let (shares, now) = (Shares::new(), subrosa_ambient::instant());
        let ask = |moment| shares.take(at("192.0.2.1"), device(1), &key(1), moment);
        assert_eq!(given(100, |_| ask(now)), ADDRESS_SHARE.burst);
        shares.forget_old(now + HOUR);
        assert!(ask(now + HOUR) && !ask(now + HOUR), "a share that is used up is not forgotten");
        let later = now + HOUR * (ADDRESS_SHARE.burst + 1);
        shares.forget_old(later);
        assert!(shares.address.is_empty() && shares.key.is_empty());
    }

    #[test]
    fn who_comes_through_this_machine_is_not_one_asker() {
        let (shares, now) = (Shares::new(), subrosa_ambient::instant());
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let shares = Shares::new();
            assert_eq!(given(100, |_| shares.take(at(address), device(1), &key(1), now)), KEY_SHARE.burst);
        }
        assert_eq!(given(100, |_| shares.take(at("127.0.0.2"), device(1), &key(1), now)), ADDRESS_SHARE.burst);
    }
}
