//! `chat set`: what is set for a conversation on this device.

use subrosa_client_core::{
    api::{ChatSetParams, KeepShowParams},
    limits::MUTED_FOR_EVER_MS,
};

use crate::{
    Context,
    account::{Use, millis, with_account},
    args::{ChatVerb, Mute},
    confirm::confirm,
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
        keep: args.keep,
        agreed: false,
    };
    let nothing = ChatSetParams { chat: params.chat.clone(), ..ChatSetParams::default() };
    if params == nothing {
        return Err(usage(
            "there is nothing to set",
            "--mute 8h, --pin, --archive or --keep 1y; see: subrosa chat set --help",
        ));
    }
    with_account(ctx, Use { kind: "chat", drain: false }, async |client| {
        let mut params = params;
        if let Some(keep) = &params.keep {
            let shown = KeepShowParams { chat: Some(params.chat.clone()), keep: Some(keep.clone()) };
            let goes = client.keep_show(shown).await?.goes;
            params.agreed = goes > 0;
            if let Some(loss) = loss(goes, keep, "this chat") {
                confirm(ctx, args.force, &loss).await?;
            }
        }
        Ok(ctx.out.line(client.chat_set(params).await?)?)
    })
    .await
}

/// What a time deletes, in a sentence; `None`: nothing.
pub(crate) fn loss(goes: u64, keep: &str, of: &str) -> Option<String> {
    let older = if keep == "default" { "than messages are kept".to_owned() } else { format!("than {keep}") };
    let (messages, are) = if goes == 1 { ("message", "is") } else { ("messages", "are") };
    (goes > 0).then(|| {
        format!(
            "This deletes {goes} {messages} of {of} on this device that {are} older {older}, and from now on all that grow as old. \
             They cannot be brought back."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::loss;

    #[test]
    fn a_loss_says_how_much_of_what() {
        assert_eq!(loss(0, "1y", "this chat"), None);
        let one = loss(1, "1y", "this chat").unwrap();
        assert!(one.starts_with("This deletes 1 message of this chat on this device that is older than 1y,"), "{one}");
        let more = loss(12, "default", "this chat").unwrap();
        assert!(more.contains("12 messages") && more.contains("that are older than messages are kept"), "{more}");
    }
}
