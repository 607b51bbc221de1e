//! The home: the directory that holds a person's accounts, and which of them is meant.
//!
//! ```text
//! HOME/accounts/NAME/   an account ([`Home`])
//! HOME/config.toml      settings, when the home was chosen; else in the XDG configuration directory
//! HOME/account.json     an account from before there were several: it stays where it is and goes by its handle
//! ```
//! NAME is local: it begins as the handle, and only this machine knows it.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use etcetera::{BaseStrategy as _, choose_base_strategy};
use serde::{Deserialize, Serialize};

use crate::{
    api::{ApiError, ErrorKind, LocalAccount},
    clean::clean_line,
    config::{CONFIG_FILE, ConfigFile},
    home::{Home, absolute, storage_error, sync_directory},
    keys,
    lock::{self, EngineLock, LockAttempt},
};

/// Environment variable that names the home.
pub const HOME_VARIABLE: &str = "SUBROSA_HOME";

/// Environment variable that names the account.
pub const ACCOUNT_VARIABLE: &str = "SUBROSA_ACCOUNT";

/// The directory of the accounts in a home.
const ACCOUNTS: &str = "accounts";

/// Longest local name: as long as the longest handle.
const MAX_NAME_CHARS: usize = 32;

/// `account.json` has about 300 bytes; more is not one.
const MAX_FACTS_BYTES: u64 = 16 * 1024;

/// More accounts than this are not looked at: a listing stays a listing.
const MAX_ACCOUNTS: usize = 1_000;

/// What an account from before there were several is called when its own file does not say.
const UNNAMED: &str = "unnamed";

/// Public facts beside the store, readable without what opens it: `account.json`, version 1.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    #[serde(default)]
    pub(crate) v: u32,
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) relay: String,
    #[serde(default)]
    pub(crate) device: u32,
}

/// A home with its accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    root: PathBuf,
    settings: ConfigFile,
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
        match (current, found.len()) {
            (_, 0) => Err(self.none()),
            (Some(name), _) => match found.into_iter().find(|account| account.name == name) {
                Some(account) => Ok(account.home),
                None => Err(self.no_such(&name).hint("it was the current one; choose another: subrosa account use NAME")),
            },
            (None, 1) => Ok(found.remove(0).home),
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

    /// Call it when a new account stands: one that was the only one until then becomes the current one, so that commands
    /// which name no account go on meaning it. Gives its name.
    ///
    /// # Errors
    /// Those of the settings file.
    pub fn settle_current(&self, made: &Home) -> Result<Option<String>, ApiError> {
        if self.settings.load()?.text("account")?.is_some() {
            return Ok(None);
        }
        let others: Vec<Found> = self.all()?.into_iter().filter(|account| account.home.path() != made.path()).collect();
        let [only] = &others[..] else { return Ok(None) };
        self.settings.change("account", Some(&only.name))?;
        Ok(Some(only.name.clone()))
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
    /// a removal which was interrupted leaves nothing readable and can be made again.
    ///
    /// # Errors
    /// [`ErrorKind::NoAccount`]; [`ErrorKind::Storage`] naming the file that could not be removed.
    pub fn erase(&self, name: &str, _lock: &EngineLock) -> Result<(), ApiError> {
        let found = self.find(name)?;
        let home = &found.home;
        let store = home.store();
        let beside = |suffix: &str| {
            let mut path = store.clone().into_os_string();
            path.push(suffix);
            PathBuf::from(path)
        };
        let remove = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage_error("remove", path, &error)),
            _ => Ok(()),
        };
        for file in
            [home.store_key(), store.clone(), beside("-wal"), beside("-shm"), home.engine_socket(), home.http_token()]
        {
            remove(&file)?;
        }
        if !found.in_place {
            // What else other versions of the program put there.
            for entry in fs::read_dir(home.path()).into_iter().flatten().flatten() {
                if entry.path() != home.account_file() && entry.path() != home.removed_marker() {
                    let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
                }
            }
        }
        remove(&home.account_file())?;
        remove(&home.removed_marker())?;
        remove(&home.engine_lock())?;
        if !found.in_place {
            // Empty now, unless somebody else puts something there.
            let _ = fs::remove_dir(home.path());
        }
        if self.settings.load()?.text("account")?.as_deref() == Some(name) {
            self.settings.change("account", None)?;
        }
        Ok(())
    }

    fn home_of(&self, name: &str) -> Home {
        Home::at(self.root.join(ACCOUNTS).join(name)).with_settings(self.settings.clone())
    }

    fn find(&self, name: &str) -> Result<Found, ApiError> {
        let mut found = self.all()?;
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
        let directory = self.root.join(ACCOUNTS);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(storage_error("read the directory", &directory, &error)),
        };
        for entry in entries.take(MAX_ACCOUNTS) {
            let entry = entry.map_err(|error| storage_error("read the directory", &directory, &error))?;
            // What is no name was not made by us.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let home = self.home_of(&name);
            if check_name(&name).is_err() || !home.has_account() || found.iter().any(|other| other.name == name) {
                continue;
            }
            found.push(Found { facts: Facts::read(&home), name, home, in_place: false });
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
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

impl Facts {
    /// What the file says; nothing where it is not one.
    pub(crate) fn read(home: &Home) -> Self {
        let mut content = Vec::new();
        let read =
            fs::File::open(home.account_file()).and_then(|file| file.take(MAX_FACTS_BYTES).read_to_end(&mut content));
        read.ok().and_then(|_| serde_json::from_slice(&content).ok()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn account(home: &Home, handle: &str) {
        home.create().unwrap();
        let facts = Facts { v: 1, id: format!("id of {handle}"), name: handle.to_owned(), ..Facts::default() };
        fs::write(home.account_file(), serde_json::to_vec(&facts).unwrap()).unwrap();
    }

    fn home_with(names: &[&str]) -> (tempfile::TempDir, Accounts) {
        let place = tempfile::tempdir().unwrap();
        let accounts = Accounts::at(place.path());
        for name in names {
            account(&accounts.place_for(name).unwrap(), name);
        }
        (place, accounts)
    }

    fn listed(accounts: &Accounts) -> Vec<(String, bool)> {
        accounts.list().unwrap().into_iter().map(|it| (it.account, it.current)).collect()
    }

    #[test]
    fn the_wanted_the_current_or_the_only_one_is_meant() {
        let (place, accounts) = home_with(&[]);
        assert_eq!(accounts.select(None).unwrap_err().code, ErrorKind::NoAccount);
        assert!(!place.path().join(ACCOUNTS).exists(), "asking makes nothing");

        account(&accounts.place_for("alice").unwrap(), "alice");
        let alice = accounts.select(None).unwrap();
        assert_eq!(alice.path(), place.path().join("accounts/alice"));
        assert_eq!(listed(&accounts), [("alice".to_owned(), true)]);
        assert!(!accounts.settings().path().exists());

        account(&accounts.place_for("bob").unwrap(), "bob");
        let error = accounts.select(None).unwrap_err();
        assert_eq!(error.code, ErrorKind::Usage);
        assert!(error.message.contains("alice, bob"), "{error}");
        assert_eq!(accounts.select(Some("bob")).unwrap().path(), place.path().join("accounts/bob"));
        assert_eq!(accounts.select(Some("carol")).unwrap_err().hint.unwrap(), "there are: alice, bob");

        assert!(accounts.make_current("bob").unwrap().current);
        assert_eq!(accounts.select(None).unwrap().path(), place.path().join("accounts/bob"));
        assert_eq!(listed(&accounts), [("alice".to_owned(), false), ("bob".to_owned(), true)]);
        fs::remove_dir_all(place.path().join("accounts/bob")).unwrap();
        let error = accounts.select(None).unwrap_err();
        assert!(error.message.contains("bob") && error.hint.unwrap().contains("account use"), "{}", error.message);
    }

    #[test]
    fn a_second_account_changes_nothing_for_commands_that_name_none() {
        let (_place, accounts) = home_with(&["alice"]);
        let bob = accounts.place_for("bob").unwrap();
        account(&bob, "bob");
        assert_eq!(accounts.settle_current(&bob).unwrap().as_deref(), Some("alice"));
        assert!(accounts.select(None).unwrap().path().ends_with("alice"));
        let carol = accounts.place_for("carol").unwrap();
        account(&carol, "carol");
        assert_eq!(accounts.settle_current(&carol).unwrap(), None, "somebody chose already");
    }

    #[test]
    fn an_account_directly_in_the_home_stays_usable_beside_others() {
        let place = tempfile::tempdir().unwrap();
        account(&Home::at(place.path()), "alice");
        let accounts = Accounts::at(place.path());
        assert_eq!(accounts.select(None).unwrap().path(), place.path());
        assert_eq!(accounts.place_for("alice").unwrap_err().code, ErrorKind::Failed);
        account(&accounts.place_for("bob").unwrap(), "bob");
        assert_eq!(accounts.select(Some("alice")).unwrap().path(), place.path());
        assert_eq!(accounts.list().unwrap().len(), 2);
        assert_eq!(accounts.rename("alice", "work").unwrap_err().code, ErrorKind::Failed);

        // Whatever stands in its file.
        fs::write(place.path().join("account.json"), "{\"name\":\"../../etc\"}").unwrap();
        assert_eq!(accounts.select(Some(UNNAMED)).unwrap().path(), place.path());
    }

    #[test]
    fn renaming_moves_the_directory_unless_somebody_has_it() {
        let (place, accounts) = home_with(&["alice", "bob"]);
        accounts.make_current("alice").unwrap();
        let LockAttempt::Held(lock) = EngineLock::attempt(&accounts.select(None).unwrap(), "listen").unwrap() else {
            panic!("it was free")
        };
        let error = accounts.rename("alice", "work").unwrap_err();
        assert_eq!(error.code, ErrorKind::AccountBusy);
        assert!(error.message.contains("`subrosa listen`"), "{error}");
        assert_eq!(accounts.list().unwrap()[0].engine.as_ref().unwrap().kind, "listen");
        drop(lock);

        assert_eq!(accounts.rename("alice", "bob").unwrap_err().code, ErrorKind::Failed);
        for name in ["../alice", "", "a b", "Work", ".hidden", "a/b", "-x"] {
            assert_eq!(accounts.rename("alice", name).unwrap_err().code, ErrorKind::Usage, "{name:?}");
        }
        // An init that failed was here.
        fs::create_dir(place.path().join("accounts/work")).unwrap();
        fs::write(place.path().join("accounts/work/engine.lock"), "").unwrap();
        let renamed = accounts.rename("alice", "work").unwrap();
        assert!(renamed.current && renamed.account == "work" && renamed.id == "id of alice");
        assert_eq!(renamed.engine, None);
        assert_eq!(listed(&accounts), [("bob".to_owned(), false), ("work".to_owned(), true)]);
        assert!(accounts.select(None).unwrap().path().ends_with("accounts/work"));
    }

    #[test]
    fn what_is_no_account_is_not_listed() {
        let (place, accounts) = home_with(&["alice"]);
        let directory = place.path().join(ACCOUNTS);
        fs::create_dir(directory.join("half-made")).unwrap();
        fs::create_dir(directory.join("No Name")).unwrap();
        fs::write(directory.join("No Name/account.json"), "{}").unwrap();
        fs::write(directory.join("file"), "").unwrap();
        fs::create_dir(directory.join("odd")).unwrap();
        fs::write(directory.join("odd/account.json"), vec![b'{'; 1_000_000]).unwrap();
        assert_eq!(listed(&accounts), [("alice".to_owned(), false), ("odd".to_owned(), false)]);
    }
}
