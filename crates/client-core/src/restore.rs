//! Makes an account's directory of a backup. Before the account is there, its store is marked: sessions only decrypt, the
//! prekeys are new, and the person is told. An older copy therefore never seals with a ratchet that has gone on elsewhere.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write as _},
    path::Path,
};

use tokio_util::sync::CancellationToken;

use crate::backup::{
    COPY_SUFFIX,
    copy::{Counts, check, copy},
    make::{pump, read_head},
    seal::{Cipher, Header, Opener},
};
use crate::{
    account::{Made, claim, publish, refuse_remains},
    api::{ApiError, ErrorKind, Restored},
    files::storage_error,
    home::Home,
    keys::{Passphrase, StoreKey},
    new_file::{Partial, beside},
    store::{self, new::NewStore},
};

/// Restores `file` into the directory that `place` chooses, knowing the account's handle. `own_key` makes the new store's key
/// there once the backup has proven to open. If anything fails, nothing is left of what was made here, and what was there before
/// is as it was. Takes as long as the store is large: not for asynchronous threads.
///
/// # Errors
/// An account stands there, or parts of one; the file is no backup or damaged, the passphrase does not open it, the disk is full.
pub fn restore(
    place: impl FnOnce(&str) -> Result<Home, ApiError>,
    file: &Path,
    passphrase: &Passphrase,
    own_key: impl FnOnce(&Home) -> Result<StoreKey, ApiError>,
    stop: &CancellationToken,
) -> Result<Restored, ApiError> {
    let cannot = |error: io::Error| storage_error("read", file, &error);
    let mut input = BufReader::new(File::open(file).map_err(cannot)?);
    let header = Header::read(&mut input)?;
    let key = header.derive(passphrase)?;
    let mut payload = Opener::new(input, Cipher::new(header, &key));
    let head = read_head(&mut payload);
    let (manifest, copy_key) = head.map_err(|error| {
        if payload.has_opened() {
            return damaged(&error);
        }
        ApiError::new(ErrorKind::BadPassphrase, "the passphrase does not open this backup, or its beginning is damaged")
            .hint("it is the passphrase that was given to `subrosa backup`, not the account's")
    })?;

    let home = &place(&manifest.handle)?;
    let _lock = claim(home, "restore")?;
    refuse_remains(home)?;
    let mut made = Made::nothing(home);
    let copied = Partial::create(beside(&home.store(), COPY_SUFFIX))?;
    let mut out = BufWriter::new(&copied.file);
    pump(&mut payload, &mut out, stop).and_then(|_| out.flush()).map_err(|error| match error.kind() {
        _ if stop.is_cancelled() => ApiError::new(ErrorKind::Failed, "stopped before it was finished"),
        io::ErrorKind::InvalidData => damaged(&error),
        _ => storage_error("write", home.path(), &error).hint("is the disk full?"),
    })?;
    drop(out);
    let counts = Counts { messages: manifest.messages, contacts: manifest.contacts };
    if copied.file.metadata().map_err(cannot)?.len() != manifest.store_bytes {
        return Err(damaged(&io::Error::other("its store has another length")));
    }
    check(&copied.path, &copy_key, counts, stop)?;

    // The new store has a key of its own: who opens the backup some day does not have that of the account.
    let store_key = made.key(own_key)?;
    let name = home.store();
    let new = NewStore::begin(&name)?;
    copy((&copied.path, &copy_key), (new.path(), store_key.as_bytes()), stop)?;
    let db = store::open(new.path(), store_key.as_bytes(), false)?;
    let own = crate::engine::begin_restored(db, home)?;
    check(new.path(), store_key.as_bytes(), counts, stop)?;
    made.store(new)?;
    let account = publish(home, &own)?;
    made.keep();
    Ok(Restored { account, created_ms: manifest.created_ms, messages: counts.messages, contacts: counts.contacts })
}

fn damaged(error: &io::Error) -> ApiError {
    ApiError::new(ErrorKind::Failed, format!("the backup is damaged: {error}")).hint("use another copy of it")
}
