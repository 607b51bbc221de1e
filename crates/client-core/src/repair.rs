//! The way back for an account whose directory is no longer whole: what can be made of the rest is made, and what cannot be used
//! is set aside. Nothing is deleted or overwritten here.

use std::path::PathBuf;

use crate::{
    account::publish,
    accounts::{Facts, hold},
    api::{AccountInfo, ApiError, ErrorKind},
    clean::clean_line,
    engine::{account_view, now_ms},
    home::Home,
    keys::{self, StoreSecret},
    replace,
    store::{self, StoreError, account::Own},
};

/// What [`repair`] found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The account, as its store says.
    pub account: AccountInfo,
    /// `account.json` was missing, damaged or of another account, and was written anew.
    pub written: bool,
    /// What was in the way, under its new names.
    pub aside: Vec<PathBuf>,
}

/// Rebuilds `account.json` from the store, and sets a log aside that is of another store. `secret` is asked only when there is
/// something that it can open.
///
/// # Errors
/// [`ErrorKind::NoAccount`] when nothing of one is here, [`ErrorKind::AccountBusy`], [`ErrorKind::DamagedStore`] with what is missing
/// and what is possible without it, [`ErrorKind::BadPassphrase`]; nothing was changed then.
pub fn repair(home: &Home, secret: impl FnOnce() -> Result<StoreSecret, ApiError>) -> Result<Repaired, ApiError> {
    if home.remains().is_empty() {
        home.require_account()?;
    }
    let lock = hold(home, "account repair")?;
    let there = |file: PathBuf| std::fs::symlink_metadata(file).is_ok();
    if !there(home.store()) || !there(home.store_key()) {
        return Err(cannot(home));
    }
    keys::check(home).map_err(|error| aside_of(home, error))?;
    let key = keys::unwrap_key(home, secret()?)?;
    let mut aside = Vec::new();
    let db = match store::peek(&home.store(), key.as_bytes()) {
        Err(StoreError::ForeignLog) => {
            aside.push(replace::set_aside(&store::log::path(&home.store()), now_ms())?);
            store::peek(&home.store(), key.as_bytes())
        }
        opened => opened,
    };
    let db = db.map_err(|error| unusable(home, error))?;
    let own = store::account::load(&db).map_err(|error| unusable(home, error))?;
    let never_used = store::account::mailbox_state(&db)?.0.is_none();
    drop(db);
    if never_used && !home.has_account() {
        return Err(unfinished(home, &own));
    }

    let account = account_view(&own, &home.path().display().to_string());
    let found = Facts::read(home);
    let whole = Facts::of(&account) == found;
    if !whole {
        // It may be another account's, put here by mistake.
        if there(home.account_file()) && !found.id.is_empty() && found.id != account.id {
            aside.push(replace::set_aside(&home.account_file(), now_ms())?);
        }
        publish(home, &own)?;
    }
    drop(lock);
    Ok(Repaired { account, written: !whole, aside })
}

/// Gives all that lies here of an account dated names, so that a new one or a backup has room. Nothing is opened or deleted.
///
/// # Errors
/// [`ErrorKind::NoAccount`] when there is nothing, [`ErrorKind::AccountBusy`]; [`ErrorKind::Storage`], and what was set aside until then
/// stays so.
pub fn set_aside(home: &Home) -> Result<Vec<PathBuf>, ApiError> {
    if home.remains().is_empty() {
        home.require_account()?;
    }
    let _lock = hold(home, "account repair")?;
    let now = now_ms();
    // `account.json` comes first: an account that is half set aside is found as a lost one, and can be set aside again.
    home.remains().iter().map(|file| replace::set_aside(file, now)).collect()
}

/// Its relay may not know the account yet, and only `init` registers one.
fn unfinished(home: &Home, own: &Own) -> ApiError {
    let (handle, relay) = (clean_line(&own.handle), clean_line(own.relay.as_str()));
    let message = format!("an init for {handle} at {relay} was interrupted in {}", home.path().display());
    let hint = format!("run it again as it was, and it goes on: subrosa init --relay {relay} --name {handle}");
    ApiError::new(ErrorKind::DamagedStore, message).hint(hint)
}

fn cannot(home: &Home) -> ApiError {
    home.lost().unwrap_or_else(|| {
        let missing = if std::fs::symlink_metadata(home.store_key()).is_ok() { "store.db" } else { "store.key" };
        let message = format!("{} is missing in {}", missing, home.path().display());
        let what = if missing == "store.key" {
            "without it nobody can open store.db"
        } else {
            "the messages and keys of the account are in it and nowhere else"
        };
        ApiError::new(ErrorKind::DamagedStore, message).hint(format!(
            "{what}: put it back from a copy of the directory; if there is none, make room: {} --set-aside (nothing is deleted), \
             and then go back to a backup: subrosa restore FILE",
            home.repair_command()
        ))
    })
}

/// The store cannot be used as it is, and nothing else knows what the account is.
fn unusable(home: &Home, error: StoreError) -> ApiError {
    aside_of(home, error.into())
}

/// What helps when one of the two files does not fit any more.
fn aside_of(home: &Home, error: ApiError) -> ApiError {
    if error.code != ErrorKind::DamagedStore {
        return error;
    }
    let repair = home.repair_command();
    error.hint(format!(
        "put store.db and store.key back from one copy of the directory; if there is none, make room: {repair} --set-aside (nothing \
         is deleted), and then go back to a backup: subrosa restore FILE"
    ))
}
