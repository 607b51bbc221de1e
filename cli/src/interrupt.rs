//! SIGINT, SIGTERM and SIGHUP end a command in order: what is open is closed, and the exit code tells the signal.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What asked us to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Hangup,
    Interrupt,
    Terminate,
}

impl Signal {
    /// 128 + its number, as shells have it.
    pub(crate) const fn exit_code(self) -> u8 {
        128 + match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

/// Whether we were asked to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    token: CancellationToken,
    signal: Arc<OnceLock<Signal>>,
}

impl Interrupt {
    /// Listens to the signals from now on. A second one ends the process at once, in case closing takes long.
    pub(crate) fn install() -> std::io::Result<Self> {
        let interrupt = Self::default();
        for (kind, meaning) in [
            (SignalKind::interrupt(), Signal::Interrupt),
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::hangup(), Signal::Hangup),
        ] {
            let mut stream = signal(kind)?;
            let interrupt = interrupt.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if interrupt.token.is_cancelled() {
                        std::process::exit(i32::from(meaning.exit_code()));
                    }
                    let _ = interrupt.signal.set(meaning);
                    interrupt.token.cancel();
                }
            });
        }
        Ok(interrupt)
    }

    /// Waits until we are asked to stop.
    pub(crate) async fn wait(&self) -> Signal {
        self.token.cancelled().await;
        self.signal.get().copied().unwrap_or(Signal::Interrupt)
    }
}
