//! Text from others, made safe for a terminal.
//!
//! A name or a message may hold escape sequences that move the cursor, retitle the window or write
//! to the clipboard, and bidirectional controls that make a text read as another one. None of them
//! reaches a terminal; letters of every script, emoji and their joiners do.

use std::borrow::Cow;

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

/// One line of JSON that is also harmless on a terminal: what [`clean_text`] would take away is written as `\uXXXX`, which
/// means the same to whoever parses it. (Serializers escape only C0 themselves.)
#[must_use]
pub fn escape_json(line: &str) -> Cow<'_, str> {
    let harmless = |c: char| !(is_line_end(c) || is_control(c));
    if line.chars().all(harmless) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if harmless(c) {
            escaped.push(c);
        } else {
            // All of them are below U+10000: one unit each.
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    Cow::Owned(escaped)
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

/// Everything that some terminal or pager takes as the end of a line.
const fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{0B}' | '\u{0C}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// C0, DEL and C1 (escape sequences begin with one of them), bidirectional controls, and the
/// interlinear annotations that no terminal draws.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFF9}'..='\u{FFFB}'
        )
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
    fn json_means_the_same_and_does_nothing_to_a_terminal() {
        let every: String = (0..=0x10_FFFF).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&every).unwrap();
        let escaped = escape_json(&json);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), every);
        assert!(!escaped.chars().any(|c| is_control(c) || is_line_end(c)));
        assert!(matches!(escape_json("{\"body\":\"Grüße 🏴󠁧󠁢󠁥󠁮󠁧󠁿\"}"), Cow::Borrowed(_)));
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
