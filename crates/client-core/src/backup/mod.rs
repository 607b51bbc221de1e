//! Backups: one file that holds a consistent copy of the store, encrypted under a passphrase of its own.
//!
//! ```text
//! header   "SUBROSAB" ‖ version ‖ Argon2id memory, passes, lanes ‖ salt            (in the clear, authenticated)
//! payload  length ‖ manifest (JSON) ‖ key of the copy ‖ the copy: an SQLCipher database
//! ```
//! The payload is sealed in chunks ([`seal`]). The copy is an encrypted database under a random key made for it, so that
//! nothing readable ever lies on a disk, neither while a backup is made nor while it is restored; and the key of the
//! account's own store is in no backup. `docs/protocol.md` describes every byte.

mod copy;
mod make;
mod restore;
pub(crate) mod seal;

use serde::{Deserialize, Serialize};

pub(crate) use self::make::{Source, make};
pub use self::{
    restore::restore,
    seal::{FileKey, derive},
};

/// Key of the copied store.
const KEY_BYTES: usize = 32;

/// Longest manifest: it holds a few names and numbers.
const MAX_MANIFEST_BYTES: u32 = 16 * 1024;

/// What the copy is called while the backup is made or restored: the file's name and this.
const COPY_SUFFIX: &str = "partial-store";

/// What a backup says of itself, inside the encryption. Version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    v: u32,
    created_ms: u64,
    /// The program that made it.
    program: String,
    account: String,
    handle: String,
    relay: String,
    device: u32,
    messages: u64,
    contacts: u64,
    store_bytes: u64,
}

#[cfg(test)]
mod tests;
