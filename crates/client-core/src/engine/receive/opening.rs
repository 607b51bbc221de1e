//! Receiving: a batch of pushes becomes one transaction.
//!
//! Each envelope ends as stored, applied, quarantined, duplicate or junk (docs/protocol.md, "What a client does with them");
//! all five are committed with the new `Seq`, so that nothing unreadable blocks the window. Ratchet state, message and the
//! intent to send a receipt are one transaction; the acknowledgement comes after it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use subrosa_crypto::{
    KemPrekeyPair, KemUse, MessageKind, OneTimePrekeyPair, OpenedSeal, Plaintext, ResponderPrekeys, SealedContent,
    Session, SetupHeader, SignedPrekeyPair, VerifiedCertificate, open,
};
use subrosa_wire::{AccountId, DeviceAddress, EnvelopeId, Seq, mailbox::Push, submit::EnvelopeClass};

use crate::{
    api::{ApiError, ContactState, ErrorKind},
    content,
    engine::{
        core::{
            Change, Core, Wakes, address,
            arrival::{Arrival, Sender},
        },
        people::lists::may_ask,
    },
    store::{
        self, contacts,
        envelopes::{self, Outcome},
        prekeys::{self, PrekeyKind},
        sessions,
    },
};

/// What a batch of pushes brought.
pub(crate) struct ReceivedBatch {
    /// Acknowledge up to here.
    pub(crate) acked: Option<Seq>,
    /// To be published after the acknowledgement.
    pub(crate) wakes: Wakes,
    /// Contacts that announced a newer device list.
    pub(crate) stale_contacts: Vec<AccountId>,
}

/// Why an envelope could not be decrypted.
enum Undecryptable {
    /// Nothing anybody could mend.
    Junk,
    /// From a verified device, but no session of ours fits.
    NoSession(&'static str),
}

impl Core {
    /// Commits a batch of pushes. What cannot be processed is set aside: nothing stops the mailbox behind it.
    ///
    /// # Errors
    /// The store cannot be written: the batch is to be handed in again.
    pub(crate) fn receive(&mut self, pushes: &[Push]) -> Result<ReceivedBatch, ApiError> {
        match self.receive_all(pushes, Care::Hope) {
            Err(error) if error.code != ErrorKind::Storage => {
                tracing::error!(%error, "a batch of pushes failed; each is taken by itself");
                self.receive_all(pushes, Care::EachByItself)
            }
            received => received,
        }
    }

    fn receive_all(&mut self, pushes: &[Push], care: Care) -> Result<ReceivedBatch, ApiError> {
        let ((acked, stale_contacts), wakes) = self.change_quietly(|change| {
            let mut stale = Vec::new();
            for push in pushes {
                let id = EnvelopeId::of(&change.own.address, &push.head, &push.body);
                let arrival = Arrival::of(push);
                // No content of today may be ephemeral: it could be asked whether we are here without leaving a trace. Nor is
                // it remembered: what is not stored is not repeated.
                if arrival.class == EnvelopeClass::Ephemeral {
                    continue;
                }
                let outcome = if envelopes::known(change.db, &id)? {
                    Outcome::Duplicate
                } else {
                    let envelope = (&push.head, &push.body);
                    match care {
                        Care::Hope => caught(|| change.envelope(&id, envelope, &arrival, &mut stale))?,
                        Care::EachByItself => change.envelope_by_itself(&id, envelope, &arrival, &mut stale)?,
                    }
                };
                // Counted, never answered: telling a sender why would help an attacker.
                tracing::debug!(?outcome, way = ?arrival.way, class = ?arrival.class, "envelope");
                if outcome != Outcome::Duplicate {
                    envelopes::put(change.db, &id, outcome, change.now_ms)?;
                }
            }
            // One request for the whole batch.
            for device in store::retries::devices_to_ask(change.db)? {
                change.ask_again(&device)?;
            }
            let acked = pushes.iter().map(|push| push.seq).max().filter(|seq| *seq > 0);
            if let Some(acked) = acked {
                store::account::set_acked(change.db, acked)?;
            }
            Ok((acked, stale))
        })?;
        Ok(ReceivedBatch { acked, wakes, stale_contacts })
    }
}

/// How a batch is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// As a whole: nearly always nothing is wrong with it.
    Hope,
    /// What fails is set aside.
    EachByItself,
}

/// A fault of ours that nobody expected is one like any other: it stops what was to be done, and nothing behind it.
fn caught<R>(work: impl FnOnce() -> Result<R, ApiError>) -> Result<R, ApiError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(ApiError::new(ErrorKind::Failed, format!("a fault of subrosa: {text}")))
    })
}

impl Change<'_> {
    /// As [`Change::envelope`]; what fails leaves nothing behind, and is set aside with its cause.
    fn envelope_by_itself(
        &mut self,
        id: &EnvelopeId,
        envelope: (&Bytes, &Bytes),
        arrival: &Arrival,
        stale: &mut Vec<AccountId>,
    ) -> Result<Outcome, ApiError> {
        match self.by_itself(|change| change.envelope(id, envelope, arrival, stale))? {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                tracing::error!(%error, "an envelope cannot be processed; it is set aside");
                self.set_failed_aside(id, envelope, &error.message)
            }
        }
    }

    /// Does something that may fail and leave nothing behind then, within a larger change.
    ///
    /// # Errors
    /// The disk: the same again once it is well. What else goes wrong is the result.
    pub(in crate::engine) fn by_itself<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, ApiError>,
    ) -> Result<Result<R, ApiError>, ApiError> {
        let run = |db: &store::Db, statements: &str| db.execute_batch(statements).map_err(store::StoreError::from);
        run(self.db, "SAVEPOINT by_itself")?;
        match caught(|| work(self)) {
            Err(error) if error.code == ErrorKind::Storage => Err(error),
            Err(error) => {
                run(self.db, "ROLLBACK TO by_itself; RELEASE by_itself")?;
                Ok(Err(error))
            }
            Ok(done) => {
                run(self.db, "RELEASE by_itself")?;
                Ok(Ok(done))
            }
        }
    }

    /// Whoever sent it, if that can be said, is asked for it again in a new session; the person is told.
    fn set_failed_aside(
        &mut self,
        id: &EnvelopeId,
        (head, body): (&Bytes, &Bytes),
        cause: &str,
    ) -> Result<Outcome, ApiError> {
        let opened = open(&self.own.identity, &self.own_party(), head, body).ok();
        let sender = caught(|| opened.map_or(Ok(None), |opened| self.identify(opened))).ok().flatten();
        let Some((sender, ..)) = sender else {
            let nobody = DeviceAddress { account: AccountId([0; 32]), device: 0 };
            envelopes::quarantine(self.db, id, &nobody, (head, body), cause, self.now_ms)?;
            store::retries::ask_nobody(self.db, id)?;
            self.notice(
                "set_aside",
                format!("something that came could not be processed and was set aside: {cause}"),
                None,
            )?;
            return Ok(Outcome::Quarantined);
        };
        let device = sender.device;
        let outcome = self.set_aside(id, &sender, (head, body), cause)?;
        if outcome == Outcome::Quarantined {
            let text =
                format!("something that came could not be processed; it was set aside and is asked for again: {cause}");
            self.notice_from("set_aside", text, &device.account)?;
        }
        Ok(outcome)
    }

    fn envelope(
        &mut self,
        id: &EnvelopeId,
        (head, body): (&Bytes, &Bytes),
        arrival: &Arrival,
        stale: &mut Vec<AccountId>,
    ) -> Result<Outcome, ApiError> {
        let Ok(opened) = open(&self.own.identity, &self.own_party(), head, body) else { return Ok(Outcome::Junk) };
        let Some((mut sender, certificate, sealed)) = self.identify(opened)? else { return Ok(Outcome::Junk) };
        let plaintext = match self.decrypt(&sender, &certificate, &sealed)? {
            Ok(plaintext) => plaintext,
            Err(Undecryptable::Junk) => return Ok(Outcome::Junk),
            Err(Undecryptable::NoSession(reason)) => {
                return self.set_aside(id, &sender, (head, body), reason);
            }
        };
        // The ratchet message verified with associated data that binds both accounts, devices and identities: what
        // follows was said by the sender in this session.
        let Ok(content) = content::decode(plaintext.as_bytes()) else { return Ok(Outcome::Junk) };
        let peer = sender.contact.as_mut().map(|contact| &mut contact.peer).or(sender.fellow.as_mut());
        if let Some(peer) = peer {
            self.announced(peer, content.list_version, content.list_hash)?;
            // Nothing makes us call at an address that a stranger chose, and nobody's words make us call again and again.
            if peer.list_stale && may_ask(peer, self.now_ms) && self.may_leave_for(&peer.account)? {
                stale.push(peer.account);
            }
        }
        self.apply_in_order(sender, content, plaintext.as_bytes(), arrival)
    }

    /// Who sealed this: record, certificate, what we know, and the seal's own tag. `None` is junk, and nothing has happened
    /// for it: certificates are public, so without the tag anybody could make us act in somebody else's name.
    fn identify(
        &mut self,
        opened: OpenedSeal,
    ) -> Result<Option<(Sender, VerifiedCertificate, SealedContent)>, ApiError> {
        let device = address(&opened.claimed_sender());
        if device == self.own.address {
            return Ok(None);
        }
        let own = device.account == self.own.address.account;
        let contact = if own { None } else { contacts::get(self.db, &device.account)? };
        if contact.as_ref().is_some_and(|contact| contact.state == ContactState::Blocked) {
            return Ok(None);
        }
        let fellow = if own { None } else { self.fellow(&device.account, contact.as_ref())? };
        let peer = contact.as_ref().map(|contact| &contact.peer).or(fellow.as_ref());
        let record = match (peer, own) {
            (_, true) => self.own.record,
            (Some(peer), _) => peer.record,
            // The record's id is the sender's: a record certifies itself.
            (None, _) => match opened.claimed_record() {
                Some(record) => *record,
                None => return Ok(None),
            },
        };
        let Ok(certificate) = opened.claimed_certificate().verify(&record) else { return Ok(None) };
        let known = if own { Some(&self.own.list) } else { peer.and_then(|peer| peer.list.as_ref()) };
        if let Some(list) = known {
            let listed = list.device(device.device).is_some_and(|listed| listed.identity() == certificate.identity());
            // A certificate older than the list that lacks it belongs to a removed device.
            if !listed && certificate.certificate().list_version() <= list.version() {
                return Ok(None);
            }
        }
        let Some(pair_key) = self.pair_keys.receiving(self.own, &certificate) else { return Ok(None) };
        let Ok(sealed) = opened.verify(&pair_key) else { return Ok(None) };
        let sets_up = sealed.kind() == MessageKind::Setup;
        Ok(Some((Sender { device, record, contact, fellow, own, sets_up }, certificate, sealed)))
    }

    fn decrypt(
        &self,
        sender: &Sender,
        certificate: &VerifiedCertificate,
        sealed: &SealedContent,
    ) -> Result<Result<Plaintext, Undecryptable>, ApiError> {
        match sealed.kind() {
            MessageKind::Session => self.decrypt_in_any(&sender.device, sealed.message()),
            MessageKind::Setup => self.decrypt_setup(&sender.device, certificate, sealed.message()),
            // There are no groups here yet: what nobody can have meant for us.
            MessageKind::Group => Ok(Err(Undecryptable::Junk)),
        }
    }

    /// Tries the sessions with a device; the first that verifies is it.
    fn decrypt_in_any(
        &self,
        device: &DeviceAddress,
        message: &[u8],
    ) -> Result<Result<Plaintext, Undecryptable>, ApiError> {
        for row in sessions::with(self.db, device)? {
            let Ok(step) = row.session.decrypt(MessageKind::Session, message) else { continue };
            let id = row.session.id();
            // A session that was archived stays so, even if it still decrypts: its sending chain may be an old copy.
            let (_, plaintext) = step.commit(|state| sessions::received(self.db, device, &id, state, self.now_ms))?;
            return Ok(Ok(plaintext));
        }
        Ok(Err(Undecryptable::NoSession("no session decrypts it")))
    }

    /// A message with a set-up header: of a session we know, or of a new one.
    fn decrypt_setup(
        &self,
        device: &DeviceAddress,
        certificate: &VerifiedCertificate,
        message: &[u8],
    ) -> Result<Result<Plaintext, Undecryptable>, ApiError> {
        let Ok(header) = SetupHeader::peek(message) else { return Ok(Err(Undecryptable::Junk)) };
        let id = header.session_id();
        if sessions::ids(self.db, device)?.contains(&id) {
            for row in sessions::with(self.db, device)?.into_iter().filter(|row| row.session.id() == id) {
                let Ok(step) = row.session.decrypt(MessageKind::Setup, message) else { continue };
                let (_, plaintext) = step.commit(|state| sessions::update(self.db, device, &id, state, self.now_ms))?;
                return Ok(Ok(plaintext));
            }
            return Ok(Err(Undecryptable::Junk));
        }
        if sessions::base_key_seen(self.db, &id)? {
            return Ok(Err(Undecryptable::Junk));
        }
        let Some(keys) = self.prekeys_for(&header)? else {
            return Ok(Err(Undecryptable::NoSession("it was made for prekeys that are gone")));
        };
        let prekeys = ResponderPrekeys { signed: &keys.signed, one_time: keys.one_time.as_ref(), kem: &keys.kem };
        let Ok(step) = Session::accept(&self.own.identity, &self.own_party(), certificate, &prekeys, message) else {
            // Prekey ids can repeat after a store was restored from a copy: other keys of the same names.
            return Ok(Err(Undecryptable::NoSession("the prekeys it was made for are not those kept here")));
        };
        // Both started at once: the smaller id goes on. An answered session of ours gives way: theirs is newer.
        let current = match sessions::current(self.db, device)? {
            Some(ours) if ours.is_unanswered() => id < ours.id(),
            Some(_) => {
                // They lost the session we had. What is sealed in it and not yet accepted would be lost on them.
                store::deliveries::unseal_all(self.db, Some(&device.account))?;
                true
            }
            None => true,
        };
        let (_, plaintext) = step.commit(|state| sessions::add(self.db, device, &id, state, current, self.now_ms))?;
        sessions::remember_base_key(self.db, &id, self.now_ms)?;
        if let Some(one_time) = header.one_time_prekey_id() {
            prekeys::delete(self.db, PrekeyKind::OneTimeEc, one_time)?;
        }
        if header.kem_use() == KemUse::OneTime {
            prekeys::delete(self.db, PrekeyKind::OneTimeKem, header.kem_prekey_id())?;
        }
        Ok(Ok(plaintext))
    }

    fn prekeys_for(&self, header: &SetupHeader) -> Result<Option<SetupKeys>, ApiError> {
        let damaged = |_| store::StoreError::Damaged("prekey");
        let Some(signed) = prekeys::get(self.db, PrekeyKind::Signed, header.signed_prekey_id())? else {
            return Ok(None);
        };
        let one_time = match header.one_time_prekey_id() {
            None => None,
            Some(id) => match prekeys::get(self.db, PrekeyKind::OneTimeEc, id)? {
                None => return Ok(None),
                Some(secret) => Some(OneTimePrekeyPair::from_secret_bytes(&secret).map_err(damaged)?),
            },
        };
        let kind = match header.kem_use() {
            KemUse::OneTime => PrekeyKind::OneTimeKem,
            KemUse::LastResort => PrekeyKind::LastResortKem,
        };
        let Some(kem) = prekeys::get(self.db, kind, header.kem_prekey_id())? else { return Ok(None) };
        Ok(Some(SetupKeys {
            signed: SignedPrekeyPair::from_secret_bytes(&signed).map_err(damaged)?,
            one_time,
            kem: KemPrekeyPair::from_secret_bytes(&kem).map_err(damaged)?,
        }))
    }
}

/// The secrets a set-up header asks for.
struct SetupKeys {
    signed: SignedPrekeyPair,
    one_time: Option<OneTimePrekeyPair>,
    kem: KemPrekeyPair,
}
