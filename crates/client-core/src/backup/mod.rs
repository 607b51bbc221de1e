//! Backups: one file that holds a consistent copy of the store, encrypted under a passphrase of its own.
//!
//! ```text
//! header   "SUBROSAB" ‖ version ‖ Argon2id memory, passes, lanes ‖ salt            (in the clear, authenticated)
//! payload  length ‖ manifest (JSON) ‖ key of the copy ‖ the copy: an SQLCipher database
//! ```
//! The payload is sealed in chunks ([`seal`]). The copy is an encrypted database under a random key made for it, so that
//! nothing readable ever lies on a disk, neither while a backup is made nor while it is restored; and the key of the
//! account's own store is in no backup. `docs/protocol.md` describes every byte.

pub(crate) mod copy;
pub(crate) mod make;
pub(crate) mod seal;

use serde::{Deserialize, Serialize};

pub(crate) use self::make::{BackupSource, make};
pub use self::seal::derive;
pub use crate::api::FileKey;

/// Key of the copied store.
const KEY_BYTES: usize = 32;

/// Longest manifest: it holds a few names and numbers.
const MAX_MANIFEST_BYTES: u32 = 16 * 1024;

/// What the copy is called while the backup is made or restored: the file's name and this.
pub(crate) const COPY_SUFFIX: &str = "partial-store";

/// What a backup says of itself, inside the encryption. Version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) v: u32,
    pub(crate) created_ms: u64,
    /// The program that made it.
    pub(crate) program: String,
    pub(crate) account: String,
    pub(crate) handle: String,
    pub(crate) relay: String,
    pub(crate) device: u32,
    pub(crate) messages: u64,
    pub(crate) contacts: u64,
    pub(crate) store_bytes: u64,
}

#[cfg(test)]
mod tests;
