//! The help: every command that has keys, by scope, made from the live key map.

use crate::{
    commands::{Scope, TABLE},
    keymap::KeyMap,
    layout::CARD_FRAME,
    text::{width, wrap},
};

/// Columns of the keys, where there is room: three of the longer ones.
const KEYS: usize = 24;

/// Columns of the keys where there is not.
const NARROW_KEYS: usize = 13;

/// Columns of the whole.
pub(crate) const WIDTH: usize = 78;

/// Below this many columns the keys take fewer, and texts are wrapped.
const NARROW: usize = 64;

/// A row of the help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    Blank,
    Scope(Scope),
    /// Keys, or nothing, and a row of what they do.
    Keys(String, String),
}

/// All rows, for this key map and this many columns of the screen.
pub(crate) fn rows(keys: &KeyMap, screen: u16) -> Vec<Row> {
    let columns = WIDTH.min(usize::from(screen).saturating_sub(CARD_FRAME));
    let room = keys_columns(columns);
    let mut rows = Vec::new();
    for scope in Scope::ALL {
        let mut shown = Vec::new();
        for spec in TABLE.iter().filter(|spec| spec.scopes().first() == Some(&scope)) {
            let names: Vec<String> = keys.keys(spec.command).iter().map(ToString::to_string).collect();
            if names.is_empty() {
                continue;
            }
            let mut names = names.join(" ");
            if width(&names) > room {
                shown.push(Row::Keys(std::mem::take(&mut names), String::new()));
            }
            for row in wrap(spec.help, columns.saturating_sub(room + 1)) {
                shown.push(Row::Keys(std::mem::take(&mut names), spec.help[row].trim_end().to_owned()));
            }
        }
        if !shown.is_empty() {
            if !rows.is_empty() {
                rows.push(Row::Blank);
            }
            rows.push(Row::Scope(scope));
            rows.extend(shown);
        }
    }
    rows
}

/// Columns of the keys in so many.
pub(crate) const fn keys_columns(columns: usize) -> usize {
    if columns < NARROW { NARROW_KEYS } else { KEYS }
}
