//! Conversations: search, what is set for one, and the outbox.

use clap::{Args, Subcommand};
use subrosa_client_core::keep::for_chat;

/// Find messages by their words
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa search lunch friday
  subrosa search --chat bob invoice -n 10
  subrosa search 東京 --json
  subrosa search the --before 3f9ac2e1

All words have to occur; the last one may be the beginning of a word. Case and accents do not matter, and nothing in \
it is an operator. In scripts without spaces every part of a text is found.")]
pub(crate) struct SearchArgs {
    /// What to look for
    #[arg(value_name = "WORD", required = true)]
    pub(crate) words: Vec<String>,
    /// Only in this chat (name, handle or id; me for notes)
    #[arg(long, value_name = "CHAT")]
    pub(crate) chat: Option<String>,
    /// How many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Go on behind this message: the last one found before
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<String>,
}

/// Mute, pin or archive a conversation, and say how long its messages are kept, on this device
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa chat set bob --mute 8h
  subrosa chat set bob --keep 90d
  subrosa chat set bob --pin")]
pub(crate) struct ChatArgs {
    #[command(subcommand)]
    pub(crate) verb: ChatVerb,
}

/// What to do with a conversation.
#[derive(Debug, Subcommand)]
pub(crate) enum ChatVerb {
    /// Change how a chat is treated, on this device
    #[command(before_help = "\
Examples:
  subrosa chat set bob --mute 8h
  subrosa chat set bob --mute off --unarchive
  subrosa chat set bob --keep 1y
  subrosa chat set me --pin")]
    Set(ChatSetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ChatSetArgs {
    /// Name, handle or id of the chat; me for notes
    #[arg(value_name = "CHAT")]
    pub(crate) chat: String,
    /// No sign of new messages for so long (8h), on = until it is taken back, off = no longer
    #[arg(long, value_name = "TIME|on|off", value_parser = mute)]
    pub(crate) mute: Option<Mute>,
    /// Before the others in the list
    #[arg(long)]
    pub(crate) pin: bool,
    /// Among the others again
    #[arg(long, conflicts_with = "pin")]
    pub(crate) unpin: bool,
    /// Out of the list; a new message brings it back unless it is muted
    #[arg(long)]
    pub(crate) archive: bool,
    /// Back into the list
    #[arg(long, conflicts_with = "archive")]
    pub(crate) unarchive: bool,
    /// Delete messages here that are older (90d, 8w, 1y), off = keep them for ever, default = as all others (config set keep)
    #[arg(long, value_name = "TIME|off|default", value_parser = keep, allow_negative_numbers = true)]
    pub(crate) keep: Option<String>,
    /// Delete what is older than --keep without asking
    #[arg(long, requires = "keep")]
    pub(crate) force: bool,
}

fn keep(text: &str) -> Result<String, String> {
    Ok(for_chat(text)?.map_or_else(|| "default".to_owned(), |keep| keep.to_string()))
}

/// For how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mute {
    Off,
    On,
    For(std::time::Duration),
}

fn mute(text: &str) -> Result<Mute, String> {
    match text {
        "on" => Ok(Mute::On),
        "off" => Ok(Mute::Off),
        time => super::duration(time).map(Mute::For).map_err(|error| format!("{error}, and neither on nor off")),
    }
}

/// See what waits to leave, try it again, take it back
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa outbox list
  subrosa outbox retry
  subrosa outbox cancel 3f9ac2e1")]
pub(crate) struct OutboxArgs {
    #[command(subcommand)]
    pub(crate) verb: OutboxVerb,
}

/// What to do with the outbox.
#[derive(Debug, Subcommand)]
pub(crate) enum OutboxVerb {
    /// Messages that no relay has accepted yet, oldest first, and why they wait
    #[command(before_help = "\
Examples:
  subrosa outbox list
  subrosa outbox list --json")]
    List(OutboxListArgs),
    /// Try again now, without waiting for the next try
    #[command(before_help = "\
Examples:
  subrosa outbox retry
  subrosa outbox retry 3f9ac2e1")]
    Retry(OutboxRetryArgs),
    /// Take a message back that no relay has accepted
    #[command(before_help = "\
Examples:
  subrosa outbox cancel 3f9ac2e1")]
    Cancel(OutboxCancelArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OutboxListArgs {
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct OutboxRetryArgs {
    /// Message id or its beginning: what waits for the same receiver. Without it: everything
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OutboxCancelArgs {
    /// Message id or its beginning (8 characters or more)
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}
