//! Other devices of the same account: how one is added, and what it must know to begin.
//!
//! The new device makes its own keys and hands over only the public one ([`DeviceRequest`]). The first
//! device, which alone has the account key, signs a new list and answers with a [`Provision`]. How the
//! two get from one machine to the other is for the interface; both ends are on the same person's desk.

use subrosa_crypto::{AccountRecord, DeviceCertificate, DeviceList, IdentityKey, IdentityKeyPair};
use subrosa_wire::{AccountId, DeliveryKey, DeviceAddress, mailbox::MailboxRequest};
use url::Url;

use super::{Engine, core::Change, sending::contact_sync};
use crate::{
    api::{ApiError, ErrorKind},
    content::ContactSync,
    store::{self, account::Own},
};

/// A device that wants to join an account.
pub struct DeviceRequest {
    identity: IdentityKeyPair,
}

impl DeviceRequest {
    /// Makes the device's keys.
    ///
    /// # Errors
    /// No randomness from the operating system.
    pub fn new() -> Result<Self, ApiError> {
        let identity =
            IdentityKeyPair::generate().map_err(|error| ApiError::new(ErrorKind::Failed, error.to_string()))?;
        Ok(Self { identity })
    }

    /// The public identity key (32 bytes): what the first device needs.
    #[must_use]
    pub fn identity_key(&self) -> [u8; 32] {
        *self.identity.public().as_bytes()
    }

    /// What the new device is, once it is on the list.
    pub(crate) fn become_device(self, provision: &Provision) -> Result<Own, ApiError> {
        let list = provision.list.clone();
        let device = list
            .devices()
            .iter()
            .find(|device| device.identity() == &self.identity.public())
            .map(DeviceCertificate::number)
            .ok_or_else(|| ApiError::new(ErrorKind::Usage, "this provision was made for another device"))?;
        Ok(Own {
            address: DeviceAddress { account: AccountId(provision.record.id()), device },
            record: provision.record,
            account_key: None,
            identity: self.identity,
            handle: provision.handle.clone(),
            relay: provision.relay.clone(),
            pin: provision.pin,
            list,
            delivery_key: provision.delivery_key.clone(),
        })
    }
}

/// What a new device must know. Secret: it holds the account's delivery key and contacts.
pub struct Provision {
    pub(crate) record: AccountRecord,
    pub(crate) list: DeviceList,
    pub(crate) handle: String,
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    pub(crate) delivery_key: DeliveryKey,
    pub(crate) contacts: Vec<ContactSync>,
}

impl Engine {
    /// Puts a new device on the account's list (first device only). The list goes to the relay as soon as
    /// it is reached, and contacts learn it with the next message.
    ///
    /// # Errors
    /// This is not the first device, the key is not acceptable, or the list is full.
    pub async fn authorize_device(&self, identity_key: [u8; 32]) -> Result<Provision, ApiError> {
        self.inner.core.run(move |core| core.change(|change| change.authorize_device(&identity_key))).await
    }
}

impl Change<'_> {
    fn authorize_device(&mut self, identity_key: &[u8; 32]) -> Result<Provision, ApiError> {
        let own = self.own;
        let account_key = own.account_key.as_ref().ok_or_else(|| {
            ApiError::new(ErrorKind::Failed, "only the account's first device can add another")
                .hint("do this on the device on which the account was made")
        })?;
        let usage = |error: &dyn std::fmt::Display| ApiError::new(ErrorKind::Usage, error.to_string());
        let identity = IdentityKey::from_bytes(identity_key).map_err(|error| usage(&error))?;
        let version = own.list.version().saturating_add(1);
        // Numbers are never used again, also not those of removed devices: no old session, certificate or mailbox is mistaken
        // for the new device's.
        let number = own
            .list
            .highest()
            .checked_add(1)
            .ok_or_else(|| ApiError::new(ErrorKind::Failed, "this account has used up all device numbers"))?;
        let certificate = DeviceCertificate::issue(account_key, &own.address.account.0, number, &identity, version);
        let mut devices = own.list.devices().to_vec();
        devices.push(certificate);
        let list = DeviceList::issue(account_key, &own.record, version, self.now_ms, number, devices)
            .map_err(|error| usage(&error))?;
        store::account::set_list(self.db, &list)?;
        self.relay_task(MailboxRequest::PutDeviceList(list.encode().into()))?;
        self.reload_own();
        let contacts = store::contacts::all(self.db)?.iter().map(contact_sync).collect();
        Ok(Provision {
            record: own.record,
            list,
            handle: own.handle.clone(),
            relay: own.relay.clone(),
            pin: own.pin,
            delivery_key: own.delivery_key.clone(),
            contacts,
        })
    }
}
