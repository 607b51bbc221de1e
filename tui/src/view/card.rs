//! A card over the screen: a frame with a title, lines, what can be pressed under them; and what stands in many cards.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
    widgets::Clear,
};

use super::{columns, line, position, row};
use crate::{
    app::App,
    commands::Command,
    editor::Editor,
    layout::CARD_FRAME,
    text::{self, fit, width},
};

/// Columns of most cards.
pub(super) const WIDTH: usize = 60;

/// Opens a card in the middle of the screen that has room for so much, if the screen has; returns its inside. Its foot names as
/// many of the commands as fit, the most useful first; [`Command::ChooseUp`] stands for both directions.
pub(super) fn open(
    frame: &mut Frame<'_>,
    app: &App,
    title: &str,
    wanted: (usize, usize),
    commands: &[Command],
) -> Rect {
    let area = area((frame.area().width, frame.area().height), wanted);
    frame.render_widget(Clear, area);
    // Half a wide character is none, and its other half would hide the frame.
    for y in area.top()..area.bottom() {
        if let Some(cell) = area.x.checked_sub(1).and_then(|x| frame.buffer_mut().cell_mut((x, y)))
            && width(cell.symbol()) > 1
        {
            cell.set_symbol(" ");
        }
    }
    draw_frame(frame, app, area, title, commands);
    inside(area)
}

/// Where a card that wants room for so much lies on the screen, its frame included.
pub(super) fn area(screen: (u16, u16), wanted: (usize, usize)) -> Rect {
    let width = columns(wanted.0 + CARD_FRAME).min(screen.0);
    // A row above the status line stays free for what is behind.
    let height = columns(wanted.1 + 2).min(screen.1.saturating_sub(1));
    Rect { x: (screen.0 - width) / 2, y: screen.1.saturating_sub(1).saturating_sub(height) / 2, width, height }
}

/// What is inside the frame of a card.
pub(super) const fn inside(area: Rect) -> Rect {
    Rect { x: area.x + 2, y: area.y + 1, width: area.width.saturating_sub(4), height: area.height.saturating_sub(2) }
}

fn draw_frame(frame: &mut Frame<'_>, app: &App, area: Rect, title: &str, commands: &[Command]) {
    let theme = &app.theme;
    let (top_left, top_right, bottom_left, bottom_right) =
        if theme.signs.unicode { ("╭", "╮", "╰", "╯") } else { ("+", "+", "+", "+") };
    let inside = usize::from(area.width).saturating_sub(2);
    let title = format!(" {} ", fit(title, inside.saturating_sub(4)));
    let rest = inside.saturating_sub(1 + width(&title));
    let sign = theme.signs.horizontal;
    line(
        frame,
        area,
        Line::from(vec![
            Span::styled(format!("{top_left}{sign}"), theme.line),
            Span::styled(title, theme.strong),
            Span::styled(format!("{}{top_right}", sign.repeat(rest)), theme.line),
        ]),
    );
    for at in 1..area.height.saturating_sub(1) {
        let place = row(area, at);
        line(frame, place, Line::styled(theme.signs.vertical, theme.line));
        let right = Rect { x: place.right().saturating_sub(1), width: 1, ..place };
        line(frame, right, Line::styled(theme.signs.vertical, theme.line));
    }
    let mut foot = vec![Span::styled(format!("{bottom_left}{sign}"), theme.line)];
    let mut used = 1;
    for command in commands {
        let Some(key) = app.keys.hint(*command) else { continue };
        let (key, text) = match (command, app.keys.hint(Command::ChooseDown)) {
            (Command::ChooseUp, Some(down)) => (format!("{key} {down}"), " move ".to_owned()),
            _ => (key, format!(" {} ", command.spec().title.to_lowercase())),
        };
        let needed = 1 + width(&key) + width(&text);
        // A shorter one may fit all the same.
        if used + needed > inside {
            continue;
        }
        foot.push(Span::raw(" "));
        foot.push(Span::styled(key, theme.accent));
        foot.push(Span::styled(text, theme.dim));
        used += needed;
    }
    foot.push(Span::styled(format!("{}{bottom_right}", sign.repeat(inside.saturating_sub(used))), theme.line));
    line(frame, row(area, area.height.saturating_sub(1)), Line::from(foot));
}

/// Draws lines into a card; what does not fit is cut off.
pub(super) fn fill(frame: &mut Frame<'_>, inside: Rect, lines: Vec<Line<'_>>) {
    for (at, text) in lines.into_iter().enumerate().take(usize::from(inside.height)) {
        line(frame, row(inside, columns(at)), text);
    }
}

/// A one-line question; the part around the cursor is in view. Returns where the cursor is.
pub(super) fn question(frame: &mut Frame<'_>, app: &App, editor: &Editor, area: Rect) -> Position {
    let room = usize::from(area.width).saturating_sub(3);
    let before = width(&editor.text()[..editor.cursor()]);
    let hidden = before.saturating_sub(room);
    let mut at = 0;
    let mut shown = String::new();
    for grapheme in unicode_segmentation::UnicodeSegmentation::graphemes(editor.text(), true) {
        if at >= hidden && at - hidden <= room {
            shown.push_str(grapheme);
        }
        at += width(grapheme);
    }
    line(frame, area, Line::from(vec![Span::styled("> ", app.theme.accent), Span::raw(shown)]));
    position(area, 2 + before - hidden, 0)
}

/// Makes spans that are one text one to the terminal, too.
pub(super) fn isolate_all(text: &str, spans: &mut Vec<Span<'_>>) {
    if text::has_leftward(text) {
        spans.insert(0, Span::raw(text::ISOLATE.to_string()));
        spans.push(Span::raw(text::ISOLATE_END.to_string()));
    }
}

/// An entry of a list in a card: a pointer if it is selected, its key, what it is.
pub(super) fn entry(frame: &mut Frame<'_>, app: &App, place: Rect, selected: bool, key: &str, title: &str) {
    let theme = &app.theme;
    if selected {
        frame.buffer_mut().set_style(place, theme.selected);
    }
    let mark = if selected { theme.signs.pointer } else { " " };
    let key = Span::styled(key.to_owned(), theme.accent);
    line(
        frame,
        place,
        Line::from(vec![Span::styled(mark, theme.accent), Span::raw(" "), key, Span::raw(title.to_owned())]),
    );
}
