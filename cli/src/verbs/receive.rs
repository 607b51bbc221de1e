//! `receive`: prints what came since the last time, and goes.

use std::time::{Duration, Instant};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{Event, EventsParams, ReceiveCommitParams, ReceiveParams, TimeoutParams},
    limits::MAX_EVENTS_PAGE,
};

use crate::{
    Context,
    account::{DRAIN_FIRST, Use, millis, with_account},
    args::ReceiveArgs,
    errors::Failure,
};

/// How long `receive` waits for a first message unless told.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(ctx: &Context, args: ReceiveArgs) -> Result<(), Failure> {
    let timeout = ctx.global.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let how = Use { kind: "receive", drain: false };
    with_account(ctx, how, async |client| {
        let client = &*client;
        let until = Instant::now() + timeout;
        let mut reader = Reader { ctx, client, args: &args, printed: 0, cursor: 0 };
        // `--timeout 0` asks for what is in the mailbox now: fetching that takes a moment all the same.
        let mut offline = reader.drain(if timeout.is_zero() { Instant::now() + DRAIN_FIRST } else { until }).await?;
        reader.print_waiting().await?;
        while reader.printed == 0 {
            if !reader.wait_for_message(until).await? {
                let why = offline.map(|why| format!(" ({why})")).unwrap_or_default();
                return Err(ApiError::new(ErrorKind::Timeout, format!("nothing came in time{why}")).into());
            }
            offline = reader.drain(until).await?;
            reader.print_waiting().await?;
        }
        Ok(())
    })
    .await
}

struct Reader<'a> {
    ctx: &'a Context,
    client: &'a dyn Client,
    args: &'a ReceiveArgs,
    printed: u32,
    /// How far in the stream we have looked.
    cursor: u64,
}

impl Reader<'_> {
    /// Fetches the mailbox; the reason if that was not possible.
    async fn drain(&self, until: Instant) -> Result<Option<String>, Failure> {
        let waited = self.client.drain(TimeoutParams { timeout_ms: left(until) }).await?;
        Ok(if waited.done {
            None
        } else {
            Some(waited.error.unwrap_or_else(|| "the mailbox is not fetched yet".to_owned()))
        })
    }

    /// Prints what lies after the consumer's place and moves it, page by page, each only after it is out: a reader that
    /// dies in between sees those messages again rather than never.
    async fn print_waiting(&mut self) -> Result<(), Failure> {
        loop {
            let max = self.args.max.map_or(MAX_EVENTS_PAGE, |max| (max - self.printed).min(MAX_EVENTS_PAGE));
            if max == 0 {
                return Ok(());
            }
            let consumer = Some(self.args.consumer.clone());
            let page = self.client.receive(ReceiveParams { consumer: consumer.clone(), max: Some(max) }).await?;
            self.cursor = self.cursor.max(page.cursor);
            if page.messages.is_empty() {
                return Ok(());
            }
            for message in page.messages {
                self.ctx.out.line(message)?;
                self.printed += 1;
            }
            self.client.receive_commit(ReceiveCommitParams { consumer, cursor: page.cursor }).await?;
        }
    }

    /// Waits for an incoming message; `false` when time is up.
    async fn wait_for_message(&mut self, until: Instant) -> Result<bool, Failure> {
        loop {
            let wait_ms = left(until);
            let page = self.client.events(EventsParams { since: Some(self.cursor), max: None, wait_ms }).await?;
            self.cursor = self.cursor.max(page.cursor);
            if page.events.iter().any(|event| matches!(event, Event::Message(message) if !message.outgoing)) {
                return Ok(true);
            }
            if wait_ms == 0 && page.events.is_empty() {
                return Ok(false);
            }
        }
    }
}

fn left(until: Instant) -> u64 {
    millis(until.saturating_duration_since(Instant::now()))
}
