//! `subrosa` alone on a terminal, and `tui`: the interface for people.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use subrosa_client_core::{
    ApiError, ErrorKind,
    open::{OpenOptions, open},
};
use subrosa_tui::{Config, Options, Welcome};

use crate::{
    Context,
    account::{accounts, home, network},
    errors::Failure,
    secret::Secret,
};

/// Both ends are a person's terminal that can be drawn on.
pub(crate) fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// Opens the account and the interface on it, until the person leaves.
pub(crate) async fn run(ctx: &Context) -> Result<(), Failure> {
    if !can_draw() {
        return Err(ApiError::new(ErrorKind::Usage, "there is no terminal to draw on")
            .hint("without one: subrosa listen, subrosa send, subrosa history")
            .into());
    }
    let config = settings(ctx)?;
    let home = home(ctx)?;
    let secret = Secret::new(&ctx.global, &ctx.out)?;
    let of = home.clone();
    let drawing = Arc::new(AtomicBool::new(false));
    let asked_later = Arc::clone(&drawing);
    let options = OpenOptions {
        kind: "tui".to_owned(),
        serve: true,
        lock_timeout: ctx.lock_timeout()?,
        passphrase: Arc::new(move || {
            if asked_later.load(Ordering::SeqCst) {
                // The process that had the engine has ended, and a question would be written over the interface.
                return Err(ApiError::new(ErrorKind::EngineGone, "the account was closed elsewhere")
                    .hint("leave, and start subrosa again"));
            }
            secret.get(&of)
        }),
        network: network(ctx)?,
    };
    let opened = tokio::select! {
        opened = open(&home, options) => opened?,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    drawing.store(true, Ordering::SeqCst);
    let options = Options {
        client: opened.client(),
        config,
        colour: ctx.out.ticks.colour,
        unicode: ctx.out.ticks.unicode,
        welcome: Welcome::default(),
    };
    let ended = subrosa_tui::run(options, ctx.interrupt.wait()).await;
    opened.close().await;
    match ended.map_err(|error| terminal_error(&error))? {
        None => Ok(()),
        Some(signal) => Err(Failure::Interrupted(signal)),
    }
}

/// `[tui]` of the settings' file; what the environment says goes before.
fn settings(ctx: &Context) -> Result<Config, Failure> {
    let path = accounts(ctx)?.settings().path().to_owned();
    let wrong = |error: String| {
        ApiError::new(ErrorKind::Usage, format!("{}: {error}", path.display())).hint("mend it, or: subrosa config path")
    };
    // The settings were read before this and are known to be a bounded file, if they are there.
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(ApiError::new(ErrorKind::Storage, format!("cannot read {}: {error}", path.display())).into());
        }
    };
    let mut config = Config::parse(&text).map_err(&wrong)?;
    for name in Config::SETTINGS {
        if let Some(value) = ctx.config.text(name)? {
            config.set(name, &value).map_err(&wrong)?;
        }
    }
    Ok(config)
}

/// A terminal that does not do what is asked of it, or a fault in the interface.
pub(crate) fn terminal_error(error: &io::Error) -> Failure {
    ApiError::new(ErrorKind::Failed, format!("the interface cannot go on: {error}"))
        .hint("without it: subrosa listen, subrosa send; subrosa demo --script")
        .into()
}
