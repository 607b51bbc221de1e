//! Cards about chats and people: another name, a question before what cannot be taken back easily, the outbox, contact links.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
};
use subrosa_client_core::api::{InviteInfo, OutboxEntry};

use super::{
    card::{self, WIDTH, entry, question},
    columns, line, row,
};
use crate::{
    app::App,
    commands::Command,
    overlay::{Links, Question, Rename, Waiting},
    text::{fit, pad, width, wrap},
};

/// Rows of a message that waits.
pub(super) const STEP: usize = 2;

/// Messages that wait in view.
const OUTBOX_ENTRIES: usize = 7;

/// Columns inside a card of the usual width.
fn inside_columns(app: &App) -> usize {
    WIDTH.min(usize::from(app.size.0).saturating_sub(4))
}

pub(super) fn draw_rename(frame: &mut Frame<'_>, app: &App, rename: &Rename) -> Option<Position> {
    let theme = &app.theme;
    let inside = inside_columns(app);
    let note = if rename.waiting { "…" } else { rename.error.as_deref().unwrap_or_default() };
    let text = "Only you see this name, on this device:";
    let (text, note) = (wrapped(text, inside), wrapped(note, inside));
    let size = (inside, text.len() + 2 + note.len());
    let title = format!("Rename {}", rename.old);
    let card = card::open(frame, app, &title, size, &[Command::Confirm, Command::Back]);
    let at = text.len();
    card::fill(frame, card, text.into_iter().map(Line::raw).collect());
    let cursor = question(frame, app, &rename.name, row(card, columns(at)));
    for (n, text) in note.into_iter().enumerate() {
        line(frame, row(card, columns(at + 2 + n)), Line::styled(text, theme.error));
    }
    (!rename.waiting).then_some(cursor)
}

/// Room that a question wants, and the row of its first answer.
pub(super) fn question_size(app: &App, question: &Question) -> ((usize, usize), usize) {
    let inside = inside_columns(app);
    let rows = wrapped(&question.text, inside).len();
    ((inside, rows + 3), rows + 1)
}

pub(super) fn draw_question(frame: &mut Frame<'_>, app: &App, question: &Question) {
    let (size, first) = question_size(app, question);
    let commands = [Command::Confirm, Command::Back, Command::ChooseUp];
    let inside = card::open(frame, app, &question.title, size, &commands);
    let text = wrapped(&question.text, size.0);
    card::fill(frame, inside, text.into_iter().map(Line::raw).collect());
    for (at, title) in [question.no, question.yes].into_iter().enumerate() {
        let selected = question.is_yes == (at == 1);
        entry(frame, app, row(inside, columns(first + at)), selected, "", title);
    }
}

/// Room that the outbox wants, and the first message in view.
pub(super) fn outbox_shown(app: &App, waiting: &Waiting) -> ((usize, usize), usize) {
    let count = waiting.outbox.as_ref().map_or(0, |outbox| outbox.entries.len());
    let size = (WIDTH + 16, (count.clamp(1, OUTBOX_ENTRIES) * STEP).max(1));
    let view = usize::from(card::inside(card::area(app.size, size)).height) / STEP;
    (size, (waiting.selected + 1).saturating_sub(view.max(1)))
}

pub(super) fn draw_outbox(frame: &mut Frame<'_>, app: &App, waiting: &Waiting) {
    let theme = &app.theme;
    let (size, first) = outbox_shown(app, waiting);
    let entries = waiting.outbox.as_ref().map_or(&[][..], |outbox| &outbox.entries);
    let title = match &waiting.outbox {
        Some(outbox) if outbox.total > 0 => format!("Outbox: {} to send", outbox.total),
        _ => "Outbox".to_owned(),
    };
    let acts = [Command::Retry, Command::TakeBack, Command::Confirm, Command::Back];
    let commands = if entries.is_empty() { &acts[3..] } else { &acts };
    let inside = card::open(frame, app, &title, size, commands);
    if entries.is_empty() {
        let text = if waiting.outbox.is_some() { "Nothing waits: everything is with a relay." } else { "…" };
        return line(frame, inside, Line::styled(text, theme.dim));
    }
    let view = usize::from(inside.height) / STEP;
    for (at, waits) in entries.iter().enumerate().skip(first).take(view) {
        let place = Rect { height: columns(STEP), ..row(inside, columns((at - first) * STEP)) };
        draw_waiting(frame, app, waits, place, at == waiting.selected);
    }
}

fn draw_waiting(frame: &mut Frame<'_>, app: &App, waits: &OutboxEntry, area: Rect, selected: bool) {
    let theme = &app.theme;
    let next = match waits.next_ms.saturating_sub(app.clock.now_ms) {
        0 => "as soon as possible".to_owned(),
        _ => format!("next try {}", app.clock.near(waits.next_ms)),
    };
    let total = usize::from(area.width);
    let name = fit(&crate::text::line(&waits.name), total.saturating_sub(3 + width(&next))).into_owned();
    let head = pad(&name, total.saturating_sub(2 + width(&next)));
    entry(frame, app, row(area, 0), selected, "", "");
    if selected {
        frame.buffer_mut().set_style(area, theme.selected);
    }
    let place = |at| Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..row(area, at) };
    line(frame, place(0), Line::from(vec![Span::styled(head, theme.strong), Span::styled(next, theme.dim)]));
    let tries = match waits.attempts {
        0 => "not tried yet".to_owned(),
        1 => "tried once".to_owned(),
        tries => format!("tried {tries} times"),
    };
    let why = waits.error.as_ref().map_or(tries.clone(), |error| format!("{tries}: {}", crate::text::line(error)));
    let text = format!("{}, {why}", app.clock.near(waits.queued_ms));
    line(frame, place(1), Line::styled(fit(&text, total.saturating_sub(2)).into_owned(), theme.text));
}

/// Entries of the links in view.
const LINKS: usize = 12;

/// Room that the links want, and the first entry in view.
pub(super) fn links_shown(app: &App, links: &Links) -> ((usize, usize), usize) {
    let size = (WIDTH + 16, links.count().clamp(2, LINKS));
    let view = usize::from(card::inside(card::area(app.size, size)).height);
    (size, (links.selected + 1).saturating_sub(view.max(1)))
}

pub(super) fn draw_links(frame: &mut Frame<'_>, app: &App, links: &Links) {
    let theme = &app.theme;
    let (size, first) = links_shown(app, links);
    let mut commands = vec![Command::Confirm];
    if links.selected().is_some_and(|link| link.used_by.is_none()) {
        commands.push(Command::TakeBack);
    }
    commands.extend([Command::Back, Command::ChooseUp]);
    let inside = card::open(frame, app, "Contact links", size, &commands);
    let room = usize::from(inside.width).saturating_sub(2);
    for (at, place) in (first..links.count()).zip((0..inside.height).map(|at| row(inside, at))) {
        let text = match at.checked_sub(1).and_then(|at| links.open.as_ref()?.get(at)) {
            None => "Make a new link, for one person".to_owned(),
            Some(link) => link_text(app, link, room),
        };
        entry(frame, app, place, at == links.selected, "", &text);
    }
    if links.count() == 1 {
        let text = if links.open.is_some() { "  No link is open." } else { "  …" };
        line(frame, row(inside, 1), Line::styled(text, theme.dim));
    }
}

/// A link: its id, when it was made, when it ends, whether it was used. Where there is less room, less of it.
fn link_text(app: &App, link: &InviteInfo, room: usize) -> String {
    let id = crate::text::line(&link.id);
    let state = match &link.used_by {
        Some(person) => format!("used by {}", crate::text::line(&person.name)),
        None => "open".to_owned(),
    };
    let (made, ends) = (app.clock.near(link.created_ms), app.clock.near(link.expires_ms));
    let whole = format!("{id}  {state}  made {made}, ends {ends}");
    let text = if width(&whole) <= room { whole } else { format!("{id}  {state}  ends {ends}") };
    fit(&text, room).into_owned()
}

fn wrapped(text: &str, columns: usize) -> Vec<String> {
    wrap(text, columns).into_iter().map(|range| text[range].to_owned()).collect()
}
