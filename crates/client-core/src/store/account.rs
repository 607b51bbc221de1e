//! The account row: who we are, what our relay knows of us.

use subrosa_crypto::{AccountKeyPair, AccountRecord, DeviceList, IdentityKeyPair};
use subrosa_wire::{AccountId, DeliveryKey, DeviceAddress, MailboxEpoch, MemberKey, Seq};
use url::Url;
use zeroize::Zeroizing;

use super::{Db, OptionalExtension as _, StoreError, array, from_sql, params, to_sql, verified};
use crate::{conversation::ConversationId, limits::DAY_MS};

/// Everything this device is. Secrets live in the key types.
pub(crate) struct Own {
    pub(crate) record: AccountRecord,
    /// Only in the first device's store.
    pub(crate) account_key: Option<AccountKeyPair>,
    pub(crate) address: DeviceAddress,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) handle: String,
    pub(crate) relay: Url,
    pub(crate) pin: Option<[u8; 32]>,
    pub(crate) list: DeviceList,
    pub(crate) delivery_key: DeliveryKey,
    pub(crate) member_key: MemberKey,
}

impl Own {
    /// What we say to ourselves.
    pub(crate) fn notes(&self) -> ConversationId {
        ConversationId::notes(&self.address.account)
    }

    /// What we and somebody say to each other.
    pub(crate) fn chat_with(&self, other: &AccountId) -> ConversationId {
        ConversationId::between(&self.address.account, other)
    }
}

/// Writes the row of a new store.
pub(crate) fn create(db: &Db, own: &Own, now_ms: u64) -> Result<(), StoreError> {
    let account_seed = own.account_key.as_ref().map(AccountKeyPair::seed);
    db.execute(
        "INSERT INTO account (singleton, record, account_seed, device, identity_seed, handle, relay, pin, device_list,
                              delivery_key, member_key, created_ms)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            own.record.encode(),
            account_seed.as_ref().map(|seed| seed.as_slice()),
            own.address.device,
            own.identity.seed().as_slice(),
            own.handle,
            own.relay.as_str(),
            own.pin,
            own.list.encode(),
            own.delivery_key.as_bytes(),
            own.member_key.as_bytes(),
            to_sql(now_ms),
        ],
    )?;
    Ok(())
}

/// Reads the row.
pub(crate) fn load(db: &Db) -> Result<Own, StoreError> {
    const WHAT: &str = "account row";
    let row = db.query_row(
        "SELECT record, account_seed, device, identity_seed, handle, relay, pin, device_list, delivery_key,
             member_key FROM account",
        [],
        |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, Option<Vec<u8>>>(1)?.map(Zeroizing::new),
                row.get::<_, u32>(2)?,
                Zeroizing::new(row.get::<_, Vec<u8>>(3)?),
                row.get::<_, String>(4)?,
                row.get::<_, String>(5)?,
                row.get::<_, Option<Vec<u8>>>(6)?,
                row.get::<_, Vec<u8>>(7)?,
                row.get::<_, Vec<u8>>(8)?,
                row.get::<_, Vec<u8>>(9)?,
            ))
        },
    );
    let (record, account_seed, device, identity_seed, handle, relay, pin, list, delivery_key, member_key) =
        row.optional()?.ok_or(StoreError::Damaged(WHAT))?;
    let record = verified::record(&record)?;
    let list = verified::list(&list, &record)?;
    let account_key = match account_seed {
        Some(seed) => Some(AccountKeyPair::from_seed(&Zeroizing::new(array(&seed, WHAT)?))),
        None => None,
    };
    Ok(Own {
        address: DeviceAddress { account: AccountId(record.id()), device },
        record,
        account_key,
        identity: IdentityKeyPair::from_seed(&Zeroizing::new(array(&identity_seed, WHAT)?)),
        handle,
        relay: Url::parse(&relay).map_err(|_| StoreError::Damaged(WHAT))?,
        pin: pin.map(|pin| array(&pin, WHAT)).transpose()?,
        list,
        delivery_key: DeliveryKey::new(array(&delivery_key, WHAT)?),
        member_key: MemberKey::new(array(&member_key, WHAT)?),
    })
}

/// Replaces our own device list.
pub(crate) fn set_list(db: &Db, list: &DeviceList) -> Result<(), StoreError> {
    db.execute("UPDATE account SET device_list = ?1", params![list.encode()])?;
    Ok(())
}

/// Replaces what lets contacts submit to us.
pub(crate) fn set_delivery_key(db: &Db, key: &DeliveryKey, changed_ms: u64) -> Result<(), StoreError> {
    db.execute(
        "UPDATE account SET delivery_key = ?1, delivery_key_ms = ?2",
        params![key.as_bytes(), to_sql(changed_ms)],
    )?;
    Ok(())
}

/// When the delivery key was last replaced.
pub(crate) fn delivery_key_ms(db: &Db) -> Result<u64, StoreError> {
    let ms: i64 = db.query_row("SELECT delivery_key_ms FROM account", [], |row| row.get(0))?;
    Ok(from_sql(ms))
}

/// The delivery key as it is stored: that of [`Own`] is from before the change.
pub(crate) fn delivery_key(db: &Db) -> Result<DeliveryKey, StoreError> {
    let key: Vec<u8> = db.query_row("SELECT delivery_key FROM account", [], |row| row.get(0))?;
    Ok(DeliveryKey::new(array(&key, "delivery key")?))
}

/// How the member key stands, as it is stored: that of [`Own`] is from before the change.
pub(crate) struct MemberKeyState {
    pub(crate) key: MemberKey,
    /// When it was last replaced.
    pub(crate) changed_ms: u64,
    /// The one before.
    pub(crate) previous: Option<MemberKey>,
    /// It is to be replaced when it has served for a day.
    pub(crate) due: bool,
}

/// How the member key stands.
pub(crate) fn member_key_state(db: &Db) -> Result<MemberKeyState, StoreError> {
    let (key, changed_ms, previous, due) = db.query_row(
        "SELECT member_key, member_key_ms, previous_member_key, member_key_due FROM account",
        [],
        |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, Option<Vec<u8>>>(2)?, row.get(3)?)),
    )?;
    let key = MemberKey::new(array(&key, "member key")?);
    let previous = previous.map(|key| array(&key, "member key").map(MemberKey::new)).transpose()?;
    Ok(MemberKeyState { key, changed_ms: from_sql(changed_ms), previous, due })
}

/// Replaces the member key.
pub(crate) fn set_member_key(
    db: &Db,
    key: &MemberKey,
    changed_ms: u64,
    previous: Option<&MemberKey>,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE account SET member_key = ?1, member_key_ms = ?2, previous_member_key = ?3, member_key_due = 0",
        params![key.as_bytes(), to_sql(changed_ms), previous.map(MemberKey::as_bytes)],
    )?;
    Ok(())
}

/// The member key is to be replaced when it has served for a day.
pub(crate) fn member_key_is_due(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE account SET member_key_due = 1", [])?;
    Ok(())
}

/// Mailbox epoch and highest committed `Seq`.
pub(crate) fn mailbox_state(db: &Db) -> Result<(Option<MailboxEpoch>, Seq), StoreError> {
    let (epoch, acked) = db.query_row("SELECT mailbox_epoch, acked FROM account", [], |row| {
        Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, i64>(1)?))
    })?;
    let epoch = epoch.map(|epoch| array(&epoch, "mailbox epoch").map(MailboxEpoch)).transpose()?;
    Ok((epoch, from_sql(acked)))
}

/// Starts counting in a mailbox epoch.
pub(crate) fn set_mailbox_epoch(db: &Db, epoch: MailboxEpoch, acked: Seq) -> Result<(), StoreError> {
    db.execute("UPDATE account SET mailbox_epoch = ?1, acked = ?2", params![epoch.0, to_sql(acked)])?;
    Ok(())
}

/// Everything up to `acked` is committed here.
pub(crate) fn set_acked(db: &Db, acked: Seq) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE account SET acked = max(acked, ?1)")?.execute(params![to_sql(acked)])?;
    Ok(())
}

/// This store was restored from a backup, and its sessions start anew.
pub(crate) fn mark_restored(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE account SET restored = 1", [])?;
    Ok(())
}

/// Takes the mark of [`mark_restored`]; says whether there was one.
pub(crate) fn take_restored(db: &Db) -> Result<bool, StoreError> {
    Ok(db.execute("UPDATE account SET restored = 0 WHERE restored <> 0", [])? > 0)
}

/// Takes `count` prekey ids; the first is returned.
pub(crate) fn take_prekey_ids(db: &Db, count: u32) -> Result<u32, StoreError> {
    let first: u32 = db.query_row("SELECT next_prekey FROM account", [], |row| row.get(0))?;
    // Ids are 32 bits on the wire; a store that lives long enough to wrap starts again at 1.
    let next = first.checked_add(count).unwrap_or(1);
    db.execute("UPDATE account SET next_prekey = ?1", params![next])?;
    Ok(first)
}

/// Prekeys that were made in one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PrekeysMade {
    pub(crate) one_time_ec: u32,
    pub(crate) one_time_kem: u32,
    pub(crate) signed: u32,
}

/// What was made in this day (days since 1970) so far.
pub(crate) fn prekeys_made(db: &Db, day: u64) -> Result<PrekeysMade, StoreError> {
    let (known, made) = db.query_row("SELECT prekey_day, made_ec, made_kem, made_signed FROM account", [], |row| {
        let made = PrekeysMade { one_time_ec: row.get(1)?, one_time_kem: row.get(2)?, signed: row.get(3)? };
        Ok((from_sql(row.get(0)?), made))
    })?;
    Ok(if known == day { made } else { PrekeysMade::default() })
}

/// Counts what was made in this day.
pub(crate) fn set_prekeys_made(db: &Db, day: u64, made: PrekeysMade) -> Result<(), StoreError> {
    db.execute(
        "UPDATE account SET prekey_day = ?1, made_ec = ?2, made_kem = ?3, made_signed = ?4",
        params![to_sql(day), made.one_time_ec, made.one_time_kem, made.signed],
    )?;
    Ok(())
}

/// Since when the relay's clock contradicts ours, if it does.
pub(crate) fn clock_doubt(db: &Db) -> Result<Option<u64>, StoreError> {
    let ms: Option<i64> = db.query_row("SELECT clock_doubt_ms FROM account", [], |row| row.get(0))?;
    Ok(ms.map(from_sql))
}

/// See [`clock_doubt`].
pub(crate) fn set_clock_doubt(db: &Db, since_ms: Option<u64>) -> Result<(), StoreError> {
    db.execute("UPDATE account SET clock_doubt_ms = ?1", params![since_ms.map(to_sql)])?;
    Ok(())
}

/// What the program that last read kept contents knew of them.
pub(crate) fn contents_known(db: &Db) -> Result<u32, StoreError> {
    Ok(db.query_row("SELECT contents_known FROM account", [], |row| row.get(0))?)
}

/// See [`contents_known`].
pub(crate) fn set_contents_known(db: &Db, known: u32) -> Result<(), StoreError> {
    db.execute("UPDATE account SET contents_known = ?1", params![known])?;
    Ok(())
}

/// When the mailbox was last drained.
pub(crate) fn last_sync(db: &Db) -> Result<Option<u64>, StoreError> {
    let ms: Option<i64> = db.query_row("SELECT last_sync_ms FROM account", [], |row| row.get(0))?;
    Ok(ms.map(from_sql))
}

/// The mailbox is drained now.
pub(crate) fn set_last_sync(db: &Db, now_ms: u64) -> Result<(), StoreError> {
    db.execute("UPDATE account SET last_sync_ms = ?1", params![to_sql(now_ms)])?;
    Ok(())
}

/// From when on a copy that is put back may lack something: the last time that it was seen to be complete.
pub(crate) fn complete_until(db: &Db) -> Result<u64, StoreError> {
    let ms: i64 = db.query_row(
        "SELECT max(coalesce(last_sync_ms, created_ms), coalesce((SELECT max(arrived_ms) FROM message), 0)) FROM account",
        [],
        |row| row.get(0),
    )?;
    Ok(from_sql(ms))
}

/// Whether the person is to be told that the quarantine is full: once a day.
pub(crate) fn tell_full_quarantine(db: &Db, now_ms: u64) -> Result<bool, StoreError> {
    let changed = db.execute(
        "UPDATE account SET quarantine_told_ms = ?1
         WHERE quarantine_told_ms IS NULL OR quarantine_told_ms NOT BETWEEN ?1 - ?2 AND ?1",
        params![to_sql(now_ms), to_sql(DAY_MS)],
    )?;
    Ok(changed > 0)
}
