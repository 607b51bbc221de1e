//! The list of chats: who, when, how far the last message got, and what is unread.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use subrosa_client_core::api::ContactState;

use super::{columns, horizontal, line, row};
use crate::{
    app::{App, Focus},
    commands::Command,
    model::chats::Row,
    text::{fit, pad, width},
};

/// Counts beyond it are no longer counted by anybody.
const MAX_BADGE: u64 = 999;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, title: Rect, list: Rect, step: u16) {
    let theme = &app.theme;
    let count = app.chats.rows().len();
    let heading = if app.chats.shows_archived() { " Archived" } else { " Chats" };
    let mut head = vec![Span::styled(heading, theme.strong)];
    if let Some(account) = &app.account {
        let name = crate::text::line(&account.name);
        let room = usize::from(title.width).saturating_sub(width(heading) + 2);
        let name = fit(&name, room).into_owned();
        let gap = usize::from(title.width).saturating_sub(width(heading) + width(&name) + 1);
        head.push(Span::raw(" ".repeat(gap)));
        head.push(Span::styled(name, theme.dim));
    }
    line(frame, title, Line::from(head));
    if title.height > 1 {
        horizontal(frame, app, row(title, 1));
    }
    let visible = usize::from(list.height / step.max(1));
    if let Some(rest) = archive_row(app, list, step) {
        draw_archive(frame, app, rest);
    }
    if count == 0 {
        return draw_empty(frame, app, list);
    }
    for (at, chat) in app.chats.rows().iter().skip(app.chats.offset).take(visible).enumerate() {
        let area = Rect { y: list.y + columns(at) * step, height: step, ..list };
        draw_row(frame, app, chat, area);
    }
}

/// Where the way to the archived chats stands, or the way back: under the last chat, if there is room.
pub(crate) fn archive_row(app: &App, list: Rect, step: u16) -> Option<Rect> {
    /// Rows of what an empty list says.
    const EMPTY_ROWS: usize = 4;
    if app.chats.other_count() == 0 && !app.chats.shows_archived() {
        return None;
    }
    let rows = match app.chats.rows().len() {
        0 => EMPTY_ROWS,
        count => count.saturating_sub(app.chats.offset) * usize::from(step),
    };
    (rows < usize::from(list.height)).then(|| row(list, columns(rows)))
}

fn draw_archive(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let theme = &app.theme;
    let text = if app.chats.shows_archived() {
        " the other chats".to_owned()
    } else {
        format!(" {} archived", app.chats.other_count())
    };
    let key = app.keys.hint(Command::Archived).unwrap_or_default();
    line(
        frame,
        area,
        Line::from(vec![Span::raw("  "), Span::styled(key, theme.accent), Span::styled(text, theme.dim)]),
    );
}

fn draw_empty(frame: &mut Frame<'_>, app: &App, list: Rect) {
    let theme = &app.theme;
    if !app.chats.loaded {
        return line(frame, list, Line::styled("  …", theme.dim));
    }
    let key = |command| app.keys.hint(command).unwrap_or_default();
    let texts = [
        Line::styled("  Nobody here yet.", theme.dim),
        Line::default(),
        Line::from(vec![
            Span::raw("  "),
            Span::styled(key(Command::Invite), theme.accent),
            Span::raw("  invite somebody"),
        ]),
        Line::from(vec![Span::raw("  "), Span::styled(key(Command::Join), theme.accent), Span::raw("  use a link")]),
    ];
    for (at, text) in texts.into_iter().enumerate().take(usize::from(list.height)) {
        line(frame, row(list, columns(at)), text);
    }
}

fn draw_row(frame: &mut Frame<'_>, app: &App, chat: &Row, area: Rect) {
    let theme = &app.theme;
    let selected = app.chats.selected() == Some(&chat.id);
    let open = app.open.as_ref().is_some_and(|open| open.chat == chat.id);
    // The chat that has the keys, or the one they would go to; the open one beside the list keeps its mark.
    let marked = if app.open.is_some() && app.focus != Focus::List { open } else { selected };
    let beside = open && !marked && app.shown().is_some();
    let mark_style = if beside { theme.dim } else { theme.accent };
    if marked {
        frame.buffer_mut().set_style(area, theme.selected);
    }
    let mark = if marked || beside { theme.signs.selected } else { " " };
    let time = chat.last.as_ref().map(|last| app.clock.brief(last.ts_ms)).unwrap_or_default();
    let badge = badge(app, chat);
    let name_style = if chat.unread > 0 { theme.strong } else { theme.text };
    let total = usize::from(area.width);
    if area.height == 1 {
        let right = if badge.0.is_empty() { (time, theme.dim) } else { badge };
        let room = total.saturating_sub(3 + width(&right.0) + 1);
        return line(
            frame,
            area,
            Line::from(vec![
                Span::styled(mark, mark_style),
                Span::raw(" "),
                Span::styled(pad(&chat.name, room), name_style),
                Span::raw(" "),
                Span::styled(right.0, right.1),
            ]),
        );
    }
    let marks = marks(app, chat);
    let room = total.saturating_sub(2 + width(&marks) + width(&time) + 2);
    let time_style = if chat.unread > 0 { theme.accent } else { theme.dim };
    line(
        frame,
        area,
        Line::from(vec![
            Span::styled(mark, mark_style),
            Span::raw(" "),
            Span::styled(pad(&chat.name, room), name_style),
            Span::styled(marks, theme.dim),
            Span::raw(" "),
            Span::styled(time, time_style),
        ]),
    );
    let mut room = total.saturating_sub(2 + 1);
    if !badge.0.is_empty() {
        room = room.saturating_sub(width(&badge.0) + 1);
    }
    let mut spans = vec![Span::styled(mark, mark_style), Span::raw(" ")];
    let (lead, text, style) = preview(app, chat);
    if let Some((sign, style)) = lead {
        room = room.saturating_sub(width(sign) + 1);
        spans.push(Span::styled(sign, style));
        spans.push(Span::raw(" "));
    }
    spans.push(Span::styled(pad(&text, room), style));
    if !badge.0.is_empty() {
        spans.push(Span::raw(" "));
        spans.push(Span::styled(badge.0, badge.1));
    }
    line(frame, row(area, 1), Line::from(spans));
}

/// Pinned, muted.
fn marks(app: &App, chat: &Row) -> String {
    let signs = app.theme.signs;
    let muted = chat.muted_until_ms > app.clock.now_ms;
    [(chat.pinned, signs.pinned), (muted, signs.muted)]
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, sign)| format!(" {sign}"))
        .collect()
}

fn badge(app: &App, chat: &Row) -> (String, Style) {
    let theme = &app.theme;
    if chat.state == ContactState::Request {
        return (theme.signs.request.to_owned(), theme.new);
    }
    match chat.unread {
        0 => (String::new(), theme.dim),
        unread if unread > MAX_BADGE => (format!("({MAX_BADGE}+)"), theme.accent),
        unread => (format!("({unread})"), theme.accent),
    }
}

type Preview = (Option<(&'static str, Style)>, String, Style);

/// What the second row says.
fn preview(app: &App, chat: &Row) -> Preview {
    let theme = &app.theme;
    if app.has_draft(&chat.id)
        && app.shown().is_none_or(|open| open.chat != chat.id)
        && let Some(draft) = app.drafts.get(&chat.id)
    {
        return (Some((theme.signs.draft, theme.warning)), crate::text::line(draft.text().trim()), theme.dim);
    }
    match (chat.state, &chat.last) {
        (ContactState::Request, _) => (None, "wants to talk to you".to_owned(), theme.new),
        (ContactState::Blocked, _) => (None, "blocked".to_owned(), theme.dim),
        (_, Some(last)) => {
            let tick = last.status.filter(|_| last.outgoing).map(|status| {
                let (sign, style) = theme.tick(status);
                // A list has room for the sign, not for the word.
                (sign.split(' ').next().unwrap_or(sign), style)
            });
            (tick, last.text.clone(), theme.dim)
        }
        (ContactState::Requested, None) => (None, "has not answered yet".to_owned(), theme.dim),
        (ContactState::Removed, None) => (None, "no contact any more".to_owned(), theme.dim),
        (ContactState::Ok, None) => (None, "say hello".to_owned(), theme.dim),
    }
}
