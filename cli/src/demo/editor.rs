//! The input line: text, a cursor between graphemes, and what keys do to them.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Longest text that can be typed; far below what a message may have.
const MAX_BYTES: usize = 4_000;

/// One line of text that is being written.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: String,
    /// Byte position, always between two graphemes.
    cursor: usize,
}

impl Editor {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Columns before the cursor.
    pub(super) fn column(&self) -> usize {
        self.text[..self.cursor].width()
    }

    /// Inserts what was typed or pasted; line ends of a paste become spaces, so that it never sends itself.
    pub(super) fn insert(&mut self, text: &str) {
        let text = subrosa_client_core::clean::clean_line(text);
        if self.text.len() + text.len() <= MAX_BYTES {
            self.text.insert_str(self.cursor, &text);
            self.cursor += text.len();
            // A combining character joins what stands before it: the cursor stays between graphemes.
            self.cursor = self.first_boundary(|at| at >= self.cursor);
        }
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.first_boundary(|at| at > self.cursor);
    }

    pub(super) const fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) const fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Removes the grapheme before the cursor.
    pub(super) fn backspace(&mut self) {
        let end = self.cursor;
        self.left();
        self.text.replace_range(self.cursor..end, "");
    }

    /// Removes the grapheme after the cursor.
    pub(super) fn delete(&mut self) {
        let begin = self.cursor;
        self.right();
        self.text.replace_range(begin..self.cursor, "");
        self.cursor = begin;
    }

    /// Removes everything before the cursor.
    pub(super) fn clear_before(&mut self) {
        self.text.replace_range(..self.cursor, "");
        self.cursor = 0;
    }

    /// Takes the text, if there is any but spaces.
    pub(super) fn take(&mut self) -> Option<String> {
        if self.text.trim().is_empty() {
            return None;
        }
        self.cursor = 0;
        Some(std::mem::take(&mut self.text))
    }

    /// The first boundary that `fits`, or the end.
    fn first_boundary(&self, fits: impl Fn(usize) -> bool) -> usize {
        self.text.grapheme_indices(true).map(|(at, _)| at).find(|at| fits(*at)).unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_by_what_people_see_as_one_character() {
        let mut editor = Editor::default();
        editor.insert("a👩‍👩‍👧e\u{301}世");
        assert_eq!(editor.column(), 1 + 2 + 1 + 2);
        editor.left();
        editor.backspace();
        assert_eq!(editor.text(), "a👩‍👩‍👧世");
        editor.backspace();
        assert_eq!(editor.text(), "a世");
        editor.delete();
        editor.delete();
        assert_eq!(editor.text(), "a");
        editor.home();
        editor.left();
        editor.backspace();
        editor.insert("b");
        assert_eq!(editor.text(), "ba");
        editor.end();
        editor.clear_before();
        assert_eq!((editor.text(), editor.column()), ("", 0));
    }

    #[test]
    fn a_paste_stays_one_line_and_hostile_text_stays_out() {
        let mut editor = Editor::default();
        editor.insert("one\ntwo\r\n\x1b[31mthree");
        assert_eq!(editor.take().as_deref(), Some("one two [31mthree"));
        editor.insert(&"x".repeat(MAX_BYTES + 1));
        assert_eq!(editor.text(), "");
        editor.insert("  ");
        assert_eq!(editor.take(), None);
    }

    #[test]
    fn a_combining_character_joins_what_stands_before() {
        let mut editor = Editor::default();
        editor.insert("e");
        editor.insert("\u{301}");
        editor.backspace();
        assert_eq!(editor.text(), "");
    }
}
