//! Entries in the keyring of the system: the Secret Service on Linux and the BSDs, the keychain on macOS.

use std::{sync::mpsc, time::Duration};

use keyring::{Entry, Error};
use zeroize::Zeroizing;

use super::KEY_BYTES;
use crate::api::{ApiError, ErrorKind};

/// Under which name the entries stand.
const SERVICE: &str = "subrosa";

/// Unlocking a keyring may ask a person.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(super) fn read(name: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, ApiError> {
    let bytes = Zeroizing::new(on_own_thread(name, |entry| entry.get_secret())?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() != KEY_BYTES {
        return Err(ApiError::new(ErrorKind::BadPassphrase, format!("the keyring's entry {name:?} is not of subrosa"))
            .hint("restore it; without what opens it the store cannot be read"));
    }
    key.copy_from_slice(&bytes);
    Ok(key)
}

pub(super) fn write(name: &str, key: &Zeroizing<[u8; KEY_BYTES]>) -> Result<(), ApiError> {
    let key = key.clone();
    on_own_thread(name, move |entry| entry.set_secret(&key[..]))
}

/// An entry that is gone is removed.
pub(super) fn remove(name: &str) -> Result<(), ApiError> {
    on_own_thread(name, |entry| match entry.delete_credential() {
        Err(Error::NoEntry) => Ok(()),
        result => result,
    })
}

/// The bus is spoken to on a thread of its own: it has an executor of its own, and may not answer.
fn on_own_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&Entry) -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    let (sender, done) = mpsc::channel();
    let entry = name.to_owned();
    std::thread::spawn(move || {
        let result = Entry::new(SERVICE, &entry).and_then(|entry| work(&entry)).map_err(|error| match error {
            // It says that there is no keyring, not why.
            Error::NoDefaultStore => {
                Entry::store_status().as_ref().err().map_or(error.to_string(), ToString::to_string)
            }
            error => error.to_string(),
        });
        // Nobody waits any more after the timeout.
        let _ = sender.send(result);
    });
    let failed = |why: &str| {
        ApiError::new(ErrorKind::BadPassphrase, format!("the keyring of this system cannot be used: {why}")).hint(
            "no keyring runs in a container or over ssh: take --passphrase-file, --passphrase-command or --key-file there; \
             on a desktop start or unlock it (gnome-keyring, kwallet, KeePassXC)",
        )
    };
    match done.recv_timeout(TIMEOUT) {
        Ok(result) => result.map_err(|why| failed(&why)),
        Err(_) => Err(failed("it does not answer")),
    }
}
