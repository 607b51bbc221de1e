//! `outbox list|retry|cancel`: what waits to leave.

use subrosa_client_core::api::{OutboxCancelParams, OutboxListParams, OutboxRetryParams};

use crate::{
    Context,
    account::{Use, with_account},
    args::OutboxVerb,
    errors::Failure,
};

pub(crate) async fn run(ctx: &Context, verb: OutboxVerb) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "outbox", drain: false }, async |client| {
        match verb {
            OutboxVerb::List(args) => {
                let outbox = client.outbox_list(OutboxListParams { limit: args.limit }).await?;
                let shown = u64::try_from(outbox.entries.len()).unwrap_or(u64::MAX);
                if outbox.total == 0 {
                    ctx.out.note("Nothing waits.");
                }
                for entry in outbox.entries {
                    ctx.out.line(entry)?;
                }
                if outbox.total > shown {
                    ctx.out.note(&format!("and {} more", outbox.total - shown));
                }
            }
            OutboxVerb::Retry(args) => {
                let done = client.outbox_retry(OutboxRetryParams { id: args.id }).await?;
                let text = match done.count {
                    0 => "nothing waits".to_owned(),
                    count => format!("{count} waiting: tried again now"),
                };
                ctx.out.done(done, &text)?;
            }
            OutboxVerb::Cancel(args) => {
                let done = client.outbox_cancel(OutboxCancelParams { id: args.id }).await?;
                let text =
                    if done.count == 0 { "it was taken back or failed before" } else { "taken back; it was not sent" };
                ctx.out.done(done, text)?;
            }
        }
        Ok(())
    })
    .await
}
