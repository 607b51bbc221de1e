//! The signed, versioned list of an account's devices. It never goes backwards: see
//! [`DeviceList::compare`] (`docs/protocol.md`, "Identities").

use crate::account::{AccountKeyPair, AccountRecord};
use crate::certificate::{DeviceCertificate, VerifiedCertificate};
use crate::decoding::{DecodeError, Reader};
use crate::kdf::sha256;
use crate::labels;

/// Most devices of one account. Every message is encrypted once for each, so the number bounds
/// the work of all contacts.
pub const MAX_DEVICES: usize = 5;

const VERSION: u8 = 1;

/// A device list that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListError {
    /// The list's or one certificate's signature is not the account's.
    #[error("the device list is not signed by this account")]
    BadSignature,
    /// The list names another account than the record.
    #[error("the device list belongs to another account")]
    OtherAccount,
    /// No device or more than [`MAX_DEVICES`].
    #[error("a device list holds one to {MAX_DEVICES} devices")]
    DeviceCount,
    /// A device number or identity key appears twice, a device is newer than the list, or its number is above the
    /// highest that was ever used.
    #[error("the device list contradicts itself")]
    Inconsistent,
}

/// How a list relates to the one already known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The very same list.
    Same,
    /// A higher version that agrees with the known list about which numbers were used: take it.
    Newer,
    /// A lower version: refuse it.
    Older,
    /// The same version with other content: the account key signed two lists. Refuse it and
    /// tell the person.
    Conflict,
    /// A higher version that gives a number to another device, or forgets numbers that were used: the account key
    /// signed what it must not. Refuse it and tell the person.
    NumberReused,
}

/// A list as it travels; nothing in it is to be believed before [`UnverifiedDeviceList::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedDeviceList(DeviceList);

/// A list signed by its account, with every certificate in it checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceList {
    account: [u8; 32],
    version: u32,
    issued_ms: u64,
    highest: u32,
    devices: Vec<DeviceCertificate>,
    signature: [u8; 64],
}

impl DeviceList {
    /// Signs a list. `version` counts from 1; `issued_ms` is Unix time in milliseconds; `highest` is the highest
    /// device number that the account ever used, in this list or an earlier one. The certificates may come in any order.
    ///
    /// # Errors
    /// [`DeviceListError`] if the list would be refused by [`UnverifiedDeviceList::verify`]:
    /// the key is not the record's, a certificate is not the account's, or numbers repeat.
    pub fn issue(
        key: &AccountKeyPair,
        record: &AccountRecord,
        version: u32,
        issued_ms: u64,
        highest: u32,
        mut devices: Vec<DeviceCertificate>,
    ) -> Result<Self, DeviceListError> {
        devices.sort_by_key(DeviceCertificate::number);
        let mut list = Self { account: record.id(), version, issued_ms, highest, devices, signature: [0; 64] };
        // Before signing, so that nothing inconsistent is ever signed.
        list.check_consistency()?;
        list.signature = key.sign(&[labels::DEVICE_LIST, &list.signed_bytes()]);
        UnverifiedDeviceList(list).verify(record)
    }

    /// The same devices under the next version, signed anew: a list's date shows that no newer one is kept back.
    ///
    /// # Errors
    /// [`DeviceListError`], as [`Self::issue`].
    pub fn renewed(
        &self,
        key: &AccountKeyPair,
        record: &AccountRecord,
        issued_ms: u64,
    ) -> Result<Self, DeviceListError> {
        Self::issue(key, record, self.version.saturating_add(1), issued_ms, self.highest, self.devices.clone())
    }

    fn check_consistency(&self) -> Result<(), DeviceListError> {
        if self.devices.is_empty() || self.devices.len() > MAX_DEVICES {
            return Err(DeviceListError::DeviceCount);
        }
        let ascending = self.devices.windows(2).all(|pair| pair[0].number() < pair[1].number());
        let distinct_keys = self
            .devices
            .iter()
            .enumerate()
            .all(|(i, device)| self.devices[..i].iter().all(|earlier| earlier.identity() != device.identity()));
        let in_range = self.devices.iter().all(|device| {
            (1..=self.highest).contains(&device.number()) && (1..=self.version).contains(&device.list_version())
        });
        if ascending && distinct_keys && in_range { Ok(()) } else { Err(DeviceListError::Inconsistent) }
    }

    /// Reads a list without checking signatures.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but exactly one list of this version.
    pub fn decode(bytes: &[u8]) -> Result<UnverifiedDeviceList, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let account = reader.array()?;
        let version = reader.u32()?;
        if version == 0 {
            return Err(DecodeError::BadField("list version"));
        }
        let issued_ms = reader.u64()?;
        let highest = reader.u32()?;
        let count = usize::from(reader.u8()?);
        if count == 0 || count > MAX_DEVICES {
            return Err(DecodeError::BadField("device count"));
        }
        let devices = (0..count).map(|_| DeviceCertificate::read(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        let signature = reader.array()?;
        reader.finish()?;
        Ok(UnverifiedDeviceList(Self { account, version, issued_ms, highest, devices, signature }))
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(50 + self.devices.len() * DeviceCertificate::LEN + 64);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.account);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.issued_ms.to_be_bytes());
        bytes.extend_from_slice(&self.highest.to_be_bytes());
        // At most MAX_DEVICES, checked before a list exists.
        bytes.push(self.devices.len() as u8);
        for device in &self.devices {
            bytes.extend_from_slice(&device.encode());
        }
        bytes
    }

    /// version u8 = 1 ‖ account id (32) ‖ list version u32 ‖ issued u64 ‖ highest device number u32 ‖
    /// count u8 ‖ certificates (104 each, ascending) ‖ signature (64).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.signed_bytes();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// The list as it travels.
    #[must_use]
    pub fn unverified(self) -> UnverifiedDeviceList {
        UnverifiedDeviceList(self)
    }

    /// SHA-256 of all bytes of [`Self::encode`].
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[&self.encode()])
    }

    /// The list's version, counted from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// When the list was signed, Unix time in milliseconds, as its signer claims.
    #[must_use]
    pub fn issued_ms(&self) -> u64 {
        self.issued_ms
    }

    /// The highest device number that the account ever used. The next device gets the one above it.
    #[must_use]
    pub fn highest(&self) -> u32 {
        self.highest
    }

    /// The account id.
    #[must_use]
    pub fn account(&self) -> &[u8; 32] {
        &self.account
    }

    /// The devices, ascending by number.
    #[must_use]
    pub fn devices(&self) -> &[DeviceCertificate] {
        &self.devices
    }

    /// The devices as verified certificates (they were checked together with the list).
    pub fn verified_devices(&self) -> impl Iterator<Item = VerifiedCertificate> + '_ {
        self.devices.iter().map(|device| VerifiedCertificate::of_verified_list(self.account, *device))
    }

    /// The device with this number, if it is in the list.
    #[must_use]
    pub fn device(&self, number: u32) -> Option<VerifiedCertificate> {
        self.verified_devices().find(|device| device.address().device == number)
    }

    /// How this list relates to the one already known.
    #[must_use]
    pub fn compare(&self, known: &Self) -> Freshness {
        match self.version.cmp(&known.version) {
            core::cmp::Ordering::Less => Freshness::Older,
            core::cmp::Ordering::Greater if self.reuses_a_number_of(known) => Freshness::NumberReused,
            core::cmp::Ordering::Greater => Freshness::Newer,
            core::cmp::Ordering::Equal if self.hash() == known.hash() => Freshness::Same,
            core::cmp::Ordering::Equal => Freshness::Conflict,
        }
    }

    /// A device that `known` does not hold is new, and has a number above all that were used: a device is its number
    /// and its key. Otherwise old sessions, mailboxes and certificates of a removed device would be taken for the new one's.
    fn reuses_a_number_of(&self, known: &Self) -> bool {
        let holds = |device: &DeviceCertificate| {
            known.devices.iter().any(|old| old.number() == device.number() && old.identity() == device.identity())
        };
        self.highest < known.highest
            || self.devices.iter().any(|device| device.number() <= known.highest && !holds(device))
    }
}

impl UnverifiedDeviceList {
    /// Checks the list's signature, every certificate's signature, and that the list does not
    /// contradict itself.
    ///
    /// # Errors
    /// [`DeviceListError`] with the reason.
    pub fn verify(self, record: &AccountRecord) -> Result<DeviceList, DeviceListError> {
        let list = self.0;
        if list.account != record.id() {
            return Err(DeviceListError::OtherAccount);
        }
        list.check_consistency()?;
        record
            .account_key()
            .0
            .verify(&[labels::DEVICE_LIST, &list.signed_bytes()], &list.signature)
            .map_err(|_| DeviceListError::BadSignature)?;
        for device in &list.devices {
            device.verify(record).map_err(|_| DeviceListError::BadSignature)?;
        }
        Ok(list)
    }

    /// The bytes as they came.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode()
    }

    /// The list, for who has verified it and kept it in this form.
    pub(crate) fn admitted(&self) -> &DeviceList {
        &self.0
    }

    /// The account the list claims to belong to.
    #[must_use]
    pub fn claimed_account(&self) -> &[u8; 32] {
        &self.0.account
    }

    /// The version the list claims.
    #[must_use]
    pub fn claimed_version(&self) -> u32 {
        self.0.version
    }
}
