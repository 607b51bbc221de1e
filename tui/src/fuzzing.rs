//! What must hold for any input of the interface's parsers, editor and screens: called by the fuzz targets and by the property
//! tests below.
#![allow(missing_docs)]

use crossterm::{Command as _, event::KeyEvent};
use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{
        Chats, Contact, ContactEvent, ContactState, Event, EventPage, History, Hits, Identity, InviteInfo, Invites,
        MessageStatus, Notice, Outbox, OutboxEntry, Person, SnippetPart, StateEvent,
    },
    clean::{clean_line, clean_text},
};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::{
    app::App,
    ask::{Answer, Call},
    commands::TABLE,
    config::{Notify, Preview, TuiConfig},
    editor::Editor,
    fixture::{NOW, app_with, chats, hyperlinks, message, picture},
    key::Key,
    keymap::Profile,
    message::{Effect, Msg},
    terminal::{notice, window_title},
    text::{self, is_isolate},
};

/// Nothing that a terminal obeys is in it.
fn harmless(text: &str, what: &str) {
    assert_eq!(clean_line(text), text, "{what}");
}

/// An address that a terminal may be told to open.
fn web(address: &str) {
    assert!(address.starts_with("http://") || address.starts_with("https://"), "{address:?}");
    assert!(address.bytes().all(|byte| byte.is_ascii_graphic()), "{address:?}");
}

/// A key that is read means the event that a terminal sends for it, and is shown; `[tui]` of a settings file is refused in words,
/// or every key that it binds does what it is bound to.
pub fn keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for name in text.split(['\n', '"', ' ', '=']) {
        match name.parse::<Key>() {
            Ok(key) => {
                assert_eq!(Key::of(&KeyEvent::new(key.code, key.modifiers)), key, "{name:?}");
                let shown = key.to_string();
                assert!(!shown.is_empty());
                harmless(&shown, "a key");
            }
            Err(error) => assert!(!error.is_empty()),
        }
    }
    let Ok(config) = TuiConfig::parse(&text) else { return };
    let Ok(map) = config.keymap() else { return };
    for spec in TABLE {
        for key in map.keys(spec.command) {
            let somewhere = spec.scopes.iter().any(|place| map.command(*place, *key) == Some(spec.command));
            // Where text is written a bound letter stays text.
            let hidden = spec.scopes.iter().all(|place| place.takes_text()) && key.typed().is_some();
            assert!(somewhere || hidden, "{} has {key}, which does something else", spec.name);
        }
    }
}

/// What is typed and pasted in the acts of [`editor`]: joiners, marks, halves of flags, wide letters, line ends, control characters.
const PIECES: &[&str] = &[
    "a",
    "b ",
    " ",
    "\n",
    "word",
    "世",
    "e\u{301}",
    "\u{301}",
    "👩‍",
    "👧",
    "\u{200D}",
    "🇩",
    "🇪",
    "\u{FE0F}",
    "\r\n",
    "\t",
    "\u{1b}[2J",
    "\u{202E}",
    "क",
    "ि",
    "\u{0600}",
    "שלום",
    "two\nlines\n",
    "한",
    "ᄀ",
    "ᅡ",
];

/// Acts on a text, one a byte: the cursor stands between characters, its row exists, nothing harmful is in the text, and a step
/// back brings a text of before.
pub fn editor(data: &[u8]) {
    let Some((columns, acts)) = data.split_first() else { return };
    let columns = usize::from(columns % 24) + 1;
    let mut editor = Editor::default();
    let mut earlier = vec![String::new()];
    for act in acts.iter().take(400) {
        let before = editor.text().to_owned();
        match act {
            act if editor.act(*act, columns) => {}
            14 => drop(editor.insert_line(PIECES[PIECES.len() - 4])),
            15 => editor = Editor::with(editor.text()),
            _ => drop(editor.insert(PIECES[usize::from(*act) % PIECES.len()])),
        }
        editor.check(columns);
        assert_eq!(clean_text(editor.text()), editor.text());
        if editor.text() != before && !matches!(act, 13 | 15) {
            let mut back = editor.clone();
            back.undo();
            if (6..=10).contains(act) {
                assert_eq!(back.text(), before, "deleted, and brought back");
            }
            assert!(earlier.iter().any(|text| text == back.text()), "{:?} was never there", back.text());
        }
        earlier.push(editor.text().to_owned());
    }
}

/// Text from others in columns (the first byte): cleaned, cut and filled to its width, wrapped without a loss; only web
/// addresses become links.
pub fn text(data: &[u8]) {
    let Some((columns, bytes)) = data.split_first() else { return };
    let columns = usize::from(columns % 60);
    let raw = String::from_utf8_lossy(bytes);
    let line = text::line(&raw);
    harmless(&line, "a line");
    assert!(text::width(&text::fit(&line, columns)) <= columns, "{line:?} in {columns}");
    assert_eq!(text::width(&text::pad(&line, columns)), columns, "{line:?}");
    let lines = text::lines(&raw);
    assert_eq!(clean_text(&lines), lines);
    let mut joined = String::new();
    for row in text::wrap(&lines, columns) {
        let shown = lines[row.clone()].trim_end_matches(' ');
        assert!(text::width(shown) <= columns.max(1) || shown.graphemes(true).count() == 1, "{shown:?} in {columns}");
        joined.push_str(&lines[row]);
    }
    assert_eq!(joined, lines.replace('\n', ""));
    for link in text::links(&lines) {
        let link = &lines[link];
        web(&text::address(link));
        let host = link.split(['/', '?', '#']).nth(2).unwrap_or_default();
        assert!(!host.is_empty() && host.is_ascii(), "letters of other scripts look like a known name's: {link:?}");
    }
}

/// Acts after each key before the rest is dropped: no key leads to so many.
const MAX_EFFECTS: usize = 64;

/// What people and relays may say, in turn.
struct Others {
    texts: Vec<String>,
    next: usize,
}

impl Others {
    fn say(&mut self) -> String {
        self.next += 1;
        self.texts.get(self.next % self.texts.len().max(1)).cloned().unwrap_or_default()
    }

    fn message(&mut self, chat: &str, n: u64) -> subrosa_client_core::api::Message {
        let body = self.say();
        let mut message = message(chat, n, n, n.is_multiple_of(2), &body);
        message.from.name = self.say();
        message.chat_name = Some(self.say());
        message.forwarded = n.is_multiple_of(4);
        message.snippet = vec![SnippetPart { text: self.say(), hit: n.is_multiple_of(3) }];
        message
    }

    fn contact(&mut self, id: &str) -> Contact {
        Contact {
            id: id.to_owned(),
            chat: id.to_owned(),
            name: self.say(),
            handle: self.say(),
            looks_like: Some(self.say()),
            state: ContactState::Ok,
            verified: false,
            origin: self.say(),
            relay: self.say(),
            devices: 1,
            last_seen_ms: None,
            since_ms: NOW,
        }
    }

    fn error(&mut self) -> ApiError {
        ApiError::new(ErrorKind::Failed, self.say()).hint(self.say())
    }

    /// What the engine answers: what others say where it tells of them, else that it cannot.
    fn answer_call(&mut self, call: Call) -> Answer {
        match call {
            Call::Chats(asked) => {
                let mut chats = chats();
                for chat in &mut chats {
                    chat.name = self.say();
                    chat.last = Some(self.message(&chat.id, 9));
                }
                Answer::Chats(asked, Ok(Chats { chats }))
            }
            Call::History(asked) => {
                let messages = (1..12).rev().map(|n| self.message(&asked.chat, n)).collect();
                Answer::History(asked, Ok(History { messages, ..History::default() }))
            }
            Call::Search(asked) => {
                let hits = (20..25).map(|n| self.message("ana", n)).collect();
                Answer::Search(asked, Ok(Hits { hits, next: None }))
            }
            Call::Contact(asked) => {
                let contact = self.contact(&asked.who);
                Answer::Contact(asked, Ok(contact))
            }
            Call::Accept(asked) => {
                let contact = self.contact(&asked.who);
                Answer::Accept(asked, Ok(contact))
            }
            Call::Rename(asked) => {
                let contact = self.contact(&asked.who);
                Answer::Rename(asked, Ok(contact))
            }
            Call::Verify(asked) if asked.number.is_none() => {
                let identity = Identity {
                    id: asked.who.clone(),
                    name: self.say(),
                    safety_number: ["12345"; 12].join(" "),
                    safety_qr: "00ff".to_owned(),
                    verified: false,
                    changed_ms: None,
                };
                Answer::Verify(asked, Ok(identity))
            }
            Call::Outbox(asked) => {
                let entries = (1..4).map(|n| OutboxEntry {
                    id: format!("{n:032x}"),
                    chat: "ana".to_owned(),
                    to: self.say(),
                    name: self.say(),
                    attempts: n,
                    next_ms: NOW,
                    queued_ms: NOW,
                    error: Some(self.say()),
                });
                let entries = entries.collect();
                Answer::Outbox(asked, Ok(Outbox { entries, total: 3 }))
            }
            Call::Links(asked) => {
                let invites = (1..4).map(|n| InviteInfo {
                    id: format!("{n:08x}"),
                    created_ms: NOW,
                    expires_ms: NOW,
                    used_by: (n > 1).then(|| Person { id: self.say(), name: self.say() }),
                });
                let invites = invites.collect();
                Answer::Links(asked, Ok(Invites { invites }))
            }
            call => call.refused(self.error()),
        }
    }

    /// What comes of an effect.
    fn answer(&mut self, effect: &Effect) -> Option<Msg> {
        Some(match effect {
            Effect::Ask(call) => Msg::Answered(Box::new(self.answer_call(call.clone()))),
            Effect::Title(title) => {
                let mut bytes = String::new();
                assert!(window_title(title).write_ansi(&mut bytes).is_ok());
                let inside = bytes.strip_prefix("\u{1b}]0;").and_then(|rest| rest.strip_suffix('\u{7}'));
                harmless(inside.unwrap_or("\u{1b}"), "a title");
                return None;
            }
            Effect::Notify { title, body } => {
                for (how, begin) in [(Notify::Osc9, "]9;"), (Notify::Osc777, "]777;notify;")] {
                    for (tmux, before, after) in [
                        (false, "\u{1b}", "\u{1b}\\\u{7}"),
                        (true, "\u{1b}Ptmux;\u{1b}\u{1b}", "\u{1b}\u{1b}\\\u{1b}\\\u{7}"),
                    ] {
                        let bytes = notice(how, title, body, tmux).unwrap_or_default();
                        let inside = bytes.strip_prefix(before).and_then(|rest| rest.strip_prefix(begin));
                        let inside = inside.and_then(|rest| rest.strip_suffix(after));
                        harmless(inside.unwrap_or("\u{1b}"), "a notification");
                    }
                }
                return None;
            }
            _ => return None,
        })
    }
}

/// Draws, and looks at what would reach the terminal: nothing of others but clean text and web addresses. What the views isolate
/// because it runs to the left ends in its row.
fn look(app: &App) {
    for row in picture(app).split_terminator('\n') {
        let mut open = 0_i32;
        for c in row.chars().filter(|c| is_isolate(*c)) {
            open += if c == '\u{2069}' { -1 } else { 1 };
            assert!(open >= 0, "{row:?}");
        }
        assert_eq!(open, 0, "{row:?}");
        harmless(&row.replace(is_isolate, ""), "the screen");
    }
}

fn settle(app: &mut App, others: &mut Others, effects: Vec<Effect>) {
    let mut open = effects;
    for _ in 0..MAX_EFFECTS {
        let Some(effect) = open.pop() else { return };
        if let Some(answer) = others.answer(&effect) {
            open.extend(app.update(answer, NOW));
        }
    }
}

/// The interface driven by any keys at any size, while everything that others say is any text. First bytes: profile and look,
/// width, height, how many of the bytes that follow are keys; the rest are texts, with zero bytes between them.
pub fn screen(data: &[u8]) {
    let Some(([look_and_feel, width, height, count], rest)) = data.split_first_chunk::<4>() else { return };
    let (keys, texts) = rest.split_at(rest.len().min(usize::from(count % 64)));
    let texts = texts.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let mut others = Others { texts, next: 0 };
    let profile = [Profile::Vim, Profile::Emacs, Profile::Plain][usize::from(look_and_feel % 3)];
    let config = TuiConfig { profile, preview: Preview::Full, ..TuiConfig::default() };
    let size = (u16::from(width % 140) + 1, u16::from(height % 50) + 1);
    let mut app = app_with(&config, size, look_and_feel & 4 == 0, look_and_feel & 8 == 0);
    let names: Vec<Key> = TABLE
        .iter()
        .flat_map(|spec| config.keymap().map(|map| map.keys(spec.command).to_vec()).unwrap_or_default())
        .collect();
    settle(&mut app, &mut others, vec![Effect::Ask(Call::all_chats())]);
    for byte in keys {
        let key = names[usize::from(*byte) % names.len()];
        let effects = app.update(Msg::Key(KeyEvent::new(key.code, key.modifiers)), NOW);
        settle(&mut app, &mut others, effects);
        // Not after each: drawing takes longer than all else.
        if byte % 4 == 0 {
            look(&app);
        }
    }
    let mut incoming = others.message("דניאל", 90);
    incoming.unread = Some(true);
    incoming.outgoing = false;
    let state = StateEvent {
        cursor: None,
        id: incoming.id.clone(),
        chat: "ana".to_owned(),
        status: MessageStatus::Failed,
        ts_ms: NOW,
        error: Some(others.say()),
    };
    let notice = Notice { cursor: None, code: others.say(), text: others.say(), chat: None, ts_ms: NOW };
    let contact = ContactEvent { cursor: None, contact: others.contact("ana") };
    let mut effects = app.update(Msg::Focus(false), NOW);
    let events = vec![Event::Contact(contact), Event::State(state), Event::Notice(notice), Event::Message(incoming)];
    effects.extend(app.update(Msg::Events(EventPage { events, cursor: 1 }), NOW));
    effects.extend(app.update(Msg::Paste(others.say()), NOW));
    settle(&mut app, &mut others, effects);
    look(&app);
    let ended = others.error();
    let effects = app.update(Msg::EventsEnded(ended), NOW);
    settle(&mut app, &mut others, effects);
    look(&app);
    for link in hyperlinks(&app) {
        web(&link.address);
    }
}

#[cfg(test)]
#[path = "../../fuzz/inputs.rs"]
mod inputs;

#[cfg(test)]
mod tests {
    use super::{
        inputs::{hold, hold_times},
        *,
    };

    #[test]
    fn keys_and_commands_are_refused_or_do_what_they_are_bound_to() {
        hold("tui_keys", keys);
    }

    #[test]
    fn the_cursor_stands_between_characters_and_steps_back_work() {
        hold("tui_editor", editor);
    }

    #[test]
    fn texts_of_others_fit_their_columns_and_are_harmless() {
        hold("tui_text", text);
    }

    #[test]
    fn no_byte_of_others_reaches_the_terminal_uncleaned() {
        // Each draws a dozen screens.
        hold_times("tui_screen", 48, screen);
    }
}
