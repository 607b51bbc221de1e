//! Text from others, made safe for a terminal.
//!
//! A name or a message may hold escape sequences that move the cursor, retitle the window or write
//! to the clipboard, and bidirectional controls that make a text read as another one. None of them
//! reaches a terminal; letters of every script, emoji and their joiners do.

use std::borrow::Cow;

use serde::Serialize;
pub use subrosa_wire::harmless::{escape_json, is_invisible};
use subrosa_wire::harmless::{into_harmless, is_control, is_line_end};

/// A text of several lines: line ends stay (`\r\n` and Unicode's separators become `\n`), tabs become spaces.
#[must_use]
pub fn clean_text(text: &str) -> Cow<'_, str> {
    clean(text, '\n')
}

/// A text that has to stay on one line, such as a name: line ends and tabs become spaces.
#[must_use]
pub fn clean_line(text: &str) -> Cow<'_, str> {
    clean(text, ' ')
}

/// A name, of which no two may look the same because of what cannot be seen: as [`clean_line`], without any character that has
/// no width (joiners too), every kind of space being the common one, none at the ends and never two in a row.
#[must_use]
pub fn clean_name(name: &str) -> String {
    let visible = name.chars().filter(|c| c.is_whitespace() || !(is_control(*c) || is_invisible(*c)));
    let spaced: String = visible.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A value as one line of JSON that does nothing to a terminal ([`escape_json`]). All JSON that leaves this program for a
/// stream, a socket or a file that people read is written by this.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(into_harmless)
}

/// As [`json_line`], indented for people.
///
/// # Errors
/// As [`json_line`].
pub fn json_lines(value: &impl Serialize) -> serde_json::Result<String> {
    let lines = serde_json::to_string_pretty(value)?;
    Ok(lines.lines().map(escape_json).collect::<Vec<_>>().join("\n"))
}

fn clean(text: &str, line_end: char) -> Cow<'_, str> {
    let harmless = |c: char| c == line_end || !(is_line_end(c) || c == '\t' || is_control(c));
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            _ if is_line_end(c) => cleaned.push(line_end),
            '\t' => cleaned.push(' '),
            _ if is_control(c) => {}
            _ => cleaned.push(c),
        }
    }
    Cow::Owned(cleaned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_what_makes_them_work() {
        assert_eq!(clean_text("\x1b[2J\x1b]0;owned\x07hi"), "[2J]0;ownedhi");
        assert_eq!(clean_text("\u{9b}31mred"), "31mred");
        assert_eq!(clean_text("a\x08\x7f\0b"), "ab");
    }

    #[test]
    fn bidirectional_controls_are_removed() {
        let text: String = ('\u{202A}'..='\u{202E}')
            .chain('\u{2066}'..='\u{2069}')
            .chain(['\u{200E}', '\u{200F}', '\u{061C}'])
            .collect();
        assert_eq!(clean_text(&format!("x{text}y")), "xy");
    }

    #[test]
    fn lines_stay_lines_or_become_one() {
        assert_eq!(clean_text("a\r\nb\nc\rd\u{2028}e\tf"), "a\nb\nc\nd\ne f");
        assert_eq!(clean_line("a\r\nb\nc\td"), "a b c d");
        assert_eq!(clean_text("over\rwrite"), "over\nwrite", "a lone return does not overwrite the line");
    }

    #[test]
    fn names_keep_nothing_that_cannot_be_seen() {
        for (name, kept) in [
            ("bob\u{200b}", "bob"),
            ("b\u{2060}o\u{ad}b\u{fe0f}", "bob"),
            ("  my\u{a0}\u{3000} frank\n", "my frank"),
            ("Bob\x1b[2J \u{202E}Smith", "Bob[2J Smith"),
            ("Ana 🌊", "Ana 🌊"),
            ("\u{e0067}\u{3164}", ""),
        ] {
            assert_eq!(clean_name(name), kept, "{name:?}");
        }
    }

    #[test]
    fn what_people_write_is_untouched() {
        for text in ["Grüße, 世界", "مرحبا שלום", "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩🇪", "e\u{301}", ""]
        {
            assert!(matches!(clean_text(text), Cow::Borrowed(same) if same == text), "{text}");
            assert!(matches!(clean_line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn nothing_dangerous_is_left_whatever_comes() {
        let every: String = (0..=0x10_FFFF).filter_map(char::from_u32).collect();
        for cleaned in [clean_text(&every), clean_line(&every)] {
            assert!(!cleaned.chars().any(|c| is_control(c) && c != '\n'));
        }
        assert!(!clean_line(&every).contains('\n'));
    }
}
