//! All JSON that the relay and its host's verbs write: nothing in it acts on a terminal ([`escape_json`]).

use std::io::{self, Write};

use serde::Serialize;
use subrosa_wire::harmless::{escape_json, into_harmless};

/// A value as one line.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<String> {
    Ok(into_harmless(serde_json::to_string(value)?))
}

/// What the log's JSON goes through, a whole line at a time.
pub(crate) struct Harmless<W>(pub(crate) W);

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        // In one call: lines of several threads do not mix.
        self.0.write_all([&*escape_json(line), end].concat().as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_an_answer_nor_a_log_line_acts_on_a_terminal() {
        let hostile = "a\u{9b}31m\u{202e}\u{2028}\u{200b}\u{e0067}\x7fb";
        let line = json_line(&serde_json::json!({ "note": hostile })).unwrap();
        let mut log = Vec::new();
        Harmless(&mut log).write_all((serde_json::to_string(hostile).unwrap() + "\n").as_bytes()).unwrap();
        let log = String::from_utf8(log).unwrap();
        assert!(
            line.bytes().chain(log.trim_end().bytes()).all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            "{line} {log}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["note"], hostile);
        assert_eq!(serde_json::from_str::<String>(&log).unwrap(), hostile);
    }
}
