//! `listen`: prints everything as it happens, and runs the engine for every other command meanwhile.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{Event, EventsParams, Message, NoParams},
    clean::clean_line,
    open::EngineAt,
};
use tokio::sync::watch;

use crate::{
    Context,
    account::{Use, millis, open_account},
    args::{EventType, ListenArgs},
    errors::{Failure, show, usage},
    interrupt::Signal,
    output::reader,
};

use super::{consumer::Consumer, exec::Exec};

/// One call waits at most so long; the next follows at once.
const POLL: Duration = Duration::from_secs(60);

/// Messages that one of several listeners takes at once when they are only printed.
const SHARED_PAGE: u32 = 8;

pub(crate) async fn run(ctx: &Context, args: ListenArgs) -> Result<(), Failure> {
    if args.share && args.types.iter().any(|kind| *kind != EventType::Message) {
        return Err(usage("only messages can be shared", "leave --share or the other --types away"));
    }
    if args.consumer.is_some() && args.exec.is_empty() {
        reader::check_open()?;
    }
    let opened = tokio::select! {
        opened = open_account(ctx, Use { kind: "listen", drain: false }) => opened?,
        signal = ctx.interrupt.wait() => return end(signal),
    };
    let client = opened.client();
    let until = ctx.global.timeout.map(|timeout| Instant::now() + timeout);
    let result = tokio::select! {
        result = follow(ctx, &*client, opened.engine_at(), &args, until) => result,
        signal = ctx.interrupt.wait() => end(signal),
    };
    opened.close().await;
    result
}

/// Being asked to stop is how a listener ends; only Ctrl-C keeps its exit code, so that shell loops end with it.
const fn end(signal: Signal) -> Result<(), Failure> {
    match signal {
        Signal::Interrupt => Err(Failure::Interrupted(signal)),
        Signal::Terminate | Signal::Hangup => Ok(()),
    }
}

async fn follow(
    ctx: &Context,
    client: &dyn Client,
    engine: watch::Receiver<EngineAt>,
    args: &ListenArgs,
    until: Option<Instant>,
) -> Result<(), Failure> {
    let exec = Exec::new(&args.exec, args.exec_timeout);
    let mut listener = Listener { ctx, client, engine, args, exec, until };
    let Some(name) = &args.consumer else {
        // A place in the stream first: if the engine changes hands, the next one goes on from there.
        let cursor = match args.since {
            Some(cursor) => cursor,
            None => client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor,
        };
        return listener.stream(cursor, None, &[]).await;
    };
    let mut consumer = Consumer::new(client, name, args.wait, args.share);
    let taken = consumer.receive(0, 0).await?;
    let result = if args.share {
        listener.share(&mut consumer).await
    } else {
        listener.stream(taken.cursor, Some(&mut consumer), &taken.done).await
    };
    consumer.release().await;
    result
}

struct Listener<'a> {
    ctx: &'a Context,
    client: &'a dyn Client,
    engine: watch::Receiver<EngineAt>,
    args: &'a ListenArgs,
    exec: Option<Exec<'a>>,
    until: Option<Instant>,
}

impl Listener<'_> {
    async fn greet(&self) -> Result<(), Failure> {
        let account = self.client.account(NoParams {}).await?;
        let (name, relay) = (clean_line(&account.name), clean_line(&account.relay));
        self.ctx.out.note(&format!("listening as {name} at {relay}; Ctrl-C ends"));
        Ok(())
    }

    fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Every event after `cursor`; with a consumer its place is kept. Of a consumer that was shared, `done` is finished already.
    async fn stream(
        &mut self,
        mut cursor: u64,
        mut consumer: Option<&mut Consumer<'_>>,
        done: &[u64],
    ) -> Result<(), Failure> {
        self.greet().await?;
        // A program that reads us may have enough after any line.
        let one_by_one = self.exec.is_some() || reader::is_program();
        loop {
            let left = self.left();
            let wait = left.map_or(POLL, |left| left.min(POLL));
            let params = EventsParams { since: Some(cursor), max: None, wait_ms: millis(wait) };
            let page = tokio::select! {
                page = self.client.events(params) => page?,
                () = changed_hands(&mut self.engine), if consumer.is_some() => {
                    // The lease went with the engine that gave it. Taken again at once, or somebody else could have it unnoticed.
                    if let Some(consumer) = &mut consumer {
                        consumer.still_at(cursor).await?;
                    }
                    continue;
                }
            };
            if let Some(consumer) = &mut consumer
                && !page.events.is_empty()
            {
                consumer.still_at(cursor).await?;
            }
            for event in &page.events {
                if event.cursor().is_some_and(|cursor| done.contains(&cursor)) {
                    continue;
                }
                if wanted(event, &self.args.types) {
                    self.ctx.out.event(event)?;
                }
                if let Event::Message(message) = event
                    && !message.outgoing
                {
                    self.execute(event, message).await;
                    if let Some(consumer) = &mut consumer
                        && one_by_one
                        && let Some(to) = message.cursor
                    {
                        self.check_reader()?;
                        consumer.keep(cursor, to).await?;
                        cursor = to;
                    }
                }
            }
            if page.cursor != cursor
                && let Some(consumer) = &mut consumer
            {
                self.check_reader()?;
                // What came before is out: the consumer goes on behind it.
                consumer.keep(cursor, page.cursor).await?;
            }
            cursor = page.cursor;
            if left.is_some_and(|left| left.is_zero()) && page.events.is_empty() {
                return Ok(());
            }
        }
    }

    /// Our part of the messages that come in.
    async fn share(&mut self, consumer: &mut Consumer<'_>) -> Result<(), Failure> {
        self.greet().await?;
        // A command may take long: what waits behind it is better done by somebody else.
        let max = if self.exec.is_some() { 1 } else { SHARED_PAGE };
        // Finished, and not yet committed: if they come again because the engine changed hands, they are passed over.
        let mut uncommitted = HashSet::new();
        loop {
            let left = self.left();
            let wait = left.map_or(POLL, |left| left.min(POLL));
            let page = consumer.receive(max, millis(wait)).await?;
            let nothing = page.messages.is_empty();
            for message in page.messages {
                let cursor = message.cursor.unwrap_or(page.cursor);
                if uncommitted.insert(message.id.clone()) {
                    let event = Event::Message(message);
                    self.ctx.out.event(&event)?;
                    if let Event::Message(message) = &event {
                        self.execute(&event, message).await;
                    }
                    self.check_reader()?;
                }
                if !consumer.commit(cursor).await? {
                    break;
                }
                uncommitted.clear();
            }
            if nothing && left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
        }
    }

    async fn execute(&self, event: &Event, message: &Message) {
        if let Some(exec) = &self.exec
            && let Err(why) = exec.run(event).await
        {
            report(self.ctx, &message.id, &why);
        }
    }

    /// Where the command is what counts, nobody need read what we print.
    fn check_reader(&self) -> Result<(), Failure> {
        if self.exec.is_none() {
            reader::check_there()?;
        }
        Ok(())
    }
}

/// Resolves when another engine is there than before.
async fn changed_hands(engine: &mut watch::Receiver<EngineAt>) {
    while engine.changed().await.is_ok() {
        if matches!(*engine.borrow_and_update(), EngineAt::Here | EngineAt::Elsewhere) {
            return;
        }
    }
    // The account was closed: so will the call for events be.
    std::future::pending().await
}

/// A command that failed is no reason to stop.
fn report(ctx: &Context, id: &str, why: &str) {
    show(&ApiError::new(ErrorKind::Failed, format!("message {id}: {why}")), ctx.out.json);
}

fn wanted(event: &Event, types: &[EventType]) -> bool {
    let kind = match event {
        Event::Message(_) => EventType::Message,
        Event::Receipt(_) => EventType::Receipt,
        Event::State(_) => EventType::State,
        Event::Contact(_) => EventType::Contact,
        Event::Chat(_) => EventType::Chat,
        Event::Notice(_) => EventType::Notice,
    };
    types.is_empty() || types.contains(&kind)
}
