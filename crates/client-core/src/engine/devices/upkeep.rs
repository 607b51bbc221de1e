//! What the own relay must know of us: prekeys, lists, keys, links. When they grow old is in `ageing.rs`.

use bytes::Bytes;
use subrosa_crypto::{KemPrekeyPair, KemUse, OneTimePrekeyPair, RandomnessError, SignedPrekeyPair};
use subrosa_wire::{
    ContactToken, LinkSecret,
    limits::{IDLE_DAYS, LOW_ONE_TIME_EC, LOW_ONE_TIME_KEM, MAX_EXPIRY, MAX_ONE_TIME_EC, MAX_ONE_TIME_KEM},
    mailbox::{MailboxClientFrame, MailboxRequest, PrekeyCount, PrekeyUpload, TokenUses},
};
use zeroize::Zeroizing;

use crate::{
    api::{ApiError, ErrorKind},
    engine::{
        core::{Change, Core, ids::random_id},
        people::introductions::link_token,
    },
    limits::{
        DAY_MS, LINK_TTL_S, MAX_CLOCK_CORRECTION, MAX_ONE_TIME_KEPT, MAX_ONE_TIME_PER_DAY, MAX_OPEN_LINKS,
        MAX_SIGNED_PER_DAY, millis,
    },
    net::Ready,
    store::{
        self,
        prekeys::{self, PrekeyKind},
        restores::Stage,
        sessions,
    },
};

fn no_randomness(error: RandomnessError) -> ApiError {
    ApiError::new(ErrorKind::Failed, error.to_string())
}

/// How many keys of each kind to make.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Refill {
    pub(crate) one_time_ec: usize,
    pub(crate) one_time_kem: usize,
    /// Signed prekey and last-resort KEM key.
    pub(crate) signed: bool,
    /// The relay drops its one-time stock first.
    pub(crate) replace: bool,
}

impl Refill {
    const fn is_nothing(&self) -> bool {
        self.one_time_ec == 0 && self.one_time_kem == 0 && !self.signed && !self.replace
    }

    /// Everything anew.
    pub(crate) const ALL: Self =
        Self { one_time_ec: MAX_ONE_TIME_EC, one_time_kem: MAX_ONE_TIME_KEM, signed: true, replace: true };
}

impl Change<'_> {
    /// What may be made of this today. A relay that says again and again that its stock is gone, or that its life began
    /// anew, makes us neither work nor keep more than this.
    fn allowed(&self, wanted: Refill) -> Result<Refill, ApiError> {
        let day = self.now_ms / DAY_MS;
        let mut made = store::account::prekeys_made(self.db, day)?;
        let room = |made: u32, kind: PrekeyKind| -> Result<usize, ApiError> {
            let today = usize::try_from(MAX_ONE_TIME_PER_DAY.saturating_sub(made)).unwrap_or(0);
            Ok(today.min(MAX_ONE_TIME_KEPT.saturating_sub(prekeys::count(self.db, kind)?)))
        };
        let allowed = Refill {
            one_time_ec: wanted.one_time_ec.min(room(made.one_time_ec, PrekeyKind::OneTimeEc)?),
            one_time_kem: wanted.one_time_kem.min(room(made.one_time_kem, PrekeyKind::OneTimeKem)?),
            signed: wanted.signed && made.signed < MAX_SIGNED_PER_DAY,
            replace: wanted.replace,
        };
        made.one_time_ec = made.one_time_ec.saturating_add(u32::try_from(allowed.one_time_ec).unwrap_or(u32::MAX));
        made.one_time_kem = made.one_time_kem.saturating_add(u32::try_from(allowed.one_time_kem).unwrap_or(u32::MAX));
        made.signed = made.signed.saturating_add(u32::from(allowed.signed));
        store::account::set_prekeys_made(self.db, day, made)?;
        Ok(allowed)
    }

    /// Makes prekeys, keeps their secrets and queues their upload, all in this transaction. Fewer than wanted when there
    /// were many today.
    pub(crate) fn make_prekeys(&mut self, wanted: Refill) -> Result<(), ApiError> {
        // Asked at each connection, and nearly always for nothing: that must not cost a synced write.
        if wanted.is_nothing() {
            return Ok(());
        }
        let refill = self.allowed(wanted)?;
        let count = refill.one_time_ec + refill.one_time_kem + if refill.signed { 2 } else { 0 };
        if count == 0 && !refill.replace {
            return Ok(());
        }
        let mut id = store::account::take_prekey_ids(self.db, u32::try_from(count).unwrap_or(u32::MAX))?;
        let mut next = || {
            let this = id;
            id = id.wrapping_add(1);
            this
        };
        let mut upload = PrekeyUpload { replace_one_time: refill.replace, ..PrekeyUpload::default() };
        let mut secrets: Vec<(PrekeyKind, u32, Zeroizing<Vec<u8>>)> = Vec::with_capacity(count);
        let identity = &self.own.identity;
        for _ in 0..refill.one_time_ec {
            let key = OneTimePrekeyPair::generate(next()).map_err(no_randomness)?;
            secrets.push((PrekeyKind::OneTimeEc, key.id(), key.to_secret_bytes()));
            upload.one_time_ec.push(Bytes::copy_from_slice(&key.public_bytes()));
        }
        for _ in 0..refill.one_time_kem {
            let key = KemPrekeyPair::generate(next(), identity, KemUse::OneTime).map_err(no_randomness)?;
            secrets.push((PrekeyKind::OneTimeKem, key.id(), key.to_secret_bytes()));
            upload.one_time_kem.push(Bytes::from(key.public_bytes()));
        }
        if refill.signed {
            let key = SignedPrekeyPair::generate(next(), identity).map_err(no_randomness)?;
            secrets.push((PrekeyKind::Signed, key.id(), key.to_secret_bytes()));
            upload.signed_prekey = Some(Bytes::copy_from_slice(&key.public_bytes()));
            let key = KemPrekeyPair::generate(next(), identity, KemUse::LastResort).map_err(no_randomness)?;
            secrets.push((PrekeyKind::LastResortKem, key.id(), key.to_secret_bytes()));
            upload.last_resort_kem = Some(Bytes::from(key.public_bytes()));
        }
        let task = self.relay_task(MailboxRequest::PutPrekeys(upload))?;
        for (kind, id, secret) in &secrets {
            prekeys::put(self.db, *kind, *id, secret, task, self.now_ms)?;
        }
        Ok(())
    }

    /// This store is an older copy of one that went on: its ratchets must not go on from here, its one-time keys may be
    /// used up. What was sealed is sealed anew, and the person is told.
    pub(crate) fn start_anew(&mut self, why: &str) -> Result<(), ApiError> {
        let from_ms = store::account::complete_until(self.db)?;
        store::restores::begin(self.db, random_id()?, from_ms, self.now_ms)?;
        sessions::archive_all(self.db)?;
        store::deliveries::unseal_all(self.db, None)?;
        prekeys::forget_one_time(self.db)?;
        self.make_prekeys(Refill::ALL)?;
        self.notice("restored", why.to_owned(), None)
    }

    /// This device may lack what it was sent since: everybody is asked once its mailbox is drained. Once in a month, unless it was put back.
    fn lacks_since(&mut self, from_ms: u64) -> Result<(), ApiError> {
        let known = store::restores::current(self.db)?;
        let lately = known.began_ms > self.now_ms.saturating_sub(millis(MAX_EXPIRY)) && known.began_ms <= self.now_ms;
        if known.stage == Stage::None && !lately {
            store::restores::begin(self.db, random_id()?, from_ms, self.now_ms)?;
        }
        Ok(())
    }

    /// Everything a relay must know of this device.
    pub(crate) fn publish_all(&mut self) -> Result<(), ApiError> {
        if self.own.account_key.is_some() {
            self.relay_task(MailboxRequest::PutDeviceList(Bytes::from(self.own.list.encode())))?;
        }
        self.relay_task(MailboxRequest::SetDeliveryKeys {
            current: self.own.delivery_key.hash(),
            previous: None,
            previous_valid_s: 0,
        })?;
        self.publish_member_key()?;
        self.make_prekeys(Refill::ALL)
    }
}

impl Core {
    /// The mailbox is ours: compare what the relay says with what we hold (docs/protocol.md, "What a client does with them").
    pub(crate) fn ready(&mut self, ready: Ready) -> Result<(), ApiError> {
        let Ready { epoch, acked, server_time_ms, prekeys: prekeys_left, mark, .. } = ready;
        self.compare_clocks(server_time_ms)?;
        let older_copy = self.change(|change| {
            store::copies::confirm(change.db, &mark)?;
            let restored = store::account::take_restored(change.db)?;
            let (known_epoch, own_acked) = store::account::mailbox_state(change.db)?;
            match known_epoch {
                Some(known) if known == epoch && acked > own_acked => {
                    // The relay remembers acknowledgements that this store never gave: the store is a copy of one that went on, made
                    // while that one was connected. One that a person chose has begun anew already.
                    if !restored {
                        return Ok(true);
                    }
                    store::account::set_acked(change.db, acked)?;
                }
                // All that was sent to this device since is still in the mailbox: it comes in its order.
                Some(known) if known == epoch && restored => {
                    let since_ms = store::restores::current(change.db)?.from_ms;
                    if change.now_ms.saturating_sub(since_ms) < millis(MAX_EXPIRY) {
                        store::restores::no_holes(change.db)?;
                    }
                }
                Some(known) if known == epoch => {}
                Some(_) => {
                    // The relay was restored from a backup: it may lack whatever we told it since.
                    store::account::set_mailbox_epoch(change.db, epoch, 0)?;
                    change.publish_all()?;
                }
                None => store::account::set_mailbox_epoch(change.db, epoch, acked)?,
            }
            if restored {
                change.replace_keys_of_older_copy()?;
            }
            // Whatever waited because the own relay was away may go.
            let relay = store::peers::lane_relay(&change.own.relay, change.own.pin.as_ref());
            store::deliveries::wake_relay(change.db, &relay)?;
            change.wake_outbox();
            Ok(false)
        })?;
        if older_copy {
            return self.stand_still();
        }
        self.refill(prekeys_left)?;
        self.renew_prekeys()?;
        self.forget_unread()
    }

    /// At a login: whether this device was away for longer than mail waits. `days`: since when the relay has stored nothing for it any
    /// more, 0 if it still does. Not when our own mailbox was drained since: a relay could say so at every connection. Then what may
    /// be missing is asked for, once the mailbox is drained.
    pub(crate) fn was_away(&mut self, days: u32) -> Result<(), ApiError> {
        let Some(last_ms) = store::account::last_sync(&self.db)? else { return Ok(()) };
        let away_ms = crate::engine::core::now_ms().saturating_sub(last_ms);
        let ours = u32::try_from(away_ms / DAY_MS).unwrap_or(u32::MAX);
        // Our clock alone may have jumped; a relay that lies makes us ask once in a month.
        let by_relay = self.clock_off_ms.is_some_and(|off| off.unsigned_abs() <= millis(MAX_CLOCK_CORRECTION));
        let expired = by_relay && away_ms > millis(MAX_EXPIRY);
        let idle = days.min(ours.saturating_add(1)) >= IDLE_DAYS;
        // A copy that was put back asks already, and says why.
        if (!expired && !idle) || store::restores::current(&self.db)?.stage != Stage::None {
            return Ok(());
        }
        let waits = MAX_EXPIRY.as_secs() / 86_400;
        let mut text = format!("this device was not connected for {ours} days: messages wait for at most {waits} days");
        if idle {
            text.push_str(&format!(", and after {IDLE_DAYS} days without it none was kept for it"));
        }
        text.push_str("; what may be missing is asked for again");
        self.change(|change| {
            change.notice("was_away", text, None)?;
            change.lacks_since(last_ms)
        })
    }

    /// So much waited that the mailbox was full: its senders were sent away.
    pub(crate) fn was_full(&mut self) -> Result<(), ApiError> {
        self.change(|change| {
            let text = "so much waited for this device that its mailbox was full; whoever could not write is told that there is room";
            change.notice("was_full", text.to_owned(), None)?;
            change.lacks_since(store::account::last_sync(change.db)?.unwrap_or(change.now_ms))
        })
    }

    /// Refills one-time prekeys when the relay runs low, unless an upload waits already.
    pub(crate) fn refill(&mut self, left: PrekeyCount) -> Result<(), ApiError> {
        self.prekeys_left = Some(left);
        if prekeys::upload_waits(&self.db)? {
            return Ok(());
        }
        let missing = |left: u32, low: usize, full: usize| {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            if left < low { full.saturating_sub(left) } else { 0 }
        };
        let refill = Refill {
            one_time_ec: missing(left.one_time_ec, LOW_ONE_TIME_EC, MAX_ONE_TIME_EC),
            one_time_kem: missing(left.one_time_kem, LOW_ONE_TIME_KEM, MAX_ONE_TIME_KEM),
            ..Refill::default()
        };
        self.change(|change| change.make_prekeys(refill))
    }

    /// The oldest request to the own relay, decoded.
    pub(crate) fn first_task(&mut self) -> Result<Option<(i64, MailboxRequest)>, ApiError> {
        if self.is_removed() {
            return Ok(None);
        }
        let Some((id, bytes)) = store::tasks::first(&self.db)? else { return Ok(None) };
        match MailboxClientFrame::decode(Bytes::from(bytes)) {
            Ok(MailboxClientFrame::Request { op, .. }) => Ok(Some((id, op))),
            _ => Err(store::StoreError::Damaged("relay task").into()),
        }
    }

    /// The relay has done it. Only now the keys that it served before are replaced: until then it gave them to others.
    pub(crate) fn task_done(&mut self, id: i64, request: &MailboxRequest) -> Result<(), ApiError> {
        self.change(|change| {
            store::tasks::delete(change.db, id)?;
            if let MailboxRequest::SetDeliveryKeys { .. } = request {
                // What is for our other devices goes by this key, and may have come before it.
                store::deliveries::wake(change.db, &change.own.address.account)?;
                change.wake_outbox();
            }
            let MailboxRequest::PutPrekeys(upload) = request else { return Ok(()) };
            let replaces = [
                (upload.signed_prekey.is_some(), PrekeyKind::Signed),
                (upload.last_resort_kem.is_some(), PrekeyKind::LastResortKem),
                (upload.replace_one_time, PrekeyKind::OneTimeEc),
                (upload.replace_one_time, PrekeyKind::OneTimeKem),
            ];
            for (_, kind) in replaces.into_iter().filter(|(replaces, _)| *replaces) {
                prekeys::replaced_by(change.db, kind, id, change.now_ms)?;
            }
            Ok(())
        })
    }

    /// The relay will never do it.
    pub(crate) fn task_refused(&mut self, id: i64, request: &MailboxRequest, reason: &str) -> Result<(), ApiError> {
        self.change(|change| {
            store::tasks::delete(change.db, id)?;
            if let MailboxRequest::PutContactToken { token, .. } = request {
                // Whoever waits for this link sees that it is gone.
                return Ok(store::invites::delete_by_hash(change.db, token)?);
            }
            if let MailboxRequest::PutPrekeys(_) = request {
                // Its word only: it may have given them out.
                prekeys::refused(change.db, id, change.now_ms)?;
            }
            change.notice("relay_refused", format!("our relay refused a request: {reason}"), None)
        })
    }

    /// A new contact link: its secret, expiry and the task that registers its token.
    pub(crate) fn new_link(&mut self, ttl_s: Option<u32>) -> Result<(LinkSecret, u64, i64), ApiError> {
        let longest = u32::try_from(MAX_EXPIRY.as_secs()).unwrap_or(u32::MAX);
        let ttl_s = ttl_s.unwrap_or(LINK_TTL_S);
        if ttl_s == 0 || ttl_s > longest {
            return Err(ApiError::new(ErrorKind::Usage, "a link lives between one second and 30 days"));
        }
        let secret = LinkSecret::new(random_id()?);
        let token = link_token(&secret, &self.own.address.account);
        self.change(|change| {
            if store::invites::unexpired(change.db, change.now_ms)? >= MAX_OPEN_LINKS {
                return Err(ApiError::new(
                    ErrorKind::RateLimited,
                    format!("{MAX_OPEN_LINKS} links have not expired yet"),
                )
                .hint("wait until some have; links with a short --ttl make room sooner"));
            }
            let expires_ms = change.now_ms.saturating_add(u64::from(ttl_s) * 1_000);
            store::invites::put(change.db, &token, &secret, change.now_ms, expires_ms)?;
            let task = change.relay_task(MailboxRequest::PutContactToken {
                token: token.hash(),
                expiry_s: ttl_s,
                uses: TokenUses::ONE,
            })?;
            Ok((secret.clone(), expires_ms, task))
        })
    }

    /// A link that the relay never heard of is no link.
    pub(crate) fn withdraw_link(
        &mut self,
        token: &ContactToken,
        task: i64,
        request: Option<[u8; 16]>,
    ) -> Result<(), ApiError> {
        self.change(|change| {
            if let Some(request) = request {
                store::requests::delete(change.db, &request)?;
            }
            store::invites::delete(change.db, token)?;
            store::tasks::delete(change.db, task)?;
            Ok(())
        })
    }
}
