//! Tests of an open conversation.

use jiff::tz::TimeZone;
use subrosa_client_core::api::{ChatKind, MissingState, Person};

use super::*;

fn clock() -> Clock {
    Clock { now_ms: 1_795_521_600_000, zone: TimeZone::UTC }
}

fn message(n: u64, outgoing: bool, unread: bool) -> Message {
    Message {
        cursor: None,
        id: format!("{n:032x}"),
        chat: "c".to_owned(),
        chat_kind: ChatKind::Direct,
        from: Person { id: if outgoing { "me" } else { "c" }.to_owned(), name: "ana".to_owned() },
        outgoing,
        ts_ms: 1_795_521_600_000 + n * 1_000,
        body: format!("number {n}"),
        status: outgoing.then_some(MessageStatus::Queued),
        unread: (!outgoing).then_some(unread),
        ..Message::default()
    }
}

fn messages(range: std::ops::Range<u64>) -> Vec<Message> {
    range.map(|n| message(n, n % 2 == 0, false)).collect()
}

fn open(messages: &[Message]) -> Conversation {
    let mut conversation = Conversation::new("c", "ana", ContactState::Ok);
    conversation.newest(messages, PAGE, true, &clock());
    conversation.lay_out(80, 10);
    conversation
}

fn ids(conversation: &Conversation) -> Vec<u64> {
    conversation.entries().iter().map(|entry| u64::from_str_radix(&entry.id, 16).unwrap()).collect()
}

#[test]
fn newer_pages_continue_what_is_loaded_and_statuses_do_not_go_back() {
    let mut conversation = open(&messages(0..30));
    conversation.set_status(&message(28, true, false).id, MessageStatus::Read, None);
    let page = messages(20..33);
    conversation.newest(&page, 13, true, &clock());
    assert_eq!(ids(&conversation), (0..33).collect::<Vec<_>>());
    assert_eq!(conversation.entry(&page[8].id).unwrap().status, Some(MessageStatus::Read));
    assert_eq!(conversation.older, Edge::End, "the first page was complete");
}

#[test]
fn after_a_gap_only_the_new_page_is_shown() {
    let mut conversation = open(&messages(0..10));
    assert!(!conversation.newest(&messages(50..60), 10, true, &clock()), "more is wanted first");
    assert_eq!(ids(&conversation), (0..10).collect::<Vec<_>>());
    assert!(conversation.newest(&messages(50..1050), MAX_HISTORY_PAGE, true, &clock()));
    assert_eq!(ids(&conversation), (50..1050).collect::<Vec<_>>());
    assert_eq!(conversation.older, Edge::More);
}

#[test]
fn our_own_message_is_there_at_once_and_only_once() {
    let mut conversation = open(&messages(0..4));
    conversation.push_own(&message(4, true, false), &clock());
    conversation.newest(&messages(0..4), PAGE, true, &clock());
    assert_eq!(ids(&conversation), [0, 1, 2, 3, 4], "an answer from before does not remove it");
    let mut page = messages(0..4);
    page.extend([message(5, false, false), message(4, true, false)]);
    conversation.newest(&page, PAGE, true, &clock());
    assert_eq!(ids(&conversation), [0, 1, 2, 3, 5, 4], "the engine's order counts");
}

#[test]
fn a_chat_opens_at_its_first_unread_message_and_the_line_stays_there() {
    let mut page = messages(0..40);
    page.extend((40..60).map(|n| message(n, false, true)));
    let mut conversation = open(&page);
    assert!(!conversation.at_end());
    let (first, _, last) = conversation.visible().unwrap();
    assert!(first < 40 && last > 40 && last < 59, "{first} {last}");
    assert_eq!(conversation.new_line(), Some((page[40].id.as_str(), 20)));
    page.push(message(60, false, true));
    conversation.newest(&page, PAGE, false, &clock());
    conversation.lay_out(80, 10);
    assert_eq!(conversation.new_line(), Some((page[40].id.as_str(), 21)));
    assert_eq!(conversation.below, 1);
    conversation.go_to_end();
    conversation.set_read();
    page.iter_mut().filter(|message| !message.outgoing).for_each(|message| message.unread = Some(false));
    assert_eq!((conversation.below, conversation.last_unread()), (0, None));
    page.push(message(61, false, true));
    conversation.newest(&page, PAGE, false, &clock());
    assert_eq!(conversation.new_line(), Some((page[61].id.as_str(), 1)), "all before it was read");
}

#[test]
fn watched_messages_get_no_line() {
    let mut conversation = open(&messages(0..4));
    let mut page = messages(0..4);
    page.push(message(4, false, true));
    conversation.newest(&page, PAGE, true, &clock());
    assert_eq!(conversation.new_line(), None);
    assert_eq!(conversation.last_unread(), Some(page[4].id.as_str()));
}

#[test]
fn what_is_read_stays_where_it_is_when_older_and_newer_messages_come() {
    let mut conversation = open(&messages(100..200));
    conversation.scroll(-40);
    let (at, row, _) = conversation.visible().unwrap();
    let id = conversation.entries()[at].id.clone();
    for step in 0..3 {
        match step {
            0 => conversation.before(&conversation.entries()[0].id.clone(), &messages(0..100), false, &clock()),
            1 => assert!(conversation.newest(&messages(150..210), 60, false, &clock())),
            _ => conversation.lay_out(90, 14),
        }
        conversation.lay_out(if step == 2 { 90 } else { 80 }, if step == 2 { 14 } else { 10 });
        let (now, now_row, _) = conversation.visible().unwrap();
        assert_eq!((&conversation.entries()[now].id, now_row), (&id, row), "step {step}");
    }
    assert_eq!(conversation.below, 5);
}

#[test]
fn older_messages_are_asked_for_once_and_only_near_the_beginning() {
    let mut conversation = open(&messages(100..200));
    assert_eq!(conversation.ask_older(), None);
    conversation.go_to_begin();
    assert_eq!(conversation.ask_older(), Some(message(100, true, false).id));
    assert_eq!(conversation.ask_older(), None, "it is being loaded");
    let first = conversation.entries()[0].id.clone();
    conversation.before(&first, &messages(90..100), false, &clock());
    assert_eq!((conversation.older, conversation.ask_older()), (Edge::End, None));
}

#[test]
fn a_message_higher_than_the_view_is_scrolled_through() {
    let mut page = messages(0..3);
    page[1].body = "word ".repeat(200);
    let mut conversation = open(&page);
    conversation.begin_selecting();
    assert_eq!(conversation.selected().unwrap().id, page[2].id);
    conversation.select_beside(true);
    assert_eq!(conversation.selected().unwrap().id, page[1].id);
    let mut steps = 0;
    while conversation.selected().unwrap().id == page[1].id {
        conversation.select_beside(true);
        steps += 1;
        assert!(steps < 10);
    }
    assert!(steps > 1);
    assert_eq!((conversation.selected().unwrap().id.as_str(), conversation.top()), (page[0].id.as_str(), 0));
}

#[test]
fn groups_days_and_minutes_are_marked() {
    let day = 24 * 3600 * 1_000;
    let mut page = vec![message(0, false, false), message(1, false, false), message(2, true, false)];
    page[0].ts_ms -= day;
    let conversation = open(&page);
    let marks: Vec<_> = conversation.entries().iter().map(|e| (e.first_of_day, e.first_of_group)).collect();
    assert_eq!(marks, [(true, true), (true, true), (false, true)]);
}

#[test]
fn the_line_of_a_missing_span_stands_where_what_was_missing_comes_to_stand() {
    let place = |conversation: &Conversation| {
        let entries = conversation.entries();
        let before = entries.iter().position(|entry| entry.missing.is_some());
        (before, entries.iter().position(|entry| entry.missing_after.is_some()))
    };
    let missing = |n: u64, came, state| {
        let from_ms = message(n, false, false).ts_ms + 500;
        vec![Missing { chat: "c".to_owned(), from_ms, to_ms: from_ms + 60_000, came, gone: 0, state }]
    };
    let mut conversation = open(&messages(0..4));
    let total = conversation.total();
    conversation.set_missing(&missing(3, 0, MissingState::Asked), &clock());
    assert_eq!(place(&conversation), (None, Some(3)), "nothing has come yet");
    conversation.lay_out(80, 10);
    assert_eq!(conversation.total(), total + 1, "one row");
    conversation.newest(&messages(0..8), PAGE, true, &clock());
    conversation.set_missing(&missing(3, 4, MissingState::Answered), &clock());
    assert_eq!(place(&conversation), (Some(4), None));
    assert!(conversation.entries()[4].missing.as_deref().unwrap().starts_with("4 messages came again ("));
    conversation.set_missing(&[], &clock());
    assert_eq!(place(&conversation), (None, None));
    // Further up than what is loaded.
    let mut long = open(&messages(0..100));
    long.older = Edge::More;
    long.entries.drain(..50);
    long.set_missing(&missing(3, 4, MissingState::Answered), &clock());
    assert_eq!(place(&long), (None, None));
}
