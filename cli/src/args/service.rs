//! What runs beside an account: relay, demo.

use clap::{Args, Subcommand};

/// Run a relay
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa relay serve --data relay-data --listen 127.0.0.1:8443")]
pub(crate) struct RelayArgs {
    #[command(subcommand)]
    pub(crate) verb: RelayVerb,
}

/// What to do with a relay.
#[derive(Debug, Subcommand)]
pub(crate) enum RelayVerb {
    /// Serve until stopped
    #[command(before_help = "\
Examples:
  subrosa relay serve --data relay-data --listen 127.0.0.1:8443
  subrosa relay serve --data relay-data --listen 127.0.0.1:0 --json")]
    Serve(subrosa_relay::ServeArgs),
}

/// Talk to a friendly peer through a real relay; nothing is left behind
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa demo
  subrosa demo --script
  subrosa demo --script --json")]
pub(crate) struct DemoArgs {
    /// Print a whole conversation with every state change instead of opening a chat
    #[arg(long)]
    pub(crate) script: bool,
}

/// The interface for people, which also makes the first account: what `subrosa` alone opens on a terminal
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa tui
  subrosa
  subrosa tui --account work")]
#[command(after_help = "\
Without an account it asks for what it needs to make one, and shows the recovery words. A passphrase is asked for in the interface;
what opens with a key file, a keyring or a command is opened without a question. F9 locks the screen, also by itself: subrosa
config set tui.lock_after 5m. The lock hides what is shown here; a command in another terminal of yours is still served.")]
pub(crate) struct TuiArgs {}
