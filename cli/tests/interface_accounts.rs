//! The interface makes an account, unlocks it, locks its screen, and survives the process that had the account.

use std::{path::Path, process::Command, time::Instant};

use crate::support::{
    Account, DEADLINE, Relay, Running, connect, run,
    screen::{leave, next_message, on_a_terminal},
    signal,
};
use subrosa_pty::{Result, Terminal, keys};

const PASSPHRASE: &str = "a passphrase of several words";
const F9: &str = "\x1b[20~";

/// The program as a person starts it who has set nothing.
fn program(home: &Path) -> Command {
    let mut command = on_a_terminal();
    command.env("SUBROSA_HOME", home).env("HOME", home);
    command
}

/// Ana, whose account is opened as these flags say, and Ben, who uses commands.
fn two_people(how: &[&str]) -> (Relay, Account, Account) {
    let relay = Relay::start();
    let (ana, ben) = (Account::init("ana", &relay), Account::init("ben", &relay));
    let mut change = ana.command(&["account", "passphrase"]);
    run(change.args(how), Some(format!("{PASSPHRASE}\n").as_bytes())).line();
    connect(&ana, &ben);
    (relay, ana, ben)
}

/// What comes from a pipe cannot be read again: this account asks. The passphrase is the one of the file that commands use.
const ASKS: &[&str] = &["--new-passphrase-file", "/dev/stdin"];

/// Runs the account until it is killed.
fn daemon(account: &Account) -> Running {
    let running = Running::start(&mut account.command(&["daemon"]));
    wait_for_engine(account, "daemon");
    running
}

fn wait_for_engine(account: &Account, kind: &str) {
    let until = Instant::now() + DEADLINE;
    // Each look is an answered command.
    while account.run(&["status"]).line()["engine"]["kind"] != kind {
        assert!(Instant::now() < until, "{kind} does not run the engine");
    }
}

#[test]
fn somebody_who_has_nothing_ends_with_a_link_for_a_friend() -> Result<()> {
    let relay = Relay::start();
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(program(home.path()), 80, 24)?;
    terminal.wait_for("Welcome to Subrosa")?;
    // Nothing answers there.
    terminal.send("http://127.0.0.1:1\r\rana\r\r")?;
    terminal.send(&format!("{PASSPHRASE}\r{PASSPHRASE}\r"))?;
    terminal.wait_for("▸ Make the account")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("connection refused")?;
    assert!(!terminal.shows(PASSPHRASE));
    // What was typed is still there: only the relay is another one.
    terminal.send(keys::TAB)?;
    terminal.send(&keys::ctrl('u'))?;
    terminal.send(&keys::pasted(&relay.link))?;
    terminal.wait_for(relay.url.trim_end_matches('/'))?;
    for _ in 0..5 {
        terminal.send(keys::ENTER)?;
    }
    terminal.wait_for("▸ Make the account")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("The account is made")?;
    let words: Vec<String> = (1..=24).map(|n| word(&terminal, n)).collect();
    terminal.send(keys::ENTER)?;
    terminal.wait_for("from your paper")?;
    let asked: usize = {
        let row = terminal.rows().into_iter().find(|row| row.contains("from your paper")).unwrap();
        row.split_whitespace().nth(1).unwrap().trim_end_matches(',').parse().unwrap()
    };
    terminal.send(&format!("{}\r", words[asked - 1]))?;
    terminal.wait_for("/i#")?;
    terminal.wait_for("Were you sent a link yourself?")?;
    // One of them may stand here by chance: they are words like "you" and "own".
    let still = words.iter().filter(|word| terminal.shows(word)).count();
    assert!(still < words.len() / 2, "{still} of them are still shown: {terminal}");
    leave(terminal)?;

    // The account is one like any other, and it asks.
    let mut terminal = Terminal::start(program(home.path()), 80, 24)?;
    terminal.wait_for("Passphrase")?;
    terminal.send("wrong\r")?;
    terminal.wait_for("not the passphrase")?;
    terminal.send(&format!("{PASSPHRASE}\r"))?;
    terminal.wait_for("online")?;
    leave(terminal)
}

/// A recovery word by its number, from the screen.
fn word(terminal: &Terminal, number: usize) -> String {
    let rows = terminal.rows();
    let found = rows.iter().find_map(|row| {
        let cells: Vec<&str> = row.split_whitespace().collect();
        cells.windows(2).find(|pair| pair[0] == number.to_string()).map(|pair| pair[1].to_owned())
    });
    found.unwrap_or_else(|| panic!("word {number}: {terminal}"))
}

/// The interface with Ben's chat open.
fn writing_to_ben(ana: &Account) -> Result<Terminal> {
    let mut terminal = Terminal::start(program(&ana.home()), 100, 30)?;
    terminal.wait_for("ben")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("INSERT")?;
    Ok(terminal)
}

#[test]
fn when_the_owner_is_killed_nothing_is_lost_and_nothing_sent_twice() -> Result<()> {
    let (_relay, ana, ben) = two_people(ASKS);
    let owner = daemon(&ana);
    let hears = ben.listen(&[]);
    // Somebody else runs the engine: no question.
    let mut terminal = writing_to_ben(&ana)?;
    terminal.send("before\r")?;
    assert_eq!(next_message(&hears).1, "before");
    // Stopped, it takes the message and does not answer; killed, it never will.
    signal(owner.pid(), "STOP");
    terminal.send("in flight\r")?;
    terminal.wait_for("in flight")?;
    terminal.send("half a thought")?;
    // On the screen before the card is: that has the keys.
    terminal.wait_for("> half a thought")?;
    drop(owner);
    terminal.wait_for("Taking over")?;
    terminal.send("wrong\r")?;
    terminal.wait_for("not the passphrase")?;
    assert!(terminal.shows("half a thought") && terminal.shows("account closed"), "{terminal}");
    ben.run(&["send", "ana", "-m", "while nobody was there", "--wait", "sent"]).line();
    terminal.send(&format!("{PASSPHRASE}\r"))?;
    terminal.wait_gone("Taking over")?;
    terminal.wait_for("while nobody was there")?;
    wait_for_engine(&ana, "tui");
    terminal.wait_for("> half a thought")?;
    terminal.send(", finished\r")?;
    assert_eq!(next_message(&hears).1, "in flight");
    assert_eq!(next_message(&hears).1, "half a thought, finished", "each once, in their order");
    leave(terminal)
}

#[test]
fn the_question_goes_away_when_another_process_runs_the_account() -> Result<()> {
    let (_relay, ana, ben) = two_people(ASKS);
    let owner = daemon(&ana);
    let hears = ben.listen(&[]);
    let mut terminal = writing_to_ben(&ana)?;
    drop(owner);
    terminal.wait_for("Taking over")?;
    // Nobody holds the account while a person is asked.
    let _again = daemon(&ana);
    terminal.wait_gone("Taking over")?;
    terminal.send("still here\r")?;
    assert_eq!(next_message(&hears).1, "still here");
    leave(terminal)
}

#[test]
fn an_account_with_a_key_file_is_taken_over_without_a_question() -> Result<()> {
    let place = tempfile::tempdir().unwrap();
    let key = place.path().join("key");
    let (_relay, ana, ben) = two_people(&["--new-key-file", key.to_str().unwrap()]);
    let owner = daemon(&ana);
    let mut terminal = writing_to_ben(&ana)?;
    drop(owner);
    wait_for_engine(&ana, "tui");
    ben.run(&["send", "ana", "-m", "is anybody there?", "--wait", "delivered"]).line();
    terminal.wait_for("is anybody there?")?;
    assert!(!terminal.shows("Taking over"), "{terminal}");
    // It has nothing to lock with, and says so.
    terminal.send(F9)?;
    terminal.wait_for("Nothing to lock with")?;
    terminal.send(keys::ESC)?;
    terminal.wait_gone("Nothing to lock with")?;
    leave(terminal)
}

#[test]
fn a_locked_screen_shows_nothing_and_receives_but_does_not_read() -> Result<()> {
    let (_relay, ana, ben) = two_people(ASKS);
    let hears = ben.listen(&[]);
    let mut terminal = Terminal::start(program(&ana.home()), 100, 30)?;
    terminal.wait_for("Passphrase")?;
    terminal.send(&format!("{PASSPHRASE}\r"))?;
    terminal.wait_for("ben")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("INSERT")?;
    terminal.send(F9)?;
    terminal.wait_for("Locked")?;
    terminal.wait_until("the title tells nothing", |terminal| terminal.title() == "Subrosa (locked)")?;
    assert!(!terminal.shows("ben"), "{terminal}");
    let sent = ben.run(&["send", "ana", "-m", "for your eyes", "--wait", "delivered"]).line();
    assert_eq!(sent["status"], "delivered");
    terminal.send("wrong\r")?;
    terminal.wait_for("not the passphrase")?;
    assert!(!terminal.shows("eyes") && !terminal.shows("ben"), "{terminal}");
    terminal.send(&format!("{PASSPHRASE}\r"))?;
    // Where it was: the chat is open, and now it counts as read.
    terminal.wait_for("for your eyes")?;
    hears.wait_for(|line| line["type"] == "receipt" && line["id"] == sent["id"] && line["status"] == "read");
    leave(terminal)
}
