//! `init`: makes an account.

use std::{
    fs::File,
    io::{BufRead as _, IsTerminal as _, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use subrosa_client_core::{
    ApiError, ErrorKind,
    account::{self, InitParams, RegistrationToken},
    home::Home,
    relay_access::RelayAccess,
};

use crate::{
    Context,
    account::{accounts, network, settle_current},
    args::InitArgs,
    errors::{Failure, usage},
    init_errors::{no_answer, registration_token_text},
    secret::Secret,
};

/// Longest line that may be a link or a token.
const MAX_STDIN_BYTES: u64 = 8 * 1024;

pub(crate) async fn run(ctx: &Context, args: InitArgs) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let local_name = ctx.global.account.clone().unwrap_or_else(|| args.name.clone());
    let home = accounts.place_for(&local_name)?;
    let mut place = RelayAccess::read(&or_stdin(args.link.or(args.relay).unwrap_or_default())?, args.pin.as_deref())?;
    if let Some(token) = args.registration_token {
        place.registration = Some(registration_token(token)?);
    }
    let network = network(ctx)?;
    // An interrupted init left a key, or it is all that is left of an account: what opens it is asked for, and nothing made anew.
    let begun = account::is_begun(&home);
    if !begun && let Some(lost) = home.lost() {
        return Err(lost.into());
    }
    let mut words = Words::prepare(ctx, args.recovery_file, &home)?;
    let secret = Secret::new(&ctx.global, &ctx.out)?;
    if !begun {
        secret.check(&local_name, args.keyring)?;
    }
    // Before anything is made or asked: an account whose relay is not reached would only have to be undone.
    tokio::select! {
        answer = account::knock(place.url.clone(), place.pin, &network) => {
            answer.map_err(|error| no_answer(&error, &place.url, &args.name))?;
        }
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    }
    let (named, keyring, of) = (local_name.clone(), args.keyring, home.clone());
    let secret =
        tokio::task::spawn_blocking(move || if begun { secret.get(&of) } else { secret.make(&named, keyring) })
            .await
            .map_err(|error| {
                ApiError::new(ErrorKind::Failed, format!("asking for the passphrase failed: {error}"))
            })??;

    let RelayAccess { url: relay, pin, registration } = place;
    let params = InitParams { relay, pin, handle: args.name, registration, network };
    let made = tokio::select! {
        made = account::init(&home, params, &secret, |text| words.keep(text)) => made?,
        signal = ctx.interrupt.wait() => {
            if account::is_begun(&home) {
                ctx.out.note(
                    "\nThe relay may have registered it, so what was begun is kept, and so are its recovery words: run the same init again.",
                );
            }
            return Err(Failure::Interrupted(signal));
        }
    };
    let kept = words.account_made();
    ctx.out.line(made)?;
    if !kept {
        ctx.out.note(
            "\nAn earlier init was interrupted; this finished it. The recovery words are those it gave you then.",
        );
    }
    let flag = if settle_current(ctx, &accounts, &home)? { String::new() } else { format!("--account {local_name} ") };
    ctx.out.note(&format!("\nNext: invite somebody with a link:\n  subrosa {flag}invite"));
    Ok(())
}

/// A registration token as it was handed out.
pub(super) fn registration_token(text: String) -> Result<RegistrationToken, Failure> {
    Ok(registration_token_text(&or_stdin(text)?)?)
}

/// What was given, or for `-` the first line of stdin: other users see the arguments of a program.
fn or_stdin(text: String) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text);
    }
    let mut line = String::new();
    std::io::BufReader::new(std::io::stdin().take(MAX_STDIN_BYTES))
        .read_line(&mut line)
        .map_err(|error| ApiError::new(ErrorKind::Usage, format!("cannot read stdin: {error}")))?;
    Ok(line)
}

/// Where the 24 recovery words go. A file is there, private and synced, before the account becomes final at the relay:
/// an account without its words could never be recovered.
enum Words {
    File { path: PathBuf, file: File, kept: bool, made: bool, of: Home },
    Terminal { kept: bool },
}

impl Words {
    fn prepare(ctx: &Context, path: Option<PathBuf>, of: &Home) -> Result<Self, Failure> {
        let Some(path) = path else {
            if ctx.out.json || ctx.global.no_input || !std::io::stderr().is_terminal() {
                return Err(usage(
                    "there is no screen to show the recovery words on",
                    "name a new file for them: --recovery-file FILE",
                ));
            }
            return Ok(Self::Terminal { kept: false });
        };
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    "it may hold the words of another account, or those of an init that was interrupted: keep it and name a new file"
                }
                _ => "name a file in a directory that can be written",
            };
            ApiError::new(ErrorKind::Storage, format!("cannot make the recovery file {}: {error}", path.display()))
                .hint(hint)
        })?;
        Ok(Self::File { path, file, kept: false, made: false, of: of.clone() })
    }

    fn keep(&mut self, words: &str) -> Result<(), ApiError> {
        match self {
            Self::File { path, file, kept, .. } => {
                write_synced(path, file, words).map_err(|error| {
                    ApiError::new(ErrorKind::Storage, format!("cannot write {}: {error}", path.display()))
                })?;
                *kept = true;
            }
            Self::Terminal { kept } => {
                show(words).map_err(|error| {
                    ApiError::new(ErrorKind::Failed, format!("the recovery words could not be shown: {error}"))
                        .hint("name a new file for them: --recovery-file FILE")
                })?;
                *kept = true;
            }
        }
        Ok(())
    }
}

impl Words {
    /// The account exists: its words stay. Says whether there are any: an account that an earlier `init` began has its
    /// words from then.
    const fn account_made(&mut self) -> bool {
        match self {
            Self::File { kept, made, .. } => {
                *made = *kept;
                *kept
            }
            Self::Terminal { kept } => *kept,
        }
    }
}

impl Drop for Words {
    /// An account that was not made has no words: no file is left, and the next try may use its name. One whose registration was
    /// not answered may be known to its relay: its keys stay ([`account::is_begun`]), and so do its words.
    fn drop(&mut self) {
        if let Self::File { path, made: false, kept, of, .. } = self
            && !(*kept && account::is_begun(of))
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Shows the words, numbered, four in a row.
fn show(words: &str) -> std::io::Result<()> {
    let mut terminal = anstream::stderr().lock();
    writeln!(terminal, "\nYour recovery words. They are shown this once: write them down, on paper.")?;
    writeln!(
        terminal,
        "They will prove that the account is yours; no command takes them yet. Against the loss of this device, make backups: subrosa backup.\n"
    )?;
    for (index, word) in words.split_whitespace().enumerate() {
        let end = if index % 4 == 3 { "\n" } else { "" };
        write!(terminal, "  {:>2} {word:<10}{end}", index + 1)?;
    }
    writeln!(terminal)?;
    terminal.flush()
}

fn write_synced(path: &Path, file: &mut File, words: &str) -> std::io::Result<()> {
    file.write_all(words.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    // The name, too, has to survive a power cut.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
