//! What is done with chats and contacts, from every way that leads to it.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{Chat, Chats, Connection, Contact, ContactState, Done, Event, EventPage, Outbox, OutboxEntry},
    limits::MUTED_FOR_EVER_MS,
};

use super::{tests::snapshots, *};
use crate::{
    fixture::{NOW, app, chats, message, picture, press, status, type_in, with_ana_open},
    keymap::Profile,
    message::Deed,
};

const HOUR: u64 = 3_600_000;

fn ana() -> Chat {
    chats().remove(0)
}

fn contact(name: &str, state: ContactState) -> Contact {
    Contact { id: "ana".to_owned(), name: name.to_owned(), state, ..super::tests::contact(name) }
}

fn set(muted_until_ms: Option<u64>, pinned: Option<bool>, archived: Option<bool>) -> Effect {
    Effect::SetChat { chat: "ana".to_owned(), muted_until_ms, pinned, archived }
}

fn answer(app: &mut App, change: impl FnOnce(&mut Chat)) -> Vec<Effect> {
    let mut chat = ana();
    change(&mut chat);
    app.update(Msg::ChatSet(Box::new(Ok(chat))), NOW)
}

fn click(app: &mut App, button: MouseButton, what: &str) -> Vec<Effect> {
    let shown = picture(app);
    let (row, text) =
        shown.lines().enumerate().find(|(_, line)| line.contains(what)).unwrap_or_else(|| panic!("{what}\n{shown}"));
    let column = crate::text::width(text.split(what).next().unwrap());
    let event = MouseEvent {
        kind: MouseEventKind::Down(button),
        column: u16::try_from(column).unwrap(),
        row: u16::try_from(row).unwrap(),
        modifiers: KeyModifiers::NONE,
    };
    app.update(Msg::Mouse(event), NOW)
}

fn waiting(count: u32) -> Outbox {
    let entry = |n: u32| OutboxEntry {
        id: format!("{n:032x}"),
        chat: "ana".to_owned(),
        to: "ana".to_owned(),
        name: "ana".to_owned(),
        attempts: n,
        next_ms: if n == 0 { 0 } else { NOW + 90_000 },
        queued_ms: NOW - 2 * HOUR,
        error: (n > 0).then(|| "relay.example.org is not reached: connection refused".to_owned()),
    };
    Outbox { entries: (0..count).map(entry).collect(), total: u64::from(count) }
}

#[test]
fn pictures_of_what_is_done_with_chats() {
    snapshots("chat-menu", |size| {
        let mut app = app(Profile::Vim, size);
        press(&mut app, "m");
        app
    });
    snapshots("contact", |size| {
        let mut app = with_ana_open(Profile::Vim, size);
        answer(&mut app, |chat| chat.muted_until_ms = Some(NOW + 8 * HOUR));
        press(&mut app, "esc c");
        app.update(Msg::Contact { answer: Ok(contact("ana", ContactState::Ok)) }, NOW);
        app
    });
    snapshots("block", |size| {
        let mut app = app(Profile::Vim, size);
        press(&mut app, "B");
        app
    });
    snapshots("rename", |size| {
        let mut app = app(Profile::Vim, size);
        press(&mut app, "f2 ctrl+u enter");
        type_in(&mut app, "Ana Lovelace");
        app
    });
    snapshots("outbox", |size| {
        let mut app = app(Profile::Vim, size);
        press(&mut app, "o");
        app.update(Msg::Waiting(Ok(waiting(12))), NOW);
        press(&mut app, "down");
        app
    });
    snapshots("archive", |size| {
        let mut app = app(Profile::Vim, size);
        let mut chats = chats();
        for chat in &mut chats[2..] {
            chat.archived = true;
        }
        app.update(Msg::Chats(Ok(Chats { chats })), NOW);
        app
    });
}

#[test]
fn a_chat_is_muted_for_as_long_as_one_wants_and_the_same_key_ends_it() {
    let mut app = app(Profile::Vim, (80, 24));
    press(&mut app, "M down");
    assert!(press(&mut app, "enter").contains(&set(Some(NOW + 7 * 24 * HOUR), None, None)));
    press(&mut app, "M");
    assert!(press(&mut app, "enter").contains(&set(Some(NOW + 8 * HOUR), None, None)));
    answer(&mut app, |chat| chat.muted_until_ms = Some(NOW + 8 * HOUR));
    assert!(picture(&app).contains("ana: muted until "), "{}", picture(&app));
    assert!(press(&mut app, "M").contains(&set(Some(0), None, None)));
    answer(&mut app, |_| {});
    press(&mut app, "ctrl+k");
    type_in(&mut app, "until you unmute");
    assert!(press(&mut app, "enter").contains(&set(Some(MUTED_FOR_EVER_MS), None, None)));
}

#[test]
fn a_chat_is_pinned_and_no_longer() {
    let mut app = app(Profile::Vim, (80, 24));
    assert!(press(&mut app, "p").contains(&set(None, Some(true), None)));
    assert!(answer(&mut app, |chat| chat.pinned = true).contains(&Effect::LoadChats), "the order is another one");
    let mut all = chats();
    all[0].pinned = true;
    app.update(Msg::Chats(Ok(Chats { chats: all })), NOW);
    assert!(press(&mut app, "p").contains(&set(None, Some(false), None)));
}

#[test]
fn the_archive_is_a_list_of_its_own_and_what_is_written_there_brings_a_chat_back() {
    let mut app = app(Profile::Vim, (80, 24));
    assert!(press(&mut app, "e").contains(&set(None, None, Some(true))));
    assert!(answer(&mut app, |chat| chat.archived = true).contains(&Effect::LoadChats));
    let mut all = chats();
    all[0].archived = true;
    app.update(Msg::Chats(Ok(Chats { chats: all.clone() })), NOW);
    let shown = picture(&app);
    assert!(!shown.contains(" ana ") && shown.contains("A 1 archived"), "{shown}");
    assert_eq!(app.unread_elsewhere(), 1, "what is archived does not call");
    // Still found, and opened.
    press(&mut app, "ctrl+k");
    type_in(&mut app, "ana");
    press(&mut app, "enter");
    assert_eq!(app.open.as_ref().map(|open| open.chat.as_str()), Some("ana"));
    press(&mut app, "esc esc A");
    let shown = picture(&app);
    assert!(shown.contains("Archived") && shown.contains("ana") && !shown.contains("benjamin"), "{shown}");
    // A new message: the engine says whether it is still archived.
    let event = Event::Message(message("ana", 99, 0, false, "psst"));
    let effects = app.update(Msg::Events(EventPage { events: vec![event], cursor: 1 }), NOW);
    assert!(effects.contains(&Effect::LoadChats));
    all[0].archived = false;
    app.update(Msg::Chats(Ok(Chats { chats: all })), NOW);
    assert!(picture(&app).contains(" Chats") && picture(&app).contains("benjamin"), "an empty archive is left");
}

#[test]
fn back_leads_from_the_archive_to_the_chats() {
    let mut app = app(Profile::Plain, (80, 24));
    let mut all = chats();
    all[1].archived = true;
    app.update(Msg::Chats(Ok(Chats { chats: all })), NOW);
    click(&mut app, MouseButton::Left, "1 archived");
    assert!(picture(&app).contains("tess"));
    press(&mut app, "esc");
    assert!(picture(&app).contains("1 archived"));
}

#[test]
fn blocking_asks_first_and_the_answer_that_is_selected_does_nothing() {
    let mut app = app(Profile::Vim, (80, 24));
    press(&mut app, "B");
    assert!(press(&mut app, "enter").is_empty(), "twice the same key blocks nobody");
    press(&mut app, "B down");
    assert!(press(&mut app, "enter").contains(&Effect::Block { chat: "ana".to_owned() }));
    app.update(Msg::ContactSet { deed: Deed::Blocked, answer: Ok(contact("ana", ContactState::Blocked)) }, NOW);
    assert!(picture(&app).contains("ana is blocked"));
    press(&mut app, "m");
    assert!(picture(&app).contains("Unblock"), "{}", picture(&app));
    press(&mut app, "esc");
    assert!(press(&mut app, "B").contains(&Effect::Unblock { chat: "ana".to_owned() }));
}

#[test]
fn another_name_is_taken_by_the_engine_or_refused_with_its_reason() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    press(&mut app, "ctrl+k");
    type_in(&mut app, "rename");
    press(&mut app, "enter ctrl+u");
    type_in(&mut app, "Ana L.");
    let rename = Effect::Rename { chat: "ana".to_owned(), name: "Ana L.".to_owned() };
    assert!(press(&mut app, "enter").contains(&rename));
    assert!(press(&mut app, "enter").is_empty(), "asked once");
    let error = ApiError::new(ErrorKind::Usage, "another contact has this name");
    app.update(Msg::ContactSet { deed: Deed::Renamed, answer: Err(error) }, NOW);
    assert!(picture(&app).contains("another contact has this name") && picture(&app).contains("> Ana L."));
    assert!(press(&mut app, "enter").contains(&rename), "and asked again");
    app.update(Msg::ContactSet { deed: Deed::Renamed, answer: Ok(contact("Ana L.", ContactState::Ok)) }, NOW);
    assert!(picture(&app).contains("Shown as Ana L. from now on") && app.overlays.is_empty());
    assert_eq!(app.chats.get("ana").unwrap().name, "Ana L.");
}

#[test]
fn removing_asks_first_and_closes_the_chat() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    type_in(&mut app, "never said");
    press(&mut app, "esc c");
    app.update(Msg::Contact { answer: Ok(contact("ana", ContactState::Ok)) }, NOW);
    press(&mut app, "m D");
    assert!(picture(&app).contains("Remove ana?"), "{}", picture(&app));
    assert!(press(&mut app, "down enter").contains(&Effect::Remove { chat: "ana".to_owned() }));
    let done = Msg::Removed { chat: "ana".to_owned(), answer: Ok(Done { id: None, count: 1 }) };
    assert!(app.update(done, NOW).contains(&Effect::LoadChats));
    assert!(app.open.is_none() && app.overlays.is_empty() && !app.has_draft("ana"));
    assert!(picture(&app).contains("ana is removed, with the conversation"));
}

#[test]
fn what_waits_is_sent_now_taken_back_and_found() {
    let mut app = app(Profile::Vim, (80, 24));
    app.update(Msg::Connection(status(Connection::Offline, 2)), NOW);
    assert!(click(&mut app, MouseButton::Left, "outbox 2").contains(&Effect::LoadOutbox));
    app.update(Msg::Waiting(Ok(waiting(2))), NOW);
    press(&mut app, "down");
    let id = format!("{:032x}", 1);
    assert!(press(&mut app, "R").contains(&Effect::Retry { id: id.clone() }));
    assert!(press(&mut app, "X").contains(&Effect::TakeBack { id: id.clone() }));
    let done = Msg::Outbox { taken_back: true, answer: Ok(Done { id: None, count: 1 }) };
    assert!(app.update(done, NOW).contains(&Effect::LoadOutbox));
    app.update(Msg::Waiting(Ok(waiting(1))), NOW);
    let effects = press(&mut app, "enter");
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::LoadPage { page: Page::Around { .. }, .. })),
        "{effects:?}"
    );
    press(&mut app, "esc esc o");
    app.update(Msg::Waiting(Ok(Outbox::default())), NOW);
    assert!(picture(&app).contains("Nothing waits"));
    assert!(press(&mut app, "R").is_empty());
}

#[test]
fn a_mouse_opens_menus_and_takes_their_entries() {
    let mut app = app(Profile::Vim, (80, 24));
    click(&mut app, MouseButton::Right, "tess");
    assert_eq!(app.chats.selected(), Some("tess"));
    assert!(click(&mut app, MouseButton::Left, "Accept").contains(&Effect::Accept { chat: "tess".to_owned() }));
    click(&mut app, MouseButton::Right, "benjamin");
    click(&mut app, MouseButton::Left, "Block");
    click(&mut app, MouseButton::Left, "Their messages");
    assert_eq!(app.overlays.len(), 1, "a click on a text is none");
    click(&mut app, MouseButton::Left, "  Block ");
    assert!(app.overlays.is_empty());
}
