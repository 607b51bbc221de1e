//! The account's directory: where each file is, and how private files are written.

use std::path::{Path, PathBuf};

use crate::{
    api::{ApiError, ErrorKind},
    config::{Config, ConfigFile},
    files::{absolute, beside, create_private_directory},
    replace::{Access, replace},
};

/// Environment variable that names the home.
pub const HOME_VARIABLE: &str = "SUBROSA_HOME";

/// The directory of the accounts in a home.
pub(crate) const ACCOUNTS: &str = "accounts";

/// An account's directory. Everything of the account lies directly in it. [`crate::accounts`] says where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
    settings: Option<ConfigFile>,
}

impl Home {
    /// The directory at `path`; relative paths are taken from the current directory now, not later.
    #[must_use]
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self { path: absolute(path.as_ref()), settings: None }
    }

    /// The same directory, whose engine follows these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: ConfigFile) -> Self {
        self.settings = Some(settings);
        self
    }

    /// The settings as they are now; the defaults if this directory has none.
    ///
    /// # Errors
    /// As [`ConfigFile::load`].
    pub fn config(&self) -> Result<Config, ApiError> {
        self.settings.as_ref().map_or_else(|| Ok(Config::default()), ConfigFile::load)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Public facts: version, account id, handle, relay URL, device number.
    #[must_use]
    pub fn account_file(&self) -> PathBuf {
        self.path.join("account.json")
    }

    /// The store's key, wrapped under the passphrase ([`crate::keys`]).
    #[must_use]
    pub fn store_key(&self) -> PathBuf {
        self.path.join("store.key")
    }

    /// The encrypted store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("store.db")
    }

    /// The lock that decides who runs the engine ([`crate::lock`]).
    #[must_use]
    pub fn engine_lock(&self) -> PathBuf {
        self.path.join("engine.lock")
    }

    /// The engine's socket ([`crate::rpc`]).
    #[must_use]
    pub fn engine_socket(&self) -> PathBuf {
        self.path.join("engine.sock")
    }

    /// The token of the daemon's HTTP port ([`crate::rpc::HttpToken`]).
    #[must_use]
    pub fn http_token(&self) -> PathBuf {
        self.path.join("http.token")
    }

    /// There while the account is gone at the relay and not yet here.
    #[must_use]
    pub fn removed_marker(&self) -> PathBuf {
        self.path.join("removed")
    }

    /// Whether an account was set up here.
    #[must_use]
    pub fn has_account(&self) -> bool {
        self.account_file().exists()
    }

    /// What lies here of an account, whether or not it is whole: each of these files holds keys, or is needed to use them.
    #[must_use]
    pub fn remains(&self) -> Vec<PathBuf> {
        let store = self.store();
        // A link to a disk that is not there now is one, too.
        let there = |file: &PathBuf| std::fs::symlink_metadata(file).is_ok();
        // SQLite leaves them empty where it has nothing to say.
        let says = |file: &PathBuf| std::fs::symlink_metadata(file).is_ok_and(|found| found.len() > 0);
        let files = [self.account_file(), self.store_key(), store.clone()].into_iter().filter(there);
        let logs = ["-wal", "-journal"].map(|suffix| beside(&store, suffix)).into_iter().filter(says);
        files.chain(logs).collect()
    }

    /// The local name of the account, as far as the directory tells.
    fn local_name(&self) -> Option<&str> {
        let among = self.path.parent().and_then(Path::file_name).is_some_and(|name| name == ACCOUNTS);
        self.path.file_name().filter(|_| among).and_then(|name| name.to_str())
    }

    /// `subrosa account repair NAME`, for hints.
    #[must_use]
    pub(crate) fn repair_command(&self) -> String {
        self.local_name().map_or("subrosa account repair".to_owned(), |name| format!("subrosa account repair {name}"))
    }

    /// Files of an account without the `account.json` that makes them one: what is there, and the way back. `None` where there is a
    /// whole account, or nothing of one.
    #[must_use]
    pub fn lost(&self) -> Option<ApiError> {
        let remains = self.remains();
        if remains.is_empty() || self.has_account() {
            return None;
        }
        let there = |file: &Path| remains.iter().any(|found| found == file);
        let names: Vec<_> = remains.iter().filter_map(|file| file.file_name()?.to_str()).collect();
        let repair = self.repair_command();
        let aside =
            format!("{repair} --set-aside (nothing is deleted), and then go back to a backup (subrosa restore FILE)");
        let hint = match (there(&self.store()), there(&self.store_key())) {
            (true, true) => format!("put it together again: {repair}"),
            (true, false) => format!(
                "without store.key nobody can open store.db: put it back from a copy of the directory, then: {repair}; if there is \
                 none, make room: {aside}"
            ),
            (false, true) => format!(
                "store.key opens nothing but its store.db: put that back from a copy of the directory, then: {repair}; if there is \
                 none, make room: {aside}. If an init or restore was interrupted here, run it again as it was"
            ),
            (false, false) => format!("put the rest back from a copy of the directory, or make room: {aside}"),
        };
        let message =
            format!("{} holds {} of an account, but account.json is missing", self.path.display(), names.join(", "));
        Some(ApiError::new(ErrorKind::DamagedStore, message).hint(hint))
    }

    /// Fails with what to do unless an account was set up here.
    ///
    /// # Errors
    /// [`ErrorKind::NoAccount`]; [`ErrorKind::DamagedStore`] where parts of one are.
    pub fn require_account(&self) -> Result<(), ApiError> {
        if self.has_account() {
            return Ok(());
        }
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        Err(ApiError::new(ErrorKind::NoAccount, format!("no account in {}", self.path.display())).hint(format!(
            "make one with `subrosa init --relay URL --name HANDLE`, or name its directory with --home or {}",
            HOME_VARIABLE
        )))
    }

    /// Makes the directory (0700) if it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn create(&self) -> Result<(), ApiError> {
        create_private_directory(&self.path)
    }

    /// Replaces a file of the account at once or not at all, readable by its owner only, and on disk when this returns. Where it is
    /// a link, what that points to is replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]; the old content is still there.
    pub fn write_private(&self, file: &Path, content: &[u8]) -> Result<(), ApiError> {
        replace(file, content, Access::Private)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn directory_and_files_are_private() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path().join("deep/alice"));
        home.create().unwrap();
        home.create().unwrap();
        assert_eq!(mode(home.path()), 0o700);

        let file = home.account_file();
        home.write_private(&file, b"one").unwrap();
        home.write_private(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(mode(&file), 0o600);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        std::fs::create_dir(home.account_file()).unwrap();
        let error = home.write_private(&home.account_file(), b"x").unwrap_err();
        assert_eq!(error.code, ErrorKind::Storage);
        assert!(error.message.contains("account.json"), "{error}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_directory_has_no_account_and_says_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let error = Home::at(place.path()).require_account().unwrap_err();
        assert_eq!(error.code, ErrorKind::NoAccount);
        assert!(error.hint.unwrap().contains("subrosa init"));
    }

    #[test]
    fn a_directory_with_any_file_of_an_account_never_advises_to_make_one() {
        for names in
            [&["store.db"][..], &["store.key"], &["store.db-wal"], &["store.key", "store.db"], &["store.db-journal"]]
        {
            let place = tempfile::tempdir().unwrap();
            let home = Home::at(place.path().join("accounts/alice"));
            home.create().unwrap();
            for name in names {
                // Also one on a disk that is not there now.
                std::os::unix::fs::symlink("/no/such/disk", home.path().join(name)).unwrap();
            }
            let error = home.require_account().unwrap_err();
            let hint = error.hint.unwrap();
            assert_eq!(error.code, ErrorKind::DamagedStore);
            assert!(names.iter().all(|name| error.message.contains(name)), "{}", error.message);
            assert!(hint.contains("subrosa account repair alice") && !hint.contains("subrosa init"), "{hint}");
            home.write_private(&home.account_file(), b"{}").unwrap();
            assert_eq!(home.require_account(), Ok(()));
        }
    }
}
