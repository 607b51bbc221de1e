//! What stands before the chats, drawn: looking, choosing, unlocking, failures. The form and the words are in [`super::first`].

use ratatui::{
    Frame,
    layout::Position,
    text::{Line, Span},
};

use super::{
    card, first,
    page::{WIDTH, dots, foot, page, room, wrapped},
    position,
};
use crate::{
    account_service::Known,
    app::{App, sentence},
    commands::Command,
    sign_in::{Choose, SignIn, Unlock},
    text::{fit, width},
};

/// Draws it; where its cursor is, if it has one.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, sign_in: &SignIn) -> Option<Position> {
    match sign_in {
        SignIn::Looking => message(frame, app, &["Looking for your account …"], None),
        SignIn::Opening(account) => message(frame, app, &["Opening the account …"], Some(account)),
        SignIn::Choose(choose) => draw_choose(frame, app, choose),
        SignIn::Failed { error, .. } => {
            let mut lines = wrapped(&sentence(&crate::text::line(&error.message)), room(frame), app.theme.error);
            if let Some(hint) = &error.hint {
                lines.push(Line::default());
                lines.extend(wrapped(&sentence(&crate::text::line(hint)), room(frame), app.theme.text));
            }
            page(frame, app, "The account cannot be opened", lines);
            foot(frame, app, &[(Command::Confirm, "try again"), (Command::Back, "leave")]);
        }
        SignIn::Unlock(unlock) => return draw_unlock(frame, app, unlock, "Your account is locked", true),
        SignIn::Locked(unlock) => return draw_unlock(frame, app, unlock, "Locked", false),
        SignIn::TakeOver(unlock) => return draw_take_over(frame, app, unlock),
        SignIn::Told { title, text } => {
            let columns = WIDTH.min(usize::from(frame.area().width).saturating_sub(4));
            let lines = wrapped(text, columns, app.theme.text);
            let inside = card::open(frame, app, title, (columns, lines.len()), &[Command::Back]);
            card::fill(frame, inside, lines);
        }
        SignIn::First(form) => return first::draw(frame, app, form),
        SignIn::Words(words) => return first::draw_words(frame, app, words),
    }
    None
}

fn message(frame: &mut Frame<'_>, app: &App, text: &[&str], account: Option<&Known>) {
    let mut lines: Vec<Line<'_>> = account.map(|account| who(app, account)).into_iter().flatten().collect();
    lines.extend(text.iter().map(|text| Line::styled((*text).to_owned(), app.theme.dim)));
    page(frame, app, "Subrosa", lines);
    foot(frame, app, &[(Command::Back, "leave")]);
}

/// Whose account, where.
fn who(app: &App, account: &Known) -> Option<Line<'static>> {
    if account.handle.is_empty() {
        return None;
    }
    let relay = crate::text::line(account.relay.trim_end_matches('/'));
    Some(Line::from(vec![
        Span::styled(crate::text::line(&account.handle), app.theme.own),
        Span::styled(format!(" at {relay}"), app.theme.dim),
    ]))
}

fn draw_choose(frame: &mut Frame<'_>, app: &App, choose: &Choose) {
    let theme = &app.theme;
    let columns = room(frame);
    let view = usize::from(frame.area().height).saturating_sub(6).max(1);
    let first = (choose.selected + 1).saturating_sub(view);
    let names = choose.accounts.iter().map(|account| width(&account.account)).max().unwrap_or(0).clamp(4, 20);
    let mut lines = Vec::new();
    for at in (0..=choose.accounts.len()).skip(first).take(view) {
        let selected = at == choose.selected;
        let mark = if selected { theme.signs.pointer } else { " " };
        let style = if selected { theme.selected } else { theme.text };
        let mut spans = vec![Span::styled(mark, theme.accent), Span::raw(" ")];
        if let Some(account) = choose.accounts.get(at) {
            let engine = account.engine.as_deref().map(|engine| format!(", open in {engine}")).unwrap_or_default();
            let about = format!("{} at {}{engine}", account.handle, account.relay.trim_end_matches('/'));
            spans.push(Span::styled(crate::text::pad(&crate::text::line(&account.account), names), style));
            let left = columns.saturating_sub(names + 4);
            spans.push(Span::styled(format!("  {}", fit(&crate::text::line(&about), left)), theme.dim));
        } else {
            spans.push(Span::styled("make a new account", style));
        }
        lines.push(Line::from(spans));
    }
    lines.push(Line::default());
    let hint = "To have one opened without this question: subrosa account use NAME";
    lines.extend(wrapped(hint, columns, theme.dim));
    page(frame, app, "Which account?", lines);
    foot(
        frame,
        app,
        &[
            (Command::Confirm, "open"),
            (Command::ChooseUp, "up"),
            (Command::ChooseDown, "down"),
            (Command::Back, "leave"),
        ],
    );
}

/// The line for a passphrase and what is said about it.
fn entry(app: &App, unlock: &Unlock, columns: usize) -> (Vec<Line<'static>>, Option<usize>) {
    let theme = &app.theme;
    if unlock.waiting {
        return (vec![Line::styled("unlocking …", theme.dim)], None);
    }
    let mut lines = Vec::new();
    let mut cursor = None;
    if unlock.asks {
        let (dots, at) = dots(app, unlock.typed.count());
        lines.push(Line::from(vec![Span::styled("Passphrase ", theme.dim), Span::raw(dots)]));
        cursor = Some("Passphrase ".len() + at);
    }
    if let Some(error) = &unlock.error {
        lines.extend(wrapped(error, columns, theme.error));
    }
    if !unlock.asks {
        lines.extend(wrapped(
            "Enter tries again. If another process runs the account, this goes on by itself.",
            columns,
            theme.dim,
        ));
    }
    (lines, cursor)
}

fn draw_unlock(frame: &mut Frame<'_>, app: &App, unlock: &Unlock, title: &str, before: bool) -> Option<Position> {
    let columns = room(frame);
    let mut lines: Vec<Line<'_>> = who(app, &unlock.account).into_iter().collect();
    lines.push(Line::default());
    let above = lines.len();
    let (entry, cursor) = entry(app, unlock, columns);
    lines.extend(entry);
    lines.push(Line::default());
    let note = if before {
        "Nobody can bring a lost passphrase back. For other ways to open an account: subrosa account passphrase --help"
    } else {
        "Nothing is shown until then. The account goes on receiving; nothing counts as read."
    };
    lines.extend(wrapped(note, columns, app.theme.dim));
    let inside = page(frame, app, title, lines);
    let leave = if before { (Command::Back, "leave") } else { (Command::QuitTwice, "leave") };
    foot(frame, app, &[(Command::Confirm, "unlock"), leave]);
    cursor.map(|at| position(inside, at, above))
}

fn draw_take_over(frame: &mut Frame<'_>, app: &App, unlock: &Unlock) -> Option<Position> {
    let columns = WIDTH.min(usize::from(frame.area().width).saturating_sub(4));
    let text = if unlock.asks {
        "The process that ran this account has ended. With the passphrase it goes on here. What you wrote is kept until then."
    } else {
        "The process that ran this account has ended, and it cannot go on here yet. What you wrote is kept until then."
    };
    let mut lines = wrapped(text, columns, app.theme.text);
    lines.push(Line::default());
    let above = lines.len();
    let (entry, cursor) = entry(app, unlock, columns);
    lines.extend(entry);
    let commands = [Command::Confirm, Command::QuitTwice];
    let inside = card::open(frame, app, "Taking over", (columns, lines.len()), &commands);
    card::fill(frame, inside, lines);
    cursor.map(|at| position(inside, at, above))
}
