//! The picture: pure functions of the state. Nothing here changes anything.

mod card;
mod chat_cards;
mod chats;
mod composer;
mod conversation;
mod first;
mod help;
mod overlays;
mod page;
pub(crate) mod pointer;
mod qr;
mod search;
mod sign_in;
mod status;
mod welcome;

use std::borrow::Cow;

use ratatui::{
    Frame,
    buffer::{Buffer, Cell},
    layout::{HorizontalAlignment, Position, Rect},
    text::Line,
};
use subrosa_crash_point::panic_point;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::{app::App, hyperlink::Hyperlink, text};

/// Draws everything. Gives the web addresses that can be pressed: none while something lies over them.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) -> Vec<Hyperlink> {
    panic_point("drawing");
    let areas = app.areas();
    if areas.tiny {
        tiny(frame, app);
        return Vec::new();
    }
    if let Some(sign_in) = app.sign_in.as_ref().filter(|sign_in| sign_in.hides()) {
        if let Some(cursor) = sign_in::draw(frame, app, sign_in) {
            frame.set_cursor_position(cursor);
        }
        mend_isolates(frame.buffer_mut(), app);
        return Vec::new();
    }
    let mut hyperlinks = Vec::new();
    if let (Some(title), Some(list)) = (areas.list_title, areas.list) {
        chats::draw(frame, app, title, list, areas.list_step);
    }
    if let Some(divider) = areas.divider {
        vertical(frame, app, divider);
    }
    match (app.shown(), areas.title, areas.body, areas.composer) {
        (Some(open), Some(title), Some(body), Some(composer)) => {
            conversation::draw_title(frame, app, open, title);
            hyperlinks = conversation::draw(frame, app, open, body);
            let cursor = composer::draw(frame, app, open, composer);
            if let Some(cursor) = cursor.filter(|_| app.overlays.is_empty() && app.sign_in.is_none()) {
                frame.set_cursor_position(cursor);
            }
        }
        (None, _, Some(body), _) => welcome::draw(frame, app, body),
        _ => {}
    }
    status::draw(frame, app, areas.status);
    if let Some(overlay) = app.overlays.last() {
        hyperlinks.clear();
        if let Some(cursor) = overlays::draw(frame, app, overlay)
            && app.sign_in.is_none()
        {
            frame.set_cursor_position(cursor);
        }
        mend_isolates(frame.buffer_mut(), app);
    }
    if let Some(sign_in) = &app.sign_in {
        hyperlinks.clear();
        if let Some(cursor) = sign_in::draw(frame, app, sign_in) {
            frame.set_cursor_position(cursor);
        }
        mend_isolates(frame.buffer_mut(), app);
    }
    hyperlinks
}

fn tiny(frame: &mut Frame<'_>, app: &App) {
    let (width, height) = app.size;
    let unread = app.chats.unread_elsewhere(None);
    let shown = if unread > 0 {
        format!("{unread} unread, no room ({width}x{height})")
    } else {
        format!("no room here ({width}x{height})")
    };
    line(frame, Rect::new(0, 0, width, height.min(1)), Line::styled(shown, app.theme.dim));
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
    let area = Rect { x: area.x + shift, width: area.width - shift, height: 1, ..area };
    if line.spans.iter().any(|span| text::has_leftward(&span.content)) {
        isolated_line(frame.buffer_mut(), area, &line);
    } else {
        frame.buffer_mut().set_line(area.x, area.y, &line, area.width);
    }
}

/// A line with letters that run to the left. Where a terminal orders letters, it takes the whole row as one paragraph: a name
/// would turn round with the time behind it, a chat in the list with the message beside it. So each span is isolated, unless
/// the line isolates parts of itself.
///
/// The characters that do so take no column: each is kept in the cell before it, and so it is written whenever that cell is.
fn isolated_line(buffer: &mut Buffer, area: Rect, line: &Line<'_>) {
    let given = line.spans.iter().any(|span| span.content.contains(text::is_isolate));
    let mut x = area.x;
    // The cell that takes what has no column, and how many isolated texts have begun.
    let mut before = area.x.checked_sub(1);
    let mut open = 0_usize;
    'line: for span in &line.spans {
        let content = if given { Cow::Borrowed(&*span.content) } else { text::isolated(&span.content) };
        for grapheme in content.graphemes(true) {
            let columns = columns(text::width(grapheme));
            if let Some(isolate) = grapheme.chars().next().filter(|c| text::is_isolate(*c)) {
                let ends = isolate == text::ISOLATE_END;
                if ends && open == 0 {
                    continue;
                }
                if append(buffer, before, area.y, isolate) {
                    open = if ends { open - 1 } else { open + 1 };
                }
            } else if columns > area.right().saturating_sub(x) {
                break 'line;
            } else if columns > 0 {
                buffer.set_stringn(x, area.y, grapheme, usize::from(columns), line.style.patch(span.style));
                before = Some(x);
                x += columns;
            }
        }
    }
    // What was cut off ends too.
    for _ in 0..open {
        append(buffer, before, area.y, text::ISOLATE_END);
    }
}

/// A card may cover one end of an isolated text: the part on its left ends before the frame, the part on its right begins after.
fn mend_isolates(buffer: &mut Buffer, app: &App) {
    let width = usize::from(buffer.area.width).max(1);
    let sides = [app.theme.signs.vertical, "╮", "╯", "╭", "╰", "+"];
    for row in buffer.content.chunks_mut(width) {
        let mut open = 0_usize;
        let mut frame = None;
        for at in 0..row.len() {
            if row[at].symbol().is_ascii() && row[at].symbol() != "|" && row[at].symbol() != "+" {
                continue;
            }
            let symbol = row[at].symbol().to_owned();
            if sides.iter().any(|side| symbol.starts_with(side)) {
                if let Some(before) = at.checked_sub(1).map(|before| shown_by(row, before)) {
                    let ends = text::ISOLATE_END.to_string().repeat(std::mem::take(&mut open));
                    let mended = format!("{}{ends}", row[before].symbol());
                    row[before].set_symbol(&mended);
                }
                frame = Some(at);
            }
            for c in symbol.chars().filter(|c| text::is_isolate(*c)) {
                match (c == text::ISOLATE_END, open, frame) {
                    // A sign in a text may look like a frame: what began before it has ended there.
                    (true, 0, Some(begin)) if begin < at => {
                        let mended = format!("{}{}", row[begin].symbol(), text::ISOLATE);
                        row[begin].set_symbol(&mended);
                    }
                    (true, 0, _) => {
                        let mended = row[at].symbol().replacen(text::ISOLATE_END, "", 1);
                        row[at].set_symbol(&mended);
                    }
                    (true, ..) => open -= 1,
                    (false, ..) => open += 1,
                }
            }
        }
        if open > 0 {
            let last = shown_by(row, row.len() - 1);
            let mended = format!("{}{}", row[last].symbol(), text::ISOLATE_END.to_string().repeat(open));
            row[last].set_symbol(&mended);
        }
    }
}

/// The cell that shows what stands here: the second half of a wide character is the first one's.
fn shown_by(row: &[Cell], at: usize) -> usize {
    match at.checked_sub(1) {
        Some(before) if text::width(row[before].symbol()) > 1 => before,
        _ => at,
    }
}

/// Adds a character without columns to a cell. `false`: there is no such cell.
fn append(buffer: &mut Buffer, x: Option<u16>, y: u16, c: char) -> bool {
    let Some(cell) = x.and_then(|x| buffer.cell_mut((x, y))) else { return false };
    let symbol = format!("{}{c}", cell.symbol());
    cell.set_symbol(&symbol);
    true
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
