//! Manners on the terminal: it is given back whatever happens, nothing of others reaches it raw, and poor ones are drawn on, too.

use crate::support::screen::{Two, leave, on_a_terminal};
use rustix::process::Signal;
use subrosa_pty::{Color, Result, Terminal, keys};

const NOTHING: [&str; 0] = [];

#[test]
fn suspended_the_terminal_is_the_shells_and_afterwards_all_is_drawn_again() -> Result<()> {
    let two = Two::meet();
    two.ben_says("before the break");
    let mut terminal = two.open_chat(100, 30)?;
    terminal.wait_for("before the break")?;
    for how in ["key", "signal", "stopped"] {
        assert!(terminal.screen().alternate_screen() && terminal.screen().bracketed_paste());
        match how {
            "key" => terminal.send(&keys::ctrl('z'))?,
            "signal" => terminal.signal(Signal::TSTP)?,
            // Nobody can tidy up for this one; what counts is what follows.
            _ => terminal.signal(Signal::STOP)?,
        }
        terminal.wait_stopped()?;
        if how != "stopped" {
            let given_back = |terminal: &Terminal| terminal.not_given_back().is_ok_and(|not| not.is_empty());
            terminal.wait_until(&format!("it is given back ({how})"), given_back)?;
        }
        terminal.signal(Signal::CONT)?;
        terminal.wait_until("drawn again", |terminal| {
            terminal.screen().alternate_screen()
                && terminal.screen().bracketed_paste()
                && terminal.shows("before the break")
        })?;
        // And keys work.
        terminal.send(how)?;
        terminal.wait_for(&format!("> {how}"))?;
        terminal.send(&keys::ctrl('u'))?;
        terminal.wait_for("Write a message")?;
    }
    leave(terminal)
}

#[test]
fn a_signal_or_a_fault_gives_the_terminal_back() -> Result<()> {
    let two = Two::meet();
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut terminal = two.open_chat(80, 24)?;
        terminal.signal(signal)?;
        assert_eq!(terminal.wait_end()?.code(), Some(code), "{terminal}");
        assert_eq!(terminal.not_given_back()?, NOTHING, "{signal:?}");
    }
    for place in ["drawing", "asking"] {
        let mut program = two.program();
        program.env("SUBROSA_PANIC_AT", place);
        let mut terminal = Terminal::start(program, 80, 24)?;
        assert!(!terminal.wait_end()?.success(), "{terminal}");
        assert_eq!(terminal.not_given_back()?, NOTHING, "{place}");
        assert!(terminal.shows(&format!("told to panic while {place}")), "it says why: {terminal}");
    }
    Ok(())
}

/// Whether these bytes were sent to the terminal.
fn sent(terminal: &Terminal, bytes: &str) -> bool {
    terminal.raw().windows(bytes.len()).any(|window| window == bytes.as_bytes())
}

#[test]
fn nothing_that_others_write_reaches_the_terminal_raw() -> Result<()> {
    let two = Two::meet();
    assert_eq!(two.ana.run(&["config", "set", "tui.notify", "osc777"]).code, Some(0));
    assert_eq!(two.ana.run(&["config", "set", "tui.preview", "full"]).code, Some(0));
    let mut terminal = two.open(100, 30)?;
    let hostile = [
        "title \x1b]0;stolen\x07 and \x1b]2;stolen\x1b\\ end1",
        "clipboard \x1b]52;c;c3RvbGVu\x07 end2",
        "screen \x1b[2J\x1b[H\x1b[?1049l\u{9b}31m\u{90}stolen\u{9c} end3",
        "bidi \u{202e}nelots\u{202c} \u{2066}x\u{2069} \u{200f} end4",
        "notice \x1b]777;notify;stolen;stolen\x07;stolen \x1b]9;stolen\x07 end5",
        "link \x1b]8;;http://stolen.example\x1b\\click\x1b]8;;\x1b\\ end6",
        "bell \x07\x08\x08\x7f\r\nover \x1b[6n\x1b[c end7",
    ];
    // Unread, with notices and previews in the list; then read, quoted, searched.
    terminal.send(keys::focus(false))?;
    for text in hostile {
        two.ben_says(text);
    }
    terminal.wait_until("all have come", |terminal| terminal.notices().iter().any(|notice| notice.contains("end7")))?;
    terminal.send(keys::focus(true))?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("INSERT")?;
    for end in 1..=7 {
        terminal.wait_for(&format!("end{end}"))?;
    }
    terminal.send(keys::ESC)?;
    terminal.wait_for("NORMAL")?;
    terminal.send("kr")?;
    terminal.wait_for("↪ ben:")?;
    terminal.send("answer")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("▎ ben:")?;
    terminal.send(&keys::ctrl('f'))?;
    terminal.send("clipboard")?;
    terminal.wait_for("1 message")?;
    terminal.send(keys::ESC)?;
    terminal.wait_gone("1 message")?;

    assert_eq!(terminal.title(), "Subrosa");
    assert_eq!(terminal.copied(), [""; 0]);
    for notice in terminal.notices() {
        assert!(notice.starts_with("notify;ben;"), "{notice}");
    }
    let parts = [
        "\x1b]0;stolen",
        "\x1b]2;stolen",
        "c3RvbGVu\x07",
        "\x1b[6n",
        "\x1b[c",
        "\x1b[?1049l",
        "\x1b]777;notify;stolen",
        "\x1b]9;",
        "\x1b]8;;http://stolen",
        "\u{9b}",
        "\u{90}",
        "\u{9c}",
        "\u{202e}",
        "\u{202c}",
        "\u{2066}",
        "\u{2069}",
        "\u{200f}",
        "\x08",
        "\x7f",
    ];
    for part in parts {
        assert!(!sent(&terminal, part), "{part:?} was sent");
    }
    leave(terminal)
}

#[test]
fn a_notice_says_as_much_as_was_chosen_and_only_while_nobody_looks() -> Result<()> {
    let two = Two::meet();
    for (notify, preview, expected) in [
        ("osc9", "full", Some("ben: hello there")),
        ("osc777", "sender", Some("notify;ben;New message")),
        ("osc9", "none", Some("Subrosa: New message")),
        ("bell", "full", None),
        ("off", "full", None),
    ] {
        assert_eq!(two.ana.run(&["config", "set", "tui.notify", notify]).code, Some(0));
        assert_eq!(two.ana.run(&["config", "set", "tui.preview", preview]).code, Some(0));
        let mut terminal = two.open_chat(80, 24)?;
        terminal.send(keys::focus(false))?;
        two.ben_says("hello there");
        terminal.wait_for("hello there")?;
        terminal.wait_until("the title counts it", |terminal| terminal.title() == "(1) Subrosa")?;
        assert_eq!(terminal.notices().last().map(String::as_str), expected, "{notify} {preview}");
        assert_eq!(terminal.bells(), usize::from(notify != "off"), "{notify}");
        // Looked at, it is read, and what comes then is no news.
        terminal.send(keys::focus(true))?;
        terminal.wait_until("the title forgets it", |terminal| terminal.title() == "Subrosa")?;
        let before = (terminal.notices().len(), terminal.bells());
        two.ben_says(&format!("seen with {notify} and {preview}"));
        terminal.wait_for(&format!("seen with {notify} and {preview}"))?;
        terminal.wait_until("it is read, too", |terminal| terminal.title() == "Subrosa")?;
        assert_eq!((terminal.notices().len(), terminal.bells()), before);
        leave(terminal)?;
    }
    Ok(())
}

#[test]
fn without_colours_and_without_unicode_read_and_delivered_still_differ() -> Result<()> {
    let two = Two::meet();
    let ben = two.ben.listen(&[]);
    for (name, value, delivered, read) in [("NO_COLOR", "1", "✓✓", "✓✓*"), ("LANG", "C", "++", "++*")] {
        let mut program = two.program();
        program.env(name, value);
        let mut terminal = Terminal::start(program, 80, 24)?;
        terminal.wait_for("ben")?;
        terminal.send(keys::ENTER)?;
        terminal.wait_for("Write a message")?;
        terminal.send(&format!("with {name}"))?;
        terminal.send(keys::ENTER)?;
        let (id, _) = crate::support::screen::next_message(&ben);
        let ends = |terminal: &Terminal, tick: &str| {
            terminal.rows().iter().any(|row| row.contains(&format!("with {name}")) && row.trim_end().ends_with(tick))
        };
        terminal.wait_until("it is delivered", |terminal| ends(terminal, delivered))?;
        assert_eq!(two.ben.run(&["read", &id]).code, Some(0));
        terminal.wait_until("it is read", |terminal| ends(terminal, read))?;
        let (rows, columns) = terminal.screen().size();
        for (row, column) in (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column))) {
            let cell = terminal.screen().cell(row, column).unwrap();
            if name == "NO_COLOR" {
                assert_eq!((cell.fgcolor(), cell.bgcolor()), (Color::Default, Color::Default), "{row},{column}");
            } else {
                assert!(cell.contents().is_ascii(), "{row},{column}: {terminal}");
            }
        }
        leave(terminal)?;
    }
    Ok(())
}

#[test]
fn a_dumb_terminal_is_not_drawn_on() -> Result<()> {
    let two = Two::meet();
    let mut program = two.program();
    program.env("TERM", "dumb");
    let mut terminal = Terminal::start(program, 80, 24)?;
    assert!(terminal.wait_end()?.success(), "{terminal}");
    assert!(terminal.shows("subrosa"), "{terminal}");
    assert!(!terminal.raw().contains(&0x1b));

    let place = tempfile::tempdir().unwrap();
    let mut demo = on_a_terminal();
    demo.arg("demo").env("TMPDIR", place.path()).env("HOME", place.path()).env("TERM", "dumb").env("CI", "true");
    let mut terminal = Terminal::start(demo, 80, 24)?;
    assert!(terminal.wait_end()?.success(), "{terminal}");
    assert!(!terminal.raw().contains(&0x1b), "the script: {terminal}");
    Ok(())
}

#[test]
fn a_terminal_of_no_room_says_so_until_there_is_some() -> Result<()> {
    let two = Two::meet();
    let mut terminal = Terminal::start(two.program(), 20, 5)?;
    terminal.wait_for("no room here")?;
    terminal.resize(60, 20)?;
    terminal.wait_for("ben")?;
    leave(terminal)
}
