//! What pages before the chats have in common: their place, their last row, dots for what must not be seen.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{columns, line, row, status};
use crate::{
    app::App,
    commands::Command,
    text::{fit, width, wrap},
};

/// Columns of what is read: longer lines are hard to follow.
pub(super) const WIDTH: usize = 66;

/// Most dots for a passphrase: its length is nobody's business.
const DOTS: usize = 32;

/// Columns for text on a page.
pub(super) fn room(frame: &Frame<'_>) -> usize {
    WIDTH.min(usize::from(frame.area().width).saturating_sub(2)).max(1)
}

pub(super) fn wrapped(text: &str, columns: usize, style: ratatui::style::Style) -> Vec<Line<'static>> {
    wrap(text, columns).into_iter().map(|range| Line::styled(text[range].trim_end().to_owned(), style)).collect()
}

/// A page in the middle of the screen, above the last row. Returns where it is.
pub(super) fn page(frame: &mut Frame<'_>, app: &App, title: &str, lines: Vec<Line<'_>>) -> Rect {
    let screen = frame.area();
    let inside = columns(room(frame));
    let mut all = vec![Line::styled(title.to_owned(), app.theme.strong), Line::default()];
    all.extend(lines);
    let free = screen.height.saturating_sub(1);
    let height = columns(all.len()).min(free);
    // Depends on the screen alone where there is room: what is said under a field must not move the page.
    let top = (screen.height / 10).min(free - height);
    let area = Rect { x: (screen.width.saturating_sub(inside)) / 2, y: top, width: inside, height };
    for (at, text) in all.into_iter().enumerate().take(usize::from(height)) {
        line(frame, row(area, columns(at)), text);
    }
    Rect { y: area.y + 2.min(height), height: height.saturating_sub(2), ..area }
}

/// The last row: a remark, or the keys.
pub(super) fn foot(frame: &mut Frame<'_>, app: &App, commands: &[(Command, &str)]) {
    let screen = frame.area();
    let area = Rect { y: screen.height.saturating_sub(1), height: 1, ..screen };
    if let Some(remark) = &app.remark {
        let style = status::weight(app, remark.weight);
        let text = fit(&remark.text, usize::from(area.width).saturating_sub(2)).into_owned();
        return line(frame, area, Line::from(vec![Span::raw(" "), Span::styled(text, style)]));
    }
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (command, text) in commands {
        let Some(key) = app.keys.hint(*command) else { continue };
        let needed = width(&key) + 1 + width(text) + 2;
        if used + needed > usize::from(area.width) {
            break;
        }
        spans.push(Span::styled(key, app.theme.accent));
        spans.push(Span::styled(format!(" {text}  "), app.theme.dim));
        used += needed;
    }
    line(frame, area, Line::from(spans));
}

/// What stands for a character that must not be seen.
pub(super) const fn mask(app: &App) -> &'static str {
    if app.theme.signs.unicode { "•" } else { "*" }
}

/// Dots for what is typed; where the cursor is.
pub(super) fn dots(app: &App, count: usize) -> (String, usize) {
    let sign = mask(app);
    let shown = count.min(DOTS);
    (sign.repeat(shown), shown)
}
