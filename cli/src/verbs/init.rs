//! `init`: makes an account.

use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use subrosa_client_core::{
    ApiError, ErrorKind,
    account::{self, InitParams},
    clean::clean_line,
};
use url::Url;

use crate::{
    Context,
    account::home,
    args::InitArgs,
    errors::{Failure, usage},
    passphrase::Source,
};

pub(crate) async fn run(ctx: &Context, args: InitArgs) -> Result<(), Failure> {
    let home = home(ctx)?;
    if home.has_account() {
        return Err(ApiError::new(
            ErrorKind::Failed,
            format!("there is already an account in {}", home.path().display()),
        )
        .hint("use it, or choose another directory with --home")
        .into());
    }
    let relay = relay_url(&args.relay)?;
    let mut words = Words::prepare(ctx, args.recovery_file)?;
    let source = Source::new(&ctx.global, &ctx.out);
    let passphrase = tokio::task::spawn_blocking(move || source.get_new())
        .await
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("asking for the passphrase failed: {error}")))??;

    let params = InitParams { relay, pin: None, handle: args.name, registration: None };
    let made = tokio::select! {
        made = account::init(&home, params, &passphrase, |text| words.keep(text)) => made?,
        signal = ctx.interrupt.wait() => return Err(Failure::Interrupted(signal)),
    };
    let kept = words.account_made();
    ctx.out.line(made)?;
    if !kept {
        ctx.out.note(
            "\nAn earlier init was interrupted; this finished it. The recovery words are those it gave you then.",
        );
    }
    ctx.out.note("\nNext: invite somebody with a link:\n  subrosa invite");
    Ok(())
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
