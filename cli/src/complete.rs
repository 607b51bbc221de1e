//! What a shell asks while somebody presses Tab: verbs and flags from the command line's own description, names of chats
//! from the running engine. Silent whatever goes wrong: it stands in the middle of a line that is being typed.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::OnceLock,
    time::Duration,
};

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, complete},
};
use subrosa_client_core::{
    Client as _, Remote,
    accounts::Accounts,
    api::{Contact, ContactState, NoParams},
    clean::{clean_line, is_invisible},
    rpc::SocketCaller,
};

use crate::{
    args::Cli,
    output::print,
    shells::{NAME_TAG, Shell, Typed},
};

/// The variable by which a shell says that it asks. Not clap's `COMPLETE`: other programs use that.
pub(crate) const VARIABLE: &str = "SUBROSA_COMPLETE";

/// Who presses Tab does not wait.
const PATIENCE: Duration = Duration::from_millis(200);

/// Digits of an id that stand for a name: not to be met by chance.
const ID_DIGITS: usize = 16;

/// The conversation with oneself.
const NOTES: &str = "me";

/// More names than anybody chooses from.
const MAX_NAMES: usize = 200;

/// The words of the line, as the program would get them, for [`typed`].
static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// Answers a shell, if one asks.
pub(crate) fn answer_shell() -> Option<ExitCode> {
    let name = std::env::var_os(VARIABLE)?;
    let current = std::env::current_dir().ok();
    let Some(shell) = Shell::named(&name) else { return answer_others(current.as_deref()) };
    let arguments: Vec<_> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    if arguments.is_empty() {
        return Some(answered(print(shell.registration())));
    }
    // Silence is an answer, too.
    let Some(typed) = Typed::of(shell, arguments) else { return Some(ExitCode::SUCCESS) };
    let words = WORDS.get_or_init(|| typed.words.clone()).clone();
    let index = words.len().saturating_sub(1);
    let answer = complete(&mut command(), words, index, current.as_deref()).and_then(|candidates| {
        let mut lines = Vec::new();
        typed.write(&candidates, &mut lines)?;
        print(&String::from_utf8_lossy(&lines))
    });
    Some(answered(answer))
}

/// Shells that clap's scripts serve.
fn answer_others(current: Option<&Path>) -> Option<ExitCode> {
    match CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), current) {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(_) => Some(ExitCode::FAILURE),
    }
}

fn answered(answer: std::io::Result<()>) -> ExitCode {
    if answer.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    let mut found = people(current, |contact| contact.state != ContactState::Blocked);
    found.extend(matching(current, vec![NOTES.to_owned()]));
    found
}

fn contacts(current: &OsStr) -> Vec<CompletionCandidate> {
    people(current, |_| true)
}

/// Everybody who fits what was begun: by name, or by the beginning of the id where the name does not mean them alone or cannot
/// be written in every shell as one word.
fn people(current: &OsStr, wanted: impl Fn(&Contact) -> bool) -> Vec<CompletionCandidate> {
    let everybody =
        asked(async |client| Some(client.contact_list(NoParams {}).await.ok()?.contacts)).unwrap_or_default();
    let begun = current.to_string_lossy();
    let mut found: Vec<_> = everybody
        .iter()
        .filter(|contact| wanted(contact))
        .filter_map(|contact| {
            let id: String = contact.id.chars().take(ID_DIGITS).collect();
            let by_name = is_one_word(&contact.name) && is_alone(contact, &everybody);
            let value = if by_name { contact.name.clone() } else { id };
            let fits = value.starts_with(&*begun) || contact.name.starts_with(&*begun);
            (fits && !value.is_empty()).then_some((value, by_name, contact))
        })
        .collect();
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let candidate = |(value, by_name, contact): (String, bool, &Contact)| {
        let shown = (!by_name).then(|| clean_line(&contact.name).into_owned().into());
        CompletionCandidate::new(value).tag(Some(NAME_TAG.into())).help(shown)
    };
    found.into_iter().take(MAX_NAMES).map(candidate).collect()
}

/// Whether a name can stand on a command line: no flag, and nothing that a shell, however it quotes, takes apart or does not show.
fn is_one_word(name: &str) -> bool {
    let shell = std::env::var_os(VARIABLE).as_deref().and_then(Shell::named);
    let fits = |c: char| match shell {
        Some(_) => c == ' ' || !(c.is_whitespace() || c.is_control() || is_invisible(c)),
        // Their scripts are not ours: only what needs no quotes.
        None => c.is_ascii_alphanumeric() || "._-".contains(c),
    };
    !name.is_empty() && !name.starts_with('-') && name.trim() == name && name.chars().all(fits)
}

/// Whether nobody else would be meant by the name.
fn is_alone(contact: &Contact, everybody: &[Contact]) -> bool {
    let name = contact.name.to_lowercase();
    let others = everybody.iter().filter(|other| other.id != contact.id);
    !others.into_iter().any(|other| other.name.to_lowercase() == name || other.handle.to_lowercase() == name)
}

fn local_accounts(current: &OsStr) -> Vec<CompletionCandidate> {
    let accounts = typed_accounts().and_then(|accounts| accounts.list().ok()).unwrap_or_default();
    matching(current, accounts.into_iter().map(|account| account.account).collect())
}

/// Asks the running engine. No engine is started for it: that would need a passphrase, and time.
fn asked<T>(ask: impl AsyncFnOnce(&Remote<SocketCaller>) -> Option<T>) -> Option<T> {
    let home = typed_accounts()?.select(typed("--account").as_deref().and_then(OsStr::to_str)).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let names = runtime.block_on(async {
        let work = async { ask(&Remote(SocketCaller::connect(&home).await.ok()?)).await };
        tokio::time::timeout(PATIENCE, work).await.ok().flatten()
    });
    runtime.shutdown_background();
    names
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
    let words = WORDS.get().cloned().unwrap_or_else(|| std::env::args_os().collect());
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
