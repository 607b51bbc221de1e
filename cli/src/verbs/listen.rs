//! `listen`: prints everything as it happens, and runs the engine for every other command meanwhile.

use std::time::{Duration, Instant};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{Event, EventsParams, NoParams, ReceiveCommitParams, ReceiveParams},
    clean::clean_line,
};

use crate::{
    Context,
    account::{Use, millis, open_account},
    args::{EventType, ListenArgs},
    errors::{Failure, show},
    interrupt::Signal,
};

use super::exec::Exec;

/// One call waits at most so long; the next follows at once.
const POLL: Duration = Duration::from_secs(60);

pub(crate) async fn run(ctx: &Context, args: ListenArgs) -> Result<(), Failure> {
    let opened = tokio::select! {
        opened = open_account(ctx, Use { kind: "listen", drain: false }) => opened?,
        signal = ctx.interrupt.wait() => return end(signal),
    };
    let client = opened.client();
    let until = ctx.global.timeout.map(|timeout| Instant::now() + timeout);
    let result = tokio::select! {
        result = follow(ctx, &*client, &args, until) => result,
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

async fn follow(ctx: &Context, client: &dyn Client, args: &ListenArgs, until: Option<Instant>) -> Result<(), Failure> {
    // A place in the stream first: if the engine changes hands, the next one goes on from there.
    let exec = Exec::new(&args.exec, args.exec_timeout);
    let mut cursor = match (args.since, &args.consumer) {
        (Some(cursor), _) => cursor,
        (None, Some(name)) => {
            client.receive(ReceiveParams { consumer: Some(name.clone()), max: Some(0) }).await?.cursor
        }
        (None, None) => client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor,
    };
    let account = client.account(NoParams {}).await?;
    ctx.out.note(&format!("listening as {} at {}; Ctrl-C ends", clean_line(&account.name), clean_line(&account.relay)));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = left.map_or(POLL, |left| left.min(POLL));
        let page = client.events(EventsParams { since: Some(cursor), max: None, wait_ms: millis(wait) }).await?;
        for event in &page.events {
            if wanted(event, &args.types) {
                ctx.out.event(event)?;
            }
            if let (Some(exec), Event::Message(message)) = (&exec, event)
                && !message.outgoing
            {
                if let Err(why) = exec.run(event).await {
                    report(ctx, &message.id, &why);
                }
                if let Some(cursor) = message.cursor {
                    keep_place(client, args, cursor).await?;
                }
            }
        }
        if page.cursor != cursor {
            keep_place(client, args, page.cursor).await?;
        }
        cursor = page.cursor;
        if left.is_some_and(|left| left.is_zero()) && page.events.is_empty() {
            return Ok(());
        }
    }
}

/// What came before is out: the consumer goes on behind it.
async fn keep_place(client: &dyn Client, args: &ListenArgs, cursor: u64) -> Result<(), Failure> {
    if let Some(name) = &args.consumer {
        client.receive_commit(ReceiveCommitParams { consumer: Some(name.clone()), cursor }).await?;
    }
    Ok(())
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
