//! The command line of `subrosa-relay`: serving, and the verbs of its host.

mod copies;
mod operate;
mod settings;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::operate::{
    serve::{ServeArgs, runtime, serve},
    settings::{SettingError, time},
};

/// It failed.
const FAILED: u8 = 1;
/// Arguments or settings are not as they should be.
const USAGE: u8 = 2;

/// A blind relay for Subrosa: stores sealed messages until they are fetched, and cannot read them.
#[derive(Debug, Parser)]
#[command(name = "subrosa-relay", version, disable_help_subcommand = true)]
#[command(
    args_conflicts_with_subcommands = true,
    before_help = "\
Examples:
  subrosa-relay --data relay-data                              a relay on this machine
  subrosa-relay serve --config /etc/subrosa-relay/relay.toml   the same, told by a file
  subrosa-relay token create --data relay-data --note 'for Bob'
  subrosa-relay status --data relay-data"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Without a verb it serves.
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until stopped (also without this word)
    #[command(before_help = "\
Examples:
  subrosa-relay serve --data relay-data
  subrosa-relay serve --data relay-data --listen 127.0.0.1:0 --json
  subrosa-relay serve --config /etc/subrosa-relay/relay.toml")]
    Serve(ServeArgs),
    /// Registration tokens: each lets somebody make an account here
    #[command(before_help = "\
Examples:
  subrosa-relay token create --data relay-data --note 'for Bob' --expires 7d
  subrosa-relay token list --data relay-data
  subrosa-relay token revoke 3fa94c01 --data relay-data")]
    Token {
        #[command(subcommand)]
        verb: TokenVerb,
    },
    /// The accounts of this relay
    #[command(before_help = "\
Examples:
  subrosa-relay account list --data relay-data
  subrosa-relay account disable mallory --data relay-data
  subrosa-relay account remove mallory --yes --data relay-data")]
    Account {
        #[command(subcommand)]
        verb: AccountVerb,
    },
    /// How the running relay is
    #[command(before_help = "\
Examples:
  subrosa-relay status --data relay-data
  subrosa-relay status --data relay-data --json")]
    Status(SocketArgs),
    /// The relay link: address and key in one paste, for who needs no token or has one already
    #[command(before_help = "\
Examples:
  subrosa-relay link --data relay-data
  subrosa-relay link --data relay-data --qr")]
    Link {
        /// Draw it as a QR code, too
        #[arg(long, conflicts_with = "json")]
        qr: bool,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// Send all connections away with a time to come back, and stop (as SIGTERM does)
    #[command(before_help = "\
Examples:
  subrosa-relay drain --data relay-data")]
    Drain(SocketArgs),
    /// Copy the database of a running or stopped relay to a new file, and check the copy
    #[command(before_help = "\
Examples:
  subrosa-relay backup relay-2026-11-24.db --data relay-data")]
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Put a backup in the place of a stopped relay's database; the old one is kept beside it
    #[command(before_help = "\
Examples:
  subrosa-relay restore relay-2026-11-24.db --data relay-data")]
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Look at all of a database: structure, indexes, hashes and signatures
    #[command(before_help = "\
Examples:
  subrosa-relay check --data relay-data
  subrosa-relay check relay-2026-11-24.db")]
    Check {
        /// A backup, or another database
        #[arg(value_name = "FILE", required_unless_present = "data")]
        file: Option<PathBuf>,
        /// The relay's data directory
        #[arg(long, value_name = "DIR", env = "SUBROSA_RELAY_DATA", hide_env_values = true)]
        data: Option<PathBuf>,
    },
    /// Write a man page for each verb into a directory
    #[command(
        hide = true,
        before_help = "\
Examples:
  subrosa-relay man man1"
    )]
    Man {
        /// Where to
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print completions for a shell
    #[command(
        hide = true,
        before_help = "\
Examples:
  subrosa-relay completions bash > /etc/bash_completion.d/subrosa-relay"
    )]
    Completions {
        /// Which shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// The settings of a relay
    #[command(before_help = "\
Examples:
  subrosa-relay config check --config /etc/subrosa-relay/relay.toml")]
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
}

impl Verb {
    /// Verbs that write files for packages.
    fn write(command: clap::Command, what: Self) -> io::Result<()> {
        match what {
            Self::Man { dir } => {
                std::fs::create_dir_all(&dir)?;
                clap_mangen::generate_to(command, dir)
            }
            Self::Completions { shell } => {
                let mut command = command;
                clap_complete::generate(shell, &mut command, "subrosa-relay", &mut io::stdout().lock());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    /// Make one, and the relay link with it inside; both are shown only now
    #[command(before_help = "\
Examples:
  subrosa-relay token create --data relay-data --note 'for Bob' --expires 7d
  subrosa-relay token create --data relay-data --uses 20 --note 'the chess club'
  subrosa-relay token create --data relay-data --note 'for Carol' --qr

Whoever gets the link (the second line: address, key and token of this relay in one) runs:
  subrosa init --relay 'https://…/i#…' --name bob
Who knows the relay already, needs the token only (the first line):
  subrosa init --relay URL --name bob --registration-token TOKEN")]
    Create {
        /// How many accounts it lets in
        #[arg(long, value_name = "COUNT", default_value_t = 1)]
        uses: u32,
        /// When it ends: 12h, 7d, … [default: never]
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires: Option<std::time::Duration>,
        /// Whom it is for; only you see it
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// Draw the link as a QR code, too
        #[arg(long, conflicts_with = "json")]
        qr: bool,
        #[command(flatten)]
        socket: SocketArgs,
    },
    /// Show all, without the tokens themselves
    #[command(before_help = "\
Examples:
  subrosa-relay token list --data relay-data
  subrosa-relay token list --data relay-data --json")]
    List(SocketArgs),
    /// Make one useless; accounts it let in stay
    #[command(before_help = "\
Examples:
  subrosa-relay token revoke 3fa94c01 --data relay-data")]
    Revoke {
        /// Its id from `token list`, or the token
        #[arg(value_name = "ID|TOKEN")]
        token: String,
        #[command(flatten)]
        socket: SocketArgs,
    },
}

#[derive(Debug, Subcommand)]
enum AccountVerb {
    /// Show all: handle, id, devices, what waits for them
    #[command(before_help = "\
Examples:
  subrosa-relay account list --data relay-data
  subrosa-relay account list --data relay-data --json")]
    List(SocketArgs),
    /// Keep one from connecting and receiving; its owner is told so
    #[command(before_help = "\
Examples:
  subrosa-relay account disable mallory --data relay-data")]
    Disable(AccountArgs),
    /// Undo `disable`
    #[command(before_help = "\
Examples:
  subrosa-relay account enable mallory --data relay-data")]
    Enable(AccountArgs),
    /// Delete one with all that waits for it; nobody else gets its handle
    #[command(before_help = "\
Examples:
  subrosa-relay account remove mallory --yes --data relay-data")]
    Remove {
        /// Yes, for ever
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        account: AccountArgs,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Show every value, where it came from, its default and the reason for that; say what is wrong
    #[command(before_help = "\
Examples:
  subrosa-relay config check
  subrosa-relay config check --config /etc/subrosa-relay/relay.toml
  subrosa-relay config check --config relay.toml --json")]
    Check(ServeArgs),
}

#[derive(Debug, Args)]
struct DataArgs {
    /// The relay's data directory
    #[arg(long, value_name = "DIR", env = "SUBROSA_RELAY_DATA", hide_env_values = true)]
    data: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AccountArgs {
    /// Handle or account id
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Which running relay is meant.
#[derive(Debug, Args)]
struct SocketArgs {
    /// The relay's data directory [default: the relay of the Debian package, if it runs]
    #[arg(long, value_name = "DIR", env = "SUBROSA_RELAY_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// The relay's admin socket, if it is not in the data directory
    #[arg(long, value_name = "PATH", env = "SUBROSA_RELAY_ADMIN_SOCKET", hide_env_values = true)]
    admin_socket: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the program and gives its exit code: 0 done, 1 failed, 2 usage or settings.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_usage = error.downcast_ref::<SettingError>().is_some();
            // Whoever closes the pipe (`| head`) has what they wanted.
            let is_pipe =
                error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
            if !is_pipe {
                let _ = writeln!(io::stderr(), "error: {error:#}");
            }
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.verb.unwrap_or(Verb::Serve(cli.serve)) {
        Verb::Serve(args) => runtime()?.block_on(serve(args)),
        Verb::Token { verb } => operate::token(verb),
        Verb::Account { verb } => operate::account(verb),
        Verb::Status(socket) => operate::status(&socket),
        Verb::Link { qr, socket } => operate::link(&socket, qr),
        Verb::Drain(socket) => operate::drain(&socket),
        Verb::Backup { file, data } => copies::backup(&file, &data),
        Verb::Restore { file, data } => copies::restore(&file, &data),
        Verb::Check { file, data } => copies::check(file, data),
        verb @ (Verb::Man { .. } | Verb::Completions { .. }) => {
            let mut command = Cli::command();
            command.build();
            Ok(Verb::write(command, verb)?)
        }
        Verb::Config { verb: ConfigVerb::Check(args) } => settings::check(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_help(mut command: clap::Command, path: &str) {
        let help = command.render_long_help().to_string();
        assert!(help.starts_with("Examples:\n  "), "{path}: {help}");
        let first = help.lines().nth(1).unwrap_or_default();
        assert!(first.contains(path), "the first example of {path} uses it: {first}");
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            check_help(verb.clone(), &format!("{path} {}", verb.get_name()));
        }
    }

    #[test]
    fn every_help_begins_with_an_example_of_its_verb() {
        Cli::command().debug_assert();
        let mut command = Cli::command();
        command.build();
        check_help(command, "subrosa-relay");
    }

    #[test]
    fn without_a_verb_it_serves() {
        let cli = Cli::try_parse_from(["subrosa-relay", "--data", "x", "--behind-proxy", "--json"]).unwrap();
        assert!(cli.verb.is_none() && cli.serve.json);
        let settings = cli.serve.resolve().unwrap().settings;
        assert!(settings.config.behind_proxy && settings.config.data_dir == std::path::Path::new("x"));
        let cli = Cli::try_parse_from(["subrosa-relay", "serve", "--data", "x", "--behind-proxy=false"]).unwrap();
        let Some(Verb::Serve(args)) = cli.verb else { panic!("serve") };
        assert!(!args.resolve().unwrap().settings.config.behind_proxy);
        assert!(Cli::try_parse_from(["subrosa-relay", "--data", "x", "status"]).is_err());
    }
}
