//! `invite` and `join`: a link makes two people verified contacts. `invite list|revoke`: links that were made.

use std::io::Read as _;

use subrosa_client_core::{
    ApiError, ErrorKind,
    api::{InviteParams, InviteRevokeParams, JoinParams, NoParams},
    clean::clean_line,
};

use super::init::registration_token;
use crate::{
    Context,
    account::{Use, with_account},
    args::{InviteArgs, InviteVerb, JoinArgs},
    errors::{Failure, usage},
    output::time,
};

/// Longest input that may be a link.
const MAX_LINK_INPUT: u64 = 8 * 1024;

pub(crate) async fn invite(ctx: &Context, args: InviteArgs) -> Result<(), Failure> {
    match args.verb {
        None => make(ctx, args).await,
        Some(InviteVerb::List) => list(ctx).await,
        Some(InviteVerb::Revoke(revoke)) => self::revoke(ctx, revoke.which).await,
    }
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "invite", drain: false }, async |client| {
        let invites = client.invite_list(NoParams {}).await?.invites;
        if invites.is_empty() {
            ctx.out.note("No link is open.");
        }
        for invite in invites {
            ctx.out.line(invite)?;
        }
        Ok(())
    })
    .await
}

async fn revoke(ctx: &Context, which: String) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "invite", drain: false }, async |client| {
        let done = client.invite_revoke(InviteRevokeParams { id: which }).await?;
        let id = done.id.clone().unwrap_or_default();
        ctx.out.done(done, &format!("link {id} is revoked: nobody gets in with it any more"))?;
        Ok(())
    })
    .await
}

async fn make(ctx: &Context, args: InviteArgs) -> Result<(), Failure> {
    let ttl_s = u32::try_from(args.ttl.as_secs())
        .map_err(|_| usage("the link would live too long", "at most 30 days: --ttl 30d"))?;
    let registration_token = args.registration_token.map(registration_token).transpose()?.map(|token| token.to_text());
    let lets_in = registration_token.is_some();
    let how = Use { kind: "invite", drain: true };
    with_account(ctx, how, async |client| {
        let invite = client.invite(InviteParams { ttl_s: Some(ttl_s), registration_token }).await?;
        if args.qr {
            ctx.out.text(&ctx.out.qr(invite.link.as_bytes())?)?;
        }
        let expires = time::short(invite.expires_ms);
        ctx.out.line(invite)?;
        let first = if lets_in { "  subrosa init --link LINK --name THEIR-NAME\n" } else { "" };
        ctx.out.note(&format!(
            "\nFor one person, until {expires}. Give it to them where nobody else reads it; they run:\n{first}  \
             subrosa join LINK\nThey know then that you are you; of them you know that they had the link."
        ));
        Ok(())
    })
    .await
}

pub(crate) async fn join(ctx: &Context, args: JoinArgs) -> Result<(), Failure> {
    let link = if args.link == "-" { link_from_stdin()? } else { args.link };
    let how = Use { kind: "join", drain: true };
    with_account(ctx, how, async |client| {
        let contact = client.join(JoinParams { link: link.trim().to_owned() }).await?;
        let name = clean_line(&contact.name).into_owned();
        ctx.out.line(contact)?;
        ctx.out.note(&format!("\nSay hello:\n  subrosa send {name} -m 'hello'"));
        Ok(())
    })
    .await
}

fn link_from_stdin() -> Result<String, Failure> {
    let mut link = String::new();
    std::io::stdin()
        .take(MAX_LINK_INPUT)
        .read_to_string(&mut link)
        .map_err(|error| ApiError::new(ErrorKind::Usage, format!("cannot read the link from stdin: {error}")))?;
    Ok(link)
}
