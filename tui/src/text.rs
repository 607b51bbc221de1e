//! Text in columns: graphemes and their widths, wrapping, shortening.
//!
//! Everything here counts what a terminal shows (a CJK character or an emoji with joiners takes two columns), and never cuts
//! inside what a person sees as one character. Text from others is cleaned before it comes here; see [`line`] and [`lines`].

use std::{borrow::Cow, ops::Range};

use ratatui::buffer::CellWidth as _;
use subrosa_client_core::clean::{clean_line, clean_text};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthChar as _;

/// What stands for the part that is cut off.
pub(crate) const ELLIPSIS: &str = "…";

/// Somebody else's text for one line: names, previews, notices.
pub(crate) fn line(text: &str) -> String {
    clean_line(text).into_owned()
}

/// Somebody else's text of several lines. Empty lines at its end are not worth rows.
pub(crate) fn lines(text: &str) -> String {
    clean_text(text).trim_end().to_owned()
}

/// Begins a text whose direction is that of its first letter ("first strong isolate"), and ends it.
pub(crate) const ISOLATE: char = '\u{2068}';
pub(crate) const ISOLATE_END: char = '\u{2069}';

/// Begin a text that runs to the right or to the left, whatever its first letter is.
pub(crate) const ISOLATE_RIGHTWARD: char = '\u{2066}';
pub(crate) const ISOLATE_LEFTWARD: char = '\u{2067}';

/// One of the characters that begin or end an isolated text. No text of others has them: cleaning takes them away.
pub(crate) const fn is_isolate(c: char) -> bool {
    matches!(c, ISOLATE | ISOLATE_END | ISOLATE_RIGHTWARD | ISOLATE_LEFTWARD)
}

/// A letter that runs to the left: Unicode keeps these blocks for such scripts.
const fn is_leftward(c: char) -> bool {
    matches!(c, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFE}'
        | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
}

/// There are letters in it that run to the left.
pub(crate) fn has_leftward(text: &str) -> bool {
    text.chars().any(is_leftward)
}

/// The direction of a paragraph, as what begins an isolated text: that of its first letter.
pub(crate) fn direction(paragraph: &str) -> char {
    match paragraph.chars().find(|c| c.is_alphabetic()) {
        Some(c) if is_leftward(c) => ISOLATE_LEFTWARD,
        _ => ISOLATE_RIGHTWARD,
    }
}

/// A name or a text that stands among others: where the terminal orders letters, it does not turn its surroundings.
/// Spaces around it stay outside, so that it stays where it is in its column.
pub(crate) fn isolated(text: &str) -> Cow<'_, str> {
    let inner = text.trim();
    if !has_leftward(inner) || inner.contains(is_isolate) {
        return Cow::Borrowed(text);
    }
    let begin = text.len() - text.trim_start().len();
    let end = begin + inner.len();
    Cow::Owned(format!("{}{ISOLATE}{inner}{ISOLATE_END}{}", &text[..begin], &text[end..]))
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.graphemes(true).map(columns_of).sum()
}

/// Columns of what a person sees as one character; as ratatui counts them, so that layout and picture agree.
fn columns_of(grapheme: &str) -> usize {
    // A single byte is ASCII; what is no sign is not drawn.
    if grapheme.len() == 1 { 1 } else { usize::from(grapheme.cell_width()) }
}

/// As much of a text as fits, with an ellipsis if that is not all of it.
pub(crate) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let mut used = 0;
    let mut end = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        let columns_of_it = columns_of(grapheme);
        if used + columns_of_it > columns - 1 {
            break;
        }
        used += columns_of_it;
        end = at + grapheme.len();
    }
    Cow::Owned(format!("{}{ELLIPSIS}", text[..end].trim_end()))
}

/// A text made exactly so wide: shortened, or filled with spaces.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let fitted = fit(text, columns);
    let missing = columns.saturating_sub(width(&fitted));
    format!("{fitted}{}", " ".repeat(missing))
}

/// Breaks a text into rows of at most so many columns: at line ends, else after spaces, else between graphemes.
///
/// The rows cover every byte but the line ends; spaces at the end of a row may hang over its edge. There is always a row. A
/// grapheme wider than the row gets one of its own.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<Range<usize>> {
    let columns = columns.max(1);
    let mut rows = Vec::new();
    let mut begin = 0;
    for part in text.split_inclusive('\n') {
        let content = part.strip_suffix('\n').unwrap_or(part);
        wrap_line(content, begin, columns, &mut rows);
        begin += part.len();
    }
    if text.is_empty() || text.ends_with('\n') {
        rows.push(begin..begin);
    }
    rows
}

fn wrap_line(content: &str, offset: usize, columns: usize, rows: &mut Vec<Range<usize>>) {
    let mut row = 0;
    let mut used = 0;
    // The last place after a space in this row, and the columns used up to there.
    let mut space: Option<(usize, usize)> = None;
    for (at, grapheme) in content.grapheme_indices(true) {
        let columns_of_it = columns_of(grapheme);
        if grapheme == " " {
            // Spaces hang over the edge; what follows them begins the next row.
            used += 1;
            space = Some((at + 1, used));
            continue;
        }
        if used + columns_of_it > columns && at > row {
            let (end, kept) = match space {
                Some((end, kept)) if end > row => (end, kept),
                _ => (at, used),
            };
            rows.push(offset + row..offset + end);
            row = end;
            used -= kept;
            space = None;
            // The word itself is wider than a row.
            if used + columns_of_it > columns && at > row {
                rows.push(offset + row..offset + at);
                row = at;
                used = 0;
            }
        }
        used += columns_of_it;
    }
    rows.push(offset + row..offset + content.len());
}

/// Places of web addresses in a text, http and https only: no other scheme becomes something to press.
///
/// A host is ASCII (letters of other scripts look like those of a known name), what follows it may be written in any script.
pub(crate) fn links(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("http").map(|at| from + at) {
        from = at + 4;
        let Some(host) = ["http://", "https://"].iter().find(|scheme| text[at..].starts_with(**scheme)) else {
            continue;
        };
        let host = at + host.len();
        let ascii = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '`');
        let any = |c: char| ascii(c) || (!c.is_ascii() && (c.is_alphanumeric() || c.width() == Some(0)));
        // Browsers skip what stands where a host should: "http:///etc" would open a machine called etc.
        if !text[host..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') {
            continue;
        }
        let host_end = end_of(text, host, |c| ascii(c) && !matches!(c, '/' | '?' | '#'));
        let end = match text[host_end..].chars().next() {
            Some('/' | '?' | '#') => end_of(text, host_end, any),
            _ => host_end,
        };
        let end = at + without_punctuation(&text[at..end]).len();
        found.push(at..end);
        from = end;
    }
    found
}

fn end_of(text: &str, from: usize, belongs: impl Fn(char) -> bool) -> usize {
    text[from..].find(|c| !belongs(c)).map_or(text.len(), |length| from + length)
}

/// An address without what ends the sentence around it; a bracket that was opened in the address is a part of it.
fn without_punctuation(address: &str) -> &str {
    let mut address = address;
    while let Some(last) = address.chars().next_back() {
        let count = |bracket: char| address.matches(bracket).count();
        let ends = match last {
            ')' => count(')') > count('('),
            ']' => count(']') > count('['),
            _ => matches!(last, '.' | ',' | ';' | ':' | '!' | '?' | '\''),
        };
        if !ends {
            break;
        }
        address = &address[..address.len() - last.len_utf8()];
    }
    address
}

/// A link as browsers take it: ASCII only, whatever else there is as percent and bytes.
pub(crate) fn address(link: &str) -> String {
    link.bytes().fold(String::with_capacity(link.len()), |mut address, byte| {
        if byte.is_ascii_graphic() {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
        address
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, columns: usize) -> Vec<&str> {
        wrap(text, columns).into_iter().map(|row| &text[row]).collect()
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        for (text, columns) in [
            ("abc", 3),
            ("世界", 4),
            ("e\u{301}", 1),
            ("👩‍👩‍👧‍👦", 2),
            ("👋🏽", 2),
            ("❤\u{fe0f}", 2),
            ("🇩🇪", 2),
            ("שלום", 4),
            ("\u{2068}שָׁלוֹם\u{2069}", 4),
            ("مرحبا", 5),
            ("", 0),
            // Whose mark ratatui and unicode-width count differently.
            ("ｶﾞ", width("ｶﾞ")),
        ] {
            assert_eq!(width(text), columns, "{text}");
            let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 20, 1));
            let (end, _) = buffer.set_stringn(0, 0, text, 20, ratatui::style::Style::new());
            assert_eq!(usize::from(end), columns, "drawn as counted: {text}");
        }
    }

    #[test]
    fn only_texts_that_run_to_the_left_are_isolated_and_keep_their_column() {
        assert_eq!(isolated("ana"), "ana");
        assert_eq!(isolated("  דניאל   "), "  \u{2068}דניאל\u{2069}   ");
        let once = isolated("دانيال").into_owned();
        assert_eq!(isolated(&once), once);
        assert_eq!(direction("1. שלום, world"), ISOLATE_LEFTWARD);
        assert_eq!(direction("hello שלום"), ISOLATE_RIGHTWARD);
        assert_eq!(direction("123"), ISOLATE_RIGHTWARD);
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("世界世界", 4), "世…");
        assert_eq!(fit("a bcd", 3), "a…", "no space before it");
        assert_eq!(fit("x", 0), "");
        assert_eq!(pad("世界世界", 4), "世… ");
        assert_eq!(pad("ab", 4), "ab  ");
    }

    #[test]
    fn rows_break_at_spaces_then_between_graphemes() {
        assert_eq!(rows("one two three", 8), ["one two ", "three"]);
        assert_eq!(rows("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(rows("a abcdefgh", 4), ["a ", "abcd", "efgh"]);
        assert_eq!(rows("世界世界", 5), ["世界", "世界"]);
        assert_eq!(rows("世", 1), ["世"]);
        assert_eq!(rows("", 5), [""]);
        assert_eq!(rows("a\n\nb\n", 5), ["a", "", "b", ""]);
        assert_eq!(rows("ab    cd", 4), ["ab    ", "cd"], "spaces hang over the edge");
    }

    #[test]
    fn links_are_http_only_and_end_before_punctuation() {
        for (text, found) in [
            (
                "see https://a.org/x?y=1, (http://b.de) file:///etc javascript:x https:// http",
                &["https://a.org/x?y=1", "http://b.de"][..],
            ),
            ("(https://a.org/Rust_(x)) https://a.org/[1]].", &["https://a.org/Rust_(x)", "https://a.org/[1]"]),
            ("https://a.org/Köln! https://a.org中文 https://аpple.com", &["https://a.org/Köln", "https://a.org"]),
            ("https://a.org/e\u{301}。 https://a.org?q=שלום", &["https://a.org/e\u{301}", "https://a.org?q=שלום"]),
            (
                "http:///etc http:/// https://?q https://#x http://\\\\a.org http://@a.org http://:80 http://[::1]:8/",
                &["http://[::1]:8/"],
            ),
            ("https://). https://a.org<x> \"https://b.org\"", &["https://a.org", "https://b.org"]),
        ] {
            let links: Vec<&str> = links(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(links, found, "{text}");
        }
        assert_eq!(address("https://a.org/Kö ln"), "https://a.org/K%C3%B6%20ln");
    }

    proptest! {
        #[test]
        fn wrapping_loses_nothing_and_fits(text in "(\\PC|\n| |👩‍👩‍👧‍👦|世){0,80}", columns in 1_usize..20) {
            let mut joined = String::new();
            for row in wrap(&text, columns) {
                let shown = text[row.clone()].trim_end_matches(' ');
                prop_assert!(width(shown) <= columns || shown.graphemes(true).count() == 1);
                joined.push_str(&text[row]);
            }
            prop_assert_eq!(joined, text.replace('\n', ""));
        }

        #[test]
        fn links_never_cut_a_character(text in "(\\PC|http://|https://){0,30}") {
            for range in links(&text) {
                prop_assert!(text[range.clone()].starts_with("http"));
                prop_assert!(address(&text[range]).bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
