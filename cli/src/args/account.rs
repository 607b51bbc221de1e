//! The account itself: making it, its state.

use std::path::PathBuf;

use clap::Args;

/// Make an account: keys, store, registration at a relay
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa init --relay https://relay.example.org --name alice
  subrosa init --relay http://127.0.0.1:8443 --name alice --recovery-file words.txt --passphrase-file pass.txt
  subrosa init --relay https://relay.example.org --name bob --registration-token 0f1e…
  subrosa init --link 'subrosa://…' --name bob && subrosa join 'subrosa://…'")]
pub(crate) struct InitArgs {
    /// The relay's address
    #[arg(long, value_name = "URL", required_unless_present = "link")]
    pub(crate) relay: Option<String>,
    /// Make the account where this contact link comes from, with its relay and registration token; - reads it from stdin
    #[arg(long, value_name = "LINK", conflicts_with_all = ["relay", "registration_token"])]
    pub(crate) link: Option<String>,
    /// What the relay's host gave you to be let in; - reads it from stdin
    #[arg(long, value_name = "TOKEN")]
    pub(crate) registration_token: Option<String>,
    /// Your handle at the relay, by which others can find you
    #[arg(long, value_name = "HANDLE")]
    pub(crate) name: String,
    /// Write the 24 recovery words to this new file instead of the screen
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_file: Option<PathBuf>,
}

/// Show connection, outbox, unread messages, and who runs the engine
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa status
  subrosa status --json")]
pub(crate) struct StatusArgs {}
