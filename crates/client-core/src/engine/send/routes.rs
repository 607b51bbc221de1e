//! Where and how a receiver is reached, and whether anything may leave for them now. Asked each time anew: whoever was accepted
//! when something was said may not be any more, and device lists grow old.

use subrosa_crypto::{DeviceList, VerifiedCertificate};
use subrosa_wire::{AccountId, Capability, DeviceAddress, link::authority};
use url::Url;

use crate::{
    api::ApiError,
    conversation::ConversationId,
    engine::{
        core::{Change, Core, WithoutKeys, address, now_ms},
        people::{
            audience::Audience,
            lists::{self, Age},
        },
    },
    limits::{RETRY_FIRST, millis},
    store::{
        contacts::ContactRow,
        deliveries::{self, Lane},
        peers::{self, lane_relay},
    },
};

/// A device that was just linked gives its relay keys within moments: so often it is asked for at first …
const ASK_KEYS_AGAIN_MS: u64 = 500;

/// … for so long …
const KEYS_PATIENCE_MS: u64 = 10 * 1_000;

/// … then twice as rarely each time, down to this.
const ASK_KEYS_LATER_MS: u64 = 3_600 * 1_000;

/// The devices that something may be queued for now.
#[derive(Debug, Default)]
pub(in crate::engine) struct Listed {
    /// None: it is queued for all, whichever they are when it leaves.
    pub(in crate::engine) devices: Vec<u32>,
    pub(in crate::engine) version: u32,
}

/// Where and how a receiver is reached.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    /// `None`: the request lane of the own relay.
    pub(crate) capability: Option<Capability>,
}

impl Route {
    /// `as_member`: with what is said among several.
    pub(in crate::engine) fn to(audience: &Audience, as_member: bool) -> Self {
        let peer = audience.peer();
        Self { relay: peer.relay.clone(), pin: peer.pin, capability: audience.capability(as_member) }
    }
}

/// A receiver with everything that sealing needs.
pub(in crate::engine) struct Receiver {
    pub(in crate::engine) account: AccountId,
    pub(in crate::engine) route: Route,
    pub(in crate::engine) list: DeviceList,
    /// Those of the list that get something.
    pub(in crate::engine) devices: Vec<VerifiedCertificate>,
    /// `None`: our own other devices, or somebody who is with us in a conversation of several.
    pub(in crate::engine) contact: Option<ContactRow>,
}

impl Receiver {
    /// The certificate of one of its devices.
    pub(in crate::engine) fn device(&self, at: &DeviceAddress) -> Option<&VerifiedCertificate> {
        self.devices.iter().find(|device| address(&device.address()) == *at)
    }

    /// Whether this is one of its devices.
    pub(in crate::engine) fn has(&self, at: &DeviceAddress) -> bool {
        self.device(at).is_some()
    }
}

/// How a receiver stands.
pub(in crate::engine) enum Resolved {
    Receiver(Box<Receiver>),
    /// Their device list has to be fetched first.
    NeedDevices(Route),
    /// For a person to decide, or for an answer.
    Wait(String),
    /// Nothing may leave for them.
    Drop,
}

impl Change<'_> {
    /// Who a receiver of something said in a conversation is, and whether anything may leave for them now.
    pub(in crate::engine) fn resolve_receiver(
        &mut self,
        conversation: &ConversationId,
        account: &AccountId,
    ) -> Result<Resolved, ApiError> {
        if *account == self.own.address.account {
            let others = |device: &VerifiedCertificate| device.address().device != self.own.address.device;
            let devices: Vec<_> = self.own.list.verified_devices().filter(others).collect();
            if devices.is_empty() {
                return Ok(Resolved::Drop);
            }
            return Ok(Resolved::Receiver(Box::new(Receiver {
                account: *account,
                route: Route {
                    relay: self.own.relay.clone(),
                    pin: self.own.pin,
                    capability: Some(Capability::DeliveryKey(self.own.delivery_key.clone())),
                },
                list: self.own.list.clone(),
                devices,
                contact: None,
            })));
        }
        let Some(audience) = Audience::of(self.db, account)? else { return Ok(Resolved::Drop) };
        let peer = audience.peer();
        if let Some(reason) = &peer.held {
            return Ok(Resolved::Wait(format!("sending has stopped: {reason}")));
        }
        let as_member = *conversation != self.own.chat_with(account);
        let route = Route::to(&audience, as_member);
        if route.capability.is_none() {
            match &audience {
                Audience::Contact(contact) if !as_member => {
                    let same_relay = authority(&peer.relay) == authority(&self.own.relay);
                    if contact.reach.requested || !same_relay {
                        return Ok(Resolved::Wait(format!("waiting for {} to accept your request", contact.name)));
                    }
                }
                Audience::Contact(_) | Audience::Fellow(_) => {
                    return Ok(Resolved::Wait(format!("waiting for the member key of {}", peer.handle)));
                }
            }
        }
        match lists::age(peer, self.now_ms) {
            Age::Young => {}
            Age::Ask => return Ok(Resolved::NeedDevices(route)),
            Age::Holds(reason) => return Ok(Resolved::Wait(format!("sending has stopped: {reason}"))),
        }
        let Some(list) = peer.list.clone().filter(|_| !peer.list_stale) else {
            return Ok(Resolved::NeedDevices(route));
        };
        let devices = list.verified_devices().collect();
        let contact = match audience {
            Audience::Contact(contact) => Some(contact),
            Audience::Fellow(_) => None,
        };
        Ok(Resolved::Receiver(Box::new(Receiver { account: *account, route, list, devices, contact })))
    }

    /// The lane of what is said to an account in a conversation, and the devices that it may be queued for now. `None`: nobody knows
    /// where they are.
    pub(in crate::engine) fn way_to(
        &self,
        conversation: &ConversationId,
        account: &AccountId,
    ) -> Result<Option<(Lane, Listed)>, ApiError> {
        let lane = |relay, own| Lane { conversation: *conversation, relay, own };
        // What follows the list only when it leaves must not be overtaken by what is queued for the devices themselves.
        let unless_behind = |devices, version| {
            let behind = deliveries::is_behind(self.db, account, version)?;
            Ok::<_, ApiError>(if behind { Listed::default() } else { Listed { devices, version } })
        };
        let numbers = |list: &DeviceList| list.verified_devices().map(|device| device.address().device).collect();
        if *account == self.own.address.account {
            let mut devices: Vec<u32> = numbers(&self.own.list);
            devices.retain(|device| *device != self.own.address.device);
            let lane = lane(lane_relay(&self.own.relay, self.own.pin.as_ref()), true);
            return Ok(Some((lane, unless_behind(devices, self.own.list.version())?)));
        }
        let Some(peer) = peers::get(self.db, account)? else { return Ok(None) };
        let lane = lane(lane_relay(&peer.relay, peer.pin.as_ref()), false);
        let listed = match &peer.list {
            Some(list) if !peer.list_stale => unless_behind(numbers(list), list.version())?,
            _ => Listed::default(),
        };
        Ok(Some((lane, listed)))
    }
}

impl Core {
    /// A device has no prekeys at its relay: it is asked for again, and holds up nobody meanwhile.
    pub(crate) fn has_no_keys(&mut self, device: DeviceAddress) {
        let now = now_ms();
        let known = self.without_keys.get(&device).copied();
        let since_ms = known.map_or(now, |known| known.since_ms);
        let patient = now.saturating_sub(since_ms) < KEYS_PATIENCE_MS;
        let pause_ms = if patient {
            ASK_KEYS_AGAIN_MS
        } else {
            known.map_or(millis(RETRY_FIRST), |known| known.pause_ms).saturating_mul(2).min(ASK_KEYS_LATER_MS)
        };
        // What nobody asked for since is asked for at once.
        self.without_keys.retain(|_, known| known.ask_again_ms.saturating_add(ASK_KEYS_LATER_MS) > now);
        let ask_again_ms = now.saturating_add(pause_ms);
        self.without_keys.insert(device, WithoutKeys { since_ms, ask_again_ms, pause_ms });
    }
}
