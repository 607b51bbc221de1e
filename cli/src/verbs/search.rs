//! `search`: messages by their words.

use subrosa_client_core::api::SearchParams;

use crate::{
    Context,
    account::{Use, with_account},
    args::SearchArgs,
    errors::Failure,
    output::columns::short_id,
};

pub(crate) async fn run(ctx: &Context, args: SearchArgs) -> Result<(), Failure> {
    let params =
        SearchParams { query: args.words.join(" "), chat: args.chat, limit: Some(args.limit), before: args.before };
    with_account(ctx, Use { kind: "search", drain: true }, async |client| {
        let found = client.search(params).await?;
        if found.hits.is_empty() {
            ctx.out.note("Nothing found.");
        }
        for message in found.hits {
            ctx.out.line(message)?;
        }
        if let Some(next) = found.next {
            ctx.out.note(&format!("Older ones: the same with --before {}", short_id(&next)));
        }
        Ok(())
    })
    .await
}
