//! What lies over the screen, drawn.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
};
use subrosa_client_core::api::{Contact, ContactState, Identity, Receipts};

use super::{card, columns, help, line, position, qr, row, search};
use crate::{
    app::App,
    commands::Command,
    editor::Editor,
    overlay::{Join, Menu, Overlay, Palette, Purpose, Target, Verify},
    text::{self, fit, isolated, pad, width, wrap},
};

/// Columns of most cards.
const WIDTH: usize = 60;

/// Entries of the palette in view.
const PALETTE_ROWS: usize = 14;

/// Columns of the names of facts.
const FACT: usize = 12;

/// Draws the overlay; where its cursor is, if it has one.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, overlay: &Overlay) -> Option<Position> {
    match overlay {
        Overlay::Help { offset } => help::draw(frame, app, *offset),
        Overlay::Palette(palette) => return Some(draw_palette(frame, app, palette)),
        Overlay::Search(search) => return Some(search::draw(frame, app, search)),
        Overlay::Menu(menu) => draw_menu(frame, app, menu),
        Overlay::Invite(invite) => draw_invite(frame, app, invite.as_ref()),
        Overlay::Join(join) => return draw_join(frame, app, join),
        Overlay::Contact(contact) => draw_contact(frame, app, contact.as_ref()),
        Overlay::Verify(verify) => return draw_verify(frame, app, verify),
        Overlay::Receipts { text, receipts } => draw_receipts(frame, app, text, receipts.as_ref()),
    }
    None
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

fn draw_palette(frame: &mut Frame<'_>, app: &App, palette: &Palette) -> Position {
    let theme = &app.theme;
    let title = match palette.purpose {
        Purpose::Everything => "Find a chat or a command",
        Purpose::Commands => "Commands",
        Purpose::Forward(_) => "Forward to",
        Purpose::OpenLink(_) => "Open which link",
        Purpose::CopyLink(_) => "Copy which link",
    };
    let inside = card::open(
        frame,
        app,
        title,
        (WIDTH + 6, PALETTE_ROWS + 2),
        &[Command::Confirm, Command::Back, Command::ChooseUp],
    );
    let view = usize::from(inside.height).saturating_sub(2);
    let first = (palette.selected + 1).saturating_sub(view);
    if palette.found.is_empty() {
        line(frame, row(inside, 2), Line::styled("  nothing is called that", theme.dim));
    }
    for (at, found) in palette.found.iter().enumerate().skip(first).take(view) {
        let place = row(inside, 2 + columns(at - first));
        let selected = at == palette.selected;
        if selected {
            frame.buffer_mut().set_style(place, theme.selected);
        }
        let mark = if selected { theme.signs.pointer } else { " " };
        let key = match &found.target {
            Target::Words(_) | Target::Link(_) => String::new(),
            Target::Command(command) => app.keys.hint(*command).unwrap_or_default(),
            Target::Chat(chat) => app
                .chats
                .get(chat)
                .filter(|row| row.unread > 0)
                .map(|row| format!("({})", row.unread))
                .unwrap_or_default(),
        };
        let room = usize::from(place.width).saturating_sub(2 + width(&key) + 1);
        let mut spans = vec![Span::styled(mark, theme.accent), Span::raw(" ")];
        spans.extend(matched(app, &fit(&found.title, room), &found.matched));
        let used: usize = spans.iter().map(|span| width(&span.content)).sum();
        spans.push(Span::raw(" ".repeat(usize::from(place.width).saturating_sub(used + width(&key)))));
        spans.push(Span::styled(key, theme.dim));
        line(frame, place, Line::from(spans));
    }
    question(frame, app, &palette.query, row(inside, 0))
}

/// Makes spans that are one text one to the terminal, too.
pub(super) fn isolate_all(text: &str, spans: &mut Vec<Span<'_>>) {
    if text::has_leftward(text) {
        spans.insert(0, Span::raw(text::ISOLATE.to_string()));
        spans.push(Span::raw(text::ISOLATE_END.to_string()));
    }
}

/// The letters of a title, those that matched marked.
fn matched(app: &App, title: &str, matched: &[u32]) -> Vec<Span<'static>> {
    let graphemes = unicode_segmentation::UnicodeSegmentation::graphemes(title, true);
    let mut spans: Vec<_> = graphemes
        .enumerate()
        .map(|(at, grapheme)| {
            let found = u32::try_from(at).is_ok_and(|at| matched.binary_search(&at).is_ok());
            Span::styled(grapheme.to_owned(), if found { app.theme.accent } else { app.theme.text })
        })
        .collect();
    isolate_all(title, &mut spans);
    spans
}

fn draw_menu(frame: &mut Frame<'_>, app: &App, menu: &Menu) {
    let theme = &app.theme;
    let inside = card::open(frame, app, &menu.title, (44, menu.commands.len()), &[Command::Confirm, Command::Back]);
    for (at, command) in menu.commands.iter().enumerate().take(usize::from(inside.height)) {
        let place = row(inside, columns(at));
        let selected = at == menu.selected;
        if selected {
            frame.buffer_mut().set_style(place, theme.selected);
        }
        let mark = if selected { theme.signs.pointer } else { " " };
        let key = app.keys.hint(*command).unwrap_or_default();
        line(
            frame,
            place,
            Line::from(vec![
                Span::styled(mark, theme.accent),
                Span::raw(" "),
                Span::styled(pad(&key, 3), theme.accent),
                Span::raw(command.spec().title),
            ]),
        );
    }
}

fn draw_invite(frame: &mut Frame<'_>, app: &App, invite: Option<&subrosa_client_core::api::Invite>) {
    let theme = &app.theme;
    let Some(invite) = invite else {
        let inside = card::open(frame, app, "Invite", (WIDTH, 1), &[Command::Back]);
        return line(frame, inside, Line::styled("The relay is told about the link …", theme.dim));
    };
    let screen = usize::from(frame.area().width).saturating_sub(4);
    let code = qr::lines(invite.link.as_bytes(), theme.colour);
    let code_width = code.first().map_or(0, Line::width);
    let columns = screen.min(WIDTH.max(code_width));
    let mut lines = Vec::new();
    let link = crate::text::line(&invite.link);
    lines.extend(wrap(&link, columns).into_iter().map(|row| Line::styled(link[row].to_owned(), theme.accent)));
    lines.push(Line::default());
    let text = format!(
        "For one person, until {}. Send it over a way you trust: whoever opens it first is your contact, verified.",
        app.clock.exact(invite.expires_ms)
    );
    lines.extend(wrap(&text, columns).into_iter().map(|row| Line::raw(text[row].to_owned())));
    // A code that is cut off is of no use.
    let room = usize::from(frame.area().height).saturating_sub(3 + lines.len());
    if code.len() < room && code_width <= screen {
        lines.push(Line::default());
        lines.extend(qr::centred(code, columns));
    } else if !code.is_empty() && room > 2 {
        let text = format!(
            "The QR code needs a window of {} columns and {} rows.",
            code_width + card::FRAME,
            lines.len() + code.len() + 4
        );
        lines.push(Line::default());
        lines.extend(wrap(&text, columns).into_iter().map(|row| Line::styled(text[row].to_owned(), theme.dim)));
    }
    let inside = card::open(frame, app, "Invite", (columns, lines.len()), &[Command::CopyCard, Command::Back]);
    card::fill(frame, inside, lines);
}

fn draw_join(frame: &mut Frame<'_>, app: &App, join: &Join) -> Option<Position> {
    let theme = &app.theme;
    let columns = WIDTH.min(usize::from(frame.area().width).saturating_sub(4));
    let error = join.error.as_deref().unwrap_or_default();
    let note = if join.waiting { "Their relay is asked …" } else { error };
    let note_style = if join.waiting { theme.dim } else { theme.error };
    let rows = wrap(note, columns);
    let inside = card::open(frame, app, "Use a link", (columns, 4 + rows.len()), &[Command::Confirm, Command::Back]);
    line(frame, inside, Line::raw("Paste the link that somebody gave you (subrosa://…)"));
    let cursor = question(frame, app, &join.link, row(inside, 2));
    for (at, range) in rows.into_iter().enumerate() {
        line(
            frame,
            Rect { y: inside.y + 4 + super::columns(at), height: 1, ..inside },
            Line::styled(note[range].to_owned(), note_style),
        );
    }
    (!join.waiting).then_some(cursor)
}

fn fact(app: &App, name: &str, value: impl Into<String>) -> Line<'static> {
    Line::from(vec![Span::styled(pad(name, FACT), app.theme.dim), Span::raw(crate::text::line(&value.into()))])
}

const fn state_text(contact: &Contact) -> &'static str {
    match contact.state {
        ContactState::Request => "wants to talk to you",
        ContactState::Requested => "has not answered yet",
        ContactState::Ok => "contact",
        ContactState::Blocked => "blocked",
        ContactState::Removed => "no contact any more",
    }
}

fn draw_contact(frame: &mut Frame<'_>, app: &App, contact: Option<&Contact>) {
    let Some(contact) = contact else {
        card::open(frame, app, "Contact", (WIDTH, 9), &[Command::Back]);
        return;
    };
    let seen = contact.last_seen_ms.map_or_else(|| "nothing came yet".to_owned(), |ms| app.clock.exact(ms));
    let mut lines = vec![
        fact(app, "State", state_text(contact)),
        fact(app, "Verified", if contact.verified { "yes" } else { "no: compare the safety number" }),
        fact(app, "How", contact.origin.clone()),
        fact(app, "Since", app.clock.exact(contact.since_ms)),
        fact(app, "Last message", seen),
        fact(app, "Devices", contact.devices.to_string()),
        fact(app, "Relay", contact.relay.clone()),
    ];
    let inside_width = WIDTH.min(usize::from(frame.area().width).saturating_sub(4));
    let id = crate::text::line(&contact.id);
    for (at, range) in wrap(&id, inside_width.saturating_sub(FACT)).into_iter().enumerate() {
        lines.push(fact(app, if at == 0 { "Id" } else { "" }, &id[range]));
    }
    let mut commands = vec![Command::VerifyHere];
    if contact.state == ContactState::Request {
        commands.push(Command::AcceptHere);
    }
    commands.extend([Command::CopyCard, Command::Back]);
    let inside = card::open(frame, app, &contact.name, (inside_width, lines.len()), &commands);
    card::fill(frame, inside, lines);
}

fn draw_verify(frame: &mut Frame<'_>, app: &App, verify: &Verify) -> Option<Position> {
    let theme = &app.theme;
    let Some(identity) = &verify.identity else {
        card::open(frame, app, "Safety number", (WIDTH, 9), &[Command::Back]);
        return None;
    };
    let name = crate::text::line(&identity.name);
    let columns = WIDTH.min(usize::from(frame.area().width).saturating_sub(4));
    let mut lines = number_lines(app, identity, columns);
    let state = if identity.verified {
        Line::styled(format!("{} verified", theme.signs.verified), theme.ok)
    } else {
        Line::styled("not verified yet", theme.warning)
    };
    lines.extend([Line::default(), state, Line::default()]);
    if let Some(number) = &verify.number {
        let text = format!("Type the digits that {} reads out to you:", isolated(&name));
        lines.extend(wrap(&text, columns).into_iter().map(|range| Line::raw(text[range].to_owned())));
        let at = lines.len();
        lines.push(Line::default());
        let note = if verify.waiting { "…" } else { verify.error.as_deref().unwrap_or_default() };
        lines.extend(wrap(note, columns).into_iter().map(|range| Line::styled(note[range].to_owned(), theme.error)));
        let inside = card::open(
            frame,
            app,
            &format!("Safety number with {name}"),
            (columns, lines.len()),
            &[Command::Confirm, Command::Back],
        );
        card::fill(frame, inside, lines);
        return Some(question(frame, app, number, Rect { y: inside.y + super::columns(at), height: 1, ..inside }));
    }
    let text = format!(
        "{} sees the same number, if nobody is between you. Compare it by voice or in person.",
        isolated(&name)
    );
    lines.extend(wrap(&text, columns).into_iter().map(|range| Line::raw(text[range].to_owned())));
    let code = hex_bytes(&identity.safety_qr).map(|bytes| qr::lines(&bytes, theme.colour)).unwrap_or_default();
    let code_width = code.first().map_or(0, Line::width);
    let room = usize::from(frame.area().height).saturating_sub(3 + lines.len());
    if code.len() < room && code_width <= columns {
        lines.push(Line::default());
        lines.extend(qr::centred(code, columns));
    }
    let commands = [Command::VerifyHere, Command::CopyCard, Command::Back];
    let inside = card::open(frame, app, &format!("Safety number with {name}"), (columns, lines.len()), &commands);
    card::fill(frame, inside, lines);
    None
}

/// Sixty digits in groups of five, as many groups a row as fit.
fn number_lines(app: &App, identity: &Identity, columns: usize) -> Vec<Line<'static>> {
    let number = crate::text::line(&identity.safety_number);
    let groups: Vec<&str> = number.split_whitespace().collect();
    let per_row = if columns >= 4 * 8 { 4 } else { 2 };
    groups.chunks(per_row).map(|row| Line::styled(row.join("   "), app.theme.strong).centered()).collect()
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn draw_receipts(frame: &mut Frame<'_>, app: &App, text: &str, receipts: Option<&Receipts>) {
    use subrosa_client_core::api::MessageStatus::{Delivered, Queued, Read, Sent};
    let theme = &app.theme;
    let columns = WIDTH.min(usize::from(frame.area().width).saturating_sub(4));
    let mut lines = vec![Line::styled(fit(text, columns).into_owned(), theme.dim), Line::default()];
    if let Some(receipts) = receipts {
        let mut time = |status, name: &str, who: &str, ms| {
            let (sign, style) = theme.tick(status);
            lines.push(Line::from(vec![
                Span::styled(pad(sign, 4), style),
                Span::styled(pad(name, FACT), theme.dim),
                Span::raw(pad(&app.clock.exact(ms), 21)),
                Span::raw(crate::text::line(who)),
            ]));
        };
        time(Queued, "written", "", receipts.queued_ms);
        for (status, name, times) in [
            (Sent, "sent", &receipts.sent),
            (Delivered, "delivered", &receipts.delivered),
            (Read, "read", &receipts.read),
        ] {
            for at in times {
                time(status, name, &at.name, at.ts_ms);
            }
        }
        if let Some(error) = &receipts.error {
            let error = crate::text::line(error);
            lines.extend(
                wrap(&error, columns).into_iter().map(|range| Line::styled(error[range].to_owned(), theme.error)),
            );
        }
    }
    let inside = card::open(frame, app, "Message", (columns, lines.len()), &[Command::Back]);
    card::fill(frame, inside, lines);
}
