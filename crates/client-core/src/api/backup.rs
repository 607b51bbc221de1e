//! Backups of the store.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::AccountInfo;

/// A text that is never shown: it is wiped when dropped, and its debug form says nothing.
#[derive(Clone, Serialize, Deserialize, JsonSchema, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Parameters of `backup`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupParams {
    /// The file to make, an absolute path. The engine writes it, readable by its owner only.
    pub path: String,
    /// Replace a file of this name.
    #[serde(default)]
    pub force: bool,
    /// What encrypts it: made of a passphrase by whoever asks for the backup.
    pub key: FileKey,
}

/// A backup was made, read back and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupMade {
    /// The file.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Account id.
    pub account: String,
    /// As of when.
    pub created_ms: u64,
    /// Messages in it.
    pub messages: u64,
    /// Contacts in it.
    pub contacts: u64,
}

/// An account stands again, as of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    /// The account.
    pub account: AccountInfo,
    /// As of when.
    pub created_ms: u64,
    /// Messages in it.
    pub messages: u64,
    /// Contacts in it.
    pub contacts: u64,
}

/// The key of one backup and how it was made of the passphrase: the passphrase stays in the process where it was typed,
/// the engine gets this. Good for one file only.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileKey {
    /// Argon2id memory.
    pub memory_kib: u32,
    /// Argon2id passes.
    pub passes: u32,
    /// Argon2id lanes.
    pub lanes: u32,
    /// 16 random bytes, hexadecimal.
    pub salt: String,
    /// 32 bytes, hexadecimal.
    pub key: Secret,
}
