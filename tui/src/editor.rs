//! The text being written: a cursor that moves over graphemes, rows that wrap, and one step back.
//!
//! Used for the composer (several lines) and for every one-line question. What is typed or pasted is cleaned like text from
//! others: a pasted escape sequence must not reach the terminal either.

use std::ops::Range;

use subrosa_client_core::{
    clean::{clean_line, clean_text},
    limits::MAX_TEXT_BYTES,
};
use unicode_segmentation::UnicodeSegmentation as _;
use zeroize::Zeroize as _;

use crate::text::{width, wrap};

/// States kept for undoing; a step is a whole run of typing, so this is more than anybody takes back.
const MAX_UNDO: usize = 100;

/// A text and a cursor in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Editor {
    text: String,
    /// Byte offset, always between graphemes.
    cursor: usize,
    /// The column that moving up and down aims at.
    aim: Option<usize>,
    /// Earlier states, oldest first.
    past: Vec<(String, usize)>,
    /// The last change was typing at the cursor: more typing belongs to the same step.
    typing: bool,
}

impl Editor {
    /// An editor that holds a text, cursor at its end.
    pub(crate) fn with(text: &str) -> Self {
        let mut editor = Self::default();
        editor.insert(text);
        editor.past.clear();
        editor
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn cursor(&self) -> usize {
        self.cursor
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Nothing that would be worth sending.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Wipes the text and its earlier states.
    pub(crate) fn wipe(&mut self) {
        self.text.zeroize();
        self.past.iter_mut().for_each(|(text, _)| text.zeroize());
        *self = Self::default();
    }

    /// Takes the text, without the blank lines around it; the editor is empty then.
    pub(crate) fn take(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        *self = Self::default();
        text.trim_matches(['\n', '\r']).trim_end().to_owned()
    }

    /// Inserts text of several lines. `false`: it did not fit, and what did was inserted.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        let cleaned = clean_text(text).into_owned();
        let typed = cleaned.graphemes(true).count() == 1 && cleaned != "\n";
        self.put(&cleaned, typed)
    }

    /// Inserts text as one line.
    pub(crate) fn insert_line(&mut self, text: &str) -> bool {
        let cleaned = clean_line(text).into_owned();
        self.put(&cleaned, false)
    }

    fn put(&mut self, text: &str, typed: bool) -> bool {
        if !(typed && self.typing) {
            self.remember();
        }
        let room = MAX_TEXT_BYTES.saturating_sub(self.text.len());
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.insert_str(self.cursor, &text[..end]);
        self.cursor += end;
        // What was typed may have joined the character before it, or the one after.
        self.cursor = self.boundary_at_or_after(self.cursor);
        self.aim = None;
        self.typing = typed;
        end == text.len()
    }

    fn boundary_at_or_after(&self, at: usize) -> usize {
        self.text.grapheme_indices(true).map(|(begin, _)| begin).find(|begin| *begin >= at).unwrap_or(self.text.len())
    }

    fn remember(&mut self) {
        if self.past.last().is_some_and(|(text, _)| *text == self.text) {
            return;
        }
        if self.past.len() == MAX_UNDO {
            self.past.remove(0);
        }
        self.past.push((self.text.clone(), self.cursor));
    }

    /// Takes the last change back.
    pub(crate) fn undo(&mut self) {
        if let Some((text, cursor)) = self.past.pop() {
            self.text = text;
            self.cursor = cursor;
            self.aim = None;
            self.typing = false;
        }
    }

    fn moved(&mut self, to: usize) {
        self.cursor = to;
        self.aim = None;
        self.typing = false;
    }

    fn remove(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.remember();
        self.text.replace_range(range.clone(), "");
        // Two halves may have become one character.
        let cursor = self.boundary_at_or_after(range.start);
        self.moved(cursor);
    }

    fn previous(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        self.text[self.cursor..].graphemes(true).next().map_or(self.cursor, |grapheme| self.cursor + grapheme.len())
    }

    fn previous_word(&self) -> usize {
        let before = &self.text[..self.cursor];
        let words = before.trim_end_matches(|c: char| !c.is_alphanumeric());
        let at = words.char_indices().rev().find(|(_, c)| !c.is_alphanumeric()).map_or(0, |(at, c)| at + c.len_utf8());
        // A vowel sign is a letter, and may belong to the space before it.
        before.grapheme_indices(true).map(|(begin, _)| begin).take_while(|begin| *begin <= at).last().unwrap_or(0)
    }

    fn next_word(&self) -> usize {
        let after = &self.text[self.cursor..];
        let begin = after.find(|c: char| c.is_alphanumeric()).unwrap_or(after.len());
        let length = after[begin..].find(|c: char| !c.is_alphanumeric()).unwrap_or(after.len() - begin);
        self.boundary_at_or_after(self.cursor + begin + length)
    }

    fn line_begin(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    pub(crate) fn left(&mut self) {
        self.moved(self.previous());
    }

    pub(crate) fn right(&mut self) {
        self.moved(self.next());
    }

    pub(crate) fn word_left(&mut self) {
        self.moved(self.previous_word());
    }

    pub(crate) fn word_right(&mut self) {
        self.moved(self.next_word());
    }

    pub(crate) fn home(&mut self) {
        self.moved(self.line_begin());
    }

    pub(crate) fn end(&mut self) {
        self.moved(self.line_end());
    }

    pub(crate) fn backspace(&mut self) {
        self.remove(self.previous()..self.cursor);
    }

    pub(crate) fn delete(&mut self) {
        self.remove(self.cursor..self.next());
    }

    pub(crate) fn delete_word(&mut self) {
        self.remove(self.previous_word()..self.cursor);
    }

    pub(crate) fn delete_to_begin(&mut self) {
        self.remove(self.line_begin()..self.cursor);
    }

    /// To the end of the line, or the line end itself.
    pub(crate) fn delete_to_end(&mut self) {
        let end = self.line_end();
        let end = if end == self.cursor { self.next() } else { end };
        self.remove(self.cursor..end);
    }

    /// A row up, at this width. `false`: this is the first.
    pub(crate) fn up(&mut self, columns: usize) -> bool {
        let (row, column) = self.position(columns);
        row > 0 && self.go_to_row(row - 1, column, columns)
    }

    /// A row down, at this width. `false`: this is the last.
    pub(crate) fn down(&mut self, columns: usize) -> bool {
        let (row, column) = self.position(columns);
        self.go_to_row(row + 1, column, columns)
    }

    fn go_to_row(&mut self, row: usize, column: usize, columns: usize) -> bool {
        let rows = self.rows(columns);
        let Some(range) = rows.get(row).cloned() else { return false };
        let aim = self.aim.unwrap_or(column);
        let ends_row = rows.get(row + 1).is_some_and(|next| next.start == range.end);
        let mut at = range.start;
        let mut used = 0;
        for (offset, grapheme) in self.text[range.clone()].grapheme_indices(true) {
            let after = range.start + offset + grapheme.len();
            // The end of a wrapped row is the beginning of the next one.
            if used + width(grapheme) > aim || (ends_row && after == range.end) {
                break;
            }
            used += width(grapheme);
            at = after;
        }
        self.moved(at);
        self.aim = Some(aim);
        true
    }

    /// The rows at this width.
    pub(crate) fn rows(&self, columns: usize) -> Vec<Range<usize>> {
        wrap(&self.text, columns)
    }

    /// Row and column of the cursor at this width.
    pub(crate) fn position(&self, columns: usize) -> (usize, usize) {
        let rows = self.rows(columns);
        let row = rows.iter().rposition(|row| row.start <= self.cursor).unwrap_or(0);
        let begin = rows.get(row).map_or(0, |row| row.start);
        (row, width(&self.text[begin..self.cursor]).min(columns.max(1)))
    }
}

/// For property tests and fuzzing.
#[cfg(any(test, feature = "fuzzing"))]
impl Editor {
    /// The act of a number; `false`: none has it.
    pub(crate) fn act(&mut self, number: u8, columns: usize) -> bool {
        match number {
            0 => self.left(),
            1 => self.right(),
            2 => self.word_left(),
            3 => self.word_right(),
            4 => self.home(),
            5 => self.end(),
            6 => self.backspace(),
            7 => self.delete(),
            8 => self.delete_word(),
            9 => self.delete_to_begin(),
            10 => self.delete_to_end(),
            11 => drop(self.up(columns)),
            12 => drop(self.down(columns)),
            13 => self.undo(),
            _ => return false,
        }
        true
    }

    /// The cursor stands between characters, and on the screen.
    pub(crate) fn check(&self, columns: usize) {
        let (at, text) = (self.cursor(), self.text());
        assert!(at == text.len() || text.grapheme_indices(true).any(|(begin, _)| begin == at), "{at} in {text:?}");
        let (row, column) = self.position(columns);
        assert!(row < self.rows(columns).len() && column <= columns);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cursor_moves_over_whole_characters() {
        let mut editor = Editor::with("a👩‍👩‍👧‍👦e\u{301}");
        editor.left();
        editor.left();
        editor.insert("世");
        assert_eq!(editor.text(), "a世👩‍👩‍👧‍👦e\u{301}");
        editor.delete();
        assert_eq!(editor.text(), "a世e\u{301}");
        editor.backspace();
        assert_eq!(editor.text(), "ae\u{301}");
    }

    #[test]
    fn words_and_lines_are_deleted_and_brought_back() {
        let mut editor = Editor::with("one two\nthree four");
        editor.delete_word();
        assert_eq!(editor.text(), "one two\nthree ");
        editor.delete_to_begin();
        assert_eq!(editor.text(), "one two\n");
        editor.undo();
        editor.undo();
        assert_eq!(editor.text(), "one two\nthree four");
        editor.home();
        editor.word_right();
        editor.delete_to_end();
        assert_eq!(editor.text(), "one two\nthree");
        editor.delete_to_end();
        assert_eq!(editor.text(), "one two\nthree", "nothing after the end");
    }

    #[test]
    fn typing_is_one_step_back() {
        let mut editor = Editor::default();
        for letter in ["a", "b", "c"] {
            editor.insert(letter);
        }
        editor.undo();
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn up_and_down_keep_their_column_over_wrapped_rows() {
        let mut editor = Editor::with("abcdef\nxy\nuvwxyz");
        assert_eq!(editor.position(20), (2, 6));
        assert!(editor.up(20));
        assert_eq!(editor.position(20), (1, 2));
        assert!(editor.up(20));
        assert_eq!(editor.position(20), (0, 6));
        assert!(!editor.up(20));
        let mut wrapped = Editor::with("one two three");
        assert_eq!(wrapped.position(8), (1, 5));
        assert!(wrapped.up(8));
        assert_eq!(wrapped.position(8), (0, 5));
    }

    #[test]
    fn what_is_pasted_is_harmless_and_bounded() {
        let mut editor = Editor::default();
        editor.insert("a\r\nb\x1b[2J\u{202E}c");
        assert_eq!(editor.text(), "a\nb[2Jc");
        assert!(!editor.insert(&"世".repeat(MAX_TEXT_BYTES)));
        assert!(editor.text().len() <= MAX_TEXT_BYTES);
        assert_eq!(Editor::with("\n\n hi \n").take(), " hi");
    }

    proptest! {
        #[test]
        fn whatever_is_done_the_cursor_stands_between_characters(
            steps in proptest::collection::vec((0_u8..16, "\\PC{0,4}|\n|👩‍|👧|\u{301}"), 0..60),
            columns in 1_usize..12,
        ) {
            let mut editor = Editor::default();
            for (step, text) in steps {
                if !editor.act(step, columns) {
                    editor.insert(&text);
                }
                editor.check(columns);
            }
        }
    }
}
