//! `doctor`: looks at everything an account needs, from the directory to the relay, and says for each what is wrong and what
//! to run. It goes as far as it can: without an account, without a relay, with a damaged store.

use std::{os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use subrosa_client_core::{
    ApiError, Client as _, ErrorKind, Remote,
    api::{Check, CheckLevel, EngineOwner, NoParams},
    home::Home,
    keys::{self, KeySource, StoreSecret},
    lock::{EngineLock, LockAttempt},
    rpc::SocketCaller,
};

use crate::{
    Context,
    account::{Use, accounts, with_account},
    errors::Failure,
    output::ticks::locale_is_utf8,
};

/// An engine that takes longer for one answer is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Below this much free space the next large thing fails …
const DISK_FAIL: u64 = 20 * 1024 * 1024;

/// … and below this it is time to clean up.
const DISK_WARN: u64 = 500 * 1024 * 1024;

/// Checks as they are printed.
struct Findings<'a> {
    ctx: &'a Context,
    failed: usize,
}

impl Findings<'_> {
    fn add(&mut self, check: Check) -> Result<(), Failure> {
        self.failed += usize::from(!check.ok);
        Ok(self.ctx.out.line(check)?)
    }
}

pub(crate) async fn run(ctx: &Context) -> Result<(), Failure> {
    let mut found = Findings { ctx, failed: 0 };
    found.add(terminal())?;
    let accounts = accounts(ctx)?;
    found.add(match accounts.settings().load() {
        Ok(_) => Check::fine("config", format!("{} is readable or not there", accounts.settings().path().display())),
        Err(error) => of_error("config", &error, "subrosa config path, then mend that file"),
    })?;
    match accounts.select(ctx.global.account.as_deref()) {
        Ok(home) => account(ctx, &home, &mut found).await?,
        Err(error) => {
            found.add(disk(accounts.path()))?;
            found.add(of_error("account", &error, "subrosa init --relay URL --name HANDLE"))?;
        }
    }
    match found.failed {
        0 => Ok(()),
        1 => Err(ApiError::new(ErrorKind::Failed, "one check failed").into()),
        count => Err(ApiError::new(ErrorKind::Failed, format!("{count} checks failed")).into()),
    }
}

async fn account(ctx: &Context, home: &Home, found: &mut Findings<'_>) -> Result<(), Failure> {
    found.add(directory(home.path()))?;
    found.add(disk(home.path()))?;
    found.add(account_file(home))?;
    found.add(key(home))?;
    let lock = lock(home);
    let free = lock.is_none();
    if let Some(owner) = lock {
        found.add(engine(home, owner).await)?;
    } else {
        found.add(Check::fine("engine", "nobody runs it now; every command can"))?;
    }
    if !free && found.failed > 0 && SocketCaller::connect(home).await.is_err() {
        // It would only wait for the lock.
        return Ok(());
    }
    let checkup = with_account(ctx, Use { kind: "doctor", drain: true }, async |client| {
        let _progress = ctx.out.progress("doctor", "reading the store");
        Ok(client.doctor(NoParams {}).await?)
    })
    .await;
    match checkup {
        Ok(checkup) => {
            for check in checkup.checks {
                found.add(check)?;
            }
            Ok(())
        }
        Err(Failure::Api(error)) => {
            let fix = match error.code {
                ErrorKind::DamagedStore => REPAIR,
                _ => "subrosa status",
            };
            found.add(of_error("store", &error, fix))
        }
        Err(other) => Err(other),
    }
}

fn of_error(name: &str, error: &ApiError, fix: &str) -> Check {
    Check::fail(name, error.message.clone(), error.hint.clone().unwrap_or_else(|| fix.to_owned()))
}

fn terminal() -> Check {
    let term = std::env::var("TERM").unwrap_or_default();
    if !locale_is_utf8() {
        return Check::warn(
            "terminal",
            "the locale is not UTF-8: ticks are drawn with + and letters may be missing",
            "export LANG=C.UTF-8",
        );
    }
    match term.as_str() {
        "" | "dumb" => Check::fine("terminal", "UTF-8, no colours"),
        term => Check::fine("terminal", format!("UTF-8, {term}")),
    }
}

/// The directory and its files belong to us and to nobody else.
fn directory(path: &Path) -> Check {
    let shown = path.display();
    let cannot = |error: &std::io::Error| {
        Check::fail("home", format!("{shown} cannot be read: {error}"), format!("ls -ld {shown}"))
    };
    let directory = match std::fs::metadata(path) {
        Ok(directory) => directory,
        Err(error) => return cannot(&error),
    };
    let ours = rustix::process::geteuid().as_raw();
    if directory.uid() != ours {
        return Check::fail(
            "home",
            format!("{shown} belongs to another user"),
            format!("sudo chown -R {ours} {shown}"),
        );
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return cannot(&error),
    };
    let exposed = directory.mode() & 0o077 != 0
        || entries.flatten().any(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o077 != 0));
    if exposed {
        let fix = format!("chmod -R go-rwx {shown}");
        return Check::fail("home", format!("other users of this machine can read parts of {shown}"), fix);
    }
    if directory.mode() & 0o700 != 0o700 {
        return Check::fail("home", format!("{shown} cannot be written"), format!("chmod u+rwx {shown}"));
    }
    Check::fine("home", format!("{shown} is yours alone"))
}

/// Looks at the nearest directory that exists.
fn disk(path: &Path) -> Check {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let stat = match rustix::fs::statvfs(there) {
        Ok(stat) => stat,
        Err(error) => return Check::warn("disk", format!("free space is not known: {error}"), "df -h"),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let message = format!("{} free", indicatif::HumanBytes(free));
    match free {
        0..DISK_FAIL => Check::fail("disk", message, format!("free some space; see: df -h {}", there.display())),
        DISK_FAIL..DISK_WARN => Check::warn("disk", message, format!("df -h {}", there.display())),
        _ => Check::fine("disk", message),
    }
}

/// The public facts are made anew from the store.
const REPAIR: &str = "subrosa account repair";

fn account_file(home: &Home) -> Check {
    let path = home.account_file();
    let read = std::fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| {
        serde_json::from_slice::<serde_json::Value>(&bytes).map_err(|error| format!("it is not JSON: {error}"))
    });
    match read {
        Ok(facts) if facts["name"].is_string() && facts["relay"].is_string() => {
            let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
            Check::fine("account", format!("{} at {}", text("name"), text("relay")))
        }
        Ok(_) => Check::fail("account", format!("{} lacks what it should hold", path.display()), REPAIR),
        Err(error) => Check::fail("account", format!("{}: {error}", path.display()), REPAIR),
    }
}

/// Where what opens the account comes from, and whether it is there. Only a warning if not: a flag may name another place, and
/// whether the account opens is said by the store's check.
fn key(home: &Home) -> Check {
    if let Err(error) = keys::check(home) {
        return of_error("key", &error, REPAIR);
    }
    let source = keys::remembered(home);
    let found = format!("it opens with {source}");
    match &source {
        // A person is not asked twice, and a command is run once.
        KeySource::Ask | KeySource::PassphraseCommand { .. } => Check::fine("key", found),
        KeySource::PassphraseFile { path } | KeySource::KeyFile { path } => match open(&source) {
            Ok(secret) if secret.is_exposed() => {
                let fix = format!("chmod 600 {}", path.display());
                Check::warn("key", format!("{found}, which other users of this machine can read"), fix)
            }
            opened => of_opening(found, opened),
        },
        KeySource::Keyring { .. } => of_opening(found, open(&source)),
    }
}

fn open(source: &KeySource) -> Result<StoreSecret, ApiError> {
    source.open(|| Err(ApiError::new(ErrorKind::BadPassphrase, "nobody is asked here")))
}

fn of_opening(found: String, opened: Result<StoreSecret, ApiError>) -> Check {
    match opened {
        Ok(_) => Check::fine("key", found),
        Err(error) => {
            Check { ok: true, level: CheckLevel::Warn, ..of_error("key", &error, "subrosa account passphrase") }
        }
    }
}

/// Who holds the account; nobody, if the lock can be had.
fn lock(home: &Home) -> Option<Option<EngineOwner>> {
    match EngineLock::attempt(home, "doctor") {
        Ok(LockAttempt::Taken(owner)) => Some(owner),
        Ok(LockAttempt::Held(_)) | Err(_) => None,
    }
}

/// Whether who holds the account answers.
async fn engine(home: &Home, owner: Option<EngineOwner>) -> Check {
    let (who, fix) = owner.map_or_else(
        || ("another process".to_owned(), "fuser engine.lock, in the account's directory".to_owned()),
        |owner| (format!("`subrosa {}` (pid {})", owner.kind, owner.pid), format!("kill {}", owner.pid)),
    );
    let asked = async { Remote(SocketCaller::connect(home).await.ok()?).account(NoParams {}).await.ok() };
    match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(Some(_)) => Check::fine("engine", format!("{who} runs it and answers")),
        _ => Check::fail("engine", format!("{who} holds the account and does not answer"), fix),
    }
}
