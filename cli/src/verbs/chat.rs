//! `chat set`: what is set for a conversation on this device.

use subrosa_client_core::{api::ChatSetParams, limits::MUTED_FOR_EVER_MS};

use crate::{
    Context,
    account::{Use, millis, with_account},
    args::{ChatVerb, Mute},
    errors::{Failure, usage},
    output::time::now_ms,
};

pub(crate) async fn run(ctx: &Context, verb: ChatVerb) -> Result<(), Failure> {
    let ChatVerb::Set(args) = verb;
    let either = |on: bool, off: bool| if on || off { Some(on) } else { None };
    let params = ChatSetParams {
        chat: args.chat,
        muted_until_ms: args.mute.map(|mute| match mute {
            Mute::Off => 0,
            Mute::On => MUTED_FOR_EVER_MS,
            Mute::For(time) => now_ms().saturating_add(millis(time)),
        }),
        pinned: either(args.pin, args.unpin),
        archived: either(args.archive, args.unarchive),
    };
    if params.muted_until_ms.is_none() && params.pinned.is_none() && params.archived.is_none() {
        return Err(usage("there is nothing to set", "--mute 8h, --pin or --archive; see: subrosa chat set --help"));
    }
    with_account(ctx, Use { kind: "chat", drain: false }, async |client| {
        Ok(ctx.out.line(client.chat_set(params).await?)?)
    })
    .await
}
