//! One key with its modifiers: read from configuration, shown to people, made of a terminal's event.

use std::{fmt, str::FromStr};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Longest name of a key worth reading.
const MAX_NAME_BYTES: usize = 32;

/// A key as it is bound. Shifted characters are the character alone (`?`, `G`), as terminals send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) code: KeyCode,
    pub(crate) modifiers: KeyModifiers,
}

/// Names and codes; the first name of a code is the one that is shown.
const NAMES: &[(&str, KeyCode)] = &[
    ("enter", KeyCode::Enter),
    ("return", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("escape", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("del", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pageup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("pagedown", KeyCode::PageDown),
    ("plus", KeyCode::Char('+')),
];

/// What people read for the keys that have more than a letter.
const SHOWN: &[(KeyCode, &str)] = &[
    (KeyCode::Enter, "Enter"),
    (KeyCode::Esc, "Esc"),
    (KeyCode::Tab, "Tab"),
    (KeyCode::Char(' '), "Space"),
    (KeyCode::Backspace, "Backspace"),
    (KeyCode::Delete, "Del"),
    (KeyCode::Insert, "Ins"),
    (KeyCode::Up, "Up"),
    (KeyCode::Down, "Down"),
    (KeyCode::Left, "Left"),
    (KeyCode::Right, "Right"),
    (KeyCode::Home, "Home"),
    (KeyCode::End, "End"),
    (KeyCode::PageUp, "PgUp"),
    (KeyCode::PageDown, "PgDn"),
];

impl Key {
    /// What a terminal's event means; terminals differ in how they tell shift.
    pub(crate) fn of(event: &KeyEvent) -> Self {
        Self::normal(event.code, event.modifiers)
    }

    fn normal(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let mut modifiers = modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let code = match code {
            KeyCode::BackTab => {
                modifiers |= KeyModifiers::SHIFT;
                KeyCode::Tab
            }
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
                modifiers -= KeyModifiers::SHIFT;
                KeyCode::Char(c.to_ascii_lowercase())
            }
            KeyCode::Char(c) => {
                let c = if modifiers.contains(KeyModifiers::SHIFT) { c.to_ascii_uppercase() } else { c };
                modifiers -= KeyModifiers::SHIFT;
                KeyCode::Char(c)
            }
            code => code,
        };
        Self { code, modifiers }
    }

    /// The character it types, if it is plain typing.
    pub(crate) fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => Some(c),
            _ => None,
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "keys are written like ctrl+k, alt+enter, shift+tab, f1, pgup, ?".to_owned();
        if text.is_empty() || text.len() > MAX_NAME_BYTES {
            return Err(wrong());
        }
        let mut modifiers = KeyModifiers::empty();
        let mut rest = text;
        while let Some((modifier, after)) = rest.split_once('+').filter(|(_, after)| !after.is_empty()) {
            modifiers |= match modifier.to_ascii_lowercase().as_str() {
                "ctrl" | "c" => KeyModifiers::CONTROL,
                "alt" | "a" | "meta" => KeyModifiers::ALT,
                "shift" | "s" => KeyModifiers::SHIFT,
                _ => return Err(wrong()),
            };
            rest = after;
        }
        let mut letters = rest.chars();
        let code = match (letters.next(), letters.next()) {
            (Some(letter), None) if !letter.is_control() => KeyCode::Char(letter),
            _ => {
                let name = rest.to_ascii_lowercase();
                let function = || name.strip_prefix('f')?.parse().ok().filter(|n| (1..=12).contains(n)).map(KeyCode::F);
                let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, code)| *code);
                named.or_else(function).ok_or_else(wrong)?
            }
        };
        Ok(Self::normal(code, modifiers))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            // The usual short form, where there is one.
            match self.code {
                KeyCode::Char(c) if self.modifiers == KeyModifiers::CONTROL => {
                    return write!(f, "^{}", c.to_ascii_uppercase());
                }
                _ => f.write_str("Ctrl+")?,
            }
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("Alt+")?;
        }
        if self.modifiers.contains(KeyModifiers::SHIFT) {
            f.write_str("Shift+")?;
        }
        if let Some((_, shown)) = SHOWN.iter().find(|(code, _)| *code == self.code) {
            return f.write_str(shown);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "F{n}"),
            _ => f.write_str("?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_read_and_shown() {
        for (text, shown) in [
            ("ctrl+k", "^K"),
            ("Ctrl+K", "^K"),
            ("alt+enter", "Alt+Enter"),
            ("shift+tab", "Shift+Tab"),
            ("f1", "F1"),
            ("?", "?"),
            ("G", "G"),
            ("shift+g", "G"),
            ("+", "+"),
            ("ctrl++", "^+"),
            ("ctrl+pgup", "Ctrl+PgUp"),
            ("space", "Space"),
        ] {
            assert_eq!(key(text).to_string(), shown, "{text}");
        }
        for text in ["", "f13", "f0", "hyper+x", "ctrl+", "nothing", "\u{1b}", "ctrl+shift"] {
            assert!(text.parse::<Key>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn terminals_that_differ_mean_the_same() {
        let event = |code, modifiers| Key::of(&KeyEvent::new(code, modifiers));
        assert_eq!(event(KeyCode::BackTab, KeyModifiers::SHIFT), key("shift+tab"));
        assert_eq!(event(KeyCode::BackTab, KeyModifiers::NONE), key("shift+tab"));
        assert_eq!(event(KeyCode::Char('G'), KeyModifiers::SHIFT), key("G"));
        assert_eq!(event(KeyCode::Char('g'), KeyModifiers::SHIFT), key("G"));
        assert_eq!(event(KeyCode::Char('K'), KeyModifiers::CONTROL), key("ctrl+k"));
        assert_eq!(key("x").typed(), Some('x'));
        assert_eq!(key("ctrl+x").typed(), None);
    }

    proptest! {
        #[test]
        fn no_name_makes_the_parser_panic(text in "\\PC{0,40}|(ctrl|alt|shift|\\+|f|[0-9]|x){0,8}") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert!(!key.to_string().is_empty());
            }
        }
    }
}
