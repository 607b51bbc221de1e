//! `subrosa` alone on a terminal, and `tui`: the interface for people.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
};

use subrosa_client_core::{ApiError, ErrorKind};
use subrosa_tui::{Ending, Options, TuiConfig, Welcome, account_service::AccountService};

use crate::{Context, account::accounts, errors::Failure, local_accounts::LocalAccounts, output::is_dumb};

/// Both ends are a person's terminal that can be drawn on.
pub(crate) fn can_draw() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb()
}

/// Opens the interface, which makes, chooses and opens the account itself, until the person leaves.
pub(crate) async fn run(ctx: &Context) -> Result<(), Failure> {
    if !can_draw() {
        return Err(ApiError::new(ErrorKind::Usage, "there is no terminal to draw on")
            .hint("without one: subrosa listen, subrosa send, subrosa history")
            .into());
    }
    let config = settings(ctx)?;
    let service = Arc::new(LocalAccounts::new(ctx)?);
    let options = Options {
        service: Arc::clone(&service) as Arc<dyn AccountService>,
        config,
        colour: ctx.out.ticks.colour,
        unicode: ctx.out.ticks.unicode,
        welcome: Welcome::default(),
    };
    let ending = subrosa_tui::run(options, ctx.interrupt.wait()).await;
    if let Some(note) = service.take_note() {
        ctx.out.note(&note);
    }
    match ending.map_err(|error| terminal_error(&error))? {
        Ending::Left => Ok(()),
        Ending::Refused(error) => Err(error.into()),
        Ending::Stopped(signal) => Err(Failure::Interrupted(signal)),
    }
}

/// `[tui]` of the settings' file; what the environment says goes before.
fn settings(ctx: &Context) -> Result<TuiConfig, Failure> {
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
    let mut config = TuiConfig::parse(&text).map_err(&wrong)?;
    for name in TuiConfig::SETTINGS {
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
