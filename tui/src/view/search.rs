//! The search: a question, and the messages that were found.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
};

use super::{
    card::{self, isolate_all, question},
    columns, line, row,
};
use crate::{
    app::App,
    commands::Command,
    overlay::{Hit, Search},
    text::{fit, width},
};

/// Columns of the card.
const WIDTH: usize = 76;

/// Rows of the card: the question, a note, and eight hits, each with a line for who and when, and one for its text.
const ROWS: usize = 2 + 2 * 8;

/// Rows of a hit.
pub(super) const STEP: usize = 2;

/// Room that the card wants, and the first hit in view.
pub(super) fn shown(app: &App, search: &Search) -> ((usize, usize), usize) {
    let inside = card::inside(card::area(app.size, (WIDTH, ROWS)));
    let view = (usize::from(inside.height).saturating_sub(2) / STEP).max(1);
    ((WIDTH, ROWS), (search.selected + 1).saturating_sub(view))
}

/// Draws it; where its cursor is.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, search: &Search) -> Position {
    let theme = &app.theme;
    let title = match &search.here {
        Some((_, name)) if search.only_here => format!("Search the messages with {name}"),
        _ => "Search all messages".to_owned(),
    };
    let mut commands = vec![Command::Confirm];
    if search.here.is_some() {
        commands.push(Command::Scope);
    }
    commands.extend([Command::Back, Command::ChooseUp]);
    let (size, first) = shown(app, search);
    let inside = card::open(frame, app, &title, size, &commands);
    let view = (usize::from(inside.height).saturating_sub(2) / STEP).max(1);
    for (at, hit) in search.hits.iter().enumerate().skip(first).take(view) {
        let place = Rect { height: 2, ..row(inside, columns(2 + (at - first) * STEP)) };
        draw_hit(frame, app, search, hit, place, at == search.selected);
    }
    let note = note(search);
    line(frame, row(inside, 1), Line::styled(fit(&note, usize::from(inside.width)).into_owned(), theme.dim));
    question(frame, app, &search.words, row(inside, 0))
}

fn note(search: &Search) -> String {
    if let Some(error) = &search.error {
        return error.clone();
    }
    match (search.query(), &search.found) {
        (None, _) => "Type words, or the beginning of the last one.".to_owned(),
        (Some(_), None) => "…".to_owned(),
        (Some(_), Some(_)) if search.hits.is_empty() && search.asked.is_none() => {
            let elsewhere = if search.only_here { ": Tab searches all chats" } else { "" };
            format!("No message has these words{elsewhere}")
        }
        (Some(_), Some(_)) => match (search.hits.len(), search.next.is_some()) {
            (1, false) => "1 message".to_owned(),
            (count, true) => format!("the newest {count} messages, more below"),
            (count, false) => format!("{count} messages, newest first"),
        },
    }
}

fn draw_hit(frame: &mut Frame<'_>, app: &App, search: &Search, hit: &Hit, area: Rect, selected: bool) {
    let theme = &app.theme;
    if selected {
        let shown = area.intersection(frame.area());
        frame.buffer_mut().set_style(shown, theme.selected);
    }
    let mark = if selected { theme.signs.pointer } else { " " };
    let who = match (&hit.from, search.only_here) {
        (Some(from), _) => from.clone(),
        (None, true) => "you".to_owned(),
        (None, false) => format!("you to {}", hit.chat_name),
    };
    let when = format!("{} {}", app.clock.brief(hit.ts_ms), app.clock.minute(hit.ts_ms));
    let when =
        if app.clock.brief(hit.ts_ms) == app.clock.minute(hit.ts_ms) { app.clock.minute(hit.ts_ms) } else { when };
    let total = usize::from(area.width);
    let who = fit(&who, total.saturating_sub(3 + width(&when))).into_owned();
    let gap = total.saturating_sub(2 + width(&who) + width(&when));
    let head = vec![
        Span::styled(mark, theme.accent),
        Span::raw(" "),
        Span::styled(who, theme.strong),
        Span::raw(" ".repeat(gap)),
        Span::styled(when, theme.dim),
    ];
    line(frame, row(area, 0), Line::from(head));
    let mut spans = Vec::new();
    let mut room = total.saturating_sub(2);
    for (text, found) in &hit.snippet {
        let shown = fit(text, room).into_owned();
        room = room.saturating_sub(width(&shown));
        spans.push(Span::styled(shown, if *found { theme.found } else { theme.text }));
        if room == 0 {
            break;
        }
    }
    let snippet: String = hit.snippet.iter().map(|(text, _)| text.as_str()).collect();
    isolate_all(&snippet, &mut spans);
    spans.insert(0, Span::raw("  "));
    line(frame, row(area, 1), Line::from(spans));
}
