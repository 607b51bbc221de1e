//! Opens the account for a verb, and leaves it in order whatever the verb does.

use std::{path::PathBuf, sync::Arc, time::Duration};

use subrosa_client_core::{
    Client,
    accounts::{Accounts, Current},
    api::TimeoutParams,
    home::Home,
    net::Network,
    open::{OpenOptions, Opened, open},
};

use crate::{Context, errors::Failure, secret::Secret};

/// How long a verb waits for the mailbox before it uses what is here. A reachable relay needs milliseconds; without one
/// the local verbs have to work all the same.
pub(crate) const DRAIN_FIRST: Duration = Duration::from_secs(3);

/// How a verb uses the account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    /// The verb, for others to read.
    pub(crate) kind: &'static str,
    /// Fetch what waits in the mailbox first: it decides what names mean and what there is to show.
    pub(crate) drain: bool,
}

/// The accounts of the home that the flags and the environment name.
pub(crate) fn accounts(ctx: &Context) -> Result<Accounts, Failure> {
    Ok(Accounts::locate(ctx.global.home.as_deref())?)
}

/// The directory of the account that is meant.
pub(crate) fn home(ctx: &Context) -> Result<Home, Failure> {
    Ok(accounts(ctx)?.select(ctx.global.account.as_deref())?)
}

/// Settles which account is meant from now on, and says so where one would not expect it. Says whether the new one is.
pub(crate) fn settle_current(ctx: &Context, accounts: &Accounts, made: &Home) -> Result<bool, Failure> {
    match accounts.settle_current(made)? {
        Current::AsBefore => {}
        Current::Stays(name) => ctx.out.note(&format!("\nCommands that name no account go on using {name}.")),
        Current::Instead { gone, now } => ctx.out.note(&format!(
            "\nThe chosen account, {gone}, is not here any more: from now on commands that name no account use {now}."
        )),
    }
    Ok(accounts.select(None).is_ok_and(|home| home.path() == made.path()))
}

/// The way to the relays that the flags and the environment ask for.
pub(crate) fn network(ctx: &Context) -> Result<Network, Failure> {
    let mut network = Network::direct();
    let ca_file = match ctx.global.ca_file.clone() {
        Some(file) => Some(file),
        None => ctx.config.text("ca_file")?.map(PathBuf::from),
    };
    if let Some(file) = ca_file {
        network = network.also_trusting(&file)?;
    }
    let proxy = match ctx.global.proxy.clone() {
        Some(proxy) => Some(proxy),
        None => ctx.config.text("proxy")?,
    };
    if let Some(proxy) = proxy {
        network = network.through(proxy.parse()?);
    }
    Ok(network)
}

/// Runs a verb on the account. An interrupt ends it; in every case what is due is sent and the engine stopped.
pub(crate) async fn with_account<T>(
    ctx: &Context,
    how: Use,
    verb: impl AsyncFnOnce(Arc<dyn Client>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let opened = tokio::select! {
        opened = open_account(ctx, how) => opened?,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    let client = opened.client();
    let work = async {
        if how.drain {
            drain_first(ctx, &*client).await;
        }
        verb(Arc::clone(&client)).await
    };
    let result = tokio::select! {
        result = work => result,
        signal = ctx.interrupt.wait() => Err(Failure::Interrupted(signal)),
    };
    opened.close().await;
    result
}

/// Opens the account; for verbs that end on an interrupt in their own way.
pub(crate) async fn open_account(ctx: &Context, how: Use) -> Result<Opened, Failure> {
    let home = home(ctx)?;
    let secret = Secret::new(&ctx.global, &ctx.out)?;
    let of = home.clone();
    // Another command that leaves, the passphrase's key, migrations: any of them may take a moment.
    let progress = ctx.out.progress("open", "opening the account");
    let hide = progress.hide();
    let options = OpenOptions {
        kind: how.kind.to_owned(),
        // Also for the shortest verb: commands that run side by side then share one engine instead of queueing for the
        // lock, and nobody is told that the account is busy because somebody else's `send --wait read` takes long.
        serve: true,
        lock_timeout: ctx.lock_timeout()?,
        passphrase: Arc::new(move || hide.during(|| secret.get(&of))),
        network: network(ctx)?,
    };
    Ok(open(&home, options).await?)
}

async fn drain_first(ctx: &Context, client: &dyn Client) {
    let _progress = ctx.out.progress("sync", "fetching the mailbox");
    match client.drain(TimeoutParams { timeout_ms: millis(DRAIN_FIRST) }).await {
        Ok(waited) if waited.done => {}
        Ok(waited) => {
            let why = waited.error.unwrap_or_else(|| "time ran out".to_owned());
            ctx.out.detail(&format!("the mailbox was not fetched ({why}): this is what is known here"));
        }
        Err(error) => ctx.out.detail(&format!("the mailbox was not fetched: {error}")),
    }
}

/// Milliseconds, as the engine takes them.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
