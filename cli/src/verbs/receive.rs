//! `receive`: prints what came since the last time, and goes.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{Message, TimeoutParams},
    limits::MAX_EVENTS_PAGE,
};

use super::consumer::Consumer;
use crate::{
    Context,
    account::{DRAIN_FIRST, Use, millis, with_account},
    args::ReceiveArgs,
    errors::Failure,
    output::reader,
};

/// How long `receive` waits for a first message unless told.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(ctx: &Context, args: ReceiveArgs) -> Result<(), Failure> {
    reader::check_open()?;
    let how = Use { kind: "receive", drain: false };
    with_account(ctx, how, async |client| {
        let client = &*client;
        let consumer = Consumer::new(client, &args.consumer, args.wait, args.share);
        let mut reader = Reader { ctx, client, consumer, max: args.max, printed: 0, uncommitted: HashSet::new() };
        let result = reader.run(ctx.global.timeout.unwrap_or(DEFAULT_TIMEOUT)).await;
        reader.consumer.release().await;
        result
    })
    .await
}

struct Reader<'a> {
    ctx: &'a Context,
    client: &'a dyn Client,
    consumer: Consumer<'a>,
    max: Option<u32>,
    printed: u32,
    /// Printed, and not yet committed: if they come again because the engine changed hands, they are not printed again.
    uncommitted: HashSet<String>,
}

impl Reader<'_> {
    async fn run(&mut self, timeout: Duration) -> Result<(), Failure> {
        // Before the clock runs: who waits for the consumer has not begun to wait for a message.
        self.consumer.receive(0, 0).await?;
        let until = Instant::now() + timeout;
        // `--timeout 0` asks for what is in the mailbox now: fetching that takes a moment all the same.
        let mut offline = self.drain(if timeout.is_zero() { Instant::now() + DRAIN_FIRST } else { until }).await?;
        self.print_waiting(0).await?;
        while self.printed == 0 {
            self.print_waiting(left(until)).await?;
            if self.printed == 0 && left(until) == 0 {
                let why = offline.map(|why| format!(" ({why})")).unwrap_or_default();
                return Err(ApiError::new(ErrorKind::Timeout, format!("nothing came in time{why}")).into());
            }
            // What comes with the first one is under way.
            offline = self.drain(until).await?;
            self.print_waiting(0).await?;
        }
        Ok(())
    }

    /// Fetches the mailbox; the reason if that was not possible.
    async fn drain(&self, until: Instant) -> Result<Option<String>, Failure> {
        let waited = self.client.drain(TimeoutParams { timeout_ms: left(until) }).await?;
        Ok(if waited.done {
            None
        } else {
            Some(waited.error.unwrap_or_else(|| "the mailbox is not fetched yet".to_owned()))
        })
    }

    /// Prints what lies after the consumer's place and moves it, each only after it is out: a reader that dies in between sees
    /// those messages again rather than never.
    async fn print_waiting(&mut self, mut wait_ms: u64) -> Result<(), Failure> {
        loop {
            let max = self.max.map_or(MAX_EVENTS_PAGE, |max| (max - self.printed).min(MAX_EVENTS_PAGE));
            if max == 0 {
                return Ok(());
            }
            let page = self.consumer.receive(max, wait_ms).await?;
            wait_ms = 0;
            if page.messages.is_empty() {
                return Ok(());
            }
            // A program may have enough after any line. What it left is not done, so each line is committed for itself.
            let one_by_one = reader::is_program();
            let last = page.cursor;
            for message in page.messages {
                let cursor = message.cursor.unwrap_or(last);
                self.print(message)?;
                if one_by_one && !self.commit(cursor).await? {
                    break;
                }
            }
            if !one_by_one {
                self.commit(last).await?;
            }
        }
    }

    fn print(&mut self, message: Message) -> Result<(), Failure> {
        if self.uncommitted.insert(message.id.clone()) {
            self.ctx.out.line(message)?;
            reader::check_there()?;
            self.printed += 1;
        }
        Ok(())
    }

    /// `false`: the messages come again, and are passed over.
    async fn commit(&mut self, cursor: u64) -> Result<bool, Failure> {
        let committed = self.consumer.commit(cursor).await?;
        if committed {
            self.uncommitted.clear();
        }
        Ok(committed)
    }
}

fn left(until: Instant) -> u64 {
    millis(until.saturating_duration_since(Instant::now()))
}
