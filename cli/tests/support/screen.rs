//! The interface of an account, as a person has it on their terminal.

use std::process::Command;

use serde_json::Value;
use subrosa_pty::{Result, Terminal, keys};

use super::{Account, Relay, Running, connect, run, subrosa};

/// The program on a terminal that says nothing about itself but its type.
pub fn on_a_terminal() -> Command {
    let mut command = subrosa();
    for name in [
        "CI",
        "COLORTERM",
        "COLORFGBG",
        "TERM_PROGRAM",
        "TMUX",
        "SSH_TTY",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "RUST_BACKTRACE",
    ] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").env("TZ", "UTC");
    command
}

/// Ana, who sits before a terminal, and Ben, who uses commands.
pub struct Two {
    pub ana: Account,
    pub ben: Account,
    _relay: Relay,
}

impl Two {
    /// Two accounts that know each other.
    pub fn meet() -> Self {
        let relay = Relay::start();
        let (ana, ben) = (Account::init("ana", &relay), Account::init("ben", &relay));
        connect(&ana, &ben);
        Self { ana, ben, _relay: relay }
    }

    /// Ana's `subrosa`.
    pub fn program(&self) -> Command {
        let mut command = on_a_terminal();
        command.env("SUBROSA_HOME", self.ana.home()).env("SUBROSA_PASSPHRASE_FILE", self.ana.passphrase_file());
        command
    }

    /// Ana's interface, Ben in her list.
    pub fn open(&self, columns: u16, rows: u16) -> Result<Terminal> {
        let mut terminal = Terminal::start(self.program(), columns, rows)?;
        terminal.wait_for("ben")?;
        Ok(terminal)
    }

    /// Ana's interface with the chat with Ben open.
    pub fn open_chat(&self, columns: u16, rows: u16) -> Result<Terminal> {
        let mut terminal = self.open(columns, rows)?;
        terminal.send(keys::ENTER)?;
        terminal.wait_for("Write a message")?;
        Ok(terminal)
    }

    /// Ben wrote so many messages (`words 0`, `words 1`, …), and Ana has read them.
    pub fn ben_has_said(&self, count: usize, words: &str) {
        let lines: String = (0..count).map(|at| format!("{words} {at}\n")).collect();
        let sent = run(&mut self.ben.command(&["send", "ana", "--lines", "--wait", "sent"]), Some(lines.as_bytes()));
        assert_eq!(sent.code, Some(0), "{sent:?}");
        assert_eq!(self.ana.run(&["receive"]).code, Some(0));
        assert_eq!(self.ana.run(&["read", "ben"]).code, Some(0));
    }

    /// Ben writes; the id of his message.
    pub fn ben_says(&self, text: &str) -> String {
        let sent = self.ben.run(&["send", "ana", "-m", text, "--wait", "sent"]).line();
        sent["id"].as_str().unwrap().to_owned()
    }
}

/// The next message that somebody gets: its id and text.
pub fn next_message(listening: &Running) -> (String, String) {
    let message = listening.wait_for(|line| line["type"] == "message");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&message["id"]), text(&message["body"]))
}

/// Leaves, and finds the terminal as it was.
pub fn leave(mut terminal: Terminal) -> Result<()> {
    terminal.send(&keys::ctrl('q'))?;
    assert!(terminal.wait_end()?.success(), "{terminal}");
    assert_eq!(terminal.not_given_back()?, [""; 0]);
    Ok(())
}
