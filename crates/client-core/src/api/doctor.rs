//! What `doctor` finds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckLevel {
    /// As it should be.
    Ok,
    /// It works, and will not for ever or not as well as it could.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Stable name: `home`, `store`, `relay`, …
    pub name: String,
    /// `false` only when it does not work.
    pub ok: bool,
    /// How well it is.
    pub level: CheckLevel,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    /// As it should be.
    #[must_use]
    pub fn fine(name: &str, message: impl Into<String>) -> Self {
        Self { name: name.to_owned(), ok: true, level: CheckLevel::Ok, message: message.into(), fix: None }
    }

    /// Works, but.
    #[must_use]
    pub fn warn(name: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: CheckLevel::Warn, fix: Some(fix.into()), ..Self::fine(name, message) }
    }

    /// Does not work.
    #[must_use]
    pub fn fail(name: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { ok: false, level: CheckLevel::Fail, fix: Some(fix.into()), ..Self::fine(name, message) }
    }
}

/// What the engine finds of itself: store, space, relay, tls, mailbox, clock, prekeys, outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkup {
    /// In the order in which one thing needs the other.
    pub checks: Vec<Check>,
}
