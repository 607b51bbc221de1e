//! `tui-bench`: the interface on a large account, as a Markdown table with targets. Fails when one is missed.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use subrosa_harness::{
    large::{Figures, Size, echo, make, measure},
    measure::{Times, machine},
};

/// Measures the interface on an account that `large-account` made (build everything with --release for figures worth quoting).
/// Beside it a small account is made and measured in the same way, and the keys of a plain terminal.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder of the large account.
    folder: PathBuf,
    /// Only what is measured, whether or not targets are met.
    #[arg(long)]
    no_targets: bool,
}

/// Of the account that the large one is compared with.
const SMALL: Size = Size { messages: 1_000, chats: 10, largest: 300, seed: 1 };

/// Growth of memory while scrolling that still counts as flat: two windows of loaded messages.
const FLAT_KIB: u64 = 16 * 1024;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    println!("Machine: {}, {} build.\n", machine(), if cfg!(debug_assertions) { "development" } else { "release" });
    let place = tempfile::Builder::new().prefix("subrosa-tui-bench-").tempdir()?;
    let folder = place.path().join("small");
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH)?.as_millis();
    make(&folder, SMALL, u64::try_from(now)?, |_| {}).await?;
    let small = measure(&folder, |what| eprintln!("small account: {what}")).await?;
    let large = measure(&arguments.folder, |what| eprintln!("large account: {what}")).await?;
    let echo = tokio::task::block_in_place(echo)?;
    eprintln!("load average at the end: {}", machine());

    let mut table = Table { missed: false };
    println!(
        "| what | {} messages | {} messages | ratio | target |\n|---|---|---|---|---|",
        large.messages, small.messages
    );
    table.times(
        "process start to the first frame with chats, key file (median)",
        &large.start,
        &small.start,
        0.5,
        150.0,
    );
    table.times("Enter to the largest chat", &large.open, &small.open, 1.0, 150.0);
    table.times("key to frame, quiet", &large.quiet, &small.quiet, 0.99, 16.0);
    table.times("key to frame while messages pour into the open chat", &large.pouring, &small.pouring, 0.99, 16.0);
    table.plain("messages a second meanwhile", &|figures| format!("{:.0}", figures.poured_per_second), &large, &small);
    table.times("page up until the beginning, press to moved frame", &large.scroll, &small.scroll, 0.99, 16.0);
    table.plain(
        "of it: messages, pages not there in 16 ms, longest",
        &|figures| format!("{}, {}, {:.1} ms", figures.scrolled, figures.stalls, figures.scroll.quantile_ms(1.0)),
        &large,
        &small,
    );
    table.times("to the oldest message (`g`)", &large.oldest, &small.oldest, 0.99, 50.0);
    table.times("to the newest message (`G`)", &large.newest, &small.newest, 0.99, 50.0);
    table.times("newest 50 hits, all queries", &large.search(), &small.search(), 0.99, 50.0);
    table.times("list of all chats, over the socket", &large.chats, &small.chats, 0.99, 150.0);
    let grown = large.memory.1.saturating_sub(large.memory.0);
    table.judge(grown <= FLAT_KIB);
    table.plain(
        "resident memory before, at most while, and after scrolling (target: grows by less than 16 MiB)",
        &|figures| format!("{}, {}, {} KiB", figures.memory.0, figures.memory.1, figures.memory.2),
        &large,
        &small,
    );
    table.judge(large.idle.1 == 0);
    table.plain(
        "idle for 10 s: frames (target: 0), wake-ups of all threads",
        &|figures| format!("{}, {}", figures.idle.1, figures.idle.0),
        &large,
        &small,
    );
    println!("| a key in a plain terminal and back | {} | | | |", quantiles(&echo));
    println!("\n| query | hits | median | p99 | {} messages, median |\n|---|---|---|---|---|", small.messages);
    for ((query, hits, times), (.., beside)) in large.searches.iter().zip(&small.searches) {
        let (median, p99) = (times.quantile_ms(0.5), times.quantile_ms(0.99));
        println!("| {query} | {hits} | {median:.2} ms | {p99:.2} ms | {:.2} ms |", beside.quantile_ms(0.5));
    }
    let failed = table.missed && !arguments.no_targets;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Table {
    missed: bool,
}

impl Table {
    fn times(&mut self, what: &str, large: &Times, small: &Times, share: f64, target_ms: f64) {
        let figure = large.quantile_ms(share);
        let met = figure < target_ms;
        self.judge(met);
        println!(
            "| {what} | {} | {} | {:.1} | {target_ms} ms: {} |",
            quantiles(large),
            quantiles(small),
            figure / small.quantile_ms(share),
            if met { "met" } else { "**missed**" }
        );
    }

    fn plain(&self, what: &str, figure: &dyn Fn(&Figures) -> String, large: &Figures, small: &Figures) {
        println!("| {what} | {} | {} | | |", figure(large), figure(small));
    }

    const fn judge(&mut self, met: bool) {
        self.missed |= !met;
    }
}

fn quantiles(times: &Times) -> String {
    format!("p50 {:.1} ms, p99 {:.1} ms ({} times)", times.quantile_ms(0.5), times.quantile_ms(0.99), times.count())
}
