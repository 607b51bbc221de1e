//! What terminals send for keys, mouse and focus.

#![allow(missing_docs, reason = "the names are those on the keys")]

pub const ENTER: &str = "\r";
pub const ESC: &str = "\x1b";
pub const TAB: &str = "\t";
pub const BACKSPACE: &str = "\x7f";
pub const UP: &str = "\x1b[A";
pub const DOWN: &str = "\x1b[B";
pub const HOME: &str = "\x1b[H";
pub const PAGE_UP: &str = "\x1b[5~";
pub const PAGE_DOWN: &str = "\x1b[6~";
pub const F1: &str = "\x1bOP";

/// Control and a letter.
#[must_use]
pub fn ctrl(letter: char) -> String {
    char::from(u8::try_from(letter.to_ascii_uppercase()).unwrap_or_default() & 0x1f).to_string()
}

/// Alt and a letter.
#[must_use]
pub fn alt(letter: char) -> String {
    format!("{ESC}{letter}")
}

/// Text that is pasted, as a terminal with bracketed paste sends it.
#[must_use]
pub fn pasted(text: &str) -> String {
    format!("\x1b[200~{text}\x1b[201~")
}

/// The window gets or loses the keyboard.
#[must_use]
pub const fn focus(gained: bool) -> &'static str {
    if gained { "\x1b[I" } else { "\x1b[O" }
}

/// A click of the left button on a cell, counted from 0.
#[must_use]
pub fn click((row, column): (u16, u16)) -> String {
    let (row, column) = (row + 1, column + 1);
    format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m")
}

/// A step of the wheel over a cell, counted from 0.
#[must_use]
pub fn wheel(up: bool, (row, column): (u16, u16)) -> String {
    let button = if up { 64 } else { 65 };
    format!("\x1b[<{button};{};{}M", column + 1, row + 1)
}
