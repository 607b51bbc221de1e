//! Files that leave the program, and what installs it: exports, completions, man pages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

/// Write a whole conversation as text, Markdown or JSON lines
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa export bob
  subrosa export bob --format markdown -o bob.md
  subrosa export bob --format json -o - | jq -r .body")]
pub(crate) struct ExportArgs {
    /// Name, handle or id of the chat
    #[arg(value_name = "CHAT")]
    pub(crate) chat: String,
    /// How it is written; json is the lines of `history --json`
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ExportFormat::Text)]
    pub(crate) format: ExportFormat,
    /// The file to make, readable only by you; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    pub(crate) force: bool,
}

/// How a conversation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A line a message, safe for terminals
    Text,
    /// Headings for days, quotes for messages
    Markdown,
    /// One object a line, nothing left out
    Json,
}

/// Print what makes a shell complete verbs, flags, and the names of chats
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa completions bash > ~/.local/share/bash-completion/completions/subrosa
  subrosa completions zsh > ~/.zfunc/_subrosa
  subrosa completions fish > ~/.config/fish/completions/subrosa.fish")]
#[command(after_help = "\
Names of chats are completed while an engine runs (subrosa listen, the terminal interface).")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Print the man page, or write one for every verb
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa man | man -l -
  subrosa man ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where to write the pages of all verbs; it is made if it is missing
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Write an encrypted backup of this account, and check it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa backup alice.backup
  subrosa backup /mnt/disk/alice.backup --backup-passphrase-file pass.txt --force")]
#[command(after_help = "\
The backup has a passphrase of its own. It holds the messages, contacts and keys of this account, whatever keeps the account
running meanwhile; it is read back and checked before this says that it was made.")]
pub(crate) struct BackupArgs {
    /// The file to make, readable only by you
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File whose first line is the backup's passphrase; without it you are asked
    #[arg(long, value_name = "FILE")]
    pub(crate) backup_passphrase_file: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long)]
    pub(crate) force: bool,
}

/// Make this account anew from a backup
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa restore alice.backup
  subrosa restore alice.backup --account alice-again --passphrase-file pass.txt --backup-passphrase-file old.txt")]
#[command(after_help = "\
Nothing is ever restored over an account, nor over what is left of one (subrosa account repair); it gets its handle as local name, or that of --account. Stop it everywhere else first:
one device is one directory. Conversations go on by themselves, with new keys. What others wrote after the backup comes again, in order, once they are connected: the relay still has what
was not fetched, and their programs keep what they sent for 30 days. `subrosa doctor` and the chat say what is asked for and what cannot come. What you wrote after the backup is with those who got it, not
here; and who became a contact after it has to be met again (subrosa invite).")]
pub(crate) struct RestoreArgs {
    /// The file that `subrosa backup` made
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File whose first line is the backup's passphrase; without it you are asked
    #[arg(long, value_name = "FILE")]
    pub(crate) backup_passphrase_file: Option<PathBuf>,
    /// Open the restored account with a random key in the keyring of this system
    #[arg(long)]
    pub(crate) keyring: bool,
}
