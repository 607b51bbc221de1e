//! The home: the directory that holds a person's accounts, and which of them is meant.
//!
//! ```text
//! HOME/accounts/NAME/   an account ([`Home`])
//! HOME/config.toml      settings, when the home was chosen; else in the XDG configuration directory
//! HOME/account.json     an account from before there were several: it stays where it is and goes by its handle
//! ```
//! NAME is local: it begins as the handle, and only this machine knows it.

mod facts;
#[cfg(test)]
mod tests;

pub(crate) use facts::Facts;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use etcetera::{BaseStrategy as _, choose_base_strategy};

use crate::{
    api::{ApiError, ErrorKind, LocalAccount},
    clean::clean_line,
    config::{CONFIG_FILE, ConfigFile},
    files::{absolute, storage_error, sync_directory},
    home::{ACCOUNTS, Home},
    keys,
    lock::{self, EngineLock, LockAttempt},
    replace::{is_aside, target},
};

pub use crate::home::HOME_VARIABLE;

/// Environment variable that names the account.
pub const ACCOUNT_VARIABLE: &str = "SUBROSA_ACCOUNT";

/// Longest local name: as long as the longest handle.
const MAX_NAME_CHARS: usize = 32;

/// More accounts than this are not looked at: a listing stays a listing.
const MAX_ACCOUNTS: usize = 1_000;

/// What an account from before there were several is called when its own file does not say.
const UNNAMED: &str = "unnamed";

/// A home with its accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    root: PathBuf,
    settings: ConfigFile,
}

/// Which account is meant from now on when none is named: what a new account changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// The one that was meant before, or the new one as the only one: nothing was written.
    AsBefore,
    /// This one, which was the only one until now.
    Stays(String),
    /// The new one, as the chosen one is not there any more.
    Instead {
        /// Which was chosen.
        gone: String,
        /// The new one.
        now: String,
    },
}

/// An account of a home and where it is.
#[derive(Debug, Clone)]
struct Found {
    name: String,
    home: Home,
    facts: Facts,
    /// Directly in the home.
    in_place: bool,
}

impl Accounts {
    /// The home at `path`, with its settings in it.
    #[must_use]
    pub fn at(path: impl AsRef<Path>) -> Self {
        let root = absolute(path.as_ref());
        let settings = ConfigFile::at(root.join(CONFIG_FILE));
        Self { root, settings }
    }

    /// `chosen` if given, else `SUBROSA_HOME`, else `subrosa` in the XDG data directory, with the settings in the XDG
    /// configuration directory.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] when nothing is chosen and the person has no home directory.
    pub fn locate(chosen: Option<&Path>) -> Result<Self, ApiError> {
        if let Some(path) = chosen {
            return Ok(Self::at(path));
        }
        if let Some(path) = std::env::var_os(HOME_VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(Self::at(PathBuf::from(path)));
        }
        let base = choose_base_strategy().map_err(|_| {
            ApiError::new(ErrorKind::Failed, "no home directory is known, so there is no place for the account")
                .hint(format!("name a directory with --home or {HOME_VARIABLE}"))
        })?;
        let settings = ConfigFile::at(base.config_dir().join("subrosa").join(CONFIG_FILE));
        Ok(Self { root: base.data_dir().join("subrosa"), settings })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &ConfigFile {
        &self.settings
    }

    /// The directory of the account that is meant: the wanted one, else the current one, else the only one.
    ///
    /// # Errors
    /// [`ErrorKind::NoAccount`] when there is none (of that name), [`ErrorKind::Usage`] when several could be meant.
    pub fn select(&self, wanted: Option<&str>) -> Result<Home, ApiError> {
        if let Some(name) = wanted {
            return Ok(self.find(name)?.home);
        }
        let mut found = self.all()?;
        let current = self.settings.load()?.text("account")?;
        let lost = self.lost()?;
        match (current, found.len()) {
            (Some(name), _) => match found.iter().position(|account| account.name == name) {
                Some(at) => Ok(found.swap_remove(at).home),
                None => Err(match lost.into_iter().find(|(other, _)| *other == name) {
                    Some((_, why)) => why,
                    None if found.is_empty() => self.none(),
                    None => self.no_such(&name).hint(format!(
                        "it was the current one; choose another: subrosa account use NAME; there are: {}",
                        names(&found)
                    )),
                }),
            },
            (None, 0) => Err(lost.into_iter().next().map_or_else(|| self.none(), |(_, why)| why)),
            (None, 1) if lost.is_empty() => Ok(found.remove(0).home),
            // Which one was meant before the other was lost is not known.
            (None, 1) => Err(ApiError::new(
                ErrorKind::Usage,
                format!(
                    "there is the account {}, and of {} only parts are there",
                    names(&found),
                    lost.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
                ),
            )
            .hint(format!(
                "see: subrosa account list; name one with --account NAME or {ACCOUNT_VARIABLE}, or make one the current one: subrosa \
                 account use NAME"
            ))),
            (None, _) => Err(ApiError::new(
                ErrorKind::Usage,
                format!("there are several accounts and none is the current one: {}", names(&found)),
            )
            .hint(format!(
                "name one with --account NAME or {ACCOUNT_VARIABLE}, or make one the current one: subrosa account use NAME"
            ))),
        }
    }

    /// Where an account of this name is to be made.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for what is no name, [`ErrorKind::Failed`] when there is an account of this name.
    pub fn place_for(&self, name: &str) -> Result<Home, ApiError> {
        check_name(name)?;
        if let Some(there) = self.all()?.into_iter().find(|account| account.name == name) {
            return Err(ApiError::new(
                ErrorKind::Failed,
                format!("there is already an account named {name} here ({})", there.home.path().display()),
            )
            .hint(format!(
                "use it with --account {name}; for another one choose its local name: subrosa --account OTHER init …"
            )));
        }
        Ok(self.home_of(name))
    }

    /// Call it when a new account stands, so that commands which name no account go on meaning one that is there: the one that was
    /// the only one until then; the new one, if the chosen one is gone.
    ///
    /// # Errors
    /// Those of the settings file.
    pub fn settle_current(&self, made: &Home) -> Result<Current, ApiError> {
        // Not what the environment says: the next command may run without it.
        let chosen = self.settings.load()?.stored("account");
        let (mut new, others): (Vec<Found>, Vec<Found>) =
            self.all()?.into_iter().partition(|account| account.home.path() == made.path());
        match (chosen, new.pop(), &others[..]) {
            (Some(gone), Some(new), others) if new.name != gone && others.iter().all(|other| other.name != gone) => {
                // One that lost a file is not gone: it is still the one that is meant, and says how it comes back.
                if self.lost()?.iter().any(|(name, _)| *name == gone) {
                    return Ok(Current::Stays(gone));
                }
                self.settings.change("account", Some(&new.name))?;
                Ok(Current::Instead { gone, now: new.name })
            }
            (None, Some(_), [only]) => {
                self.settings.change("account", Some(&only.name))?;
                Ok(Current::Stays(only.name.clone()))
            }
            _ => Ok(Current::AsBefore),
        }
    }

    /// The accounts of which only parts are there, by name, each with what is there and the way back.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn lost(&self) -> Result<Vec<(String, ApiError)>, ApiError> {
        let direct = Home::at(&self.root).lost().map(|why| (UNNAMED.to_owned(), why));
        let among = self.named()?.into_iter().filter_map(|(name, home)| Some((name, home.lost()?)));
        Ok(direct.into_iter().chain(among).collect())
    }

    /// The directory of an account that may not be whole: to repair or to remove it. As [`Accounts::select`], but parts of an account
    /// count.
    ///
    /// # Errors
    /// As [`Accounts::select`].
    pub fn select_with_lost(&self, wanted: Option<&str>) -> Result<Home, ApiError> {
        let selected = self.select(wanted);
        let Err(error) = selected else { return selected };
        let lost = self.lost()?;
        let chosen = match wanted {
            Some(name) => Some(name.to_owned()),
            None => self.settings.load()?.text("account")?,
        };
        let name = match (&chosen, &lost[..]) {
            (Some(name), lost) => lost.iter().map(|(other, _)| other).find(|other| *other == name),
            // The only one that needs it.
            (None, [(only, _)]) => Some(only),
            (None, _) => None,
        };
        match name.map(String::as_str) {
            Some(UNNAMED) if Home::at(&self.root).lost().is_some() => {
                Ok(Home::at(&self.root).with_settings(self.settings.clone()))
            }
            Some(name) => Ok(self.home_of(name)),
            None => Err(error),
        }
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// The directory or the settings cannot be read.
    pub fn list(&self) -> Result<Vec<LocalAccount>, ApiError> {
        let found = self.all()?;
        let current = self.settings.load()?.text("account")?;
        let only = found.len() == 1 && current.is_none();
        Ok(found.into_iter().map(|account| account.view(only, current.as_deref())).collect())
    }

    /// The account of this directory, which [`Accounts::select`] gave.
    ///
    /// # Errors
    /// [`ErrorKind::NoAccount`] when it is gone.
    pub fn view_of(&self, home: &Home) -> Result<LocalAccount, ApiError> {
        let path = home.path().display().to_string();
        self.list()?.into_iter().find(|account| account.data_dir == path).ok_or_else(|| self.none())
    }

    /// Makes an account the one that is meant when none is named.
    ///
    /// # Errors
    /// [`ErrorKind::NoAccount`], and those of the settings file.
    pub fn make_current(&self, name: &str) -> Result<LocalAccount, ApiError> {
        let found = self.find(name)?;
        self.settings.change("account", Some(&found.name))?;
        Ok(found.view(false, Some(name)))
    }

    /// Gives an account another local name. Nothing of it may run meanwhile: its directory moves.
    ///
    /// # Errors
    /// [`ErrorKind::NoAccount`], [`ErrorKind::AccountBusy`] naming who holds it, [`ErrorKind::Failed`] when the name is taken.
    pub fn rename(&self, name: &str, new_name: &str) -> Result<LocalAccount, ApiError> {
        let mut found = self.find(name)?;
        let target = self.place_for(new_name)?;
        if let Some(lost) = target.lost() {
            return Err(lost);
        }
        if found.in_place {
            return Err(ApiError::new(
                ErrorKind::Failed,
                format!(
                    "{name} lies directly in {}, as accounts did at first: its name is its handle",
                    self.root.display()
                ),
            )
            .hint(format!(
                "to give it a directory and a name, stop its engine and move account.json and the store.* files to {}",
                target.path().display()
            )));
        }
        let lock = hold(&found.home, "account rename")?;
        // What an `init` that failed left in the way: a directory with nothing but a lock file.
        let _ = fs::remove_file(target.engine_lock());
        let _ = fs::remove_dir(target.path());
        let failed = |error: io::Error| storage_error("move the account to", target.path(), &error);
        fs::rename(found.home.path(), target.path()).map_err(failed)?;
        sync_directory(&self.root.join(ACCOUNTS)).map_err(failed)?;
        drop(lock);
        let was_current = self.settings.load()?.text("account")?.as_deref() == Some(name);
        if was_current {
            self.settings.change("account", Some(new_name))?;
        }
        found.home = target;
        new_name.clone_into(&mut found.name);
        Ok(found.view(false, was_current.then_some(new_name)))
    }

    /// Removes an account's directory; the caller holds its lock. What opens the store goes first, the public facts last, so that
    /// a removal which was interrupted leaves nothing readable and can be made again. What was set aside there
    /// ([`crate::repair::set_aside`]) may be another account's, and stays; it is what this gives.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] naming the file that could not be removed.
    pub fn erase(&self, home: &Home, _lock: &EngineLock) -> Result<Vec<PathBuf>, ApiError> {
        let in_place = home.path() == self.root;
        let name =
            self.all()?.into_iter().find(|account| account.home.path() == home.path()).map(|account| account.name);
        let name = name.or_else(|| Some(home.path().file_name()?.to_str()?.to_owned()));
        let store = home.store();
        let beside = |suffix: &str| crate::files::beside(&store, suffix);
        let remove = |path: &Path| {
            let failed = |error: io::Error| storage_error("remove", path, &error);
            // Where it is a link, the keys are in what it points to.
            for file in [target(path).map_err(failed)?, path.to_path_buf()] {
                match fs::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                    _ => {}
                }
            }
            Ok(())
        };
        let keys = [home.store_key(), store.clone(), beside("-wal"), beside("-shm"), beside("-journal")];
        for file in keys.iter().chain(&[home.engine_socket(), home.http_token()]) {
            remove(file)?;
        }
        let entries = fs::read_dir(home.path()).into_iter().flatten().flatten();
        let (aside, others): (Vec<_>, Vec<_>) =
            entries.partition(|entry| entry.file_name().to_str().is_some_and(is_aside));
        if !in_place {
            // What else other versions of the program put there.
            for entry in others {
                let last = [home.account_file(), home.removed_marker(), home.engine_lock()];
                if !last.contains(&entry.path()) {
                    let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
                }
            }
        }
        remove(&home.account_file())?;
        remove(&home.removed_marker())?;
        remove(&home.engine_lock())?;
        if !in_place {
            // Empty now, unless something was set aside in it, or somebody else puts something there.
            let _ = fs::remove_dir(home.path());
        }
        if name.is_some() && self.settings.load()?.stored("account") == name {
            self.settings.change("account", None)?;
        }
        Ok(aside.into_iter().map(|entry| entry.path()).collect())
    }

    fn home_of(&self, name: &str) -> Home {
        Home::at(self.root.join(ACCOUNTS).join(name)).with_settings(self.settings.clone())
    }

    fn find(&self, name: &str) -> Result<Found, ApiError> {
        let mut found = self.all()?;
        if let Some((_, why)) = self.lost()?.into_iter().find(|(other, _)| other == name)
            && found.iter().all(|account| account.name != name)
        {
            return Err(why);
        }
        if found.is_empty() {
            return Err(self.none());
        }
        match found.iter().position(|account| account.name == name) {
            Some(at) => Ok(found.swap_remove(at)),
            None => Err(self.no_such(name).hint(format!("there are: {}", names(&found)))),
        }
    }

    fn none(&self) -> ApiError {
        ApiError::new(ErrorKind::NoAccount, format!("no account in {}", self.root.display())).hint(format!(
            "make one with `subrosa init --relay URL --name HANDLE`, or name another home with --home or {HOME_VARIABLE}"
        ))
    }

    fn no_such(&self, name: &str) -> ApiError {
        ApiError::new(
            ErrorKind::NoAccount,
            format!("no account named {:?} in {}", clean_line(name), self.root.display()),
        )
    }

    /// Every account, by name; the one directly in the home first among equals.
    fn all(&self) -> Result<Vec<Found>, ApiError> {
        let mut found = Vec::new();
        let direct = Home::at(&self.root).with_settings(self.settings.clone());
        if direct.has_account() {
            let facts = Facts::read(&direct);
            let name = if check_name(&facts.name).is_ok() { facts.name.clone() } else { UNNAMED.to_owned() };
            found.push(Found { name, home: direct, facts, in_place: true });
        }
        for (name, home) in self.named()? {
            if home.has_account() && found.iter().all(|other| other.name != name) {
                found.push(Found { facts: Facts::read(&home), name, home, in_place: false });
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Every directory that may hold an account, by name.
    fn named(&self) -> Result<Vec<(String, Home)>, ApiError> {
        let directory = self.root.join(ACCOUNTS);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(storage_error("read the directory", &directory, &error)),
        };
        let mut found = Vec::new();
        for entry in entries.take(MAX_ACCOUNTS) {
            let entry = entry.map_err(|error| storage_error("read the directory", &directory, &error))?;
            // What is no name was not made by us.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if check_name(&name).is_ok() {
                found.push((name.clone(), self.home_of(&name)));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }
}

impl Found {
    fn view(self, only: bool, current: Option<&str>) -> LocalAccount {
        LocalAccount {
            current: only || current == Some(self.name.as_str()),
            account: self.name,
            id: self.facts.id,
            name: self.facts.name,
            relay: self.facts.relay,
            device: self.facts.device,
            engine: lock::holder(&self.home),
            opens_with: keys::remembered(&self.home).to_string(),
            data_dir: self.home.path().display().to_string(),
        }
    }
}

/// Takes an account's lock for something that cannot be done beside an engine.
///
/// # Errors
/// [`ErrorKind::AccountBusy`] naming who holds it.
pub fn hold(home: &Home, kind: &str) -> Result<EngineLock, ApiError> {
    match EngineLock::attempt(home, kind)? {
        LockAttempt::Held(lock) => Ok(lock),
        LockAttempt::Taken(owner) => {
            let who = owner.map_or_else(
                || "another process".to_owned(),
                |owner| format!("`subrosa {}` (pid {})", clean_line(&owner.kind), owner.pid),
            );
            Err(ApiError::new(ErrorKind::AccountBusy, format!("the account is in use by {who}"))
                .hint("stop it, then try again"))
        }
    }
}

/// 1 to 32 of `a-z 0-9 . _ -`, first and last a letter or digit: nothing that means something to a file system or a shell, and
/// no two names that differ by case alone.
///
/// # Errors
/// [`ErrorKind::Usage`].
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.chars().all(|c| plain(c) || "._-".contains(c))
        && name.starts_with(plain)
        && name.ends_with(plain);
    if fits {
        return Ok(());
    }
    Err(ApiError::new(ErrorKind::Usage, format!("{:?} is no name for an account", clean_line(name)))
        .hint("1 to 32 of a-z 0-9 . _ -, first and last a letter or digit"))
}

fn names(found: &[Found]) -> String {
    found.iter().map(|account| account.name.as_str()).collect::<Vec<_>>().join(", ")
}
