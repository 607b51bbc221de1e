//! The text being written, under a line that says what waits below.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
};
use subrosa_client_core::api::ContactState;

use super::{columns, conversation::quoted, horizontal, line, position, row};
use crate::{
    app::{App, Focus},
    commands::Command,
    editor::Editor,
    layout::{PROMPT, writing_columns},
    model::conversation::Conversation,
    text::{fit, width},
};

/// Draws it; where the cursor is, if one writes.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, open: &Conversation, area: Rect) -> Option<Position> {
    let theme = &app.theme;
    horizontal(frame, app, area);
    if !open.at_end() && open.loaded {
        let text = match open.below {
            0 => format!(" {} newer below ", theme.signs.down),
            below => format!(" {} {below} new below ", theme.signs.down),
        };
        let style = if open.below > 0 { theme.new } else { theme.dim };
        let x = area.right().saturating_sub(columns(width(&text)) + 2).max(area.x);
        line(frame, Rect { x, width: area.right() - x, ..area }, Line::styled(text, style));
    }
    let inner = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if open.state == ContactState::Request {
        let key = |command| app.keys.hint(command).unwrap_or_default();
        let text = Line::from(vec![
            Span::raw(" "),
            Span::styled(key(Command::Accept), theme.accent),
            Span::raw(" accepts the request, "),
            Span::styled(key(Command::Back), theme.accent),
            Span::raw(" leaves it as it is"),
        ]);
        line(frame, inner, text);
        return None;
    }
    let writing = app.focus == Focus::Write;
    let mut inner = inner;
    if let Some(reply) = &app.reply
        && inner.height > 1
    {
        let text = format!(" {} {}", theme.signs.reply, quoted(app, reply));
        line(frame, inner, Line::styled(fit(&text, usize::from(inner.width)).into_owned(), theme.own));
        inner = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    }
    let empty = Editor::default();
    let editor = app.editor().unwrap_or(&empty);
    let room = writing_columns(app.size.0);
    let rows = editor.rows(room);
    let (cursor_row, cursor_column) = editor.position(room);
    // The part around the cursor, if there is more than fits.
    let height = usize::from(inner.height).max(1);
    let first = (cursor_row + 1).saturating_sub(height);
    for (at, range) in rows.iter().skip(first).take(height).enumerate() {
        let prompt = if first + at == 0 { "> " } else { "  " };
        let style = if writing { theme.accent } else { theme.dim };
        let text = editor.text()[range.clone()].trim_end_matches(' ');
        let spans = vec![Span::styled(prompt, style), Span::styled(text, if writing { theme.text } else { theme.dim })];
        line(frame, row(inner, columns(at)), Line::from(spans));
    }
    if editor.is_empty() {
        let text = if writing { "Write a message" } else { "" };
        let place = Rect { x: inner.x + PROMPT, width: inner.width.saturating_sub(PROMPT), ..inner };
        line(frame, place, Line::styled(text, theme.dim));
    }
    writing.then(|| position(inner, cursor_column + usize::from(PROMPT), cursor_row - first))
}
