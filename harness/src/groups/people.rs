//! People whose changes and checkpoints are measured.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair, MAX_DEVICES,
    membership::{MAX_MEMBERS, Newcomer, Signer},
};

use super::{CLOCK_MS, LIST_VERSION};

/// Somebody with their account and their first device.
#[derive(Debug)]
pub struct Person {
    record: AccountRecord,
    list: DeviceList,
    device: IdentityKeyPair,
}

impl Person {
    fn new(number: usize, devices: u32) -> Result<Self> {
        let seed = |device: u32| {
            let mut seed = [1; 32];
            seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
            seed[8..12].copy_from_slice(&device.to_be_bytes());
            seed
        };
        let key = AccountKeyPair::from_seed(&seed(0));
        let record = AccountRecord::new(key.public(), [1; 32]);
        let certificate = |device| {
            let identity = IdentityKeyPair::from_seed(&seed(device)).public();
            DeviceCertificate::issue(&key, &record.id(), device, &identity, 1)
        };
        let certificates = (1..=devices).map(certificate).collect();
        let list = DeviceList::issue(&key, &record, LIST_VERSION, CLOCK_MS, devices, certificates)?;
        Ok(Self { record, list, device: IdentityKeyPair::from_seed(&seed(1)) })
    }

    /// Their account's id.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.record.id()
    }

    /// The identity of their device 1.
    #[must_use]
    pub fn device(&self) -> &IdentityKeyPair {
        &self.device
    }

    /// That device, which signs.
    #[must_use]
    pub fn signer(&self) -> Signer<'_> {
        Signer::Device(1, &self.device)
    }

    /// As a change names them that adds them.
    #[must_use]
    pub fn newcomer(&self) -> Newcomer {
        Newcomer { record: self.record, list: self.list.clone().unverified() }
    }

    /// Bytes of their device list.
    #[must_use]
    pub fn list_bytes(&self) -> usize {
        self.list.encode().len()
    }
}

/// As many people as a group may have, each with so many devices; made once.
///
/// # Errors
/// No account has so many devices.
pub fn people(devices: usize) -> Result<&'static [Person]> {
    static PEOPLE: [OnceLock<Vec<Person>>; MAX_DEVICES] = [const { OnceLock::new() }; MAX_DEVICES];
    let place = devices.checked_sub(1).and_then(|at| PEOPLE.get(at)).context("no account has so many devices")?;
    if let Some(people) = place.get() {
        return Ok(people);
    }
    let devices = u32::try_from(devices)?;
    let people = (0..MAX_MEMBERS).map(|number| Person::new(number, devices)).collect::<Result<_>>()?;
    Ok(place.get_or_init(|| people))
}
