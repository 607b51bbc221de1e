//! Messages, as many as are in view.

use std::{
    hash::{Hash as _, Hasher as _},
    ops::Range,
};

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use subrosa_client_core::{
    api::{ContactState, MessageStatus},
    found_in,
};

use super::{columns, horizontal, line, row};
use crate::{
    app::{App, Focus},
    hyperlink::Hyperlink,
    model::{
        conversation::{Conversation, Edge, TICKS},
        entry::Entry,
    },
    text::{self, address, fit, isolated, pad, width},
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

/// A piece of a link in a row of a message.
struct Piece<'a> {
    row: usize,
    x: usize,
    width: usize,
    entry: &'a Entry,
    link: &'a Range<usize>,
}

impl Piece<'_> {
    fn hyperlink(&self, place: Rect) -> Hyperlink {
        let mut id = std::hash::DefaultHasher::new();
        (&self.entry.id, self.link).hash(&mut id);
        let area = Rect { x: place.x.saturating_add(columns(self.x)), width: columns(self.width), ..place };
        let address = address(&self.entry.body[self.link.clone()]);
        Hyperlink { area: area.intersection(place), id: id.finish(), address }
    }
}

/// The messages. Gives the web addresses in them, by place.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, open: &Conversation, area: Rect) -> Vec<Hyperlink> {
    let theme = &app.theme;
    let mut hyperlinks = Vec::new();
    if open.entries().is_empty() {
        let text = match (open.loaded, open.state) {
            (false, _) => "…",
            (true, ContactState::Requested) => "Your introduction is on its way. You can write already.",
            (true, _) => "No messages yet. What you write here only the two of you can read.",
        };
        let middle = row(area, area.height / 2);
        line(frame, middle, Line::styled(text, theme.dim).centered());
        return hyperlinks;
    }
    let Some((first, skip, last)) = open.visible() else { return hyperlinks };
    // The newest message stands above the text being written, also while there are few.
    let mut y = usize::from(area.height).saturating_sub(open.total());
    if y > 0 && open.older == Edge::Loading {
        line(frame, area, Line::styled("…", theme.dim).centered());
    }
    let mut skip = skip;
    for at in first..=last {
        let mut pieces = Vec::new();
        let lines = block(app, open, at, usize::from(area.width), &mut pieces);
        let selected =
            app.focus == Focus::Messages && open.selected().is_some_and(|entry| entry.id == open.entries()[at].id);
        let above = open.parts(at).before();
        for (number, mut text) in lines.into_iter().enumerate().skip(skip) {
            if y >= usize::from(area.height) {
                return hyperlinks;
            }
            let place = row(area, columns(y));
            hyperlinks.extend(pieces.iter().filter(|piece| piece.row == number).map(|piece| piece.hyperlink(place)));
            if selected && number >= above {
                frame.buffer_mut().set_style(place, theme.selected);
                // In the place of the space that every row begins with.
                if let Some(margin) = text.spans.first_mut() {
                    margin.content = margin.content.strip_prefix(' ').unwrap_or_default().to_owned().into();
                }
                text.spans.insert(0, Span::styled(theme.signs.selected, theme.accent));
            }
            line(frame, place, text);
            y += 1;
        }
        skip = 0;
    }
    hyperlinks
}

/// All rows of one message: what stands above it, its text, that it came late, why it failed.
fn block<'a>(
    app: &'a App,
    open: &'a Conversation,
    at: usize,
    total: usize,
    pieces: &mut Vec<Piece<'a>>,
) -> Vec<Line<'a>> {
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
    let found = app.marked.as_deref().map(|words| found_in(words, &entry.body)).unwrap_or_default();
    if let Some(reply) = &entry.reply {
        let mut spans = margin(app, open, entry, true);
        spans.push(Span::styled(format!("{} ", theme.signs.quote), theme.dim));
        spans.push(Span::styled(fit(&reply.shown(), open.columns.body.saturating_sub(2)).into_owned(), theme.dim));
        lines.push(Line::from(spans));
    }
    for (number, range) in rows.iter().enumerate() {
        let mut spans = margin(app, open, entry, number == 0 && entry.reply.is_none());
        let shown = trimmed(&entry.body, range);
        let used = width(&entry.body[shown.clone()]);
        pieces.extend(entry.links.iter().filter_map(|link| {
            let part = link.start.max(shown.start)..link.end.min(shown.end);
            let x = open.columns.margin + width(entry.body.get(shown.start..part.start)?);
            let width = width(entry.body.get(part).filter(|part| !part.is_empty())?);
            Some(Piece { row: lines.len(), x, width, entry, link })
        }));
        body_spans(app, entry, &found, shown, &mut spans);
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
    if let Some(arrived) = &entry.arrived {
        let text = fit(arrived, open.columns.body + TICKS).into_owned();
        lines.push(Line::from(vec![Span::raw(" ".repeat(open.columns.margin)), Span::styled(text, theme.dim)]));
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
        spans.push(Span::styled(isolated(&pad(name, columns.name)).into_owned(), style));
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

/// The text of a row, with its links and what was searched for.
fn body_spans<'a>(
    app: &'a App,
    entry: &'a Entry,
    found: &[Range<usize>],
    row: Range<usize>,
    spans: &mut Vec<Span<'a>>,
) {
    let theme = &app.theme;
    let quoted = entry.body[row.clone()].starts_with("> ");
    let base = if quoted { theme.dim } else { theme.text };
    // Links are spans of their own, the row is one text: in the direction of its paragraph.
    let isolate = text::has_leftward(&entry.body[row.clone()]).then(|| {
        let begin = entry.body[..row.start].rfind('\n').map_or(0, |at| at + 1);
        text::direction(&entry.body[begin..row.end]).to_string()
    });
    let isolated = isolate.is_some();
    spans.extend(isolate.map(Span::raw));
    let edges = entry.links.iter().chain(found).flat_map(|range| [range.start, range.end]);
    let mut cuts: Vec<usize> = edges.filter(|at| row.contains(at)).chain([row.start, row.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    for part in cuts.windows(2).filter_map(|ends| Some(*ends.first()?..*ends.last()?)) {
        let within = |ranges: &[Range<usize>]| ranges.iter().any(|range| range.contains(&part.start));
        let style = if within(&entry.links) { theme.link } else { base };
        let style = if within(found) { style.patch(theme.found) } else { style };
        spans.push(Span::styled(&entry.body[part], style));
    }
    if isolated {
        spans.push(Span::raw(text::ISOLATE_END.to_string()));
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
