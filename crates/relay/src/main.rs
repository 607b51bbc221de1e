//! `subrosa-relay`: parses arguments and serves. Everything else is in the library.

use clap::Parser;

/// A blind relay for Subrosa: stores sealed messages until they are fetched, and cannot read them.
#[derive(Debug, Parser)]
#[command(name = "subrosa-relay", version)]
struct Args {
    #[command(flatten)]
    serve: subrosa_relay::ServeArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    subrosa_relay::serve(Args::parse().serve).await
}
