//! The picture: pure functions of the state. Nothing here changes anything.

mod card;
mod chats;
mod composer;
mod conversation;
pub(crate) mod help;
pub(crate) mod layout;
mod overlays;
mod qr;
mod search;
mod status;
mod welcome;

use ratatui::{
    Frame,
    layout::{HorizontalAlignment, Position, Rect},
    text::Line,
};
use subrosa_crash_point::panic_point;

use crate::app::App;

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) {
    panic_point("drawing");
    let areas = app.areas();
    if areas.tiny {
        return tiny(frame, app);
    }
    if let (Some(title), Some(list)) = (areas.list_title, areas.list) {
        chats::draw(frame, app, title, list, areas.list_step);
    }
    if let Some(divider) = areas.divider {
        vertical(frame, app, divider);
    }
    match (&app.open, areas.title, areas.body, areas.composer) {
        (Some(open), Some(title), Some(body), Some(composer)) => {
            conversation::draw_title(frame, app, open, title);
            conversation::draw(frame, app, open, body);
            let cursor = composer::draw(frame, app, open, composer);
            if let Some(cursor) = cursor.filter(|_| app.overlays.is_empty()) {
                frame.set_cursor_position(cursor);
            }
        }
        (None, _, Some(body), _) => welcome::draw(frame, app, body),
        _ => {}
    }
    status::draw(frame, app, areas.status);
    if let Some(overlay) = app.overlays.last()
        && let Some(cursor) = overlays::draw(frame, app, overlay)
    {
        frame.set_cursor_position(cursor);
    }
}

fn tiny(frame: &mut Frame<'_>, app: &App) {
    let (width, height) = app.size;
    let unread = app.chats.unread_elsewhere(None);
    let text = if unread > 0 {
        format!("{unread} unread, no room ({width}x{height})")
    } else {
        format!("no room here ({width}x{height})")
    };
    line(frame, Rect::new(0, 0, width, height.min(1)), Line::styled(text, app.theme.dim));
}

/// A line of text at the top of an area.
fn line(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    let area = area.intersection(frame.area());
    if area.is_empty() {
        return;
    }
    let shift = match line.alignment {
        Some(HorizontalAlignment::Center) => area.width.saturating_sub(columns(line.width())) / 2,
        Some(HorizontalAlignment::Right) => area.width.saturating_sub(columns(line.width())),
        _ => 0,
    };
    frame.buffer_mut().set_line(area.x + shift, area.y, &line, area.width - shift);
}

/// A row of an area, counted from its top.
const fn row(area: Rect, at: u16) -> Rect {
    Rect { x: area.x, y: area.y + at, width: area.width, height: 1 }
}

/// A horizontal line through the first row of an area.
fn horizontal(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let text = app.theme.signs.horizontal.repeat(usize::from(area.width));
    line(frame, area, Line::styled(text, app.theme.line));
}

fn vertical(frame: &mut Frame<'_>, app: &App, area: Rect) {
    for at in 0..area.height {
        line(frame, row(area, at), Line::styled(app.theme.signs.vertical, app.theme.line));
    }
}

/// Columns, as terminals count them.
fn columns(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// A place in an area, kept inside it.
fn position(area: Rect, x: usize, y: usize) -> Position {
    Position {
        x: area.x.saturating_add(columns(x)).min(area.right().saturating_sub(1)),
        y: area.y.saturating_add(columns(y)).min(area.bottom().saturating_sub(1)),
    }
}
