//! From intents to sealed submissions. What a relay answers is the subject of `results.rs`.
//!
//! [`Core::prepare`] takes the oldest rows of one receiver. In one transaction it advances the
//! ratchets and stores the sealed bytes; only then does a [`Batch`] exist that can leave. Retries send
//! the stored bytes. Bytes are made anew only for a newer device list.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use subrosa_crash_point::{CrashPoint, crash_point};
use subrosa_crypto::{
    DeviceList, KemUse, MessageKind, PrekeyBundle, SealedContent, Session, VerifiedCertificate, seal,
};
use subrosa_wire::{
    AccountId, Capability, DeviceAddress, EnvelopeId,
    http::Prekeys,
    limits::{HEAD_BYTES, MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES, MAX_SUBMIT_ITEMS},
    link::authority,
    submit::{EnvelopeClass, Submit, SubmitItem},
};
use url::Url;

use super::{
    audience::may_hear_from_us,
    core::{Change, Core, WithoutKeys, address},
    lists::{self, Age},
};
use crate::{
    api::{ApiError, ErrorKind},
    content::{Content, Introduction},
    limits::MAX_BATCH,
    store::{
        self, contacts,
        contacts::ContactRow,
        outbox::{self, OutboxRow},
    },
};

/// Rows that wait for a person and not for a clock look again after a day; what they wait for wakes them at once.
const WAIT_FOR_PERSON_MS: u64 = 24 * 3600 * 1_000;

/// A new device gives its relay keys within moments of being linked. So long its account's messages wait for it, so
/// that it gets them too; after that it holds up nobody.
const KEYS_PATIENCE_MS: u64 = 10 * 1_000;

/// How often a device without keys is asked for meanwhile.
const ASK_KEYS_AGAIN_MS: u64 = 500;

/// And how often after that.
const ASK_KEYS_LATER_MS: u64 = 60 * 1_000;

/// Where and how a receiver is reached.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    /// `None`: the request lane of the own relay.
    pub(crate) capability: Option<Capability>,
}

/// What the outbox must do next for one receiver.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Nothing is due.
    Nothing,
    /// The device list must be fetched first.
    NeedDevices(Route),
    /// Sessions must be started with these devices first.
    NeedBundles(Route, Vec<DeviceAddress>),
    /// Ready to leave.
    Ready(Batch),
}

/// A submission on its way.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) route: Route,
    pub(crate) submit: Submit,
    pub(super) rows: Vec<BatchRow>,
}

/// An outbox row in a batch.
#[derive(Debug)]
pub(super) struct BatchRow {
    pub(super) id: i64,
    /// One for each item, in order.
    pub(super) envelopes: Vec<(DeviceAddress, EnvelopeId)>,
}

/// A receiver with everything that sealing needs.
struct Receiver {
    route: Route,
    list: DeviceList,
    devices: Vec<VerifiedCertificate>,
    contact: Option<ContactRow>,
}

enum Resolved {
    Receiver(Box<Receiver>),
    NeedDevices(Route),
    Wait(String),
    Drop,
}

impl Change<'_> {
    fn resolve_receiver(&mut self, target: &AccountId) -> Result<Resolved, ApiError> {
        if *target == self.own.address.account {
            let devices: Vec<_> = self
                .own
                .list
                .verified_devices()
                .filter(|device| device.address().device != self.own.address.device)
                .collect();
            if devices.is_empty() {
                return Ok(Resolved::Drop);
            }
            return Ok(Resolved::Receiver(Box::new(Receiver {
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
        // Asked again here: whoever was accepted when the intent was made may not be any more.
        let known = contacts::get(self.db, target)?.filter(|contact| may_hear_from_us(contact.state));
        let Some(contact) = known else { return Ok(Resolved::Drop) };
        if let Some(reason) = &contact.held {
            return Ok(Resolved::Wait(format!("sending has stopped: {reason}")));
        }
        let capability = contact.capability();
        let same_relay = authority(&contact.relay) == authority(&self.own.relay);
        if capability.is_none() && (contact.requested || !same_relay) {
            return Ok(Resolved::Wait(format!("waiting for {} to accept your request", contact.name)));
        }
        let route = Route { relay: contact.relay.clone(), pin: contact.pin, capability };
        match lists::age(&contact, self.now_ms) {
            Age::Young => {}
            Age::Ask => return Ok(Resolved::NeedDevices(route)),
            Age::Holds(reason) => return Ok(Resolved::Wait(format!("sending has stopped: {reason}"))),
        }
        match &contact.list {
            Some(list) if !contact.list_stale => Ok(Resolved::Receiver(Box::new(Receiver {
                route,
                list: list.clone(),
                devices: list.verified_devices().collect(),
                contact: Some(contact),
            }))),
            _ => Ok(Resolved::NeedDevices(route)),
        }
    }

    /// Starts a session with a device from the bundle that its relay gave.
    pub(crate) fn start_session(&mut self, device: DeviceAddress, prekeys: &Prekeys) -> Result<(), ApiError> {
        let list = if device.account == self.own.address.account {
            Some(self.own.list.clone())
        } else {
            contacts::get(self.db, &device.account)?.and_then(|contact| contact.list)
        };
        // Removed while its keys were fetched: nobody's fault, and nothing is sealed for it any more.
        let Some(certificate) = list.and_then(|list| list.device(device.device)) else { return Ok(()) };
        let kem_use = if prekeys.kem_last_resort { KemUse::LastResort } else { KemUse::OneTime };
        let bundle = PrekeyBundle::verify(
            &certificate,
            &prekeys.signed_prekey,
            prekeys.one_time_ec.as_deref(),
            &prekeys.kem,
            kem_use,
        )
        .map_err(|error| {
            ApiError::new(ErrorKind::IdentityChanged, format!("the relay gave keys that are not theirs: {error}"))
                .hint("nothing was sent; tell them that their relay is not to be trusted")
        })?;
        let session =
            Session::initiate(&self.own.identity, &self.own_party(), &bundle).map_err(|error| crypto_error(&error))?;
        store::sessions::add(self.db, &device, &session.id(), &session.serialize(), true, self.now_ms)?;
        store::sessions::mark_begun(self.db, &device, &session.id(), self.now_ms)?;
        Ok(())
    }

    /// The content of a row with what is true at the moment of sealing.
    fn finish_content(&self, row: &OutboxRow, contact: Option<&ContactRow>) -> Result<(Vec<u8>, bool), ApiError> {
        let mut content =
            Content::decode(row.content.as_slice()).map_err(|_| store::StoreError::Damaged("outbox row"))?;
        content.list_version = self.own.list.version();
        content.list_hash = self.own.list.hash().to_vec();
        let introduces = contact.is_some_and(|contact| !contact.answered);
        if let Some(contact) = contact.filter(|_| introduces) {
            content.introduction = Some(Introduction {
                handle: self.own.handle.clone(),
                relay: self.own.relay.to_string(),
                pin: self.own.pin.map(|pin| pin.to_vec()).unwrap_or_default(),
                delivery_key: self.own.delivery_key.as_bytes().to_vec(),
                contact_token: contact.link.as_ref().map(|link| link.token.as_bytes().to_vec()).unwrap_or_default(),
                link_proof: contact.link.as_ref().map(|link| link.proof.to_vec()).unwrap_or_default(),
            });
        }
        Ok((content.encode_to_vec(), introduces))
    }

    /// Advances one session and seals the message it makes.
    fn seal_for(
        &mut self,
        device: &VerifiedCertificate,
        session: &Session,
        content: &[u8],
    ) -> Result<([u8; HEAD_BYTES], Vec<u8>), ApiError> {
        let at = address(&device.address());
        let step = session.encrypt(content).map_err(|error| crypto_error(&error))?;
        let (_, ciphertext) =
            step.commit(|state| store::sessions::update(self.db, &at, &session.id(), state, self.now_ms))?;
        let certificate = *self
            .own
            .list
            .device(self.own.address.device)
            .ok_or_else(|| {
                ApiError::new(ErrorKind::Failed, "this device is not on the account's device list any more")
                    .hint("it was removed from the account: link it again")
            })?
            .certificate();
        let sealed = match ciphertext.kind {
            MessageKind::Setup => SealedContent::setup(self.own.record, certificate, ciphertext.message),
            MessageKind::Session => SealedContent::session(self.own.address.account.0, certificate, ciphertext.message),
        };
        let pair_key = self.pair_keys.sending(self.own, device)?;
        let envelope = seal(&[&pair_key], &sealed).map_err(|error| crypto_error(&error))?;
        let head = *envelope.heads.first().ok_or_else(|| ApiError::new(ErrorKind::Failed, "the seal made no head"))?;
        Ok((head, envelope.body))
    }

    /// Seals a row for every device that does not have it yet.
    fn seal_row(&mut self, row: &OutboxRow, receiver: &Receiver) -> Result<Submit, ApiError> {
        let (content, introduces) = self.finish_content(row, receiver.contact.as_ref())?;
        let mut submit = Submit { bodies: Vec::new(), items: Vec::new() };
        for device in &receiver.devices {
            let at = address(&device.address());
            if row.done.contains(&at.device) || row.device.is_some_and(|only| only != at.device) {
                continue;
            }
            let session = store::sessions::current(self.db, &at)?
                .ok_or_else(|| ApiError::new(ErrorKind::Failed, "a session vanished while sealing"))?;
            let (head, body) = self.seal_for(device, &session, &content)?;
            submit.items.push(SubmitItem {
                device: at,
                capability: None,
                class: EnvelopeClass::Durable,
                expiry_s: 0,
                head,
                body_ref: submit.bodies.len(),
                list_version: receiver.list.version(),
            });
            submit.bodies.push(Bytes::from(body));
        }
        outbox::set_sealed(self.db, row.id, &submit.encode(), receiver.list.version(), introduces)?;
        if introduces && let Some(contact) = &receiver.contact {
            // From now on they may have our delivery key, whatever becomes of this submission.
            contacts::set_had_key(self.db, &contact.account)?;
        }
        Ok(submit)
    }

    /// A row's submission: the stored bytes, or new ones.
    fn row_submit(&mut self, row: &OutboxRow, receiver: &Receiver) -> Result<Submit, ApiError> {
        match &row.sealed {
            Some(sealed) if row.sealed_list == Some(receiver.list.version()) => {
                let mut submit = Submit::decode(sealed).map_err(|_| store::StoreError::Damaged("outbox row"))?;
                submit.items.retain(|item| !row.done.contains(&item.device.device));
                Ok(submit)
            }
            _ => self.seal_row(row, receiver),
        }
    }
}

fn crypto_error(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Failed, error.to_string())
}

impl Core {
    /// Takes the oldest due rows of a receiver and makes them ready to leave.
    pub(crate) fn prepare(&mut self, target: AccountId) -> Result<Prepared, ApiError> {
        let without_keys = std::mem::take(&mut self.without_keys);
        let prepared = self.prepare_without(target, &without_keys);
        self.without_keys = without_keys;
        let (prepared, sealed) = prepared?;
        if sealed {
            crash_point(CrashPoint::AfterSeal);
        }
        Ok(prepared)
    }

    /// A device has no prekeys at its relay.
    pub(crate) fn has_no_keys(&mut self, device: DeviceAddress) {
        let now = super::core::now_ms();
        let since_ms = self.without_keys.get(&device).map_or(now, |known| known.since_ms);
        let patient = now.saturating_sub(since_ms) < KEYS_PATIENCE_MS;
        let pause = if patient { ASK_KEYS_AGAIN_MS } else { ASK_KEYS_LATER_MS };
        self.without_keys.retain(|_, known| known.ask_again_ms.saturating_add(ASK_KEYS_LATER_MS) > now);
        self.without_keys.insert(device, WithoutKeys { since_ms, ask_again_ms: now.saturating_add(pause) });
    }

    fn prepare_without(
        &mut self,
        target: AccountId,
        without_keys: &HashMap<DeviceAddress, WithoutKeys>,
    ) -> Result<(Prepared, bool), ApiError> {
        self.change(|change| {
            let rows = outbox::first_of(change.db, &target, change.now_ms, MAX_BATCH)?;
            let Some(first) = rows.first() else { return Ok((Prepared::Nothing, false)) };
            let mut receiver = match change.resolve_receiver(&target)? {
                Resolved::Receiver(receiver) => receiver,
                Resolved::NeedDevices(route) => return Ok((Prepared::NeedDevices(route), false)),
                Resolved::Wait(reason) => {
                    let next_ms = change.now_ms.saturating_add(WAIT_FOR_PERSON_MS);
                    outbox::postpone(change.db, first.id, next_ms, first.attempts, &reason)?;
                    return Ok((Prepared::Nothing, false));
                }
                Resolved::Drop => {
                    change.fail_outbox(&target, "they are no contact of yours")?;
                    change.wake_outbox();
                    return Ok((Prepared::Nothing, false));
                }
            };
            let mut missing = Vec::new();
            let mut reachable = Vec::with_capacity(receiver.devices.len());
            let mut wait_until_ms = None;
            for device in std::mem::take(&mut receiver.devices) {
                let at = address(&device.address());
                let keyless = without_keys.get(&at).filter(|known| known.ask_again_ms > change.now_ms);
                if store::sessions::current(change.db, &at)?.is_some() {
                    reachable.push(device);
                } else if let Some(known) = keyless {
                    if change.now_ms.saturating_sub(known.since_ms) < KEYS_PATIENCE_MS {
                        wait_until_ms = Some(known.ask_again_ms);
                    }
                } else {
                    missing.push(at);
                    reachable.push(device);
                }
            }
            if reachable.is_empty() {
                wait_until_ms = wait_until_ms.or(Some(change.now_ms.saturating_add(ASK_KEYS_LATER_MS)));
            }
            if let Some(until_ms) = wait_until_ms {
                outbox::postpone(
                    change.db,
                    first.id,
                    until_ms,
                    first.attempts,
                    "their relay has no keys of theirs yet",
                )?;
                return Ok((Prepared::Nothing, false));
            }
            receiver.devices = reachable;
            let needs_sealing =
                |row: &OutboxRow| row.sealed.is_none() || row.sealed_list != Some(receiver.list.version());
            if !missing.is_empty() && rows.iter().any(needs_sealing) {
                return Ok((Prepared::NeedBundles(receiver.route, missing), false));
            }
            // One request is all that the lane carries; everything after it waits for the answer.
            let lane = receiver.route.capability.is_none();
            let rows = if lane { &rows[..1] } else { &rows[..] };
            let mut batch =
                Batch { route: receiver.route.clone(), submit: Submit { bodies: vec![], items: vec![] }, rows: vec![] };
            let mut bytes = 0;
            let mut sealed_any = false;
            for row in rows {
                if batch.submit.bodies.len() + receiver.devices.len() > MAX_SUBMIT_BODIES
                    || batch.submit.items.len() + receiver.devices.len() > MAX_SUBMIT_ITEMS
                    || (bytes + largest_row(row, &receiver) > MAX_SUBMIT_BODY_BYTES && !batch.rows.is_empty())
                {
                    break;
                }
                sealed_any |= needs_sealing(row);
                let submit = change.row_submit(row, &receiver)?;
                if submit.items.is_empty() {
                    // Every device that it is for has it, or is gone.
                    outbox::delete(change.db, row.id)?;
                    continue;
                }
                bytes += submit.bodies.iter().map(Bytes::len).sum::<usize>();
                batch.add(row.id, submit, &receiver.route);
            }
            if batch.rows.is_empty() {
                change.wake_outbox();
                return Ok((Prepared::Nothing, false));
            }
            Ok((Prepared::Ready(batch), sealed_any))
        })
    }
}

/// What a row will at most add to a submission.
fn largest_row(row: &OutboxRow, receiver: &Receiver) -> usize {
    // Content, introduction, set-up header and seal; the bucket above it is found by the seal.
    const OVERHEAD: usize = 3 * 1024;
    let content = row.content.len() + OVERHEAD;
    let bucket = subrosa_crypto::BUCKETS.into_iter().find(|bucket| *bucket >= content).unwrap_or(65_536);
    bucket * receiver.devices.len()
}

impl Batch {
    fn add(&mut self, row: i64, submit: Submit, route: &Route) {
        let offset = self.submit.bodies.len();
        let envelopes = submit
            .items
            .iter()
            .filter_map(|item| {
                let body = submit.bodies.get(item.body_ref)?;
                Some((item.device, EnvelopeId::of(&item.device, &item.head, body)))
            })
            .collect();
        self.submit.bodies.extend(submit.bodies);
        self.submit.items.extend(submit.items.into_iter().map(|mut item| {
            item.body_ref += offset;
            item.capability = route.capability.clone();
            item
        }));
        self.rows.push(BatchRow { id: row, envelopes });
    }
}
