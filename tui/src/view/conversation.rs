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
        entry::{Entry, Quoted},
        parts::Part,
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
        let message = Message { app, open, entry: &open.entries()[at], total: usize::from(area.width) };
        let selected =
            app.focus == Focus::Messages && open.selected().is_some_and(|entry| entry.id == message.entry.id);
        for (part, mut shown) in message.rows(at).skip(skip) {
            if y >= usize::from(area.height) {
                return hyperlinks;
            }
            let place = row(area, columns(y));
            if let Part::Text(number) = part {
                hyperlinks.extend(message.links(number, place));
            }
            if selected && !part.is_above() {
                frame.buffer_mut().set_style(place, theme.selected);
                // In the place of the space that every row begins with.
                if let Some(margin) = shown.spans.first_mut() {
                    margin.content = margin.content.strip_prefix(' ').unwrap_or_default().to_owned().into();
                }
                shown.spans.insert(0, Span::styled(theme.signs.selected, theme.accent));
            }
            line(frame, place, shown);
            y += 1;
        }
        skip = 0;
    }
    hyperlinks
}

/// A message that is drawn: each part of it is one line.
struct Message<'a> {
    app: &'a App,
    open: &'a Conversation,
    entry: &'a Entry,
    /// Columns of the whole row.
    total: usize,
}

impl<'a> Message<'a> {
    /// Its parts, each with its line.
    fn rows(&self, at: usize) -> impl Iterator<Item = (Part, Line<'a>)> {
        let found = self.app.marked.as_deref().map(|words| found_in(words, &self.entry.body)).unwrap_or_default();
        let mut lead = true;
        self.open.parts(at).map(move |part| {
            // Time and name stand beside the first row of what is said.
            let leads = !part.is_above() && std::mem::take(&mut lead);
            (part, self.line(part, leads, &found))
        })
    }

    fn line(&self, part: Part, leads: bool, found: &[Range<usize>]) -> Line<'a> {
        let (theme, entry) = (&self.app.theme, self.entry);
        let beside = self.open.columns;
        match part {
            Part::Gap => Line::default(),
            Part::Day => {
                let day = entry.day.map(|day| self.app.clock.day_title(day)).unwrap_or_default();
                titled_line(self.app, &day, self.total, theme.line, theme.dim)
            }
            Part::Missing => {
                let said = entry.missing.as_deref().unwrap_or_default();
                titled_line(self.app, said, self.total, theme.line, theme.dim)
            }
            Part::MissingAfter => {
                let said = entry.missing_after.as_deref().unwrap_or_default();
                titled_line(self.app, said, self.total, theme.line, theme.dim)
            }
            Part::New => {
                let count = self.open.new_line().map_or(0, |(_, count)| count);
                let text = if count == 1 { "1 new message".to_owned() } else { format!("{count} new messages") };
                titled_line(self.app, &text, self.total, theme.new, theme.new)
            }
            Part::Header => {
                let (name, style) = self.name();
                let mut spans = vec![
                    Span::raw(" "),
                    Span::styled(fit(name, self.total.saturating_sub(9)).into_owned(), style),
                    Span::raw("  "),
                    Span::styled(entry.minute.as_str(), theme.dim),
                ];
                if entry.forwarded {
                    spans.push(Span::styled(format!("  {}", self.forwarded()), theme.dim));
                }
                Line::from(spans)
            }
            Part::Forwarded => self.after_margin(leads, Span::styled(self.forwarded(), theme.dim)),
            Part::Quote => {
                let shown = entry.reply.as_ref().map(|reply| quoted(self.app, reply)).unwrap_or_default();
                let text = format!("{} {}", theme.signs.quote, fit(&shown, beside.body.saturating_sub(2)));
                self.after_margin(leads, Span::styled(text, theme.dim))
            }
            Part::Text(number) => self.text(number, leads, found),
            Part::Arrived => {
                let when = self.app.clock.near(entry.arrived_ms.unwrap_or(entry.ts_ms));
                let why = match (entry.ahead, entry.late) {
                    (true, _) => "their clock is ahead",
                    (false, true) => "later than what is below",
                    (false, false) => "later than it says",
                };
                self.under_text(&format!("arrived {when}, {why}"), theme.dim)
            }
            Part::Error => {
                let (sign, style) = theme.tick(entry.status.unwrap_or(MessageStatus::Failed));
                let why = entry.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                self.under_text(&format!("{sign}{why}"), style)
            }
        }
    }

    /// A row of the text; behind the last one how far it got.
    fn text(&self, number: usize, leads: bool, found: &[Range<usize>]) -> Line<'a> {
        let entry = self.entry;
        let rows = entry.wrapped();
        let Some(range) = rows.get(number) else { return Line::default() };
        let mut spans = self.margin(leads);
        let shown = trimmed(&entry.body, range);
        let used = width(&entry.body[shown.clone()]);
        body_spans(self.app, entry, found, shown, &mut spans);
        if number + 1 == rows.len()
            && let Some(status) = entry.status.filter(|_| !entry.failed())
        {
            let (sign, style) = self.app.theme.tick(status);
            let gap = (self.open.columns.body + TICKS).saturating_sub(used + width(sign));
            spans.push(Span::raw(" ".repeat(gap)));
            spans.push(Span::styled(sign, style));
        }
        Line::from(spans)
    }

    /// The web addresses in a row of the text that stands there.
    fn links(&self, number: usize, place: Rect) -> Vec<Hyperlink> {
        let entry = self.entry;
        let Some(range) = entry.wrapped().get(number) else { return Vec::new() };
        let shown = trimmed(&entry.body, range);
        let link = |link: &Range<usize>| {
            let part = link.start.max(shown.start)..link.end.min(shown.end);
            let x = self.open.columns.margin + width(entry.body.get(shown.start..part.start)?);
            let width = width(entry.body.get(part).filter(|part| !part.is_empty())?);
            let mut id = std::hash::DefaultHasher::new();
            (&entry.id, link).hash(&mut id);
            let area = Rect { x: place.x.saturating_add(columns(x)), width: columns(width), ..place };
            let address = address(&entry.body[link.clone()]);
            Some(Hyperlink { area: area.intersection(place), id: id.finish(), address })
        };
        entry.links.iter().filter_map(link).collect()
    }

    fn forwarded(&self) -> String {
        format!("{} forwarded", self.app.theme.signs.forwarded)
    }

    fn after_margin(&self, leads: bool, span: Span<'a>) -> Line<'a> {
        let mut spans = self.margin(leads);
        spans.push(span);
        Line::from(spans)
    }

    fn under_text(&self, text: &str, style: Style) -> Line<'a> {
        let beside = self.open.columns;
        let text = fit(text, beside.body + TICKS).into_owned();
        Line::from(vec![Span::raw(" ".repeat(beside.margin)), Span::styled(text, style)])
    }

    /// Time and name beside the first row, or the indent under a name.
    fn margin(&self, leads: bool) -> Vec<Span<'a>> {
        let (theme, entry, columns) = (&self.app.theme, self.entry, self.open.columns);
        if !columns.beside || !leads {
            return vec![Span::raw(" ".repeat(columns.margin))];
        }
        let time = if entry.first_of_minute { entry.minute.as_str() } else { "" };
        let mut spans = vec![Span::raw(" "), Span::styled(pad(time, 5), theme.dim), Span::raw(" ")];
        if entry.first_of_group {
            let (name, style) = self.name();
            spans.push(Span::styled(isolated(&pad(name, columns.name)).into_owned(), style));
        } else {
            spans.push(Span::raw(" ".repeat(columns.name)));
        }
        spans.push(Span::raw("  "));
        spans
    }

    fn name(&self) -> (&'a str, Style) {
        let entry = self.entry;
        if entry.outgoing {
            ("you", self.app.theme.own)
        } else {
            (self.app.name_of(&entry.from), self.app.theme.name(&entry.from.id))
        }
    }
}

/// Name and text of what is answered, in one line.
pub(super) fn quoted(app: &App, reply: &Quoted) -> String {
    let text = isolated(&reply.text);
    match &reply.from {
        Some(person) => format!("{}: {text}", isolated(app.name_of(person))),
        None => text.into_owned(),
    }
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
