//! What was promised and what was shown, kept outside the databases under test, and the verdict on it.
//!
//! *Promised*: a `send` call that the engine answered. *Shown*: a message line that a `listen`
//! process printed. The journal is in memory for the verdict and in a file for a person who has to
//! find out what went wrong.
//!
//! Where a run has several directories of one account, each is a place of its own (`lives.rs`). A copy
//! begins with what its original was shown before it was made; at the end counts what those that live
//! were shown.

mod lives;
mod verdict;

use std::{
    io::Write,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Serialize;
use subrosa_client_core::api::MessageStatus;
use tokio::sync::watch;

use self::lives::Lives;
pub use self::verdict::{Verdict, judge};
use crate::stream::{Printed, What};

/// One thing that happened, in the order the harness saw it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A `send` call is about to be made.
    Attempted {
        /// Place it is written at.
        by: String,
        /// Account id of the receiver.
        to: String,
        /// Message id.
        id: String,
        /// Its place among the messages from there to that receiver.
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
        /// Place.
        at: String,
        /// Its `--since`.
        since: u64,
    },
    /// It printed a message of somebody else.
    Shown {
        /// Place of the reader.
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
        /// Place of the sender.
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
        /// Place.
        at: String,
        /// Place in the event stream.
        cursor: u64,
        /// The line.
        line: String,
    },
    /// A copy of a directory, or a backup of it, is about to be made: what was accepted and shown there until now is in it.
    CopyBegun {
        /// Place that is copied.
        from: String,
        /// Place that the copy will be.
        to: String,
    },
    /// The copy is made: what is attempted from now on cannot be in it.
    CopyDone {
        /// Place that the copy will be.
        to: String,
    },
    /// A copy begins to live, and these messages of others stand in its history.
    Held {
        /// Place.
        at: String,
        /// Message ids.
        ids: Vec<String>,
    },
    /// A place is gone for good, or will never be used again.
    Gone {
        /// Place.
        at: String,
    },
    /// A person is about to choose this copy: it stood still before.
    Chosen {
        /// Place.
        at: String,
    },
    /// What one conversation's history holds of others at the end, in its order.
    History {
        /// Place.
        at: String,
        /// Message ids.
        ids: Vec<String>,
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
    lives: Lives,
    /// When the last entry was made, and the longest time without one so far.
    last: Option<Instant>,
    longest_silence: Duration,
    file: Option<std::fs::File>,
}

impl Inner {
    fn progress(&self) -> Progress {
        Progress {
            accepted: self.lives.accepted().len(),
            sent: self.lives.sent(),
            to_show: self.lives.missing().len(),
            to_deliver: self.lives.undelivered(),
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
        inner.lives.take(&entry);
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
        let progress = inner.progress();
        drop(inner);
        self.progress.send_replace(progress);
    }

    /// Adds a line printed by the `listen` process at a place; returns its cursor.
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

    /// How many messages a place has accepted, those of its original included where it is a copy.
    #[must_use]
    pub fn accepted_at(&self, place: &str) -> usize {
        self.lock().lives.accepted_at(place)
    }

    /// Whether there is such an entry.
    pub fn holds(&self, such: impl Fn(&Entry) -> bool) -> bool {
        self.lock().entries.iter().any(such)
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
