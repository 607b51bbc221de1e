//! JSON that does nothing to a terminal, whatever the strings in it are: what every program writes, to people and to others.
//!
//! Strings come from strangers. Serializers escape only what JSON itself forbids (C0); the controls of C1, those that turn
//! the direction of writing and what nobody sees would reach whoever looks at a stream of JSON in a terminal.

use std::{borrow::Cow, fmt::Write as _};

/// One line of JSON in which no character can act on a terminal or hide: such a character is written as `\uXXXX` (two of them
/// beyond U+FFFF), which means the same to whoever parses it.
#[must_use]
pub fn escape_json(line: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == ' ' || c.is_ascii_graphic() || !(is_line_end(c) || is_control(c) || is_hidden(c));
    if line.chars().all(harmless) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if harmless(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}

/// As [`escape_json`], of a line that is the caller's own: nearly all are harmless and come back as they are.
#[must_use]
pub fn into_harmless(line: String) -> String {
    match escape_json(&line) {
        Cow::Borrowed(_) => line,
        Cow::Owned(escaped) => escaped,
    }
}

/// Everything that some terminal or pager takes as the end of a line.
#[must_use]
pub const fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{0B}' | '\u{0C}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// C0, DEL and C1 (escape sequences begin with one of them), bidirectional controls, and the
/// interlinear annotations that no terminal draws.
#[must_use]
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFF9}'..='\u{FFFB}'
        )
}

/// What has no width or no picture of its own: format characters (Cf), the rest of Unicode's default-ignorable ones, tags,
/// and noncharacters.
#[must_use]
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{890}' | '\u{891}' | '\u{8E2}'
        | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FDD0}'..='\u{FDEF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{110BD}' | '\u{110CD}' | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
        // The last two of every plane.
        || (c as u32) & 0xFFFE == 0xFFFE
}

/// As [`is_invisible`], without the two that choose between the pictures of an emoji: they stand in ordinary texts.
const fn is_hidden(c: char) -> bool {
    is_invisible(c) && !matches!(c, '\u{FE0E}' | '\u{FE0F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_does_nothing_to_a_terminal() {
        let every: String = (0..=0x10_FFFF).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&every).unwrap();
        let escaped = escape_json(&json);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), every);
        assert!(!escaped.chars().any(|c| is_control(c) || is_line_end(c) || is_hidden(c)));
        for shown in ["{\"body\":\"Grüße 世界 ❤️\"}", "[\"🇩🇪\",-1.5e3,null]"] {
            assert!(matches!(escape_json(shown), Cow::Borrowed(_)), "{shown}");
        }
    }

    #[test]
    fn what_hides_is_escaped_also_beyond_the_first_plane() {
        for (hidden, written) in [
            ("\u{9b}", "\\u009b"),
            ("\u{7f}", "\\u007f"),
            ("\u{202e}", "\\u202e"),
            ("\u{2028}", "\\u2028"),
            ("\u{200b}", "\\u200b"),
            ("\u{feff}", "\\ufeff"),
            ("\u{fffe}", "\\ufffe"),
            ("\u{e0067}", "\\udb40\\udc67"),
            ("\u{10ffff}", "\\udbff\\udfff"),
        ] {
            assert_eq!(escape_json(hidden), written);
        }
    }
}
