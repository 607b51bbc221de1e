//! The interface on a real terminal: what a person does, and what the screen shows of it.

use crate::support::screen::{Two, leave, next_message};
use subrosa_pty::{Result, Terminal, keys};

/// The row with this text, as far as it is shown.
fn row(terminal: &Terminal, text: &str) -> String {
    terminal.rows().into_iter().find(|row| row.contains(text)).unwrap_or_default()
}

#[test]
fn write_see_the_ticks_move_get_an_answer_and_reply_to_it() -> Result<()> {
    let two = Two::meet();
    let mut terminal = two.open_chat(100, 30)?;
    let ben = two.ben.listen(&[]);

    terminal.send("at the harbour")?;
    terminal.wait_for("> at the harbour")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("Write a message")?;
    let (id, body) = next_message(&ben);
    assert_eq!(body, "at the harbour");
    // Delivered and read are the same sign in another weight and colour.
    let bold = |terminal: &Terminal| terminal.cell_of("✓✓").map(subrosa_pty::Cell::bold);
    terminal.wait_until("it is delivered", |terminal| bold(terminal) == Some(false))?;
    assert_eq!(two.ben.run(&["read", &id]).code, Some(0));
    terminal.wait_until("it is read", |terminal| bold(terminal) == Some(true))?;

    let question = two.ben_says("when do we meet?");
    terminal.wait_for("when do we meet?")?;
    // The chat is open, the terminal has the keyboard, the end is in view: it counts as read.
    ben.wait_for(|line| line["type"] == "receipt" && line["id"] == question && line["status"] == "read");

    terminal.send(keys::ESC)?;
    terminal.wait_for("NORMAL")?;
    terminal.send("r")?;
    terminal.wait_for("↪ ben: when do we meet?")?;
    terminal.send("at noon")?;
    terminal.send(keys::ENTER)?;
    let answer = ben.wait_for(|line| line["type"] == "message");
    assert_eq!((&answer["body"], &answer["reply_to"]["id"]), (&"at noon".into(), &question.into()));
    terminal.wait_for("▎ ben: when do we meet?")?;
    leave(terminal)
}

#[test]
fn an_old_message_is_found_and_gone_to() -> Result<()> {
    let two = Two::meet();
    two.ben_says("the code of the door is 4711");
    two.ben_has_said(60, "small talk");
    let mut terminal = two.open_chat(100, 30)?;
    terminal.wait_for("small talk 50")?;
    assert!(!terminal.shows("4711"));
    terminal.send(&keys::ctrl('f'))?;
    terminal.send("door")?;
    terminal.wait_for("4711")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_until("the hit and what followed it", |terminal| {
        terminal.shows("4711") && terminal.shows("small talk 3") && !terminal.shows("small talk 50")
    })?;
    terminal.wait_for("NORMAL")?;
    // And back to where one was.
    terminal.send("G")?;
    terminal.wait_for("small talk 50")?;
    terminal.wait_gone("4711")?;
    leave(terminal)
}

#[test]
fn pasted_lines_are_not_sent_and_help_and_palette_open() -> Result<()> {
    let two = Two::meet();
    let mut terminal = two.open_chat(100, 30)?;
    let ben = two.ben.listen(&[]);
    terminal.send(&keys::pasted("first line\nsecond line\r\nthird line\n"))?;
    terminal.wait_for("third line")?;
    terminal.wait_for("> first line")?;

    terminal.send(keys::F1)?;
    terminal.wait_for("Leave: press it twice")?;
    terminal.send(keys::ESC)?;
    terminal.wait_gone("Leave: press it twice")?;

    terminal.send(&keys::ctrl('k'))?;
    terminal.send("invit")?;
    terminal.wait_for("Invite")?;
    terminal.send(keys::ESC)?;
    terminal.wait_gone("Invite")?;

    terminal.send(keys::BACKSPACE)?;
    terminal.send(keys::ENTER)?;
    // Nothing came before the one message with all its lines.
    assert_eq!(next_message(&ben).1, "first line\nsecond line\nthird line");
    leave(terminal)
}

#[test]
fn the_window_changes_its_size_while_one_writes() -> Result<()> {
    let two = Two::meet();
    two.ben_says("something to see");
    let mut terminal = two.open_chat(120, 40)?;
    terminal.wait_for("something to see")?;
    terminal.wait_for("Chats")?;
    terminal.send("a text ")?;
    // One pane: the conversation.
    terminal.resize(50, 20)?;
    terminal.send("that goes on ")?;
    terminal.wait_until("one pane", |terminal| {
        terminal.shows("> a text that goes on") && terminal.shows("something to see") && !terminal.shows("Chats ")
    })?;
    // No room at all, and typing goes on.
    terminal.resize(20, 5)?;
    terminal.wait_for("20x5")?;
    terminal.send("and on")?;
    terminal.resize(80, 24)?;
    terminal.wait_for("> a text that goes on and on")?;
    terminal.wait_until("two panes", |terminal| terminal.shows("Chats") && terminal.shows("something to see"))?;
    for (columns, rows) in [(1, 1), (300, 100), (30, 8), (200, 2), (64, 16)] {
        terminal.resize(columns, rows)?;
    }
    terminal.wait_for("> a text that goes on and on")?;
    leave(terminal)
}

#[test]
fn a_mouse_opens_chats_scrolls_and_selects() -> Result<()> {
    let two = Two::meet();
    two.ben_has_said(60, "line");
    let mut terminal = two.open(100, 30)?;
    let at = terminal.find("ben").unwrap();
    terminal.send(&keys::click(at))?;
    terminal.wait_for("line 50")?;
    let at = terminal.find("line 50").unwrap();
    for _ in 0..8 {
        terminal.send(&keys::wheel(true, at))?;
    }
    terminal.wait_until("8 times 3 rows", |terminal| terminal.shows("line 11") && !terminal.shows("line 36"))?;
    let at = terminal.find("line 30").unwrap();
    terminal.send(&keys::click(at))?;
    terminal.wait_for("NORMAL")?;
    assert!(row(&terminal, "line 30").contains("▌"), "{terminal}");
    // What is selected is what is copied.
    terminal.send("y")?;
    terminal.wait_until("it is copied", |terminal| terminal.copied() == ["bGluZSAzMA=="])?;
    terminal.send(&keys::click((28, 50)))?;
    terminal.wait_for("INSERT")?;
    leave(terminal)
}
