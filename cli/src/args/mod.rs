//! The command line: verbs, flags, and the examples every help text begins with.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

mod account;
mod chats;
mod config;
mod files;
mod messages;
mod people;
mod point;
mod programs;
mod service;
mod values;

pub(crate) use account::{
    AccountArgs, AccountRemove, AccountRepair, AccountVerb, DoctorArgs, InitArgs, NewSecret, StatusArgs,
};
pub(crate) use chats::{ChatArgs, ChatVerb, Mute, OutboxArgs, OutboxVerb, SearchArgs};
pub(crate) use config::{ConfigArgs, ConfigVerb};
pub(crate) use files::{BackupArgs, CompletionsArgs, ExportArgs, ExportFormat, ManArgs, RestoreArgs};
pub(crate) use messages::{
    ChatsArgs, EventType, HistoryArgs, InfoArgs, ListenArgs, ReadArgs, ReceiveArgs, RequestArgs, SendArgs,
};
pub(crate) use people::{ContactArgs, ContactVerb, InviteArgs, InviteVerb, JoinArgs, VerifyArgs};
pub(crate) use programs::{DaemonArgs, RpcArgs, SchemaArgs};
pub(crate) use service::{DemoArgs, RelayArgs, RelayVerb, TuiArgs};
pub(crate) use values::duration;

/// What `subrosa` alone says where it has no terminal to draw on.
pub(crate) const SHORT_HELP: &str = "\
Examples:
  subrosa demo                                    see a conversation, nothing is left behind
  subrosa                                         on a terminal: the interface; it makes your account, too
  subrosa init --relay URL --name alice           make your account
  subrosa invite                                  a link for a friend, who runs: subrosa join LINK
  subrosa send bob -m 'hello'                     send and see it accepted
  subrosa receive                                 what came since last time
  subrosa listen --json                           everything as it happens, one object a line

Subrosa is an end-to-end encrypted messenger for the terminal.
All verbs: subrosa --help    One verb: subrosa send --help
";

const TOP_EXAMPLES: &str = "\
Examples:
  subrosa demo
  subrosa init --relay https://relay.example.org --name alice
  subrosa send bob -m 'hello' --wait delivered
  subrosa listen --json";

const EXIT_CODES: &str = "\
Exit codes:
  0 done   1 failed   2 usage   3 relay not reached   4 no account, or passphrase   5 not found
  6 identity changed   7 rate limited   8 time ran out (it stays queued)   9 partly failed
  10 account or consumer in use   130 interrupted";

/// End-to-end encrypted messenger for the terminal.
#[derive(Debug, Parser)]
#[command(name = "subrosa", version, before_help = TOP_EXAMPLES, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// Flags of every verb, before or after it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every verb")]
pub(crate) struct Global {
    /// The directory of your accounts [default: subrosa in the user's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "SUBROSA_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// The account that is meant, by its local name [default: the current one, or the only one]
    #[arg(long, global = true, value_name = "ACCOUNT", env = "SUBROSA_ACCOUNT", hide_env_values = true)]
    pub(crate) account: Option<String>,
    /// File whose first line opens the account
    #[arg(long, global = true, value_name = "FILE", env = "SUBROSA_PASSPHRASE_FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Command whose first line opens the account; no shell runs [env: SUBROSA_PASSPHRASE_COMMAND]
    #[arg(long, global = true, value_name = "COMMAND")]
    pub(crate) passphrase_command: Option<String>,
    /// File with a random key that opens the account, as init made it [env: SUBROSA_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Reach relays through this SOCKS5 proxy only, for Tor: socks5h://127.0.0.1:9050 [env: SUBROSA_PROXY]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Believe these certificate authorities (PEM), too: for a company's own [env: SUBROSA_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// One JSON object a line on stdout, errors as one on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Never ask anything
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Longest wait: 500ms, 20s, 5m, 1h
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// No colours, whatever the terminal can
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// How long to wait for another command that has the account [default: 5s]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) lock_timeout: Option<Duration>,
    /// No notes on stderr, only errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// More notes on stderr (-vv: what the engine does)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(InitArgs),
    Invite(InviteArgs),
    Join(JoinArgs),
    Contact(ContactArgs),
    Verify(VerifyArgs),
    Send(SendArgs),
    Request(RequestArgs),
    Receive(ReceiveArgs),
    Listen(ListenArgs),
    Chats(ChatsArgs),
    Chat(ChatArgs),
    History(HistoryArgs),
    Search(SearchArgs),
    Outbox(OutboxArgs),
    Export(ExportArgs),
    Info(InfoArgs),
    Read(ReadArgs),
    Status(StatusArgs),
    Doctor(DoctorArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Account(AccountArgs),
    Config(ConfigArgs),
    Daemon(DaemonArgs),
    Rpc(RpcArgs),
    Schema(SchemaArgs),
    Tui(TuiArgs),
    Relay(RelayArgs),
    Demo(DemoArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn check_help(mut command: clap::Command, path: &str) {
        let help = command.render_long_help().to_string();
        assert!(help.starts_with("Examples:\n  "), "{path}: {help}");
        let first = help.lines().nth(1).unwrap_or_default();
        assert!(first.contains(path), "the first example of {path} uses it: {first}");
        for verb in command.get_subcommands() {
            check_help(verb.clone(), &format!("{path} {}", verb.get_name()));
        }
    }

    #[test]
    fn every_help_begins_with_an_example_of_its_verb() {
        let mut command = Cli::command();
        command.build();
        check_help(command, "subrosa");
        assert!(SHORT_HELP.starts_with("Examples:\n  subrosa demo"));
    }

    #[test]
    fn flags_stand_before_or_after_the_verb() {
        for arguments in [["subrosa", "--json", "status"], ["subrosa", "status", "--json"]] {
            assert!(Cli::try_parse_from(arguments).unwrap().global.json);
        }
        for arguments in [["subrosa", "--account", "work", "status"], ["subrosa", "status", "--account", "work"]] {
            assert_eq!(Cli::try_parse_from(arguments).unwrap().global.account.as_deref(), Some("work"));
        }
    }

    #[test]
    fn message_ids_are_checked_before_anything_is_sent() {
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "x", "--id", "abc"]).is_err());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "x", "--id", &"AB".repeat(16)]).is_ok());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "x", "--lines"]).is_err());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "--batch"]).is_err());
        assert!(Cli::try_parse_from(["subrosa", "send", "--batch"]).is_ok());
        assert!(Cli::try_parse_from(["subrosa", "send"]).is_err());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-"]).is_ok());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "-starts with a dash"]).is_ok());
    }
}
