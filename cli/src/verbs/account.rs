//! `account list|show|use|rename`: the accounts of this machine.

use subrosa_client_core::api::NoParams;

use crate::{
    Context,
    account::{Use, accounts, with_account},
    args::AccountVerb,
    errors::Failure,
};

pub(crate) async fn run(ctx: &Context, verb: AccountVerb) -> Result<(), Failure> {
    match verb {
        AccountVerb::List => list(ctx),
        AccountVerb::Show => {
            with_account(ctx, Use { kind: "account", drain: false }, async |client| {
                Ok(ctx.out.line(client.account(NoParams {}).await?)?)
            })
            .await
        }
        AccountVerb::Use(args) => Ok(ctx.out.line(accounts(ctx)?.make_current(&args.name)?)?),
        AccountVerb::Rename(args) => Ok(ctx.out.line(accounts(ctx)?.rename(&args.name, &args.new_name)?)?),
    }
}

fn list(ctx: &Context) -> Result<(), Failure> {
    let accounts = accounts(ctx)?.list()?;
    match &accounts[..] {
        [] => ctx.out.note("No account yet. Make one: subrosa init --relay URL --name HANDLE"),
        [_, _, ..] if !accounts.iter().any(|account| account.current) => {
            ctx.out.note("None is the current one. Choose it: subrosa account use NAME");
        }
        _ => {}
    }
    for account in accounts {
        ctx.out.line(account)?;
    }
    Ok(())
}
