//! Messages: sending, receiving, looking at them.

use clap::{Args, ValueEnum};
use subrosa_client_core::api::MessageStatus;

use super::values::message_id;

/// Send a message, to one or several people
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa send bob -m 'hello'
  subrosa send bob carol -m 'lunch?' --wait delivered --timeout 20s
  git log -1 | subrosa send bob -
  subrosa send bob --reply 3f9ac2e1 -m 'yes'
  subrosa send ops --key \"backup-$(date +%F)\" -m 'backup done'
  tail -f app.log | subrosa send ops --lines
  subrosa send me -m 'buy milk'
  echo '{\"to\":\"bob\",\"body\":\"hi\"}' | subrosa send --batch")]
pub(crate) struct SendArgs {
    /// Contacts by name, handle or account id: if one of them is nobody, nothing is sent to anybody. me: a note to yourself.
    /// A lone - at the end reads the text from stdin
    #[arg(value_name = "TO", required_unless_present = "batch")]
    pub(crate) to: Vec<String>,
    /// The text; - reads it from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// The message that this answers: its id or the beginning of it
    #[arg(long, value_name = "ID")]
    pub(crate) reply: Option<String>,
    /// Send once under this key, however often it is run; the same key with another text is an error
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    pub(crate) key: Option<String>,
    /// Each line of stdin is a message, sent at once; empty lines are passed over
    #[arg(long, conflicts_with_all = ["message", "key", "id", "reply", "batch"])]
    pub(crate) lines: bool,
    /// Each line of stdin is a JSON object: to, body, and if wanted id, reply_to, key, request
    #[arg(long, conflicts_with_all = ["message", "key", "id", "reply", "to"])]
    pub(crate) batch: bool,
    /// Return when the message got that far
    #[arg(long, value_enum, value_name = "HOW FAR", default_value_t = Wait::Sent)]
    pub(crate) wait: Wait,
    /// 16 random bytes of yours (32 hexadecimal digits), of which the message id is made: the same are never sent twice to a chat
    #[arg(long, value_name = "ID", value_parser = message_id)]
    pub(crate) id: Option<String>,
}

/// Write to somebody at your relay who is no contact: the message asks them to accept you
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa request frank -m 'we met at the harbour'
  subrosa request frank -m 'we met at the harbour' --yes
  echo 'we met at the harbour' | subrosa request frank --yes -m -")]
#[command(after_help = "\
Anybody can have a handle: only a link (subrosa invite, subrosa join) or the safety number (subrosa verify) says who it is. \
What you write after this message waits until they accept you.")]
pub(crate) struct RequestArgs {
    /// The handle of the person at your relay; people on other relays are reached by a contact link
    #[arg(value_name = "HANDLE")]
    pub(crate) handle: String,
    /// The text; - reads it from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Send once under this key, however often it is run; the same key with another text is an error
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    pub(crate) key: Option<String>,
    /// Return when the message got that far
    #[arg(long, value_enum, value_name = "HOW FAR", default_value_t = Wait::Sent)]
    pub(crate) wait: Wait,
    /// 16 random bytes of yours (32 hexadecimal digits), of which the message id is made: the same are never sent twice to a chat
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
  subrosa receive --max 10 --consumer backup-script
  subrosa receive --consumer worker --share --json

One reader at a time has a consumer: a second one ends after five seconds with the pid of the first (exit code 10), unless it is \
told to --wait or to --share. What could not be written, because the output was closed, comes again the next time.")]
pub(crate) struct ReceiveArgs {
    /// At most so many messages; the rest comes next time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: Option<u32>,
    /// Whose place in the stream to go on from
    #[arg(long, value_name = "NAME", default_value = "cli")]
    pub(crate) consumer: String,
    /// If another reader has the consumer, wait as long as it does
    #[arg(long)]
    pub(crate) wait: bool,
    /// Divide the messages with other readers that say so too: each goes to one of them
    #[arg(long)]
    pub(crate) share: bool,
}

/// Print everything as it happens; other commands use this one's engine meanwhile
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa listen
  subrosa listen --json --since 812
  subrosa listen --json --types message,receipt
  subrosa listen --consumer bot --exec ./bot.sh --quick
  subrosa listen --consumer workers --share --exec ./work.sh

A command after --exec runs for each message that comes in, one at a time: the message as a JSON line on its stdin, \
what it prints on our stderr. --exec stands last: all that follows belongs to the command, and no shell reads it. A \
command that fails or takes too long is reported on stderr, and the stream goes on.

With --consumer the place in the stream is kept, and moved on only after a message is out (with --exec: after its \
command has ended). Who is killed in between sees that message once more; nothing is passed over. A new consumer \
begins with the oldest event that is kept.

One reader at a time has a consumer: a second one ends after five seconds with the pid of the first (exit code 10), unless it is \
told to --wait. With --share several listeners divide the messages that come in (other events are not printed then): each \
message goes to one of them, and what one had not finished when it died goes to another.")]
pub(crate) struct ListenArgs {
    /// Begin after this cursor; without it, only what is new
    #[arg(long, value_name = "CURSOR")]
    pub(crate) since: Option<u64>,
    /// Only these, separated by commas
    #[arg(long, value_enum, value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<EventType>,
    /// Go on where this consumer stopped, and keep its place
    #[arg(long, value_name = "NAME", conflicts_with = "since")]
    pub(crate) consumer: Option<String>,
    /// If another reader has the consumer, wait as long as it does
    #[arg(long, requires = "consumer")]
    pub(crate) wait: bool,
    /// Divide the messages with other listeners of this consumer that say so too
    #[arg(long, requires = "consumer")]
    pub(crate) share: bool,
    /// Run this for each message that comes in
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) exec: Vec<std::ffi::OsString>,
    /// Longest time for one run of the command
    #[arg(long, value_name = "TIME", value_parser = super::duration, default_value = "1m")]
    pub(crate) exec_timeout: std::time::Duration,
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
    /// A chat was read, muted, pinned or archived
    Chat,
    /// Worth knowing
    Notice,
}

/// List conversations, newest first
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa chats
  subrosa chats --unread --json
  subrosa chats --archived")]
pub(crate) struct ChatsArgs {
    /// Only those with unread messages
    #[arg(long)]
    pub(crate) unread: bool,
    /// The archived ones, too
    #[arg(long)]
    pub(crate) archived: bool,
}

/// Print a conversation, oldest message first
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa history bob
  subrosa history bob -n 200 --json
  subrosa history bob --since 2h
  subrosa history bob --around 3f9ac2e1
  subrosa history bob --oldest
  subrosa history me")]
pub(crate) struct HistoryArgs {
    /// Name, handle or id of the chat; me for notes to yourself
    #[arg(value_name = "CHAT")]
    pub(crate) chat: String,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Only what stands before this message
    #[arg(long, value_name = "ID", conflicts_with_all = ["after", "around"])]
    pub(crate) before: Option<String>,
    /// Only what stands after this message, the next ones first
    #[arg(long, value_name = "ID", conflicts_with = "around")]
    pub(crate) after: Option<String>,
    /// This message in the middle of what was said before and after
    #[arg(long, value_name = "ID")]
    pub(crate) around: Option<String>,
    /// The beginning of the conversation
    #[arg(long, conflicts_with_all = ["before", "after", "around"])]
    pub(crate) oldest: bool,
    /// Only what is newer: 2h, 3d, 2026-11-24, 2026-11-24T09:30
    #[arg(long, value_name = "TIME", value_parser = super::point::point)]
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
