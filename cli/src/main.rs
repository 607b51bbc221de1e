//! `subrosa`: parses the command line and runs a verb. The engine is in `subrosa-client-core`, the relay in `subrosa-relay`.

mod account;
mod args;
mod complete;
mod confirm;
mod daemon;
mod demo;
mod errors;
mod harden;
mod init_errors;
mod interrupt;
mod local_accounts;
mod output;
mod passphrase;
mod secret;
mod shells;
mod tui;
mod verbs;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use subrosa_client_core::{ApiError, ErrorKind, accounts::Accounts, config::Config};
use tracing_subscriber::EnvFilter;

use crate::{args::Cli, errors::Failure, interrupt::Interrupt, output::Output};

/// Threads for network and store; the engine needs little, and every `send` pays for starting them.
const WORKER_THREADS: usize = 2;

/// How long the process waits for its threads. They end at once: a thread that used the store cleans up after OpenSSL while
/// it ends, and doing that while OpenSSL's exit handler runs frees memory twice. Only one that waits for a person's typing does
/// not end, and it must not keep the process.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(300);

/// What every verb needs.
pub(crate) struct Context {
    pub(crate) global: args::Global,
    pub(crate) out: Output,
    pub(crate) interrupt: Interrupt,
    pub(crate) config: Config,
}

impl Context {
    /// How long to wait for another process that has the account: the flag, else the setting.
    pub(crate) fn lock_timeout(&self) -> Result<Duration, ApiError> {
        self.global.lock_timeout.map_or_else(|| self.config.time("lock_timeout"), Ok)
    }
}

fn main() -> ExitCode {
    if let Some(code) = complete::answer_shell() {
        return code;
    }
    output::no_colour_if_dumb();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, verb } = cli;
    if global.no_color {
        anstream::ColorChoice::Never.write_global();
    }
    let Some(verb) = verb.or_else(|| alone(&global)) else {
        return Ok(output::print(args::SHORT_HELP)?);
    };
    let config = settings(&global, &verb)?;
    let out = Output::new(global.json, global.quiet, global.verbose, &config)?;
    if !matches!(verb, args::Verb::Relay(_)) {
        harden::forbid_core_files();
    }
    if !matches!(verb, args::Verb::Relay(_)) && !draws(&verb) {
        log_to_stderr(global.verbose, global.json && !stays(&verb));
    }
    let runtime = match &verb {
        args::Verb::Relay(_) => subrosa_relay::runtime(),
        _ => tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build(),
    };
    let runtime = runtime.map_err(|error| ApiError::new(ErrorKind::Failed, format!("cannot start: {error}")))?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::install()
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("cannot wait for signals: {error}")))?;
        verbs::run(&Context { global, out, interrupt, config }, verb).await
    });
    runtime.shutdown_timeout(LEAVE_TIMEOUT);
    result
}

/// `subrosa` without a verb opens the interface, if there is a terminal; it also makes the first account.
fn alone(global: &args::Global) -> Option<args::Verb> {
    (!global.json && tui::can_draw()).then_some(args::Verb::Tui(args::TuiArgs {}))
}

/// The verb draws on the terminal that a log would go to.
fn draws(verb: &args::Verb) -> bool {
    let live = matches!(verb, args::Verb::Tui(_)) || matches!(verb, args::Verb::Demo(args) if !args.script);
    live && tui::can_draw() && std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// The settings; without an account they are not asked for, and a broken file can be found and mended.
fn settings(global: &args::Global, verb: &args::Verb) -> Result<Config, ApiError> {
    match verb {
        args::Verb::Relay(_)
        | args::Verb::Demo(_)
        | args::Verb::Config(_)
        | args::Verb::Completions(_)
        | args::Verb::Man(_) => Ok(Config::default()),
        // It finds itself that they cannot be read, and goes on.
        args::Verb::Doctor(_) => Ok(Accounts::locate(global.home.as_deref())?.settings().load().unwrap_or_default()),
        _ => Accounts::locate(global.home.as_deref())?.settings().load(),
    }
}

/// Help and versions go to stdout and are no failure; the rest is a usage error, as JSON if that was asked for.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ").lines().next().unwrap_or_default().to_owned();
        return Failure::Api(ApiError::new(ErrorKind::Usage, message).hint("see: subrosa --help")).report(true);
    }
    // A closed pipe is no reason to fail.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(ErrorKind::Usage.exit_code()))
}

/// The verb goes on after a fault that the engine tries to get over by itself: only the log tells of it.
const fn stays(verb: &args::Verb) -> bool {
    matches!(verb, args::Verb::Listen(_) | args::Verb::Daemon(_) | args::Verb::Rpc(_))
}

/// Nothing but errors unless asked: stderr is for people. With `one_error` nothing at all: a program that reads stderr finds the
/// error with which the command ended, and no line beside it. `SUBROSA_LOG` overrides with a filter of its own.
fn log_to_stderr(verbose: u8, one_error: bool) {
    let level = match verbose {
        0 if one_error => "off",
        0 | 1 => "error",
        2 => "info",
        3 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("SUBROSA_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
