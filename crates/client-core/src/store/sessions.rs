//! Double Ratchet sessions: for each device of a peer one current, a few that only decrypt.

use subrosa_crypto::{SerializedSession, Session};
use subrosa_wire::DeviceAddress;

use super::{Db, StoreError, array, params, to_sql};
use crate::limits::MAX_SESSIONS;

/// A stored session.
pub(crate) struct SessionRow {
    pub(crate) session: Session,
    pub(crate) current: bool,
}

/// All sessions with a device, the current one first, then by last use.
pub(crate) fn with(db: &Db, device: &DeviceAddress) -> Result<Vec<SessionRow>, StoreError> {
    let rows: Vec<(Vec<u8>, bool)> = db
        .prepare_cached(
            "SELECT state, current FROM session WHERE account = ?1 AND device = ?2 ORDER BY current DESC, used_ms DESC",
        )?
        .query_map(params![device.account.0, device.device], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    // One that does not read back is lost like any other, and healed like it: it must not stop everything with its device.
    let read = |(state, current): (Vec<u8>, bool)| {
        let state = zeroize::Zeroizing::new(state);
        match Session::deserialize(&state) {
            Ok(session) => Some(SessionRow { session, current }),
            Err(_) => {
                tracing::error!("the store holds a damaged session; it counts as lost");
                None
            }
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// The session that encrypts for a device.
pub(crate) fn current(db: &Db, device: &DeviceAddress) -> Result<Option<Session>, StoreError> {
    Ok(with(db, device)?.into_iter().find(|row| row.current).map(|row| row.session))
}

/// Whether there is one.
pub(crate) fn has_current(db: &Db, device: &DeviceAddress) -> Result<bool, StoreError> {
    Ok(current(db, device)?.is_some())
}

/// Stores the new state of a known session.
pub(crate) fn update(
    db: &Db,
    device: &DeviceAddress,
    id: &[u8; 32],
    state: &SerializedSession,
    now_ms: u64,
) -> Result<(), StoreError> {
    put_state(db, device, id, state, now_ms, false)
}

/// As [`update`], for a state that has read something of theirs: what they answered need not be set up any more.
pub(crate) fn received(
    db: &Db,
    device: &DeviceAddress,
    id: &[u8; 32],
    state: &SerializedSession,
    now_ms: u64,
) -> Result<(), StoreError> {
    put_state(db, device, id, state, now_ms, true)
}

fn put_state(
    db: &Db,
    device: &DeviceAddress,
    id: &[u8; 32],
    state: &SerializedSession,
    now_ms: u64,
    answered: bool,
) -> Result<(), StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE session SET state = ?4, used_ms = ?5, setup_ms = iif(?6, NULL, setup_ms)
             WHERE account = ?1 AND device = ?2 AND id = ?3",
        )?
        .execute(params![device.account.0, device.device, id, state.as_bytes(), to_sql(now_ms), answered])?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Damaged("session")) }
}

/// We began this session: until they answer, all that is sent in it names the prekeys it was begun with.
pub(crate) fn mark_begun(db: &Db, device: &DeviceAddress, id: &[u8; 32], now_ms: u64) -> Result<(), StoreError> {
    db.execute(
        "UPDATE session SET setup_ms = ?4 WHERE account = ?1 AND device = ?2 AND id = ?3",
        params![device.account.0, device.device, id, to_sql(now_ms)],
    )?;
    Ok(())
}

/// Sessions that we began before `before_ms` and nobody answered only decrypt from now on.
pub(crate) fn archive_unanswered(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("UPDATE session SET current = 0 WHERE current = 1 AND setup_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

/// Adds a session; as the current one, all others with the device only decrypt from now on.
pub(crate) fn add(
    db: &Db,
    device: &DeviceAddress,
    id: &[u8; 32],
    state: &SerializedSession,
    current: bool,
    now_ms: u64,
) -> Result<(), StoreError> {
    if current {
        db.execute(
            "UPDATE session SET current = 0 WHERE account = ?1 AND device = ?2",
            params![device.account.0, device.device],
        )?;
    }
    db.execute(
        "INSERT INTO session (account, device, id, state, current, used_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![device.account.0, device.device, id, state.as_bytes(), current, to_sql(now_ms)],
    )?;
    db.execute(
        "DELETE FROM session WHERE account = ?1 AND device = ?2 AND id NOT IN
             (SELECT id FROM session WHERE account = ?1 AND device = ?2
              ORDER BY current DESC, used_ms DESC LIMIT ?3)",
        params![device.account.0, device.device, i64::try_from(MAX_SESSIONS).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Forgets sessions that only decrypt and were not used since `before_ms`: whoever gets the store must not read more
/// than may still come.
pub(crate) fn forget_unused(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM session WHERE current = 0 AND used_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}

/// The next message to this device starts a new session; the old ones only decrypt.
pub(crate) fn archive(db: &Db, device: &DeviceAddress) -> Result<(), StoreError> {
    db.execute(
        "UPDATE session SET current = 0 WHERE account = ?1 AND device = ?2",
        params![device.account.0, device.device],
    )?;
    Ok(())
}

/// Forgets all sessions with a device that nothing is said to or heard from any more.
pub(crate) fn forget_device(db: &Db, device: &DeviceAddress) -> Result<(), StoreError> {
    db.execute("DELETE FROM session WHERE account = ?1 AND device = ?2", params![device.account.0, device.device])?;
    Ok(())
}

/// After a rollback: every session only decrypts, the next send starts a new one.
pub(crate) fn archive_all(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE session SET current = 0", [])?;
    Ok(())
}

/// Whether somebody already set up a session with this base key.
pub(crate) fn base_key_seen(db: &Db, hash: &[u8; 32]) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM base_key WHERE hash = ?1")?.exists(params![hash])?)
}

/// Remembers a base key for ever.
pub(crate) fn remember_base_key(db: &Db, hash: &[u8; 32], now_ms: u64) -> Result<(), StoreError> {
    db.execute("INSERT INTO base_key (hash, seen_ms) VALUES (?1, ?2)", params![hash, to_sql(now_ms)])?;
    Ok(())
}

/// The id column as bytes of fixed size.
pub(crate) fn ids(db: &Db, device: &DeviceAddress) -> Result<Vec<[u8; 32]>, StoreError> {
    db.prepare_cached("SELECT id FROM session WHERE account = ?1 AND device = ?2")?
        .query_and_then(params![device.account.0, device.device], |row| {
            array(&row.get::<_, Vec<u8>>(0)?, "session id")
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use subrosa_crypto::{
        AccountKeyPair, AccountRecord, DeviceCertificate, IdentityKeyPair, KemPrekeyPair, KemUse, PrekeyBundle,
        SignedPrekeyPair,
    };
    use subrosa_wire::AccountId;

    use super::*;

    #[test]
    fn sessions_with_one_device_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let db = crate::store::open(&dir.path().join("store.db"), &[7; 32], true).unwrap();
        let account = AccountKeyPair::generate().unwrap();
        let record = AccountRecord::new(account.public(), [1; 32]);
        let identity = IdentityKeyPair::generate().unwrap();
        let issued = DeviceCertificate::issue(&account, &record.id(), 1, &identity.public(), 1);
        let signed = SignedPrekeyPair::generate(1, &identity).unwrap().public_bytes();
        let kem = KemPrekeyPair::generate(1, &identity, KemUse::LastResort).unwrap().public_bytes();
        let certificate = issued.verify(&record).unwrap();
        let bundle = PrekeyBundle::verify(&certificate, &signed, None, &kem, KemUse::LastResort).unwrap();
        let device = DeviceAddress { account: AccountId(record.id()), device: 1 };
        let mut newest = [0; 32];
        for time in 0..3 * MAX_SESSIONS as u64 {
            let session = Session::initiate(&identity, &certificate.address(), &bundle).unwrap();
            newest = session.id();
            add(&db, &device, &newest, &session.serialize(), true, time).unwrap();
        }
        let ids = ids(&db, &device).unwrap();
        assert_eq!(ids.len(), MAX_SESSIONS);
        assert!(ids.contains(&newest), "the newest stays");
        assert_eq!(current(&db, &device).unwrap().unwrap().id(), newest, "and one encrypts");
        assert_eq!(with(&db, &device).unwrap().iter().filter(|row| row.session.id() == newest).count(), 1);
    }
}
