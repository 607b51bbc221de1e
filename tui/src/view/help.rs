//! The help: every command that has keys, by place, made from the live key map.

use ratatui::{
    Frame,
    text::{Line, Span},
};

use super::card;
use crate::{
    app::App,
    commands::{Command, Place, TABLE},
    keymap::KeyMap,
    text::{pad, width, wrap},
};

/// Columns of the keys, where there is room: three of the longer ones.
const KEYS: usize = 24;

/// Columns of the keys where there is not.
const NARROW_KEYS: usize = 13;

/// Columns of the whole.
const WIDTH: usize = 78;

/// Below this many columns the keys take fewer, and texts are wrapped.
const NARROW: usize = 64;

/// A row of the help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    Blank,
    Place(Place),
    /// Keys, or nothing, and a row of what they do.
    Keys(String, String),
}

/// All rows, for this key map and this many columns of the screen.
pub(crate) fn rows(keys: &KeyMap, screen: u16) -> Vec<Row> {
    let columns = WIDTH.min(usize::from(screen).saturating_sub(card::FRAME));
    let room = keys_columns(columns);
    let mut rows = Vec::new();
    for place in Place::ALL {
        let mut shown = Vec::new();
        for spec in TABLE.iter().filter(|spec| spec.places().first() == Some(&place)) {
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
            rows.push(Row::Place(place));
            rows.extend(shown);
        }
    }
    rows
}

const fn keys_columns(columns: usize) -> usize {
    if columns < NARROW { NARROW_KEYS } else { KEYS }
}

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, offset: usize) {
    let theme = &app.theme;
    let rows = rows(&app.keys, app.size.0);
    let commands = [Command::Back, Command::ChooseUp, Command::PageDown];
    let inside = card::open(frame, app, "Help", (WIDTH, rows.len() + 2), &commands);
    let room = keys_columns(usize::from(inside.width));
    let view = usize::from(inside.height).saturating_sub(2);
    let offset = offset.min(rows.len().saturating_sub(view));
    let mut lines = vec![ticks(app, usize::from(inside.width)), Line::default()];
    lines.extend(rows.into_iter().skip(offset).take(view).map(|row| match row {
        Row::Blank => Line::default(),
        Row::Place(place) => Line::styled(place.title(), theme.strong),
        Row::Keys(keys, text) if text.is_empty() => Line::styled(keys, theme.accent),
        Row::Keys(keys, text) => {
            Line::from(vec![Span::styled(pad(&keys, room), theme.accent), Span::raw(" "), Span::raw(text)])
        }
    }));
    card::fill(frame, inside, lines);
}

/// What the signs behind messages mean; shorter where there is less room.
fn ticks(app: &App, room: usize) -> Line<'static> {
    use subrosa_client_core::api::MessageStatus::{Delivered, Queued, Read, Sent};
    let long = [(Queued, "waits"), (Sent, "the relay has it"), (Delivered, "they have it"), (Read, "they read it")];
    let short = [(Queued, "waits"), (Sent, "sent"), (Delivered, "delivered"), (Read, "read")];
    let line = |texts: [(_, &str); 4]| {
        let spans = texts.into_iter().enumerate().flat_map(|(at, (status, text))| {
            let (sign, style) = app.theme.tick(status);
            let gap = if at == 0 { "" } else { "   " };
            [Span::styled(format!("{gap}{sign}"), style), Span::styled(format!(" {text}"), app.theme.dim)]
        });
        Line::from(spans.collect::<Vec<_>>())
    };
    let whole = line(long);
    if whole.width() <= room { whole } else { line(short) }
}
