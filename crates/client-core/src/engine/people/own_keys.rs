//! What lets others submit to us: the delivery key for contacts, the member key for contents of groups (docs/protocol.md, "Capabilities
//! and proofs"). Replaced when somebody who had them must not write any more, told to our relay and our other devices, handed on to contacts.

use std::time::Duration;

use subrosa_crypto::{DeviceList, Freshness};
use subrosa_wire::{
    AccountId, DeliveryKey, MemberKey,
    limits::{MAX_PREVIOUS_KEY_VALIDITY, MAX_PREVIOUS_MEMBER_KEY_VALIDITY},
    mailbox::MailboxRequest,
};

use crate::{
    api::ApiError,
    content::{Body, KeySync},
    engine::core::{Change, ids::random_id, ids::random_within},
    limits::{DAY_MS, INTRODUCE_WITHIN, MAX_CLOCK_AHEAD, millis},
    store::{self, contacts},
};

/// What becomes of the member key when the delivery key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Member {
    /// Whoever must not write to us any more is with us in a group still.
    Keeps,
    /// It is replaced too: now, or when it has served for a day, so that nobody makes us send it round and round.
    Replaced,
    /// A device of ours that is gone knows it: now, and the old one is dead.
    Dead,
}

impl Change<'_> {
    /// What becomes of the member key when somebody is blocked or removed.
    pub(in crate::engine) fn member_key_of_who_goes(&self, account: &AccountId) -> Result<Member, ApiError> {
        Ok(if self.is_fellow(account)? { Member::Keeps } else { Member::Replaced })
    }

    /// Replaces what lets contacts submit to us. The old delivery key is dead as soon as our relay hears of it. `list`: our devices, as
    /// they are from now on.
    pub(in crate::engine) fn rotate_keys(&mut self, list: &DeviceList, member: Member) -> Result<(), ApiError> {
        self.replace_delivery_key(None)?;
        match member {
            Member::Keeps => {}
            Member::Replaced if self.member_key_rests()? => store::account::member_key_is_due(self.db)?,
            Member::Replaced => self.replace_member_key(true)?,
            Member::Dead => self.replace_member_key(false)?,
        }
        self.hand_keys_on(list)
    }

    /// This store is an older copy of one that went on and may have replaced its keys: then those here are worth nothing, and nobody
    /// can say so. Both begin anew, and the ones before are honoured for a while.
    pub(in crate::engine) fn replace_keys_of_older_copy(&mut self) -> Result<(), ApiError> {
        let before = store::account::delivery_key(self.db)?;
        self.replace_delivery_key(Some(&before))?;
        self.replace_member_key(true)?;
        self.hand_keys_on(&self.own.list)
    }

    /// Replaces a member key that was to be replaced, when it has served for a day.
    pub(in crate::engine) fn member_key_in_time(&mut self) -> Result<(), ApiError> {
        if !store::account::member_key_state(self.db)?.due || self.member_key_rests()? {
            return Ok(());
        }
        self.replace_member_key(true)?;
        self.hand_keys_on(&self.own.list)
    }

    /// Whether it was replaced less than a day ago. A clock that was ahead is no reason to wait for ever.
    fn member_key_rests(&self) -> Result<bool, ApiError> {
        let changed_ms = store::account::member_key_state(self.db)?.changed_ms;
        Ok(changed_ms <= self.now_ms && self.now_ms - changed_ms < DAY_MS)
    }

    fn replace_member_key(&mut self, honours_previous: bool) -> Result<(), ApiError> {
        let before = store::account::member_key_state(self.db)?;
        let key = MemberKey::new(random_id()?);
        let changed_ms = self.now_ms.max(before.changed_ms.saturating_add(1));
        store::account::set_member_key(self.db, &key, changed_ms, Some(&before.key).filter(|_| honours_previous))?;
        self.reload_own();
        self.publish_member_key()
    }

    /// Tells our relay the member key, and how long the one before is honoured still.
    pub(in crate::engine) fn publish_member_key(&mut self) -> Result<(), ApiError> {
        let state = store::account::member_key_state(self.db)?;
        let until_ms = state.changed_ms.saturating_add(millis(MAX_PREVIOUS_MEMBER_KEY_VALIDITY));
        let left = Duration::from_millis(until_ms.saturating_sub(self.now_ms)).min(MAX_PREVIOUS_MEMBER_KEY_VALIDITY);
        let previous_valid_s = u32::try_from(left.as_secs()).unwrap_or(0);
        self.relay_task(MailboxRequest::SetMemberKeys {
            current: state.key.hash(),
            previous: state.previous.filter(|_| previous_valid_s > 0).map(|key| key.hash()),
            previous_valid_s,
        })?;
        Ok(())
    }

    /// Our other devices hear of the keys at once, contacts with the next content or one by one within a day.
    fn hand_keys_on(&mut self, list: &DeviceList) -> Result<(), ApiError> {
        if list.devices().len() > 1 {
            let own = self.own.address.account;
            let member = store::account::member_key_state(self.db)?;
            let sync = KeySync {
                delivery_key: store::account::delivery_key(self.db)?.as_bytes().to_vec(),
                changed_ms: store::account::delivery_key_ms(self.db)?,
                device_list: list.encode(),
                member_key: member.key.as_bytes().to_vec(),
                member_changed_ms: member.changed_ms,
            };
            self.queue(&own, Body::KeySync(sync))?;
        }
        // All at once they would be the list of our contacts, sent to whoever watches, moments after the key changed.
        let spread = self.now_ms.saturating_add(1)..=self.now_ms.saturating_add(millis(INTRODUCE_WITHIN));
        for account in contacts::introduce_again(self.db)? {
            contacts::set_introduce_ms(self.db, &account, Some(random_within(&spread)?))?;
        }
        self.wake_outbox();
        Ok(())
    }

    fn replace_delivery_key(&mut self, honoured: Option<&DeliveryKey>) -> Result<(), ApiError> {
        let key = DeliveryKey::new(random_id()?);
        let changed_ms = self.now_ms.max(store::account::delivery_key_ms(self.db)?.saturating_add(1));
        self.take_delivery_key(&key, changed_ms, honoured)
    }

    /// `honoured`: the one before, which counts as long as a relay lets it.
    fn take_delivery_key(
        &mut self,
        key: &DeliveryKey,
        changed_ms: u64,
        honoured: Option<&DeliveryKey>,
    ) -> Result<(), ApiError> {
        store::account::set_delivery_key(self.db, key, changed_ms)?;
        self.reload_own();
        let validity = honoured.map_or(0, |_| MAX_PREVIOUS_KEY_VALIDITY.as_secs());
        self.relay_task(MailboxRequest::SetDeliveryKeys {
            current: key.hash(),
            previous: honoured.map(DeliveryKey::hash),
            previous_valid_s: u32::try_from(validity).unwrap_or(0),
        })?;
        Ok(())
    }

    /// Another device of ours replaced a key, maybe because it removed one. The newest wins; the loser's relay request may have
    /// come last, so the winner's is made again.
    pub(in crate::engine) fn apply_key_sync(&mut self, sync: &KeySync) -> Result<(), ApiError> {
        let (Ok(delivery), Ok(member)) =
            (DeliveryKey::from_slice(&sync.delivery_key), MemberKey::from_slice(&sync.member_key))
        else {
            return Ok(());
        };
        let list = DeviceList::decode(&sync.device_list).ok().and_then(|list| list.verify(&self.own.record).ok());
        let removed = match list.filter(|list| list.compare(&self.own.list) == Freshness::Newer) {
            Some(list) => self.take_own_list(&list)?.then_some(list),
            None => None,
        };
        let known_ms = store::account::delivery_key_ms(self.db)?;
        let changed_ms = self.believed(sync.changed_ms);
        let newer = (changed_ms, delivery.as_bytes()) > (known_ms, self.own.delivery_key.as_bytes());
        let known = store::account::member_key_state(self.db)?;
        let member_ms = self.believed(sync.member_changed_ms);
        let newer_member = (member_ms, member.as_bytes()) > (known.changed_ms, known.key.as_bytes());
        // A device that is gone knows what was known here before, and may have made it.
        let honours_previous = removed.is_none();
        if let Some(list) = removed.filter(|_| !(newer && newer_member)) {
            return self.rotate_keys(&list, Member::Dead);
        }
        if newer_member {
            let previous = Some(&known.key).filter(|_| honours_previous);
            store::account::set_member_key(self.db, &member, member_ms, previous)?;
            self.reload_own();
        }
        self.publish_member_key()?;
        if newer {
            self.take_delivery_key(&delivery, changed_ms, None)
        } else {
            let own = store::account::delivery_key(self.db)?;
            self.take_delivery_key(&own, known_ms, None)
        }
    }

    /// A time that no clock explains would win over every later key.
    fn believed(&self, changed_ms: u64) -> u64 {
        changed_ms.min(self.now_ms.saturating_add(millis(MAX_CLOCK_AHEAD)))
    }
}
