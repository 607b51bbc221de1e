//! The other people of the demo: a chat with a past, one with unread messages, a request, and somebody who writes meanwhile.

use std::time::Duration;

use subrosa_client_core::{
    ApiError, Client,
    api::{Event, EventsParams, MessageStatus, ReadParams, SendParams, WaitParams},
};

use super::stage::{Player, Stage, YOU};

/// Who lives here besides Robin, in the order of [`Stage::others`].
pub(super) const NAMES: &[&str] = &["maria", "noah", "tess"];

/// A message reaches the other side on the same machine in milliseconds; more is a fault.
const PATIENCE_MS: u64 = 20_000;

/// Maria remembers something, while you look at another chat.
const LATER: Duration = Duration::from_secs(12);

/// Before an answer.
const THINKING: Duration = Duration::from_millis(1_500);

/// `true`: from you.
type Line = (bool, &'static str);

/// Maria: plans for the weekend, the last part unread.
const MARIA: &[Line] = &[
    (false, "Are we still on for Saturday?"),
    (true, "Yes! The 9:12 from the main station, platform 4."),
    (false, "Perfect. I bring the map: https://www.openstreetmap.org/#map=13/47.42/10.98"),
    (true, "And I bring lunch.\nBread, cheese, apples, and the good chocolate."),
    (false, "You are the best 🧀"),
];

/// What Maria wrote since.
const MARIA_NEW: &[&str] = &[
    "One more thing: it may rain in the afternoon, so take something waterproof.",
    "And Noah asked whether he can come along. Fine with you?",
];

/// Noah: a small question with a long answer, all read.
const NOAH: &[Line] = &[
    (true, "Do you know how to find a message from last week here?"),
    (
        false,
        "Ctrl+F looks for words in this chat, Tab in there looks in all chats, and Enter goes to the message. PgUp goes back in time, too.",
    ),
    (true, "And the ticks?"),
    (
        false,
        "One: the relay has it on disk. Two: my device has it. Bold and blue: I have read it. Nobody else can see any of that, the receipts are encrypted like the text.",
    ),
    (true, "Nice. Thanks!"),
];

/// Tess knows your handle and asks.
const TESS: &str = "Hi, Maria gave me your name. I have a question about Saturday.";

/// Makes them contacts and gives them a past.
pub(super) async fn move_in(stage: &Stage) -> Result<(), ApiError> {
    let [maria, noah, tess] = stage.others.as_slice() else { return Ok(()) };
    stage.introduce(noah).await?;
    talk(stage, noah, NOAH).await?;
    stage.introduce(maria).await?;
    talk(stage, maria, MARIA).await?;
    for text in MARIA_NEW {
        say(&*maria.client, YOU, text).await?;
    }
    say(&*tess.client, YOU, TESS).await?;
    Ok(())
}

async fn talk(stage: &Stage, other: &Player, lines: &[Line]) -> Result<(), ApiError> {
    for (from_you, text) in lines {
        let (from, to, name) = if *from_you { (&stage.you, other, other.name) } else { (other, &stage.you, YOU) };
        let id = say(&*from.client, name, text).await?;
        to.client.read(ReadParams { what: id }).await?;
    }
    Ok(())
}

/// Sends it and waits until the other side has it, so that everybody sees one order.
async fn say(client: &dyn Client, to: &str, text: &str) -> Result<String, ApiError> {
    // Tess is a stranger, and says so: a bare name never reaches one.
    let request = text == TESS;
    let params = SendParams { to: to.to_owned(), body: text.to_owned(), request, ..SendParams::default() };
    let sent = client.send(params).await?;
    let wait = WaitParams { id: sent.id.clone(), status: MessageStatus::Delivered, timeout_ms: PATIENCE_MS };
    // A request has no receipts before it is accepted: it counts when the relay has it.
    let wait = if request { WaitParams { status: MessageStatus::Sent, ..wait } } else { wait };
    client.wait(wait).await?;
    Ok(sent.id)
}

/// They go on living: Maria remembers something, everybody reads and answers.
pub(super) async fn live(stage: &Stage) -> Result<(), ApiError> {
    let [maria, noah, tess] = stage.others.as_slice() else { return std::future::pending().await };
    tokio::try_join!(
        async {
            tokio::time::sleep(LATER).await;
            say(&*maria.client, YOU, "Oh, and the museum is open until 18:00, in case it pours.").await
        },
        answer(
            &*maria.client,
            &["Great, then we are three!", "See you on Saturday 🎒", "Haha, yes.", "I will check and tell you."]
        ),
        answer(&*noah.client, &["Any time!", "Works for me.", "Press F1 there, all keys are listed.", "👍"]),
        answer(&*tess.client, &["Thank you for accepting! Which train do you take?", "Perfect, see you there."]),
    )
    .map(|_| ())
}

/// Reads what you write, and says the next of these.
async fn answer(client: &dyn Client, texts: &[&str]) -> Result<(), ApiError> {
    let mut cursor = client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor;
    let mut texts = texts.iter().cycle();
    loop {
        let page = client.events(EventsParams { since: Some(cursor), max: None, wait_ms: 60_000 }).await?;
        cursor = page.cursor;
        let newest = page.events.into_iter().rev().find_map(|event| match event {
            Event::Message(message) if !message.outgoing => Some(message.id),
            _ => None,
        });
        let Some(id) = newest else { continue };
        tokio::time::sleep(THINKING).await;
        client.read(ReadParams { what: id }).await?;
        tokio::time::sleep(THINKING).await;
        if let Some(text) = texts.next() {
            client.send(SendParams { to: YOU.to_owned(), body: (*text).to_owned(), ..SendParams::default() }).await?;
        }
    }
}
