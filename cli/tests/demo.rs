//! The demo: a whole conversation, and nothing left behind.

use std::{collections::HashMap, path::Path, process::Command};

use crate::support::{Running, run, subrosa};
use rustix::process::Signal;
use serde_json::Value;
use subrosa_pty::{Result, Terminal, keys};

/// A demo that uses `place` for its temporary files, and for nothing else.
fn demo(place: &Path, arguments: &[&str]) -> Command {
    let mut command = subrosa();
    command.arg("demo").args(arguments).env("TMPDIR", place).env("HOME", place.join("nobody"));
    command
}

fn entries(place: &Path) -> Vec<String> {
    std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_script_shows_every_change_of_state_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let outcome = run(&mut demo(place.path(), &["--script"]), None);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let count = |state: &str| outcome.stdout.lines().filter(|line| line.contains(&format!(" {state} "))).count();
    let queued = count("queued");
    assert!(queued >= 4, "{outcome:?}");
    for state in ["sent", "delivered", "read"] {
        let ends_with = outcome.stdout.lines().filter(|line| line.trim_end().ends_with(state)).count();
        assert_eq!(ends_with, queued, "{state}: {}", outcome.stdout);
    }
    for direction in ["you → robin", "robin → you"] {
        assert!(outcome.stdout.contains(direction), "{}", outcome.stdout);
    }
    assert!(outcome.stdout.contains("◷ ") && outcome.stdout.contains("✓✓* read"), "{}", outcome.stdout);
    assert_eq!(entries(place.path()), Vec::<String>::new());
}

#[test]
fn the_script_as_json_has_both_sides_events_in_order() {
    let place = tempfile::tempdir().unwrap();
    let outcome = run(&mut demo(place.path(), &["--json"]), None);
    let mut states: HashMap<String, Vec<String>> = HashMap::new();
    let mut messages = 0;
    for line in outcome.ok() {
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        match line["type"].as_str().unwrap() {
            "state" | "receipt" => states.entry(text("id")).or_default().push(text("status")),
            "message" => messages += 1,
            _ => {}
        }
    }
    assert!(messages >= 4);
    assert_eq!(states.len(), messages);
    for (id, states) in states {
        assert_eq!(states, ["queued", "sent", "delivered", "read"], "{id}");
    }
    assert_eq!(entries(place.path()), Vec::<String>::new());
}

#[test]
fn what_a_killed_demo_leaves_the_next_one_removes() {
    let place = tempfile::tempdir().unwrap();
    let killed = Running::start(&mut demo(place.path(), &["--script", "--json"]));
    let first: Value = serde_json::from_str(&killed.line()).unwrap();
    assert_eq!(first["v"], 1);
    assert!(!killed.end("KILL").success());
    assert_eq!(entries(place.path()).len(), 1, "a killed demo cannot clean up");
    assert_eq!(run(&mut demo(place.path(), &["--script"]), None).code, Some(0));
    assert_eq!(entries(place.path()), Vec::<String>::new());
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let place = tempfile::tempdir().unwrap();
        let running = Running::start(&mut demo(place.path(), &["--script", "--json"]));
        running.line();
        assert_eq!(running.end(name).code(), Some(code));
        assert_eq!(entries(place.path()), Vec::<String>::new(), "{name}");
    }
}

/// A live demo on a terminal of its own.
fn live(place: &Path) -> Result<Terminal> {
    let mut command = crate::support::screen::on_a_terminal();
    command.arg("demo").env("TMPDIR", place).env("HOME", place.join("nobody"));
    Terminal::start(command, 90, 20)
}

#[test]
fn on_a_terminal_robin_answers_and_the_ticks_move() -> Result<()> {
    let place = tempfile::tempdir().unwrap();
    let mut terminal = live(place.path())?;
    // The newest message stands in the list; its chat is the selected one.
    terminal.wait_for("Hi, I am")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("I am Robin.")?;
    terminal.send("what do the ticks mean?")?;
    terminal.send(keys::ENTER)?;
    terminal.wait_for("✓✓")?;
    terminal.wait_for("tick:")?;
    terminal.send(&keys::ctrl('c'))?;
    terminal.wait_for("again")?;
    assert!(terminal.screen().alternate_screen());
    terminal.send(&keys::ctrl('c'))?;
    assert_eq!(terminal.wait_end()?.code(), Some(0));
    assert!(terminal.shows("gone now"), "{terminal}");
    assert_eq!(terminal.not_given_back()?, [""; 0]);
    assert_eq!(entries(place.path()), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_terminated_live_demo_gives_the_screen_back() -> Result<()> {
    let place = tempfile::tempdir().unwrap();
    let mut terminal = live(place.path())?;
    terminal.wait_for("Hi, I am")?;
    terminal.signal(Signal::TERM)?;
    assert_eq!(terminal.wait_end()?.code(), Some(143));
    assert_eq!(terminal.not_given_back()?, [""; 0]);
    assert_eq!(entries(place.path()), Vec::<String>::new());
    Ok(())
}
