//! QR codes: two modules a cell, dark on light whatever the theme.

use fast_qr::QRBuilder;
use ratatui::{
    style::{Color, Style},
    text::{Line, Span},
};

/// Light modules around the code; the standard asks for four, phones are content with two.
const QUIET_ZONE: usize = 2;

/// The code of some bytes, row by row; nothing if they are too many for one.
pub(super) fn lines(content: &[u8], colour: bool) -> Vec<Line<'static>> {
    let Ok(code) = QRBuilder::new(content.to_vec()).build() else { return Vec::new() };
    let dark = |x: usize, y: usize| {
        let inside = |at: usize| (QUIET_ZONE..QUIET_ZONE + code.size).contains(&at);
        inside(x) && inside(y) && code[y - QUIET_ZONE][x - QUIET_ZONE].value()
    };
    let side = code.size + 2 * QUIET_ZONE;
    // Black on white, explicitly: on a dark theme a code in the terminal's own colours is inverted.
    let style = if colour { Style::new().fg(Color::Black).bg(Color::White) } else { Style::new() };
    (0..side)
        .step_by(2)
        .map(|y| {
            let row: String = (0..side)
                .map(|x| match (dark(x, y), y + 1 < side && dark(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                })
                .collect();
            Line::styled(row, style)
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_what_does_not_fit_is_none() {
        let rows = lines(b"http://127.0.0.1:8443/i#AgEB", true);
        assert!(rows.iter().all(|row| row.width().div_ceil(2) == rows.len()));
        assert!(lines(&vec![b'x'; 10_000], true).is_empty());
    }
}
