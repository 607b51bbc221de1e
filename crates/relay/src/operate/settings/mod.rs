//! What a relay is told, from four places: flag, environment, file, default, in that order.
//!
//! [`all`] has every setting once; flags, variables, file keys, help and `config check` are made from it.

mod file;
mod rates;
mod setting;
mod table;
mod values;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command};

use crate::{Config, config::LogFormat};
pub(crate) use setting::Setting;
pub(crate) use table::all;
pub(crate) use values::time;

/// Beginning of every variable: `SUBROSA_RELAY_LISTEN` is `listen`.
const VARIABLE: &str = "SUBROSA_RELAY_";

/// Variables with this beginning that are no settings.
const OTHER_VARIABLES: [&str; 2] = ["SUBROSA_RELAY_CONFIG", "SUBROSA_RELAY_SYNCHRONOUS"];

/// Everything a relay process is told.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) log_format: LogFormat,
    pub(crate) config: Config,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Variable,
    File,
    Default,
}

impl Origin {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A value is not one.
    #[error("{place}: {value:?} {why}")]
    Value {
        /// Flag, variable or file and key.
        place: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key or variable that does not exist.
    #[error("{place} is no setting of a relay{}: `subrosa-relay config check` lists all", nearest(.meant))]
    Unknown {
        /// File and key, or variable.
        place: String,
        /// The nearest that exists.
        meant: Option<String>,
    },
    /// The file cannot be read, or is no TOML.
    #[error("cannot read the configuration file {path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The one thing that has no default.
    #[error(
        "where is the relay to keep its database? Say --data DIR (or SUBROSA_RELAY_DATA, or data = \"DIR\" in the \
         configuration file)"
    )]
    NoData,
}

fn nearest(meant: &Option<String>) -> String {
    meant.as_ref().map_or_else(String::new, |meant| format!(", did you mean {meant}?"))
}

/// The flags of a relay: one for each setting.
#[derive(Debug, Clone, Default)]
pub struct Flags(Vec<(&'static str, String)>);

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let defaults = Settings::default();
        all().fold(command, |command, setting| command.arg(flag(setting, &defaults)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: &Setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone()));
        Ok(Self(all().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(setting: &Setting, defaults: &Settings) -> Arg {
    let default = (setting.show)(defaults);
    let default = if default.is_empty() { "none" } else { &default };
    let arg = Arg::new(setting.key)
        .long(setting.key)
        .help(setting.help)
        .long_help(format!("{}\n\nDefault: {default}. {}", setting.help, setting.reason));
    if setting.value.is_empty() {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false")
    } else {
        arg.value_name(setting.value)
    }
}

/// The settings that hold, and where each came from, in the order of the table.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    pub(crate) sources: Vec<Origin>,
}

/// Puts the four places together.
///
/// # Errors
/// A value, key, variable or file that is not as it should be.
pub(crate) fn resolve(
    flags: &Flags,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    path: Option<PathBuf>,
) -> Result<Resolved, SettingError> {
    let text = path.as_deref().map(file::read).transpose()?;
    resolve_with(flags, variables, path.as_deref().zip(text.as_deref()))
}

/// As [`resolve`], with what stands in the file.
pub(crate) fn resolve_with(
    flags: &Flags,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    file: Option<(&Path, &str)>,
) -> Result<Resolved, SettingError> {
    let path = file.map_or_else(|| Path::new(""), |(path, _)| path);
    let in_file = file.map(|(path, text)| file::parse(path, text)).transpose()?.unwrap_or_default();
    let in_environment = from_environment(variables)?;
    let mut settings = Settings::default();
    let mut sources = Vec::new();
    for setting in all() {
        let find = |pairs: &[(&'static str, String)]| {
            pairs.iter().find(|(key, _)| *key == setting.key).map(|(_, value)| value.clone())
        };
        let flag = || (find(&flags.0)).map(|value| (value, Origin::Flag));
        let variable = || find(&in_environment).map(|value| (value, Origin::Variable));
        let in_file = || find(&in_file).map(|value| (value, Origin::File));
        let Some((value, source)) = flag().or_else(variable).or_else(in_file) else {
            sources.push(Origin::Default);
            continue;
        };
        (setting.set)(&mut settings, &value).map_err(|why| SettingError::Value {
            place: match source {
                Origin::Flag => format!("--{}", setting.key),
                Origin::Variable => setting.variable(),
                _ => format!("{}: {}", path.display(), setting.key),
            },
            value,
            why,
        })?;
        sources.push(source);
    }
    Ok(Resolved { settings, sources })
}

fn from_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(&'static str, String)>, SettingError> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE)) else { continue };
        if OTHER_VARIABLES.contains(&name) {
            continue;
        }
        let Some(setting) = all().find(|setting| setting.variable() == name) else {
            let meant = closest(name, all().map(Setting::variable));
            return Err(SettingError::Unknown { place: format!("the variable {name}"), meant });
        };
        let value = value.into_string().map_err(|value| SettingError::Value {
            place: name.to_owned(),
            value: value.to_string_lossy().into_owned(),
            why: "is not UTF-8".to_owned(),
        })?;
        found.push((setting.key, value));
    }
    Ok(found)
}

/// The nearest of some names, if one is near: at most a third of it differs.
fn closest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let near = names.map(|known| (distance(name, &known), known)).min()?;
    (near.0 <= name.len().div_ceil(3)).then_some(near.1)
}

/// Levenshtein: insertions, deletions and replacements between two short ASCII names.
fn distance(one: &str, two: &str) -> usize {
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in two.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_from(
        flags: &[(&'static str, &str)],
        env: &[(&str, &str)],
        file: &str,
    ) -> Result<Resolved, SettingError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.toml");
        std::fs::write(&path, file).unwrap();
        let flags = Flags(flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect());
        resolve(&flags, env.iter().map(|(name, value)| (name.into(), value.into())), Some(path))
    }

    fn said(result: Result<Resolved, SettingError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn flag_before_environment_before_file_before_default() {
        let file = "listen = \"127.0.0.1:3\"\nmax-connections = 3\nbehind-proxy = true\nhandshake-timeout = \"3s\"";
        let env = [("SUBROSA_RELAY_LISTEN", "127.0.0.1:2"), ("SUBROSA_RELAY_MAX_CONNECTIONS", "2"), ("OTHER", "x")];
        let resolved = resolve_from(&[("listen", "127.0.0.1:1")], &env, file).unwrap();
        let Settings { listen, config, .. } = resolved.settings;
        assert_eq!((listen.port(), config.max_connections, config.behind_proxy), (1, 2, true));
        let source = |key| &resolved.sources[all().position(|setting| setting.key == key).unwrap()];
        assert_eq!(source("listen"), &Origin::Flag);
        assert_eq!(source("max-connections"), &Origin::Variable);
        assert_eq!(source("handshake-timeout"), &Origin::File);
        assert_eq!(source("public-url"), &Origin::Default);
    }

    #[test]
    fn what_is_unknown_names_the_nearest() {
        assert!(said(resolve_from(&[], &[], "lisen = \"x\"")).contains("did you mean listen?"));
        assert!(said(resolve_from(&[], &[("SUBROSA_RELAY_LISEN", "x")], "")).contains("SUBROSA_RELAY_LISTEN?"));
        let far = said(resolve_from(&[], &[], "colour_of_the_logo = 1"));
        assert!(far.contains("colour_of_the_logo is no setting") && !far.contains("mean"), "{far}");
    }

    #[test]
    fn what_is_wrong_names_its_place() {
        for (file, part) in [
            ("listen = 5", "relay.toml: listen: \"5\""),
            ("max-connections = \"many\"", "max-connections: \"many\" is not a number"),
            ("min-free-bytes = \"5 furlongs\"", "is not a size"),
            ("silence-timeout = \"soon\"", "is not a time"),
            ("behind-proxy = \"perhaps\"", "is not true or false"),
            ("listen = [[1]]", "relay.toml: listen"),
            ("listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:1\"", "cannot read the configuration file"),
            ("nonsense", "cannot read the configuration file"),
        ] {
            let text = said(resolve_from(&[], &[], file));
            assert!(text.contains(part), "{file}: {text}");
        }
        let missing = resolve(&Flags::default(), [], Some("/nowhere/relay.toml".into()));
        assert!(said(missing).contains("/nowhere/relay.toml"));
    }

    #[test]
    fn every_default_reads_back_and_has_a_reason() {
        let defaults = Settings::default();
        for setting in all() {
            let text = (setting.show)(&defaults);
            let mut again = defaults.clone();
            (setting.set)(&mut again, &text).unwrap_or_else(|why| panic!("{}: {text:?} {why}", setting.key));
            assert_eq!((setting.show)(&again), text, "{}", setting.key);
            assert!(setting.reason.len() > 20 && setting.help.len() > 10, "{}", setting.key);
        }
    }
}
