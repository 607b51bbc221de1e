//! Contacts: links, requests, safety numbers.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::duration;

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
    /// Let the person also make an account at this relay: put a registration token of its host into the link; - reads it from stdin
    #[arg(long, value_name = "TOKEN")]
    pub(crate) registration_token: Option<String>,
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
