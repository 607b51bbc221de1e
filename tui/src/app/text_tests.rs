//! Texts that run to the left, and web addresses in texts.

use super::{
    tests::{SIZES, snapshots},
    *,
};
use crate::{
    fixture::{NOW, answer_page, app, message, picture, press, with_ana_open},
    keymap::Profile,
};

/// Names and texts that run to the left, beside each other and beside times and ticks.
fn with_daniel_open(size: (u16, u16)) -> App {
    let mut app = app(Profile::Vim, size);
    let opened = press(&mut app, "j j j enter");
    let mut quoting = message("דניאל", 3, 5, true, "כן");
    quoting.reply_to = Some(subrosa_client_core::api::ReplyTo {
        id: format!("{:032x}", 1),
        from: Some(subrosa_client_core::api::Person { id: "d".to_owned(), name: "דניאל".to_owned() }),
        quote: Some("שלום, מה שלומך?".to_owned()),
    });
    let messages = [
        message("דניאל", 1, 9, false, "שלום, מה שלומך?\nhello, דניאל"),
        message("דניאל", 2, 7, true, "טוב! קרא את https://a.org/שלום ותגיד לי מה אתה חושב על זה, 👩‍👩‍👧‍👦 世界"),
        quoting,
    ];
    answer_page(&mut app, &opened, &messages);
    app
}

#[test]
fn pictures_of_texts_that_run_to_the_left() {
    snapshots("leftward", |size| {
        let mut app = with_daniel_open(size);
        press(&mut app, "esc");
        app
    });
}

#[test]
fn nothing_that_runs_to_the_left_turns_its_row_around() {
    let leftward = |c: char| matches!(c, '\u{590}'..='\u{8ff}');
    for size in SIZES {
        for keys in ["", "esc", "esc r", "esc c", "esc enter", "ctrl+k"] {
            let mut app = with_daniel_open(size);
            press(&mut app, keys);
            for row in picture(&app).lines() {
                let mut open = 0_usize;
                for c in row.chars() {
                    match c {
                        '\u{2066}'..='\u{2068}' => open += 1,
                        '\u{2069}' => open -= 1,
                        // Frames, times and ticks are outside.
                        '│' | '▌' | '▸' | '╭' | '✓' => assert_eq!(open, 0, "{size:?} {keys} {row:?}"),
                        c if leftward(c) => assert!(open > 0, "{size:?} {keys} {row:?}"),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[test]
fn links_of_a_message_are_opened_and_copied() {
    let mut app = app(Profile::Vim, (80, 24));
    let opened = press(&mut app, "enter");
    let one = message("ana", 1, 3, false, "see https://a.org/Köln");
    let two = message("ana", 2, 2, false, "https://b.org, or https://c.org? https://b.org!");
    answer_page(&mut app, &opened, &[one, two, message("ana", 3, 1, false, "nothing")]);
    assert_eq!(press(&mut app, "esc o Y"), [], "without a link there is nothing to open");
    app.update(Msg::Due, NOW + 60_000);
    assert_eq!(press(&mut app, "k k o"), [], "where it leads is shown first");
    assert!(picture(&app).contains("https://a.org/Köln"));
    assert_eq!(press(&mut app, "enter"), [Effect::OpenLink("https://a.org/K%C3%B6ln".to_owned())]);
    assert_eq!(press(&mut app, "Y"), [Effect::Copy("https://a.org/K%C3%B6ln".to_owned())]);
    assert_eq!(press(&mut app, "j enter o"), [], "which one is asked");
    let shown = picture(&app);
    assert!(shown.contains("Open which link") && shown.matches("▸ https://b.org").count() == 1, "{shown}");
    assert_eq!(press(&mut app, "down enter"), [Effect::OpenLink("https://c.org".to_owned())]);
    app.update(Msg::NotOpened("xdg-open did not open the link".to_owned()), NOW);
    assert!(picture(&app).contains("xdg-open did not open"));
}

#[test]
fn links_have_their_cells_until_something_lies_over_them() {
    let mut app = with_ana_open(Profile::Vim, (50, 20));
    let links = crate::fixture::hyperlinks(&app);
    assert!(links.iter().all(|link| link.address == "https://ci.example.org/runs/1742" && link.id == links[0].id));
    let cells: u16 = links.iter().map(|link| link.area.width).sum();
    assert_eq!(usize::from(cells), "https://ci.example.org/runs/1742".len(), "{links:?}");
    press(&mut app, "f1");
    assert!(crate::fixture::hyperlinks(&app).is_empty());
}
