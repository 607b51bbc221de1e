//! One message as it is kept for the screen: cleaned text, and its rows at the width they were last wrapped for. Names, times
//! of arrival and ticks are put into words where they are drawn.

use std::ops::Range;

use jiff::civil::Date;
use subrosa_client_core::api::{Message, MessageStatus, Person};

use crate::{text, time::Clock};

/// What a message answers, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub(crate) id: String,
    /// Who wrote it; nobody, if it is not stored here.
    pub(crate) from: Option<Person>,
    pub(crate) text: String,
}

/// Somebody with a cleaned name: what they were called when the message was read. What they are called now is looked up where
/// it is drawn.
pub(crate) fn cleaned(person: &Person) -> Person {
    Person { id: person.id.clone(), name: text::line(&person.name) }
}

/// A message in a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) from: Person,
    pub(crate) outgoing: bool,
    pub(crate) ts_ms: u64,
    pub(crate) day: Option<Date>,
    pub(crate) minute: String,
    /// Cleaned: nothing in it does anything to a terminal.
    pub(crate) body: String,
    pub(crate) links: Vec<Range<usize>>,
    /// What it answers.
    pub(crate) reply: Option<Quoted>,
    /// Whoever sent it did not write it.
    pub(crate) forwarded: bool,
    /// Ours only.
    pub(crate) status: Option<MessageStatus>,
    /// Why it failed.
    pub(crate) error: Option<String>,
    pub(crate) unread: bool,
    /// It came to stand above what was here before.
    pub(crate) late: bool,
    /// Its author's clock is ahead: it stands below what was written after it.
    pub(crate) ahead: bool,
    /// When it came, if that is later than its place or its time tells.
    pub(crate) arrived_ms: Option<u64>,
    /// Ours, shown before the engine has confirmed it.
    pub(crate) local: bool,
    /// Begins a day.
    pub(crate) first_of_day: bool,
    /// Somebody else wrote the one before, or it is long ago.
    pub(crate) first_of_group: bool,
    /// Another minute than the one before.
    pub(crate) first_of_minute: bool,
    /// What is said of a span before it in which something was missing.
    pub(crate) missing: Option<String>,
    /// The same after it, where nothing follows.
    pub(crate) missing_after: Option<String>,
    wrapped: Option<(usize, Vec<Range<usize>>)>,
}

impl Entry {
    pub(crate) fn new(message: &Message, clock: &Clock) -> Self {
        let body = if message.unknown {
            "a message that this version of subrosa cannot show: a newer one can".to_owned()
        } else {
            text::lines(&message.body)
        };
        Self {
            id: message.id.clone(),
            from: cleaned(&message.from),
            outgoing: message.outgoing,
            ts_ms: message.ts_ms,
            day: clock.day(message.ts_ms),
            minute: clock.minute(message.ts_ms),
            links: text::links(&body),
            reply: message.reply_to.as_ref().map(|reply| Quoted {
                id: reply.id.clone(),
                from: reply.from.as_ref().map(cleaned),
                text: reply.quote.as_deref().map_or_else(|| "a message that is not here".to_owned(), text::line),
            }),
            forwarded: message.forwarded,
            body,
            status: message.status,
            error: None,
            unread: message.unread == Some(true),
            late: message.late,
            ahead: message.ahead,
            arrived_ms: message.arrived_ms,
            local: false,
            first_of_day: false,
            first_of_group: true,
            first_of_minute: true,
            missing: None,
            missing_after: None,
            wrapped: None,
        }
    }

    /// Takes over what a newer reading of the same message says.
    pub(crate) fn renew(&mut self, newer: Self) {
        let status = match (self.status, newer.status) {
            (Some(old), Some(new)) => Some(advanced(old, new)),
            (old, new) => new.or(old),
        };
        let wrapped = if self.body == newer.body { self.wrapped.take() } else { None };
        let error = self.error.take().filter(|_| status == Some(MessageStatus::Failed));
        *self = Self { status, wrapped, error, ..newer };
    }

    /// Wraps the text for this width, unless it is.
    pub(crate) fn wrap(&mut self, columns: usize) {
        if self.wrapped.as_ref().is_none_or(|(at, _)| *at != columns) {
            self.wrapped = Some((columns, text::wrap(&self.body, columns)));
        }
    }

    /// The rows as they were last wrapped.
    pub(crate) fn wrapped(&self) -> &[Range<usize>] {
        self.wrapped.as_ref().map_or(&[], |(_, rows)| rows)
    }

    /// Worth a line of its own under the text.
    pub(crate) const fn failed(&self) -> bool {
        matches!(self.status, Some(MessageStatus::Failed | MessageStatus::Expired))
    }

    /// What the message says in one line.
    pub(crate) fn preview(&self) -> String {
        text::line(&self.body)
    }
}

/// A status that events and answers report is taken over unless it is the older of the two: an answer may have been read
/// before an event that was handled first. Whatever failed may go on when it is tried again.
pub(crate) const fn advanced(old: MessageStatus, new: MessageStatus) -> MessageStatus {
    use MessageStatus::{Delivered, Queued, Read, Sent};
    match (old, new) {
        (Read, Queued | Sent | Delivered) | (Delivered, Queued | Sent) | (Sent, Queued) => old,
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_never_goes_back_but_failures_show_and_end() {
        use MessageStatus::{Delivered, Expired, Failed, Queued, Read, Sent};
        for (old, new, shown) in [
            (Queued, Sent, Sent),
            (Sent, Queued, Sent),
            (Read, Delivered, Read),
            (Delivered, Read, Read),
            (Queued, Failed, Failed),
            (Sent, Expired, Expired),
            (Failed, Queued, Queued),
            (Failed, Sent, Sent),
        ] {
            assert_eq!(advanced(old, new), shown, "{old:?} {new:?}");
        }
    }
}
