//! The status line: what is true about the connection, what waits, what is unread elsewhere, and what can be pressed now.

use std::ops::Range;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};
use subrosa_client_core::{
    api::{Connection, ContactState},
    open::EngineAt,
};

use super::line;
use crate::{
    app::{App, Focus, Weight},
    commands::{Command, Scope},
    keymap::Profile,
    text::{ISOLATE_END, ISOLATE_RIGHTWARD, fit, width},
};

/// What is true now.
struct Left {
    spans: Vec<Span<'static>>,
    /// So many of the spans stay whatever else has to be said.
    always: usize,
    /// The columns of the count of what waits in the outbox.
    outbox: Range<usize>,
}

fn left(app: &App) -> Left {
    let theme = &app.theme;
    let mut left = Vec::new();
    let mut outbox = 0..0;
    if let Some(mode) = mode(app) {
        left.push(Span::styled(format!(" {mode} "), theme.accent.add_modifier(Modifier::REVERSED)));
    }
    left.push(Span::raw(" "));
    let (sign, text, style) = connection(app);
    left.push(Span::styled(format!("{sign} {text}"), style));
    let always = left.len();
    if let Some(status) = &app.status
        && status.outbox > 0
    {
        let before: usize = left.iter().map(|span| width(&span.content)).sum();
        let text = format!(" {} outbox {}", theme.signs.separator, status.outbox);
        outbox = before..before + width(&text);
        left.push(Span::styled(text, theme.warning));
    }
    let unread = app.unread_elsewhere();
    if unread > 0 {
        left.push(Span::styled(format!(" {} unread {unread}", theme.signs.separator), theme.accent));
    }
    Left { spans: left, always, outbox }
}

/// Where the outbox is opened by a click.
pub(crate) fn outbox_columns(app: &App) -> Range<usize> {
    left(app).outbox
}

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let total = usize::from(area.width);
    let Left { spans: mut left, always, .. } = left(app);
    let columns = |spans: &[Span<'_>]| spans.iter().map(|span| width(&span.content)).sum::<usize>();
    let room = |left: &[Span<'_>]| total.saturating_sub(columns(left) + 3);
    let right = match &app.remark {
        Some(remark) => {
            // What just happened is worth more than counts, and they come back.
            while left.len() > always && width(&remark.text) > room(&left) {
                left.pop();
            }
            if left.len() > 2 && width(&remark.text) > room(&left) {
                left.remove(0);
            }
            // A sentence of ours, also when it begins with a name.
            let text = format!("{ISOLATE_RIGHTWARD}{}{ISOLATE_END}", fit(&remark.text, room(&left)));
            vec![Span::styled(text, weight(app, remark.weight))]
        }
        None => hints(app, room(&left)),
    };
    left.push(Span::raw(" ".repeat(total.saturating_sub(columns(&left) + columns(&right) + 1))));
    left.extend(right);
    line(frame, area, Line::from(left));
}

/// How a remark looks.
pub(super) const fn weight(app: &App, weight: Weight) -> Style {
    match weight {
        Weight::Note => app.theme.strong,
        Weight::Good => app.theme.ok,
        Weight::Bad => app.theme.error,
    }
}

const fn mode(app: &App) -> Option<&'static str> {
    match (app.keys.profile, app.focus) {
        (Profile::Vim, Focus::Write) => Some("INSERT"),
        (Profile::Vim, Focus::Messages) => Some("NORMAL"),
        (_, Focus::Messages) => Some("SELECT"),
        _ => None,
    }
}

/// The truth about the connection: also that the engine itself is gone.
fn connection(app: &App) -> (&'static str, String, Style) {
    let theme = &app.theme;
    if let Some(why) = &app.ended {
        return ("!", fit(why, 40).into_owned(), theme.error);
    }
    match &app.engine_at {
        EngineAt::Nowhere => return (theme.signs.ring, "taking over …".to_owned(), theme.warning),
        EngineAt::Lost(_) => return ("!", "account closed".to_owned(), theme.error),
        EngineAt::Here | EngineAt::Elsewhere => {}
    }
    match app.status.as_ref().map(|status| status.relay) {
        Some(Connection::Online) => (theme.signs.dot, "online".to_owned(), theme.ok),
        Some(Connection::Connecting) | None => (theme.signs.ring, "connecting".to_owned(), theme.warning),
        Some(Connection::Offline) => (theme.signs.ring, "offline".to_owned(), theme.error),
        Some(Connection::Displaced) => ("!", "stopped: another copy was used".to_owned(), theme.error),
        Some(Connection::Removed) => ("!", "stopped: this device was removed".to_owned(), theme.error),
    }
}

/// The commands worth naming in a place, the most useful first.
fn useful(app: &App) -> Vec<Command> {
    let request = app.open.as_ref().is_some_and(|open| open.state == ContactState::Request);
    match app.scope() {
        Scope::List if app.chats.loaded && app.chats.rows().is_empty() => {
            vec![Command::Invite, Command::Join, Command::HelpHere, Command::QuitTwice, Command::Palette]
        }
        Scope::List => vec![
            Command::Open,
            Command::SearchHere,
            Command::Palette,
            Command::Invite,
            Command::ChatMenu,
            Command::HelpHere,
            Command::QuitTwice,
        ],
        Scope::Write => {
            vec![
                Command::Send,
                Command::Browse,
                Command::Newline,
                Command::Search,
                Command::BackToList,
                Command::Palette,
                Command::Help,
            ]
        }
        Scope::Messages if request => vec![Command::Accept, Command::Contact, Command::Back, Command::HelpHere],
        Scope::Messages => vec![
            Command::NextHit,
            Command::Reply,
            Command::Menu,
            Command::SearchHere,
            Command::Copy,
            Command::Quote,
            Command::Info,
            Command::WriteHere,
            Command::Back,
            Command::HelpHere,
        ],
        // A card names its keys itself.
        _ => Vec::new(),
    }
}

fn hints(app: &App, room: usize) -> Vec<Span<'static>> {
    let theme = &app.theme;
    let mut spans = Vec::new();
    let mut used = 0;
    for command in useful(app).into_iter().filter(|command| app.applies(*command)) {
        let Some(key) = app.keys.hint(command) else { continue };
        let title = command.spec().title.to_lowercase();
        let needed = width(&key) + 1 + width(&title) + if spans.is_empty() { 0 } else { 2 };
        if used + needed > room {
            continue;
        }
        if !spans.is_empty() {
            spans.push(Span::raw("  "));
        }
        spans.push(Span::styled(key, theme.accent));
        spans.push(Span::styled(format!(" {title}"), theme.dim));
        used += needed;
    }
    spans
}
