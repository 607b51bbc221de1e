//! Pair keys that were used lately (`docs/protocol.md`, Seal and padding).
//!
//! The key of two devices never changes, so one agreement serves all that they say to each other while it is kept
//! here. In memory only: it can always be made anew, and what is not written cannot be found.

use std::collections::HashMap;

use subrosa_crypto::{PartyAddress, ReceivingPairKey, SendingPairKey, VerifiedCertificate};
use subrosa_wire::limits::MAX_SUBMIT_ITEMS;

use crate::{
    api::{ApiError, ErrorKind},
    engine::core::party,
    store::account::Own,
};

/// Keys kept in each direction: the devices of the largest group, twice. What is beyond costs an agreement again (25 µs),
/// so somebody who writes from many accounts gains nothing.
const MAX_PAIR_KEYS: usize = 2 * MAX_SUBMIT_ITEMS;

/// A device by name and key: whoever has another key, or a new number, is another device.
type Device = (PartyAddress, [u8; 32]);

/// The newest keys of one direction. When the young half is full it becomes the old half, and what was not used
/// meanwhile goes: nearly the order of use, for one look-up a message.
struct Recent<K> {
    young: HashMap<Device, K>,
    old: HashMap<Device, K>,
}

impl<K: Clone> Recent<K> {
    fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    fn get<E>(&mut self, device: &VerifiedCertificate, make: impl FnOnce() -> Result<K, E>) -> Result<K, E> {
        let name = (device.address(), *device.identity().as_bytes());
        if let Some(key) = self.young.get(&name) {
            return Ok(key.clone());
        }
        let key = match self.old.remove(&name) {
            Some(key) => key,
            None => make()?,
        };
        if self.young.len() >= MAX_PAIR_KEYS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, key.clone());
        Ok(key)
    }

    fn forget(&mut self, device: &PartyAddress) {
        self.young.retain(|(kept, _), _| kept != device);
        self.old.retain(|(kept, _), _| kept != device);
    }
}

/// The pair keys of this device. Each wipes itself when it goes.
pub(in crate::engine) struct PairKeys {
    sending: Recent<SendingPairKey>,
    receiving: Recent<ReceivingPairKey>,
}

impl PairKeys {
    pub(in crate::engine) fn new() -> Self {
        Self { sending: Recent::new(), receiving: Recent::new() }
    }

    /// The key from this device to `device`.
    pub(in crate::engine) fn sending(
        &mut self,
        own: &Own,
        device: &VerifiedCertificate,
    ) -> Result<SendingPairKey, ApiError> {
        self.sending.get(device, || SendingPairKey::new(&own.identity, &party(&own.address), device)).map_err(|error| {
            ApiError::new(ErrorKind::Failed, format!("a receiving device has a key that is not acceptable: {error}"))
        })
    }

    /// Wipes the keys with a device that is gone.
    pub(in crate::engine) fn forget(&mut self, device: &PartyAddress) {
        self.sending.forget(device);
        self.receiving.forget(device);
    }

    /// The key from `device` to this device; `None` if its identity key allows none.
    pub(in crate::engine) fn receiving(&mut self, own: &Own, device: &VerifiedCertificate) -> Option<ReceivingPairKey> {
        self.receiving.get(device, || ReceivingPairKey::new(&own.identity, &party(&own.address), device)).ok()
    }
}

#[cfg(test)]
mod tests {
    use subrosa_crypto::{AccountKeyPair, AccountRecord, DeviceCertificate, IdentityKeyPair};

    use super::*;

    fn device(account: &AccountKeyPair, record: &AccountRecord, number: u32) -> VerifiedCertificate {
        let identity = IdentityKeyPair::from_seed(&[5; 32]).public();
        DeviceCertificate::issue(account, &record.id(), number, &identity, 1).verify(record).unwrap()
    }

    #[test]
    fn what_is_used_is_kept_and_the_rest_is_bounded() {
        let account = AccountKeyPair::from_seed(&[1; 32]);
        let record = AccountRecord::new(account.public(), [2; 32]);
        let mut recent: Recent<u32> = Recent::new();
        let often = device(&account, &record, 1);
        let mut made = 0;
        for number in 2..u32::try_from(MAX_PAIR_KEYS + 2).unwrap() {
            recent.get(&device(&account, &record, number), || Ok::<_, ()>(number)).unwrap();
            let key = recent.get(&often, || {
                made += 1;
                Ok::<_, ()>(1)
            });
            assert_eq!(key, Ok(1));
            assert!(recent.young.len() + recent.old.len() <= MAX_PAIR_KEYS);
        }
        assert_eq!(made, 1, "what is used all the time was agreed on once");
        let mut again = false;
        let first = device(&account, &record, 2);
        recent
            .get(&first, || {
                Ok::<_, ()>({
                    again = true;
                    2
                })
            })
            .unwrap();
        assert!(again, "what was not used for long is made anew");
        assert_eq!(recent.get(&device(&account, &record, 9_999), || Err("no key")), Err("no key"));
        recent.forget(&often.address());
        assert_eq!(recent.get(&often, || Err("wiped")), Err("wiped"), "what is gone is not kept");
    }
}
