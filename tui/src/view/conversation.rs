//! Messages, as many as are in view.

use std::ops::Range;

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use subrosa_client_core::api::{ContactState, MessageStatus};

use super::{columns, horizontal, line, row};
use crate::{
    app::{App, Focus},
    model::{
        conversation::{Conversation, Edge, TICKS},
        entry::Entry,
    },
    text::{fit, pad, width},
};

/// Who the conversation is with, and where it stands.
pub(super) fn draw_title(frame: &mut Frame<'_>, app: &App, open: &Conversation, area: Rect) {
    let theme = &app.theme;
    let state = match open.state {
        ContactState::Ok => "",
        ContactState::Request => "wants to talk to you",
        ContactState::Requested => "has not answered yet",
        ContactState::Blocked => "blocked",
        ContactState::Removed => "no contact any more",
    };
    let name = fit(&open.name, usize::from(area.width).saturating_sub(2)).into_owned();
    let spans =
        vec![Span::raw(" "), Span::styled(name, theme.strong), Span::raw("  "), Span::styled(state, theme.warning)];
    line(frame, area, Line::from(spans));
    if area.height > 1 {
        horizontal(frame, app, row(area, 1));
    }
}

/// The messages.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, open: &Conversation, area: Rect) {
    let theme = &app.theme;
    if open.entries().is_empty() {
        let text = match (open.loaded, open.state) {
            (false, _) => "…",
            (true, ContactState::Requested) => "Your introduction is on its way. You can write already.",
            (true, _) => "No messages yet. What you write here only the two of you can read.",
        };
        let middle = row(area, area.height / 2);
        return line(frame, middle, Line::styled(text, theme.dim).centered());
    }
    let Some((first, skip, last)) = open.visible() else { return };
    // The newest message stands above the text being written, also while there are few.
    let mut y = usize::from(area.height).saturating_sub(open.total());
    if y > 0 && open.older == Edge::Loading {
        line(frame, area, Line::styled("…", theme.dim).centered());
    }
    let mut skip = skip;
    for at in first..=last {
        let lines = block(app, open, at, usize::from(area.width));
        let selected =
            app.focus == Focus::Messages && open.selected().is_some_and(|entry| entry.id == open.entries()[at].id);
        let above = open.parts(at).before();
        for (number, text) in lines.into_iter().enumerate().skip(skip) {
            if y >= usize::from(area.height) {
                return;
            }
            let place = row(area, columns(y));
            if selected && number >= above {
                frame.buffer_mut().set_style(place, theme.selected);
            }
            line(frame, place, text);
            if selected && number >= above {
                line(frame, place, Line::styled(theme.signs.selected, theme.accent));
            }
            y += 1;
        }
        skip = 0;
    }
}

/// All rows of one message: what stands above it, its text, why it failed.
fn block<'a>(app: &'a App, open: &'a Conversation, at: usize, total: usize) -> Vec<Line<'a>> {
    let theme = &app.theme;
    let entry = &open.entries()[at];
    let parts = open.parts(at);
    let mut lines = Vec::with_capacity(parts.before() + entry.wrapped().len() + 1);
    if parts.gap {
        lines.push(Line::default());
    }
    if parts.day {
        let day = entry.day.map(|day| app.clock.day_title(day)).unwrap_or_default();
        lines.push(titled_line(app, &day, total, theme.line, theme.dim));
    }
    if parts.new {
        let count = open.new_line().map_or(0, |(_, count)| count);
        let text = if count == 1 { "1 new message".to_owned() } else { format!("{count} new messages") };
        lines.push(titled_line(app, &text, total, theme.new, theme.new));
    }
    if parts.header {
        let (name, style) = name(app, entry);
        let name = fit(name, total.saturating_sub(9)).into_owned();
        lines.push(Line::from(vec![
            Span::raw(" "),
            Span::styled(name, style),
            Span::raw("  "),
            Span::styled(entry.minute.as_str(), theme.dim),
        ]));
    }
    let rows = entry.wrapped();
    if let Some(reply) = &entry.reply {
        let mut spans = margin(app, open, entry, true);
        let name = reply.name.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
        let text = format!("{} {name}{}", theme.signs.quote, reply.text);
        spans.push(Span::styled(fit(&text, open.columns.body).into_owned(), theme.dim));
        lines.push(Line::from(spans));
    }
    for (number, range) in rows.iter().enumerate() {
        let mut spans = margin(app, open, entry, number == 0 && entry.reply.is_none());
        let shown = trimmed(&entry.body, range);
        let used = width(&entry.body[shown.clone()]);
        body_spans(app, entry, shown, &mut spans);
        if number + 1 == rows.len()
            && let Some(status) = entry.status.filter(|_| !entry.failed())
        {
            let (sign, style) = theme.tick(status);
            let gap = (open.columns.body + TICKS).saturating_sub(used + width(sign));
            spans.push(Span::raw(" ".repeat(gap)));
            spans.push(Span::styled(sign, style));
        }
        lines.push(Line::from(spans));
    }
    if entry.failed() {
        let status = entry.status.unwrap_or(MessageStatus::Failed);
        let (sign, style) = theme.tick(status);
        let why = entry.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let text = fit(&format!("{sign}{why}"), open.columns.body + TICKS).into_owned();
        lines.push(Line::from(vec![Span::raw(" ".repeat(open.columns.margin)), Span::styled(text, style)]));
    }
    lines
}

/// Time and name beside the first row, or the indent under a name.
fn margin<'a>(app: &'a App, open: &Conversation, entry: &'a Entry, first_row: bool) -> Vec<Span<'a>> {
    let theme = &app.theme;
    let columns = open.columns;
    if !columns.beside || !first_row {
        return vec![Span::raw(" ".repeat(columns.margin))];
    }
    let time = if entry.first_of_minute { entry.minute.as_str() } else { "" };
    let mut spans = vec![Span::raw(" "), Span::styled(pad(time, 5), theme.dim), Span::raw(" ")];
    if entry.first_of_group {
        let (name, style) = name(app, entry);
        spans.push(Span::styled(pad(name, columns.name), style));
    } else {
        spans.push(Span::raw(" ".repeat(columns.name)));
    }
    spans.push(Span::raw("  "));
    spans
}

fn name<'a>(app: &App, entry: &'a Entry) -> (&'a str, Style) {
    if entry.outgoing { ("you", app.theme.own) } else { (&entry.name, app.theme.name(&entry.from_id)) }
}

/// A row without the spaces that hang over its edge.
fn trimmed(body: &str, range: &Range<usize>) -> Range<usize> {
    range.start..range.start + body[range.clone()].trim_end_matches(' ').len()
}

/// The text of a row, its links marked.
fn body_spans<'a>(app: &App, entry: &'a Entry, row: Range<usize>, spans: &mut Vec<Span<'a>>) {
    let theme = &app.theme;
    let quoted = entry.body[row.clone()].starts_with("> ");
    let base = if quoted { theme.dim } else { theme.text };
    let mut at = row.start;
    for link in entry.links.iter().filter(|link| link.start < row.end && link.end > row.start) {
        let begin = link.start.max(row.start);
        let end = link.end.min(row.end);
        if begin > at {
            spans.push(Span::styled(&entry.body[at..begin], base));
        }
        spans.push(Span::styled(&entry.body[begin..end], theme.link));
        at = end;
    }
    if at < row.end {
        spans.push(Span::styled(&entry.body[at..row.end], base));
    }
}

/// A line with a title in its middle.
fn titled_line(app: &App, title: &str, total: usize, style: Style, title_style: Style) -> Line<'static> {
    let title = fit(title, total.saturating_sub(4)).into_owned();
    let sign = app.theme.signs.horizontal;
    let left = total.saturating_sub(width(&title) + 2) / 2;
    let right = total.saturating_sub(width(&title) + 2 + left);
    Line::from(vec![
        Span::styled(sign.repeat(left), style),
        Span::styled(format!(" {title} "), title_style),
        Span::styled(sign.repeat(right), style),
    ])
}
