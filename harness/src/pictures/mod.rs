//! Pictures of the real program for README and `docs/interface.md`: `subrosa demo` in a pseudo-terminal, driven to the scenes
//! worth showing, each screen written as SVG.
//!
//! Everything in them is real, so times, names' colours and links differ from run to run.

mod svg;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use subrosa_pty::{Terminal, keys};

pub use svg::{DARK, LIGHT, Look, svg};

/// A wide terminal: list and conversation side by side.
const WIDE: (u16, u16) = (104, 30);

/// Room for a QR code.
const TALL: (u16, u16) = (104, 42);

/// A terminal beside something else: one pane.
const NARROW: (u16, u16) = (50, 24);

/// Draws all pictures into a folder.
///
/// # Errors
/// The program does not show what is expected, or the folder cannot be written.
pub fn draw_all(program: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let album = Album { program, folder };
    album.dark()?;
    album.light()
}

struct Album<'a> {
    program: &'a Path,
    folder: &'a Path,
}

impl Album<'_> {
    /// The default theme: a conversation, and what opens over it.
    fn dark(&self) -> Result<()> {
        let mut terminal = self.demo(WIDE, false)?;
        terminal.wait_for("wants to talk to you")?;
        terminal.wait_for("Hi, I am")?;
        self.keep(&terminal, "start", DARK)?;

        open(&mut terminal, "maria")?;
        // She goes on writing; then one of her messages is answered.
        terminal.wait_for("until 18:00")?;
        terminal.send(keys::ESC)?;
        terminal.wait_for("NORMAL")?;
        terminal.send("kr")?;
        terminal.wait_for("↪ maria: And Noah asked")?;
        terminal.send("Of course, the more the better!")?;
        terminal.send(keys::ENTER)?;
        // In the list and in the conversation, and read.
        terminal.wait_until("her answer is read", |terminal| {
            let rows = terminal.rows();
            rows.iter().filter(|row| row.contains("Great, then we are three!")).count() == 2
                && rows.iter().all(|row| !row.contains("three! (1)"))
        })?;
        self.keep(&terminal, "conversation", DARK)?;

        terminal.send(&keys::ctrl('f'))?;
        terminal.send(keys::TAB)?;
        terminal.send("Saturday")?;
        terminal.wait_for("2 messages, newest first")?;
        self.keep(&terminal, "search", DARK)?;
        close(&mut terminal, "newest first")?;

        terminal.send(&keys::ctrl('k'))?;
        terminal.send("ver")?;
        terminal.wait_for("> ver")?;
        terminal.wait_for("Verify")?;
        self.keep(&terminal, "palette", DARK)?;
        close(&mut terminal, "Verify")?;

        terminal.send(keys::F1)?;
        terminal.wait_for("Leave: press it twice")?;
        self.keep(&terminal, "help", DARK)?;
        close(&mut terminal, "Leave: press it twice")?;

        terminal.resize(NARROW.0, NARROW.1)?;
        terminal.wait_until("one pane", |terminal| !terminal.shows("Chats") && terminal.shows("three!"))?;
        self.keep(&terminal, "narrow", DARK)?;

        terminal.resize(TALL.0, TALL.1)?;
        terminal.wait_for("Chats")?;
        terminal.send(&keys::ctrl('k'))?;
        terminal.send("invite")?;
        terminal.wait_for("> invite")?;
        terminal.wait_for("Invite")?;
        terminal.send(keys::ENTER)?;
        terminal.wait_for("Make a new link")?;
        terminal.send(keys::ENTER)?;
        terminal.wait_for("/i#")?;
        self.keep(&terminal, "invite", DARK)?;
        leave(terminal)
    }

    /// A terminal with a light background.
    fn light(&self) -> Result<()> {
        let mut terminal = self.demo(WIDE, true)?;
        terminal.wait_for("Hi, I am")?;
        open(&mut terminal, "robin")?;
        terminal.send("What do the ticks mean?")?;
        terminal.send(keys::ENTER)?;
        terminal.wait_for("encrypted, too.")?;
        terminal.wait_until("it is read", |terminal| terminal.rows().iter().all(|row| !row.contains("(1)")))?;
        self.keep(&terminal, "light", LIGHT)?;
        leave(terminal)
    }

    fn demo(&self, (columns, rows): (u16, u16), light: bool) -> Result<Terminal> {
        let mut command = Command::new(self.program);
        command.arg("demo").stdin(Stdio::null());
        // Nothing of the surroundings of whoever makes them.
        for name in ["NO_COLOR", "LC_ALL", "LC_CTYPE", "COLORTERM", "SUBROSA_LOG"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env("TZ", "UTC");
        command.env("COLORFGBG", if light { "0;15" } else { "15;0" });
        Ok(Terminal::start(command, columns, rows)?)
    }

    fn keep(&self, terminal: &Terminal, name: &str, look: Look) -> Result<()> {
        let path = self.folder.join(name).with_extension("svg");
        let text = svg(terminal.screen(), "Subrosa", look);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}

/// Opens a chat from the list.
fn open(terminal: &mut Terminal, name: &str) -> Result<()> {
    let at = terminal.find(name).with_context(|| format!("no {name} in the list"))?;
    terminal.send(&keys::click(at))?;
    terminal.wait_for("INSERT")?;
    Ok(())
}

fn close(terminal: &mut Terminal, shown: &str) -> Result<()> {
    terminal.send(keys::ESC)?;
    terminal.wait_gone(shown)?;
    Ok(())
}

fn leave(mut terminal: Terminal) -> Result<()> {
    terminal.send(&keys::ctrl('q'))?;
    terminal.wait_end()?;
    Ok(())
}
