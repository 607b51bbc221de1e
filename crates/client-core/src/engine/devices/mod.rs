//! Other devices of the same account: how one is added and what it must know to begin, and how one is removed.
//!
//! The new device makes its own keys and hands over only the public one ([`DeviceRequest`]). The first
//! device, which alone has the account key, signs a new list and answers with a [`Provision`]. How the
//! two get from one machine to the other is for the interface; both ends are on the same person's desk.
//!
//! A removed device has everything that it had: keys of the account's contacts, the account's delivery key. So the key is replaced as
//! for a block, and contacts drop what a device sends that is not on the newest list.

pub(in crate::engine) mod ageing;
pub(in crate::engine) mod retention;
pub(in crate::engine) mod upkeep;

use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKey, IdentityKeyPair, MAX_DEVICES,
};
use subrosa_wire::{AccountId, DeliveryKey, DeviceAddress, MemberKey, http::GetDevices, mailbox::MailboxRequest};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    api::{ApiError, Connection, ErrorKind},
    content::ContactSync,
    engine::{
        Engine,
        core::{
            Change, Core, CoreHandle,
            copies::other_copy,
            link::{LinkState, REMOVED, removed, removed_link},
            party,
        },
        people::{contact_sync, own_keys::Member},
    },
    net::{Http, MailboxHandle, RelayEndpoint},
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
            member_key: provision.member_key.clone(),
        })
    }
}

/// What a new device must know. Secret: it holds the account's keys for others and its contacts.
pub struct Provision {
    pub(crate) record: AccountRecord,
    pub(crate) list: DeviceList,
    pub(crate) handle: String,
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    pub(crate) delivery_key: DeliveryKey,
    pub(crate) member_key: MemberKey,
    pub(crate) contacts: Vec<ContactSync>,
}

/// A device of the account, as the account's list has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnDevice {
    /// Its number, from 1 on; never that of an earlier device.
    pub number: u32,
    /// Version of the device list in which it appeared first.
    pub since_list: u32,
    /// It is the one that was asked.
    pub this: bool,
}

impl Engine {
    /// Puts a new device on the account's list (first device only). The list goes to the relay as soon as
    /// it is reached, and contacts learn it with the next message.
    ///
    /// # Errors
    /// This is not the first device, the key is not acceptable or on the list already, or the list is full.
    pub async fn authorize_device(&self, identity_key: [u8; 32]) -> Result<Provision, ApiError> {
        self.inner
            .core
            .run(move |core| {
                core.may_sign_lists()?;
                core.change(|change| change.authorize_device(&identity_key))
            })
            .await
    }

    /// Takes a device off the account's list (first device only). From the moment the relay hears of it, the device is let in no
    /// more, what waits for it is gone, and the key by which it could submit to the account is dead; contacts and the other own
    /// devices learn the list and the new key with what is sent to them next. Its number is never used again.
    ///
    /// # Errors
    /// This is not the first device, the number is its own ([`ErrorKind::Usage`]), or no device has it ([`ErrorKind::NotFound`]).
    pub async fn remove_device(&self, number: u32) -> Result<(), ApiError> {
        self.inner
            .core
            .run(move |core| {
                core.may_sign_lists()?;
                core.change(|change| change.remove_device(number))
            })
            .await
    }

    /// The account's devices, as far as this one knows, by number.
    ///
    /// # Errors
    /// [`ErrorKind::EngineGone`].
    pub async fn devices(&self) -> Result<Vec<OwnDevice>, ApiError> {
        self.inner
            .core
            .run(|core| {
                let own = core.own.address.device;
                let device = |device: &DeviceCertificate| OwnDevice {
                    number: device.number(),
                    since_list: device.list_version(),
                    this: device.number() == own,
                };
                Ok(core.own.list.devices().iter().map(device).collect())
            })
            .await
    }
}

impl Core {
    /// Whether this device was taken off its account's list.
    pub(crate) fn is_removed(&self) -> bool {
        !self.own.list.devices().iter().any(|device| device.number() == self.own.address.device)
    }

    /// Two copies that each signed a list would have signed two of one version.
    fn may_sign_lists(&self) -> Result<(), ApiError> {
        if self.is_removed() {
            return Err(removed());
        }
        if self.stands_still() { Err(other_copy()) } else { Ok(()) }
    }
}

impl Change<'_> {
    fn account_key(&self) -> Result<&AccountKeyPair, ApiError> {
        self.own.account_key.as_ref().ok_or_else(|| {
            ApiError::new(ErrorKind::Failed, "only the account's first device can add or remove another")
                .hint("do this on the device on which the account was made")
        })
    }

    /// Signs a list with these devices, the next version.
    fn sign_list(&mut self, highest: u32, devices: Vec<DeviceCertificate>) -> Result<DeviceList, ApiError> {
        let own = self.own;
        let version = own.list.version().saturating_add(1);
        let list = DeviceList::issue(self.account_key()?, &own.record, version, self.now_ms, highest, devices)
            .map_err(|error| ApiError::new(ErrorKind::Usage, error.to_string()))?;
        store::account::set_list(self.db, &list)?;
        self.relay_task(MailboxRequest::PutDeviceList(list.encode().into()))?;
        self.reload_own();
        Ok(list)
    }

    fn authorize_device(&mut self, identity_key: &[u8; 32]) -> Result<Provision, ApiError> {
        let own = self.own;
        self.account_key()?;
        let usage = |text: String| ApiError::new(ErrorKind::Usage, text);
        let identity = IdentityKey::from_bytes(identity_key).map_err(|error| usage(error.to_string()))?;
        let mut devices = own.list.devices().to_vec();
        if let Some(known) = devices.iter().find(|device| device.identity() == &identity) {
            return Err(usage(format!("this key is device {} of the account already", known.number())));
        }
        if devices.len() >= MAX_DEVICES {
            return Err(ApiError::new(
                ErrorKind::Failed,
                format!("this account has {MAX_DEVICES} devices, and no more can be added"),
            )
            .hint("remove one that is not used any more"));
        }
        // Numbers are never used again, also not those of removed devices: no old session, certificate or mailbox is mistaken
        // for the new device's.
        let number = own
            .list
            .highest()
            .checked_add(1)
            .ok_or_else(|| ApiError::new(ErrorKind::Failed, "this account has used up all device numbers"))?;
        let version = own.list.version().saturating_add(1);
        devices.push(DeviceCertificate::issue(self.account_key()?, &own.address.account.0, number, &identity, version));
        let list = self.sign_list(number, devices)?;
        let contacts = store::contacts::all(self.db)?.iter().map(contact_sync).collect();
        Ok(Provision {
            record: own.record,
            list,
            handle: own.handle.clone(),
            relay: own.relay.clone(),
            pin: own.pin,
            delivery_key: own.delivery_key.clone(),
            member_key: own.member_key.clone(),
            contacts,
        })
    }

    fn remove_device(&mut self, number: u32) -> Result<(), ApiError> {
        let own = self.own;
        self.account_key()?;
        if number == own.address.device {
            return Err(ApiError::new(
                ErrorKind::Usage,
                "the first device cannot remove itself: it alone can sign the account's lists",
            )
            .hint("to end the account altogether: subrosa account remove"));
        }
        let mut devices = own.list.devices().to_vec();
        devices.retain(|device| device.number() != number);
        if devices.len() == own.list.devices().len() {
            return Err(ApiError::new(ErrorKind::NotFound, format!("this account has no device {number}")));
        }
        let list = self.sign_list(own.list.highest(), devices)?;
        self.forget_device(number)?;
        // It knows the old keys, and could go on to submit to us with them or give them away.
        self.rotate_keys(&list, Member::Dead)
    }

    /// Takes over a newer list of our own, signed elsewhere. Says whether another device than this one is gone from it.
    pub(in crate::engine) fn take_own_list(&mut self, list: &DeviceList) -> Result<bool, ApiError> {
        let own = self.own;
        store::account::set_list(self.db, list)?;
        self.reload_own();
        let stays = |number: u32| list.devices().iter().any(|device| device.number() == number);
        if !stays(own.address.device) {
            self.notice(NOTICE, REMOVED.to_owned(), None)?;
            return Ok(false);
        }
        let mut gone = false;
        for number in own.list.devices().iter().map(DeviceCertificate::number).filter(|number| !stays(*number)) {
            self.forget_device(number)?;
            gone = true;
        }
        Ok(gone)
    }

    /// Nothing goes to a device of ours that is gone, and what only served talking with it is kept no longer.
    fn forget_device(&mut self, number: u32) -> Result<(), ApiError> {
        let device = DeviceAddress { account: self.own.address.account, device: number };
        for content in store::deliveries::forget_device(self.db, &device)? {
            store::outbox::tidy(self.db, content)?;
        }
        store::sessions::forget_device(self.db, &device)?;
        store::retries::forget_device(self.db, &device)?;
        self.pair_keys.forget(&party(&device));
        self.scrub();
        Ok(())
    }
}

/// Its notice.
const NOTICE: &str = "device_removed";

/// Finds out that this device was removed: its relay lets it in no more, and the account's newest list does not have it. The list is
/// signed, so no relay can pretend it.
pub(in crate::engine) struct RemovalWatch {
    pub(in crate::engine) core: CoreHandle,
    pub(in crate::engine) http: Http,
    pub(in crate::engine) relay: RelayEndpoint,
    pub(in crate::engine) account: AccountId,
    pub(in crate::engine) handle: MailboxHandle,
    pub(in crate::engine) link: watch::Sender<LinkState>,
    pub(in crate::engine) stop: CancellationToken,
}

impl RemovalWatch {
    /// Runs until `stop`, or until the device was removed; then it ends the connection and the task that follows it.
    pub(in crate::engine) async fn run(self, follower: JoinHandle<()>) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            () = self.until_removed() => {}
        }
        self.handle.shutdown().await;
        // It only ends; that it panicked would have been told.
        let _ = follower.await;
        self.link.send_modify(|link| *link = removed_link(link.failures));
    }

    async fn until_removed(&self) {
        let mut link = self.link.subscribe();
        loop {
            let refused = {
                let state = link.borrow_and_update();
                let refused = state.error.as_ref().is_some_and(|error| error.code == ErrorKind::Refused);
                state.connection == Connection::Offline && refused
            };
            if refused && self.ask().await {
                return;
            }
            if link.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Asks for the account's list, as contacts do; says whether this device is on it no more. Whoever is refused for another reason
    /// tries again rarely, and then asks again.
    async fn ask(&self) -> bool {
        let list = match self.http.call(&self.relay, &GetDevices { account: self.account }).await {
            Ok(devices) => Some(devices.device_list),
            Err(error) => {
                tracing::debug!(%error, "the own device list was not had");
                None
            }
        };
        let learned = self.core.run(move |core| {
            if let Some(list) = list {
                core.change(|change| change.learn_own_list(&list))?;
            }
            Ok(core.is_removed())
        });
        learned.await.unwrap_or(false)
    }
}
