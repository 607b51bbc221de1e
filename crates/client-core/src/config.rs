//! Settings: one table of what there is. [`file`] keeps what differs from the default, [`edit`] changes one line of it.
//!
//! What counts is, in this order: a flag of the command line, `SUBROSA_NAME` in the environment, the file, the default. The file
//! holds no secrets, and what it holds that this version does not know is reported and kept. A part of the program that has
//! settings of its own adds rows to [`SETTINGS`]; a dot in the name (`tui.theme`) is a table in the file.

mod edit;
mod file;

use std::{fmt, time::Duration};

use toml_edit::{Item, Value};

use crate::{
    api::{ApiError, ErrorKind},
    keep,
};

pub use crate::times::duration;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::file::hold;
pub use self::file::{CONFIG_FILE, Config, ConfigFile};

/// Longest text a setting takes: a URL or a command line fits, a whole file by mistake does not.
const MAX_TEXT_CHARS: usize = 1024;

/// What a setting can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `500ms`, `20s`, `5m`, `1h`, `7d`.
    Time,
    /// Such a time, or `off`.
    TimeOrOff,
    /// How long messages are kept: `90d`, `1y`, or `off` ([`crate::keep`]).
    Keep,
    /// Any text of one line; empty means none.
    Text,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("on or off"),
            Self::Choice(words) => f.write_str(&words.join(", ")),
            Self::Time => f.write_str("a time such as 500ms, 20s, 5m or 1h"),
            Self::TimeOrOff => f.write_str("a time such as 5m or 1h, or off"),
            Self::Keep => f.write_str("a time of a day or longer such as 90d, 8w or 1y, or off"),
            Self::Text => f.write_str("text of one line"),
        }
    }
}

impl Kind {
    /// The setting in the one way it is written.
    ///
    /// # Errors
    /// Why it cannot be that.
    pub fn check(self, text: &str) -> Result<String, String> {
        match self {
            Self::Switch => match text.trim().to_ascii_lowercase().as_str() {
                "on" | "true" | "yes" | "1" => Ok("on".to_owned()),
                "off" | "false" | "no" | "0" => Ok("off".to_owned()),
                _ => Err(format!("{text:?} is neither on nor off")),
            },
            Self::Choice(words) => {
                let word = text.trim().to_ascii_lowercase();
                if words.contains(&word.as_str()) {
                    Ok(word)
                } else {
                    Err(format!("{text:?} is not one of {}", words.join(", ")))
                }
            }
            Self::Time => duration(text).map(|_| text.to_owned()),
            Self::TimeOrOff => match text.trim().to_ascii_lowercase().as_str() {
                "off" | "false" | "no" => Ok("off".to_owned()),
                text => match duration(text)? {
                    Duration::ZERO => Err("it would be over at once; never is off".to_owned()),
                    _ => Ok(text.to_owned()),
                },
            },
            Self::Keep => keep::for_all(text).map(|keep| keep.to_string()),
            Self::Text if text.chars().count() > MAX_TEXT_CHARS => {
                Err(format!("longer than {MAX_TEXT_CHARS} characters"))
            }
            Self::Text if text.chars().any(char::is_control) => {
                Err("it has line ends or control characters".to_owned())
            }
            Self::Text => Ok(text.trim().to_owned()),
        }
    }

    /// As it stands in the file: switches are TOML booleans, everything else is text.
    fn to_toml(self, text: &str) -> Value {
        match self {
            Self::Switch => Value::from(text == "on"),
            _ => Value::from(text),
        }
    }

    /// What stands in the file, as the command line writes it.
    fn read_toml(self, item: &Item) -> Result<String, String> {
        if let Some(text) = item.as_str() {
            return self.check(text);
        }
        if let (Self::TimeOrOff | Self::Keep, Some(false)) = (self, item.as_bool()) {
            return Ok("off".to_owned());
        }
        if let (Self::Switch, Some(on)) = (self, item.as_bool()) {
            return Ok(if on { "on" } else { "off" }.to_owned());
        }
        Err(format!("it is {}, not {self}", item.type_name()))
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name; a dot separates the table.
    pub name: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// What it is if nobody says anything.
    pub default: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
}

impl Setting {
    /// The environment variable that overrides the file.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("SUBROSA_{}", self.name.replace(['.', '-'], "_").to_ascii_uppercase())
    }
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "account",
        kind: Kind::Text,
        default: "",
        about: "the account that is used unless --account names another (set by `subrosa account use`)",
    },
    Setting {
        name: "read_receipts",
        kind: Kind::Switch,
        default: "on",
        about: "tell the writers of messages when you have read them",
    },
    Setting {
        name: "delivery_receipts",
        kind: Kind::Switch,
        default: "on",
        about: "tell the writers of messages that they arrived; read receipts say so, too",
    },
    Setting {
        name: "keep",
        kind: Kind::Keep,
        default: "off",
        about: "delete messages here that are older, such as 1y; off: they are kept for ever (for one chat: `subrosa chat set`)",
    },
    Setting {
        name: "lock_timeout",
        kind: Kind::Time,
        default: "5s",
        about: "how long to wait for another command that has the account",
    },
    Setting {
        name: "proxy",
        kind: Kind::Text,
        default: "",
        about: "reach relays through this SOCKS5 proxy only (for Tor: socks5h://127.0.0.1:9050)",
    },
    Setting {
        name: "ca_file",
        kind: Kind::Text,
        default: "",
        about: "believe the certificate authorities in this PEM file, too: for a company's own",
    },
    Setting {
        name: "colour",
        kind: Kind::Choice(&["auto", "always", "never"]),
        default: "auto",
        about: "colours: auto looks at the terminal and NO_COLOR",
    },
    Setting {
        name: "ascii",
        kind: Kind::Switch,
        default: "off",
        about: "signs in ASCII (. + ++) even where the terminal has more",
    },
    Setting {
        name: "tui.profile",
        kind: Kind::Choice(&["vim", "emacs", "plain"]),
        default: "vim",
        about: "whose habits the interface's keys follow; single keys are changed in [tui.keys]",
    },
    Setting {
        name: "tui.theme",
        kind: Kind::Text,
        default: "",
        about: "calm, calm-light, contrast, dusk or plain; none: as the terminal's background is. [tui.colours] changes colours",
    },
    Setting {
        name: "tui.notify",
        kind: Kind::Choice(&["bell", "osc9", "osc777", "off"]),
        default: "bell",
        about: "how the interface tells that somebody wrote while nobody looked",
    },
    Setting {
        name: "tui.preview",
        kind: Kind::Choice(&["full", "sender", "none"]),
        default: "sender",
        about: "how much a notification says",
    },
    Setting {
        name: "tui.mouse",
        kind: Kind::Switch,
        default: "on",
        about: "the interface takes the mouse; off: the terminal selects text with it",
    },
    Setting {
        name: "tui.hyperlinks",
        kind: Kind::Switch,
        default: "on",
        about: "the terminal opens web addresses in messages (OSC 8); off: they are text",
    },
    Setting {
        name: "tui.lock_after",
        kind: Kind::TimeOrOff,
        default: "off",
        about: "the interface hides everything after so long without a key; off: screens are locked by the system, for all programs at once",
    },
];

/// Tables whose names are free: commands and their keys, roles and their colours. The interface reads them itself.
const FREE_TABLES: &[&str] = &["tui.keys", "tui.colours"];

/// The setting of that name.
///
/// # Errors
/// [`ErrorKind::Usage`]: there is none; the hint names those there are.
pub fn setting(name: &str) -> Result<&'static Setting, ApiError> {
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
        let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        ApiError::new(ErrorKind::Usage, format!("there is no setting named {name:?}"))
            .hint(format!("there are: {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for setting in SETTINGS {
            assert_eq!(setting.kind.check(setting.default).as_deref(), Ok(setting.default), "{}", setting.name);
            assert!(setting.name.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c)), "{}", setting.name);
            assert!(!setting.about.is_empty() && !setting.about.ends_with('.'), "{}", setting.name);
        }
    }
}
