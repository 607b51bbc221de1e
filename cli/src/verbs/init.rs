//! `init`: makes an account.

use std::{
    fs::File,
    io::{BufRead as _, IsTerminal as _, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use subrosa_client_core::{
    ApiError, ErrorKind,
    account::{self, ContactLink, InitParams, LinkError, RegistrationToken},
    clean::clean_line,
};
use url::Url;

use crate::{
    Context,
    account::accounts,
    args::InitArgs,
    errors::{Failure, usage},
    secret::Secret,
};

/// Longest line that may be a link or a token.
const MAX_STDIN_BYTES: u64 = 8 * 1024;

pub(crate) async fn run(ctx: &Context, args: InitArgs) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let local_name = ctx.global.account.clone().unwrap_or_else(|| args.name.clone());
    let home = accounts.place_for(&local_name)?;
    let params = params(args.name, args.relay, args.link, args.registration_token)?;
    let mut words = Words::prepare(ctx, args.recovery_file)?;
    let secret = Secret::new(&ctx.global, &ctx.out)?;
    let (named, keyring) = (local_name.clone(), args.keyring);
    let secret = tokio::task::spawn_blocking(move || secret.make(&named, keyring))
        .await
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("asking for the passphrase failed: {error}")))??;

    let made = tokio::select! {
        made = account::init(&home, params, &secret, |text| words.keep(text)) => made?,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    let kept = words.account_made();
    ctx.out.line(made)?;
    if !kept {
        ctx.out.note(
            "\nAn earlier init was interrupted; this finished it. The recovery words are those it gave you then.",
        );
    }
    let current = accounts.settle_current(&home)?;
    let flag = match (current, accounts.list()?.len()) {
        (_, 0 | 1) => String::new(),
        (current, _) => {
            if let Some(current) = current {
                ctx.out.note(&format!("\nCommands that name no account go on using {current}."));
            }
            format!("--account {local_name} ")
        }
    };
    ctx.out.note(&format!("\nNext: invite somebody with a link:\n  subrosa {flag}invite"));
    Ok(())
}

/// Where the account is to live and what lets it in, before anything is made.
fn params(
    handle: String,
    relay: Option<String>,
    link: Option<String>,
    token: Option<String>,
) -> Result<InitParams, Failure> {
    if let Some(link) = link {
        let link: ContactLink = or_stdin(link)?
            .parse()
            .map_err(|error: LinkError| usage(error.to_string(), "paste the whole link, in quotes"))?;
        return Ok(InitParams { relay: link.relay, pin: link.pin, handle, registration: link.registration });
    }
    let relay = relay_url(&relay.unwrap_or_default())?;
    let registration = token.map(registration_token).transpose()?;
    Ok(InitParams { relay, pin: None, handle, registration })
}

/// A registration token as it was handed out.
pub(super) fn registration_token(text: String) -> Result<RegistrationToken, Failure> {
    RegistrationToken::from_text(&or_stdin(text)?)
        .map_err(|_| usage("this is no registration token", "it has 32 digits of 0-9 a-f; the relay's host makes it"))
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

/// The relay's address, before anything is made.
fn relay_url(text: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| {
        usage(
            format!("{:?} is not a relay's address: {why}", clean_line(text)),
            "for example: --relay https://relay.example.org",
        )
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("it begins with https:// (or http:// on this machine)"));
    }
    Ok(url)
}

/// Where the 24 recovery words go. A file is there, private and synced, before the account becomes final at the relay:
/// an account without its words could never be recovered.
enum Words {
    File { path: PathBuf, file: File, kept: bool, made: bool },
    Terminal { kept: bool },
}

impl Words {
    fn prepare(ctx: &Context, path: Option<PathBuf>) -> Result<Self, Failure> {
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
                std::io::ErrorKind::AlreadyExists => "it may hold the words of another account: name a new file",
                _ => "name a file in a directory that can be written",
            };
            ApiError::new(ErrorKind::Storage, format!("cannot make the recovery file {}: {error}", path.display()))
                .hint(hint)
        })?;
        Ok(Self::File { path, file, kept: false, made: false })
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
    /// An account that was not made has no words: no file is left, and the next try may use its name.
    fn drop(&mut self) {
        if let Self::File { path, made: false, .. } = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Shows the words, numbered, four in a row.
fn show(words: &str) -> std::io::Result<()> {
    let mut terminal = anstream::stderr().lock();
    writeln!(terminal, "\nYour recovery words. They are shown this once: write them down, on paper.")?;
    writeln!(terminal, "With them you get the account back if this device is lost; so does whoever else has them.\n")?;
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
