//! Reflexes that did harm: each test is named after what a habit of the hands did here once.

use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{ChatSetParams, ContactState, Done, InviteInfo, InviteParams, InviteRevokeParams, Invites},
};

use super::{
    tests::{contact, events, snapshots},
    *,
};
use crate::{
    ask::{Answer, who},
    fixture::{NOW, answer_page, app, asks, chats, message, picture, press, tell, tell_chats, type_in, with_ana_open},
    keymap::Profile,
};

const PROFILES: [Profile; 3] = [Profile::Vim, Profile::Emacs, Profile::Plain];

/// What an act asks of the engine; what is only read does not count.
fn acts(effects: &[Effect]) -> Vec<&Effect> {
    let reads = |effect: &&Effect| {
        !matches!(
            effect,
            Effect::Title(_)
                | Effect::Ask(
                    Call::Chats(_)
                        | Call::Status(_)
                        | Call::History(_)
                        | Call::Search(_)
                        | Call::Contact(_)
                        | Call::Outbox(_)
                        | Call::Links(_)
                        | Call::Receipts(_)
                        | Call::Verify(_)
                        | Call::Read(_)
                        | Call::Draft(_)
                )
        )
    };
    effects.iter().filter(reads).collect()
}

fn typed(app: &mut App, text: &str) -> Vec<Effect> {
    text.chars()
        .flat_map(|c| {
            let key = crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char(c));
            app.update(Msg::Key(key), NOW)
        })
        .collect()
}

/// Ana's chat with a message selected.
fn selecting(profile: Profile, size: (u16, u16)) -> App {
    let mut app = with_ana_open(profile, size);
    press(&mut app, "ctrl+up");
    assert_eq!(app.focus, Focus::Messages);
    app
}

#[test]
fn colon_q_made_a_live_link() {
    for words in ["q", "wq", "quit", "x", "q!", "wqa"] {
        for keys in ["esc esc", "esc"] {
            let mut app = with_ana_open(Profile::Vim, (80, 24));
            press(&mut app, keys);
            press(&mut app, ":");
            typed(&mut app, words);
            assert_eq!(press(&mut app, "enter"), [Effect::Quit], ":{words}");
        }
    }
    for profile in PROFILES {
        let mut app = selecting(profile, (80, 24));
        assert_eq!(press(&mut app, ": q enter"), [Effect::Quit], "{profile:?}");
    }
    let mut app = app(Profile::Vim, (80, 24));
    press(&mut app, ":");
    typed(&mut app, "help");
    assert_eq!(press(&mut app, "enter"), []);
    assert!(picture(&app).contains("Find a chat, a person or a command"), "{}", picture(&app));
    // Also in the palette that has chats, where the colon is typed with it.
    for profile in PROFILES {
        let mut app = crate::fixture::app(profile, (80, 24));
        press(&mut app, if profile == Profile::Emacs { "alt+x" } else { "ctrl+k" });
        typed(&mut app, ":wq");
        assert_eq!(press(&mut app, "enter"), [Effect::Quit], "{profile:?}");
    }
}

#[test]
fn a_guess_blocked_archived_and_invited() {
    for (typed_text, name) in
        [("bloc", "block"), ("QR", "invite"), ("arch th", "archive"), ("forget", "remove"), ("mute thi", "mute")]
    {
        let mut app = app(Profile::Vim, (80, 24));
        press(&mut app, ":");
        typed(&mut app, typed_text);
        let Some(Overlay::Palette(palette)) = app.overlays.last() else { panic!("no palette") };
        let best = palette.found.first().map(|found| found.target.clone());
        let effects = press(&mut app, "enter");
        assert!(acts(&effects).is_empty(), "{typed_text}: {effects:?}");
        if matches!(best, Some(crate::overlay::Target::Command(command)) if !command.may_be_guessed()) {
            assert_eq!(app.overlays.len(), 1, "nothing was opened either");
            assert!(picture(&app).contains("is not run by a guess"), "{}", picture(&app));
        }
        // By its name it is run, or asks as it always does.
        let mut app = crate::fixture::app(Profile::Vim, (80, 24));
        press(&mut app, ":");
        typed(&mut app, name);
        let effects = press(&mut app, "enter");
        assert!(!matches!(app.overlays.last(), Some(Overlay::Palette(_))), "{name}: {}", picture(&app));
        assert!(!app.overlays.is_empty() || !acts(&effects).is_empty(), "{name}");
    }
}

#[test]
fn what_is_moved_to_is_no_guess() {
    let mut app = app(Profile::Vim, (80, 24));
    press(&mut app, ":");
    typed(&mut app, "archive this");
    typed(&mut app, "");
    press(&mut app, "ctrl+u");
    typed(&mut app, "until something new");
    assert_eq!(press(&mut app, "enter"), [], "{}", picture(&app));
    let effects = press(&mut app, "down up enter");
    assert!(matches!(acts(&effects)[..], [Effect::Ask(Call::SetChat(_))]), "{effects:?}\n{}", picture(&app));
}

#[test]
fn hello_went_to_the_list_archived_a_chat_and_opened_it() {
    for profile in PROFILES {
        let mut app = selecting(profile, (80, 24));
        let effects = typed(&mut app, "hello");
        assert!(acts(&effects).is_empty(), "{profile:?}: {effects:?}");
        assert_eq!(app.focus, Focus::Messages, "{profile:?}");
        assert!(app.overlays.is_empty() && app.editor().is_none_or(Editor::is_empty), "{profile:?}");
        assert!(picture(&app).contains("i writes: hello"), "{profile:?} {}", picture(&app));
        // Sending it by reflex does nothing either.
        assert!(acts(&press(&mut app, "enter")).is_empty() && app.overlays.is_empty(), "{profile:?}");
        press(&mut app, "i");
        assert_eq!((app.focus, app.editor().unwrap().text()), (Focus::Write, "hello"), "{profile:?}");
    }
}

#[test]
fn a_text_that_has_the_letter_which_writes_it_is_whole() {
    for profile in PROFILES {
        let mut app = selecting(profile, (80, 24));
        typed(&mut app, "this is it");
        assert_eq!(app.editor().unwrap().text(), "this is it", "{profile:?}: typed in one go");
        let mut app = selecting(profile, (80, 24));
        typed(&mut app, "hi there");
        assert_eq!(app.editor().unwrap().text(), "hi there", "{profile:?}");
        // Whoever stops and presses it has chosen it.
        let mut app = selecting(profile, (80, 24));
        typed(&mut app, "th");
        let key = |c| Msg::Key(crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char(c)));
        app.update(key('i'), NOW + 600);
        app.update(key('e'), NOW + 700);
        assert_eq!(app.editor().unwrap().text(), "the", "{profile:?}");
    }
}

#[test]
fn hello_in_the_list_did_so_too() {
    for profile in PROFILES {
        let mut app = app(profile, (80, 24));
        let effects = typed(&mut app, "hello");
        assert!(acts(&effects).is_empty() && app.open.is_none(), "{profile:?}: {effects:?}");
        assert!(picture(&app).contains("i writes to ana: hello"), "{profile:?} {}", picture(&app));
        press(&mut app, "esc");
        assert!(!picture(&app).contains("hello"), "{profile:?}: it is forgotten");
        typed(&mut app, "hey there, are you on?");
        press(&mut app, "backspace i");
        assert_eq!(app.open.as_ref().unwrap().chat, "ana");
        assert_eq!(app.editor().unwrap().text(), "hey there, are you on", "{profile:?}");
    }
}

#[test]
fn no_word_that_is_typed_where_nothing_is_written_changes_anything() {
    for profile in PROFILES {
        for word in [
            "hello",
            "archive",
            "message",
            "payment",
            "Block",
            "Delete",
            "remove",
            "REPLY",
            "Xylophone",
            "accept",
            "up",
        ] {
            for place in ["list", "messages", "card"] {
                let mut app = match place {
                    "list" => app(profile, (80, 24)),
                    "messages" => selecting(profile, (80, 24)),
                    _ => {
                        let mut app = selecting(profile, (80, 24));
                        press(&mut app, "c");
                        tell(&mut app, Answer::Contact(who("ana"), Ok(contact("ana"))));
                        app
                    }
                };
                let effects = typed(&mut app, word);
                let copied = |effect: &&&Effect| !matches!(effect, Effect::Copy(_));
                assert_eq!(acts(&effects).iter().filter(copied).count(), 0, "{profile:?} {place} {word}: {effects:?}");
            }
        }
    }
}

#[test]
fn one_slip_is_no_text_and_the_next_key_works() {
    let mut app = selecting(Profile::Vim, (80, 24));
    let before = app.open.as_ref().unwrap().selected().unwrap().id.clone();
    press(&mut app, "z k");
    assert_ne!(app.open.as_ref().unwrap().selected().unwrap().id, before);
    press(&mut app, "z");
    press(&mut app, "k");
    assert!(!picture(&app).contains("writes:"));
    // What is not taken up is no longer offered after a while.
    press(&mut app, "z z");
    assert!(picture(&app).contains("i writes: zz"));
    app.update(Msg::Due, NOW + 60_000);
    assert!(!picture(&app).contains("writes:"));
}

#[test]
fn what_was_archived_by_a_slip_is_brought_back_by_the_key_that_is_named() {
    let archive = |on| ChatSetParams { chat: "ana".to_owned(), archived: Some(on), ..ChatSetParams::default() };
    for profile in PROFILES {
        let mut app = app(profile, (80, 24));
        assert!(asks(&press(&mut app, "alt+e"), Call::SetChat(archive(true))));
        assert_eq!(press(&mut app, "u"), [], "not before it is done");
        app.update(Msg::Due, NOW + 60_000);
        let mut all = chats();
        all[0].archived = true;
        tell(&mut app, Answer::SetChat(archive(true), Ok(all[0].clone())));
        tell_chats(&mut app, all);
        assert!(picture(&app).contains("u takes back: ana: archived"), "{}", picture(&app));
        assert!(asks(&press(&mut app, "u"), Call::SetChat(archive(false))), "{profile:?}");
        tell(&mut app, Answer::SetChat(archive(false), Ok(chats().remove(0))));
        assert!(picture(&app).contains("u takes back: ana: back in the list"));
        // Later it is a letter again.
        app.update(Msg::Due, NOW + super::undo::UNDO_MS);
        let key = crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char('u'));
        assert_eq!(app.update(Msg::Key(key), NOW + super::undo::UNDO_MS), []);
    }
}

#[test]
fn a_block_is_taken_back_by_the_key_that_is_named() {
    let mut app = app(Profile::Vim, (80, 24));
    press(&mut app, "B down enter");
    let blocked = subrosa_client_core::api::Contact { state: ContactState::Blocked, ..contact("ana") };
    tell(&mut app, Answer::Block(who("ana"), Ok(blocked)));
    assert!(picture(&app).contains("u takes back: ana is blocked"), "{}", picture(&app));
    assert!(asks(&press(&mut app, "u"), Call::Unblock(who("ana"))));
    // Where one writes the key that takes text back does it.
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    press(&mut app, "ctrl+k");
    typed(&mut app, "pin");
    let pinned = ChatSetParams { chat: "ana".to_owned(), pinned: Some(true), ..ChatSetParams::default() };
    assert!(asks(&press(&mut app, "enter"), Call::SetChat(pinned.clone())));
    tell(&mut app, Answer::SetChat(pinned, Ok(chats().remove(0))));
    assert!(picture(&app).contains("^_ takes back: ana"), "{}", picture(&app));
    let unpinned = ChatSetParams { chat: "ana".to_owned(), pinned: Some(false), ..ChatSetParams::default() };
    assert!(asks(&press(&mut app, "ctrl+_"), Call::SetChat(unpinned)));
}

#[test]
fn an_act_that_failed_is_not_taken_back() {
    let mut app = app(Profile::Vim, (80, 24));
    let pinned = ChatSetParams { chat: "ana".to_owned(), pinned: Some(true), ..ChatSetParams::default() };
    press(&mut app, "alt+t");
    tell(&mut app, Answer::SetChat(pinned, Err(ApiError::new(ErrorKind::Storage, "the disk is full"))));
    assert_eq!(press(&mut app, "u"), []);
}

#[test]
fn f_enter_sent_the_text_of_somebody_else_as_ones_own_to_the_top_chat() {
    for profile in PROFILES {
        let mut app = selecting(profile, (80, 24));
        let effects = press(&mut app, "f enter");
        assert!(acts(&effects).is_empty(), "{profile:?}: {effects:?}");
        let shown = picture(&app);
        assert!(shown.contains("Forward to ana?") && shown.contains("Thank you!"), "{shown}");
        assert!(acts(&press(&mut app, "enter")).is_empty(), "{profile:?}: not sending is selected");
        let effects = press(&mut app, "f enter down enter");
        let sent = acts(&effects);
        assert!(
            matches!(sent[..], [Effect::Ask(Call::Send(text))] if text.forwarded && text.body == "Thank you!"),
            "{sent:?}"
        );
        assert!(picture(&app).contains("» forwarded"), "{}", picture(&app));
    }
}

#[test]
fn q_enter_sent_a_quote_of_somebody_back_to_them() {
    for profile in PROFILES {
        let mut app = selecting(profile, (80, 24));
        assert!(acts(&press(&mut app, "q enter")).is_empty(), "{profile:?}");
        assert!(picture(&app).contains("only the quote"), "{}", picture(&app));
        type_in(&mut app, "you are welcome");
        let effects = press(&mut app, "enter");
        let sent = acts(&effects);
        assert!(
            matches!(sent[..], [Effect::Ask(Call::Send(text))] if text.body.ends_with("\nyou are welcome")),
            "{sent:?}"
        );
    }
}

#[test]
fn enter_twice_on_a_message_that_waits_sent_it_again() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    type_in(&mut app, "later?");
    press(&mut app, "enter");
    assert_eq!(acts(&press(&mut app, "esc enter enter")).len(), 0);
    assert!(app.reply.is_some(), "it answers: {}", picture(&app));
}

#[test]
fn pictures_of_a_forwarded_message() {
    snapshots("forwarded", |size| {
        let mut app = app(Profile::Vim, size);
        let effects = press(&mut app, "enter");
        let mut messages = crate::fixture::with_ana();
        messages[6].forwarded = true;
        messages[7].forwarded = true;
        answer_page(&mut app, &effects, &messages);
        app
    });
    snapshots("forward", |size| {
        let mut app = selecting(Profile::Vim, size);
        press(&mut app, "f enter");
        app
    });
}

#[test]
fn going_to_the_list_closed_the_chat() {
    for profile in PROFILES {
        // Beside the list it stays, with what is written, what is answered, and its place.
        let mut app = selecting(profile, (100, 16));
        press(&mut app, "i");
        type_in(&mut app, "half a thought");
        press(&mut app, "pgup");
        let top = app.open.as_ref().unwrap().top();
        press(&mut app, "ctrl+up left");
        assert_eq!(app.focus, Focus::List, "{profile:?}");
        let shown = picture(&app);
        assert!(shown.contains("Chats") && shown.contains("Did you see the build?"), "{profile:?} {shown}");
        assert!(shown.contains("half a thought"), "{profile:?} {shown}");
        assert_eq!(app.open.as_ref().unwrap().top(), top);
        press(&mut app, "enter");
        assert_eq!((app.focus, app.editor().unwrap().text()), (Focus::Write, "half a thought"), "{profile:?}");
        assert_eq!(app.open.as_ref().unwrap().top(), top, "{profile:?}");
    }
}

#[test]
fn going_to_the_list_closed_the_chat_in_one_pane_too() {
    let mut app = with_ana_open(Profile::Vim, (50, 16));
    type_in(&mut app, "half a thought");
    press(&mut app, "pgup");
    let top = app.open.as_ref().unwrap().top();
    assert!(!app.open.as_ref().unwrap().at_end());
    press(&mut app, "ctrl+b");
    let shown = picture(&app);
    assert!(shown.contains("Chats") && !shown.contains("Did you see") && shown.contains("half a thought"), "{shown}");
    assert!(press(&mut app, "esc esc").iter().all(|effect| !matches!(effect, Effect::Ask(Call::History(_)))));
    let effects = press(&mut app, "enter");
    assert!(crate::fixture::pages(&effects).is_empty(), "nothing is loaded again: {effects:?}");
    assert_eq!(app.open.as_ref().unwrap().top(), top, "it is where it was");
    assert_eq!(app.editor().unwrap().text(), "half a thought");
}

#[test]
fn what_comes_into_a_chat_behind_the_list_is_unread_and_told() {
    let mut app = with_ana_open(Profile::Vim, (50, 20));
    press(&mut app, "ctrl+b");
    let mut newer = message("ana", 50, 0, false, "are you there?");
    newer.unread = Some(true);
    let effects = events(&mut app, vec![subrosa_client_core::api::Event::Message(newer)]);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Notify { .. })), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ask(Call::Read(_)))), "nobody has seen it");
    assert_eq!(app.unread_elsewhere(), 5, "three of before, one more, and a request");
}

fn open_links() -> Invites {
    let link = |n: u64, used: Option<&str>| InviteInfo {
        id: format!("3f9ac2e{n}"),
        created_ms: NOW - n * 3_600_000,
        expires_ms: NOW + n * 24 * 3_600_000,
        used_by: used.map(|name| Person { id: name.to_owned(), name: name.to_owned() }),
    };
    Invites { invites: vec![link(1, None), link(2, Some("ana")), link(3, None)] }
}

fn with_links(size: (u16, u16)) -> App {
    let mut app = app(Profile::Vim, size);
    assert!(asks(&press(&mut app, "i"), Call::Links(NoParams {})));
    tell(&mut app, Answer::Links(NoParams {}, Ok(open_links())));
    app
}

#[test]
fn i_in_the_list_made_a_link_that_nobody_could_see_or_revoke() {
    let mut app = with_links((80, 24));
    assert!(picture(&app).contains("Make a new link"), "{}", picture(&app));
    let revoke = InviteRevokeParams { id: "3f9ac2e1".to_owned() };
    press(&mut app, "down enter");
    assert!(picture(&app).contains("Revoke the link 3f9ac2e1?"), "{}", picture(&app));
    assert!(press(&mut app, "enter").is_empty(), "keeping it is selected");
    let effects = press(&mut app, "ctrl+x down enter");
    assert!(asks(&effects, Call::Revoke(revoke.clone())), "{effects:?}");
    let done = Done { id: Some(revoke.id.clone()), count: 1 };
    assert!(asks(&tell(&mut app, Answer::Revoke(revoke, Ok(done))), Call::Links(NoParams {})));
    assert!(picture(&app).contains("The link 3f9ac2e1 is revoked"), "{}", picture(&app));
    assert!(press(&mut app, "down enter").is_empty(), "a used one has nothing to revoke");
    assert!(picture(&app).contains("ana joined with this link"), "{}", picture(&app));
    assert!(asks(&press(&mut app, "up up up enter"), Call::Invite(InviteParams::default())));
}

#[test]
fn pictures_of_open_links() {
    snapshots("links", with_links);
    snapshots("revoke", |size| {
        let mut app = with_links(size);
        press(&mut app, "down ctrl+x");
        app
    });
}
