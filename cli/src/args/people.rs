//! Contacts: links, requests, safety numbers.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::duration;

/// Make a link for one person: it shows them that you are you; of them you know that they had it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa invite
  subrosa invite --ttl 1h --qr
  subrosa invite list
  subrosa invite revoke 3f9ac2e1")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct InviteArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<InviteVerb>,
    /// How long the link lives, at most 30d
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "7d")]
    pub(crate) ttl: Duration,
    /// Let the person also make an account at this relay: put a registration token of its host into the link; - reads it from stdin
    #[arg(long, value_name = "TOKEN")]
    pub(crate) registration_token: Option<String>,
    /// Draw it as a QR code, too
    #[arg(long)]
    pub(crate) qr: bool,
}

/// What to do with links that were made; without it, one is made.
#[derive(Debug, Subcommand)]
pub(crate) enum InviteVerb {
    /// Links that have not ended: when they were made, when they end, who used them. Never the links themselves
    #[command(before_help = "\
Examples:
  subrosa invite list
  subrosa invite list --json")]
    List,
    /// Take a link back that nobody has used: whoever opens it is refused from now on
    #[command(before_help = "\
Examples:
  subrosa invite revoke 3f9ac2e1")]
    Revoke(InviteRevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InviteRevokeArgs {
    /// The link's id, or its beginning (4 digits or more)
    #[arg(value_name = "WHICH")]
    pub(crate) which: String,
}

/// Use a contact link: whoever made it is verified by it; to them you are somebody who had it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa join 'https://relay.example.org/i#AgEA…'
  xclip -o | subrosa join -")]
pub(crate) struct JoinArgs {
    /// The link, or - to read it from stdin
    #[arg(value_name = "LINK")]
    pub(crate) link: String,
}

/// List, show, accept, rename, block and remove contacts
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa contact list
  subrosa contact list --requests
  subrosa contact accept carol
  subrosa contact rename bob 'Bob from work'
  subrosa contact block mallory")]
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
  subrosa contact list --requests --json")]
    List(ContactListArgs),
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
    /// Show a contact under another name, on this device only
    #[command(before_help = "\
Examples:
  subrosa contact rename bob 'Bob from work'")]
    Rename(RenameArgs),
    /// Nothing more comes from them or goes to them: their key to your mailbox is dead at once. They are not told. What was
    /// said stays; to hide it, too: subrosa chat set WHO --archive
    #[command(before_help = "\
Examples:
  subrosa contact block mallory")]
    Block(WhoArgs),
    /// Take a block back: they are what they were before
    #[command(before_help = "\
Examples:
  subrosa contact unblock bob")]
    Unblock(WhoArgs),
    /// Forget a contact and all that was said with them; declines a request. They may ask again: block keeps them away
    #[command(before_help = "\
Examples:
  subrosa contact remove carol
  subrosa export carol -o carol.txt && subrosa contact remove carol --force")]
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ContactListArgs {
    /// Only those who wait to be accepted
    #[arg(long)]
    pub(crate) requests: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// Name, handle, account id or its beginning (8 characters or more)
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
    /// The new name; no other contact has it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Name, handle, account id or its beginning (8 characters or more)
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) force: bool,
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
