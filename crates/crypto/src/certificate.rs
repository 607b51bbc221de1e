//! Device certificates: the account key says "this identity key is my device number n"
//! (`docs/protocol.md`, "Identities").

use crate::account::{AccountKeyPair, AccountRecord};
use crate::address::PartyAddress;
use crate::decoding::{DecodeError, Reader};
use crate::device::IdentityKey;
use crate::labels;

/// A certificate that is not the account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not signed by the account key of the record, or for another account.
    #[error("the device certificate is not signed by this account")]
    BadSignature,
}

/// A certificate as it travels: nothing in it is to be believed before
/// [`DeviceCertificate::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCertificate {
    number: u32,
    identity: IdentityKey,
    list_version: u32,
    signature: [u8; 64],
}

impl DeviceCertificate {
    /// Bytes of an encoded certificate.
    pub const LEN: usize = 104;

    /// Certifies a device. `number` counts from 1; `list_version` is the version of the device
    /// list in which the device appears first.
    #[must_use]
    pub fn issue(
        key: &AccountKeyPair,
        account: &[u8; 32],
        number: u32,
        identity: &IdentityKey,
        list_version: u32,
    ) -> Self {
        let signature = key.sign(&[
            labels::DEVICE_CERTIFICATE,
            account,
            &number.to_be_bytes(),
            identity.as_bytes(),
            &list_version.to_be_bytes(),
        ]);
        Self { number, identity: *identity, list_version, signature }
    }

    /// device number u32 ‖ identity key (32) ‖ list version u32 ‖ signature (64).
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        bytes[4..36].copy_from_slice(self.identity.as_bytes());
        bytes[36..40].copy_from_slice(&self.list_version.to_be_bytes());
        bytes[40..].copy_from_slice(&self.signature);
        bytes
    }

    /// The opposite of [`Self::encode`]. The signature is not checked.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but exactly one certificate with a good key, a device
    /// number and a list version of at least 1.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let certificate = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(certificate)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.u32()?;
        let identity = reader.array_ref()?;
        let list_version = reader.u32()?;
        let signature = reader.array()?;
        if number == 0 {
            return Err(DecodeError::BadField("device number"));
        }
        if list_version == 0 {
            return Err(DecodeError::BadField("list version"));
        }
        let identity = IdentityKey::from_bytes(identity).map_err(|_| DecodeError::BadKey)?;
        Ok(Self { number, identity, list_version, signature })
    }

    /// Checks that the account of `record` signed this certificate.
    ///
    /// # Errors
    /// [`CertificateError::BadSignature`] if it did not.
    pub fn verify(&self, record: &AccountRecord) -> Result<VerifiedCertificate, CertificateError> {
        let account = record.id();
        record
            .account_key()
            .0
            .verify(
                &[
                    labels::DEVICE_CERTIFICATE,
                    &account,
                    &self.number.to_be_bytes(),
                    self.identity.as_bytes(),
                    &self.list_version.to_be_bytes(),
                ],
                &self.signature,
            )
            .map_err(|_| CertificateError::BadSignature)?;
        Ok(VerifiedCertificate { account, certificate: *self })
    }

    /// The device number, counted from 1. A claim until verified.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The device's identity key. A claim until verified.
    #[must_use]
    pub fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// The version of the device list in which the device appeared first. A claim until
    /// verified.
    #[must_use]
    pub fn list_version(&self) -> u32 {
        self.list_version
    }
}

/// A certificate whose signature was checked against its account's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    account: [u8; 32],
    certificate: DeviceCertificate,
}

impl VerifiedCertificate {
    /// For certificates that were verified as part of a device list.
    pub(crate) fn of_verified_list(account: [u8; 32], certificate: DeviceCertificate) -> Self {
        Self { account, certificate }
    }

    /// Account id and device number.
    #[must_use]
    pub fn address(&self) -> PartyAddress {
        PartyAddress { account: self.account, device: self.certificate.number }
    }

    /// The device's identity key.
    #[must_use]
    pub fn identity(&self) -> &IdentityKey {
        &self.certificate.identity
    }

    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> &DeviceCertificate {
        &self.certificate
    }
}
