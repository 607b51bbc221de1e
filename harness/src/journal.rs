//! What was promised and what was shown, kept outside the databases under test, and the verdict on it.
//!
//! *Promised*: a `send` call that the engine answered. *Shown*: a message line that a `listen`
//! process printed. The journal is in memory for the verdict and in a file for a person who has to
//! find out what went wrong.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Serialize;
use subrosa_client_core::api::MessageStatus;
use tokio::sync::watch;

use crate::stream::{Printed, What};

/// One thing that happened, in the order the harness saw it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A `send` call is about to be made.
    Attempted {
        /// Account id of the sender.
        by: String,
        /// Message id.
        id: String,
        /// Its place among the sender's messages.
        index: u64,
        /// Text.
        body: String,
    },
    /// The engine answered it.
    Accepted {
        /// Message id.
        id: String,
    },
    /// A `listen` process started.
    Listening {
        /// Account id.
        at: String,
        /// Its `--since`.
        since: u64,
    },
    /// It printed a message of somebody else.
    Shown {
        /// Account id of the reader.
        at: String,
        /// Place in the event stream.
        cursor: u64,
        /// Message id.
        id: String,
        /// Account id of the author.
        from: String,
        /// Text.
        body: String,
    },
    /// It printed that a message of its own moved.
    Moved {
        /// Account id of the sender.
        at: String,
        /// Place in the event stream.
        cursor: u64,
        /// Message id.
        id: String,
        /// The new status.
        status: MessageStatus,
    },
    /// It printed something else.
    Other {
        /// Account id.
        at: String,
        /// Place in the event stream.
        cursor: u64,
        /// The line.
        line: String,
    },
    /// A process started or ended, for the reader of the file.
    Process {
        /// Which, and what happened.
        text: String,
    },
    /// Something that must not be: it stands in the verdict as it is.
    Wrong {
        /// What.
        text: String,
    },
}

/// How far everything has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// `send` calls answered.
    pub accepted: usize,
    /// Of these, accepted by a relay.
    pub sent: usize,
    /// Answered and not yet shown at the other side.
    pub to_show: usize,
    /// Answered and not yet reported as delivered.
    pub to_deliver: usize,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    accepted: HashSet<String>,
    sent: HashSet<String>,
    shown: HashSet<String>,
    delivered: HashSet<String>,
    progress: Progress,
    /// When the last entry was made, and the longest time without one so far.
    last: Option<Instant>,
    longest_silence: Duration,
    file: Option<std::fs::File>,
}

impl Inner {
    fn accept(&mut self, id: &str) {
        if !self.accepted.insert(id.to_owned()) {
            return;
        }
        self.progress.accepted += 1;
        self.progress.sent += usize::from(self.sent.contains(id));
        self.progress.to_show += usize::from(!self.shown.contains(id));
        self.progress.to_deliver += usize::from(!self.delivered.contains(id));
    }

    fn show(&mut self, id: &str) {
        if self.shown.insert(id.to_owned()) && self.accepted.contains(id) {
            self.progress.to_show -= 1;
        }
    }

    fn moved(&mut self, id: &str, status: MessageStatus) {
        if matches!(status, MessageStatus::Queued | MessageStatus::Failed | MessageStatus::Expired) {
            return;
        }
        let accepted = self.accepted.contains(id);
        if self.sent.insert(id.to_owned()) && accepted {
            self.progress.sent += 1;
        }
        if status != MessageStatus::Sent && self.delivered.insert(id.to_owned()) && accepted {
            self.progress.to_deliver -= 1;
        }
    }
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    started: Instant,
    inner: Mutex<Inner>,
    progress: watch::Sender<Progress>,
}

impl Journal {
    /// An empty journal that also writes each entry to `file`: milliseconds since now, and a JSON object.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(file: &Path) -> Result<Self> {
        let file = std::fs::File::create(file).with_context(|| format!("journal {}", file.display()))?;
        Ok(Self {
            started: Instant::now(),
            inner: Mutex::new(Inner { file: Some(file), ..Inner::default() }),
            progress: watch::channel(Progress::default()).0,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry.
    pub fn add(&self, entry: Entry) {
        let mut inner = self.lock();
        match &entry {
            Entry::Accepted { id } => inner.accept(id),
            Entry::Shown { id, .. } => inner.show(id),
            Entry::Moved { id, status, .. } => inner.moved(id, *status),
            _ => {}
        }
        let now = Instant::now();
        if let Some(last) = inner.last.replace(now) {
            inner.longest_silence = inner.longest_silence.max(now - last);
        }
        let ms = self.started.elapsed().as_millis();
        if let Ok(line) = serde_json::to_string(&entry)
            && let Some(file) = &mut inner.file
        {
            // A journal file that cannot be written costs the reader a file, not the verdict.
            let _ = writeln!(file, "{ms:>7} {line}");
        }
        inner.entries.push(entry);
        let progress = inner.progress;
        drop(inner);
        self.progress.send_replace(progress);
    }

    /// Adds a line printed by the `listen` process of account `at`; returns its cursor.
    pub fn add_line(&self, at: &str, line: &str) -> Option<u64> {
        let at = at.to_owned();
        match Printed::parse(line) {
            Ok(Printed { cursor, what }) => {
                self.add(match what {
                    What::Message { id, from, body } => Entry::Shown { at, cursor, id, from, body },
                    What::Status { id, status } => Entry::Moved { at, cursor, id, status },
                    What::Other(line) => Entry::Other { at, cursor, line },
                });
                Some(cursor)
            }
            Err(why) => {
                self.add(Entry::Wrong { text: format!("{at} printed a line that is no event: {why}") });
                None
            }
        }
    }

    /// Changes with every entry.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Everything so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// The longest time in which nothing happened at all: a stall shows here even when everything arrives in the end.
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        self.lock().longest_silence
    }
}

/// What the journal proves.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// `send` calls answered.
    pub accepted: usize,
    /// Of these, shown at the other side.
    pub shown: usize,
    /// Of these, reported back as delivered.
    pub delivered: usize,
    /// Accepted and never shown.
    pub lost: Vec<String>,
    /// Everything else that must not be: shown twice, out of order, changed, unexplained.
    pub violations: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.lost.is_empty() && self.violations.is_empty()
    }
}

struct Sent<'a> {
    by: &'a str,
    index: u64,
    body: &'a str,
}

/// What one reader has printed so far.
#[derive(Default)]
struct Reader<'a> {
    /// Events by place; the same place must always hold the same event.
    at_cursor: HashMap<u64, String>,
    /// Where each message was shown.
    places: HashMap<&'a str, u64>,
    /// (cursor, sender, index) of each message.
    order: Vec<(u64, &'a str, u64)>,
    /// Highest cursor of the running process; 0 before its first line.
    last: u64,
    /// `--since` of the running process.
    since: u64,
}

/// Judges the entries: nothing accepted lost, nothing shown twice, every line explained, order kept.
#[must_use]
pub fn judge(entries: &[Entry]) -> Verdict {
    let mut sent: HashMap<&str, Sent<'_>> = HashMap::new();
    let mut accepted: Vec<&str> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    let mut shown: HashSet<&str> = HashSet::new();
    let mut delivered: HashSet<&str> = HashSet::new();
    let mut readers: HashMap<&str, Reader<'_>> = HashMap::new();
    let mut wrong: Vec<String> = Vec::new();
    for entry in entries {
        match entry {
            Entry::Attempted { by, id, index, body } => {
                sent.entry(id).or_insert(Sent { by, index: *index, body });
            }
            Entry::Accepted { id } => {
                if known.insert(id) {
                    accepted.push(id);
                }
            }
            Entry::Listening { at, since } => {
                let reader = readers.entry(at).or_default();
                reader.last = *since;
                reader.since = *since;
            }
            Entry::Shown { at, cursor, id, from, body } => {
                let reader = readers.entry(at).or_default();
                reader.place(at, *cursor, format!("message {id} {body}"), &mut wrong);
                let Some(original) = sent.get(id.as_str()) else {
                    wrong.push(format!("{at} was shown {id}, which nobody sent"));
                    continue;
                };
                if original.body != body || original.by != from || from == at {
                    wrong.push(format!("{id} was shown at {at} with another text or author than it was sent with"));
                }
                match reader.places.insert(id, *cursor) {
                    None => reader.order.push((*cursor, original.by, original.index)),
                    Some(before) if before == *cursor => {}
                    Some(before) => wrong.push(format!("{id} was shown twice at {at}: cursors {before} and {cursor}")),
                }
                shown.insert(id);
            }
            Entry::Moved { at, cursor, id, status } => {
                readers.entry(at).or_default().place(at, *cursor, format!("{status:?} {id}"), &mut wrong);
                match status {
                    MessageStatus::Delivered | MessageStatus::Read => {
                        delivered.insert(id);
                    }
                    MessageStatus::Failed | MessageStatus::Expired => {
                        wrong.push(format!("{id} of {at} became {status:?}"));
                    }
                    MessageStatus::Queued | MessageStatus::Sent => {}
                }
            }
            Entry::Other { at, cursor, line } => {
                readers.entry(at).or_default().place(at, *cursor, line.clone(), &mut wrong);
            }
            Entry::Wrong { text } => wrong.push(text.clone()),
            Entry::Process { .. } => {}
        }
    }
    for (at, reader) in &mut readers {
        reader.check_order(at, &mut wrong);
    }
    Verdict {
        accepted: accepted.len(),
        shown: accepted.iter().filter(|id| shown.contains(**id)).count(),
        delivered: accepted.iter().filter(|id| delivered.contains(**id)).count(),
        lost: accepted.iter().filter(|id| !shown.contains(**id)).map(|id| (*id).to_owned()).collect(),
        violations: wrong,
    }
}

impl Reader<'_> {
    /// One process prints rising cursors from its `--since` on; a place never changes its event.
    fn place(&mut self, at: &str, cursor: u64, event: String, wrong: &mut Vec<String>) {
        if cursor <= self.last {
            wrong.push(format!("{at} printed cursor {cursor} after {} (since {})", self.last, self.since));
        }
        self.last = cursor;
        if let Some(before) = self.at_cursor.insert(cursor, event.clone())
            && before != event
        {
            wrong.push(format!("cursor {cursor} of {at} held `{before}` and then `{event}`"));
        }
    }

    fn check_order(&mut self, at: &str, wrong: &mut Vec<String>) {
        self.order.sort_by_key(|(cursor, ..)| *cursor);
        let mut last: HashMap<&str, u64> = HashMap::new();
        for (cursor, by, index) in &self.order {
            if let Some(before) = last.insert(by, *index)
                && before >= *index
            {
                wrong.push(format!("{at}, cursor {cursor}: message {index} of {by} came after message {before}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempted(id: &str, index: u64) -> Entry {
        Entry::Attempted { by: "alice".into(), id: id.into(), index, body: id.into() }
    }
    fn accepted(id: &str) -> Entry {
        Entry::Accepted { id: id.into() }
    }
    fn shown(id: &str, cursor: u64) -> Entry {
        Entry::Shown { at: "bob".into(), cursor, id: id.into(), from: "alice".into(), body: id.into() }
    }
    fn listening(since: u64) -> Entry {
        Entry::Listening { at: "bob".into(), since }
    }

    #[test]
    fn a_good_run_holds() {
        let entries =
            [attempted("a", 0), accepted("a"), attempted("b", 1), accepted("b"), shown("a", 4), shown("b", 9)];
        let verdict = judge(&entries);
        assert!(verdict.holds(), "{verdict:?}");
        assert_eq!((verdict.accepted, verdict.shown), (2, 2));
    }

    #[test]
    fn a_lost_message_is_named() {
        let verdict = judge(&[attempted("a", 0), accepted("a")]);
        assert_eq!(verdict.lost, ["a"]);
    }

    #[test]
    fn an_unanswered_send_may_or_may_not_arrive() {
        assert!(judge(&[attempted("a", 0)]).holds());
        assert!(judge(&[attempted("a", 0), shown("a", 1)]).holds());
    }

    #[test]
    fn twice_out_of_order_changed_and_foreign_are_each_found() {
        for entries in [
            vec![attempted("a", 0), shown("a", 1), shown("a", 2)],
            vec![attempted("a", 0), attempted("b", 1), shown("b", 1), shown("a", 2)],
            vec![shown("a", 1)],
            vec![attempted("a", 0), listening(5), shown("a", 5)],
            vec![attempted("a", 0), attempted("b", 1), shown("a", 1), listening(0), shown("b", 1)],
            vec![
                attempted("a", 0),
                Entry::Shown { at: "bob".into(), cursor: 1, id: "a".into(), from: "alice".into(), body: "x".into() },
            ],
        ] {
            assert!(!judge(&entries).violations.is_empty(), "{entries:?}");
        }
    }

    #[test]
    fn a_line_printed_again_after_a_resume_is_allowed() {
        let entries = [attempted("a", 0), accepted("a"), shown("a", 3), listening(0), shown("a", 3)];
        assert!(judge(&entries).holds());
    }

    #[test]
    fn a_failed_message_is_a_violation() {
        let moved = Entry::Moved { at: "alice".into(), cursor: 1, id: "a".into(), status: MessageStatus::Failed };
        assert!(!judge(&[attempted("a", 0), moved]).holds());
    }
}
