//! Tests of the search, of jumps, and of pages in both directions.

use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{Event, History, Hits, Message, SnippetPart},
};

use super::{tests::snapshots, *};
use crate::{
    ask::{Answer, PageOf, Query},
    fixture::{NOW, app, marked, message, pages, picture, press, tell, type_in, with_ana_open},
    keymap::Profile,
};

fn found(chat: &str, n: u64, outgoing: bool, before: &str, word: &str, after: &str) -> Message {
    let part = |text: &str, hit| SnippetPart { text: text.to_owned(), hit };
    Message {
        chat_name: Some(chat.to_owned()),
        snippet: vec![part(before, false), part(word, true), part(after, false)],
        ..message(chat, n, n * 60 * 7, outgoing, &format!("{before}{word}{after}"))
    }
}

fn hits() -> Hits {
    let hits = vec![
        found("ana", 900, false, "… the key of the ", "cellar", " hangs behind the door"),
        found("ana", 500, true, "Is the ", "cellar", " locked?"),
        found(
            "benjamin the very long-winded",
            70,
            false,
            "We met in the ",
            "cellar",
            " of the old library, where 世界 stands on the wall in large letters",
        ),
    ];
    Hits { hits, next: None }
}

fn question(effects: &[Effect]) -> Option<Query> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask(Call::Search(query)) => Some(query.clone()),
        _ => None,
    })
}

/// Searches for `cellar` in Ana's chat, and finds something.
fn searched(size: (u16, u16)) -> App {
    let mut app = with_ana_open(Profile::Vim, size);
    press(&mut app, "ctrl+f");
    type_in(&mut app, "cellar");
    answer(&mut app, "c", hits());
    answer(&mut app, "cellar", hits());
    app
}

fn answer(app: &mut App, words: &str, hits: Hits) -> Vec<Effect> {
    let Some(Overlay::Search(search)) = app.overlays.last() else { panic!("no search") };
    let search = search.asked.clone().unwrap();
    assert_eq!(search.words, words);
    tell(app, Answer::Search(search, Ok(hits)))
}

/// A history of numbered messages: what the engine would answer.
fn history(page: &Page, all: std::ops::Range<u64>) -> History {
    let number = |id: &str| u64::from_str_radix(id, 16).unwrap();
    let (from, to) = match page {
        Page::Newest { limit } | Page::StillThere { limit } => (all.end - u64::from(*limit), all.end),
        Page::Oldest { limit } => (all.start, all.start + u64::from(*limit)),
        Page::Before { id, limit } => (number(id).saturating_sub(u64::from(*limit)).max(all.start), number(id)),
        Page::After { id, limit } => (number(id) + 1, (number(id) + 1 + u64::from(*limit)).min(all.end)),
        Page::Around { id, limit } => {
            let half = u64::from(*limit) / 2;
            (number(id).saturating_sub(half).max(all.start), (number(id) + half).min(all.end))
        }
    };
    History {
        messages: (from..to).map(|n| message("ana", n, 5_000 - n, n % 2 == 0, &format!("number {n}"))).collect(),
        missing: Vec::new(),
        more_before: from > all.start,
        more_after: to < all.end,
    }
}

/// Answers all pages that are asked for, and those asked for then.
fn serve(app: &mut App, effects: Vec<Effect>, all: &std::ops::Range<u64>) {
    let mut waiting = effects;
    while let Some(effect) = waiting.pop() {
        if let Effect::Ask(Call::History(asked)) = effect {
            let answer = Ok(history(&asked.page, all.clone()));
            waiting.extend(tell(app, Answer::History(asked, answer)));
        }
    }
}

fn loaded(app: &App) -> (u64, u64, usize) {
    let entries = app.open.as_ref().unwrap().entries();
    let number = |entry: &crate::model::entry::Entry| u64::from_str_radix(&entry.id, 16).unwrap();
    assert!(entries.windows(2).all(|pair| number(&pair[0]) + 1 == number(&pair[1])), "a gap");
    (number(&entries[0]), number(entries.last().unwrap()), entries.len())
}

fn selected(app: &App) -> u64 {
    u64::from_str_radix(&app.open.as_ref().unwrap().selected().unwrap().id, 16).unwrap()
}

#[test]
fn pictures_of_the_search() {
    snapshots("search", searched);
    snapshots("search-empty", |size| {
        let mut app = app(Profile::Vim, size);
        press(&mut app, "/");
        app
    });
    snapshots("search-hit", |size| {
        let mut app = searched(size);
        let effects = press(&mut app, "down enter");
        serve(&mut app, effects, &(0..1_000));
        app
    });
}

#[test]
fn one_question_at_a_time_and_the_last_words_count() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    assert_eq!(question(&press(&mut app, "ctrl+f")), None, "nothing to look for yet");
    assert_eq!(question(&press(&mut app, "a")).unwrap().chat.as_deref(), Some("ana"));
    assert_eq!(question(&press(&mut app, "b c")), None, "one is open");
    assert_eq!(question(&answer(&mut app, "a", hits())).unwrap().words, "abc");
    assert_eq!(question(&answer(&mut app, "abc", Hits::default())), None);
    assert!(picture(&app).contains("No message has these words: Tab searches all chats"), "{}", picture(&app));
    let everywhere = question(&press(&mut app, "tab")).unwrap();
    assert_eq!((everywhere.chat.clone(), everywhere.words.as_str()), (None, "abc"));
    let refused = ApiError::new(ErrorKind::Usage, "too many\x1b[2J words");
    tell(&mut app, Answer::Search(everywhere, Err(refused)));
    assert!(picture(&app).contains("too many"), "{}", picture(&app));
    press(&mut app, "esc");
    assert!(app.overlays.is_empty());
}

#[test]
fn more_hits_are_asked_for_at_the_last_one() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    press(&mut app, "ctrl+f c");
    answer(&mut app, "c", Hits { next: Some("last".to_owned()), ..hits() });
    assert_eq!(question(&press(&mut app, "down")), None);
    assert_eq!(question(&press(&mut app, "down")).unwrap().before.as_deref(), Some("last"));
    answer(&mut app, "c", hits());
    let Some(Overlay::Search(search)) = app.overlays.last() else { panic!("no search") };
    assert_eq!((search.hits.len(), search.selected), (6, 2));
}

#[test]
fn a_hit_is_gone_to_and_the_others_and_back() {
    let mut app = searched((80, 24));
    let all = 0..1_000;
    let effects = press(&mut app, "enter");
    serve(&mut app, effects, &all);
    assert_eq!((selected(&app), app.focus), (900, Focus::Messages));
    assert!(picture(&app).contains("number 900") && picture(&app).contains("Hit 1 of 3"), "{}", picture(&app));
    let effects = press(&mut app, "n");
    serve(&mut app, effects, &all);
    assert_eq!(selected(&app), 500);
    press(&mut app, "N");
    let effects = press(&mut app, "n n");
    assert!(pages(&effects).iter().any(|asked| asked.chat.starts_with("benjamin")), "{effects:?}");
    assert_eq!(app.open.as_ref().unwrap().chat, "benjamin the very long-winded");
    press(&mut app, "n");
    assert!(picture(&app).contains("That was the oldest hit"));
    let effects = press(&mut app, "ctrl+o");
    serve(&mut app, effects, &all);
    assert_eq!((app.open.as_ref().unwrap().chat.as_str(), selected(&app)), ("ana", 500));
}

#[test]
fn what_was_searched_for_is_marked_until_one_leaves_the_search() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    press(&mut app, "ctrl+f");
    type_in(&mut app, "num");
    answer(&mut app, "n", hits());
    answer(&mut app, "num", hits());
    let effects = press(&mut app, "down enter");
    serve(&mut app, effects, &(0..1_000));
    assert!(marked(&app).starts_with("numbernumber"), "{}", picture(&app));
    press(&mut app, "k");
    assert!(marked(&app).contains("number"), "while one reads around it");
    press(&mut app, "i");
    assert_eq!(marked(&app), "");
    press(&mut app, "esc");
    assert_eq!(marked(&app), "", "and not again");
    let effects = press(&mut app, "N");
    serve(&mut app, effects, &(0..1_000));
    assert!(marked(&app).contains("number"), "but with the next hit");
}

#[test]
fn from_a_hit_one_reads_on_in_both_directions_and_memory_stays_flat() {
    let mut app = searched((80, 24));
    let all = 0..4_000;
    let effects = press(&mut app, "down enter");
    serve(&mut app, effects, &all);
    assert_eq!(loaded(&app), (450, 549, 100));
    let mut most = 0;
    for _ in 0..120 {
        let effects = press(&mut app, "pgup");
        serve(&mut app, effects, &all);
        most = most.max(loaded(&app).2);
    }
    assert_eq!(loaded(&app).0, 0, "the oldest");
    for _ in 0..900 {
        let effects = press(&mut app, "pgdn");
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ask(Call::Read(_)))) || loaded(&app).1 == 3_999);
        serve(&mut app, effects, &all);
        most = most.max(loaded(&app).2);
    }
    assert_eq!(loaded(&app).1, 3_999, "the newest");
    assert!(app.open.as_ref().unwrap().at_end());
    assert!(most <= 1_050, "{most}");
}

#[test]
fn the_oldest_message_is_one_step_away_and_so_is_the_newest() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    let all = 0..4_000;
    let again = |asked: Vec<PageOf>| asked.into_iter().map(|page| Effect::Ask(Call::History(page))).collect::<Vec<_>>();
    press(&mut app, "esc");
    let begin = loaded_count(&app);
    // The fixture's chat is wholly loaded: nothing is asked for.
    assert!(pages(&press(&mut app, "g")).is_empty());
    assert_eq!(loaded_count(&app), begin);

    let mut app = searched((80, 24));
    let effects = press(&mut app, "down enter");
    serve(&mut app, effects, &all);
    let asked = pages(&press(&mut app, "g"));
    assert!(matches!(asked.as_slice(), [PageOf { page: Page::Oldest { .. }, .. }]), "one page, however far: {asked:?}");
    assert!(pages(&press(&mut app, "g")).is_empty(), "it is asked for already");
    serve(&mut app, again(asked), &all);
    assert_eq!((loaded(&app).0, selected(&app)), (0, 0));
    assert!(loaded(&app).2 <= 200, "what lies between is not loaded");
    assert!(picture(&app).contains("number 0"), "{}", picture(&app));
    for _ in 0..60 {
        let effects = press(&mut app, "pgdn");
        serve(&mut app, effects, &all);
    }
    assert!(loaded(&app).1 > 250, "from there one reads on");
    let effects = press(&mut app, "G");
    serve(&mut app, effects, &all);
    assert_eq!(loaded(&app).1, 3_999);

    // An answer that comes after something else was wanted changes nothing.
    let asked = pages(&press(&mut app, "g"));
    let effects = press(&mut app, "G");
    serve(&mut app, effects, &all);
    let before = loaded(&app);
    serve(&mut app, again(asked), &all);
    assert_eq!(loaded(&app), before);

    // A page that did not come can be asked for again.
    press(&mut app, "g");
    let answer = Err(ApiError::new(ErrorKind::Failed, "no"));
    tell(&mut app, Answer::History(PageOf { chat: "ana".to_owned(), page: Page::Oldest { limit: 100 } }, answer));
    assert_eq!(pages(&press(&mut app, "g")).len(), 1);
}

fn loaded_count(app: &App) -> usize {
    app.open.as_ref().unwrap().entries().len()
}

#[test]
fn what_comes_while_one_reads_elsewhere_waits_at_the_end() {
    let mut app = searched((80, 24));
    let all = 0..1_000;
    let effects = press(&mut app, "down enter");
    serve(&mut app, effects, &all);
    let before = loaded(&app);
    let mut newer = message("ana", 1_000, 0, false, "newer");
    newer.unread = Some(true);
    let page = subrosa_client_core::api::EventPage { events: vec![Event::Message(newer)], cursor: 1 };
    let effects = app.update(Msg::Events(page), NOW);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ask(Call::History(_) | Call::Read(_)))));
    assert_eq!(loaded(&app), before);
    assert!(picture(&app).contains("1 new below"), "{}", picture(&app));
    let effects = press(&mut app, "G");
    serve(&mut app, effects, &(0..1_001));
    assert_eq!(loaded(&app).1, 1_000);
    assert!(app.open.as_ref().unwrap().at_end());

    let mut app = searched((80, 24));
    let effects = press(&mut app, "down enter");
    serve(&mut app, effects, &all);
    press(&mut app, "i");
    type_in(&mut app, "mine");
    press(&mut app, "enter");
    assert_eq!(app.open.as_ref().unwrap().entries().last().unwrap().body, "mine", "what one sends is seen");
}

#[test]
fn the_palette_leads_to_the_search() {
    let mut app = app(Profile::Vim, (80, 24));
    press(&mut app, "ctrl+k");
    type_in(&mut app, "zzz old");
    assert!(picture(&app).contains("Search all messages for: zzz old"), "{}", picture(&app));
    let query = question(&press(&mut app, "enter")).unwrap();
    assert_eq!((query.words.as_str(), query.chat), ("zzz old", None));
}
