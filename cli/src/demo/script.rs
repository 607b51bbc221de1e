//! The scripted conversation: who says what, and every change of state as the engines report it.

use std::collections::HashMap;

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{Event, EventsParams, MessageStatus, ReadParams, SendParams},
    clean::clean_line,
};
use tokio::{sync::mpsc, task::JoinSet};

use super::stage::{Player, ROBIN, Stage, YOU};
use crate::{
    Context,
    errors::Failure,
    output::{columns::short_id, ticks, time},
};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    You,
    Robin,
}

use Side::{Robin, You};

/// The conversation: turns of one or more messages.
const TURNS: &[(Side, &[&str])] = &[
    (You, &["Hi Robin! Does this really go through a relay?"]),
    (
        Robin,
        &[
            "It does. It stores sealed envelopes until I fetch them: no sender, no text.",
            "And it has every one on disk before you see the first tick.",
        ],
    ),
    (You, &["So one tick: the relay has it.", "Two ticks: you have it.", "And now you have read it."]),
    (Robin, &["Exactly. Good night!"]),
];

/// Events of both sides that wait to be printed: more than one turn causes.
const EVENT_QUEUE: usize = 64;

impl Side {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            You => (YOU, ROBIN),
            Robin => (ROBIN, YOU),
        }
    }

    const fn of(self, stage: &Stage) -> &Player {
        match self {
            You => &stage.you,
            Robin => &stage.robin,
        }
    }

    const fn other(self) -> Self {
        match self {
            You => Robin,
            Robin => You,
        }
    }
}

pub(super) async fn run(ctx: &Context, stage: &Stage) -> Result<(), Failure> {
    ctx.out.text(&format!("{YOU} and {ROBIN} talk through the relay at {}\n\n", stage.relay))?;
    let (events, mut queue) = mpsc::channel(EVENT_QUEUE);
    let mut followers = JoinSet::new();
    for side in [You, Robin] {
        let client = side.of(stage).client.clone();
        let cursor = client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor;
        let events = events.clone();
        followers.spawn(async move { follow(&*client, side, cursor, events).await });
    }
    drop(events);

    let mut printer = Printer { ctx, texts: HashMap::new() };
    for (side, texts) in TURNS {
        turn(stage, *side, texts, &mut queue, &mut printer).await?;
        ctx.out.text("\n")?;
    }
    ctx.out.text(&format!("{} messages: sent, delivered and read, in order, each once.\n", printer.texts.len()))?;
    Ok(())
}

/// One side says something; the other reads it. Ends when the last receipt is printed.
async fn turn(
    stage: &Stage,
    side: Side,
    texts: &[&str],
    queue: &mut mpsc::Receiver<(Side, Event)>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let (_, to) = side.names();
    let sender = &side.of(stage).client;
    let reader = &side.other().of(stage).client;
    let mut unread = Vec::new();
    for text in texts {
        let sent =
            sender.send(SendParams { to: to.to_owned(), body: (*text).to_owned(), ..SendParams::default() }).await?;
        printer.texts.insert(sent.id.clone(), (*text).to_owned());
        unread.push(sent.id);
    }
    let last = unread.last().cloned().unwrap_or_default();
    while !unread.is_empty() {
        let (from, event) =
            queue.recv().await.ok_or_else(|| ApiError::new(ErrorKind::EngineGone, "an engine stopped"))?;
        printer.event(from, &event)?;
        match event {
            // Everything up to the last one is on screen: it is read at once.
            Event::Message(message) if from == side.other() && message.id == last => {
                reader.read(ReadParams { what: last.clone() }).await?;
            }
            Event::Receipt(receipt) if from == side && receipt.status == MessageStatus::Read => {
                unread.retain(|id| *id != receipt.id);
            }
            Event::State(state) if matches!(state.status, MessageStatus::Failed | MessageStatus::Expired) => {
                let why = state.error.unwrap_or_else(|| "no reason was given".to_owned());
                return Err(ApiError::new(ErrorKind::Failed, format!("a message failed: {why}")).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Hands on one side's events in their order.
async fn follow(client: &dyn Client, side: Side, mut cursor: u64, events: mpsc::Sender<(Side, Event)>) {
    loop {
        let Ok(page) = client.events(EventsParams { since: Some(cursor), max: None, wait_ms: 60_000 }).await else {
            return;
        };
        cursor = page.cursor;
        for event in page.events {
            if events.send((side, event)).await.is_err() {
                return;
            }
        }
    }
}

struct Printer<'a> {
    ctx: &'a Context,
    /// Texts by message id.
    texts: HashMap<String, String>,
}

impl Printer<'_> {
    fn event(&self, side: Side, event: &Event) -> Result<(), Failure> {
        let out = &self.ctx.out;
        if out.json {
            return Ok(out.event(event)?);
        }
        let (id, status, ts_ms) = match event {
            Event::State(state) => (&state.id, state.status, state.ts_ms),
            Event::Receipt(receipt) => (&receipt.id, receipt.status, receipt.ts_ms),
            _ => return Ok(()),
        };
        let (from, to) = side.names();
        // The text once; the changes that follow name it by its id.
        let text = match (status, self.texts.get(id)) {
            (MessageStatus::Queued, Some(text)) => format!("\"{}\"", clean_line(text)),
            _ => String::new(),
        };
        let arrow = if out.ticks.unicode { "→" } else { "->" };
        let sign = out.ticks.sign(status);
        let sign = format!("{}{}", out.ticks.show(status), " ".repeat(3_usize.saturating_sub(sign.chars().count())));
        Ok(out.text(&format!(
            "{}  {from:>5} {arrow} {to:<5}  {}  {sign} {:<9}  {text}\n",
            out.ticks.dim(&time::precise(ts_ms)),
            short_id(id),
            ticks::name(status),
        ))?)
    }
}
