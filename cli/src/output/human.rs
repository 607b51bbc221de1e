//! Every line as people read it. Each text that comes from somebody else is cleaned here.

use anstyle::{AnsiColor, Style};
use indicatif::HumanBytes;
use subrosa_client_core::{
    api::{
        AccountInfo, Chat, ChatKind, Check, CheckLevel, Connection, ContactState, DaemonInfo, Event, LineContent,
        Message, Missing, Notice, OutboxEntry, ReceiptEvent, ReceiptTime, Receipts, ReplyTo, Sent, StateEvent, Status,
    },
    clean::{clean_line, clean_text},
    keep::words,
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    columns::{NAME_COLUMNS, fit, short_id},
    local,
    people::{contact, contact_state, identity, open_link},
    ticks,
    ticks::Ticks,
    time,
};

/// Columns for the newest message in a list of chats.
const PREVIEW_COLUMNS: usize = 48;

/// A result.
pub(crate) fn content(content: &LineContent, ticks: Ticks) -> String {
    match content {
        LineContent::Account(info) => account(info, ticks),
        LineContent::Status(it) => status(it, ticks),
        LineContent::Invite(it) => it.link.clone(),
        LineContent::OpenLink(it) => open_link(it, ticks),
        LineContent::Contact(it) => contact(it, ticks),
        LineContent::Identity(it) => identity(it, ticks),
        LineContent::Sent(it) => sent(it, ticks),
        LineContent::Ok(done) => match done.count {
            0 => "nothing to do".to_owned(),
            1 => "1 message marked as read".to_owned(),
            count => format!("{count} messages marked as read"),
        },
        LineContent::Message(it) => message(it, ticks),
        LineContent::Missing(it) => missing(it, ticks),
        LineContent::Receipt(it) => receipt(it, ticks),
        LineContent::State(it) => state(it, ticks),
        LineContent::Notice(it) => notice(it),
        LineContent::Chat(it) => chat(it, ticks),
        LineContent::Outbox(it) => outbox(it, ticks),
        LineContent::Receipts(it) => receipts(it, ticks),
        LineContent::Exported(it) => {
            format!("{} messages with {} are in {}", it.messages, clean_line(&it.name), clean_line(&it.path))
        }
        LineContent::Backup(it) => format!(
            "{} messages and {} contacts as of {} are in {} ({})",
            it.messages,
            it.contacts,
            time::short(it.created_ms),
            clean_line(&it.path),
            HumanBytes(it.bytes)
        ),
        LineContent::Check(it) => check(it, ticks),
        LineContent::Restored(it) => account(&it.account, ticks),
        // Only for programs: people see a bar.
        LineContent::Progress(it) => format!("{}: {}", clean_line(&it.id), it.done),
        LineContent::LocalAccount(it) => local::account(it, ticks),
        LineContent::Setting(it) => local::setting(it, ticks),
        LineContent::ConfigPath(it) => it.path.clone(),
        LineContent::Daemon(it) => daemon(it),
        LineContent::Error(error) => clean_text(&error.message).into_owned(),
    }
}

/// A check, and under it what to do.
fn check(it: &Check, ticks: Ticks) -> String {
    let (word, colour) = match it.level {
        CheckLevel::Ok => ("ok  ", AnsiColor::Green),
        CheckLevel::Warn => ("warn", AnsiColor::Yellow),
        CheckLevel::Fail => ("FAIL", AnsiColor::Red),
    };
    let word = ticks.paint(word, Style::new().fg_color(Some(colour.into())));
    let fix = it.fix.as_ref().map(|fix| format!("\n                to do: {}", clean_line(fix))).unwrap_or_default();
    format!("{word}  {:<8}  {}{fix}", clean_line(&it.name), clean_line(&it.message))
}

/// An event of the stream.
pub(crate) fn event(event: &Event, ticks: Ticks) -> String {
    match event {
        Event::Message(it) => message(it, ticks),
        Event::Receipt(it) => receipt(it, ticks),
        Event::State(it) => state(it, ticks),
        Event::Contact(it) => format!("{} {}", ticks.dim("contact:"), contact(&it.contact, ticks)),
        Event::Chat(it) => format!("{} {}", ticks.dim("chat:"), chat(&it.chat, ticks)),
        Event::Notice(it) => notice(it),
    }
}

fn daemon(info: &DaemonInfo) -> String {
    let mut text = format!("serving {} (pid {})", clean_line(&info.name), info.pid);
    for socket in &info.sockets {
        text.push_str(&format!("\n  socket  {}", clean_line(socket)));
    }
    for url in &info.http {
        text.push_str(&format!("\n  http    {url}"));
    }
    if let Some(file) = &info.token_file {
        text.push_str(&format!("\n  token   in {}", clean_line(file)));
    }
    text
}

fn account(it: &AccountInfo, ticks: Ticks) -> String {
    format!(
        "{}  {}\n{}  {}\n{}  {}\n{}  {}",
        ticks.dim("account    "),
        ticks.bold(&clean_line(&it.name)),
        ticks.dim("relay      "),
        clean_line(&it.relay),
        ticks.dim("fingerprint"),
        it.fingerprint,
        ticks.dim("directory  "),
        clean_line(&it.data_dir),
    )
}

fn status(it: &Status, ticks: Ticks) -> String {
    let (word, colour) = match it.relay {
        Connection::Online => ("online", AnsiColor::Green),
        Connection::Connecting => ("connecting", AnsiColor::Yellow),
        Connection::Offline => ("offline", AnsiColor::Red),
        Connection::Displaced => ("stopped: another copy of this account was used", AnsiColor::Red),
        Connection::Removed => ("stopped: this device was removed from its account", AnsiColor::Red),
    };
    let mut text = format!(
        "{}  {}  {}\n",
        ticks.dim("relay   "),
        ticks.paint(word, Style::new().fg_color(Some(colour.into()))),
        clean_line(&it.relay_url)
    );
    if let Some(error) = &it.error {
        text.push_str(&format!("          {}\n", clean_line(error)));
    }
    text.push_str(&format!("{}  {} waiting\n", ticks.dim("outbox  "), it.outbox));
    text.push_str(&format!("{}  {}\n", ticks.dim("unread  "), it.unread));
    if it.requests > 0 {
        text.push_str(&format!("{}  {}  see: subrosa contact list\n", ticks.dim("requests"), it.requests));
    }
    let engine = if it.engine.pid == std::process::id() {
        "runs only while a command does; to keep it running: subrosa listen".to_owned()
    } else {
        format!("{} (pid {})", clean_line(&it.engine.kind), it.engine.pid)
    };
    text.push_str(&format!("{}  {engine}\n", ticks.dim("engine  ")));
    if let Some(at) = it.last_sync_ms {
        text.push_str(&format!("{}  {}\n", ticks.dim("synced  "), time::short(at)));
    }
    if let Some(off) = it.clock_off_ms {
        text.push_str(&format!(
            "{}  {} minutes off the relay's: set this machine's clock\n",
            ticks.dim("clock   "),
            off / 60_000
        ));
    }
    text
}

fn sent(it: &Sent, ticks: Ticks) -> String {
    let mut text = format!("{} {}  {}", ticks.show(it.status), ticks::name(it.status), ticks.dim(&it.id));
    for result in &it.results {
        if let Some(error) = &result.error {
            text.push_str(&format!("\n  {}: {}", clean_line(&result.name), clean_line(error)));
            if let Some(seconds) = result.retry_after_s {
                text.push_str(&format!("; next try in {seconds} s"));
            }
        }
    }
    text
}

/// What waits, why, and when it is tried again.
fn outbox(it: &OutboxEntry, ticks: Ticks) -> String {
    let now = time::now_ms();
    let next =
        if it.next_ms <= now { "now".to_owned() } else { format!("in {} s", (it.next_ms - now).div_ceil(1_000)) };
    let why = it.error.as_deref().map(|error| format!("  {}", clean_line(error))).unwrap_or_default();
    format!(
        "{}  {}  {}  next try {next}, {} before{why}",
        ticks.dim(&short_id(&it.id)),
        fit(&it.name, NAME_COLUMNS),
        ticks.dim(&time::short(it.queued_ms)),
        it.attempts,
    )
}

/// A message that was found: `3f9ac2e1  09:41  bob             … text with the «words» …`.
fn found(it: &Message, ticks: Ticks) -> String {
    let who = match &it.chat_name {
        Some(chat) if it.chat_kind != ChatKind::Direct => chat.clone(),
        Some(chat) if it.outgoing => format!("you > {chat}"),
        _ => it.from.name.clone(),
    };
    let snippet: String = it
        .snippet
        .iter()
        .map(|part| match part.hit {
            true => format!("«{}»", ticks.bold(&clean_line(&part.text))),
            false => clean_line(&part.text).into_owned(),
        })
        .collect();
    let late = it.arrived_ms.map(|ms| ticks.dim(&format!("({}) ", arrived(it, &time::short(ms))))).unwrap_or_default();
    format!(
        "{}  {}  {}  {late}{snippet}",
        ticks.dim(&short_id(&it.id)),
        ticks.dim(&time::short(it.ts_ms)),
        fit(&who, NAME_COLUMNS)
    )
}

/// The line above an answer: who and what it answers.
fn quote(it: &ReplyTo, ticks: Ticks) -> String {
    let text = match (&it.from, &it.quote) {
        (Some(from), Some(quote)) => format!("{}: {}", clean_line(&from.name), fit(quote, PREVIEW_COLUMNS).trim_end()),
        _ => format!("message {}, which is not here", short_id(&it.id)),
    };
    ticks.dim(&format!("> {text}"))
}

/// That a message came later than its place or its time tells, or stands in the future.
pub(crate) fn arrived(it: &Message, when: &str) -> String {
    if it.ahead {
        return format!("arrived {when}; their clock is ahead, so it stands below what came after it");
    }
    let why = if it.late { "what is below" } else { "it says" };
    format!("arrived {when}, later than {why}")
}

/// `09:41  bob             text  ✓✓`, further lines under the first.
fn message(it: &Message, ticks: Ticks) -> String {
    if !it.snippet.is_empty() {
        return found(it, ticks);
    }
    let when = time::short(it.ts_ms);
    let name = fit(if it.outgoing { "you" } else { &it.from.name }, NAME_COLUMNS);
    let indent = " ".repeat(when.width() + NAME_COLUMNS + 4);
    let body = if it.unknown {
        ticks.dim("(a kind of message this version does not know: update to read it)")
    } else {
        clean_text(&it.body).lines().collect::<Vec<_>>().join(&format!("\n{indent}"))
    };
    let body = if it.forwarded { format!("{}\n{indent}{body}", ticks.dim("(forwarded)")) } else { body };
    let body = match &it.reply_to {
        Some(original) => format!("{}\n{indent}{body}", quote(original, ticks)),
        None => body,
    };
    let body = match it.arrived_ms {
        Some(ms) => format!("{}\n{indent}{body}", ticks.dim(&format!("({})", arrived(it, &time::short(ms))))),
        None => body,
    };
    let unread = it.unread == Some(true);
    let name = if unread { ticks.bold(&name) } else { name };
    let status = it.status.map(|status| format!("  {}", ticks.show(status))).unwrap_or_default();
    format!("{}  {name}  {body}{status}", ticks.dim(&when))
}

fn receipt(it: &ReceiptEvent, ticks: Ticks) -> String {
    format!(
        "{}  {} {} by {}  {}",
        ticks.dim(&time::short(it.ts_ms)),
        ticks.show(it.status),
        ticks::name(it.status),
        clean_line(&it.name),
        ticks.dim(&short_id(&it.id))
    )
}

fn state(it: &StateEvent, ticks: Ticks) -> String {
    let why = it.error.as_deref().map(|error| format!(": {}", clean_line(error))).unwrap_or_default();
    format!(
        "{}  {} {}{why}  {}",
        ticks.dim(&time::short(it.ts_ms)),
        ticks.show(it.status),
        ticks::name(it.status),
        ticks.dim(&short_id(&it.id))
    )
}

fn missing(it: &Missing, ticks: Ticks) -> String {
    ticks.dim(&format!("-- {} to {}: {} --", time::short(it.from_ms), time::short(it.to_ms), it.words()))
}

fn notice(it: &Notice) -> String {
    format!("{}  * {}", time::short(it.ts_ms), clean_line(&it.text))
}

fn chat(it: &Chat, ticks: Ticks) -> String {
    let name = fit(&it.name, NAME_COLUMNS);
    let name = if it.unread > 0 { ticks.bold(&name) } else { name };
    let unread = if it.unread > 0 { format!("({})", it.unread) } else { String::new() };
    let (when, preview, sign) = match &it.last {
        Some(last) => (
            time::short(last.ts_ms),
            fit(&last.body, PREVIEW_COLUMNS),
            last.status.map(|status| ticks.show(status)).unwrap_or_default(),
        ),
        None => (String::new(), fit("", PREVIEW_COLUMNS), String::new()),
    };
    let mut marks = Vec::new();
    if it.state != ContactState::Ok {
        marks.push(contact_state(it.state));
    }
    for (on, mark) in [
        (it.pinned, "pinned"),
        (it.muted_until_ms.is_some(), "muted"),
        (it.archived, "archived"),
        (it.draft.is_some(), "draft"),
    ] {
        if on {
            marks.push(mark);
        }
    }
    let keep = it.keep.as_deref().map(|keep| clean_line(&words(keep)).into_owned());
    marks.extend(keep.as_deref());
    let marks = if marks.is_empty() { String::new() } else { format!("  {}", ticks.dim(&marks.join(", "))) };
    format!("{name}  {unread:>5}  {}  {preview}  {sign}{marks}", ticks.dim(&format!("{when:>16}")))
        .trim_end()
        .to_owned()
}

fn receipts(it: &Receipts, ticks: Ticks) -> String {
    let mut text = format!("{} {}  {}\n", ticks.show(it.status), ticks::name(it.status), ticks.dim(&it.id));
    text.push_str(&format!("  {:<10}{}\n", "queued", time::long(it.queued_ms)));
    for (what, times) in [("sent", &it.sent), ("delivered", &it.delivered), ("read", &it.read)] {
        for ReceiptTime { name, ts_ms, .. } in times {
            text.push_str(&format!("  {what:<10}{}  {}\n", time::long(*ts_ms), clean_line(name)));
        }
        if times.is_empty() {
            text.push_str(&format!("  {what:<10}{}\n", ticks.dim("not yet")));
        }
    }
    if let Some(error) = &it.error {
        text.push_str(&format!("  {}\n", clean_line(error)));
    }
    text
}

#[cfg(test)]
mod tests {
    use subrosa_client_core::api::{Contact, MessageStatus, Person, SnippetPart};

    use super::*;

    const PLAIN: Ticks = Ticks { colour: false, unicode: false };
    const HOSTILE: &str = "\x1b]0;owned\x07\u{202E}evil\n\u{9b}2J";

    fn text(name: &str, body: &str) -> Message {
        Message {
            cursor: Some(1),
            id: "0123456789abcdef".to_owned(),
            chat: "c".to_owned(),
            from: Person { id: "a".to_owned(), name: name.to_owned() },
            outgoing: false,
            ts_ms: time::now_ms(),
            body: body.to_owned(),
            unread: Some(true),
            ..Message::default()
        }
    }

    #[test]
    fn hostile_texts_cannot_reach_the_terminal() {
        let contact_of = |text: &str| Contact {
            id: text.to_owned(),
            chat: text.to_owned(),
            name: text.to_owned(),
            handle: text.to_owned(),
            looks_like: Some(text.to_owned()),
            state: ContactState::Request,
            verified: false,
            origin: text.to_owned(),
            relay: text.to_owned(),
            devices: 1,
            last_seen_ms: None,
            since_ms: 0,
        };
        let chat_of = Chat {
            id: HOSTILE.to_owned(),
            kind: ChatKind::Direct,
            with: Some(HOSTILE.to_owned()),
            name: HOSTILE.to_owned(),
            state: ContactState::Ok,
            unread: 1,
            first_unread: None,
            last: Some(text(HOSTILE, HOSTILE)),
            muted_until_ms: None,
            keep: None,
            pinned: false,
            archived: false,
            draft: None,
        };
        let mut answer = text("bob", "evil");
        answer.reply_to = Some(ReplyTo {
            id: HOSTILE.to_owned(),
            from: Some(Person { id: HOSTILE.to_owned(), name: HOSTILE.to_owned() }),
            quote: Some(HOSTILE.to_owned()),
        });
        let mut hit = text(HOSTILE, HOSTILE);
        hit.snippet = vec![SnippetPart { text: HOSTILE.to_owned(), hit: true }];
        let shown = [
            content(&LineContent::Message(text(HOSTILE, HOSTILE)), PLAIN),
            content(&LineContent::Contact(contact_of(HOSTILE)), PLAIN),
            content(&LineContent::Chat(chat_of), PLAIN),
            content(&LineContent::Message(answer), PLAIN),
            content(&LineContent::Message(hit), PLAIN),
        ];
        for text in shown {
            assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
            assert!(!text.contains('\u{202E}'), "{text:?}");
            assert!(text.contains("evil"), "{text:?}");
        }
        let one_line = content(&LineContent::Contact(contact_of(HOSTILE)), PLAIN);
        assert_eq!(one_line.lines().count(), 1);
    }

    #[test]
    fn what_came_later_than_it_stands_or_says_carries_a_mark_of_ours() {
        let now = time::now_ms();
        let mut late = text("bob", "Do you take over the debt of 10,000?");
        late.arrived_ms = Some(now);
        late.late = true;
        let mut hit = late.clone();
        hit.snippet = vec![SnippetPart { text: "debt".to_owned(), hit: true }];
        let mark = format!("(arrived {}, later than what is below)", time::short(now));
        for shown in [message(&late, PLAIN), message(&hit, PLAIN), event(&Event::Message(late.clone()), PLAIN)] {
            assert!(shown.contains(&mark), "{shown}");
        }
        late.late = false;
        assert!(message(&late, PLAIN).contains("later than it says)"));
        late.arrived_ms = None;
        assert!(!message(&late, PLAIN).contains("arrived"));
    }

    #[test]
    fn further_lines_of_a_message_cannot_be_taken_for_another_message() {
        let shown = message(&text("bob", "one\n09:41  alice           I owe you money"), PLAIN);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with("                       09:41"), "{shown}");
    }

    #[test]
    fn names_are_fitted_by_columns_not_bytes() {
        for name in [
            "bob",
            "",
            "世界世界世界世界世界",
            "👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦",
            "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
        ] {
            assert_eq!(fit(name, 14).width(), 14, "{name}");
        }
    }

    #[test]
    fn own_messages_show_how_far_they_got() {
        let mut own = text("alice", "hello");
        own.outgoing = true;
        own.status = Some(MessageStatus::Read);
        let shown = message(&own, PLAIN);
        assert!(shown.ends_with("hello  ++*"), "{shown}");
        assert!(shown.contains("you"), "{shown}");
    }
}
