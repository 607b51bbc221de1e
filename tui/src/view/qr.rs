//! QR codes in a card.

use ratatui::{
    style::{Color, Style},
    text::{Line, Span},
};
use subrosa_client_core::qr;

/// The code of some bytes, row by row; nothing if they are too many for one.
pub(super) fn lines(content: &[u8], colour: bool) -> Vec<Line<'static>> {
    // Black on white, explicitly: on a dark theme a code in the terminal's own colours is inverted.
    let style = if colour { Style::new().fg(Color::Black).bg(Color::White) } else { Style::new() };
    let rows = qr::rows(content).unwrap_or_default();
    rows.into_iter().map(|row| Line::styled(row, style)).collect()
}

/// The rows of a code in the middle of so many columns; only the code itself has its colours.
pub(super) fn centred(code: Vec<Line<'static>>, columns: usize) -> impl Iterator<Item = Line<'static>> {
    let left = " ".repeat(columns.saturating_sub(code.first().map_or(0, Line::width)) / 2);
    code.into_iter().map(move |row| {
        let style = row.style;
        let mut spans = vec![Span::raw(left.clone())];
        spans.extend(row.spans.into_iter().map(|span| span.patch_style(style)));
        Line::from(spans)
    })
}
