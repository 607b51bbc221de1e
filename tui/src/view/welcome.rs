//! The right side while no chat is open: what to press.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{columns, line};
use crate::{
    app::App,
    commands::Command,
    text::{self, pad, width},
};

/// Columns of the keys.
const KEYS: usize = 8;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let theme = &app.theme;
    let mut lines = vec![Line::styled("Subrosa", theme.strong)];
    if let Some(account) = &app.account {
        let (name, relay) = (text::line(&account.name), text::line(account.relay.trim_end_matches('/')));
        lines.push(Line::styled(format!("{} at {relay}", text::isolated(&name)), theme.dim));
    }
    lines.push(Line::default());
    for text in &app.welcome.lines {
        lines.push(Line::raw(text.as_str()));
    }
    if !app.welcome.lines.is_empty() {
        lines.push(Line::default());
    }
    let offered = if app.chats.rows().is_empty() {
        vec![
            (Command::Invite, "invite somebody: a link and a QR code"),
            (Command::Join, "use the link that somebody gave you"),
        ]
    } else {
        vec![
            (Command::ListDown, "choose a chat"),
            (Command::Open, "open it and write"),
            (Command::NextUnread, "next chat with something unread"),
            (Command::SearchHere, "find an old message"),
            (Command::Palette, "find a chat or a command"),
            (Command::Invite, "invite somebody"),
        ]
    };
    for (command, text) in
        offered.into_iter().chain([(Command::HelpHere, "all keys"), (Command::QuitTwice, "leave (press it twice)")])
    {
        let keys: Vec<String> = match command {
            Command::ListDown => {
                [Command::ListUp, Command::ListDown].into_iter().filter_map(|command| app.keys.hint(command)).collect()
            }
            command => app.keys.hint(command).into_iter().collect(),
        };
        if !keys.is_empty() {
            let shown = keys.join(" ");
            lines.push(Line::from(vec![
                Span::styled(pad(&shown, KEYS.max(width(&shown))), theme.accent),
                Span::raw(" "),
                Span::raw(text),
            ]));
        }
    }
    let widest = lines.iter().map(Line::width).max().unwrap_or(0).min(usize::from(area.width).saturating_sub(2));
    let x = area.x + (area.width.saturating_sub(columns(widest))) / 2;
    let y = area.y + area.height.saturating_sub(columns(lines.len())) / 2;
    for (at, text) in lines.into_iter().enumerate().take(usize::from(area.height)) {
        let place = Rect { x, y: y + columns(at), width: area.right() - x, height: 1 };
        if place.y < area.bottom() {
            line(frame, place, text);
        }
    }
}
