//! The relay's own parser and verifier of account records and device lists.
//!
//! It repeats the layouts of `docs/protocol.md` (identities) because the relay does not link the
//! cryptography crate: it verifies Ed25519 signatures and nothing else. All integers are big-endian;
//! trailing bytes and unknown versions are refused.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use subrosa_wire::{AccountId, DeviceAddress, Handle, labels, limits::MAX_DEVICES, mailbox::LoginMarks};

/// Version byte of record and list.
const VERSION: u8 = 1;
/// number ‖ identity ‖ list version ‖ signature.
const CERTIFICATE_BYTES: usize = 4 + 32 + 4 + 64;
/// version ‖ account id ‖ list version ‖ issue time ‖ highest device number ‖ count.
const LIST_HEAD_BYTES: usize = 1 + 32 + 4 + 8 + 4 + 1;
/// Where the highest device number stands in a list.
const HIGHEST_AT: usize = 1 + 32 + 4 + 8;

/// A record, certificate, list or proof that is not what it claims to be. Which part was wrong is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature or layout")]
pub struct Invalid;

/// Who an account is: certifies its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRecord {
    /// SHA-256 over label, account key and recovery hash.
    pub id: AccountId,
    /// Signs device lists and certificates.
    pub account_key: [u8; 32],
}

/// A device as its list names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// From 1.
    pub number: u32,
    /// Ed25519.
    pub identity: [u8; 32],
}

/// A device list whose signatures all verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    /// Whose devices.
    pub account: AccountId,
    /// From 1; never goes backwards.
    pub version: u32,
    /// Highest device number that the account ever used; never goes backwards.
    pub highest: u32,
    /// In ascending order of their numbers, at least one.
    pub devices: Vec<Device>,
}

/// Takes the first `N` bytes off `rest`.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Invalid> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Invalid)?;
    *rest = tail;
    Ok(*head)
}

/// A key in its one encoding, and not of small order: for those everybody could sign.
fn public_key(bytes: &[u8; 32]) -> Result<VerifyingKey, Invalid> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| Invalid)?;
    let is_canonical = key.to_edwards().compress().as_bytes() == bytes;
    if is_canonical && !key.is_weak() { Ok(key) } else { Err(Invalid) }
}

/// Verifies strictly: no malleable signatures.
fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Invalid> {
    public_key(key)?.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| Invalid)
}

impl AccountRecord {
    /// Reads the 65 bytes of a record.
    ///
    /// # Errors
    /// Another length or version, or a key that is no Ed25519 key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut rest = bytes;
        if take::<1>(&mut rest)? != [VERSION] {
            return Err(Invalid);
        }
        let account_key = take::<32>(&mut rest)?;
        let recovery_hash = take::<32>(&mut rest)?;
        public_key(&account_key)?;
        if !rest.is_empty() {
            return Err(Invalid);
        }
        let digest = Sha256::new()
            .chain_update(labels::ACCOUNT_ID)
            .chain_update(account_key)
            .chain_update(recovery_hash)
            .finalize();
        Ok(Self { id: AccountId(digest.into()), account_key })
    }
}

impl DeviceList {
    /// Reads a list and verifies it and every certificate in it under the account's key.
    ///
    /// # Errors
    /// A wrong layout, another account, or one signature that does not verify.
    pub fn parse(bytes: &[u8], account: &AccountRecord) -> Result<Self, Invalid> {
        let signed_len = bytes.len().checked_sub(64).ok_or(Invalid)?;
        let (signed, signature) = bytes.split_at(signed_len);
        let mut rest = signed;
        if take::<1>(&mut rest)? != [VERSION] || take::<32>(&mut rest)? != account.id.0 {
            return Err(Invalid);
        }
        let version = u32::from_be_bytes(take(&mut rest)?);
        let _issued_ms = take::<8>(&mut rest)?;
        let highest = u32::from_be_bytes(take(&mut rest)?);
        let [count] = take::<1>(&mut rest)?;
        let count = usize::from(count);
        if version == 0 || !(1..=MAX_DEVICES).contains(&count) || rest.len() != count * CERTIFICATE_BYTES {
            return Err(Invalid);
        }
        debug_assert_eq!(signed.len(), LIST_HEAD_BYTES + count * CERTIFICATE_BYTES);
        let message = [labels::DEVICE_LIST, signed].concat();
        verify(&account.account_key, &message, signature.try_into().map_err(|_| Invalid)?)?;

        let mut devices: Vec<Device> = Vec::with_capacity(count);
        for _ in 0..count {
            let device = Self::certificate(&mut rest, account, version)?;
            let is_ascending = devices.last().is_none_or(|last| last.number < device.number);
            if !is_ascending || device.number > highest || devices.iter().any(|other| other.identity == device.identity)
            {
                return Err(Invalid);
            }
            devices.push(device);
        }
        Ok(Self { account: account.id, version, highest, devices })
    }

    /// The highest device number in the bytes of a list that was parsed when it came.
    #[must_use]
    pub fn stored_highest(bytes: &[u8]) -> Option<u32> {
        bytes.get(HIGHEST_AT..)?.first_chunk().map(|number| u32::from_be_bytes(*number))
    }

    fn certificate(rest: &mut &[u8], account: &AccountRecord, list_version: u32) -> Result<Device, Invalid> {
        let number = take::<4>(rest)?;
        let identity = take::<32>(rest)?;
        let added_in = take::<4>(rest)?;
        let signature = take::<64>(rest)?;
        let message =
            [labels::DEVICE_CERTIFICATE, &account.id.0, number.as_slice(), &identity, added_in.as_slice()].concat();
        let number = u32::from_be_bytes(number);
        if number == 0 || !(1..=list_version).contains(&u32::from_be_bytes(added_in)) {
            return Err(Invalid);
        }
        public_key(&identity)?;
        verify(&account.account_key, &message, &signature)?;
        Ok(Device { number, identity })
    }

    /// The device whose identity signs the registration.
    ///
    /// # Errors
    /// Never for a parsed list; it has at least one device.
    pub fn first(&self) -> Result<Device, Invalid> {
        self.devices.first().copied().ok_or(Invalid)
    }
}

/// `len16(authority) ‖ authority ‖ (0x00 | 0x01 ‖ pin)`: the relay as the client knows it.
fn push_relay(message: &mut Vec<u8>, authority: &str, pin: Option<&[u8; 32]>) -> Result<(), Invalid> {
    push_text(message, authority)?;
    push_optional(message, pin);
    Ok(())
}

fn push_optional(message: &mut Vec<u8>, value: Option<&[u8; 32]>) {
    match value {
        None => message.push(0),
        Some(value) => {
            message.push(1);
            message.extend_from_slice(value);
        }
    }
}

/// What a challenge, and the answer to it, belong to.
#[derive(Debug, Clone, Copy)]
pub struct Challenged<'a> {
    /// The relay as the client knows it, `host:port`.
    pub authority: &'a str,
    /// The key by which the client knows it.
    pub pin: Option<&'a [u8; 32]>,
    /// What the TLS connection exports, where this relay ends it.
    pub exporter: Option<&'a [u8; 32]>,
    /// Of this socket.
    pub nonce: &'a [u8; 32],
    /// What the device shows of its earlier logins, and leaves for the next.
    pub marks: &'a LoginMarks,
}

fn push_text(message: &mut Vec<u8>, text: &str) -> Result<(), Invalid> {
    let len = u16::try_from(text.len()).map_err(|_| Invalid)?;
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Verifies the answer to a challenge.
///
/// # Errors
/// The signature is not by `identity` over exactly this.
pub fn verify_auth(
    identity: &[u8; 32],
    challenged: &Challenged<'_>,
    device: &DeviceAddress,
    signature: &[u8; 64],
) -> Result<(), Invalid> {
    let Challenged { authority, pin, exporter, nonce, marks } = challenged;
    let mut message = labels::RELAY_AUTH.to_vec();
    push_relay(&mut message, authority, *pin)?;
    push_optional(&mut message, *exporter);
    message.extend_from_slice(*nonce);
    message.extend_from_slice(&device.to_bytes());
    message.extend_from_slice(&marks.signed_bytes());
    verify(identity, &message, signature)
}

/// Verifies the proof of a registration: the first device wants this handle, account and list at this relay.
///
/// # Errors
/// The signature is not by the list's first device over exactly this.
pub fn verify_registration(
    list: &DeviceList,
    list_bytes: &[u8],
    authority: &str,
    pin: Option<&[u8; 32]>,
    handle: &Handle,
    proof: &[u8; 64],
) -> Result<(), Invalid> {
    let mut message = labels::REGISTRATION.to_vec();
    push_relay(&mut message, authority, pin)?;
    push_text(&mut message, handle.as_str())?;
    message.extend_from_slice(&list.account.0);
    message.extend_from_slice(&Sha256::digest(list_bytes));
    verify(&list.first()?.identity, &message, proof)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    struct Account {
        key: SigningKey,
        record: Vec<u8>,
    }

    impl Account {
        fn new() -> Self {
            let key = SigningKey::from_bytes(&[7; 32]);
            let record = [&[1][..], key.verifying_key().as_bytes(), &[3; 32]].concat();
            Self { key, record }
        }

        fn id(&self) -> AccountId {
            AccountRecord::parse(&self.record).unwrap().id
        }

        fn certificate(&self, number: u32, added_in: u32) -> Vec<u8> {
            self.certify(number, SigningKey::from_bytes(&[number as u8; 32]).verifying_key().as_bytes(), added_in)
        }

        fn certify(&self, number: u32, identity: &[u8; 32], added_in: u32) -> Vec<u8> {
            let fields = [&number.to_be_bytes()[..], identity, &added_in.to_be_bytes()].concat();
            let signed = [labels::DEVICE_CERTIFICATE, &self.id().0, &fields].concat();
            [fields, self.key.sign(&signed).to_bytes().to_vec()].concat()
        }

        fn list(&self, version: u32, certificates: &[Vec<u8>]) -> Vec<u8> {
            self.list_after(version, 6, certificates)
        }

        fn list_after(&self, version: u32, highest: u32, certificates: &[Vec<u8>]) -> Vec<u8> {
            let mut bytes = [&[1][..], &self.id().0, &version.to_be_bytes(), &9u64.to_be_bytes()].concat();
            bytes.extend(highest.to_be_bytes());
            bytes.push(certificates.len() as u8);
            bytes.extend(certificates.concat());
            let signature = self.key.sign(&[labels::DEVICE_LIST, &bytes].concat());
            [bytes, signature.to_bytes().to_vec()].concat()
        }

        fn parse(&self, list: &[u8]) -> Result<DeviceList, Invalid> {
            DeviceList::parse(list, &AccountRecord::parse(&self.record).unwrap())
        }
    }

    #[test]
    fn a_list_is_read_back_and_every_flipped_bit_is_noticed() {
        let account = Account::new();
        let list = account.list(3, &[account.certificate(1, 1), account.certificate(4, 3)]);
        let parsed = account.parse(&list).unwrap();
        assert_eq!((parsed.version, parsed.devices.len(), parsed.devices[1].number), (3, 2, 4));
        assert_eq!((parsed.highest, DeviceList::stored_highest(&list)), (6, Some(6)));
        assert_eq!(DeviceList::stored_highest(&list[..48]), None);
        for at in 0..list.len() {
            let mut changed = list.clone();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(account.parse(&changed), Err(Invalid), "byte {at}");
        }
        for cut in [0, 1, 45, 49, 63, list.len() - 1] {
            assert_eq!(account.parse(&list[..cut]), Err(Invalid));
        }
        assert_eq!(account.parse(&[list, vec![0]].concat()), Err(Invalid));
    }

    #[test]
    fn well_signed_lists_of_a_wrong_shape_are_refused() {
        let account = Account::new();
        let one = account.certificate(1, 1);
        let six: Vec<_> = (1..=6).map(|number| account.certificate(number, 1)).collect();
        assert!(account.parse(&account.list(1, std::slice::from_ref(&one))).is_ok());
        assert!(account.parse(&account.list(1, &six[..5])).is_ok());
        assert_eq!(account.parse(&account.list(0, std::slice::from_ref(&one))), Err(Invalid), "version 0");
        assert_eq!(account.parse(&account.list(1, &[])), Err(Invalid), "no device");
        assert_eq!(account.parse(&account.list(1, &six)), Err(Invalid), "too many");
        assert_eq!(account.parse(&account.list(1, &[one.clone(), one.clone()])), Err(Invalid), "twice");
        assert_eq!(account.parse(&account.list(1, &[account.certificate(2, 1), one])), Err(Invalid), "order");
        assert_eq!(account.parse(&account.list(1, &[account.certificate(1, 2)])), Err(Invalid), "from the future");
        assert_eq!(account.parse(&account.list(1, &[account.certificate(0, 1)])), Err(Invalid), "number 0");
        assert!(account.parse(&account.list_after(1, 3, &[account.certificate(3, 1)])).is_ok());
        assert_eq!(
            account.parse(&account.list_after(1, 2, &[account.certificate(3, 1)])),
            Err(Invalid),
            "above the highest"
        );
        let same_key = *SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes();
        let copy = account.certify(2, &same_key, 1);
        assert_eq!(account.parse(&account.list(1, &[account.certificate(1, 1), copy])), Err(Invalid), "one key twice");
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(account.parse(&account.list(1, &[account.certify(1, &neutral, 1)])), Err(Invalid), "small order");
        // y and p + y are one point; only the smaller is its encoding. The library reads both.
        let doubles: Vec<_> = (2..19u8)
            .map(|y| {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (0xed + y, 0x7f);
                bytes
            })
            .filter(|bytes| VerifyingKey::from_bytes(bytes).is_ok())
            .collect();
        assert!(!doubles.is_empty());
        for double in doubles {
            let list = account.list(1, &[account.certify(1, &double, 1)]);
            assert_eq!(account.parse(&list), Err(Invalid), "not canonical");
        }
    }

    #[test]
    fn records_of_another_shape_are_refused() {
        let account = Account::new();
        assert!(AccountRecord::parse(&account.record).is_ok());
        assert_eq!(AccountRecord::parse(&account.record[..64]), Err(Invalid));
        assert_eq!(AccountRecord::parse(&[account.record.clone(), vec![0]].concat()), Err(Invalid));
        let mut newer = account.record.clone();
        newer[0] = 2;
        assert_eq!(AccountRecord::parse(&newer), Err(Invalid));
        // The neutral point: every signature would verify under it.
        let weak = [&[1u8, 1][..], &[0; 31], &[3; 32]].concat();
        assert_eq!(AccountRecord::parse(&weak), Err(Invalid));
    }
}
