//! `demo`: a conversation through a real relay between two real engines, on disk, and nothing left behind.
//!
//! Relay, engines and stores are those of production, in one process and one temporary directory. On a terminal it is
//! the interface with several chats, one of them with a peer that answers; otherwise, or with `--script`, a conversation that prints every change of state.

use std::time::Duration;

use subrosa_client_core::{ApiError, ErrorKind};

use crate::{Context, args::DemoArgs, errors::Failure, tui::can_draw};

mod directory;
mod live;
mod people;
mod robin;
mod script;
mod stage;

/// The script takes a few seconds on a slow machine; more is a fault to show, not to wait for.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn run(ctx: &Context, args: DemoArgs) -> Result<(), Failure> {
    let live = !args.script && !ctx.out.json && can_draw();
    ctx.out.note("Setting up a relay and the accounts of a few people on this machine …");
    let stage = tokio::select! {
        stage = set_up(live) => stage?,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    let result = if live {
        live::run(ctx, &stage).await
    } else {
        let timeout = ctx.global.timeout.unwrap_or(SCRIPT_TIMEOUT);
        tokio::select! {
            result = script::run(ctx, &stage) => result,
            signal = ctx.interrupt.wait() => Err(Failure::Interrupted(signal)),
            () = tokio::time::sleep(timeout) => {
                Err(ApiError::new(ErrorKind::Timeout, format!("the conversation did not end within {timeout:?}"))
                    .hint("a very slow machine may need more: --timeout 2m")
                    .into())
            }
        }
    };
    stage.clear_away().await?;
    if result.is_ok() {
        ctx.out.note("\nAll of it is gone now. For real: subrosa");
    }
    result
}

async fn set_up(live: bool) -> Result<stage::Stage, ApiError> {
    let stage = stage::Stage::set_up(if live { people::NAMES } else { &[] }).await?;
    if live {
        people::move_in(&stage).await?;
    }
    Ok(stage)
}
