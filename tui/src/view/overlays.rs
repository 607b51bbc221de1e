//! What lies over the screen, drawn.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    text::{Line, Span},
};
use subrosa_client_core::api::{Contact, ContactState, Identity, Receipts};

use super::{
    card::{self, WIDTH, entry, isolate_all, question},
    chat_cards, columns, help, line, qr, row, search,
};
use crate::{
    app::App,
    commands::Command,
    layout::CARD_FRAME,
    message::Spot,
    overlay::{Join, Menu, Overlay, Palette, Purpose, Target, Verify},
    text::{fit, isolated, pad, width, wrap},
};

/// Entries of the palette in view.
const PALETTE_ROWS: usize = 14;

/// Columns of the names of facts.
const FACT: usize = 14;

/// Draws the overlay; where its cursor is, if it has one.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, overlay: &Overlay) -> Option<Position> {
    match overlay {
        Overlay::Help { offset } => help::draw(frame, app, *offset),
        Overlay::Palette(palette) => return Some(draw_palette(frame, app, palette)),
        Overlay::Search(search) => return Some(search::draw(frame, app, search)),
        Overlay::Menu(menu) => draw_menu(frame, app, menu),
        Overlay::Links(links) => chat_cards::draw_links(frame, app, links),
        Overlay::Invite(invite) => draw_invite(frame, app, invite.as_ref()),
        Overlay::Join(join) => return draw_join(frame, app, join),
        Overlay::Rename(rename) => return chat_cards::draw_rename(frame, app, rename),
        Overlay::Question(question) => chat_cards::draw_question(frame, app, question),
        Overlay::Outbox(waiting) => chat_cards::draw_outbox(frame, app, waiting),
        Overlay::Contact(contact) => draw_contact(frame, app, contact.as_ref()),
        Overlay::Verify(verify) => return draw_verify(frame, app, verify),
        Overlay::Receipts { text, receipts } => draw_receipts(frame, app, text, receipts.as_ref()),
    }
    None
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

/// Room that a menu wants.
fn menu_size(menu: &Menu) -> (usize, usize) {
    (44, menu.commands.len())
}

fn draw_menu(frame: &mut Frame<'_>, app: &App, menu: &Menu) {
    let inside = card::open(frame, app, &menu.title, menu_size(menu), &[Command::Confirm, Command::Back]);
    let keys: Vec<String> = menu.commands.iter().map(|command| app.keys.hint(*command).unwrap_or_default()).collect();
    let key_width = keys.iter().map(|key| width(key)).max().unwrap_or(0);
    for (at, (command, key)) in menu.commands.iter().zip(&keys).enumerate().take(usize::from(inside.height)) {
        let key = if key_width == 0 { String::new() } else { pad(key, key_width + 1) };
        entry(frame, app, row(inside, columns(at)), at == menu.selected, &key, command.spec().title);
    }
}

/// What is under a place on the screen while this lies over it; a text is nothing to press.
pub(super) fn spot(app: &App, overlay: &Overlay, at: Position) -> Option<Spot> {
    let (size, first_row, first, step, count) = match overlay {
        Overlay::Menu(menu) => (menu_size(menu), 0, 0, 1, menu.commands.len()),
        Overlay::Palette(palette) => {
            let size = (WIDTH + 6, PALETTE_ROWS + 2);
            let view = usize::from(card::inside(card::area(app.size, size)).height).saturating_sub(2);
            (size, 2, (palette.selected + 1).saturating_sub(view), 1, palette.found.len())
        }
        Overlay::Search(search) => {
            let (size, first) = search::shown(app, search);
            (size, 2, first, search::STEP, search.hits.len())
        }
        Overlay::Question(question) => {
            let (size, first_row) = chat_cards::question_size(app, question);
            (size, first_row, 0, 1, 2)
        }
        Overlay::Links(links) => {
            let (size, first) = chat_cards::links_shown(app, links);
            (size, 0, first, 1, links.count())
        }
        Overlay::Outbox(waiting) => {
            let (size, first) = chat_cards::outbox_shown(app, waiting);
            (size, 0, first, chat_cards::STEP, waiting.outbox.as_ref().map_or(0, |outbox| outbox.entries.len()))
        }
        // Read, or written into: a click beside it puts it away, and one on it does nothing.
        _ => return None,
    };
    let area = card::area(app.size, size);
    let inside = card::inside(area);
    if !area.contains(at) {
        return Some(Spot::Beside);
    }
    if !inside.contains(at) || usize::from(at.y - inside.y) < first_row {
        return None;
    }
    let entry = first + (usize::from(at.y - inside.y) - first_row) / step;
    (entry < count).then_some(Spot::Entry(entry))
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
        "For one person, until {}. Send it over a way you trust: whoever opens it first is your contact, of whom you know that they had it.",
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
            code_width + CARD_FRAME,
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
    line(frame, inside, Line::raw("Paste the link that somebody gave you (https://…/i#…)"));
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

/// What is set for the chat.
fn chat_text(app: &App, chat: &str) -> String {
    let Some(row) = app.chats.get(chat) else { return "empty".to_owned() };
    let muted = match row.muted_until_ms {
        until if until <= app.clock.now_ms => None,
        subrosa_client_core::limits::MUTED_FOR_EVER_MS => Some("muted".to_owned()),
        until => Some(format!("muted until {}", app.clock.near(until))),
    };
    let keep = row.keep.as_deref().map(subrosa_client_core::keep::words);
    let set: Vec<String> =
        [row.pinned.then(|| "pinned".to_owned()), row.archived.then(|| "archived".to_owned()), muted, keep]
            .into_iter()
            .flatten()
            .collect();
    if set.is_empty() { "in the list".to_owned() } else { set.join(", ") }
}

fn draw_contact(frame: &mut Frame<'_>, app: &App, contact: Option<&Contact>) {
    let Some(contact) = contact else {
        card::open(frame, app, "Contact", (WIDTH, 9), &[Command::Back]);
        return;
    };
    let seen = contact.last_seen_ms.map_or_else(|| "nothing came yet".to_owned(), |ms| app.clock.exact(ms));
    let mut lines = vec![
        fact(app, "State", state_text(contact)),
        fact(app, "Chat", chat_text(app, &contact.chat)),
        fact(app, "Verified", if contact.verified { "yes" } else { "no: compare the safety number" }),
        fact(app, "How", contact.origin.clone()),
        fact(app, "Since", app.clock.exact(contact.since_ms)),
        fact(app, "Last message", seen),
        fact(app, "Devices", contact.devices.to_string()),
        fact(app, "Relay", contact.relay.clone()),
    ];
    if let Some(other) = &contact.looks_like {
        lines.insert(0, fact(app, "Looks like", format!("{other}: another account, called {}", contact.handle)));
    }
    let inside_width = WIDTH.min(usize::from(frame.area().width).saturating_sub(4));
    let id = crate::text::line(&contact.id);
    for (at, range) in wrap(&id, inside_width.saturating_sub(FACT)).into_iter().enumerate() {
        lines.push(fact(app, if at == 0 { "Id" } else { "" }, &id[range]));
    }
    let mut commands = vec![Command::VerifyHere];
    if contact.state == ContactState::Request {
        commands.push(Command::AcceptHere);
    }
    commands.extend([Command::ChatMenu, Command::CopyCard, Command::Back]);
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
