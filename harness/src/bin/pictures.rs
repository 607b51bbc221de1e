//! `pictures`: makes the pictures of README and `docs/interface.md` anew, from the real program.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use subrosa_harness::{
    pictures::draw_all,
    programs::{Programs, workspace},
};

/// Runs the demo in a pseudo-terminal and draws its screens as SVG.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where they go [default: `docs/pictures`].
    #[arg(long)]
    out: Option<PathBuf>,
    /// `subrosa` [default: the one built beside this program].
    #[arg(long)]
    program: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Arguments { out, program } = Arguments::parse();
    let out = out.unwrap_or_else(|| workspace().join("docs/pictures"));
    let program = match program {
        Some(program) => program,
        None => Programs::locate()?.client,
    };
    draw_all(&program, &out)?;
    eprintln!("{} is new", out.display());
    Ok(())
}
