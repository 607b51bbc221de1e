//! Somebody with three device lists, for tests of membership inside and outside the crate. Whoever includes this file has the types.

use super::{AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair};

/// Somebody with their keys. Their lists: devices 1 and 2; device 2 dropped; a device 3 instead.
pub(crate) struct Person {
    pub(crate) account: AccountKeyPair,
    pub(crate) record: AccountRecord,
    pub(crate) devices: [IdentityKeyPair; 3],
    pub(crate) lists: [DeviceList; 3],
}

impl Person {
    pub(crate) fn new(number: u8) -> Self {
        Self::with_seed([number; 32])
    }

    pub(crate) fn with_seed(seed: [u8; 32]) -> Self {
        let account = AccountKeyPair::from_seed(&seed);
        let record = AccountRecord::new(account.public(), seed);
        let id = record.id();
        let devices = [1, 2, 3].map(|device| {
            let mut seed = seed;
            seed[31] = 0xf0 + device;
            IdentityKeyPair::from_seed(&seed)
        });
        let certificate = |device: u32, version| {
            DeviceCertificate::issue(&account, &id, device, &devices[device as usize - 1].public(), version)
        };
        let list = |version, highest, certificates| {
            DeviceList::issue(&account, &record, version, 0, highest, certificates).unwrap()
        };
        let lists = [
            list(1, 2, vec![certificate(1, 1), certificate(2, 1)]),
            list(2, 2, vec![certificate(1, 1)]),
            list(3, 3, vec![certificate(1, 1), certificate(3, 3)]),
        ];
        Self { account, record, devices, lists }
    }
}
