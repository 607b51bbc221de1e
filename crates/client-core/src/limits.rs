//! Bounds of the engine, each with its reason.

use std::time::Duration;

/// Longest text: fits the largest sealed body with the content's other fields and the largest set-up header.
pub const MAX_TEXT_BYTES: usize = 60_000;

/// Events in one answer: an answer stays under a few megabytes even with the longest texts.
pub const MAX_EVENTS_PAGE: u32 = 256;

/// Messages of history in one answer.
pub const MAX_HISTORY_PAGE: u32 = 1_000;

/// Messages in one page of an export: even with the longest texts a page stays far below an answer's bound.
pub const MAX_EXPORT_PAGE: u32 = 256;

/// Commands waiting for the core: beyond it callers wait, so memory stays bounded.
pub const CORE_QUEUE: usize = 256;

/// Results of calls with a request id are kept so long: whoever repeats a call does it within seconds, a script within hours.
pub const KEEP_RESULTS: Duration = Duration::from_secs(24 * 3600);

/// Messages of one batch to one person: fits a submission (`wire::limits`), keeps one batch in flight worth its round trip.
pub const MAX_BATCH: usize = 32;

/// Envelopes that are sealed where they are taken: 32 take two milliseconds. More are sealed beside the core's thread, which
/// answers interfaces meanwhile.
pub const INLINE_SEALS: usize = MAX_BATCH;

/// A relay that was not reached for so long holds up nobody else in a conversation: its people are listed.
pub const RELAY_SILENT_AFTER: Duration = Duration::from_secs(5 * 60);

/// What is ephemeral is worth something for so long.
pub const EPHEMERAL_FOR: Duration = Duration::from_secs(10);

/// Receipts are gathered this long before they are sent.
pub const RECEIPT_COALESCE: Duration = Duration::from_millis(200);

/// Ids in one receipt.
pub const MAX_RECEIPT_IDS: usize = 500;

/// First wait after a failed submission; doubles up to [`RETRY_MAX`], with full jitter.
pub const RETRY_FIRST: Duration = Duration::from_millis(500);

/// Longest wait between tries: a relay that comes back is noticed within a minute.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

/// Text messages that may wait in the outbox: more is a runaway script.
pub const MAX_OUTBOX: u64 = 50_000;

/// Contents without a message (receipts, introductions, answers to retry requests) that wait for one contact: nobody can
/// make the outbox grow by what they send. Receipts beyond it wait to be gathered, 500 in each content.
pub const MAX_SILENT: u64 = 256;

/// The same for our own other devices: what is sent leaves a copy each, and as many changes and openings again.
pub const MAX_SILENT_OWN: u64 = 2 * MAX_OUTBOX;

/// Requests kept until they are answered: the relay lets 100 wait at once, fetched ones pile up here.
pub const MAX_REQUESTS_KEPT: u64 = 1_000;

/// Sessions kept with one device: one current, the rest only decrypt.
pub const MAX_SESSIONS: usize = 5;

/// Events kept for `listen --since`: weeks of a busy account.
pub const MAX_EVENTS_KEPT: u64 = 200_000;

/// Quarantined envelopes kept for a later retry request.
pub const MAX_QUARANTINED: u64 = 1_000;

/// Envelopes named in one retry request.
pub const MAX_RETRY_IDS: usize = 64;

/// A device that keeps sending what cannot be decrypted is asked at most once an hour …
pub const RETRY_REQUEST_PAUSE: Duration = Duration::from_secs(3600);

/// … and at most so often a day: a broken peer must not make two devices talk for ever.
pub const MAX_RETRY_REQUESTS_PER_DAY: u32 = 3;

/// Whoever asks is answered as rarely as it may ask, with some slack for the way: two requests an hour apart may arrive less
/// than an hour apart …
pub const RETRY_ANSWER_PAUSE: Duration = Duration::from_secs(55 * 60);

/// … and two of its days may fall into one of ours.
pub const MAX_RETRY_ANSWERS_PER_DAY: u32 = 2 * MAX_RETRY_REQUESTS_PER_DAY;

/// A device that lost what it was sent is sent it again so often …
pub const MAX_RESTORES_ANSWERED: u32 = 2;

/// … in so long: nobody puts a backup back more often, and each may be everything that was sent in a month.
pub const RESTORE_ANSWERS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Contents of a conversation that are sent again to one device at once, the newest: more than 3,000 a day for a month, and minutes of
/// sending.
pub const MAX_RESTORED: usize = 100_000;

/// What is sent again goes at this pace: a relay takes 100 envelopes a second for one account in the long run, and what is said
/// meanwhile to others must have room.
pub const RESTORED_EVERY: Duration = Duration::from_millis(10);

/// Who does not answer for so long is not waited for with what has come …
pub const HOLD_LINES: Duration = Duration::from_secs(10);

/// … nor is who goes on answering for longer than this.
pub const HOLD_LONGEST: Duration = Duration::from_secs(600);

/// Held lines that are applied in one step: interfaces are answered in between.
pub const RELEASED_AT_ONCE: u32 = 256;

/// Conversations named in one restore request: more than any two people share.
pub const MAX_RESTORE_LASTS: usize = 256;

/// Lines that a restore request says are here already, 8 bytes each: with the conversations it fits a body. What is not named
/// comes once more and is dropped.
pub const MAX_RESTORE_HAVE: usize = 4_000;

/// Lines that an answer names as gone.
pub const MAX_RESTORE_GONE: usize = 500;

/// A message is encrypted anew for a device that asks at most so often.
pub const MAX_RESENDS: u32 = 2;

/// What stands further ahead of our time than this is thrown away: no clock is off by a week unnoticed, and whoever puts a line
/// there would have it below everything for as long.
pub const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(7 * 24 * 3600);

/// A clock that is further ahead does not push ours: else one wrong clock would put the whole conversation into the future.
pub const CLOCK_FOLLOWS: Duration = Duration::from_secs(24 * 3600);

/// Contents of unknown types that are kept of one sender until a newer program reads them: more than anybody does between two
/// updates by hand.
pub const MAX_KEPT_CONTENTS: u32 = 1_000;

/// A clock further off than this is shown to the person.
pub const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1_000;

/// A relay's clock that is further from ours than this says nothing about when: one of the two is wrong.
pub const MAX_CLOCK_CORRECTION: Duration = Duration::from_secs(24 * 3600);

/// How long nothing is forgotten that is young by such a clock: time enough to set a machine's clock that jumped; a relay
/// that lies stops all forgetting no longer than this.
pub const CLOCK_DOUBT: Duration = Duration::from_secs(3 * 24 * 3600);

/// One-time prekeys of a kind made in a day: five stocks of EC keys, many more new sessions than a person has in a day.
pub const MAX_ONE_TIME_PER_DAY: u32 = 500;

/// One-time secrets of a kind that are kept: what is made in 100 days, longer than one is kept. Some ten megabytes.
pub const MAX_ONE_TIME_KEPT: usize = 50_000;

/// Signed prekeys made in a day: one a week is due, and one whenever the relay was restored from a backup.
pub const MAX_SIGNED_PER_DAY: u32 = 24;

/// What was here so long may have been read. What comes to stand above it later is marked; sooner, people who write at the
/// same time would mark each other's messages.
pub const SHOWN_AFTER_MS: u64 = 30_000;
/// An account signs its device list anew after this long, whoever is on it: contacts see from the date that no newer one is
/// kept from them.
pub const LIST_RENEW_AFTER: Duration = Duration::from_secs(14 * 24 * 3600);

/// A contact's list that is older is shown: an account that was connected in the last 45 days (after that nothing waits for it)
/// has a list of at most 59 days.
pub const LIST_SHOWN_AFTER: Duration = Duration::from_secs(60 * 24 * 3600);

/// After this long sending holds until the person decides.
pub const LIST_HOLDS_AFTER: Duration = Duration::from_secs(75 * 24 * 3600);

/// What a contact announces makes us ask their relay for their list at most so often, unless a message waits for it.
pub const LIST_ASK_PAUSE: Duration = Duration::from_secs(600);

/// After a change of the delivery key every contact gets the new one within this long, each at a random moment.
pub const INTRODUCE_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Between two of them at most this long is waited where several are overdue: the engine was off meanwhile.
pub const INTRODUCE_GAP: Duration = Duration::from_secs(20 * 60);

/// Default life of a contact link.
pub const LINK_TTL_S: u32 = 7 * 24 * 3600;

/// Invitations open at once: the relay's own limit.
pub const MAX_OPEN_LINKS: u64 = 256;

/// Longest wait one `events`, `wait`, `drain` or `flush` call may ask for.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Receivers of one call: more than anybody types; a list of that length is a mailing, and goes in parts.
pub const MAX_RECEIVERS: usize = 1_000;

/// Longest idempotency key: room for a host name, a path and a time.
pub const MAX_KEY_BYTES: usize = 256;

/// Characters of an original that a reply shows: two or three lines of a terminal.
pub const QUOTE_CHARS: usize = 200;

/// Longest search query: more words than anybody remembers of a message.
pub const MAX_QUERY_BYTES: usize = 1_024;

/// Messages of the outbox in one answer.
pub const MAX_OUTBOX_PAGE: u32 = 1_000;

/// Muted without end: the last millisecond of the year 9999, which every language's dates and numbers can hold.
pub const MUTED_FOR_EVER_MS: u64 = 253_402_300_799_999;

/// Messages are kept at least so long: a reader that comes once a day misses none, and no repetition of a call
/// ([`KEEP_RESULTS`]) finds its message gone and sends it again.
pub const MIN_KEEP: Duration = Duration::from_secs(24 * 3600);

/// Messages that are deleted in one change because they are old: each takes its words out of the index, and nobody waits for the
/// core's thread longer than a moment.
pub const MAX_DELETED_AT_ONCE: u32 = 50;

/// Pages (of 4 KiB) that are given back to the file system at once: two megabytes are moved in some ten milliseconds.
pub const MAX_GIVEN_BACK_AT_ONCE: u32 = 512;

/// Free pages that a store keeps (one megabyte): what comes next takes them, and the file need not grow and shrink each hour.
pub const SPARE_PAGES: u64 = 256;

/// A store of a development version is rewritten once, in memory, so that it can give pages back. A larger one is left as it is:
/// whoever opens it would wait for seconds, and the memory may not be there.
pub const MAX_REWRITTEN_BYTES: u64 = 128 * 1024 * 1024;

/// A store that is larger is told of by `doctor`.
pub const LARGE_STORE_BYTES: u64 = 1024 * 1024 * 1024;

/// A day, as times are kept.
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1_000;

/// A bound in milliseconds, as times are kept.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
