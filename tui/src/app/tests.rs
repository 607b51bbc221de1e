//! What the interface does, without a terminal: keys and answers in, effects and pictures out.

use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{
        Connection, Contact, ContactEvent, ContactState, Event, EventPage, Identity, Invite, InviteParams,
        MessageStatus, OutboxCancelParams, OutboxRetryParams, SendParams, StateEvent, VerifyParams,
    },
};

use super::*;
use crate::{
    ask::{Answer, who},
    fixture::{
        NOW, answer_page, app, app_with, asks, message, pages, picture, press, status, tell, tell_chats, type_in,
        with_ana, with_ana_open,
    },
    keymap::Profile,
};

pub(super) const SIZES: [(u16, u16); 3] = [(120, 40), (80, 24), (50, 20)];

pub(super) fn snapshots(name: &str, make: impl Fn((u16, u16)) -> App) {
    for size in SIZES {
        insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("{name}-{}x{}", size.0, size.1), picture(&make(size)));
        });
    }
}

pub(super) fn events(app: &mut App, events: Vec<Event>) -> Vec<Effect> {
    app.update(Msg::Events(EventPage { events, cursor: 1 }), NOW)
}

pub(super) fn up_to(id: &str) -> UpTo {
    UpTo { chat: "ana".to_owned(), id: id.to_owned() }
}

fn tell_read(app: &mut App, done: subrosa_client_core::api::Done) -> Vec<Effect> {
    tell(app, Answer::Read(up_to(""), Ok(done)))
}

fn incoming(chat: &str, n: u64, body: &str) -> Event {
    let mut message = message(chat, n, 0, false, body);
    message.unread = Some(true);
    Event::Message(message)
}

#[test]
fn pictures_of_the_list() {
    snapshots("list", |size| app(Profile::Vim, size));
}

#[test]
fn pictures_of_a_chat() {
    snapshots("chat", |size| with_ana_open(Profile::Vim, size));
    snapshots("selecting", |size| {
        let mut app = with_ana_open(Profile::Vim, size);
        press(&mut app, "esc up up");
        app
    });
    snapshots("writing", |size| {
        let mut app = with_ana_open(Profile::Plain, size);
        type_in(&mut app, "A longer text that is wrapped, with a second line:");
        press(&mut app, "alt+enter");
        type_in(&mut app, "here it is.");
        app
    });
}

/// What Ana wrote, one of it put in above our answers a minute ago.
fn with_late() -> Vec<subrosa_client_core::api::Message> {
    let mut messages = with_ana();
    messages[2].late = true;
    messages[2].arrived_ms = Some(NOW - 60_000);
    messages[2].unread = Some(true);
    messages[6..].iter_mut().for_each(|message| message.unread = Some(false));
    messages[7].arrived_ms = Some(NOW - 120_000);
    messages
}

fn reads(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Ask(Call::Read(upto)) => Some(upto.id.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn pictures_of_a_message_that_came_later_than_its_place_tells() {
    snapshots("late", |size| {
        let mut app = app(Profile::Vim, size);
        let effects = press(&mut app, "enter");
        answer_page(&mut app, &effects, &with_late());
        app
    });
}

#[test]
fn what_is_put_in_above_is_read_when_it_is_in_view_and_next_unread_goes_there() {
    let mut app = app(Profile::Vim, (50, 12));
    let effects = press(&mut app, "enter");
    let mut page = with_ana();
    page.iter_mut().filter(|message| !message.outgoing).for_each(|message| message.unread = Some(false));
    answer_page(&mut app, &effects, &page);
    assert!(app.watched());
    // It comes while somebody looks at the end, and stands far above it.
    let mut late = page[0].clone();
    late.id = format!("{:032x}", 77);
    late.body = "Do you take over the debt?".to_owned();
    (late.late, late.arrived_ms, late.unread) = (true, Some(NOW), Some(true));
    let effects = events(&mut app, vec![Event::Message(late.clone())]);
    page.insert(1, late.clone());
    let effects = answer_page(&mut app, &effects, &page);
    assert!(reads(&effects).is_empty(), "nobody has seen it: {effects:?}");
    assert!(picture(&app).contains("Further up a message arrived: Alt+u"), "{}", picture(&app));
    assert_eq!(app.open.as_ref().unwrap().below, 0, "it is not below");
    // Newer ones are read without it.
    let mut newer = message("ana", 78, 0, false, "newer");
    newer.unread = Some(true);
    let effects = events(&mut app, vec![Event::Message(newer.clone())]);
    page.push(newer.clone());
    let effects = answer_page(&mut app, &effects, &page);
    assert_eq!(reads(&effects), [newer.id.as_str()]);
    let done = subrosa_client_core::api::Done { count: 1, ..Default::default() };
    let effects = tell_read(&mut app, done.clone());
    assert!(asks(&effects, Call::all_chats()), "the engine knows what is left");
    assert_eq!(app.open.as_ref().unwrap().unread_late(), Some(late.id.as_str()));
    let effects = press(&mut app, "alt+u");
    assert!(picture(&app).contains("Do you take over the debt?"), "{}", picture(&app));
    assert_eq!(reads(&effects), [late.id.as_str()]);
    tell_read(&mut app, done);
    assert_eq!(app.open.as_ref().unwrap().unread_late(), None);
}

#[test]
fn next_unread_loads_what_was_put_in_far_above() {
    let mut app = app(Profile::Vim, (80, 24));
    let effects = press(&mut app, "enter");
    let mut page = with_ana();
    page.iter_mut().filter(|message| !message.outgoing).for_each(|message| message.unread = Some(false));
    answer_page(&mut app, &effects, &page);
    tell_read(&mut app, subrosa_client_core::api::Done { count: 3, ..Default::default() });
    let mut late = message("ana", 99, 60_000, false, "far above");
    (late.late, late.arrived_ms, late.unread) = (true, Some(NOW), Some(true));
    let effects = events(&mut app, vec![Event::Message(late.clone())]);
    answer_page(&mut app, &effects, &page);
    let effects = press(&mut app, "alt+u");
    let around = |asked: &crate::ask::PageOf| matches!(&asked.page, Page::Around { id, .. } if *id == late.id);
    assert!(pages(&effects).iter().any(around), "{effects:?}");
}

#[test]
fn pictures_of_what_lies_over_the_screen() {
    snapshots("help", |size| {
        let mut app = with_ana_open(Profile::Vim, size);
        press(&mut app, "f1");
        app
    });
    snapshots("palette", |size| {
        let mut app = with_ana_open(Profile::Vim, size);
        press(&mut app, "ctrl+k");
        type_in(&mut app, "an");
        app
    });
    snapshots("invite", |size| {
        let mut app = app(Profile::Vim, size);
        press(&mut app, "i enter");
        let link = "https://relay.example.org/i#AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01234567"
            .to_owned();
        let invite = Invite { link, expires_ms: NOW + 7 * 24 * 3_600_000 };
        tell(&mut app, Answer::Invite(InviteParams::default(), Ok(invite)));
        app
    });
    snapshots("request", |size| {
        let mut app = app(Profile::Vim, size);
        let effects = press(&mut app, "down enter");
        answer_page(&mut app, &effects, &[message("tess", 20, 9, false, "Hi, I am Tess. Maria gave me your name.")]);
        app
    });
}

#[test]
fn pictures_without_colour_and_unicode() {
    snapshots("ascii", |size| {
        let mut app = app_with(&TuiConfig::default(), size, false, false);
        let effects = press(&mut app, "enter");
        answer_page(&mut app, &effects, &with_ana());
        app
    });
}

#[test]
fn without_colour_and_unicode_read_and_delivered_still_differ() {
    for (unicode, delivered, read) in [(true, " ✓✓", " ✓✓*"), (false, " ++", " ++*")] {
        let mut app = app_with(&TuiConfig::default(), (120, 40), false, unicode);
        let effects = press(&mut app, "enter");
        answer_page(&mut app, &effects, &with_ana());
        let shown = picture(&app);
        let ends = |body: &str, sign: &str| shown.lines().any(|row| row.contains(body) && row.ends_with(sign));
        assert!(ends("Pull now, please.", read) && ends("says", delivered), "{shown}");
    }
}

#[test]
fn somebody_new_sees_what_to_do() {
    snapshots("nobody", |size| {
        let mut app = app(Profile::Vim, size);
        tell_chats(&mut app, Vec::new());
        app
    });
}

#[test]
fn a_text_is_shown_at_once_and_sent_with_its_id() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    type_in(&mut app, "on my way?");
    let effects = press(&mut app, "enter");
    let id = format!("{:032x}", 0x1001);
    let text = SendParams {
        to: "ana".to_owned(),
        body: "on my way?".to_owned(),
        id: Some(id.clone()),
        ..SendParams::default()
    };
    assert!(asks(&effects, Call::Send(text)));
    assert!(picture(&app).contains("on my way?") && picture(&app).contains('◷'));
    let state = |status| {
        Event::State(StateEvent {
            cursor: None,
            id: id.clone(),
            chat: "ana".to_owned(),
            status,
            ts_ms: NOW,
            error: None,
        })
    };
    events(&mut app, vec![state(MessageStatus::Queued), state(MessageStatus::Sent)]);
    assert_eq!(app.open.as_ref().unwrap().entry(&id).unwrap().status, Some(MessageStatus::Sent));
    assert!(press(&mut app, "enter").is_empty(), "nothing is written");
}

#[test]
fn a_message_that_waits_is_tried_now_or_taken_back() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    type_in(&mut app, "later?");
    press(&mut app, "enter");
    let id = format!("{:032x}", 0x1001);
    press(&mut app, "esc");
    let (retry, back) = (OutboxRetryParams { id: Some(id.clone()) }, OutboxCancelParams { id: id.clone() });
    assert_eq!(press(&mut app, "R X"), [], "a letter alone does nothing that is sent or taken back");
    app.update(Msg::Due, NOW + 60_000);
    assert_eq!(press(&mut app, "ctrl+r"), [Effect::Ask(Call::Retry(retry))]);
    assert_eq!(press(&mut app, "ctrl+x"), [Effect::Ask(Call::TakeBack(back.clone()))]);
    tell(&mut app, Answer::TakeBack(back, Ok(subrosa_client_core::api::Done::default())));
    assert!(picture(&app).contains("taken back"), "{}", picture(&app));
    let sent = StateEvent {
        cursor: None,
        id: id.clone(),
        chat: "ana".to_owned(),
        status: MessageStatus::Sent,
        ts_ms: NOW,
        error: None,
    };
    events(&mut app, vec![Event::State(sent)]);
    assert!(press(&mut app, "ctrl+x").is_empty(), "a relay has it");
}

#[test]
fn what_the_engine_refuses_is_shown_as_failed_with_the_reason() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    type_in(&mut app, "x");
    let sent = |effect| match effect {
        Effect::Ask(Call::Send(text)) => Some(text),
        _ => None,
    };
    let text = press(&mut app, "enter").into_iter().find_map(sent).expect("was not sent");
    tell(&mut app, Answer::Send(text, Err(ApiError::new(ErrorKind::Failed, "the outbox is full"))));
    assert!(picture(&app).contains("! failed: the outbox is full"), "{}", picture(&app));
}

#[test]
fn pasted_lines_go_to_the_text_and_never_send() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    let effects = app.update(Msg::Paste("one\r\ntwo\n\x1b[31m".to_owned()), NOW);
    assert!(effects.is_empty());
    assert_eq!(app.editor().unwrap().text(), "one\ntwo\n[31m");
}

#[test]
fn a_draft_stays_with_its_chat() {
    let mut app = with_ana_open(Profile::Vim, (120, 40));
    type_in(&mut app, "half a thought");
    press(&mut app, "alt+down");
    assert!(picture(&app).contains("half a thought"), "the list shows it: {}", picture(&app));
    press(&mut app, "alt+up");
    assert_eq!(app.editor().unwrap().text(), "half a thought");
}

#[test]
fn read_receipts_need_an_open_chat_the_keyboard_and_the_end_in_view() {
    let read = |effects: &[Effect]| !reads(effects).is_empty();
    let mut app = app(Profile::Vim, (80, 24));
    assert!(!read(&events(&mut app, vec![incoming("ana", 99, "not open")])));
    app.update(Msg::Focus(false), NOW);
    let effects = press(&mut app, "enter");
    let mut page = with_ana();
    assert!(!read(&answer_page(&mut app, &effects, &page)), "nobody looks");
    let effects = app.update(Msg::Focus(true), NOW);
    assert!(asks(&effects, Call::Read(up_to(&page[8].id))), "{effects:?}");
    tell_read(&mut app, Default::default());
    assert_eq!(app.chats.get("ana").unwrap().unread, 0);

    press(&mut app, "pgup");
    let mut newer = message("ana", 10, 0, false, "newer");
    newer.unread = Some(true);
    page.push(newer.clone());
    let effects = events(&mut app, vec![Event::Message(newer)]);
    assert!(!read(&answer_page(&mut app, &effects, &page)), "the end is not in view");
    assert!(picture(&app).contains("↓ 1 new below"), "{}", picture(&app));
    assert!(read(&press(&mut app, "esc G")), "now it is");
}

#[test]
fn nobody_is_notified_of_what_is_looked_at_or_of_strangers() {
    let notified = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Notify { .. }));
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    assert!(!notified(&events(&mut app, vec![incoming("ana", 50, "seen")])));
    assert!(!notified(&events(&mut app, vec![incoming("tess", 51, "a request")])));
    assert!(notified(&events(&mut app, vec![incoming("דניאל", 52, "elsewhere")])));
    app.update(Msg::Focus(false), NOW);
    let effects = events(&mut app, vec![incoming("ana", 53, "secret")]);
    assert!(notified(&effects));
    assert!(!format!("{effects:?}").contains("secret"), "only who wrote, unless it is wanted");
}

#[test]
fn leaving_takes_two_presses_in_time() {
    let mut app = app(Profile::Vim, (80, 24));
    assert!(!press(&mut app, "ctrl+c").contains(&Effect::Quit));
    assert!(picture(&app).contains("Press ^C again to leave"));
    assert_eq!(app.due_ms(), Some(NOW + TWICE_MS));
    app.update(Msg::Due, NOW + TWICE_MS + 1);
    assert!(!picture(&app).contains("again"));
    let key =
        crossterm::event::KeyEvent::new(crossterm::event::KeyCode::Char('c'), crossterm::event::KeyModifiers::CONTROL);
    assert!(!app.update(Msg::Key(key), NOW + TWICE_MS + 1).contains(&Effect::Quit));
    assert!(app.update(Msg::Key(key), NOW + TWICE_MS + 2).contains(&Effect::Quit));
}

#[test]
fn the_connection_is_told_as_it_is() {
    let mut app = app(Profile::Vim, (120, 40));
    app.update(Msg::Connection(status(Connection::Offline, 2)), NOW);
    let shown = picture(&app);
    assert!(shown.contains("○ offline") && shown.contains("outbox 2"), "{shown}");
    app.update(Msg::EventsEnded(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")), NOW);
    assert!(picture(&app).contains("! the engine has stopped"));
}

#[test]
fn a_request_is_accepted_before_one_writes() {
    let mut app = app(Profile::Vim, (80, 24));
    let effects = press(&mut app, "down enter");
    answer_page(&mut app, &effects, &[message("tess", 20, 9, false, "Hi")]);
    app.update(Msg::Paste("too early".to_owned()), NOW);
    assert!(app.editor().is_none_or(Editor::is_empty));
    let mut app = crate::fixture::app(Profile::Vim, (80, 24));
    press(&mut app, "down enter");
    assert!(press(&mut app, "a enter").is_empty(), "it is asked first, and not accepting is selected");
    assert!(asks(&press(&mut app, "a down enter"), Call::Accept(who("tess"))));
    events(&mut app, vec![Event::Contact(ContactEvent { cursor: None, contact: contact("tess") })]);
    type_in(&mut app, "hello");
    assert_eq!(app.editor().unwrap().text(), "hello");
}

pub(super) fn contact(name: &str) -> Contact {
    Contact {
        id: name.to_owned(),
        chat: name.to_owned(),
        name: name.to_owned(),
        handle: name.to_owned(),
        looks_like: None,
        state: ContactState::Ok,
        verified: false,
        origin: "by handle".to_owned(),
        relay: "https://relay.example.org/".to_owned(),
        devices: 1,
        last_seen_ms: None,
        since_ms: NOW,
    }
}

#[test]
fn a_safety_number_is_compared_step_by_step() {
    let mut app = with_ana_open(Profile::Vim, (120, 40));
    assert!(asks(&press(&mut app, "esc c"), Call::Contact(who("ana"))));
    tell(&mut app, Answer::Contact(who("ana"), Ok(contact("ana"))));
    let verify = |number: Option<&str>| VerifyParams { who: "ana".to_owned(), number: number.map(str::to_owned) };
    assert!(asks(&press(&mut app, "v"), Call::Verify(verify(None))));
    let identity = |verified| Identity {
        id: "ana".to_owned(),
        name: "ana".to_owned(),
        safety_number: ["12345"; 12].join(" "),
        safety_qr: "00ff".to_owned(),
        verified,
        changed_ms: None,
    };
    tell(&mut app, Answer::Verify(verify(None), Ok(identity(false))));
    assert!(picture(&app).contains("not verified yet"));
    press(&mut app, "enter");
    type_in(&mut app, "123");
    assert!(asks(&press(&mut app, "enter"), Call::Verify(verify(Some("123")))));
    let wrong = ApiError::new(ErrorKind::IdentityChanged, "the numbers differ");
    tell(&mut app, Answer::Verify(verify(Some("123")), Err(wrong)));
    assert!(picture(&app).contains("the numbers differ"));
    press(&mut app, "enter");
    tell(&mut app, Answer::Verify(verify(Some("123")), Ok(identity(true))));
    assert!(picture(&app).contains("✔ verified"));
}

#[test]
fn questions_to_the_engine_are_not_asked_twice_at_once() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    let pages = |effects: &[Effect]| pages(effects).len();
    let first = events(&mut app, vec![incoming("ana", 60, "a")]);
    assert_eq!(pages(&first), 1);
    assert_eq!(pages(&events(&mut app, vec![incoming("ana", 61, "b"), incoming("ana", 62, "c")])), 0);
    assert_eq!(pages(&answer_page(&mut app, &first, &with_ana())), 1, "what came meanwhile is asked for once");
}

#[test]
fn a_message_is_quoted_copied_and_forwarded() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    assert!(press(&mut app, "esc y").contains(&Effect::Copy("Thank you!".to_owned())));
    press(&mut app, "q");
    assert_eq!(app.editor().unwrap().text(), "> Thank you!\n");
    press(&mut app, "esc enter f");
    type_in(&mut app, "benja");
    press(&mut app, "enter");
    assert!(picture(&app).contains("Forward to benjamin"), "{}", picture(&app));
    let effects = press(&mut app, "down enter");
    let forwarded = |effect: &Effect| {
        matches!(effect, Effect::Ask(Call::Send(text))
            if text.to.starts_with("benjamin") && text.body == "Thank you!" && text.forwarded)
    };
    assert!(effects.iter().any(forwarded), "{effects:?}");
}

#[test]
fn a_reply_names_what_it_answers_and_can_be_given_up() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    press(&mut app, "esc r");
    assert!(picture(&app).contains("↪ ana: Thank you!"), "{}", picture(&app));
    type_in(&mut app, "welcome");
    let effects = press(&mut app, "enter");
    let answered = format!("{:032x}", 9);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask(Call::Send(text)) if text.reply_to.as_ref() == Some(&answered))),
        "{effects:?}"
    );
    assert!(picture(&app).contains("▎ ana: Thank you!") && !picture(&app).contains('↪'));
    press(&mut app, "esc Q");
    assert_eq!(app.open.as_ref().unwrap().selected().unwrap().id, answered);
    press(&mut app, "r esc");
    assert!(app.reply.is_none() && app.focus == Focus::Write, "the first step back gives the reply up");
}
