//! Serving as a process: settings, log, signals, the start line. Shared by `subrosa-relay` and `subrosa relay serve`.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use anyhow::Context;
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::{EnvFilter, fmt::time::SystemTime};

use crate::{
    config::LogFormat,
    json::{Harmless, json_line},
    operate::{
        admin::{MAX_SOCKET_PATH, SOCKET_NAME},
        server::Relay,
        settings::{Flags, Resolved, SettingError, Settings, resolve},
        supervisor,
    },
    policy::descriptors,
    router::{LocalRouter, Router},
};

/// What a host decides when starting a relay. Each setting may also stand in the environment or in a file.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Settings.
    #[command(flatten)]
    pub flags: Flags,

    /// File with settings (TOML); flags and SUBROSA_RELAY_… variables come before it
    #[arg(long, value_name = "FILE", env = "SUBROSA_RELAY_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,

    /// Print the start line as one JSON object
    #[arg(long)]
    pub json: bool,

    /// More log on stderr (repeat for more)
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl ServeArgs {
    /// What holds, from flags, environment, file and defaults.
    pub(crate) fn resolve(&self) -> Result<Resolved, SettingError> {
        resolve(&self.flags, std::env::vars_os(), self.config.clone())
    }

    /// The directory of the database.
    ///
    /// # Errors
    /// Settings that are not as they should be, or without that directory.
    pub fn data_dir(&self) -> Result<PathBuf, SettingError> {
        Ok(complete(self.resolve()?)?.config.data_dir)
    }
}

/// Settings that a relay can start with.
pub(crate) fn complete(resolved: Resolved) -> Result<Settings, SettingError> {
    let mut settings = resolved.settings;
    if settings.config.data_dir.as_os_str().is_empty() {
        return Err(SettingError::NoData);
    }
    if settings.config.admin_socket.is_none() {
        let path = settings.config.data_dir.join(SOCKET_NAME);
        // A directory too deep for a socket must not keep a relay from starting.
        settings.config.admin_socket = (path.as_os_str().len() <= MAX_SOCKET_PATH).then_some(path);
    }
    Ok(settings)
}

/// Tasks that a worker runs before it looks again whether sockets have something new. With the runtime's own 61 a flood, whose tasks
/// always have something to do, keeps everybody else's messages unseen for milliseconds.
const EVENT_INTERVAL: u32 = 8;

/// The runtime that a relay is to run on.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().event_interval(EVENT_INTERVAL).enable_all().build()
}

/// Logs to stderr, at `info` or as `-v` and `SUBROSA_LOG` say. Does nothing if logging is set up already.
pub fn init_logging(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("SUBROSA_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_timer(SystemTime).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.with_writer(|| Harmless(std::io::stderr())).json().flatten_event(true).try_init(),
    };
}

/// Serves until SIGTERM, SIGINT or `subrosa-relay drain`.
///
/// # Errors
/// Cause and fix of what kept the relay from starting or made it stop.
pub async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    serve_with(args, LocalRouter::default()).await
}

/// As [`serve`], with another router than that of a single process.
///
/// # Errors
/// Cause and fix of what kept the relay from starting or made it stop.
pub async fn serve_with(args: ServeArgs, router: impl Router) -> anyhow::Result<()> {
    let Settings { listen, log_format, config } = complete(args.resolve()?)?;
    init_logging(args.verbose, log_format);
    if config.admin_socket.is_none() {
        tracing::warn!(
            "no admin socket: the data directory's path is too long for one; choose a shorter path with --admin-socket"
        );
    }
    // Before the start line: whoever reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;

    descriptors::raise();
    let listener = match supervisor::listener().context("cannot use the socket that the supervisor handed over")? {
        Some(listener) => TcpListener::from_std(listener)?,
        None => TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}: another program may use that port; choose another with --listen")
        })?,
    };
    let relay = Relay::open_with(config, listener, router).await?;
    if let Some(address) = relay.metrics_address() {
        tracing::info!(%address, "metrics are served");
    }
    // Also where there is nothing to reload: a stray SIGHUP must not end a relay.
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let reloader = relay.reloader();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match &reloader {
                Some(reloader) => reloader.notify_one(),
                None => tracing::info!("SIGHUP: there are no certificate files to read again"),
            }
        }
    });
    announce(&relay, args.json).context("cannot write the start line to stdout")?;
    supervisor::notify("READY=1");
    relay
        .serve(async move {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await?;
    Ok(())
}

/// What stdout is told: where the relay is, and how an account is made there.
fn announce<R: Router>(relay: &Relay<R>, json: bool) -> std::io::Result<()> {
    let url = relay.url();
    let link = relay.link().map(|link| link.to_string());
    let pin = relay.pin().map(|pin| pin.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let mut stdout = std::io::stdout().lock();
    if json {
        let mut line = json!({"v": 1, "type": "listening", "url": url});
        let metrics = relay.metrics_address().map(|address| address.to_string());
        for (name, value) in [("pin", pin), ("link", link), ("metrics", metrics)] {
            if let Some(value) = value {
                line[name] = value.into();
            }
        }
        writeln!(stdout, "{}", json_line(&line)?)?;
    } else {
        writeln!(stdout, "Relay is listening on {url}")?;
        if let Some(pin) = pin {
            writeln!(stdout, "Its key (SHA-256): {pin}")?;
        }
        if let Some(link) = link {
            writeln!(stdout, "Make an account there: subrosa init --relay '{link}' --name NAME")?;
        }
    }
    stdout.flush()
}
