//! The verdict on a journal.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use subrosa_client_core::api::MessageStatus;

use super::{
    Entry,
    lives::{Lives, account_of},
};

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
    /// Accepted and not reported as delivered, where the report is owed: not to who lost a directory.
    pub undelivered: usize,
    /// Of the violations, how many are messages that were shown twice.
    pub twice: usize,
    /// Of the violations, how many are messages out of order.
    pub out_of_order: usize,
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
    to: &'a str,
    index: u64,
    body: &'a str,
}

/// What one reader has printed so far.
#[derive(Clone, Default)]
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
    /// The place in the stream at which it said that another copy was used, until it is chosen.
    stands_still: Option<u64>,
    /// What stood in its history at the end; `None` where nobody looked.
    history: Option<HashSet<&'a str>>,
}

/// How a `listen` process says that its copy stands still.
const STANDS_STILL: &str = "\"code\":\"other_copy\"";

/// Judges the entries: nothing accepted lost, nothing shown twice, every line explained, order kept.
#[must_use]
pub fn judge(entries: &[Entry]) -> Verdict {
    let mut sent: HashMap<&str, Sent<'_>> = HashMap::new();
    let mut lives = Lives::default();
    let mut readers: HashMap<&str, Reader<'_>> = HashMap::new();
    let mut verdict = Verdict::default();
    for entry in entries {
        lives.take(entry);
        let wrong = &mut verdict.violations;
        match entry {
            Entry::Attempted { by, to, id, index, body } => {
                sent.entry(id).or_insert(Sent { by, to, index: *index, body });
            }
            Entry::Listening { at, since } => {
                let reader = readers.entry(at).or_default();
                reader.last = *since;
                reader.since = *since;
            }
            Entry::Shown { at, cursor, id, from, body } => {
                let reader = readers.entry(at).or_default();
                reader.place(at, *cursor, format!("message {id} {body}"), wrong);
                let Some(original) = sent.get(id.as_str()) else {
                    wrong.push(format!("{at} was shown {id}, which nobody sent"));
                    continue;
                };
                if original.body != body || account_of(original.by) != from || from == account_of(at) {
                    wrong.push(format!("{id} was shown at {at} with another text or author than it was sent with"));
                }
                if original.to != account_of(at) {
                    wrong.push(format!("{id} was shown at {at}, and was sent to {}", original.to));
                }
                if let Some(since) = reader.stands_still
                    && *cursor > since
                {
                    wrong.push(format!("{at} was shown {id} after it had said that another copy was used"));
                }
                match reader.places.insert(id, *cursor) {
                    None => reader.order.push((*cursor, original.by, original.index)),
                    Some(before) if before == *cursor => {}
                    Some(before) => {
                        verdict.twice += 1;
                        wrong.push(format!("{id} was shown twice at {at}: cursors {before} and {cursor}"));
                    }
                }
            }
            Entry::Moved { at, cursor, id, status } => {
                readers.entry(at).or_default().place(at, *cursor, format!("{status:?} {id}"), wrong);
                if matches!(status, MessageStatus::Failed | MessageStatus::Expired) {
                    wrong.push(format!("{id} of {at} became {status:?}"));
                }
            }
            Entry::Other { at, cursor, line } => {
                let reader = readers.entry(at).or_default();
                reader.place(at, *cursor, line.clone(), wrong);
                if line.contains(STANDS_STILL) {
                    reader.stands_still = Some(*cursor);
                }
            }
            Entry::CopyBegun { from, to } => {
                let mut copy = readers.get(from.as_str()).cloned().unwrap_or_default();
                // A copy prints the old events once more, and a contact's line says how the contact is now.
                copy.at_cursor.retain(|_, event| !event.starts_with('{'));
                readers.insert(to, copy);
            }
            Entry::Chosen { at } => readers.entry(at).or_default().stands_still = None,
            Entry::History { at, ids } => {
                let reader = readers.entry(at).or_default();
                verdict.out_of_order += reader.check_history(at, ids, &sent, wrong);
            }
            Entry::Wrong { text } => wrong.push(text.clone()),
            Entry::Accepted { .. }
            | Entry::CopyDone { .. }
            | Entry::Held { .. }
            | Entry::Gone { .. }
            | Entry::Process { .. } => {}
        }
    }
    for (at, reader) in &mut readers {
        verdict.out_of_order += reader.check_order(at, &mut verdict.violations);
        if let Some(history) = reader.history.as_ref().filter(|_| lives.lives(at)) {
            let owed = lives.accepted().iter().filter(|id| lives.is_for(id, account_of(at)));
            for id in owed.filter(|id| lives.has(at, id) && !history.contains(id.as_str())) {
                verdict
                    .violations
                    .push(format!("{id} was shown at {at} or stood in its backup, and is not in its history"));
            }
        }
    }
    let accepted = lives.accepted();
    verdict.accepted = accepted.len();
    verdict.shown = accepted.iter().filter(|id| lives.is_shown(id)).count();
    verdict.delivered = accepted.iter().filter(|id| lives.is_delivered(id)).count();
    verdict.undelivered = lives.undelivered();
    verdict.lost = accepted.iter().filter(|id| lives.missing().contains(*id)).cloned().collect();
    verdict
}

impl<'a> Reader<'a> {
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

    /// Says how many came after a later one of their sender.
    fn check_order(&mut self, at: &str, wrong: &mut Vec<String>) -> usize {
        self.order.sort_by_key(|(cursor, ..)| *cursor);
        let mut last: HashMap<&str, u64> = HashMap::new();
        let mut count = 0;
        for (cursor, by, index) in &self.order {
            if let Some(before) = last.insert(by, *index)
                && before >= *index
            {
                count += 1;
                wrong.push(format!("{at}, cursor {cursor}: message {index} of {by} came after message {before}"));
            }
        }
        count
    }

    /// Says how many stand below a later one of their sender.
    fn check_history(
        &mut self,
        at: &str,
        ids: &'a [String],
        sent: &HashMap<&str, Sent<'_>>,
        wrong: &mut Vec<String>,
    ) -> usize {
        let mut last: HashMap<&str, u64> = HashMap::new();
        let mut count = 0;
        for id in ids {
            if !self.history.get_or_insert_default().insert(id) {
                wrong.push(format!("{id} stands twice in the history of {at}"));
            }
            let Some(message) = sent.get(id.as_str()) else {
                wrong.push(format!("{id} stands in the history of {at}, and nobody sent it"));
                continue;
            };
            if let Some(before) = last.insert(message.by, message.index)
                && before >= message.index
            {
                count += 1;
                wrong.push(format!(
                    "{at}, history: message {} of {} stands below message {before}",
                    message.index, message.by
                ));
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bob's first directory and a copy of it.
    const COPY: &str = "bob/copy";

    fn attempted(id: &str, index: u64) -> Entry {
        Entry::Attempted { by: "alice".into(), to: "bob".into(), id: id.into(), index, body: id.into() }
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

    fn at(place: &str, entry: Entry) -> Entry {
        match entry {
            Entry::Shown { cursor, id, from, body, .. } => Entry::Shown { at: place.into(), cursor, id, from, body },
            Entry::Listening { since, .. } => Entry::Listening { at: place.into(), since },
            other => other,
        }
    }
    fn begun() -> Entry {
        Entry::CopyBegun { from: "bob".into(), to: COPY.into() }
    }
    fn done() -> Entry {
        Entry::CopyDone { to: COPY.into() }
    }
    fn gone(place: &str) -> Entry {
        Entry::Gone { at: place.into() }
    }
    /// `a` was shown before the copy was made, `b` after it, and then Bob lost the directory.
    fn restored() -> Vec<Entry> {
        let mut entries = vec![attempted("a", 0), accepted("a"), shown("a", 1), begun(), done()];
        entries.extend([attempted("b", 1), accepted("b"), shown("b", 2), gone("bob"), at(COPY, listening(0))]);
        entries
    }

    #[test]
    fn what_a_lost_directory_was_shown_since_its_copy_must_come_again() {
        let mut entries = restored();
        assert_eq!(judge(&entries).lost, ["b"]);
        entries.push(at(COPY, shown("b", 1_000_000_001)));
        let verdict = judge(&entries);
        assert!(verdict.holds(), "{verdict:?}");
        assert_eq!((verdict.accepted, verdict.shown), (2, 2));
    }

    #[test]
    fn what_a_copy_has_must_not_come_again_but_as_the_old_event() {
        let mut entries = restored();
        entries.extend([at(COPY, shown("a", 1)), at(COPY, shown("b", 1_000_000_001))]);
        assert!(judge(&entries).holds());
        entries.push(at(COPY, shown("a", 1_000_000_002)));
        let verdict = judge(&entries);
        assert_eq!((verdict.twice, verdict.out_of_order), (1, 0), "{verdict:?}");
    }

    #[test]
    fn what_comes_again_comes_in_its_order() {
        let mut entries = restored();
        entries.extend([attempted("c", 2), accepted("c")]);
        entries.extend([at(COPY, shown("c", 1_000_000_001)), at(COPY, shown("b", 1_000_000_002))]);
        assert_eq!(judge(&entries).out_of_order, 1);
    }

    #[test]
    fn only_what_was_attempted_before_the_copy_was_made_can_be_in_it() {
        let held = |id: &str| Entry::Held { at: COPY.into(), ids: vec![id.into()] };
        let mut entries = restored();
        entries.push(held("b"));
        assert_eq!(judge(&entries).lost, ["b"], "it came after the copy was made, so its event is owed");
        let meanwhile = [attempted("a", 0), accepted("a"), begun(), shown("a", 1), done(), gone("bob")];
        assert_eq!(judge(&meanwhile).lost, ["a"]);
        let with_it: Vec<_> = meanwhile.into_iter().chain([held("a")]).collect();
        assert!(judge(&with_it).holds());
    }

    #[test]
    fn what_only_a_lost_directory_had_may_be_gone_with_it() {
        let sent = Entry::Moved { at: "alice".into(), cursor: 1, id: "a".into(), status: MessageStatus::Sent };
        assert!(judge(&[attempted("a", 0), accepted("a"), gone("alice")]).holds());
        assert_eq!(judge(&[attempted("a", 0), accepted("a"), sent, gone("alice")]).lost, ["a"], "a relay has it");
        let copied = Entry::CopyBegun { from: "alice".into(), to: "alice/copy".into() };
        assert_eq!(judge(&[attempted("a", 0), accepted("a"), copied, gone("alice")]).lost, ["a"], "the copy has it");
    }

    #[test]
    fn a_copy_that_stands_still_is_shown_nothing_until_it_is_chosen() {
        let line = format!("{{\"v\":1,\"type\":\"notice\",{STANDS_STILL}}}");
        let stopped = Entry::Other { at: "bob".into(), cursor: 1, line };
        let chosen = Entry::Chosen { at: "bob".into() };
        let after = [attempted("a", 0), accepted("a"), shown("a", 2)];
        let stopped_only: Vec<_> = [stopped.clone()].into_iter().chain(after.clone()).collect();
        assert_eq!(judge(&stopped_only).violations.len(), 1);
        let then_chosen: Vec<_> = [stopped, chosen].into_iter().chain(after).collect();
        assert!(judge(&then_chosen).holds());
    }

    #[test]
    fn a_history_that_lacks_or_turns_something_is_found() {
        let two = [attempted("a", 0), accepted("a"), attempted("b", 1), accepted("b"), shown("a", 1), shown("b", 2)];
        let judged = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            judge(&two.iter().cloned().chain([Entry::History { at: "bob".into(), ids }]).collect::<Vec<_>>())
        };
        assert!(judged(&["a", "b"]).holds());
        assert_eq!(judged(&["b", "a"]).out_of_order, 1);
        for wrong in [&["a"][..], &["a", "b", "b"], &["a", "b", "c"]] {
            assert!(!judged(wrong).holds(), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_shown_to_somebody_else_is_a_violation() {
        assert!(!judge(&[attempted("a", 0), at("carol", shown("a", 1))]).holds());
    }
}
