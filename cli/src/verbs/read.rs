//! Verbs that show what is here: `chats`, `history`, `info`, `status`; and `read`, which marks it as seen.

use subrosa_client_core::api::{ChatsParams, HistoryParams, InfoParams, NoParams, ReadParams};

use crate::{
    Context,
    account::{Use, with_account},
    args::{ChatsArgs, HistoryArgs, InfoArgs, ReadArgs},
    errors::Failure,
};

const fn one_shot(kind: &'static str) -> Use {
    Use { kind, drain: true }
}

pub(crate) async fn chats(ctx: &Context, args: ChatsArgs) -> Result<(), Failure> {
    with_account(ctx, one_shot("chats"), async |client| {
        let chats = client.chats(ChatsParams { unread: args.unread, archived: args.archived }).await?.chats;
        if chats.is_empty() {
            ctx.out.note(if args.unread {
                "Nothing unread."
            } else {
                "No conversations yet. Invite somebody: subrosa invite"
            });
        }
        for chat in chats {
            ctx.out.line(chat)?;
        }
        Ok(())
    })
    .await
}

pub(crate) async fn history(ctx: &Context, args: HistoryArgs) -> Result<(), Failure> {
    let params = HistoryParams {
        chat: args.chat,
        limit: Some(args.limit),
        before: args.before,
        after: args.after,
        around: args.around,
        oldest: args.oldest,
        since_ms: args.since,
    };
    with_account(ctx, one_shot("history"), async |client| {
        let page = client.history(params).await?;
        let mut missing = page.missing.into_iter().peekable();
        let mut before_ms = if page.more_before { page.messages.first().map(|first| first.ts_ms) } else { Some(0) };
        for message in page.messages {
            while let Some(span) = missing.next_if(|span| span.from_ms < message.ts_ms) {
                // One that stands further up belongs to another page.
                if before_ms.is_some_and(|before_ms| span.from_ms >= before_ms) {
                    ctx.out.line(span)?;
                }
            }
            before_ms = Some(0);
            ctx.out.line(message)?;
        }
        if !page.more_after {
            missing.try_for_each(|span| ctx.out.line(span))?;
        }
        Ok(())
    })
    .await
}

pub(crate) async fn info(ctx: &Context, args: InfoArgs) -> Result<(), Failure> {
    with_account(ctx, one_shot("info"), async |client| {
        Ok(ctx.out.line(client.info(InfoParams { id: args.id }).await?)?)
    })
    .await
}

pub(crate) async fn mark_read(ctx: &Context, args: ReadArgs) -> Result<(), Failure> {
    with_account(ctx, one_shot("read"), async |client| {
        Ok(ctx.out.line(client.read(ReadParams { what: args.what }).await?)?)
    })
    .await
}

pub(crate) async fn status(ctx: &Context) -> Result<(), Failure> {
    with_account(ctx, one_shot("status"), async |client| Ok(ctx.out.line(client.status(NoParams {}).await?)?)).await
}
