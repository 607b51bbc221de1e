//! Settings: one table of what there is, one TOML file of what differs from the default.
//!
//! What counts is, in this order: a flag of the command line, `SUBROSA_NAME` in the environment, the file, the default. The file
//! holds no secrets, and what it holds that this version does not know is reported and kept. A part of the program that has
//! settings of its own adds rows to [`SETTINGS`]; a dot in the name (`tui.theme`) is a table in the file.

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::{
    api::{ApiError, ErrorKind, SettingInfo, SettingOrigin},
    home::{create_private_directory, replace_private, storage_error},
};

/// The file's name.
pub const CONFIG_FILE: &str = "config.toml";

/// Largest file that is read: every setting there is takes a few hundred bytes.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;

/// Longest text a setting takes: a URL or a command line fits, a whole file by mistake does not.
const MAX_TEXT_CHARS: usize = 1024;

/// Longest time that is understood: everything longer is a typing mistake.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

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
            Self::Text => f.write_str("text of one line"),
        }
    }
}

impl Kind {
    /// The setting in the one way it is written, or why it cannot be that.
    fn check(self, text: &str) -> Result<String, String> {
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
        if let (Self::TimeOrOff, Some(false)) = (self, item.as_bool()) {
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

/// Where the settings are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile(PathBuf);

impl ConfigFile {
    /// The file at `path`, whether it is there or not.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the file; a missing one holds nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when it cannot be read, [`ErrorKind::Usage`] when it is not TOML or a setting in it cannot be that.
    pub fn load(&self) -> Result<Config, ApiError> {
        self.config(self.read()?)
    }

    fn config(&self, document: DocumentMut) -> Result<Config, ApiError> {
        let config = Config { document, environment: true };
        for setting in SETTINGS {
            config.in_file(setting).map_err(|why| self.wrong(setting, &why))?;
        }
        Ok(config)
    }

    /// Sets or, with `None`, forgets a setting. What is the default is not written; a file that holds nothing is removed.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a setting that does not exist or a value it cannot have, and those of the file.
    pub fn change(&self, name: &str, value: Option<&str>) -> Result<(), ApiError> {
        let setting = setting(name)?;
        let value = match value {
            None => None,
            Some(text) => {
                let checked = setting.kind.check(text).map_err(|why| {
                    ApiError::new(ErrorKind::Usage, format!("{name} cannot be that: {why}"))
                        .hint(format!("{name} is {}", setting.kind))
                })?;
                Some(checked).filter(|text| text != setting.default)
            }
        };
        // A link into somebody's collection of settings files stays one.
        let file = std::fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        let directory = file.parent().unwrap_or(Path::new(".")).to_path_buf();
        if value.is_none() && !file.exists() {
            return Ok(());
        }
        create_private_directory(&directory)?;
        let failed = |error: std::io::Error| storage_error("lock", &directory, &error);
        // Two commands that change settings at once do so one after the other.
        let lock = std::fs::File::open(&directory).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut document = self.read()?;
        let before = document.to_string();
        put(document.as_table_mut(), name, value.map(|text| setting.kind.to_toml(&text)));
        let text = document.to_string();
        if text == before {
            return Ok(());
        }
        if text.trim().is_empty() {
            return std::fs::remove_file(&file).map_err(|error| storage_error("remove", &file, &error));
        }
        replace_private(&directory, &file, text.as_bytes())
    }

    fn read(&self) -> Result<DocumentMut, ApiError> {
        let mut content = Vec::new();
        match std::fs::File::open(&self.0).and_then(|file| file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut content)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(DocumentMut::new()),
            Err(error) => return Err(storage_error("read", &self.0, &error)),
        }
        self.parse(content)
    }

    fn parse(&self, content: Vec<u8>) -> Result<DocumentMut, ApiError> {
        let wrong = |why: &str| {
            ApiError::new(ErrorKind::Usage, format!("{} is no settings file: {why}", self.0.display()))
                .hint("mend it, or move it away: every setting has a default")
        };
        if content.len() as u64 > MAX_CONFIG_BYTES {
            return Err(wrong("it is too long"));
        }
        let text = String::from_utf8(content).map_err(|_| wrong("it is not text"))?;
        text.parse::<DocumentMut>().map_err(|error| wrong(error.to_string().trim()))
    }

    fn wrong(&self, setting: &Setting, why: &str) -> ApiError {
        ApiError::new(ErrorKind::Usage, format!("{} in {} cannot be that: {why}", setting.name, self.0.display()))
            .hint(format!("it is {}; to forget it: subrosa config unset {}", setting.kind, setting.name))
    }
}

/// The settings as they were when they were read.
#[derive(Debug, Clone, Default)]
pub struct Config {
    document: DocumentMut,
    /// Whether the environment counts; not where there is no file that it could override.
    environment: bool,
}

impl Config {
    /// A setting: its value, and who says so.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a name that is none, and for an environment variable that does not fit.
    pub fn get(&self, name: &str) -> Result<SettingInfo, ApiError> {
        let setting = setting(name)?;
        let (value, origin) = match self.in_environment(setting)? {
            Some(value) => (value, SettingOrigin::Environment),
            None => match self.in_file(setting).ok().flatten() {
                Some(value) => (value, SettingOrigin::File),
                None => (setting.default.to_owned(), SettingOrigin::Default),
            },
        };
        Ok(SettingInfo {
            name: setting.name.to_owned(),
            value,
            origin,
            default: setting.default.to_owned(),
            kind: setting.kind.to_string(),
            about: setting.about.to_owned(),
        })
    }

    /// A setting that may be none.
    ///
    /// # Errors
    /// As [`Config::get`].
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(Some(self.get(name)?.value).filter(|text| !text.is_empty()))
    }

    /// A setting that is on or off.
    ///
    /// # Errors
    /// As [`Config::get`].
    pub fn is_on(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.get(name)?.value == "on")
    }

    /// A setting that is a time.
    ///
    /// # Errors
    /// As [`Config::get`].
    pub fn time(&self, name: &str) -> Result<Duration, ApiError> {
        duration(&self.get(name)?.value).map_err(|why| ApiError::new(ErrorKind::Usage, format!("{name}: {why}")))
    }

    /// What the file holds that this version does not know.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect_unknown(self.document.as_table(), "", &mut found);
        found
    }

    fn in_environment(&self, setting: &Setting) -> Result<Option<String>, ApiError> {
        if !self.environment {
            return Ok(None);
        }
        let variable = setting.variable();
        let Some(text) = std::env::var_os(&variable).filter(|text| !text.is_empty()) else { return Ok(None) };
        let checked =
            text.to_str().ok_or_else(|| "it is not text".to_owned()).and_then(|text| setting.kind.check(text));
        checked.map(Some).map_err(|why| {
            ApiError::new(ErrorKind::Usage, format!("the environment variable {variable} cannot be that: {why}"))
                .hint(format!("it is {}", setting.kind))
        })
    }

    fn in_file(&self, setting: &Setting) -> Result<Option<String>, String> {
        let mut item = self.document.as_item();
        for part in setting.name.split('.') {
            match item.get(part) {
                Some(inner) => item = inner,
                None => return Ok(None),
            }
        }
        setting.kind.read_toml(item).map(Some)
    }
}

fn put(table: &mut dyn TableLike, name: &str, value: Option<Value>) {
    let Some((first, rest)) = name.split_once('.') else {
        match value {
            // In place: what a person wrote beside it stays.
            Some(value) => match table.get_mut(name).and_then(Item::as_value_mut) {
                Some(old) => {
                    let decor = old.decor().clone();
                    *old = value;
                    *old.decor_mut() = decor;
                }
                None => drop(table.insert(name, Item::Value(value))),
            },
            None => drop(table.remove(name)),
        }
        return;
    };
    if value.is_none() && !table.contains_key(first) {
        return;
    }
    if !table.get(first).is_some_and(Item::is_table_like) {
        table.insert(first, toml_edit::table());
    }
    if let Some(inner) = table.get_mut(first).and_then(Item::as_table_like_mut) {
        put(inner, rest, value);
        if inner.is_empty() {
            table.remove(first);
        }
    }
}

fn collect_unknown(table: &dyn TableLike, above: &str, found: &mut Vec<String>) {
    for (key, item) in table.iter() {
        let name = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
        if SETTINGS.iter().any(|setting| setting.name == name) || FREE_TABLES.contains(&name.as_str()) {
            continue;
        }
        match item.as_table_like() {
            Some(inner) => collect_unknown(inner, &name, found),
            None => found.push(name),
        }
    }
}

/// `500ms`, `20s`, `5m`, `1h`, `7d`, or seconds without a unit.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("{text:?} is not a time such as 500ms, 20s, 5m, 1h or 7d");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let duration = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)?;
    if duration > MAX_DURATION { Err(format!("{text:?} is too long a time")) } else { Ok(duration) }
}

/// For [`crate::fuzzing`]: a settings file is refused with a way out, or every setting in it has a value that can be written
/// again; and changing one changes nothing else.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn hold(content: &[u8]) {
    let file = ConfigFile::at(CONFIG_FILE);
    let config = match file.parse(content.to_vec()).and_then(|document| file.config(document)) {
        Ok(config) => config,
        Err(error) => {
            assert!(error.code == ErrorKind::Usage && error.hint.is_some(), "{error}");
            return;
        }
    };
    let value = |document: &DocumentMut, setting: &Setting| {
        let config = Config { document: document.clone(), environment: false };
        config.in_file(setting)
    };
    for changed in SETTINGS {
        let before = value(&config.document, changed);
        assert!(
            before
                .as_ref()
                .is_ok_and(|text| text.as_ref().is_none_or(|text| changed.kind.check(text).as_ref() == Ok(text)))
        );
        let mut document = config.document.clone();
        put(document.as_table_mut(), changed.name, Some(changed.kind.to_toml(changed.default)));
        let again = document.to_string().parse::<DocumentMut>();
        assert!(again.is_ok(), "{}: {document}", changed.name);
        let again = again.unwrap_or_default();
        for setting in SETTINGS {
            let expected = if setting.name == changed.name {
                Ok(Some(changed.default.to_owned()))
            } else {
                value(&config.document, setting)
            };
            assert_eq!(value(&again, setting), expected, "{} after {} in {again}", setting.name, changed.name);
        }
    }
    assert!(config.unknown().len() <= content.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(place: &tempfile::TempDir) -> ConfigFile {
        ConfigFile::at(place.path().join("deep").join(CONFIG_FILE))
    }

    fn on_disk(file: &ConfigFile) -> Option<String> {
        std::fs::read_to_string(file.path()).ok()
    }

    #[test]
    fn the_table_is_in_order() {
        for setting in SETTINGS {
            assert_eq!(setting.kind.check(setting.default).as_deref(), Ok(setting.default), "{}", setting.name);
            assert!(setting.name.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c)), "{}", setting.name);
            assert!(!setting.about.is_empty() && !setting.about.ends_with('.'), "{}", setting.name);
        }
    }

    #[test]
    fn only_what_differs_from_the_default_is_written() {
        let place = tempfile::tempdir().unwrap();
        let file = file(&place);
        assert_eq!(file.load().unwrap().get("read_receipts").unwrap().origin, SettingOrigin::Default);
        file.change("read_receipts", Some("on")).unwrap();
        file.change("colour", None).unwrap();
        assert!(!file.path().exists() && !file.path().parent().unwrap().exists());

        file.change("read_receipts", Some("No")).unwrap();
        file.change("lock_timeout", Some("1m")).unwrap();
        assert_eq!(on_disk(&file).unwrap(), "read_receipts = false\nlock_timeout = \"1m\"\n");
        let config = file.load().unwrap();
        assert!(!config.is_on("read_receipts").unwrap());
        assert_eq!(config.time("lock_timeout").unwrap(), Duration::from_secs(60));
        assert_eq!(config.get("read_receipts").unwrap().origin, SettingOrigin::File);

        file.change("read_receipts", Some("on")).unwrap();
        file.change("lock_timeout", None).unwrap();
        assert_eq!(on_disk(&file), None);
    }

    #[test]
    fn what_is_not_known_and_what_people_wrote_is_kept_and_reported() {
        let place = tempfile::tempdir().unwrap();
        let file = file(&place);
        std::fs::create_dir(file.path().parent().unwrap()).unwrap();
        let text = "# mine\ncolour = \"never\" # old eyes\nfuture = 3\n\n[other]\nthing = [1, 2]\n";
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(file.load().unwrap().unknown(), ["future", "other.thing"]);
        file.change("colour", Some("ALWAYS")).unwrap();
        assert_eq!(on_disk(&file).unwrap(), text.replace("never", "always"));
        file.change("colour", None).unwrap();
        assert!(on_disk(&file).unwrap().contains("future = 3"));
    }

    #[test]
    fn names_with_dots_are_tables() {
        let mut document = DocumentMut::new();
        put(document.as_table_mut(), "tui.keys.quit", Some(Value::from("q")));
        assert!(document.to_string().contains("[tui.keys]\nquit = \"q\"\n"), "{document}");
        put(document.as_table_mut(), "tui.keys.quit", None);
        put(document.as_table_mut(), "tui.gone", None);
        assert_eq!(document.to_string(), "");
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("dotfiles.toml");
        std::fs::write(&target, "ascii = true\n").unwrap();
        let link = place.path().join(CONFIG_FILE);
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let file = ConfigFile::at(&link);
        file.change("colour", Some("never")).unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(&target).unwrap().contains("never"));
    }

    #[test]
    fn hostile_and_broken_files_are_errors_with_a_way_out() {
        let place = tempfile::tempdir().unwrap();
        let file = file(&place);
        std::fs::create_dir(file.path().parent().unwrap()).unwrap();
        let long = format!("x = \"{}\"", "y".repeat(100_000));
        for content in [
            "colour = ",
            "colour = \"pink\"",
            "read_receipts = 3",
            "account = \"a\\nb\"",
            "lock_timeout = \"soon\"",
            "\u{0}",
            &long,
            &"[a.".repeat(10_000),
            &"[".repeat(60_000),
            "[account]\nx = 1",
        ] {
            std::fs::write(file.path(), content).unwrap();
            let error = file.load().unwrap_err();
            assert_eq!(error.code, ErrorKind::Usage, "{error}");
            assert!(error.hint.is_some() && error.message.contains("config.toml"), "{error}");
        }
        std::fs::write(file.path(), [0xff, 0xfe]).unwrap();
        assert_eq!(file.load().unwrap_err().code, ErrorKind::Usage);
        // A single wrong setting can be mended with the verb.
        std::fs::write(file.path(), "colour = \"pink\"\nascii = true\n").unwrap();
        file.change("colour", None).unwrap();
        assert_eq!(on_disk(&file).unwrap(), "ascii = true\n");
        assert_eq!(file.change("colour", Some("pink")).unwrap_err().code, ErrorKind::Usage);
        assert_eq!(file.change("color", Some("never")).unwrap_err().code, ErrorKind::Usage);
        assert_eq!(on_disk(&file).unwrap(), "ascii = true\n");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("5", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5h", "5 s", "99999999999999999999d", "18446744073709551615d", "100000d", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
