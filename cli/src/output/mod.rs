//! What a command prints: lines for people or one JSON object a line on stdout, notes on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use subrosa_client_core::{
    ApiError,
    api::{Done, Event, Line, LineContent},
    clean::{clean_line, json_line},
    config::Config,
};

pub(crate) mod columns;
pub(crate) mod human;
mod local;
mod people;
pub(crate) mod progress;
pub(crate) mod reader;
pub(crate) mod ticks;
pub(crate) mod time;
pub(crate) mod transcript;

use ticks::Ticks;

/// Where and how to print.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// No notes.
    pub(crate) quiet: bool,
    /// How many times `-v`.
    pub(crate) verbose: u8,
    /// How to show how far a message got.
    pub(crate) ticks: Ticks,
}

impl Output {
    /// As the terminal and the person's settings (`NO_COLOR`, locale, the settings file) allow.
    pub(crate) fn new(json: bool, quiet: bool, verbose: u8, config: &Config) -> Result<Self, ApiError> {
        // The environment is nearer than the file.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match config.get("colour")?.value.as_str() {
            // A flag has decided.
            _ if ColorChoice::global() != ColorChoice::Auto => {}
            "always" if !no_colour => ColorChoice::Always.write_global(),
            "never" => ColorChoice::Never.write_global(),
            _ => {}
        }
        let colour = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let unicode = ticks::locale_is_utf8() && !config.is_on("ascii")?;
        Ok(Self { json, quiet, verbose, ticks: Ticks { colour, unicode } })
    }

    /// Prints one result and flushes it.
    pub(crate) fn line(&self, content: impl Into<LineContent>) -> io::Result<()> {
        let content = content.into();
        if self.json {
            return print(&json(&Line::new(content))?);
        }
        print(&human::content(&content, self.ticks))
    }

    /// Prints one event and flushes it.
    pub(crate) fn event(&self, event: &Event) -> io::Result<()> {
        if self.json {
            return print(&event_json(event)?);
        }
        print(&human::event(event, self.ticks))
    }

    /// Prints that something was done: a line for programs, `text` for people.
    pub(crate) fn done(&self, done: Done, text: &str) -> io::Result<()> {
        if self.json { self.line(done) } else { print(&clean_line(text)) }
    }

    /// Prints text for people only; with `--json` nothing.
    pub(crate) fn text(&self, text: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { print(text) }
    }

    /// A QR code, to be printed with [`Output::text`].
    ///
    /// # Errors
    /// [`subrosa_client_core::ErrorKind::Failed`] when it is too long for one.
    pub(crate) fn qr(&self, content: &[u8]) -> Result<String, ApiError> {
        subrosa_client_core::qr::lines(content, self.ticks.colour)
            .ok_or_else(|| ApiError::new(subrosa_client_core::ErrorKind::Failed, "that is too long for a QR code"))
    }

    /// A note on stderr that helps a person go on; not with `--json` or `-q`.
    pub(crate) fn note(&self, text: &str) {
        if !self.json && !self.quiet {
            to_stderr(text);
        }
    }

    /// A warning on stderr; only `-q` silences it.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            to_stderr(&format!("warning: {}", clean_line(text)));
        }
    }

    /// A note that only `-v` shows.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose > 0 {
            to_stderr(&clean_line(text));
        }
    }
}

/// Whether the terminal says of itself that it understands no escape sequences.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Switches colours off for the whole process where the terminal has none, whatever settings
/// say: with the variable `CI` the crate that decides would take a dumb terminal for one with colours.
pub(crate) fn no_colour_if_dumb() {
    if is_dumb() {
        ColorChoice::Never.write_global();
    }
}

/// A line on stderr, without colours where it has none. That nobody reads it is no reason to fail.
pub(crate) fn to_stderr(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// An event as one JSON line.
pub(crate) fn event_json(event: &Event) -> io::Result<String> {
    json(&event.line())
}

/// One JSON object, harmless also when it meets a terminal.
pub(crate) fn json(line: &impl serde::Serialize) -> io::Result<String> {
    Ok(json_line(line)?)
}

/// Writes whole lines and flushes: whoever reads the other end of a pipe gets them now.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') && !text.is_empty() {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()
}

/// Whether both ends of a question are a person's.
pub(crate) fn can_ask(no_input: bool) -> bool {
    !no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
}
