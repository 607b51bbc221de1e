//! `measure`: the figures of `docs/performance.md`, as a Markdown table.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use subrosa_harness::{
    load::{bare_sqlite, through_relay},
    measure::{Times, latency, lone_relay, machine, send_verbs, surroundings, wire},
    proxy::Bytes,
    world::World,
};

/// Measures the programs beside this one (build everything with --release for figures worth quoting).
#[derive(Debug, Parser)]
struct Arguments {
    /// Messages of the latency measurement.
    #[arg(long, default_value_t = 1_000)]
    latency_messages: u32,
    /// Runs of `send` in each case.
    #[arg(long, default_value_t = 40)]
    send_runs: u32,
    /// Connections of the load measurement, senders and receivers each.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Messages over each of them.
    #[arg(long, default_value_t = 1_500)]
    load_messages: u64,
    /// Only these: latency, send, wire, load.
    #[arg(long, value_delimiter = ',', default_value = "latency,send,wire,load")]
    only: Vec<String>,
}

/// Bytes of a sealed body with a text of 100 bytes (`docs/protocol.md`, seal).
const BODY_BYTES: u32 = 512;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let wanted = |name: &str| arguments.only.iter().any(|only| only == name);
    let root = tempfile::Builder::new().prefix("subrosa-measure-").tempdir()?;
    println!("Machine: {}, {} build.\n", machine(), if cfg!(debug_assertions) { "development" } else { "release" });
    println!("| what | figure |\n|---|---|");
    if wanted("latency") {
        let folder = root.path().join("latency");
        std::fs::create_dir(&folder)?;
        let world = World::start(&folder, [&[]; 4]).await?;
        let times = latency(&world, arguments.latency_messages).await?;
        world.stop().await;
        row("client to client, `send` call to the receiver's event, one message at a time", &quantiles(&times));
    }
    if wanted("send") {
        let folder = root.path().join("send");
        std::fs::create_dir(&folder)?;
        for (what, times) in send_verbs(&folder, arguments.send_runs).await? {
            row(&format!("`subrosa send`, whole process, {what}"), &quantiles(&times));
        }
    }
    if wanted("wire") {
        let folder = root.path().join("wire");
        std::fs::create_dir(&folder)?;
        let wire = wire(&folder, &surroundings(&folder)?).await?;
        row("bytes, first 100-byte message, to a stranger by handle", &bytes(&wire.first));
        row("bytes, later 100-byte message, accepted and pushed", &bytes(&wire.later));
        row("the same with its receipt", &bytes(&wire.with_receipt));
    }
    if wanted("load") {
        let folder = root.path().join("load");
        std::fs::create_dir(&folder)?;
        let relay = lone_relay(&folder, &surroundings(&folder)?).await?;
        let url = relay.url();
        let authority = url.trim_start_matches("http://").trim_end_matches('/');
        let relayed = through_relay(authority, arguments.connections, arguments.load_messages).await?;
        relay.stop().await;
        let count = u32::try_from(relayed.messages)?;
        let bare = tokio::task::spawn_blocking(move || bare_sqlite(&folder, count, BODY_BYTES)).await??;
        row(
            &format!(
                "durable messages a second through the relay: accepted, pushed, acknowledged; {} connections",
                2 * arguments.connections
            ),
            &format!(
                "{:.0} ({} messages in {:.2} s)",
                relayed.per_second(),
                relayed.messages,
                relayed.took.as_secs_f64()
            ),
        );
        row(
            "the same rows through bare SQLite, synced commits of 64, one thread",
            &format!("{:.0}", bare.per_second()),
        );
        row("relay / bare SQLite", &format!("{:.2}", relayed.per_second() / bare.per_second()));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

fn quantiles(times: &Times) -> String {
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms ({} times)",
        times.quantile_ms(0.5),
        times.quantile_ms(0.99),
        times.quantile_ms(1.0),
        times.count()
    )
}

fn bytes(counts: &BTreeMap<String, Bytes>) -> String {
    let total = counts.values().fold((0, 0), |sum, bytes| (sum.0 + bytes.up, sum.1 + bytes.down));
    let parts: Vec<String> =
        counts.iter().map(|(path, bytes)| format!("`{path}` {} up, {} down", bytes.up, bytes.down)).collect();
    format!("{} up, {} down: {}", total.0, total.1, parts.join("; "))
}
