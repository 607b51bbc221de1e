//! Is a database whole? Structure and indexes as SQLite sees them, then what the rows say about themselves: an
//! envelope's id is a hash of it, an account's id is a hash of its record, and its list is signed.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, ffi};
use subrosa_wire::{DeviceAddress, EnvelopeId};

use super::columns::account_id;
use crate::{
    config::RelayError,
    policy::identity::{AccountRecord, DeviceList},
};

/// SQLite asks whether to go on after this many steps of its machine: less than a millisecond.
const STEPS: i32 = 10_000;

/// Whether all of it could be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// All of it, and it is whole.
    Whole,
    /// The time was up; what was looked at is whole.
    InPart,
}

/// The error of a row that does not fit itself.
pub(super) fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what.to_owned()))
}

/// Looks at everything, until the time is up.
pub(crate) fn check(db: &mut Connection, path: &Path, budget: Option<Duration>) -> Result<Checked, RelayError> {
    let until = budget.map(|budget| subrosa_ambient::instant() + budget);
    let is_over = move || until.is_some_and(|until| subrosa_ambient::instant() >= until);
    let sql = |error| explain(path, error);
    db.progress_handler(STEPS, Some(is_over)).map_err(sql)?;
    let result = structure(db).and_then(|()| accounts(db)).and_then(|()| envelopes(db));
    db.progress_handler(STEPS, None::<fn() -> bool>).map_err(sql)?;
    match result {
        Ok(()) => Ok(Checked::Whole),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(Checked::InPart),
        Err(error) => Err(sql(error)),
    }
}

fn structure(db: &Connection) -> rusqlite::Result<()> {
    let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(&verdict.replace('\n', " "))) }
}

fn accounts(db: &Connection) -> rusqlite::Result<()> {
    let mut identities = db.prepare("SELECT number, identity FROM device WHERE account = ?1 ORDER BY number")?;
    let mut accounts = db.prepare("SELECT id, account, record, list, list_version FROM account")?;
    let mut rows = accounts.query([])?;
    while let Some(row) = rows.next()? {
        let (account, record, list): (_, Vec<u8>, Vec<u8>) = (account_id(row, 1)?, row.get(2)?, row.get(3)?);
        let devices: Vec<(u32, [u8; 32])> = identities
            .query_map([row.get::<_, i64>(0)?], |device| Ok((device.get(0)?, device.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let fits = AccountRecord::parse(&record)
            .ok()
            .filter(|record| record.id == account)
            .and_then(|record| DeviceList::parse(&list, &record).ok())
            .is_some_and(|list| {
                let listed: Vec<_> = list.devices.iter().map(|device| (device.number, device.identity)).collect();
                row.get::<_, u32>(4).is_ok_and(|version| version == list.version) && listed == devices
            });
        if !fits {
            return Err(damaged("an account's row does not fit its id or its signatures"));
        }
    }
    Ok(())
}

fn envelopes(db: &Connection) -> rusqlite::Result<()> {
    let mut statement = db.prepare(
        "SELECT account.account, device.number, mailbox.env_id, mailbox.head, body.bytes
         FROM mailbox JOIN device ON device.id = mailbox.device JOIN account ON account.id = device.account
         LEFT JOIN body ON body.id = mailbox.body",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let device = DeviceAddress { account: account_id(row, 0)?, device: row.get(1)? };
        verify(&device, &row.get::<_, Vec<u8>>(2)?, &row.get::<_, Vec<u8>>(3)?, &row.get::<_, Vec<u8>>(4)?)?;
    }
    Ok(())
}

/// Turns what SQLite says while opening into advice.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> RelayError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            RelayError::Damaged { path: path.to_owned(), detail: error.to_string() }
        }
        _ => RelayError::DataDir { path: path.to_owned(), source: std::io::Error::other(error) },
    }
}

/// An envelope's id is a hash over device, head and body: what does not fit is not what was accepted.
pub(super) fn verify(device: &DeviceAddress, id: &[u8], head: &[u8], body: &[u8]) -> rusqlite::Result<()> {
    if EnvelopeId::of(device, head, body).0.as_slice() == id {
        Ok(())
    } else {
        Err(damaged("an envelope does not fit its id"))
    }
}
