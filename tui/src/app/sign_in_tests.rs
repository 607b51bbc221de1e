//! What stands before the chats: pictures of each screen, and the ways through them.

use proptest::prelude::*;
use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{Event, EventPage, MessageStatus, Sent},
    open::EngineAt,
};
use zeroize::Zeroizing;

use super::{tests::snapshots, *};
use crate::{
    account_service::{Found, Keep, Known, NewAccount, Room, Secret},
    ask::Answer,
    config::TuiConfig,
    fixture::{NOW, asks, chats, message, pages, picture, press, tell, tell_chats, type_in, with_ana_open},
    keymap::Profile,
    message::{Effect, Msg, Opened},
};

const LINK: &str = "https://relay.example.org/i#AgEAEfGhIjKlMnOpQrStUvWxYz0123456789";

fn at_the_door(size: (u16, u16)) -> App {
    let mut app = app_alone(size);
    assert_eq!(app.begin(), [Effect::Look]);
    app
}

/// Nothing is known, and nothing open.
fn app_alone(size: (u16, u16)) -> App {
    let config = TuiConfig::default();
    let theme = config.theme(true, true, false).unwrap();
    App::new(&config, theme, jiff::tz::TimeZone::UTC, size, || "0f".repeat(16)).unwrap()
}

fn room() -> Room {
    Room { opens_with: None, key_file: "/home/sam/.config/subrosa/subrosa.key".to_owned() }
}

fn sam() -> Known {
    Known {
        account: "sam".to_owned(),
        handle: "sam".to_owned(),
        relay: "https://relay.example.org/".to_owned(),
        engine: None,
    }
}

fn first_run(size: (u16, u16)) -> App {
    let mut app = at_the_door(size);
    app.update(Msg::Looked(Ok(Found::Nothing(room()))), NOW);
    app
}

fn error(code: ErrorKind, message: &str, hint: &str) -> ApiError {
    ApiError::new(code, message).hint(hint)
}

/// The form as somebody fills it in.
fn filled(size: (u16, u16)) -> App {
    let mut app = first_run(size);
    app.update(Msg::Paste("https://relay.example.org".to_owned()), NOW);
    press(&mut app, "enter enter");
    type_in(&mut app, "sam");
    press(&mut app, "enter enter");
    type_in(&mut app, "copper lantern window seven");
    press(&mut app, "enter");
    type_in(&mut app, "copper lantern window seven");
    press(&mut app, "enter");
    app
}

fn words() -> Secret {
    let words = "abandon ability able about above absent absorb abstract absurd abuse access accident account accuse achieve \
                 acid acoustic acquire across act action actor actress actual";
    Secret::new(Zeroizing::new(words.to_owned()))
}

fn with_words(size: (u16, u16)) -> App {
    let mut app = filled(size);
    assert_eq!(press(&mut app, "enter").len(), 1);
    app.update(Msg::Words(words()), NOW);
    app
}

fn opened() -> Msg {
    Msg::Opened(Ok(Opened::Open { opens_with: None }))
}

fn unlock_screen(size: (u16, u16)) -> App {
    let mut app = at_the_door(size);
    let effects = app.update(Msg::Looked(Ok(Found::One(sam()))), NOW);
    assert_eq!(effects[0], Effect::OpenAccount { account: "sam".to_owned(), passphrase: None });
    app.update(Msg::Opened(Ok(Opened::Asks)), NOW);
    app
}

fn locked(size: (u16, u16)) -> App {
    let mut app = with_ana_open(Profile::Vim, size);
    type_in(&mut app, "half a thought");
    press(&mut app, "f9");
    app
}

fn taken_over(size: (u16, u16)) -> App {
    let mut app = with_ana_open(Profile::Vim, size);
    type_in(&mut app, "half a thought");
    app.update(Msg::EngineAt { at: EngineAt::Nowhere, asks: false }, NOW);
    assert!(picture(&app).contains("taking over"));
    let lost = EngineAt::Lost(ApiError::new(ErrorKind::BadPassphrase, "the passphrase is needed"));
    app.update(Msg::EngineAt { at: lost, asks: true }, NOW);
    app
}

#[test]
fn pictures_of_the_first_run() {
    snapshots("first", first_run);
    snapshots("first-filled", filled);
    snapshots("first-refused", |size| {
        let mut app = filled(size);
        press(&mut app, "enter");
        let refused = error(ErrorKind::Refused, "the relay refused: handle taken", "choose another handle (--name)");
        app.update(Msg::Made(Err(refused)), NOW);
        app
    });
    snapshots("words", |size| {
        let mut app = with_words(size);
        app.update(Msg::Made(Ok(())), NOW);
        app
    });
    snapshots("words-asked", |size| {
        let mut app = with_words(size);
        app.update(Msg::Made(Ok(())), NOW);
        press(&mut app, "enter");
        type_in(&mut app, "about");
        press(&mut app, "enter");
        app
    });
}

#[test]
fn pictures_of_choosing_and_unlocking() {
    snapshots("accounts", |size| {
        let mut app = at_the_door(size);
        let work = Known { account: "work".to_owned(), engine: Some("subrosa daemon".to_owned()), ..sam() };
        app.update(Msg::Looked(Ok(Found::Several(vec![sam(), work], room()))), NOW);
        app
    });
    snapshots("unlock", |size| {
        let mut app = unlock_screen(size);
        type_in(&mut app, "wrong");
        press(&mut app, "enter");
        let refused = ApiError::new(ErrorKind::BadPassphrase, "the passphrase does not open the account");
        app.update(Msg::Opened(Err(refused)), NOW);
        type_in(&mut app, "right");
        app
    });
    snapshots("refused", |size| {
        let mut app = at_the_door(size);
        app.update(Msg::Looked(Ok(Found::One(sam()))), NOW);
        let busy = error(
            ErrorKind::AccountBusy,
            "the account is held by `subrosa receive` (pid 42), and does not answer",
            "wait for it to end, or end it: kill 42",
        );
        app.update(Msg::Opened(Err(busy)), NOW);
        app
    });
    snapshots("locked", locked);
    snapshots("taking-over", taken_over);
    snapshots("taking-over-waits", |size| {
        let mut app = with_ana_open(Profile::Vim, size);
        let lost =
            error(ErrorKind::BadPassphrase, "cannot read the key file /media/key/subrosa.key: not found", "plug it in");
        app.update(Msg::EngineAt { at: EngineAt::Lost(lost), asks: false }, NOW);
        app
    });
    snapshots("nothing-to-lock-with", |size| {
        let mut app = with_ana_open(Profile::Vim, size);
        app.update(
            Msg::Opened(Ok(Opened::Open { opens_with: Some("a key in the keyring of this system".to_owned()) })),
            NOW,
        );
        press(&mut app, "f9");
        app
    });
}

#[test]
fn the_form_asks_for_an_account_and_the_words_have_to_be_seen() {
    let mut app = filled((80, 24));
    let effects = press(&mut app, "enter");
    assert_eq!(
        effects,
        [Effect::Make(NewAccount {
            relay: "https://relay.example.org".to_owned(),
            token: None,
            handle: "sam".to_owned(),
            keep: Keep::Passphrase(Secret::new(Zeroizing::new("copper lantern window seven".to_owned()))),
        })]
    );
    assert!(!format!("{effects:?}").contains("copper"), "no secret in what is logged");
    assert!(press(&mut app, "enter").is_empty(), "asked once");
    app.update(Msg::Words(words()), NOW);
    press(&mut app, "enter");
    assert!(!picture(&app).contains("from your paper"), "not before the relay has the account");
    let effects = app.update(Msg::Made(Ok(())), NOW);
    assert!(matches!(&effects[..], [Effect::OpenAccount { passphrase: Some(_), .. }]), "{effects:?}");
    app.update(opened(), NOW);
    assert!(press(&mut app, "ctrl+q").is_empty(), "the words are not left by one key");
    assert!(picture(&app).contains("again leaves: these words are gone"));
    let Some(SignIn::Words(shown)) = &app.sign_in else { panic!("the words are shown") };
    let word = shown.list().nth(shown.asked).unwrap().to_owned();
    press(&mut app, "enter");
    type_in(&mut app, "zoo");
    assert!(press(&mut app, "enter").is_empty() && picture(&app).contains("another word"));
    press(&mut app, "ctrl+u");
    type_in(&mut app, &word);
    let effects = press(&mut app, "enter");
    let invite = Call::Invite(subrosa_client_core::api::InviteParams::default());
    assert_eq!(effects, [Effect::Ask(invite)], "it ends on inviting somebody");
    assert!(app.sign_in.is_none() && !picture(&app).contains("abandon"));
}

#[test]
fn the_words_stay_until_they_were_seen_also_when_the_account_does_not_open() {
    let mut app = with_words((80, 24));
    app.update(Msg::Made(Ok(())), NOW);
    app.update(Msg::Opened(Err(ApiError::new(ErrorKind::Storage, "the disk is full"))), NOW);
    assert!(picture(&app).contains("abandon") && !picture(&app).contains("the disk is full"));
    let Some(SignIn::Words(shown)) = &app.sign_in else { panic!("the words are shown") };
    let word = shown.list().nth(shown.asked).unwrap().to_owned();
    press(&mut app, "enter");
    type_in(&mut app, &word);
    press(&mut app, "enter");
    assert!(!picture(&app).contains("abandon") && picture(&app).contains("disk is full"), "{}", picture(&app));
    assert!(matches!(press(&mut app, "enter")[..], [Effect::OpenAccount { passphrase: None, .. }]));
}

#[test]
fn who_came_with_a_contact_link_meets_its_sender() {
    let mut app = filled((80, 24));
    press(&mut app, "tab ctrl+u");
    app.update(Msg::Paste(LINK.to_owned()), NOW);
    assert!(picture(&app).contains("damaged") || picture(&app).contains("not a relay"), "{}", picture(&app));
    // As if it had been whole.
    let Some(SignIn::First(form)) = app.sign_in.take() else { panic!("the form") };
    app.sign_in = Some(SignIn::Words(crate::sign_in::Words::new(words(), 3, form)));
    app.update(Msg::Made(Ok(())), NOW);
    press(&mut app, "enter");
    type_in(&mut app, "about");
    press(&mut app, "enter");
    assert!(picture(&app).contains("opening the account"), "{}", picture(&app));
    app.update(opened(), NOW);
    let join = subrosa_client_core::api::JoinParams { link: LINK.to_owned() };
    assert_eq!(press(&mut app, "enter"), [Effect::Ask(Call::Join(join))]);
}

#[test]
fn mistakes_are_told_where_they_are_and_nothing_that_was_typed_is_lost() {
    let mut app = first_run((80, 24));
    type_in(&mut app, "relay.example.org");
    press(&mut app, "enter");
    assert!(picture(&app).contains("it begins with https://"), "going on stays at what is wrong");
    press(&mut app, "ctrl+u");
    type_in(&mut app, "https://relay.example.org");
    press(&mut app, "tab tab");
    type_in(&mut app, "Sam");
    press(&mut app, "tab tab");
    type_in(&mut app, "one");
    press(&mut app, "tab");
    type_in(&mut app, "other");
    press(&mut app, "tab enter");
    assert!(picture(&app).contains("both ends"), "{}", picture(&app));
    press(&mut app, "ctrl+u");
    type_in(&mut app, "sam");
    press(&mut app, "tab tab tab tab");
    assert!(
        press(&mut app, "enter").is_empty() && picture(&app).contains("not the same as above"),
        "{}",
        picture(&app)
    );
    press(&mut app, "ctrl+u");
    type_in(&mut app, "one");
    press(&mut app, "tab");
    assert!(matches!(press(&mut app, "enter")[..], [Effect::Make(_)]));
    app.update(Msg::Words(words()), NOW);
    let refused =
        error(ErrorKind::Refused, "the relay refused: a registration token is needed", "ask the relay's host");
    app.update(Msg::Made(Err(refused)), NOW);
    let shown = picture(&app);
    for part in ["token is needed", "Ask the relay's", "words just shown are void", "https://relay.example.org", "sam"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(matches!(press(&mut app, "enter")[..], [Effect::Make(_)]), "the passphrase is there, too");
    press(&mut app, "esc");
    assert!(picture(&app).contains("again to leave"));
}

#[test]
fn other_ways_to_open_an_account_are_offered() {
    let mut app = first_run((80, 24));
    type_in(&mut app, "http://127.0.0.1:8440");
    press(&mut app, "enter");
    type_in(&mut app, &"ab".repeat(16));
    press(&mut app, "enter");
    type_in(&mut app, "sam");
    press(&mut app, "enter right right enter enter");
    let effects = press(&mut app, "enter");
    let [Effect::Make(new)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(new.token.as_deref(), Some(&*"ab".repeat(16)));
    assert_eq!(new.keep, Keep::KeyFile(room().key_file));
    let mut app = at_the_door((80, 24));
    let chosen = Room { opens_with: Some("the passphrase in /run/pass".to_owned()), ..room() };
    app.update(Msg::Looked(Ok(Found::Nothing(chosen))), NOW);
    assert!(picture(&app).contains("/run/pass") && !picture(&app).contains("Again"));
}

#[test]
fn an_account_is_chosen_or_a_new_one_made() {
    let mut app = at_the_door((80, 24));
    let work = Known { account: "work".to_owned(), ..sam() };
    app.update(Msg::Looked(Ok(Found::Several(vec![sam(), work], room()))), NOW);
    press(&mut app, "down down down enter");
    assert!(picture(&app).contains("A new account"));
    press(&mut app, "esc down");
    assert_eq!(press(&mut app, "enter"), [Effect::OpenAccount { account: "work".to_owned(), passphrase: None }]);
    app.update(opened(), NOW);
    assert!(app.sign_in.is_none());
}

#[test]
fn a_passphrase_is_asked_for_until_it_is_right_and_one_can_leave_meanwhile() {
    let mut app = unlock_screen((80, 24));
    app.update(Msg::Paste("two words\n".to_owned()), NOW);
    assert!(picture(&app).contains("•••••••••") && !picture(&app).contains("two words"));
    let effects = press(&mut app, "enter");
    let secret = Secret::new(Zeroizing::new("two words".to_owned()));
    assert_eq!(effects, [Effect::OpenAccount { account: "sam".to_owned(), passphrase: Some(secret) }]);
    assert!(picture(&app).contains("unlocking"));
    assert!(press(&mut app, "x enter").is_empty(), "one try at a time");
    assert_eq!(press(&mut app, "esc"), [Effect::Quit], "the keys are answered meanwhile");
    app.update(Msg::Opened(Err(ApiError::new(ErrorKind::BadPassphrase, "does not open"))), NOW);
    assert!(picture(&app).contains("not the passphrase") && !picture(&app).contains('•'));
    type_in(&mut app, "right");
    press(&mut app, "enter");
    app.update(opened(), NOW);
    assert!(app.sign_in.is_none());
}

#[test]
fn a_failure_is_told_and_tried_again() {
    let mut app = at_the_door((80, 24));
    app.update(Msg::Looked(Err(ApiError::new(ErrorKind::Storage, "cannot read the directory"))), NOW);
    assert!(picture(&app).contains("Cannot read the directory"));
    assert_eq!(press(&mut app, "enter"), [Effect::Look]);
    app.update(Msg::Looked(Ok(Found::One(sam()))), NOW);
    app.update(Msg::Opened(Err(ApiError::new(ErrorKind::AccountBusy, "held"))), NOW);
    assert_eq!(press(&mut app, "enter"), [Effect::OpenAccount { account: "sam".to_owned(), passphrase: None }]);
}

#[test]
fn a_locked_screen_shows_nothing_tells_little_and_comes_back_where_it_was() {
    let mut app = with_ana_open(Profile::Vim, (80, 24));
    type_in(&mut app, "half a thought");
    let effects = press(&mut app, "f9");
    let draft = subrosa_client_core::api::ChatDraftParams { chat: "ana".to_owned(), text: "half a thought".to_owned() };
    assert!(asks(&effects, Call::Draft(draft)));
    assert!(effects.contains(&Effect::Title("Subrosa (locked)".to_owned())));
    for secret in ["ana", "tess", "Thank you", "half a thought", "unread"] {
        assert!(!picture(&app).contains(secret), "{secret}");
    }
    assert!(app.open.is_none() && app.drafts.is_empty() && app.chats.rows().is_empty());
    // What comes meanwhile is told without a name, and not read.
    tell_chats(&mut app, chats());
    let new = Event::Message(message("ana", 50, 0, false, "psst"));
    let stranger = Event::Message(message("eve", 51, 0, false, "hey"));
    let effects = app.update(Msg::Events(EventPage { events: vec![new, stranger], cursor: 2 }), NOW);
    assert_eq!(effects, [Effect::Notify { title: "Subrosa".to_owned(), body: "New message".to_owned() }]);
    assert!(app.chats.rows().is_empty() && press(&mut app, "esc alt+u ctrl+k").is_empty());
    type_in(&mut app, "wrong");
    assert!(matches!(press(&mut app, "enter")[..], [Effect::Unlock(Some(_))]));
    app.update(Msg::Unlocked(Err(ApiError::new(ErrorKind::BadPassphrase, "no"))), NOW);
    assert!(picture(&app).contains("not the passphrase"));
    type_in(&mut app, "right");
    press(&mut app, "enter");
    let effects = app.update(Msg::Unlocked(Ok(())), NOW);
    assert!(asks(&effects, Call::all_chats()), "{effects:?}");
    let mut again = chats();
    again[0].draft = Some("half a thought".to_owned());
    let effects = tell_chats(&mut app, again);
    assert!(pages(&effects).iter().any(|asked| asked.chat == "ana"), "{effects:?}");
    assert_eq!(app.editor().unwrap().text(), "half a thought");
}

#[test]
fn it_locks_itself_when_nobody_is_here() {
    let mut config = TuiConfig::default();
    config.set("tui.lock_after", "5m").unwrap();
    let mut app = crate::fixture::app_with(&config, (80, 24), true, true);
    app.update(opened(), NOW);
    let minutes = |n: u64| NOW + n * 60_000;
    app.update(Msg::Key(crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Down)), minutes(4));
    app.update(Msg::Due, minutes(5));
    assert!(app.sign_in.is_none());
    assert_eq!(app.due_ms(), Some(minutes(9)));
    app.update(Msg::Due, minutes(9));
    assert!(picture(&app).contains("Locked"));
    // Without a passphrase there is no lock to come back from.
    let mut app = crate::fixture::app_with(&config, (80, 24), true, true);
    app.update(Msg::Opened(Ok(Opened::Open { opens_with: Some("a key file".to_owned()) })), NOW);
    assert!(picture(&app).contains("lock_after does nothing"));
    app.update(Msg::Due, minutes(60));
    assert!(app.sign_in.is_none());
}

#[test]
fn when_the_engine_is_gone_what_was_written_stays_and_leaving_warns() {
    let mut app = taken_over((80, 24));
    assert_eq!(app.editor().unwrap().text(), "half a thought");
    type_in(&mut app, "right");
    assert_eq!(app.editor().unwrap().text(), "half a thought", "the card has the keys");
    assert!(matches!(press(&mut app, "enter")[..], [Effect::Unlock(Some(_))]));
    app.update(Msg::Unlocked(Ok(())), NOW);
    let effects = app.update(Msg::EngineAt { at: EngineAt::Here, asks: false }, NOW);
    assert!(app.sign_in.is_none() && asks(&effects, Call::Status(NoParams {})), "{effects:?}");
    press(&mut app, "enter");
    let lost = EngineAt::Lost(ApiError::new(ErrorKind::BadPassphrase, "needed"));
    app.update(Msg::EngineAt { at: lost, asks: true }, NOW);
    press(&mut app, "ctrl+c");
    assert!(picture(&app).contains("again leaves: 1 message is lost"), "{}", picture(&app));
    let sent = Sent {
        id: format!("{:032x}", 0x1001),
        chat: "ana".to_owned(),
        status: MessageStatus::Queued,
        ts_ms: NOW,
        results: Vec::new(),
    };
    let text =
        subrosa_client_core::api::SendParams { to: "ana".to_owned(), id: Some(sent.id.clone()), ..Default::default() };
    tell(&mut app, Answer::Send(text, Ok(sent)));
    // Another process came.
    app.update(Msg::EngineAt { at: EngineAt::Elsewhere, asks: false }, NOW);
    assert!(app.sign_in.is_none());
}

#[test]
fn a_locked_screen_whose_engine_is_gone_asks_once() {
    let mut app = locked((80, 24));
    let lost = EngineAt::Lost(ApiError::new(ErrorKind::BadPassphrase, "needed"));
    app.update(Msg::EngineAt { at: lost, asks: true }, NOW);
    assert!(picture(&app).contains("Locked"), "it stays locked");
    app.update(Msg::EngineAt { at: EngineAt::Here, asks: false }, NOW);
    assert!(picture(&app).contains("Locked"), "also when another process has the account");
}

proptest! {
    #[test]
    fn whatever_is_typed_or_pasted_no_gate_panics_or_shows_controls(
        screen in 0_usize..5,
        inputs in proptest::collection::vec("\\PC{0,12}|\u{1b}\\[2J|[\u{0}-\u{1f}]{1,4}|https://relay.example/i#\\PC{0,30}|👩‍👩‍👧‍👦", 0..12),
        keys in proptest::collection::vec(
            prop_oneof![Just("enter"), Just("tab"), Just("up"), Just("left"), Just("right"), Just("backspace"), Just("ctrl+w"), Just("esc")], 0..12),
        width in 30_u16..130,
        height in 8_u16..50,
    ) {
        let size = (width, height);
        let mut app = match screen {
            0 => first_run(size),
            1 => with_words(size),
            2 => unlock_screen(size),
            3 => locked(size),
            _ => taken_over(size),
        };
        for (at, input) in inputs.iter().enumerate() {
            app.update(Msg::Paste(input.clone()), NOW);
            press(&mut app, keys.get(at).unwrap_or(&"tab"));
            prop_assert!(!picture(&app).chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
