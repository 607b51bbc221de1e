//! The command line of a relay, shared by `subrosa-relay` and `subrosa relay serve`.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::{EnvFilter, fmt::time::SystemTime};
use url::Url;

use crate::{
    Config, descriptors,
    router::{LocalRouter, Router},
    server::Relay,
};

/// What a host decides when starting a relay.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Directory for the database; created if missing
    #[arg(long, value_name = "DIR", env = "SUBROSA_RELAY_DATA")]
    pub data: PathBuf,

    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8440")]
    pub listen: SocketAddr,

    /// Print the start line as one JSON object
    #[arg(long)]
    pub json: bool,

    /// How clients reach this relay, for example https://relay.example.org/
    #[arg(long, value_name = "URL")]
    pub public_url: Option<Url>,

    /// A TLS proxy stands in front: listening off loopback is allowed, X-Forwarded-For is believed
    #[arg(long)]
    pub behind_proxy: bool,

    /// More log on stderr (repeat for more)
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Logs to stderr, at `info` or as `-v` and `SUBROSA_LOG` say. Does nothing if logging is set up already.
pub fn init_logging(verbose: u8) {
    let level = match verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("SUBROSA_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

/// Serves until SIGTERM or SIGINT.
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
    init_logging(args.verbose);
    // Before the start line: whoever reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;

    descriptors::raise();
    let mut config = Config::new(args.data);
    config.public_url = args.public_url;
    config.behind_proxy = args.behind_proxy;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!("cannot listen on {}: another program may use that port; choose another with --listen", args.listen)
    })?;
    let relay = Relay::open_with(config, listener, router).await?;
    announce(&relay.url(), args.json).context("cannot write the start line to stdout")?;
    relay
        .serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await?;
    Ok(())
}

/// The one line on stdout.
fn announce(url: &str, json: bool) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        writeln!(stdout, r#"{{"v":1,"type":"listening","url":{}}}"#, serde_json::Value::from(url))?;
    } else {
        writeln!(stdout, "Relay is listening on {url}")?;
    }
    stdout.flush()
}
