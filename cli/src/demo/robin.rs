//! Robin, the friendly peer: reads what you write, and answers like somebody who knows the program.

use std::time::Duration;

use subrosa_client_core::{
    ApiError, Client,
    api::{Event, EventsParams, Message, ReadParams, SendParams},
};

use super::stage::YOU;

/// Robin looks at a message for so long before it counts as read: the ticks are seen moving.
const READING: Duration = Duration::from_millis(450);

/// And types for so long.
const TYPING: Duration = Duration::from_millis(700);

/// What Robin says first.
const GREETING: &str =
    "Hi, I am Robin. I live in the other half of this program, behind a real relay. Write me something!";

/// Greets, then reads and answers until stopped.
pub(super) async fn live(client: &dyn Client) -> Result<(), ApiError> {
    let mut cursor = client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor;
    say(client, GREETING).await?;
    let mut turn = 0;
    loop {
        let page = client.events(EventsParams { since: Some(cursor), max: None, wait_ms: 60_000 }).await?;
        cursor = page.cursor;
        let newest = page.events.into_iter().filter_map(incoming).next_back();
        let Some(message) = newest else { continue };
        tokio::time::sleep(READING).await;
        client.read(ReadParams { what: message.id }).await?;
        tokio::time::sleep(TYPING).await;
        say(client, &answer(&message.body, turn)).await?;
        turn += 1;
    }
}

fn incoming(event: Event) -> Option<Message> {
    match event {
        Event::Message(message) if !message.outgoing => Some(message),
        _ => None,
    }
}

async fn say(client: &dyn Client, text: &str) -> Result<(), ApiError> {
    client.send(SendParams { to: YOU.to_owned(), body: text.to_owned(), ..SendParams::default() }).await.map(|_| ())
}

/// Words that begin a subject, and what Robin says about it.
const SUBJECTS: &[(&[&str], &str)] = &[
    (
        &["tick", "ticks", "receipt", "receipts", "check"],
        "One tick: the relay has it on disk. Two: I have it. Bold and blue: I read it. All of that travels encrypted, too.",
    ),
    (
        &["relay", "server", "host"],
        "The relay stores sealed envelopes until I fetch them. It cannot read them, and does not know who sent them. Run one yourself: subrosa relay serve",
    ),
    (
        &["secure", "security", "encrypted", "encryption", "crypto", "key", "keys", "ratchet"],
        "Every message has its own key: a Double Ratchet, set up with X25519 and ML-KEM-1024, so that recording today for a quantum computer of tomorrow does not pay.",
    ),
    (
        &["safe", "verify", "number"],
        "You opened this chat by a contact link, so you already know my key is mine. Otherwise: subrosa verify NAME",
    ),
    (
        &["group", "groups", "photo", "photos", "file", "files", "video"],
        "Not in this version yet: it begins with two people who can rely on every message.",
    ),
    (
        &["script", "json", "bot", "automate", "pipe"],
        "Everything here works from scripts: subrosa listen --json gives one object a line, and send takes stdin.",
    ),
    (
        &["who", "name", "robot", "human", "real"],
        "I am a small piece of this program. My relay, my keys and my encrypted store are real, though.",
    ),
    (
        &["start", "install", "account", "begin", "init"],
        "Two commands: subrosa init --relay URL --name YOU, then subrosa invite. Your friend runs subrosa join LINK.",
    ),
    (
        &["offline", "lost", "crash", "lose"],
        "What a relay accepted is on its disk, and what you wrote is in your outbox: kill any of us, nothing is lost and nothing comes twice.",
    ),
    (&["thanks", "thank", "thx", "danke", "merci"], "You are welcome!"),
    (&["bye", "quit", "exit", "ciao"], "Goodbye! Ctrl-C twice ends the demo, and all of it is removed."),
    (&["hello", "hi", "hey", "hallo", "moin", "hola"], "Hello! Nice to hear from you."),
    (&["how", "you"], "I am fine, thank you. My outbox is empty and my mailbox is drained."),
];

/// What Robin says when nothing better comes to mind, in turn.
const OTHERWISE: &[&str] = &[
    "I got that, sealed and in order. Watch your ticks.",
    "Ask me about the ticks, the relay, encryption, or scripts.",
    "Noted. It took a few milliseconds from your keyboard to my disk.",
    "Interesting! Tell me more.",
    "When you are done: Ctrl-C twice, and nothing of this is left on your machine.",
];

/// Robin's answer: the subject whose word comes up, else something friendly.
pub(super) fn answer(text: &str, turn: usize) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let matching = SUBJECTS.iter().find(|(keys, _)| keys.iter().any(|key| words.contains(key)));
    if let Some((_, answer)) = matching {
        return (*answer).to_owned();
    }
    if text.trim_end().ends_with('?') {
        return "Good question. I know about ticks, the relay, encryption, and scripts: try one of those.".to_owned();
    }
    OTHERWISE[turn % OTHERWISE.len()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robin_stays_with_the_subject() {
        assert!(answer("Hello there", 0).starts_with("Hello!"));
        assert!(answer("is this ENCRYPTED?", 0).contains("Double Ratchet"));
        assert!(answer("what do the ticks mean", 0).contains("Two: I have it"));
        assert!(answer("Thanks!", 3).contains("welcome"));
        assert!(answer("hello, how secure is this?", 0).contains("Double Ratchet"), "a subject goes before politeness");
    }

    #[test]
    fn robin_always_has_an_answer_and_does_not_repeat_it_at_once() {
        for text in ["", "?", "🙂", "lorem ipsum", "\n\n", "それは？"] {
            assert!(!answer(text, usize::MAX).is_empty());
        }
        assert_ne!(answer("lorem", 0), answer("lorem", 1));
        assert!(answer("quo vadis?", 0).contains("question"));
    }
}
