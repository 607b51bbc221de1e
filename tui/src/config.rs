//! The interface's part of the configuration: `[tui]`.

use std::collections::BTreeMap;

use serde::Deserialize;
use subrosa_client_core::config::duration;

use crate::{
    keymap::{KeyMap, Profile},
    theme::{Changes, THEMES, Theme},
};

/// How much a notification says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preview {
    /// Who, and the text.
    Full,
    /// Who.
    #[default]
    Sender,
    /// That something came.
    None,
}

/// How a notification is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// The terminal's bell.
    #[default]
    Bell,
    /// OSC 9 and the bell: iTerm2, Windows Terminal, `WezTerm`, kitty, Ghostty.
    Osc9,
    /// OSC 777 and the bell: rxvt, foot, `WezTerm`, Ghostty.
    Osc777,
    /// Not at all.
    Off,
}

/// Milliseconds without a key; nothing: never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LockAfter(Option<u64>);

impl LockAfter {
    fn read(value: &str) -> Result<Self, String> {
        if value == "off" {
            return Ok(Self(None));
        }
        let ms = u64::try_from(duration(value)?.as_millis()).unwrap_or(u64::MAX);
        Ok(Self(Some(ms).filter(|ms| *ms > 0)))
    }
}

impl<'de> Deserialize<'de> for LockAfter {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Switch(bool),
        }
        match Written::deserialize(from)? {
            Written::Text(text) => Self::read(&text).map_err(serde::de::Error::custom),
            Written::Switch(false) => Ok(Self(None)),
            Written::Switch(true) => Err(serde::de::Error::custom("lock_after is a time such as 5m, or off")),
        }
    }
}

/// `[tui]` of the configuration. Everything has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuiConfig {
    /// `vim`, `emacs` or `plain`.
    pub profile: Profile,
    /// A built-in theme's name; without one, `calm` or `calm-light` as the terminal's background is.
    pub theme: Option<String>,
    /// Colours by role, over the theme.
    pub(crate) colours: Changes,
    /// Keys by command.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
    /// How notifications are given.
    pub notify: Notify,
    /// How much they say.
    pub preview: Preview,
    /// `5m`: everything is hidden after so long without a key. Nothing, or `off`: never.
    pub(crate) lock_after: LockAfter,
    /// No mouse: the terminal selects text by itself then.
    pub mouse: Option<bool>,
    /// Web addresses can be pressed, where the terminal knows how (OSC 8).
    pub hyperlinks: Option<bool>,
}

impl TuiConfig {
    /// Reads `[tui]` out of a whole configuration.
    ///
    /// # Errors
    /// What is wrong and where, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize, Default)]
        struct File {
            #[serde(default)]
            tui: TuiConfig,
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        file.tui.keymap()?;
        file.tui.theme(true, true, false)?;
        Ok(file.tui)
    }

    /// Names of its settings outside of tables.
    pub const SETTINGS: &[&str] =
        &["tui.profile", "tui.theme", "tui.notify", "tui.preview", "tui.mouse", "tui.hyperlinks", "tui.lock_after"];

    /// Changes one of [`Self::SETTINGS`].
    ///
    /// # Errors
    /// The value does not fit, or there is no such setting.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        fn word<T: serde::de::DeserializeOwned>(value: &str) -> Result<T, String> {
            let error = |error: serde::de::value::Error| error.to_string();
            T::deserialize(serde::de::value::StrDeserializer::new(value)).map_err(error)
        }
        match name {
            "tui.profile" => self.profile = word(value)?,
            "tui.notify" => self.notify = word(value)?,
            "tui.preview" => self.preview = word(value)?,
            "tui.mouse" => self.mouse = Some(value == "on"),
            "tui.hyperlinks" => self.hyperlinks = Some(value == "on"),
            "tui.lock_after" => self.lock_after = LockAfter::read(value)?,
            "tui.theme" => {
                self.theme = Some(value.to_owned());
                self.theme(true, true, false)?;
            }
            _ => return Err(format!("the interface has no setting named {name:?}")),
        }
        Ok(())
    }

    /// After how long without a key everything is hidden.
    pub(crate) const fn lock_after_ms(&self) -> Option<u64> {
        self.lock_after.0
    }

    pub(crate) fn keymap(&self) -> Result<KeyMap, String> {
        KeyMap::new(self.profile, &self.keys)
    }

    /// The theme, as far as this terminal can show it.
    pub(crate) fn theme(&self, colour: bool, unicode: bool, light: bool) -> Result<Theme, String> {
        let name = self.theme.as_deref().unwrap_or(if light { "calm-light" } else { "calm" });
        let theme = Theme::named(name)
            .ok_or_else(|| format!("there is no theme named {name:?}; there are {}", THEMES.join(", ")))?;
        Ok(theme.changed(&self.colours)?.limited(colour, unicode))
    }
}

/// Whether the terminal says that its background is light: `COLORFGBG`, as rxvt, Konsole and others set it.
pub(crate) fn background_is_light(colorfgbg: Option<&str>) -> bool {
    let background = colorfgbg.and_then(|value| value.rsplit(';').next()).and_then(|value| value.parse::<u8>().ok());
    matches!(background, Some(7 | 9..=15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_and_its_mistakes_are_named() {
        let config = TuiConfig::parse(
            "[other]\nx = 1\n[tui]\nprofile = \"plain\"\ntheme = \"dusk\"\nnotify = \"osc9\"\n[tui.keys]\nquit = [\"f10\"]\n[tui.colours]\nown = \"#ff0000\"\n",
        )
        .unwrap();
        assert_eq!((config.profile, config.notify), (Profile::Plain, Notify::Osc9));
        assert_eq!(TuiConfig::parse("").unwrap(), TuiConfig::default());
        let mut changed = TuiConfig::default();
        for (name, value) in [
            ("tui.profile", "emacs"),
            ("tui.notify", "osc777"),
            ("tui.preview", "full"),
            ("tui.mouse", "off"),
            ("tui.hyperlinks", "off"),
            ("tui.theme", "dusk"),
            ("tui.lock_after", "5m"),
        ] {
            assert!(TuiConfig::SETTINGS.contains(&name));
            changed.set(name, value).unwrap();
        }
        assert_eq!(
            (changed.profile, changed.notify, changed.preview, changed.mouse, changed.hyperlinks),
            (Profile::Emacs, Notify::Osc777, Preview::Full, Some(false), Some(false))
        );
        assert_eq!(changed.lock_after_ms(), Some(300_000));
        assert_eq!(TuiConfig::parse("[tui]\nlock_after = \"90s\"").unwrap().lock_after_ms(), Some(90_000));
        for never in ["\"off\"", "false"] {
            assert_eq!(TuiConfig::parse(&format!("[tui]\nlock_after = {never}")).unwrap().lock_after_ms(), None);
        }
        assert!(
            changed.set("tui.theme", "no").is_err()
                && changed.set("tui.profile", "ed").is_err()
                && changed.set("x", "y").is_err()
        );
        for (text, part) in [
            ("[tui]\nprofile = \"ed\"", "ed"),
            ("[tui]\ntheme = \"no\"", "calm"),
            ("[tui.keys]\nfly = [\"x\"]", "fly"),
            ("[tui]\nunknown = 1", "unknown"),
            ("[tui]\nlock_after = \"soon\"", "soon"),
            ("[tui.colours]\nown = \"zz\"", "own"),
        ] {
            let error = TuiConfig::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    /// `docs/keys.md`: what it says about settings is what they do, and its table is the one in [`crate::commands`].
    mod documented {
        use std::fmt::Write as _;

        use super::*;
        use crate::{
            commands::{Command, Scope, Spec, TABLE},
            key::Key,
        };

        const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/keys.md");

        /// Everything after this line is made from the table of commands.
        const MADE: &str =
            "<!-- Made from the table of commands; see the test `the_table_of_keys_is_the_real_one`. -->\n";

        fn cell(keys: &[&str]) -> String {
            let shown = |name: &&str| format!("`{}`", name.parse::<Key>().unwrap());
            keys.iter().map(shown).collect::<Vec<_>>().join(" ").replace('|', "\\|")
        }

        fn table(title: &str, specs: &[&Spec]) -> String {
            let mut text =
                format!("\n## {title}\n\n| name | vim | emacs | plain | what it does |\n|---|---|---|---|---|\n");
            for spec in specs {
                let keys = spec.keys;
                let (vim, emacs, plain) = (cell(keys.vim), cell(keys.emacs), cell(keys.plain));
                writeln!(text, "| `{}` | {vim} | {emacs} | {plain} | {} |", spec.name, spec.help).unwrap();
            }
            text
        }

        fn made() -> String {
            let mut text = String::new();
            for place in Scope::ALL {
                let here: Vec<_> = TABLE.iter().filter(|spec| spec.scopes.first() == Some(&place)).collect();
                text.push_str(&table(place.title(), &here));
            }
            let rest: Vec<_> = TABLE.iter().filter(|spec| spec.scopes.is_empty()).collect();
            text.push_str(&table("Without keys: in the palette, or with keys that you give them", &rest));
            text
        }

        #[test]
        fn the_table_of_keys_is_the_real_one() {
            let text = std::fs::read_to_string(DOCUMENT).unwrap();
            let (before, table) = text.split_once(MADE).expect("docs/keys.md has the line before its table");
            if std::env::var_os("SUBROSA_WRITE_DOCS").is_some() {
                return std::fs::write(DOCUMENT, format!("{before}{MADE}{}", made())).unwrap();
            }
            assert!(
                table == made(),
                "docs/keys.md is out of date: SUBROSA_WRITE_DOCS=1 cargo test -p subrosa-tui the_table_of_keys"
            );
        }

        #[test]
        fn the_examples_do_what_is_said() {
            let text = std::fs::read_to_string(DOCUMENT).unwrap();
            let examples: Vec<&str> =
                text.split("```toml\n").skip(1).filter_map(|part| part.split("```").next()).collect();
            assert_eq!(examples.len(), 2, "keys and colours");
            let config = TuiConfig::parse(examples[0]).unwrap();
            let map = config.keymap().unwrap();
            let key = |name: &str| name.parse::<Key>().unwrap();
            assert_eq!(config.profile, Profile::Emacs);
            assert_eq!(map.command(Scope::List, key("f2")), Some(Command::Search));
            assert_eq!(map.command(Scope::List, key("ctrl+s")), Some(Command::Search));
            assert_eq!(map.command(Scope::Write, key("ctrl+z")), None, "an empty list takes the keys away");
            assert_eq!(map.command(Scope::Write, key("alt+m")), Some(Command::MuteAlways));
            let config = TuiConfig::parse(examples[1]).unwrap();
            let theme = config.theme(true, true, false).unwrap();
            let color = |text: &str| text.parse().ok();
            assert_eq!(theme.own.fg, color("#ff8800"));
            assert_eq!((theme.read.fg, theme.selected.bg), (color("lightblue"), color("236")));
            assert_eq!(theme.text, Theme::named("dusk").unwrap().text);
            assert_eq!(config.theme(false, true, false).unwrap().own.fg, None, "NO_COLOR goes before");
            for name in THEMES {
                assert!(text.contains(&format!("`{name}`")), "{name}");
            }
        }
    }

    #[test]
    fn the_background_is_dark_unless_the_terminal_says_otherwise() {
        for (value, light) in [
            (None, false),
            (Some("15;0"), false),
            (Some("0;15"), true),
            (Some("0;default;7"), true),
            (Some("x"), false),
        ] {
            assert_eq!(background_is_light(value), light);
        }
    }
}
