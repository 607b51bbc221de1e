//! `account list|show|use|rename|remove|passphrase`: the accounts of this machine.

use subrosa_client_core::{
    ApiError, ErrorKind,
    account::remove_at_relay,
    accounts::hold,
    api::{Done, NoParams},
    clean::clean_line,
    keys,
};

use crate::{
    Context,
    account::{Use, accounts, home, network, with_account},
    args::{AccountRemove, AccountVerb, NewSecret},
    confirm::confirm_word,
    errors::Failure,
    secret::Secret,
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
        AccountVerb::Remove(args) => remove(ctx, args).await,
        AccountVerb::Passphrase(args) => passphrase(ctx, args).await,
        AccountVerb::Rename(args) => Ok(ctx.out.line(accounts(ctx)?.rename(&args.name, &args.new_name)?)?),
    }
}

/// At the relay first: what is gone here could not ask for it any more.
async fn remove(ctx: &Context, args: AccountRemove) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let home = accounts.select(Some(&args.name))?;
    let account = accounts.view_of(&home)?;
    // Named before anything is asked.
    drop(hold(&home, "account remove")?);
    let loss = if args.local_only {
        format!(
            "This removes {} and all its messages from this machine; the relay {} keeps the account.",
            account.account,
            clean_line(&account.relay)
        )
    } else {
        format!(
            "This removes {} for good: {} at {}, and all messages on this machine.",
            account.account,
            clean_line(&account.name),
            clean_line(&account.relay)
        )
    };
    confirm_word(ctx, args.force, &loss, &account.account).await?;
    let network = network(ctx)?;
    let lock = hold(&home, "account remove")?;
    let source = keys::remembered(&home);
    if !args.local_only && !home.removed_marker().exists() {
        let secret = Secret::new(&ctx.global, &ctx.out)?;
        let of = home.clone();
        let opening = tokio::task::spawn_blocking(move || keys::unlock(&of, secret.get(&of)?));
        let key = opening
            .await
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("opening it failed: {error}")))??;
        tokio::select! {
            removed = remove_at_relay(&home, key, &lock, network) => removed?,
            signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
        }
    }
    accounts.erase(&args.name, &lock)?;
    if let Err(error) = source.forget() {
        ctx.out.warn(&format!("its key is still in the keyring, where it opens nothing: {error}"));
    }
    if ctx.out.json {
        ctx.out.line(Done { id: Some(account.id), count: 1 })?;
    } else {
        ctx.out.text(&format!("{} is removed\n", account.account))?;
    }
    Ok(())
}

/// The engine is not asked: the store's key stays what it is.
async fn passphrase(ctx: &Context, new: NewSecret) -> Result<(), Failure> {
    let home = home(ctx)?;
    let account = accounts(ctx)?.view_of(&home)?;
    let secret = Secret::new(&ctx.global, &ctx.out)?;
    let name = account.account;
    let work = tokio::task::spawn_blocking(move || {
        let old = secret.get(&home)?;
        // Before a new one is asked for or made.
        keys::unlock(&home, &old)?;
        let new = secret.change(&name, new)?;
        keys::change(&home, &old, &new)?;
        let forgotten = if old.source() == new.source() { Ok(()) } else { old.source().forget() };
        Ok::<_, ApiError>((old.source().clone(), new.source().clone(), forgotten))
    });
    // Waiting for a person ends here; what is written is written in one step.
    let (old, new, forgotten) = tokio::select! {
        done = work => done.map_err(|error| ApiError::new(ErrorKind::Failed, format!("changing it failed: {error}")))??,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    if let Err(error) = forgotten {
        ctx.out.warn(&format!("the old key is still in the keyring, where it opens nothing: {error}"));
    }
    ctx.out.line(accounts(ctx)?.view_of(&crate::account::home(ctx)?)?)?;
    ctx.out.note(&format!("\nFrom now on it opens with {new}."));
    if old != new && old.is_random() {
        ctx.out.note(&format!("It opens no more with {old}."));
    }
    Ok(())
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
