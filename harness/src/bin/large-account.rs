//! `large-account`: a folder with a large account, for `tui-bench` and for trying things out.

use std::{path::PathBuf, time::SystemTime};

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use subrosa_harness::large::{Size, key_file, make};

/// Makes an account with many messages. The same numbers and the same seed make the same conversations.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder to make.
    folder: PathBuf,
    /// Messages.
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Chats.
    #[arg(long, default_value_t = 1_000)]
    chats: usize,
    /// Messages of the largest chat.
    #[arg(long, default_value_t = 200_000)]
    largest: usize,
    /// Everything is made from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let size =
        Size { messages: arguments.messages, chats: arguments.chats, largest: arguments.largest, seed: arguments.seed };
    size.check()?;
    let bar = ProgressBar::new(u64::try_from(size.messages)?).with_style(ProgressStyle::with_template(
        "{bar:40} {human_pos} of {human_len} messages, {per_sec}, {eta} left",
    )?);
    let shown = bar.clone();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    make(&arguments.folder, size, u64::try_from(now)?, move |done| shown.set_position(done as u64)).await?;
    bar.finish();
    let folder = arguments.folder.canonicalize()?;
    println!(
        "SUBROSA_HOME={} SUBROSA_KEY_FILE={} subrosa   # its relay does not run; tui-bench starts it",
        folder.join("owner").display(),
        key_file(&folder).display()
    );
    Ok(())
}
