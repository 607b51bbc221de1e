//! What a shell asks while somebody presses Tab: verbs and flags from the command line's own description, names of chats
//! from the running engine. Silent whatever goes wrong: it stands in the middle of a line that is being typed.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate, PathCompleter},
};
use subrosa_client_core::{
    Client as _, Remote,
    accounts::Accounts,
    api::{ChatsParams, ContactState, NoParams},
    clean::clean_line,
    rpc::SocketCaller,
};

use crate::args::Cli;

/// The variable by which a shell says that it asks. Not clap's `COMPLETE`: other programs use that.
pub(crate) const VARIABLE: &str = "SUBROSA_COMPLETE";

/// Who presses Tab does not wait.
const PATIENCE: Duration = Duration::from_millis(200);

/// More names than anybody chooses from.
const MAX_NAMES: usize = 200;

/// Answers a shell, if one asks.
pub(crate) fn answer_shell() -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let current = std::env::current_dir().ok();
    match CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), current.as_deref()) {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The command line, knowing where names come from.
fn command() -> Command {
    with_names(Cli::command())
}

fn with_names(command: Command) -> Command {
    command.mut_args(with_values).mut_subcommands(with_names)
}

/// By the placeholder in the help text, so that every verb that takes a chat completes chats.
fn with_values(arg: Arg) -> Arg {
    let place = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    match place.as_str() {
        "CHAT" | "CHAT|ID" | "TO" => arg.add(ArgValueCompleter::new(chats)),
        "ACCOUNT" => arg.add(ArgValueCompleter::new(local_accounts)),
        "WHO" => arg.add(ArgValueCompleter::new(contacts)),
        "FILE" => arg.add(ArgValueCompleter::new(PathCompleter::any())),
        "DIR" => arg.add(ArgValueCompleter::new(PathCompleter::dir())),
        _ => arg,
    }
}

fn chats(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, async |client| {
        let chats = client.chats(ChatsParams::default()).await.ok()?.chats;
        Some(chats.into_iter().filter(|chat| chat.state != ContactState::Blocked).map(|chat| chat.name).collect())
    })
}

fn contacts(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, async |client| {
        let contacts = client.contact_list(NoParams {}).await.ok()?.contacts;
        Some(contacts.into_iter().map(|contact| contact.name).collect())
    })
}

fn local_accounts(current: &OsStr) -> Vec<CompletionCandidate> {
    let accounts = typed_accounts().and_then(|accounts| accounts.list().ok()).unwrap_or_default();
    matching(current, accounts.into_iter().map(|account| account.account).collect())
}

/// Asks the running engine for names. No engine is started for it: that would need a passphrase, and time.
fn candidates(
    current: &OsStr,
    ask: impl AsyncFnOnce(&Remote<SocketCaller>) -> Option<Vec<String>>,
) -> Vec<CompletionCandidate> {
    let asked = || {
        let home = typed_accounts()?.select(typed("--account").as_deref().and_then(OsStr::to_str)).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let names = runtime.block_on(async {
            let work = async { ask(&Remote(SocketCaller::connect(&home).await.ok()?)).await };
            tokio::time::timeout(PATIENCE, work).await.ok().flatten()
        });
        runtime.shutdown_background();
        names
    };
    matching(current, asked().unwrap_or_default())
}

fn matching(current: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    let mut names: Vec<String> = names.iter().map(|name| clean_line(name).into_owned()).collect();
    names.retain(|name| name.starts_with(&*begun) && !name.is_empty());
    names.sort();
    names.dedup();
    names.into_iter().take(MAX_NAMES).map(CompletionCandidate::new).collect()
}

/// The accounts of the home that the line names.
fn typed_accounts() -> Option<Accounts> {
    Accounts::locate(typed("--home").map(PathBuf::from).as_deref()).ok()
}

/// The value of a flag as it stands in the line that is being typed.
fn typed(flag: &str) -> Option<OsString> {
    let words: Vec<_> = std::env::args_os().collect();
    words.iter().enumerate().find_map(|(index, word)| {
        if word == flag {
            return words.get(index + 1).cloned();
        }
        word.to_str()?.strip_prefix(flag)?.strip_prefix('=').map(OsString::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_for_a_chat_or_a_person_knows_where_names_come_from() {
        fn count(command: &Command) -> usize {
            let own = command.get_arguments().filter(|arg| arg.get::<ArgValueCompleter>().is_some()).count();
            own + command.get_subcommands().map(count).sum::<usize>()
        }
        assert!(count(&command()) >= 8, "{}", count(&command()));
        command().debug_assert();
    }
}
