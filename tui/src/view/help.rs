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
    text::{pad, width},
};

/// Columns of the keys: three of the longer ones.
const KEYS: usize = 24;

/// Columns of the whole.
const WIDTH: usize = 78;

/// A row of the help.
pub(crate) enum Row {
    Blank,
    Place(Place),
    Keys(String, &'static str),
}

/// All rows, for this key map.
pub(crate) fn rows(keys: &KeyMap) -> Vec<Row> {
    let mut rows = Vec::new();
    for place in Place::ALL {
        let mut shown = Vec::new();
        for spec in TABLE.iter().filter(|spec| spec.places.first() == Some(&place)) {
            let names: Vec<String> = keys.keys(spec.command).iter().map(ToString::to_string).collect();
            if !names.is_empty() {
                shown.push(Row::Keys(names.join(" "), spec.help));
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

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, offset: usize) {
    let theme = &app.theme;
    let rows = rows(&app.keys);
    let ticks = ticks(app);
    let inside = card::open(
        frame,
        app,
        "Help",
        (WIDTH, rows.len() + 2),
        &[Command::ChooseDown, Command::PageDown, Command::Back],
    );
    let view = usize::from(inside.height).saturating_sub(2);
    let offset = offset.min(rows.len().saturating_sub(view));
    let mut lines = vec![ticks, Line::default()];
    lines.extend(rows.into_iter().skip(offset).take(view).map(|row| match row {
        Row::Blank => Line::default(),
        Row::Place(place) => Line::styled(place.title(), theme.strong),
        Row::Keys(keys, text) => Line::from(vec![
            Span::styled(pad(&keys, KEYS.max(width(&keys) + 1).min(KEYS)), theme.accent),
            Span::raw(" "),
            Span::raw(text),
        ]),
    }));
    card::fill(frame, inside, lines);
}

/// What the signs behind messages mean.
fn ticks(app: &App) -> Line<'static> {
    use subrosa_client_core::api::MessageStatus::{Delivered, Queued, Read, Sent};
    let mut spans = Vec::new();
    for (status, text) in
        [(Queued, "waits"), (Sent, "the relay has it"), (Delivered, "they have it"), (Read, "they read it")]
    {
        let (sign, style) = app.theme.tick(status);
        spans.push(Span::styled(sign, style));
        spans.push(Span::styled(format!(" {text}   "), app.theme.dim));
    }
    Line::from(spans)
}
