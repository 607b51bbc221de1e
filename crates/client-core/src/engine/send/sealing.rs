//! From contents to sealed envelopes. What a relay answers is the subject of `results.rs`.
//!
//! [`Core::prepare`] takes the oldest deliveries of a lane that may go. The ratchets are advanced and the sealed bytes stored in one
//! transaction; only then does a [`Batch`] exist that can leave. Retries send the stored bytes. Bytes are made anew only for a
//! newer device list. A few are sealed where they are taken; many are sealed beside the core's thread ([`Sealing`]), which goes on
//! meanwhile.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use subrosa_crash_point::{CrashPoint, crash_point};
use subrosa_crypto::{KemUse, PrekeyBundle, Session};
use subrosa_wire::{
    AccountId, DeviceAddress, EnvelopeId,
    http::Prekeys,
    limits::{HEAD_BYTES, MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES, MAX_SUBMIT_ITEMS},
    submit::{EnvelopeClass, Submit, SubmitItem},
};

use crate::{
    api::{ApiError, ErrorKind},
    content::{Content, Introduction, Withholds},
    engine::{
        core::{Change, Core, address},
        send::{
            routes::{Receiver, Resolved, Route},
            sealed::{SealAs, SealFor, Sealed, Sealing, crypto_error},
        },
    },
    limits::{MAX_BATCH, RETRY_FIRST, millis},
    store::{
        self,
        contacts::{self, ContactRow},
        deliveries::{self, ALL_DEVICES, DeliveryRow, Lane},
        outbox::{self, ContentRow},
    },
};

/// Deliveries that wait for a person and not for a clock look again after a day; what they wait for wakes them at once.
const WAIT_FOR_PERSON_MS: u64 = 24 * 3600 * 1_000;

/// Deliveries looked at together: as many contents as a batch has, for a person with a handful of devices, or one for a large group.
const MAX_LOOKED_AT: usize = 8 * MAX_BATCH;

/// What a lane needs next.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Nothing is due.
    Nothing,
    /// An account's device list must be fetched first.
    NeedDevices(AccountId, Route),
    /// Sessions must be started with these devices of one account first.
    NeedBundles(Route, Vec<DeviceAddress>),
    /// So much is to be sealed that the core must not wait for it.
    Seal(Box<Sealing>),
    /// Ready to leave.
    Ready(Batch),
}

/// A submission on its way.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) route: Route,
    pub(crate) submit: Submit,
    /// One for each item, in order.
    pub(in crate::engine) rows: Vec<BatchRow>,
}

/// A delivery in a batch.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct BatchRow {
    pub(in crate::engine) id: i64,
    pub(in crate::engine) device: DeviceAddress,
    pub(in crate::engine) envelope: EnvelopeId,
}

impl Change<'_> {
    /// Starts a session with a device from the bundle that its relay gave.
    pub(crate) fn start_session(&mut self, device: DeviceAddress, prekeys: &Prekeys) -> Result<(), ApiError> {
        let list = if device.account == self.own.address.account {
            Some(self.own.list.clone())
        } else {
            store::peers::get(self.db, &device.account)?.and_then(|peer| peer.list)
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

    /// A content with what is true at the moment of sealing.
    fn finish_content(
        &self,
        row: &ContentRow,
        contact: Option<&ContactRow>,
        withholds: Withholds,
        again: bool,
    ) -> Result<(Vec<u8>, bool), ApiError> {
        let mut bytes = row.content.clone();
        let introduces = contact.is_some_and(|contact| !contact.given.answered);
        let introduction = contact.filter(|_| introduces).map(|contact| {
            let link = contact.reach.link.as_ref();
            Introduction {
                handle: self.own.handle.clone(),
                relay: self.own.relay.to_string(),
                pin: self.own.pin.map(|pin| pin.to_vec()).unwrap_or_default(),
                delivery_key: self.own.delivery_key.as_bytes().to_vec(),
                member_key: self.own.member_key.as_bytes().to_vec(),
                contact_token: link.map(|link| link.token.as_bytes().to_vec()).unwrap_or_default(),
                link_proof: link.map(|link| link.proof.to_vec()).unwrap_or_default(),
            }
        });
        // Fields that stand twice count by the last, and those that are not there are added: what the content says stays as it
        // is, also what only a newer program could read.
        let moment = Content {
            list_version: self.own.list.version(),
            list_hash: self.own.list.hash().to_vec(),
            withholds: withholds.bits(),
            sent_again: again,
            introduction,
            ..Content::default()
        };
        bytes.extend_from_slice(&moment.encode_to_vec());
        Ok((bytes, introduces))
    }

    /// What stands for all devices of an account becomes a delivery for each, and what waits follows its device list: a new device
    /// gets it, too, and one that is gone does not. All that waits in the lane at once, also what may not go yet: what is written
    /// later must stand behind it in each device's queue.
    fn follow_list(&self, lane: &Lane, receiver: &Receiver) -> Result<(), ApiError> {
        let listed: Vec<u32> = receiver.devices.iter().map(|device| device.address().device).collect();
        let version = receiver.list.version();
        let mut widened = Vec::new();
        for row in &deliveries::behind(self.db, lane, &receiver.account, version)? {
            if row.to.device == ALL_DEVICES {
                deliveries::spread(self.db, row, &listed, version)?;
                continue;
            }
            if row.wide && !widened.contains(&row.outbox) {
                widened.push(row.outbox);
                let reached = deliveries::devices_of(self.db, row.outbox, &receiver.account)?;
                for device in listed.iter().filter(|device| !reached.contains(device)) {
                    deliveries::add_device(self.db, row, *device, version)?;
                }
            }
            if listed.contains(&row.to.device) {
                deliveries::relist(self.db, row.id, version)?;
            } else {
                deliveries::delete(self.db, row.id)?;
                outbox::tidy(self.db, row.outbox)?;
            }
        }
        Ok(())
    }

    /// The deliveries of a lane that may go now, each device's in its order, after everything that had to be decided for it.
    fn look(&mut self, lane: &Lane, without_keys: &HashMap<DeviceAddress, u64>) -> Result<Looked, ApiError> {
        let mut rows = deliveries::due(self.db, lane, self.now_ms, MAX_LOOKED_AT)?;
        let mut receivers: Vec<Receiver> = Vec::new();
        let mut seen: Vec<AccountId> = Vec::new();
        for account in rows.iter().map(|row| row.to.account) {
            if seen.contains(&account) {
                continue;
            }
            seen.push(account);
            match self.resolve_receiver(&lane.conversation, &account)? {
                Resolved::Receiver(receiver) => {
                    self.follow_list(lane, &receiver)?;
                    receivers.push(*receiver);
                }
                Resolved::NeedDevices(route) => {
                    // What came while a try rests asks no relay before its time.
                    let fresh = rows.iter().filter(|row| row.to.account == account);
                    let only_new = fresh.clone().all(|row| row.to.device == ALL_DEVICES);
                    match deliveries::next_ask(self.db, lane, &account, self.now_ms)?.filter(|_| only_new) {
                        Some(next_ms) => self.rest(fresh, next_ms, "waits for the next try")?,
                        None => return Ok(Looked::Needs(Box::new(Prepared::NeedDevices(account, route)))),
                    }
                }
                Resolved::Wait(reason) => {
                    let next_ms = self.now_ms.saturating_add(WAIT_FOR_PERSON_MS);
                    self.rest(rows.iter().filter(|row| row.to.account == account), next_ms, &reason)?;
                }
                Resolved::Drop => self.fail_outbox(&account, "they are no contact of yours")?,
            }
        }
        if receivers.is_empty() {
            return Ok(Looked::Nothing);
        }
        rows = deliveries::due(self.db, lane, self.now_ms, MAX_LOOKED_AT)?;
        rows.retain(|row| receivers.iter().any(|receiver| receiver.has(&row.to)));
        self.need_sessions(receivers, rows, without_keys)
    }

    /// Which devices must be asked for keys first.
    fn need_sessions(
        &mut self,
        receivers: Vec<Receiver>,
        mut rows: Vec<DeliveryRow>,
        without_keys: &HashMap<DeviceAddress, u64>,
    ) -> Result<Looked, ApiError> {
        let mut keyless = Vec::new();
        for receiver in &receivers {
            let mut missing = Vec::new();
            for row in rows.iter().filter(|row| row.to.account == receiver.account) {
                let known = missing.contains(&row.to) || keyless.contains(&row.to);
                if known || row.sealed || store::sessions::has_current(self.db, &row.to)? {
                    continue;
                }
                match without_keys.get(&row.to).filter(|ask_again_ms| **ask_again_ms > self.now_ms) {
                    Some(ask_again_ms) => {
                        self.rest(std::iter::once(row), *ask_again_ms, "their relay has no keys of theirs yet")?;
                        keyless.push(row.to);
                    }
                    None => missing.push(row.to),
                }
            }
            if !missing.is_empty() {
                return Ok(Looked::Needs(Box::new(Prepared::NeedBundles(receiver.route.clone(), missing))));
            }
        }
        rows.retain(|row| !keyless.contains(&row.to));
        Ok(if rows.is_empty() { Looked::Nothing } else { Looked::Rows(receivers, rows) })
    }

    /// Deliveries rest until a time; their messages say why.
    fn rest<'r>(
        &mut self,
        rows: impl Iterator<Item = &'r DeliveryRow>,
        next_ms: u64,
        reason: &str,
    ) -> Result<(), ApiError> {
        for row in rows {
            deliveries::postpone(self.db, row.id, next_ms, row.attempts, reason)?;
            self.tell_why(row, reason, false)?;
        }
        Ok(())
    }

    /// The message of a delivery says why it waits.
    pub(in crate::engine) fn tell_why(
        &mut self,
        row: &DeliveryRow,
        reason: &str,
        unreached: bool,
    ) -> Result<(), ApiError> {
        if row.moves
            && let Some(message) = outbox::message_of(self.db, row.outbox)?
        {
            self.waits(&message, &row.to.account, reason, unreached)?;
        }
        Ok(())
    }

    /// Takes what is to be sealed, with the sessions as they are.
    fn take_unsealed(
        &mut self,
        receivers: &[Receiver],
        rows: &[DeliveryRow],
        withholds: Withholds,
    ) -> Result<Sealing, ApiError> {
        let mut sealing = Sealing { own: SealAs::new(self.own)?, jobs: Vec::new() };
        for row in rows {
            let Some(receiver) = receivers.iter().find(|receiver| receiver.has(&row.to)) else { continue };
            if row.sealed {
                continue;
            }
            let Some(content) = outbox::get(self.db, row.outbox)? else { continue };
            let (content, introduces) =
                self.finish_content(&content, receiver.contact.as_ref(), withholds, row.again)?;
            let of_device = |job: &&mut SealFor| address(&job.device.address()) == row.to;
            if let Some(job) = sealing.jobs.iter_mut().find(of_device) {
                job.contents.push((row.id, content, introduces));
                continue;
            }
            let (Some(session), Some(device)) =
                (store::sessions::current(self.db, &row.to)?, receiver.device(&row.to).cloned())
            else {
                continue;
            };
            let pair_key = self.pair_keys.sending(self.own, &device)?;
            let contents = vec![(row.id, content, introduces)];
            sealing.jobs.push(SealFor { device, session, pair_key, contents });
        }
        Ok(sealing)
    }

    /// Stores sealed bytes with the ratchets they were made by. Where a ratchet has gone on meanwhile, they are worth nothing.
    fn put_sealed(&mut self, sealed: &Sealed) -> Result<(), ApiError> {
        for one in &sealed.0 {
            let current = store::sessions::current(self.db, &one.device)?;
            if current.is_none_or(|now| now.id() != one.session || now.serialize().as_bytes() != one.before.as_bytes())
            {
                continue;
            }
            store::sessions::update(self.db, &one.device, &one.session, &one.after, self.now_ms)?;
            for (delivery, head, body, introduces) in &one.envelopes {
                deliveries::set_sealed(self.db, *delivery, head, body, *introduces)?;
                if *introduces && one.device.account != self.own.address.account {
                    // From now on they may have our delivery key, whatever becomes of these bytes.
                    contacts::set_had_key(self.db, &one.device.account)?;
                }
            }
        }
        Ok(())
    }

    /// A submission of what is sealed, as large as one may be.
    fn batch(&self, receivers: &[Receiver], rows: &[DeliveryRow]) -> Result<Option<Batch>, ApiError> {
        let Some(first) = rows.first().and_then(|row| receivers.iter().find(|receiver| receiver.has(&row.to))) else {
            return Ok(None);
        };
        let mut batch = Batch {
            route: first.route.clone(),
            submit: Submit { bodies: Vec::new(), items: Vec::new() },
            rows: Vec::new(),
        };
        let mut bytes = 0;
        for row in rows {
            let Some(receiver) = receivers.iter().find(|receiver| receiver.has(&row.to)) else { continue };
            // Who can be reached only by a request gets one of their own.
            if first.route.capability.is_some() && receiver.route.capability.is_none() {
                continue;
            }
            let (Some((head, body)), Some(content)) =
                (deliveries::sealed(self.db, row.id)?, outbox::get(self.db, row.outbox)?)
            else {
                // What could not be sealed holds up what stands behind it.
                break;
            };
            if content.class == EnvelopeClass::Ephemeral && content.expires_ms <= self.now_ms {
                deliveries::delete(self.db, row.id)?;
                outbox::tidy(self.db, row.outbox)?;
                continue;
            }
            let full = batch.submit.bodies.len() >= MAX_SUBMIT_BODIES
                || batch.submit.items.len() >= MAX_SUBMIT_ITEMS
                || (bytes + body.len() > MAX_SUBMIT_BODY_BYTES && !batch.rows.is_empty());
            if full {
                break;
            }
            bytes += body.len();
            let head: [u8; HEAD_BYTES] = store::array(&head, "delivery")?;
            let envelope = EnvelopeId::of(&row.to, &head, &body);
            batch.rows.push(BatchRow { id: row.id, device: row.to, envelope });
            batch.submit.items.push(SubmitItem {
                device: row.to,
                capability: receiver.route.capability.clone(),
                class: content.class,
                expiry_s: 0,
                head,
                body_ref: batch.submit.bodies.len(),
                list_version: receiver.list.version(),
            });
            batch.submit.bodies.push(Bytes::from(body));
        }
        Ok(Some(batch).filter(|batch| !batch.rows.is_empty()))
    }
}

/// What [`Change::look`] found.
enum Looked {
    Nothing,
    Needs(Box<Prepared>),
    Rows(Vec<Receiver>, Vec<DeliveryRow>),
}

impl Core {
    /// Takes the oldest deliveries of a lane that may go and makes them ready to leave.
    pub(crate) fn prepare(&mut self, lane: &Lane) -> Result<Prepared, ApiError> {
        if self.stands_still() {
            return Ok(Prepared::Nothing);
        }
        let without_keys = self.without_keys.iter().map(|(device, known)| (*device, known.ask_again_ms)).collect();
        let (withholds, inline) = (self.withholds(), self.inline_seals);
        let (prepared, sealed) = self.change(|change| {
            let (receivers, mut rows) = match change.look(lane, &without_keys)? {
                Looked::Nothing => return Ok((Prepared::Nothing, false)),
                Looked::Needs(what) => return Ok((*what, false)),
                Looked::Rows(receivers, rows) => (receivers, rows),
            };
            rows.truncate(MAX_BATCH.max(receivers.iter().map(|receiver| receiver.devices.len()).sum()));
            if let Some(first) = rows.first().cloned()
                && receivers.iter().any(|one| one.has(&first.to) && one.route.capability.is_none())
            {
                // One request is all that the lane carries; everything after it waits for the answer.
                rows.retain(|row| (row.outbox, row.to.account) == (first.outbox, first.to.account));
            }
            let sealing = change.take_unsealed(&receivers, &rows, withholds)?;
            if sealing.envelopes() > inline {
                return Ok((Prepared::Seal(Box::new(sealing)), false));
            }
            let any = !sealing.jobs.is_empty();
            change.put_sealed(&sealing.run()?)?;
            match change.batch(&receivers, &rows)? {
                Some(batch) => Ok((Prepared::Ready(batch), any)),
                None => {
                    // Not again at once: it would be a loop.
                    let next_ms = change.now_ms.saturating_add(millis(RETRY_FIRST));
                    change.rest(rows.iter().take(1), next_ms, "it could not be sealed")?;
                    Ok((Prepared::Nothing, any))
                }
            }
        })?;
        if sealed {
            crash_point(CrashPoint::AfterSeal);
        }
        Ok(prepared)
    }

    /// Stores what was sealed beside the core.
    pub(crate) fn keep_sealed(&mut self, sealed: &Sealed) -> Result<(), ApiError> {
        self.change(|change| change.put_sealed(sealed))?;
        crash_point(CrashPoint::AfterSeal);
        Ok(())
    }
}
