//! The account itself: making it, its state.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Make an account: keys, store, registration at a relay
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa init --relay https://relay.example.org --name alice
  subrosa init --relay 'https://192.0.2.7:8440/i#AgIC…' --name alice
  subrosa init --relay http://127.0.0.1:8443 --name alice --recovery-file words.txt --passphrase-file pass.txt
  subrosa init --relay https://relay.example.org --name bob --registration-token 0f1e…
  subrosa init --link 'https://…/i#…' --name bob && subrosa join 'https://…/i#…'
  subrosa --account work init --relay https://relay.example.org --name alice-smith
  subrosa init --relay https://relay.example.org --name alice --keyring
  subrosa init --relay https://relay.example.org --name alice --passphrase-command 'pass show subrosa'
  subrosa init --relay https://relay.example.org --name alice --key-file ~/.config/subrosa.key")]
#[command(after_help = "\
What opens the account is remembered (never the secret itself) and need not be named again: a passphrase that you type, or
--passphrase-file, --passphrase-command, --key-file (made if it is not there; as fast as it gets, and as safe as the disk it is
on) or --keyring. Change it later: subrosa account passphrase")]
pub(crate) struct InitArgs {
    /// The relay's address, or the relay link that its host gave you; - reads it from stdin
    #[arg(long, value_name = "URL|LINK", required_unless_present = "link")]
    pub(crate) relay: Option<String>,
    /// SHA-256 of the key of a relay with a self-signed certificate (a relay link has it)
    #[arg(long, value_name = "SHA256", conflicts_with = "link")]
    pub(crate) pin: Option<String>,
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
    /// A random key in the keyring of this system opens the account
    #[arg(long)]
    pub(crate) keyring: bool,
}

/// The accounts of this machine: list, choose, rename, repair and remove them, change what opens them
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa account list
  subrosa account use work
  subrosa --account work send bob -m 'hello'")]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    pub(crate) verb: AccountVerb,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountVerb {
    /// Every account here, and who runs its engine; nothing is opened
    #[command(before_help = "\
Examples:
  subrosa account list
  subrosa account list --json")]
    List,
    /// Show the account that is meant, with its fingerprint
    #[command(before_help = "\
Examples:
  subrosa account show
  subrosa account show --account work")]
    Show,
    /// Make an account the one that is meant when --account names none
    #[command(before_help = "\
Examples:
  subrosa account use work")]
    Use(AccountName),
    /// Give an account another name on this machine; its handle stays
    #[command(before_help = "\
Examples:
  subrosa account rename alice work")]
    Rename(AccountRename),
    /// Make an account whole again whose account.json is missing or damaged, or say what is missing and what is possible
    #[command(before_help = "\
Examples:
  subrosa account repair
  subrosa account repair alice
  subrosa account repair alice --set-aside && subrosa restore alice.backup")]
    #[command(after_help = "\
account.json is made anew from the store, which has to open: store.db and store.key are needed, and what opens the account. A
store.db-wal of another account is set aside. Nothing is ever deleted or overwritten: what is set aside keeps its name with the date
behind it (store.db.2026-11-30T09-41-00), and has it back with mv.")]
    Repair(AccountRepair),
    /// Go on with this copy of the account after another one was used; the other one stops
    #[command(before_help = "\
Examples:
  subrosa account keep-this-copy
  subrosa account keep-this-copy --account work")]
    #[command(after_help = "\
A directory that was copied, or put back from an older copy, makes two of one account. The relay tells them apart: the one that finds
that another was used since it was itself neither sends nor fetches, and says so, until you choose. Choose one, on its machine: the
other one stops the next time it connects. Sessions with everybody begin anew; what only the other copy received is asked for again,
and comes once its authors are connected (twice in 30 days at most).
To have an account on two machines is not possible yet: move its directory, do not copy it. A restored backup needs no choice.")]
    KeepThisCopy,
    /// Remove an account: at its relay, then here; nobody can write to it any more, and nothing of it comes back
    #[command(before_help = "\
Examples:
  subrosa account remove work
  subrosa account remove work --force
  subrosa account remove work --local-only")]
    Remove(AccountRemove),
    /// Change what opens the account: a passphrase that is asked for twice, or what a flag names
    #[command(before_help = "\
Examples:
  subrosa account passphrase
  subrosa account passphrase --keyring
  subrosa account passphrase --new-key-file ~/.config/subrosa.key
  subrosa account passphrase --passphrase-file old.txt --new-passphrase-file new.txt
  subrosa account passphrase --new-passphrase-command 'pass show subrosa'")]
    #[command(after_help = "\
What opened it until now opens it no more; an engine that runs goes on. A copy of store.key from before still opens a copy of
the store with the old passphrase: if somebody has both, make a new account.")]
    Passphrase(NewSecret),
}

/// An account that is to be made whole.
#[derive(Debug, Args)]
pub(crate) struct AccountRepair {
    /// Its local name; without it the one that is meant, or the only one that needs it
    #[arg(value_name = "ACCOUNT")]
    pub(crate) name: Option<String>,
    /// It cannot be repaired: give all its files dated names, so that there is room for a backup or a new account
    #[arg(long)]
    pub(crate) set_aside: bool,
}

/// An account that goes.
#[derive(Debug, Args)]
pub(crate) struct AccountRemove {
    /// Its local name, as in: subrosa account list
    #[arg(value_name = "ACCOUNT")]
    pub(crate) name: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) force: bool,
    /// Only what is on this machine: the relay is gone, the account stays on another device, or it cannot be opened
    #[arg(long)]
    pub(crate) local_only: bool,
}

/// What is to open an account from now on.
#[derive(Debug, Args)]
pub(crate) struct NewSecret {
    /// The first line of this file is the new passphrase
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// The first line that this command prints is the new passphrase; no shell runs
    #[arg(long, value_name = "COMMAND")]
    pub(crate) new_passphrase_command: Option<String>,
    /// A random key in this file; made if it is not there
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// A random key in the keyring of this system
    #[arg(long)]
    pub(crate) keyring: bool,
}

/// An account.
#[derive(Debug, Args)]
pub(crate) struct AccountName {
    /// Its local name, as in: subrosa account list
    #[arg(value_name = "ACCOUNT")]
    pub(crate) name: String,
}

/// An account and its new name.
#[derive(Debug, Args)]
pub(crate) struct AccountRename {
    /// Its local name, as in: subrosa account list
    #[arg(value_name = "ACCOUNT")]
    pub(crate) name: String,
    /// The new one: 1 to 32 of a-z 0-9 . _ -
    #[arg(value_name = "NEW")]
    pub(crate) new_name: String,
}

/// Look at everything an account needs, and say what to do about what is wrong
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa doctor
  subrosa doctor --json | jq 'select(.ok | not)'")]
#[command(after_help = "\
Ends with exit code 1 if a check fails. Works without an account, without a relay and with a damaged store.")]
pub(crate) struct DoctorArgs {}

/// Show connection, outbox, unread messages, and who runs the engine
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa status
  subrosa status --json")]
pub(crate) struct StatusArgs {}
