//! The settings' file: what differs from the default, as TOML. It is a person's file: it may be a link into a collection of
//! such files, it may hold what this version does not know, and the comments in it are theirs. Nothing of that is lost.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use toml_edit::{DocumentMut, TableLike};

use super::{FREE_TABLES, SETTINGS, Setting, duration, edit, setting};
use crate::{
    api::{ApiError, ErrorKind, SettingInfo, SettingOrigin},
    files::{create_private_directory, storage_error},
    replace::{self, Access},
};

/// The file's name.
pub const CONFIG_FILE: &str = "config.toml";

/// Largest file that is read: every setting there is takes a few hundred bytes.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;

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
        self.config(self.document(&self.read()?)?)
    }

    fn config(&self, document: DocumentMut) -> Result<Config, ApiError> {
        let config = Config { document, environment: true };
        for setting in SETTINGS {
            config.in_file(setting).map_err(|why| self.wrong(setting, &why))?;
        }
        Ok(config)
    }

    /// Sets or, with `None`, forgets a setting. What is the default is not written. A link stays one: what it points to is changed,
    /// or made. A file that holds nothing any more stays, with what was written beside the settings.
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
        let file = replace::target(&self.0).map_err(|error| storage_error("find", &self.0, &error))?;
        if value.is_none() && !file.exists() {
            return Ok(());
        }
        let directory = file.parent().unwrap_or(Path::new("."));
        create_private_directory(directory)?;
        let failed = |error: std::io::Error| storage_error("lock", directory, &error);
        // Two commands that change settings at once do so one after the other.
        let lock = std::fs::File::open(directory).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let before = self.read()?;
        let document = self.document(&before)?;
        let text = match value {
            Some(text) => edit::set(document, name, setting.kind.to_toml(&text)),
            None => edit::unset(&before, name).map_err(|error| self.no_settings(error.to_string().trim()))?,
        };
        if text == before {
            return Ok(());
        }
        replace::replace(&file, text.as_bytes(), Access::AsBefore)
    }

    fn read(&self) -> Result<String, ApiError> {
        let mut content = Vec::new();
        match std::fs::File::open(&self.0).and_then(|file| file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut content)) {
            Ok(_) => self.text(content),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(storage_error("read", &self.0, &error)),
        }
    }

    fn text(&self, content: Vec<u8>) -> Result<String, ApiError> {
        if content.len() as u64 > MAX_CONFIG_BYTES {
            return Err(self.no_settings("it is too long"));
        }
        String::from_utf8(content).map_err(|_| self.no_settings("it is not text"))
    }

    fn document(&self, text: &str) -> Result<DocumentMut, ApiError> {
        text.parse::<DocumentMut>().map_err(|error| self.no_settings(error.to_string().trim()))
    }

    fn no_settings(&self, why: &str) -> ApiError {
        ApiError::new(ErrorKind::Usage, format!("{} is no settings file: {why}", self.0.display()))
            .hint("mend it, or move it away: every setting has a default")
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

    /// What the file alone says, whatever the environment does: the next command may run without that.
    #[must_use]
    pub fn stored(&self, name: &str) -> Option<String> {
        self.in_file(setting(name).ok()?).ok().flatten().filter(|text| !text.is_empty())
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

/// For [`crate::fuzzing`]: a settings file is refused with a way out, or every setting in it has a value that can be written
/// again; and changing one changes nothing else.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn hold(content: &[u8]) {
    let file = ConfigFile::at(CONFIG_FILE);
    let read = file.text(content.to_vec()).and_then(|text| Ok((file.config(file.document(&text)?)?, text)));
    let (config, text) = match read {
        Ok(read) => read,
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
        let set = edit::set(config.document.clone(), changed.name, changed.kind.to_toml(changed.default));
        let unset = edit::unset(&text, changed.name);
        assert!(unset.is_ok(), "{} of {text}", changed.name);
        for (again, now) in [(set, Some(changed.default.to_owned())), (unset.unwrap_or_default(), None)] {
            let document = again.parse::<DocumentMut>();
            assert!(document.is_ok(), "{}: {again}", changed.name);
            let document = document.unwrap_or_default();
            for setting in SETTINGS {
                let expected =
                    if setting.name == changed.name { Ok(now.clone()) } else { value(&config.document, setting) };
                assert_eq!(value(&document, setting), expected, "{} after {} in {again}", setting.name, changed.name);
            }
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
        assert_eq!(on_disk(&file).as_deref(), Some(""), "a person's file is not removed");
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
    fn a_link_stays_a_link_and_what_it_points_to_keeps_its_comments_and_permissions() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let place = tempfile::tempdir().unwrap();
        let dotfiles = place.path().join("dotfiles");
        std::fs::create_dir(&dotfiles).unwrap();
        let (target, link) = (dotfiles.join("subrosa.toml"), place.path().join(CONFIG_FILE));
        symlink("dotfiles/subrosa.toml", &link).unwrap();
        let file = ConfigFile::at(&link);
        let content = || std::fs::read_to_string(&target).unwrap();
        file.change("ascii", Some("on")).unwrap();
        assert_eq!(content(), "ascii = true\n", "a link to nothing makes what it points to");

        std::fs::write(&target, "# my settings\nascii = true # old terminal\n").unwrap();
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o640)).unwrap();
        file.change("colour", Some("never")).unwrap();
        file.change("colour", None).unwrap();
        file.change("ascii", None).unwrap();
        assert_eq!(content(), "# my settings\n# old terminal\n", "the last one is unset and the file is there");
        file.change("colour", Some("never")).unwrap();
        assert!(content().starts_with("# my settings") && content().contains("colour = \"never\""), "{}", content());
        assert!(link.is_symlink());
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(&dotfiles).unwrap().count(), 1);
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
}
