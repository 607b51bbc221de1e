//! `account.json`: what is known of an account without what opens it.

use std::{fs, io::Read as _};

use serde::{Deserialize, Serialize};

use crate::{api::AccountInfo, home::Home};

/// `account.json` has about 300 bytes; more is not one.
const MAX_FACTS_BYTES: u64 = 16 * 1024;

/// Public facts beside the store, readable without what opens it: `account.json`, version 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    #[serde(default)]
    pub(crate) v: u32,
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) relay: String,
    #[serde(default)]
    pub(crate) device: u32,
}

impl Facts {
    /// What the file of this account says.
    pub(crate) fn of(account: &AccountInfo) -> Self {
        Self {
            v: 1,
            id: account.id.clone(),
            name: account.name.clone(),
            relay: account.relay.clone(),
            device: account.device,
        }
    }

    /// What the file says; nothing where it is not one.
    pub(crate) fn read(home: &Home) -> Self {
        let mut content = Vec::new();
        let read =
            fs::File::open(home.account_file()).and_then(|file| file.take(MAX_FACTS_BYTES).read_to_end(&mut content));
        read.ok().and_then(|_| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }
}
