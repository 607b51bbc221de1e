//! `contact list|show|accept` and `verify`.

use subrosa_client_core::{
    api::{NoParams, VerifyParams, WhoParams},
    clean::clean_line,
};

use crate::{
    Context,
    account::{Use, with_account},
    args::{ContactVerb, VerifyArgs},
    errors::Failure,
    output::qr,
};

pub(crate) async fn run(ctx: &Context, verb: ContactVerb) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "contact", drain: true }, async |client| {
        match verb {
            ContactVerb::List => {
                let contacts = client.contact_list(NoParams {}).await?.contacts;
                if contacts.is_empty() {
                    ctx.out.note("Nobody yet. Invite somebody: subrosa invite");
                }
                for contact in contacts {
                    ctx.out.line(contact)?;
                }
            }
            ContactVerb::Show(args) => ctx.out.line(client.contact_show(WhoParams { who: args.who }).await?)?,
            ContactVerb::Accept(args) => ctx.out.line(client.contact_accept(WhoParams { who: args.who }).await?)?,
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
            ctx.out.text(&qr::draw(&identity.safety_qr, ctx.out.ticks.colour)?)?;
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
