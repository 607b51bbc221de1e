//! The command line: verbs, flags, and the examples every help text begins with.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use subrosa_client_core::api::MessageStatus;

/// What `subrosa` alone says.
pub(crate) const SHORT_HELP: &str = "\
Examples:
  subrosa demo                                    see a conversation, nothing is left behind
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
  10 account busy   130 interrupted";

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
    /// The account's directory [default: subrosa in the user's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "SUBROSA_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// File whose first line opens the account
    #[arg(long, global = true, value_name = "FILE", env = "SUBROSA_PASSPHRASE_FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// One JSON object a line on stdout, errors as one on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Never ask anything
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Longest wait: 500ms, 20s, 5m, 1h
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// How long to wait for another command that has the account
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub(crate) lock_timeout: Duration,
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
    Receive(ReceiveArgs),
    Listen(ListenArgs),
    Chats(ChatsArgs),
    History(HistoryArgs),
    Info(InfoArgs),
    Read(ReadArgs),
    Status(StatusArgs),
    Relay(RelayArgs),
    Demo(DemoArgs),
}

/// Make an account: keys, store, registration at a relay
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa init --relay https://relay.example.org --name alice
  subrosa init --relay http://127.0.0.1:8443 --name alice --recovery-file words.txt --passphrase-file pass.txt")]
pub(crate) struct InitArgs {
    /// The relay's address
    #[arg(long, value_name = "URL")]
    pub(crate) relay: String,
    /// Your handle at the relay, by which others can find you
    #[arg(long, value_name = "HANDLE")]
    pub(crate) name: String,
    /// Write the 24 recovery words to this new file instead of the screen
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_file: Option<PathBuf>,
}

/// Make a link that turns one person into a verified contact
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa invite
  subrosa invite --ttl 1h --qr
  subrosa invite --json")]
pub(crate) struct InviteArgs {
    /// How long the link lives, at most 30d
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "7d")]
    pub(crate) ttl: Duration,
    /// Draw it as a QR code, too
    #[arg(long)]
    pub(crate) qr: bool,
}

/// Use a contact link
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa join subrosa://relay.example.org:443/#AQAx…
  xclip -o | subrosa join -")]
pub(crate) struct JoinArgs {
    /// The link, or - to read it from stdin
    #[arg(value_name = "LINK")]
    pub(crate) link: String,
}

/// List, show and accept contacts
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa contact list
  subrosa contact show bob
  subrosa contact accept carol")]
pub(crate) struct ContactArgs {
    #[command(subcommand)]
    pub(crate) verb: ContactVerb,
}

/// What to do with contacts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContactVerb {
    /// Everybody you know, and who wants to be known
    #[command(before_help = "\
Examples:
  subrosa contact list
  subrosa contact list --json")]
    List,
    /// One contact
    #[command(before_help = "\
Examples:
  subrosa contact show bob")]
    Show(WhoArgs),
    /// Accept a request: they see from now on what you got and read
    #[command(before_help = "\
Examples:
  subrosa contact accept carol")]
    Accept(WhoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    /// Name, handle, account id or its beginning (8 characters or more)
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
}

/// Show the safety number, or compare it with the one they read out
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa verify bob
  subrosa verify bob --number '12345 67890 …'
  subrosa verify bob --qr")]
pub(crate) struct VerifyArgs {
    /// Name, handle, account id or its beginning
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
    /// The 60 digits on their side: equal marks them verified, different ends with exit code 6
    #[arg(long, value_name = "DIGITS")]
    pub(crate) number: Option<String>,
    /// Draw it as a QR code, too
    #[arg(long)]
    pub(crate) qr: bool,
}

/// Send a message
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa send bob -m 'hello'
  subrosa send bob -m 'are you there?' --wait delivered --timeout 20s
  git log -1 | subrosa send bob -")]
pub(crate) struct SendArgs {
    /// Name, handle or account id; a handle that is no contact yet gets a request
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    /// The text; - reads it from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "stdin")]
    pub(crate) message: Option<String>,
    /// Read the text from stdin
    #[arg(value_name = "-", value_parser = ["-"])]
    pub(crate) stdin: Option<String>,
    /// Return when the message got that far
    #[arg(long, value_enum, value_name = "HOW FAR", default_value_t = Wait::Sent)]
    pub(crate) wait: Wait,
    /// Message id made by you (32 hexadecimal digits): the same id is never sent twice
    #[arg(long, value_name = "ID", value_parser = message_id)]
    pub(crate) id: Option<String>,
}

/// How far `send` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// In the outbox
    None,
    /// A relay has it on disk
    Sent,
    /// A device of theirs has it
    Delivered,
    /// They opened it
    Read,
}

impl Wait {
    /// What `wait` is asked for.
    pub(crate) const fn status(self) -> Option<MessageStatus> {
        match self {
            Self::None => None,
            Self::Sent => Some(MessageStatus::Sent),
            Self::Delivered => Some(MessageStatus::Delivered),
            Self::Read => Some(MessageStatus::Read),
        }
    }
}

/// Print the messages that came since the last time, and go
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa receive
  subrosa receive --timeout 5s --json
  subrosa receive --max 10 --consumer backup-script")]
pub(crate) struct ReceiveArgs {
    /// At most so many messages; the rest comes next time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: Option<u32>,
    /// Whose place in the stream to go on from
    #[arg(long, value_name = "NAME", default_value = "cli")]
    pub(crate) consumer: String,
}

/// Print everything as it happens; other commands use this one's engine meanwhile
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa listen
  subrosa listen --json --since 812
  subrosa listen --json --types message,receipt")]
pub(crate) struct ListenArgs {
    /// Begin after this cursor; without it, only what is new
    #[arg(long, value_name = "CURSOR")]
    pub(crate) since: Option<u64>,
    /// Only these, separated by commas
    #[arg(long, value_enum, value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<EventType>,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventType {
    /// A message came
    Message,
    /// Delivered, read
    Receipt,
    /// Queued, sent, failed
    State,
    /// A contact is new or changed
    Contact,
    /// Worth knowing
    Notice,
}

/// List conversations, newest first
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa chats
  subrosa chats --unread --json")]
pub(crate) struct ChatsArgs {
    /// Only those with unread messages
    #[arg(long)]
    pub(crate) unread: bool,
}

/// Print a conversation, oldest message first
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa history bob
  subrosa history bob -n 200 --json
  subrosa history bob --since 2h")]
pub(crate) struct HistoryArgs {
    /// Name, handle or id of the chat
    #[arg(value_name = "CHAT")]
    pub(crate) chat: String,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Only what stands before this message
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<String>,
    /// Only what is newer: 2h, 3d, 2026-11-24, 2026-11-24T09:30
    #[arg(long, value_name = "TIME", value_parser = crate::output::time::point)]
    pub(crate) since: Option<u64>,
}

/// Show who got and read a message of yours, and when
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa info 3f9ac2e1
  subrosa info 3f9ac2e1 --json")]
pub(crate) struct InfoArgs {
    /// Message id or its beginning (8 characters or more)
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Mark a chat, or everything up to a message, as read
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa read bob
  subrosa read 3f9ac2e1")]
pub(crate) struct ReadArgs {
    /// Chat (name, handle, id) or message id
    #[arg(value_name = "CHAT|ID")]
    pub(crate) what: String,
}

/// Show connection, outbox, unread messages, and who runs the engine
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa status
  subrosa status --json")]
pub(crate) struct StatusArgs {}

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

/// Longest time that is understood: everything longer is a typing mistake.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// `500ms`, `20s`, `5m`, `1h`, `7d`, or seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("{text:?} is not a time such as 500ms, 20s, 5m, 1h or 7d");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let duration = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)?;
    if duration > MAX_DURATION { Err(format!("{text:?} is too long a time")) } else { Ok(duration) }
}

fn message_id(text: &str) -> Result<String, String> {
    if text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a message id has 32 hexadecimal digits".to_owned())
    }
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
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("5", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5h", "5 s", "99999999999999999999d", "18446744073709551615d", "100000d", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_stand_before_or_after_the_verb() {
        for arguments in [["subrosa", "--json", "status"], ["subrosa", "status", "--json"]] {
            assert!(Cli::try_parse_from(arguments).unwrap().global.json);
        }
    }

    #[test]
    fn message_ids_are_checked_before_anything_is_sent() {
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "x", "--id", "abc"]).is_err());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "x", "--id", &"AB".repeat(16)]).is_ok());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "x", "-"]).is_err());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-"]).is_ok());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "text without -m"]).is_err());
        assert!(Cli::try_parse_from(["subrosa", "send", "bob", "-m", "-starts with a dash"]).is_ok());
    }
}
