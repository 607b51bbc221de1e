//! The demo: a whole conversation, and nothing left behind.

// Test code may fail loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod support;

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command},
    sync::mpsc::{self, Receiver},
    time::Instant,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use serde_json::Value;
use support::{DEADLINE, Running, run, signal, subrosa};

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

/// A demo on a terminal of 90 columns and 20 rows.
struct Live {
    child: Child,
    keys: File,
    output: Receiver<Vec<u8>>,
    /// Everything written to the terminal so far.
    seen: String,
}

impl Live {
    fn start(place: &Path) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        tcsetwinsize(&controller, Winsize { ws_row: 20, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
        let terminal = || File::options().read(true).write(true).open(&name).unwrap();
        let child = demo(place, &[])
            .env("TERM", "xterm-256color")
            .stdin(terminal())
            .stdout(terminal())
            .stderr(terminal())
            .spawn()
            .unwrap();
        let keys = File::from(controller);
        let mut reader = keys.try_clone().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails once the last process has closed the terminal.
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, output, seen: String::new() }
    }

    fn wait_for(&mut self, part: &str) {
        let until = Instant::now() + DEADLINE;
        while !self.seen.contains(part) {
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{part:?} does not appear ({error}): {:?}", self.seen),
            }
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What gives the screen back as it was.
const LEAVES_SCREEN: &str = "\x1b[?1049l";

#[test]
fn on_a_terminal_robin_answers_and_the_ticks_move() {
    let place = tempfile::tempdir().unwrap();
    let mut live = Live::start(place.path());
    // The newest message stands in the list; its chat is the selected one.
    live.wait_for("Hi, I am");
    live.type_in("\r");
    live.wait_for("Robin.");
    live.type_in("what do the ticks mean?\r");
    // Only what changes is drawn, so spaces are jumped over: words are what can be waited for.
    live.wait_for("✓✓");
    live.wait_for("tick:");
    assert!(!live.seen.contains(LEAVES_SCREEN));
    live.type_in("\x03");
    live.wait_for("again");
    live.type_in("\x03");
    live.wait_for(LEAVES_SCREEN);
    live.wait_for("gone now");
    assert_eq!(live.child.wait().unwrap().code(), Some(0));
    assert_eq!(entries(place.path()), Vec::<String>::new());
}

#[test]
fn a_terminated_live_demo_gives_the_screen_back() {
    let place = tempfile::tempdir().unwrap();
    let mut live = Live::start(place.path());
    live.wait_for("Hi, I am");
    signal(live.child.id(), "TERM");
    live.wait_for(LEAVES_SCREEN);
    assert_eq!(live.child.wait().unwrap().code(), Some(143));
    assert_eq!(entries(place.path()), Vec::<String>::new());
}
