//! What is done with chats and contacts, from every way that leads to it.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{
        Chat, ChatEvent, ChatSetParams, Connection, Contact, ContactState, Done, Event, EventPage, History,
        KeepShowParams, Keeping, Outbox, OutboxCancelParams, OutboxEntry, OutboxListParams, OutboxRetryParams,
        RenameParams,
    },
    limits::MUTED_FOR_EVER_MS,
};

use super::{tests::snapshots, *};
use crate::{
    ask::{Answer, who},
    commands::Command,
    fixture::{
        NOW, app, asks, chats, message, pages, picture, point, press, status, tell, tell_chats, type_in, with_ana,
        with_ana_open,
    },
    keymap::Profile,
};

const HOUR: u64 = 3_600_000;

fn ana() -> Chat {
    chats().remove(0)
}

fn contact(name: &str, state: ContactState) -> Contact {
    Contact {
        id: "ana".to_owned(),
        chat: "ana".to_owned(),
        name: name.to_owned(),
        state,
        ..super::tests::contact(name)
    }
}

fn set(muted_until_ms: Option<u64>, pinned: Option<bool>, archived: Option<bool>) -> Effect {
    Effect::Ask(Call::SetChat(ChatSetParams {
        chat: "ana".to_owned(),
        muted_until_ms,
        pinned,
        archived,
        ..ChatSetParams::default()
    }))
}

/// Answers what was asked for with the chat as it is then.
fn answer(app: &mut App, asked: Effect, change: impl FnOnce(&mut Chat)) -> Vec<Effect> {
    let Effect::Ask(Call::SetChat(asked)) = asked else { panic!("{asked:?}") };
    let mut chat = ana();
    change(&mut chat);
    tell(app, Answer::SetChat(asked, Ok(chat)))
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
    point(app, &event)
}

fn tell_outbox(app: &mut App, outbox: Outbox) -> Vec<Effect> {
    tell(app, Answer::Outbox(OutboxListParams::default(), Ok(outbox)))
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
        let until = Some(NOW + 8 * HOUR);
        answer(&mut app, set(until, None, None), |chat| chat.muted_until_ms = until);
        press(&mut app, "esc c");
        tell(&mut app, Answer::Contact(who("ana"), Ok(contact("ana", ContactState::Ok))));
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
        tell_outbox(&mut app, waiting(12));
        press(&mut app, "down");
        app
    });
    snapshots("archive", |size| {
        let mut app = app(Profile::Vim, size);
        let mut chats = chats();
        for chat in &mut chats[2..] {
            chat.archived = true;
        }
        tell_chats(&mut app, chats);
        app
    });
}

#[test]
fn how_long_messages_are_kept_is_set_in_the_menu_and_asks_before_any_is_deleted() {
    let mut app = app(Profile::Vim, (80, 24));
    let shown = |keep: &str| KeepShowParams { chat: Some("ana".to_owned()), keep: Some(keep.to_owned()) };
    let set = |keep: &str, agreed| {
        let keep = Some(keep.to_owned());
        Call::SetChat(ChatSetParams { chat: "ana".to_owned(), keep, agreed, ..ChatSetParams::default() })
    };
    let goes = |goes| Ok(Keeping { goes, ..Keeping::default() });
    app.run(Command::Keep);
    assert!(matches!(app.overlays.last(), Some(Overlay::Menu(menu)) if menu.title == "Keep messages of ana"));
    let effects = press(&mut app, "enter");
    assert!(asks(&effects, Call::KeepShow(shown("30d"))), "{effects:?}");
    // Nothing is that old: it is set.
    let effects = tell(&mut app, Answer::KeepShow(shown("30d"), goes(0)));
    assert!(asks(&effects, set("30d", false)), "{effects:?}");

    app.run(Command::KeepYear);
    let effects = tell(&mut app, Answer::KeepShow(shown("1y"), goes(12)));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ask(Call::SetChat(_)))), "{effects:?}");
    let screen = picture(&app);
    assert!(screen.contains("Delete 12 messages?") && screen.contains("12 messages with ana"), "{screen}");
    press(&mut app, "esc");
    assert!(app.overlays.is_empty());
    tell(&mut app, Answer::KeepShow(shown("1y"), goes(12)));
    let effects = press(&mut app, "down enter");
    assert!(asks(&effects, set("1y", true)), "{effects:?}");
    let mut chat = chats().remove(0);
    chat.keep = Some("1y".to_owned());
    let Call::SetChat(asked) = set("1y", true) else { unreachable!() };
    tell(&mut app, Answer::SetChat(asked, Ok(chat)));
    let screen = picture(&app);
    assert!(screen.contains("messages are kept for 1y"), "{screen}");
    press(&mut app, "c");
    tell(&mut app, Answer::Contact(who("ana"), Ok(contact("ana", ContactState::Ok))));
    let screen = picture(&app);
    assert!(screen.contains("kept for 1y"), "{screen}");
}

#[test]
fn what_was_deleted_leaves_the_open_chat_and_nothing_else_moves() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    let ids = |app: &App| {
        let entries = app.open.as_ref().unwrap().entries();
        entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>()
    };
    let before = ids(&app);
    let deleted = |chat: &str| {
        let chat = chats().into_iter().find(|known| known.id == chat).unwrap();
        Event::Chat(ChatEvent { cursor: None, chat, deleted: true })
    };
    let other = app.update(Msg::Events(EventPage { events: vec![deleted("tess")], cursor: 1 }), NOW);
    assert!(pages(&other).is_empty() && asks(&other, Call::all_chats()), "{other:?}");
    let effects = app.update(Msg::Events(EventPage { events: vec![deleted("ana")], cursor: 2 }), NOW);
    let asked = pages(&effects).remove(0);
    assert!(matches!(asked.page, Page::StillThere { .. }), "{asked:?}");
    // The first is gone, and the answer was given before the last came.
    let messages = with_ana();
    let there = messages[1..messages.len() - 1].to_vec();
    tell(&mut app, Answer::History(asked.clone(), Ok(History { messages: there, ..History::default() })));
    assert_eq!(ids(&app), before[1..]);
    // None of what is loaded is there any more: it is loaded anew.
    app.update(Msg::Events(EventPage { events: vec![deleted("ana")], cursor: 3 }), NOW);
    let effects = tell(&mut app, Answer::History(asked, Ok(History::default())));
    assert!(pages(&effects).iter().any(|asked| matches!(asked.page, Page::Newest { .. })), "{effects:?}");
    assert!(ids(&app).is_empty());
}

#[test]
fn a_chat_is_muted_for_as_long_as_one_wants_and_the_same_key_ends_it() {
    let mut app = app(Profile::Vim, (80, 24));
    let (week, night) = (Some(NOW + 7 * 24 * HOUR), Some(NOW + 8 * HOUR));
    press(&mut app, "alt+m down");
    assert!(press(&mut app, "enter").contains(&set(week, None, None)));
    press(&mut app, "alt+m");
    assert!(press(&mut app, "enter").contains(&set(night, None, None)));
    answer(&mut app, set(night, None, None), |chat| chat.muted_until_ms = night);
    assert!(
        picture(&app).contains("ana: muted until ") && picture(&app).contains("u takes back: "),
        "{}",
        picture(&app)
    );
    assert!(press(&mut app, "alt+m").contains(&set(Some(0), None, None)));
    answer(&mut app, set(Some(0), None, None), |_| {});
    press(&mut app, "ctrl+k");
    type_in(&mut app, "mute-always");
    assert!(press(&mut app, "enter").contains(&set(Some(MUTED_FOR_EVER_MS), None, None)));
}

#[test]
fn a_chat_is_pinned_and_no_longer() {
    let mut app = app(Profile::Vim, (80, 24));
    let pinned = set(None, Some(true), None);
    assert!(press(&mut app, "alt+t").contains(&pinned));
    let effects = answer(&mut app, pinned, |chat| chat.pinned = true);
    assert!(asks(&effects, Call::all_chats()), "the order is another one");
    let mut all = chats();
    all[0].pinned = true;
    tell_chats(&mut app, all);
    assert!(press(&mut app, "alt+t").contains(&set(None, Some(false), None)));
}

#[test]
fn the_archive_is_a_list_of_its_own_and_what_is_written_there_brings_a_chat_back() {
    let mut app = app(Profile::Vim, (80, 24));
    let archived = set(None, None, Some(true));
    assert!(press(&mut app, "alt+e").contains(&archived));
    assert!(asks(&answer(&mut app, archived, |chat| chat.archived = true), Call::all_chats()));
    let mut all = chats();
    all[0].archived = true;
    tell_chats(&mut app, all.clone());
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
    assert!(asks(&effects, Call::all_chats()));
    all[0].archived = false;
    tell_chats(&mut app, all);
    assert!(picture(&app).contains(" Chats") && picture(&app).contains("benjamin"), "an empty archive is left");
}

#[test]
fn back_leads_from_the_archive_to_the_chats() {
    let mut app = app(Profile::Plain, (80, 24));
    let mut all = chats();
    all[1].archived = true;
    tell_chats(&mut app, all);
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
    assert!(asks(&press(&mut app, "enter"), Call::Block(who("ana"))));
    tell(&mut app, Answer::Block(who("ana"), Ok(contact("ana", ContactState::Blocked))));
    assert!(picture(&app).contains("u takes back: ana is blocked"), "{}", picture(&app));
    press(&mut app, "m");
    assert!(picture(&app).contains("Unblock"), "{}", picture(&app));
    press(&mut app, "esc B");
    assert!(picture(&app).contains("Take the block of ana back?"), "{}", picture(&app));
    assert!(asks(&press(&mut app, "down enter"), Call::Unblock(who("ana"))));
}

#[test]
fn another_name_is_taken_by_the_engine_or_refused_with_its_reason() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    press(&mut app, "ctrl+k");
    type_in(&mut app, "rename");
    press(&mut app, "enter ctrl+u");
    type_in(&mut app, "Ana L.");
    let asked = RenameParams { who: "ana".to_owned(), name: "Ana L.".to_owned() };
    let rename = Call::Rename(asked.clone());
    assert!(asks(&press(&mut app, "enter"), rename.clone()));
    assert!(press(&mut app, "enter").is_empty(), "asked once");
    let error = ApiError::new(ErrorKind::Usage, "another contact has this name");
    tell(&mut app, Answer::Rename(asked.clone(), Err(error)));
    assert!(picture(&app).contains("another contact has this name") && picture(&app).contains("> Ana L."));
    assert!(asks(&press(&mut app, "enter"), rename), "and asked again");
    tell(&mut app, Answer::Rename(asked, Ok(contact("Ana L.", ContactState::Ok))));
    assert!(picture(&app).contains("Shown as Ana L. from now on") && app.overlays.is_empty());
    assert_eq!(app.chats.get("ana").unwrap().name, "Ana L.");
}

#[test]
fn another_name_stands_at_every_message_at_once() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    let asked = RenameParams { who: "ana".to_owned(), name: "Lovelace".to_owned() };
    tell(&mut app, Answer::Rename(asked, Ok(contact("Lovelace", ContactState::Ok))));
    // In the list, in the title, at each of her messages, and in the line that says so.
    assert_eq!(picture(&app).matches("Lovelace").count(), 5, "{}", picture(&app));
    assert!(picture(&app).contains("Shown as Lovelace from now on"));
    assert!(!picture(&app).contains("ana "));
}

#[test]
fn removing_asks_first_and_closes_the_chat() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    type_in(&mut app, "never said");
    press(&mut app, "esc c");
    tell(&mut app, Answer::Contact(who("ana"), Ok(contact("ana", ContactState::Ok))));
    press(&mut app, "m D");
    assert!(picture(&app).contains("Remove ana?"), "{}", picture(&app));
    assert!(asks(&press(&mut app, "down enter"), Call::Remove(who("ana"))));
    let done = Answer::Remove(who("ana"), Ok(Done { id: None, count: 1 }));
    assert!(asks(&tell(&mut app, done), Call::all_chats()));
    assert!(app.open.is_none() && app.overlays.is_empty() && !app.has_draft("ana"));
    assert!(picture(&app).contains("ana is removed, with the conversation"));
}

#[test]
fn what_waits_is_sent_now_taken_back_and_found() {
    let mut app = app(Profile::Vim, (80, 24));
    app.update(Msg::Connection(status(Connection::Offline, 2)), NOW);
    let list = || Call::Outbox(OutboxListParams::default());
    assert!(asks(&click(&mut app, MouseButton::Left, "outbox 2"), list()));
    tell_outbox(&mut app, waiting(2));
    press(&mut app, "down");
    let id = format!("{:032x}", 1);
    assert!(asks(&press(&mut app, "ctrl+r"), Call::Retry(OutboxRetryParams { id: Some(id.clone()) })));
    let back = OutboxCancelParams { id: id.clone() };
    assert!(asks(&press(&mut app, "ctrl+x"), Call::TakeBack(back.clone())));
    assert!(asks(&tell(&mut app, Answer::TakeBack(back, Ok(Done { id: None, count: 1 }))), list()));
    tell_outbox(&mut app, waiting(1));
    let effects = press(&mut app, "enter");
    assert!(pages(&effects).iter().any(|asked| matches!(asked.page, Page::Around { .. })), "{effects:?}");
    press(&mut app, "esc esc o");
    tell_outbox(&mut app, Outbox::default());
    assert!(picture(&app).contains("Nothing waits"));
    assert!(press(&mut app, "ctrl+r").is_empty());
}

#[test]
fn a_mouse_opens_menus_and_takes_their_entries() {
    let mut app = app(Profile::Vim, (80, 24));
    click(&mut app, MouseButton::Right, "tess");
    assert_eq!(app.chats.selected(), Some("tess"));
    click(&mut app, MouseButton::Left, "Accept");
    assert!(asks(&click(&mut app, MouseButton::Left, "  Accept "), Call::Accept(who("tess"))));
    click(&mut app, MouseButton::Right, "benjamin");
    click(&mut app, MouseButton::Left, "Block");
    click(&mut app, MouseButton::Left, "Their messages");
    assert_eq!(app.overlays.len(), 1, "a click on a text is none");
    click(&mut app, MouseButton::Left, "  Block ");
    assert!(app.overlays.is_empty());
}
