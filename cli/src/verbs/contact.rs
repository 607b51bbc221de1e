//! `contact list|show|accept|rename|block|unblock|remove` and `verify`.

use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{ContactState, NoParams, RenameParams, VerifyParams, WhoParams},
    clean::clean_line,
};

use crate::{
    Context,
    account::{Use, with_account},
    args::{ContactVerb, VerifyArgs},
    confirm::confirm,
    errors::Failure,
};

pub(crate) async fn run(ctx: &Context, verb: ContactVerb) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "contact", drain: true }, async |client| {
        match verb {
            ContactVerb::List(args) => {
                let mut contacts = client.contact_list(NoParams {}).await?.contacts;
                if args.requests {
                    contacts.retain(|contact| contact.state == ContactState::Request);
                }
                if contacts.is_empty() {
                    ctx.out.note(if args.requests {
                        "Nobody waits to be accepted."
                    } else {
                        "Nobody yet. Invite somebody: subrosa invite"
                    });
                }
                for contact in contacts {
                    ctx.out.line(contact)?;
                }
            }
            ContactVerb::Show(args) => ctx.out.line(client.contact_show(WhoParams { who: args.who }).await?)?,
            ContactVerb::Accept(args) => ctx.out.line(client.contact_accept(WhoParams { who: args.who }).await?)?,
            ContactVerb::Rename(args) => {
                ctx.out.line(client.contact_rename(RenameParams { who: args.who, name: args.name }).await?)?;
            }
            ContactVerb::Block(args) => ctx.out.line(client.contact_block(WhoParams { who: args.who }).await?)?,
            ContactVerb::Unblock(args) => ctx.out.line(client.contact_unblock(WhoParams { who: args.who }).await?)?,
            ContactVerb::Remove(args) => {
                // Who is meant is settled before the question, and what is removed is who was asked about.
                let contact = client.contact_show(WhoParams { who: args.who }).await?;
                let loss = format!("This forgets {} and all messages with them, on this device.", contact.name);
                confirm(ctx, args.force, &loss).await?;
                let done = client.contact_remove(WhoParams { who: contact.id }).await?;
                ctx.out.done(done, &format!("{} is forgotten", contact.name))?;
            }
        }
        Ok(())
    })
    .await
}

pub(crate) async fn verify(ctx: &Context, args: VerifyArgs) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "verify", drain: true }, async |client| {
        let compared = args.number.is_some();
        let identity = client.verify(VerifyParams { who: args.who, number: args.number }).await?;
        if args.qr {
            // The bytes themselves, as the interface draws them: the two codes are compared by scanning one with the other.
            let bytes = hex::decode(&identity.safety_qr)
                .map_err(|_| ApiError::new(ErrorKind::Failed, "the engine's safety number is not hexadecimal"))?;
            ctx.out.text(&ctx.out.qr(&bytes)?)?;
        }
        let name = clean_line(&identity.name).into_owned();
        ctx.out.line(identity)?;
        if !compared {
            ctx.out.note(&format!(
                "Compare it with theirs, in person or on the phone. If it is the same:\n  subrosa verify {name} --number 'THE DIGITS'"
            ));
        }
        Ok(())
    })
    .await
}
