//! The live demo: the interface on your account, while the others live on.

use std::sync::Arc;

use subrosa_tui::{Ending, Options, TuiConfig, Welcome, account_service::OpenAccount};

use super::{people, robin, stage::Stage};
use crate::{Context, errors::Failure, tui::terminal_error};

pub(super) async fn run(ctx: &Context, stage: &Stage) -> Result<(), Failure> {
    let welcome = Welcome {
        lines: vec![
            "A demo: the relay and everybody here are real, on this".to_owned(),
            "machine only. Robin answers. Leaving removes it all.".to_owned(),
        ],
    };
    let options = Options {
        service: Arc::new(OpenAccount(Arc::clone(&stage.you.client))),
        config: TuiConfig::default(),
        colour: ctx.out.ticks.colour,
        unicode: ctx.out.ticks.unicode,
        welcome,
    };
    // Ended as asked; the exit code says by what.
    let stop = async {
        tokio::select! {
            signal = ctx.interrupt.wait() => Failure::Interrupted(signal),
            Err(error) = robin::live(&*stage.robin.client) => error.into(),
            Err(error) = people::live(stage) => error.into(),
        }
    };
    match subrosa_tui::run(options, stop).await.map_err(|error| terminal_error(&error))? {
        Ending::Left => Ok(()),
        Ending::Refused(error) => Err(error.into()),
        Ending::Stopped(failure) => Err(failure),
    }
}
