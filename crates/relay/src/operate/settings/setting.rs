//! What a setting is.

use super::{Settings, VARIABLE};

/// One setting.
pub(crate) struct Setting {
    /// In the file, and behind `--`; the variable is upper case with underscores behind `SUBROSA_RELAY_`.
    pub(crate) key: &'static str,
    /// What a value is; empty for a switch.
    pub(crate) value: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
    /// Why its default is what it is.
    pub(crate) reason: &'static str,
    /// Reads a value; the error completes "VALUE …".
    pub(crate) set: fn(&mut Settings, &str) -> Result<(), String>,
    /// The value as `set` would read it; empty = none.
    pub(crate) show: fn(&Settings) -> String,
}

impl Setting {
    /// Its variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE}{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }
}
