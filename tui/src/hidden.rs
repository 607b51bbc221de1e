//! A line that is typed and not shown: passphrases. No copies are kept for undoing, and the buffer never moves.

use subrosa_client_core::keys::MAX_PASSPHRASE_BYTES;
use unicode_segmentation::UnicodeSegmentation as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::account_service::Secret;

/// What is typed; wiped when dropped.
#[derive(Clone)]
pub(crate) struct Hidden(Zeroizing<String>);

impl Default for Hidden {
    fn default() -> Self {
        // All of it at once: a buffer that grows leaves copies behind.
        Self(Zeroizing::new(String::with_capacity(MAX_PASSPHRASE_BYTES)))
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl Hidden {
    /// Adds what is typed or pasted, up to the end of its first line. `false`: it did not fit, and nothing was added.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        let line = text.split(['\n', '\r']).next().unwrap_or_default();
        let added = line.chars().filter(|c| !c.is_control());
        if self.0.len() + added.clone().map(char::len_utf8).sum::<usize>() > MAX_PASSPHRASE_BYTES {
            return false;
        }
        self.0.extend(added);
        true
    }

    pub(crate) fn backspace(&mut self) {
        let end = self.0.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
        self.0.truncate(end);
    }

    pub(crate) fn clear(&mut self) {
        self.0.zeroize();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Characters, for the dots.
    pub(crate) fn count(&self) -> usize {
        self.0.graphemes(true).count()
    }

    /// Takes it; nothing is left.
    pub(crate) fn take(&mut self) -> Secret {
        let taken = Secret::new(Zeroizing::new(String::clone(&self.0)));
        self.clear();
        taken
    }

    /// A copy, for an account that is made and may have to be made again.
    pub(crate) fn secret(&self) -> Secret {
        Secret::new(Zeroizing::new(String::clone(&self.0)))
    }

    pub(crate) fn equals(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }

    /// How hard it is to guess.
    pub(crate) fn strength(&self) -> Strength {
        Strength::of(&self.0)
    }
}

/// How hard a passphrase is to guess, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    Weak,
    Fair,
    Good,
}

/// With the store's Argon2id about ten guesses a second and core: below, one machine finds it within days.
const WEAK_BITS: usize = 32;

/// Above, a thousand machines need centuries.
const GOOD_BITS: usize = 48;

/// What a character is worth in what people make up: far less than its alphabet says.
const BITS_A_CHARACTER: usize = 2;

/// What one that is neither a small letter nor a space is worth more.
const BITS_A_SIGN: usize = 2;

/// What a different word more is worth: a choice among about four thousand.
const BITS_A_WORD: usize = 12;

impl Strength {
    fn of(text: &str) -> Self {
        let distinct = text.chars().collect::<std::collections::HashSet<_>>().len();
        let signs = text.chars().filter(|c| !c.is_lowercase() && *c != ' ').count();
        // "aaaaaaaa" is not eight characters.
        let counted = text.chars().count().min(2 * distinct);
        let as_characters = counted * BITS_A_CHARACTER + signs.min(counted) * BITS_A_SIGN;
        let words: std::collections::HashSet<&str> = text.split_whitespace().filter(|word| word.len() > 2).collect();
        let as_words = if words.len() > 1 { words.len() * BITS_A_WORD } else { 0 };
        match as_characters.max(as_words) {
            bits if bits < WEAK_BITS => Self::Weak,
            bits if bits < GOOD_BITS => Self::Fair,
            _ => Self::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_bounded_one_line_and_never_shown() {
        let mut hidden = Hidden::default();
        assert!(hidden.insert("a b\u{7}é👩‍👩‍👧‍👦\nsecond line"));
        assert_eq!((hidden.0.as_str(), hidden.count()), ("a bé👩‍👩‍👧‍👦", 5));
        hidden.backspace();
        assert_eq!(hidden.0.as_str(), "a bé");
        assert!(!format!("{hidden:?} {:?}", hidden.secret()).contains("a b"));
        let begin = hidden.0.as_ptr();
        assert!(!hidden.insert(&"x".repeat(MAX_PASSPHRASE_BYTES)), "too long");
        while hidden.insert("x") {}
        assert_eq!((hidden.0.len(), hidden.0.as_ptr()), (MAX_PASSPHRASE_BYTES, begin), "it never moved");
        assert_eq!(hidden.take().as_str().len(), MAX_PASSPHRASE_BYTES);
        assert!(hidden.is_empty());
    }

    #[test]
    fn several_words_are_better_than_one() {
        for (text, strength) in [
            ("", Strength::Weak),
            ("password", Strength::Weak),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", Strength::Weak),
            ("Tr0ub4dor&3", Strength::Fair),
            ("copper lantern window", Strength::Fair),
            ("word word word word word", Strength::Weak),
            ("copper lantern window seven", Strength::Good),
            ("x7#Kq9!vW2$mZ4", Strength::Good),
        ] {
            assert_eq!(Strength::of(text), strength, "{text:?}");
        }
    }
}
