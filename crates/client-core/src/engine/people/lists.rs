//! Device lists of contacts and our own: taken over, refused, waited for, renewed (docs/protocol.md, "What a client does with
//! them").
//!
//! A list never goes backwards. What somebody's devices announce inside a verified message counts more than what their relay
//! serves: it is a floor below which nothing is sealed. And a list that nobody has renewed for long is shown, then holds, so that
//! a relay which withholds all of somebody's lists is noticed, too.

use bytes::Bytes;
use subrosa_crypto::{DeviceList, Freshness};
use subrosa_wire::{AccountId, mailbox::MailboxRequest};

use crate::{
    api::ApiError,
    engine::{
        core::{Change, Core},
        people::own_keys::Member,
    },
    limits::{DAY_MS, LIST_ASK_PAUSE, LIST_HOLDS_AFTER, LIST_RENEW_AFTER, LIST_SHOWN_AFTER, millis},
    store::{
        self,
        contacts::{self, ContactRow},
        peers::{self, ListFloor, PeerRow},
    },
};

/// What came of comparing a list with the one we know.
enum Learned {
    Adopted { list: DeviceList, new_devices: Vec<u32> },
    Unchanged,
    Held(&'static str),
}

/// Two lists of one version: the account key signed twice.
const CONFLICT: &str = "two different device lists of the same version exist";

fn compare(peer: &PeerRow, bytes: &[u8]) -> Learned {
    let verified = DeviceList::decode(bytes).ok().and_then(|list| list.verify(&peer.record).ok());
    let Some(list) = verified else {
        return Learned::Held("their relay gave a device list whose signature does not verify");
    };
    let floor = &peer.floor;
    if list.version() == floor.version && floor.hash.is_some_and(|hash| hash != list.hash()) {
        return Learned::Held(CONFLICT);
    }
    let Some(known) = &peer.list else {
        return Learned::Adopted { list, new_devices: Vec::new() };
    };
    match list.compare(known) {
        Freshness::Same => Learned::Unchanged,
        Freshness::Newer => {
            let new_devices = list
                .devices()
                .iter()
                .filter(|device| !known.devices().iter().any(|old| old.identity() == device.identity()))
                .map(subrosa_crypto::DeviceCertificate::number)
                .collect();
            Learned::Adopted { list, new_devices }
        }
        Freshness::Older => Learned::Held("their relay gave an older device list than the one known here"),
        Freshness::Conflict => Learned::Held(CONFLICT),
        Freshness::NumberReused => {
            Learned::Held("their new device list gives the number of an earlier device to another one")
        }
    }
}

/// A device list after it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its version; 0: none.
    pub(crate) version: u32,
    /// Why sending waits for a newer one, in words.
    pub(crate) behind: Option<String>,
}

/// How a list stands with time.
pub(in crate::engine) enum Age {
    /// Renewed not long ago, or the person takes it.
    Young,
    /// Worth asking for a newer one.
    Ask,
    /// Nobody has renewed it for long: why sending holds.
    Holds(String),
}

/// How long ago a peer's list was signed; 0 where there is none, or the person takes it as it is.
fn age_ms(peer: &PeerRow, now_ms: u64) -> u64 {
    let list = peer.list.as_ref().filter(|list| list.version() > peer.old_list);
    list.map_or(0, |list| now_ms.saturating_sub(list.issued_ms()))
}

/// Whether a peer's list was renewed lately. Asking for it goes before holding.
pub(in crate::engine) fn age(peer: &PeerRow, now_ms: u64) -> Age {
    let age_ms = age_ms(peer, now_ms);
    let asked_ms_ago = now_ms.saturating_sub(peer.list_asked_ms);
    if age_ms > millis(LIST_HOLDS_AFTER) {
        if asked_ms_ago > millis(LIST_ASK_PAUSE) {
            return Age::Ask;
        }
        return Age::Holds(format!(
            "their device list was renewed {} days ago for the last time: their relay may withhold newer ones",
            age_ms / DAY_MS
        ));
    }
    if age_ms > millis(LIST_SHOWN_AFTER) && asked_ms_ago > DAY_MS { Age::Ask } else { Age::Young }
}

/// Whether a peer's list may be asked for again without anybody waiting for it: their words alone make us call so often.
pub(in crate::engine) fn may_ask(peer: &PeerRow, now_ms: u64) -> bool {
    now_ms.saturating_sub(peer.list_asked_ms) >= millis(LIST_ASK_PAUSE)
}

impl Change<'_> {
    /// A verified content names its account's device list. A newer one than all we know becomes the floor: whatever their
    /// relay serves, nothing is sealed for an older one.
    pub(crate) fn announced(&mut self, peer: &mut PeerRow, version: u32, hash: [u8; 32]) -> Result<(), ApiError> {
        let (known, known_hash) = peer.list.as_ref().map_or((0, [0; 32]), |list| (list.version(), list.hash()));
        let floor = peer.floor;
        let differs_from_floor = version == floor.version && floor.hash.is_some_and(|announced| announced != hash);
        if version > 0 && ((version == known && hash != known_hash) || differs_from_floor) {
            return self.hold(peer, CONFLICT);
        }
        if version > known && version >= floor.version {
            let told = floor.told && version == floor.version;
            let now = ListFloor { version, hash: Some(hash), told };
            if peer.floor != now || !peer.list_stale {
                peer.floor = now;
                peer.list_stale = true;
                peers::put(self.db, peer)?;
            }
        }
        Ok(())
    }

    /// Takes over a device list if it is newer and valid; stops sending otherwise. What was refused stays refused until the
    /// person decides, whatever the relay gives later. Says which version is known now.
    pub(crate) fn learn_list(&mut self, account: &AccountId, bytes: &[u8]) -> Result<Known, ApiError> {
        let Some(mut peer) = peers::get(self.db, account)? else { return Ok(Known { version: 0, behind: None }) };
        peer.list_asked_ms = self.now_ms;
        match compare(&peer, bytes) {
            Learned::Adopted { list, new_devices } => {
                peer.list = Some(list);
                peer.list_stale = peer.is_behind();
                peers::put(self.db, &peer)?;
                let contact = contacts::get(self.db, account)?;
                if let Some(contact) = &contact {
                    self.contact_event(contact)?;
                }
                for number in new_devices {
                    let text = format!("{} uses a new device (number {number})", self.shown_name(&peer)?);
                    self.notice_about("new_device", text, account)?;
                }
                if let Some(contact) = &contact {
                    self.sync_contact(contact)?;
                }
                self.ask_new_devices(account)?;
                self.show_age(&peer)?;
            }
            Learned::Unchanged => {
                peer.list_stale = peer.is_behind();
                peers::put(self.db, &peer)?;
                self.show_age(&peer)?;
            }
            Learned::Held(reason) => self.hold(&mut peer, reason)?,
        }
        let behind = self.show_behind(&mut peer)?;
        self.wake_outbox();
        Ok(Known { version: peer.list.as_ref().map_or(0, DeviceList::version), behind })
    }

    /// The person is told once that a relay serves an older list than its account announced.
    fn show_behind(&mut self, peer: &mut PeerRow) -> Result<Option<String>, ApiError> {
        let served = peer.list.as_ref().map_or(0, DeviceList::version);
        if peer.held.is_some() || served >= peer.floor.version {
            return Ok(None);
        }
        let reason = format!(
            "their relay gives device list {served}, but they announced list {} themselves",
            peer.floor.version
        );
        if !peer.floor.told {
            peer.floor.told = true;
            peers::put(self.db, peer)?;
            let text = format!("sending to {} waits: {reason}", self.shown_name(peer)?);
            self.notice_about("list_withheld", text, &peer.account)?;
        }
        Ok(Some(reason))
    }

    /// A list that nobody has renewed for long is shown before it holds; as often as it is asked for, once a day.
    fn show_age(&mut self, peer: &PeerRow) -> Result<(), ApiError> {
        let age_ms = age_ms(peer, self.now_ms);
        if age_ms <= millis(LIST_SHOWN_AFTER) {
            return Ok(());
        }
        let text = format!(
            "the device list of {} was renewed {} days ago for the last time; after {} days sending to them stops until you decide",
            self.shown_name(peer)?,
            age_ms / DAY_MS,
            millis(LIST_HOLDS_AFTER) / DAY_MS
        );
        self.notice_about("old_list", text, &peer.account)
    }

    /// Stops sending to somebody until the person decides.
    pub(crate) fn hold(&mut self, peer: &mut PeerRow, reason: &str) -> Result<(), ApiError> {
        if peer.held.is_none() {
            peer.held = Some(reason.to_owned());
            peer.list_stale = true;
            peers::put(self.db, peer)?;
            let text = format!("sending to {} has stopped: {reason}", self.shown_name(peer)?);
            self.notice_about("sending_stopped", text, &peer.account)?;
        }
        Ok(())
    }

    /// As [`Change::hold`], by id.
    pub(crate) fn hold_account(&mut self, account: &AccountId, reason: &str) -> Result<(), ApiError> {
        match peers::get(self.db, account)? {
            Some(mut peer) => self.hold(&mut peer, reason),
            None => Ok(()),
        }
    }

    /// How somebody is shown to the person; who is no contact by what they call themselves.
    fn shown_name(&self, peer: &PeerRow) -> Result<String, ApiError> {
        Ok(contacts::name(self.db, &peer.account)?.unwrap_or_else(|| peer.handle.clone()))
    }

    /// The person takes a contact's list as it is: what was refused, what they announced and how old it is count no more.
    pub(crate) fn take_list_as_it_is(&mut self, contact: &mut ContactRow) -> Result<(), ApiError> {
        let peer = &mut contact.peer;
        let old = age_ms(peer, self.now_ms) > millis(LIST_SHOWN_AFTER);
        let behind = peer.list.is_some() && peer.is_behind();
        if peer.held.take().is_some() || behind || old {
            peer.floor = ListFloor::default();
            peer.old_list = peer.list.as_ref().map_or(0, DeviceList::version);
            peer.list_stale = true;
            peers::put(self.db, peer)?;
            store::deliveries::wake(self.db, &peer.account)?;
            self.wake_outbox();
        }
        Ok(())
    }

    /// Our own list changed on another device. Says which version is known now.
    pub(crate) fn learn_own_list(&mut self, bytes: &[u8]) -> Result<Known, ApiError> {
        let Some(list) = DeviceList::decode(bytes).ok().and_then(|list| list.verify(&self.own.record).ok()) else {
            self.notice("device_list_refused", "our relay gave a device list that is not ours".into(), None)?;
            return Ok(Known { version: self.own.list.version(), behind: None });
        };
        match list.compare(&self.own.list) {
            Freshness::Newer => {
                if self.take_own_list(&list)? {
                    // Whoever removed it has replaced the key already, and our word for the newest may have been the removed one's.
                    self.rotate_keys(&list, Member::Dead)?;
                }
                self.wake_outbox();
            }
            // An older one is the relay's; what our own account key signed twice is no relay's doing.
            Freshness::Conflict | Freshness::NumberReused => {
                let text = "our account's key signed a device list that contradicts the one known here";
                self.notice("device_list_refused", text.into(), None)?;
                return Ok(Known { version: self.own.list.version(), behind: None });
            }
            Freshness::Same | Freshness::Older => {}
        }
        Ok(Known { version: list.version().max(self.own.list.version()), behind: None })
    }

    /// Our list is signed anew, with the same devices: contacts can tell from its date that no newer one is kept from them.
    fn renew_list(&mut self) -> Result<(), ApiError> {
        let own = self.own;
        let Some(account_key) = own.account_key.as_ref() else { return Ok(()) };
        if own.list.issued_ms().saturating_add(millis(LIST_RENEW_AFTER)) > self.now_ms {
            return Ok(());
        }
        let list = own.list.renewed(account_key, &own.record, self.now_ms).map_err(|error| {
            ApiError::new(crate::ErrorKind::Failed, format!("the device list could not be renewed: {error}"))
        })?;
        store::account::set_list(self.db, &list)?;
        self.relay_task(MailboxRequest::PutDeviceList(Bytes::from(list.encode())))?;
        self.reload_own();
        Ok(())
    }
}

impl Core {
    /// Hourly: the account's list is renewed when it is time, where its key is.
    pub(crate) fn renew_list(&mut self) -> Result<(), ApiError> {
        // Two copies that each signed one would have signed two lists of one version.
        if self.stands_still() {
            return Ok(());
        }
        self.change(|change| change.renew_list())
    }
}
