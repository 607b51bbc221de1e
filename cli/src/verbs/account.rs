//! `account list|show|use|rename|repair|keep-this-copy|remove|passphrase`: the accounts of this machine.

use std::path::PathBuf;

use subrosa_client_core::{
    ApiError, ErrorKind,
    account::remove_at_relay,
    accounts::hold,
    api::{Done, NoParams, TimeoutParams},
    clean::clean_line,
    keys, repair,
};

use crate::{
    Context,
    account::{DRAIN_FIRST, Use, accounts, home, millis, network, with_account},
    args::{AccountRemove, AccountRepair, AccountVerb, NewSecret},
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
        AccountVerb::KeepThisCopy => keep(ctx).await,
        AccountVerb::Use(args) => Ok(ctx.out.line(accounts(ctx)?.make_current(&args.name)?)?),
        AccountVerb::Repair(args) => mend(ctx, args).await,
        AccountVerb::Remove(args) => remove(ctx, args).await,
        AccountVerb::Passphrase(args) => passphrase(ctx, args).await,
        AccountVerb::Rename(args) => Ok(ctx.out.line(accounts(ctx)?.rename(&args.name, &args.new_name)?)?),
    }
}

/// What is chosen is chosen here; the relay learns it with the next login.
async fn keep(ctx: &Context) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "account", drain: false }, async |client| {
        let done = client.account_keep(NoParams {}).await?;
        let text = if done.count == 0 {
            "This copy goes on already: no other one was used since."
        } else if client.drain(TimeoutParams { timeout_ms: millis(DRAIN_FIRST) }).await?.done {
            "This copy goes on. The other one stops when it next connects."
        } else {
            "This copy goes on, once the relay is reached. The other one stops when it connects after that."
        };
        Ok(ctx.out.done(done, text)?)
    })
    .await
}

/// At the relay first: what is gone here could not ask for it any more.
async fn remove(ctx: &Context, args: AccountRemove) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let home = accounts.select_with_lost(Some(&args.name))?;
    // Of one that is not whole nobody can tell more than its name.
    let account = accounts.view_of(&home).ok();
    if let (false, Some(lost)) = (args.local_only, home.lost()) {
        let hint = lost.hint.clone().unwrap_or_default();
        let hint = format!("{hint}; to remove for good what is here, and leave the account at its relay: --local-only");
        return Err(lost.hint(hint).into());
    }
    // Named before anything is asked.
    drop(hold(&home, "account remove")?);
    let loss = match (&account, args.local_only) {
        (None, _) => {
            format!("This removes for good what is left of {} on this machine: its keys and messages.", args.name)
        }
        (Some(account), true) => format!(
            "This removes {} and all its messages from this machine; the relay {} keeps the account.",
            account.account,
            clean_line(&account.relay)
        ),
        (Some(account), false) => format!(
            "This removes {} for good: {} at {}, and all messages on this machine.",
            account.account,
            clean_line(&account.name),
            clean_line(&account.relay)
        ),
    };
    confirm_word(ctx, args.force, &loss, &args.name).await?;
    let network = network(ctx)?;
    let lock = hold(&home, "account remove")?;
    let source = keys::remembered(&home);
    if !args.local_only && !home.removed_marker().exists() {
        let secret = Secret::new(&ctx.global, &ctx.out)?;
        let of = home.clone();
        let opening =
            tokio::task::spawn_blocking(move || keys::check(&of).and_then(|()| keys::unlock(&of, secret.get(&of)?)));
        let key = opening
            .await
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("opening it failed: {error}")))??;
        tokio::select! {
            removed = remove_at_relay(&home, key, &lock, network) => removed?,
            signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
        }
    }
    let aside = accounts.erase(&home, &lock)?;
    if let Err(error) = source.forget() {
        ctx.out.warn(&format!("its key is still in the keyring, where it opens nothing: {error}"));
    }
    ctx.out.done(
        Done { id: account.map(|account| account.id), count: 1 },
        &format!("{} is removed", clean_line(&args.name)),
    )?;
    if !aside.is_empty() {
        ctx.out.note(&format!("\nWhat was set aside there before stays:\n{}", shown(&aside)));
    }
    Ok(())
}

/// One path a line.
fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("  {}", clean_line(&path.display().to_string()))).collect::<Vec<_>>().join("\n")
}

/// Makes an account whole again, or makes room where it cannot be.
async fn mend(ctx: &Context, args: AccountRepair) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let home = accounts.select_with_lost(args.name.as_deref().or(ctx.global.account.as_deref()))?;
    if args.set_aside {
        let aside = repair::set_aside(&home)?;
        let count = u64::try_from(aside.len()).unwrap_or(u64::MAX);
        if ctx.out.json {
            return Ok(ctx.out.line(Done { id: None, count })?);
        }
        ctx.out.text(&format!("Set aside, nothing was deleted:\n{}\n", shown(&aside)))?;
        ctx.out.note(
            "\nTo undo it, give them their names back. Now there is room for a backup, or for a new account:\n  subrosa restore FILE",
        );
        return Ok(());
    }
    let secret = Secret::new(&ctx.global, &ctx.out)?;
    let of = home.clone();
    let work = tokio::task::spawn_blocking(move || repair::repair(&of, || secret.get(&of)));
    // Waiting for a person ends here; what is written is written in one step.
    let repaired = tokio::select! {
        done = work => done.map_err(|error| ApiError::new(ErrorKind::Failed, format!("repairing it failed: {error}")))??,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    ctx.out.line(accounts.view_of(&home)?)?;
    if !repaired.aside.is_empty() {
        ctx.out.note(&format!("\nIt is of another account, and was set aside:\n{}", shown(&repaired.aside)));
    }
    ctx.out.note(if repaired.written {
        "\nThe store opens, and account.json was written anew from it."
    } else {
        "\nThe store opens, and account.json fits it. To have every page read: subrosa doctor"
    });
    Ok(())
}

/// The engine is not asked: the store's key stays what it is.
async fn passphrase(ctx: &Context, new: NewSecret) -> Result<(), Failure> {
    let home = home(ctx)?;
    let account = accounts(ctx)?.view_of(&home)?;
    let secret = Secret::new(&ctx.global, &ctx.out)?;
    let name = account.account;
    let work = tokio::task::spawn_blocking(move || {
        keys::check(&home)?;
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
    let home = accounts(ctx)?;
    let (accounts, lost) = (home.list()?, home.lost()?);
    for (name, why) in &lost {
        let way = why.hint.as_deref().unwrap_or_default();
        ctx.out.warn(&format!("{name} is not whole: {}; {way}", why.message));
    }
    match &accounts[..] {
        [] if !lost.is_empty() => {}
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
