//! The store's key, and the passphrase that wraps it.
//!
//! The store is encrypted with 32 random bytes. They lie in `store.key`, wrapped with AES-256-GCM
//! under a key that Argon2id makes of the passphrase, or HKDF of a random key from a file or a keyring:
//! a new passphrase rewrites one small file, not the store. The file's parameters are authenticated,
//! and bounded before they are believed. Where the secret comes from stands beside it ([`KeySource`]).

mod keyring;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    api::{ApiError, ErrorKind},
    clean::clean_line,
    files::storage_error,
    home::Home,
    store,
};

pub use self::source::{KeySource, StoreSecret};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::source::{key_file_line, key_in};

/// Argon2id memory in KiB. 64 MiB and two passes: above the OWASP minimum (19 MiB, 2), about a tenth of a second on a
/// small machine, and it fits next to everything else on a 512 MiB one.
pub const ARGON2_MEMORY_KIB: u32 = 64 * 1024;

/// Argon2id passes; see [`ARGON2_MEMORY_KIB`].
pub const ARGON2_PASSES: u32 = 2;

/// Argon2id lanes: one, as more help only who has more cores to attack with.
pub const ARGON2_LANES: u32 = 1;

/// Most memory a `store.key` may ask for (1 GiB): the file is read before anything proves who wrote it.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;

/// Most passes a `store.key` may ask for; with [`MAX_MEMORY_KIB`] a hostile file costs seconds, not hours.
const MAX_PASSES: u32 = 16;

/// Most lanes a `store.key` may ask for.
const MAX_LANES: u32 = 8;

/// Least memory that is accepted: below it somebody weakened the file.
const MIN_MEMORY_KIB: u32 = 19 * 1024;

/// A `store.key` has about 300 bytes; more is not one.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// Longest passphrase: a first line longer than this is a wrong file.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;

/// Version of `store.key` as it is written: 2 remembers where the secret comes from, and may do without Argon2id.
const KEY_FILE_VERSION: u32 = 2;

/// The first version: a passphrase, and nothing about where it comes from.
const KEY_FILE_VERSION_1: u32 = 1;

/// The derivation for passphrases.
const ARGON2ID: &str = "argon2id";

/// The derivation for random keys.
const HKDF_SHA256: &str = "hkdf-sha256";

/// What HKDF makes of a random key.
const RANDOM_KEY_LABEL: &[u8] = b"Subrosa store key from a random key";

/// What the wrapping is bound to, before its parameters.
const WRAP_LABEL: &[u8] = b"Subrosa store key v1";

const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// The key of the encrypted store: 32 random bytes, wiped when dropped, never shown.
#[derive(Zeroize, ZeroizeOnDrop)]
// A simulated program starts again in the same process.
#[cfg_attr(feature = "simulation", derive(Clone))]
pub struct StoreKey([u8; KEY_BYTES]);

impl StoreKey {
    /// The bytes, for the store alone.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// What opens the store's key; wiped when dropped, never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

/// A passphrase from a file, and whether others may read that file.
pub struct PassphraseFile {
    /// The passphrase.
    pub passphrase: Passphrase,
    /// `true`: other users of the machine can read the file; worth a warning.
    pub exposed: bool,
}

impl Passphrase {
    /// A typed passphrase.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] when it is empty or longer than [`MAX_PASSPHRASE_BYTES`].
    pub fn typed(text: Zeroizing<String>) -> Result<Self, ApiError> {
        Self::checked(Zeroizing::new(text.as_bytes().to_vec()), "the passphrase")
    }

    /// The first line of a file, without its line end. The file may be a pipe.
    ///
    /// # Errors
    /// [`ErrorKind::BadPassphrase`] when the file cannot be read, or its first line is empty or too long.
    pub fn from_file(path: &Path) -> Result<PassphraseFile, ApiError> {
        let failed = |error: std::io::Error| {
            ApiError::new(
                ErrorKind::BadPassphrase,
                format!("cannot read the passphrase file {}: {error}", path.display()),
            )
            .hint("name a readable file with --passphrase-file or SUBROSA_PASSPHRASE_FILE")
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let pipe = metadata.file_type().is_fifo() || metadata.file_type().is_char_device();
        let exposed = !pipe && metadata.mode() & 0o077 != 0;
        // One more than allowed, and a line end: enough to tell a too long line from one that just fits.
        let limit = MAX_PASSPHRASE_BYTES + 3;
        let mut content = Zeroizing::new(Vec::with_capacity(limit));
        file.take(limit as u64).read_to_end(&mut content).map_err(failed)?;
        let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let origin = format!("the first line of {}", path.display());
        let passphrase = Self::checked(Zeroizing::new(line.to_vec()), &origin)?;
        Ok(PassphraseFile { passphrase, exposed })
    }

    /// The bytes, for what derives keys of them.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn checked(bytes: Zeroizing<Vec<u8>>, what: &str) -> Result<Self, ApiError> {
        if bytes.is_empty() {
            return Err(ApiError::new(ErrorKind::BadPassphrase, format!("{what} is empty"))
                .hint("an empty passphrase would protect nothing: use several words"));
        }
        if bytes.len() > MAX_PASSPHRASE_BYTES {
            return Err(ApiError::new(
                ErrorKind::BadPassphrase,
                format!("{what} is longer than {MAX_PASSPHRASE_BYTES} bytes"),
            )
            .hint("is this the right file?"));
        }
        Ok(Self(bytes))
    }
}

/// `store.key`.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    v: u32,
    /// Absent in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<KeySource>,
    kdf: String,
    /// Argon2id's parameters; 0 without it.
    #[serde(default)]
    m_kib: u32,
    #[serde(default)]
    t: u32,
    #[serde(default)]
    p: u32,
    salt: String,
    nonce: String,
    wrapped: String,
}

/// Makes a new store key and writes it, wrapped, to the account's directory. One that lies there already (an `init` or a restore was
/// killed right after making it) is never overwritten: if this secret opens it, it is the key, and else nothing is done. With a
/// passphrase it takes about a tenth of a second.
///
/// # Errors
/// [`ErrorKind::Failed`] when an account is already there or the system has no randomness; [`ErrorKind::BadPassphrase`] and
/// [`ErrorKind::DamagedStore`] for a key that is there and does not open; [`ErrorKind::Storage`].
pub fn create(home: &Home, secret: impl Into<StoreSecret>) -> Result<StoreKey, ApiError> {
    if home.has_account() {
        return Err(ApiError::new(
            ErrorKind::Failed,
            format!("there is already an account in {}", home.path().display()),
        )
        .hint("choose another directory with --home"));
    }
    let secret = secret.into();
    if std::fs::symlink_metadata(home.store_key()).is_ok() {
        return unwrap_key(home, secret).map_err(|error| match home.lost() {
            Some(lost) => {
                let message = format!("{}, and it does not open: {}", lost.message, error.message);
                ApiError { code: error.code, message, ..lost }
            }
            None => error,
        });
    }
    let mut key = StoreKey([0; KEY_BYTES]);
    fill(&mut key.0)?;
    let json = wrap(&key, &secret)?;
    home.create()?;
    home.write_private(&home.store_key(), &json)?;
    Ok(key)
}

/// Opens the store's key. With a passphrase it takes about a tenth of a second: keep it off the threads that serve others.
///
/// # Errors
/// [`ErrorKind::NoAccount`], [`ErrorKind::BadPassphrase`], [`ErrorKind::DamagedStore`] when `store.key` is missing or not one.
pub fn unlock(home: &Home, secret: impl Into<StoreSecret>) -> Result<StoreKey, ApiError> {
    home.require_account()?;
    unwrap_key(home, secret)
}

/// As [`unlock`], whether or not an account stands here yet.
pub(crate) fn unwrap_key(home: &Home, secret: impl Into<StoreSecret>) -> Result<StoreKey, ApiError> {
    unwrap(home, &read(home)?, &secret.into())
}

/// Whether `store.key` is there and one, before anybody is asked for what opens it.
///
/// # Errors
/// [`ErrorKind::DamagedStore`] with the way back.
pub fn check(home: &Home) -> Result<(), ApiError> {
    read(home).map(drop)
}

/// Where what opens the account comes from, as it was chosen. An account that cannot tell asks.
#[must_use]
pub fn remembered(home: &Home) -> KeySource {
    read(home).ok().and_then(|file| file.source).unwrap_or(KeySource::Ask)
}

/// Whether the account opens with a random key, not a passphrase.
#[must_use]
pub fn takes_random_key(home: &Home) -> bool {
    read(home).is_ok_and(|file| file.kdf == HKDF_SHA256)
}

/// Wraps the store's key anew: from now on `new` opens the account, `old` does not. The store's key stays, so an engine that
/// runs goes on. One file is replaced in one step; what was written is proven to open before it takes the old one's place.
///
/// # Errors
/// As [`unlock`] for `old`; [`ErrorKind::DamagedStore`] when the key does not open the store; [`ErrorKind::Storage`]. Then `old` still
/// opens the account.
pub fn change(home: &Home, old: impl Into<StoreSecret>, new: &StoreSecret) -> Result<(), ApiError> {
    home.require_account()?;
    let failed = |error: std::io::Error| storage_error("lock", home.path(), &error);
    // Two changes at once come one after the other: the second finds that its old secret opens nothing.
    let directory = File::open(home.path()).map_err(failed)?;
    directory.lock().map_err(failed)?;
    let key = unwrap_key(home, old)?;
    // The key of another store stays as it is: whoever it belongs to has only this passphrase for it.
    drop(store::peek(&home.store(), key.as_bytes())?);
    let json = wrap(&key, new)?;
    let written = serde_json::from_slice(&json)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("store.key cannot be written: {error}")))?;
    let again = unwrap(home, &written, new)?;
    if again.0 != key.0 {
        return Err(ApiError::new(ErrorKind::Failed, "the new wrapping does not open: nothing was changed"));
    }
    home.write_private(&home.store_key(), &json)
}

fn fill(bytes: &mut [u8]) -> Result<(), ApiError> {
    subrosa_ambient::fill(bytes)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))
}

/// `store.key` with this key under this secret.
fn wrap(key: &StoreKey, secret: &StoreSecret) -> Result<Vec<u8>, ApiError> {
    let mut salt = [0; SALT_BYTES];
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut salt)?;
    fill(&mut nonce)?;
    let (kdf, m_kib, t, p) = if secret.is_random {
        (HKDF_SHA256, 0, 0, 0)
    } else {
        (ARGON2ID, ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES)
    };
    let mut file = KeyFile {
        v: KEY_FILE_VERSION,
        source: Some(secret.source.clone()),
        kdf: kdf.to_owned(),
        m_kib,
        t,
        p,
        salt: hex::encode(salt),
        nonce: hex::encode(nonce),
        wrapped: String::new(),
    };
    let cipher = wrapping_cipher(&file, &salt, secret)?;
    let wrapped = cipher
        .encrypt(&nonce.into(), Payload { msg: key.as_bytes(), aad: &file.bound(&salt) })
        .map_err(|_| ApiError::new(ErrorKind::Failed, "the store's key cannot be wrapped"))?;
    file.wrapped = hex::encode(wrapped);
    serde_json::to_vec(&file)
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("store.key cannot be written: {error}")))
}

fn damaged(path: &Path, what: &str) -> ApiError {
    ApiError::new(ErrorKind::DamagedStore, format!("{} is damaged: {what}", path.display())).hint(
        "without it nobody can open store.db: put it back from a copy of the directory, or go back to a backup under another \
         local name: subrosa restore FILE --account OTHER-NAME",
    )
}

/// There is no `store.key`. An engine that still runs has the key in its memory: the last chance to save what there is.
fn missing(home: &Home) -> ApiError {
    let path = home.store_key();
    let error = ApiError { message: format!("{} is missing", path.display()), ..damaged(&path, "") };
    // Who looks holds the lock, too.
    match crate::lock::holder(home).filter(|owner| owner.pid != std::process::id()) {
        Some(owner) => error.hint(format!(
            "`subrosa {}` (pid {}) still has this account open: do not end it before you have made a backup: subrosa backup FILE",
            clean_line(&owner.kind),
            owner.pid
        )),
        None => error,
    }
}

/// Reads `store.key`.
fn read(home: &Home) -> Result<KeyFile, ApiError> {
    let path = home.store_key();
    let mut content = Vec::new();
    File::open(&path).and_then(|file| file.take(MAX_KEY_FILE_BYTES + 1).read_to_end(&mut content)).map_err(
        |error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(home),
            _ => storage_error("read", &path, &error),
        },
    )?;
    parse(&path, &content)
}

/// What stands in `store.key`, its parameters held to their bounds.
pub(crate) fn parse(path: &Path, content: &[u8]) -> Result<KeyFile, ApiError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let damaged = |what: &str| damaged(path, what);
    if content.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(damaged("it is too long"));
    }
    let newer = |what: String| {
        ApiError::new(ErrorKind::DamagedStore, format!("{} is from a newer program ({what})", path.display()))
            .hint("install the newest subrosa")
    };
    let Version { v } = serde_json::from_slice(content).map_err(|_| damaged("it is not a key file"))?;
    if !(KEY_FILE_VERSION_1..=KEY_FILE_VERSION).contains(&v) {
        return Err(newer(format!("version {v}")));
    }
    let file: KeyFile = serde_json::from_slice(content).map_err(|_| damaged("it is not a key file"))?;
    let in_bounds = match file.kdf.as_str() {
        ARGON2ID => {
            (MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&file.m_kib)
                && (1..=MAX_PASSES).contains(&file.t)
                && (1..=MAX_LANES).contains(&file.p)
        }
        HKDF_SHA256 => (file.m_kib, file.t, file.p) == (0, 0, 0),
        other => return Err(newer(format!("{other:?}"))),
    };
    if in_bounds { Ok(file) } else { Err(damaged("its cost parameters are out of bounds")) }
}

fn unwrap(home: &Home, file: &KeyFile, secret: &StoreSecret) -> Result<StoreKey, ApiError> {
    let path = home.store_key();
    let damaged = |what: &str| damaged(&path, what);
    let salt: [u8; SALT_BYTES] = decode(&file.salt).ok_or_else(|| damaged("its salt is not one"))?;
    let nonce: [u8; NONCE_BYTES] = decode(&file.nonce).ok_or_else(|| damaged("its nonce is not one"))?;
    let wrapped: [u8; KEY_BYTES + 16] = decode(&file.wrapped).ok_or_else(|| damaged("its wrapped key is not one"))?;
    let refused = |what: &str| {
        ApiError::new(ErrorKind::BadPassphrase, format!("{what} the account in {}", home.path().display())).hint(format!(
            "it opens with {}; name what you have with --passphrase-file, --passphrase-command or --key-file, another account \
             with --account",
            file.source.as_ref().unwrap_or(&KeySource::Ask)
        ))
    };
    match (secret.is_random, file.kdf == HKDF_SHA256) {
        (true, false) => return Err(refused("a passphrase, not a key, opens")),
        (false, true) => return Err(refused("a key, not a passphrase, opens")),
        _ => {}
    }
    let cipher = wrapping_cipher(file, &salt, secret)?;
    let what = if secret.is_random { "this key does not open" } else { "the passphrase does not open" };
    let key = cipher
        .decrypt(&nonce.into(), Payload { msg: &wrapped, aad: &file.bound(&salt) })
        .map(Zeroizing::new)
        .map_err(|_| refused(what))?;
    let mut store_key = StoreKey([0; KEY_BYTES]);
    store_key.0.copy_from_slice(&key);
    Ok(store_key)
}

impl KeyFile {
    /// The authenticated part: a file with changed parameters does not open.
    fn bound(&self, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
        let mut bound = WRAP_LABEL.to_vec();
        for number in [self.v, self.m_kib, self.t, self.p] {
            bound.extend_from_slice(&number.to_be_bytes());
        }
        bound.extend_from_slice(salt);
        bound
    }
}

fn wrapping_cipher(file: &KeyFile, salt: &[u8; SALT_BYTES], secret: &StoreSecret) -> Result<Aes256Gcm, ApiError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if file.kdf == HKDF_SHA256 {
        Hkdf::<Sha256>::new(Some(salt), &secret.bytes)
            .expand(RANDOM_KEY_LABEL, &mut key[..])
            .map_err(|_| ApiError::new(ErrorKind::Failed, "the wrapping key has the wrong length"))?;
    } else {
        let failed = |error: argon2::Error| {
            ApiError::new(ErrorKind::Failed, format!("the passphrase cannot be hashed: {error}"))
                .hint(format!("it takes {} MiB of memory", file.m_kib / 1024))
        };
        let params = Params::new(file.m_kib, file.t, file.p, Some(KEY_BYTES)).map_err(failed)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&secret.bytes, salt, &mut key[..])
            .map_err(failed)?;
    }
    Aes256Gcm::new_from_slice(&key[..])
        .map_err(|_| ApiError::new(ErrorKind::Failed, "the wrapping key has the wrong length"))
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
