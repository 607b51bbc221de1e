//! Text in columns: graphemes and their widths, wrapping, shortening.
//!
//! Everything here counts what a terminal shows (a CJK character or an emoji with joiners takes two columns), and never cuts
//! inside what a person sees as one character. Text from others is cleaned before it comes here; see [`line`] and [`lines`].

use std::{borrow::Cow, ops::Range};

use subrosa_client_core::clean::{clean_line, clean_text};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

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

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.graphemes(true).map(|grapheme| grapheme.width()).sum()
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
        let columns_of_it = grapheme.width();
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
        let columns_of_it = grapheme.width();
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

/// Places of web addresses in a text, http and https only: no other scheme becomes something to click.
pub(crate) fn links(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("http").map(|at| from + at) {
        from = at + 4;
        let rest = &text[at..];
        if !(rest.starts_with("http://") || rest.starts_with("https://")) {
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '`'))
            .unwrap_or(rest.len());
        let address = rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        let host = address.split_once("://").map_or("", |(_, host)| host);
        if !host.is_empty() {
            found.push(at..at + address.len());
            from = at + address.len();
        }
    }
    found
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
        for (text, columns) in [("abc", 3), ("世界", 4), ("e\u{301}", 1), ("👩‍👩‍👧‍👦", 2), ("🇩🇪", 2), ("שלום", 4), ("", 0)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
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
        let text = "see https://a.org/x?y=1, (http://b.de) file:///etc javascript:x https:// http";
        let found: Vec<&str> = links(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["https://a.org/x?y=1", "http://b.de"]);
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
                prop_assert!(text[range].starts_with("http"));
            }
        }
    }
}
