//! The help, drawn.

use ratatui::{
    Frame,
    text::{Line, Span},
};

use super::card;
use crate::{
    app::App,
    commands::Command,
    help::{Row, WIDTH, keys_columns, rows},
    text::pad,
};

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
        Row::Scope(place) => Line::styled(place.title(), theme.strong),
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
