//! A conversation to keep: plain text or Markdown, cleaned, so that no message can pretend to be another one.

use subrosa_client_core::{
    api::{Message, MessageStatus},
    clean::{clean_line, clean_text},
};

use super::{human::arrived, time};

/// How one conversation is written.
pub(crate) struct Transcript {
    name: String,
    markdown: bool,
}

impl Transcript {
    pub(crate) fn new(name: &str, markdown: bool) -> Self {
        Self { name: clean_line(name).into_owned(), markdown }
    }

    /// What stands first.
    pub(crate) fn title(&self, total: u64) -> String {
        let now = time::zoned(time::now_ms());
        let count = if total == 1 { "1 message".to_owned() } else { format!("{total} messages") };
        if self.markdown {
            format!("# Chat with {}\n\n{count}, exported {now}, times of that zone.\n", escape(&self.name))
        } else {
            format!("Chat with {}\n{count}, exported {now}, times of that zone.\n", self.name)
        }
    }

    /// One message; with a heading first if it is of another day than the one before.
    pub(crate) fn message(&self, message: &Message, day: &mut String) -> String {
        let when = time::long(message.ts_ms);
        let (date, clock) = when.split_once(' ').unwrap_or((&when, ""));
        let mut text = String::new();
        if date != day {
            text.push_str(&if self.markdown { format!("\n## {date}\n") } else { format!("\n{date}\n") });
            date.clone_into(day);
        }
        let name = clean_line(&message.from.name);
        let failed = match message.status {
            Some(MessageStatus::Failed | MessageStatus::Expired) => " (not delivered)",
            _ => "",
        };
        let late = message.arrived_ms.map(|ms| format!(" ({})", arrived(message, &time::long(ms)))).unwrap_or_default();
        let forwarded = if message.forwarded { " (forwarded)" } else { "" };
        let body = clean_text(&message.body);
        if self.markdown {
            text.push_str(&format!("\n**{}** {clock}{failed}{forwarded}{late}\n", escape(&name)));
            for line in body.split('\n') {
                // Two spaces keep the line's end; leading blanks would make code of it.
                let inner = line.trim_start_matches(' ');
                let blanks = "\u{A0}".repeat(line.len() - inner.len());
                text.push_str(&format!("> {blanks}{}  \n", escape(inner)));
            }
        } else {
            let head = format!("{clock}  {name}{failed}{forwarded}{late}: ");
            // A further line begins with blanks: it cannot pass for a message of its own.
            text.push_str(&format!("{head}{}\n", body.replace('\n', "\n          ")));
        }
        text
    }
}

/// Text that Markdown shows as it is: no image of a message is fetched when somebody opens the file.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use subrosa_client_core::api::Person;

    use super::*;

    fn message(name: &str, body: &str) -> Message {
        Message {
            id: "00".repeat(16),
            chat: "c".to_owned(),
            from: Person { id: "a".to_owned(), name: name.to_owned() },
            outgoing: false,
            ts_ms: time::now_ms(),
            body: body.to_owned(),
            ..Message::default()
        }
    }

    #[test]
    fn a_further_line_cannot_pass_for_a_message() {
        let mut day = String::new();
        let text =
            Transcript::new("bob", false).message(&message("bob", "one\n09:41:00  alice: I owe you\x1b[2J"), &mut day);
        assert_eq!(
            text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(": ")).count(),
            1
        );
        assert!(!text.contains('\x1b'));
        let again = Transcript::new("bob", false).message(&message("bob", "two"), &mut day);
        assert_eq!(again.lines().count(), 1, "one heading a day");
    }

    #[test]
    fn what_was_put_in_above_older_messages_is_marked() {
        let mut late = message("bob", "Do you take over the debt of 10,000?");
        late.arrived_ms = Some(late.ts_ms + 3_600_000);
        late.late = true;
        for markdown in [false, true] {
            let text = Transcript::new("bob", markdown).message(&late, &mut String::new());
            let mark = format!("(arrived {}, later than what is below)", time::long(late.ts_ms + 3_600_000));
            assert!(text.contains(&mark), "{text}");
        }
    }

    #[test]
    fn markdown_of_others_is_text() {
        let mut day = String::new();
        let hostile = "![x](https://tracker.example/)\n# alice\n    code\n<img src=x>\n- list";
        let text = Transcript::new("[b](c)", true).message(&message("**bob**", hostile), &mut day);
        assert!(text.contains("\\!\\[x\\]\\(https\\:\\/\\/tracker\\.example\\/\\)"), "{text}");
        assert!(text.contains("> \\# alice"), "{text}");
        assert!(text.contains("> \u{A0}\u{A0}\u{A0}\u{A0}code"), "{text}");
        assert!(text.contains("> \\<img") && text.contains("> \\- list"), "{text}");
    }
}
