//! What this machine holds: its accounts, its settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EngineOwner;

/// An account of this machine, as it is known without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalAccount {
    /// Local name, for `--account`.
    pub account: String,
    /// Account id.
    pub id: String,
    /// Handle at the relay.
    pub name: String,
    /// Relay URL.
    pub relay: String,
    /// This installation's device number.
    pub device: u32,
    /// Whether it is meant when no account is named.
    pub current: bool,
    /// Who runs its engine now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineOwner>,
    /// What opens it, for people; never the secret.
    pub opens_with: String,
    /// Directory that holds everything of it.
    pub data_dir: String,
}

/// Who says what a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingOrigin {
    /// Nobody: it is what it is by default.
    Default,
    /// The settings file.
    File,
    /// An environment variable.
    Environment,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingInfo {
    /// Its name.
    pub name: String,
    /// What it is; empty for none.
    pub value: String,
    /// Who says so.
    pub origin: SettingOrigin,
    /// What it is by default.
    pub default: String,
    /// What it can be.
    pub kind: String,
    /// What it does.
    pub about: String,
}

/// Where the settings are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigPath {
    /// The file; it is there only when something differs from the default.
    pub path: String,
}
