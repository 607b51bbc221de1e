//! What a word is for the search: cuts texts into the words that are indexed, and marks them in a snippet.
//!
//! Scripts that are written without spaces between words (Chinese, Japanese, Thai, …) and Korean are cut into their
//! characters, and what is looked for in them is a row of characters: so every part of a text is found. Symbols and emoji
//! become words of their own. Nothing but letters, digits and marks reaches the index or a query, so no text can be
//! taken for the index's query language.

use std::ops::Range;

use rusqlite::{Connection, functions::FunctionFlags};

use crate::{api::SnippetPart, clean::clean_line};

/// Words of a query that are looked for: each costs a walk through the index.
const MAX_QUERY_WORDS: usize = 32;

/// Characters of a snippet before the first word that was found, and altogether: one line of a terminal.
const SNIPPET_BEFORE: usize = 24;
const SNIPPET_CHARS: usize = 100;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    /// Where it stands, in bytes.
    start: usize,
    end: usize,
    /// In lower case and without accents.
    folded: String,
}

/// What the users of a query typed, as words.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// Each is a row of words that must stand side by side; the last word of the last one may be a beginning.
    phrases: Vec<Vec<String>>,
}

enum Class {
    /// Part of a word.
    Letter,
    /// A word by itself.
    Single,
    /// A picture: a word by itself, under its number.
    Symbol,
    /// Between words.
    Gap,
}

const fn class(c: char) -> Class {
    match c {
        // Thai to Myanmar, Khmer; kana, CJK, Hangul.
        '\u{0E00}'..='\u{0EFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30FA}'
        | '\u{30FC}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{A4CF}'
        | '\u{AC00}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FFDC}'
        | '\u{20000}'..='\u{3FFFF}' => Class::Single,
        // Arrows, signs, dingbats; emoji.
        '\u{2190}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}' => Class::Symbol,
        _ => Class::Gap,
    }
}

fn classify(c: char) -> Class {
    match class(c) {
        Class::Gap if c.is_alphanumeric() || is_mark(c) => Class::Letter,
        known => known,
    }
}

/// Accents written as characters of their own.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}')
}

/// A small letter without its accent. The index knows more of them; this is for showing what was found.
const fn plain(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' => 'h',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' => 'i',
        'ĵ' => 'j',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ō' | 'ŏ' | 'ő' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' => 's',
        'ţ' | 'ť' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match classify(c) {
            Class::Letter => {
                if !open {
                    words.push(Word { start: at, end, folded: String::new() });
                    open = true;
                }
                if let Some(word) = words.last_mut() {
                    word.end = end;
                    if !is_mark(c) {
                        word.folded.extend(c.to_lowercase().map(plain));
                    }
                }
            }
            Class::Single => {
                words.push(Word { start: at, end, folded: c.to_string() });
                open = false;
            }
            Class::Symbol => {
                words.push(Word { start: at, end, folded: format!("u{:x}", u32::from(c)) });
                open = false;
            }
            Class::Gap => open = false,
        }
    }
    words.retain(|word| !word.folded.is_empty());
    words
}

/// The words of a text in a row: what is indexed.
fn search_text(text: &str) -> String {
    let mut row = String::with_capacity(text.len() + text.len() / 4);
    for word in words(text) {
        row.push_str(&word.folded);
        row.push(' ');
    }
    row
}

/// Gives a connection the function that the triggers of `message` call.
pub(super) fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("search_text", 1, flags, |context| {
        // A text that a damaged file holds is not worth failing for: it is not found, that is all.
        Ok(context.get::<String>(0).map(|text| search_text(&text)).unwrap_or_default())
    })
}

impl Query {
    /// The words of what somebody typed. `None` when there are none.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let phrases: Vec<Vec<String>> = text
            .split_whitespace()
            .map(|part| words(part).into_iter().map(|word| word.folded).collect::<Vec<_>>())
            .filter(|phrase| !phrase.is_empty())
            .take(MAX_QUERY_WORDS)
            .collect();
        (!phrases.is_empty()).then_some(Self { phrases })
    }

    /// As the index wants it.
    pub(crate) fn expression(&self) -> String {
        let phrases: Vec<String> = self.phrases.iter().map(|phrase| format!("\"{}\"", phrase.join(" "))).collect();
        format!("body : ({} *)", phrases.join(" AND "))
    }

    /// Where the words stand in a text, in bytes, in order and apart.
    fn places(&self, text: &str) -> Vec<(usize, usize)> {
        let words = words(text);
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (index, phrase) in self.phrases.iter().enumerate() {
            let last_phrase = index + 1 == self.phrases.len();
            for window in words.windows(phrase.len()) {
                let fits = window.iter().zip(phrase).enumerate().all(|(at, (word, wanted))| {
                    let beginning = last_phrase && at + 1 == phrase.len();
                    if beginning { word.folded.starts_with(wanted.as_str()) } else { word.folded == *wanted }
                });
                if let (true, Some(first), Some(last)) = (fits, window.first(), window.last()) {
                    places.push((first.start, last.end));
                }
            }
        }
        places.sort_unstable();
        let mut apart: Vec<(usize, usize)> = Vec::new();
        for (start, end) in places {
            match apart.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => apart.push((start, end)),
            }
        }
        apart
    }

    /// A line of the text around the first word that was found.
    pub(crate) fn snippet(&self, text: &str) -> Vec<SnippetPart> {
        let places = self.places(text);
        let first = places.first().map_or(0, |place| place.0);
        let start = text[..first].char_indices().rev().nth(SNIPPET_BEFORE - 1).map_or(0, |(at, _)| at);
        let end = text[start..].char_indices().nth(SNIPPET_CHARS).map_or(text.len(), |(at, _)| start + at);
        let mut parts = Vec::new();
        let mut push = |text: &str, hit: bool| {
            let text = clean_line(text).into_owned();
            if !text.is_empty() {
                parts.push(SnippetPart { text, hit });
            }
        };
        if start > 0 {
            push("…", false);
        }
        let mut at = start;
        for (begin, stop) in places.into_iter().filter(|(begin, _)| *begin < end) {
            push(&text[at..begin], false);
            push(&text[begin..stop.min(end)], true);
            at = stop.min(end);
        }
        push(&text[at..end], false);
        if end < text.len() {
            push("…", false);
        }
        parts
    }
}

/// Where the words of a query stand in a text, as the search finds them: in order and apart, each at the limits of characters.
#[must_use]
pub fn found_in(query: &str, text: &str) -> Vec<Range<usize>> {
    let places = Query::new(query).map(|query| query.places(text)).unwrap_or_default();
    places.into_iter().map(|(start, end)| start..end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(query: &str, text: &str) -> String {
        let parts = Query::new(query).unwrap().snippet(text);
        parts.iter().map(|part| if part.hit { format!("«{}»", part.text) } else { part.text.clone() }).collect()
    }

    #[test]
    fn texts_are_cut_into_words() {
        assert_eq!(search_text("Hello, wörld-wide 2.0!"), "hello world wide 2 0 ");
        assert_eq!(search_text("e\u{301}te\u{301}"), "ete ");
        assert_eq!(search_text("東京タワーへ行こう"), "東 京 タ ワ ー へ 行 こ う ");
        assert_eq!(search_text("ok 🎉\u{FE0F}"), "ok u1f389 ");
        assert_eq!(search_text("\0\"'*():^-+"), "");
    }

    #[test]
    fn a_query_is_words_whatever_it_looks_like() {
        let expression = |text: &str| Query::new(text).map(|query| query.expression());
        assert_eq!(expression("two words"), Some("body : (\"two\" AND \"words\" *)".into()));
        assert_eq!(expression("a OR b"), Some("body : (\"a\" AND \"or\" AND \"b\" *)".into()));
        assert_eq!(
            expression("\"x\" NEAR(y z, 3)*"),
            Some("body : (\"x\" AND \"near y\" AND \"z\" AND \"3\" *)".into())
        );
        assert_eq!(expression("re\0re"), Some("body : (\"re re\" *)".into()));
        assert_eq!(expression(" \"*\0- "), None);
        assert!(expression(&"w ".repeat(500)).unwrap().matches("AND").count() < MAX_QUERY_WORDS);
    }

    #[test]
    fn snippets_show_where_it_matches() {
        assert_eq!(marked("hello wor", "Hello there, whole WORLD, word"), "«Hello» there, whole «WORLD», «word»");
        assert_eq!(marked("京タ", "東京タワー"), "東«京タ»ワー");
        assert_eq!(marked("gru", "Schöne Grüße\nan alle"), "Schöne «Grüße» an alle");
        assert_eq!(marked("nothing", "not here"), "not here");
        let long = format!("{} needle {}", "hay ".repeat(50), "hay ".repeat(50));
        let shown = marked("needle", &long);
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.contains("«needle»"), "{shown}");
        assert!(shown.chars().count() < 110);
        assert_eq!(marked("x", "x\x1b[2J\u{202E}y"), "«x»[2Jy");
    }

    proptest::proptest! {
        #[test]
        fn nothing_typed_or_written_panics(query in ".{0,40}", text in ".{0,300}") {
            if let Some(query) = Query::new(&query) {
                let shown: String = query.snippet(&text).into_iter().map(|part| part.text).collect();
                proptest::prop_assert!(shown.chars().count() <= SNIPPET_CHARS + 2);
            }
        }
    }
}
