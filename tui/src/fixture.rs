//! For tests: a state with several chats at a fixed time, and pictures of it as text.

use crossterm::event::{KeyEvent, KeyModifiers, MouseEvent};
use jiff::tz::TimeZone;
use ratatui::{Terminal, backend::TestBackend};
use subrosa_client_core::api::{
    AccountInfo, Chat, ChatKind, Chats, ChatsParams, Connection, ContactState, EngineOwner, History, Message,
    MessageStatus, NoParams, Person, Status,
};

use crate::{
    app::App,
    ask::{Answer, Call, Page, PageOf},
    config::TuiConfig,
    hyperlink::Hyperlink,
    key::Key,
    keymap::Profile,
    message::{Effect, Msg},
    view::{self, pointer::pointed},
};

/// Tuesday, 24 November 2026, 09:41 UTC.
pub(crate) const NOW: u64 = 1_795_513_260_000;

const MINUTE: u64 = 60_000;

pub(crate) fn message(chat: &str, n: u64, minutes_ago: u64, outgoing: bool, body: &str) -> Message {
    Message {
        cursor: None,
        id: format!("{n:032x}"),
        chat: chat.to_owned(),
        chat_kind: ChatKind::Direct,
        from: Person { id: if outgoing { "me" } else { chat }.to_owned(), name: chat.to_owned() },
        outgoing,
        ts_ms: NOW - minutes_ago * MINUTE,
        body: body.to_owned(),
        status: outgoing.then_some(MessageStatus::Read),
        unread: (!outgoing).then_some(false),
        ..Message::default()
    }
}

fn chat(name: &str, unread: u64, state: ContactState, last: Option<Message>) -> Chat {
    Chat {
        id: name.to_owned(),
        kind: ChatKind::Direct,
        with: Some(name.to_owned()),
        name: name.to_owned(),
        state,
        unread,
        first_unread: None,
        last,
        muted_until_ms: None,
        keep: None,
        pinned: false,
        archived: false,
        draft: None,
    }
}

/// What is said with Ana, the last three unread.
pub(crate) fn with_ana() -> Vec<Message> {
    let mut messages = vec![
        message("ana", 1, 26 * 60, false, "Did you see the build?"),
        message("ana", 2, 26 * 60 - 1, true, "Red again. I look into it."),
        message("ana", 3, 40, false, "Morning! Anything new?"),
        message(
            "ana",
            4,
            39,
            true,
            "Yes: the cache was stale, a clean build is green. I wrote it down at https://ci.example.org/runs/1742, with the log, so that nobody has to search for it next time.",
        ),
        message("ana", 5, 38, true, "Pull now, please."),
        message("ana", 6, 12, true, "世界 says 👩‍👩‍👧‍👦 hi"),
        message("ana", 7, 4, false, "On it."),
        message("ana", 8, 3, false, "Works here.\nAlso on the old laptop."),
        message("ana", 9, 1, false, "Thank you!"),
    ];
    messages[5].status = Some(MessageStatus::Delivered);
    for message in &mut messages[6..] {
        message.unread = Some(true);
    }
    messages
}

pub(crate) fn status(relay: Connection, outbox: u64) -> Status {
    Status {
        relay,
        relay_url: "https://relay.example.org/".to_owned(),
        error: None,
        outbox,
        unread: 0,
        requests: 0,
        engine: EngineOwner { pid: 1, kind: "tui".to_owned() },
        last_sync_ms: None,
        clock_off_ms: None,
    }
}

pub(crate) fn chats() -> Vec<Chat> {
    vec![
        chat("ana", 3, ContactState::Ok, with_ana().pop()),
        chat("tess", 1, ContactState::Request, Some(message("tess", 20, 9, false, "Hi, I am Tess"))),
        chat(
            "benjamin the very long-winded",
            0,
            ContactState::Ok,
            Some(message("b", 30, 65, true, "See you on Saturday, at the place where we met the last time")),
        ),
        chat("דניאל", 0, ContactState::Ok, Some(message("d", 40, 60 * 24 * 3, false, "שלום"))),
        chat("carol", 0, ContactState::Requested, None),
    ]
}

/// A state that knows its chats; none is open.
pub(crate) fn app(profile: Profile, size: (u16, u16)) -> App {
    let config = TuiConfig { profile, ..TuiConfig::default() };
    app_with(&config, size, true, true)
}

pub(crate) fn app_with(config: &TuiConfig, size: (u16, u16), colour: bool, unicode: bool) -> App {
    let theme = config.theme(colour, unicode, false).unwrap();
    let mut next = 0x1000_u64;
    let new_id = move || {
        next += 1;
        format!("{next:032x}")
    };
    let mut app = App::new(config, theme, TimeZone::UTC, size, new_id).unwrap();
    let account = AccountInfo {
        id: "me".to_owned(),
        name: "sam".to_owned(),
        relay: "https://relay.example.org/".to_owned(),
        fingerprint: String::new(),
        data_dir: String::new(),
        device: 1,
        proxy: None,
    };
    app.update(Msg::Begun, NOW);
    tell(&mut app, Answer::Account(NoParams {}, Ok(account)));
    tell(&mut app, Answer::Status(NoParams {}, Ok(status(Connection::Online, 0))));
    tell_chats(&mut app, chats());
    app
}

/// The engine answers.
pub(crate) fn tell(app: &mut App, answer: Answer) -> Vec<Effect> {
    app.update(Msg::Answered(Box::new(answer)), NOW)
}

pub(crate) fn tell_chats(app: &mut App, chats: Vec<Chat>) -> Vec<Effect> {
    tell(app, Answer::Chats(ChatsParams::default(), Ok(Chats { chats })))
}

/// The parts of histories that are asked for.
pub(crate) fn pages(effects: &[Effect]) -> Vec<PageOf> {
    let page = |effect: &Effect| match effect {
        Effect::Ask(Call::History(page)) => Some(page.clone()),
        _ => None,
    };
    effects.iter().filter_map(page).collect()
}

/// Whether this is asked for.
pub(crate) fn asks(effects: &[Effect], call: Call) -> bool {
    effects.contains(&Effect::Ask(call))
}

/// Does something with the mouse, as on the screen that is shown.
pub(crate) fn point(app: &mut App, event: &MouseEvent) -> Vec<Effect> {
    let pointed = pointed(app, event);
    app.update(Msg::Mouse(pointed), NOW)
}

/// Presses keys, named as in the configuration; everything that they want done.
pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    keys.split_whitespace()
        .flat_map(|name| {
            let key: Key = name.parse().unwrap();
            app.update(Msg::Key(KeyEvent::new(key.code, key.modifiers)), NOW)
        })
        .collect()
}

pub(crate) fn type_in(app: &mut App, text: &str) {
    for c in text.chars() {
        app.update(Msg::Key(KeyEvent::new(crossterm::event::KeyCode::Char(c), KeyModifiers::NONE)), NOW);
    }
}

/// Answers what was asked for about the open chat.
pub(crate) fn answer_page(app: &mut App, effects: &[Effect], messages: &[Message]) -> Vec<Effect> {
    let mut more = Vec::new();
    for asked in pages(effects) {
        let messages = if matches!(asked.page, Page::Newest { .. }) { messages.to_vec() } else { Vec::new() };
        let answer = Ok(History { messages, ..History::default() });
        more.extend(tell(app, Answer::History(asked, answer)));
    }
    more
}

/// A state with Ana's chat open.
pub(crate) fn with_ana_open(profile: Profile, size: (u16, u16)) -> App {
    let mut app = app(profile, size);
    let effects = press(&mut app, "enter");
    answer_page(&mut app, &effects, &with_ana());
    app
}

/// The links on the screen.
pub(crate) fn hyperlinks(app: &App) -> Vec<Hyperlink> {
    let mut links = Vec::new();
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| links = view::draw(frame, app)).unwrap();
    links
}

/// What is marked as found, in the order of the screen.
pub(crate) fn marked(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| drop(view::draw(frame, app))).unwrap();
    let cells = terminal.backend().buffer().content().iter();
    cells.filter(|cell| Some(cell.bg) == app.theme.found.bg).map(|cell| cell.symbol()).collect()
}

/// The screen as text.
pub(crate) fn picture(app: &App) -> String {
    let (width, height) = app.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| drop(view::draw(frame, app))).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let mut skip = 0;
        let mut row = String::new();
        for x in 0..width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            skip = crate::text::width(symbol).saturating_sub(1);
            row.push_str(symbol);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
