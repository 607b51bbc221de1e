//! The account's directory: where each file is, and how private files are written.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use etcetera::{BaseStrategy as _, choose_base_strategy};

use crate::api::{ApiError, ErrorKind};

/// Environment variable that names the directory.
pub const HOME_VARIABLE: &str = "SUBROSA_HOME";

/// Mode of the directory: names of files already say something about the account.
const DIRECTORY_MODE: u32 = 0o700;

/// Mode of every file in it.
const FILE_MODE: u32 = 0o600;

/// An account's directory. Everything of the account lies directly in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The directory at `path`; relative paths are taken from the current directory now, not later.
    #[must_use]
    pub fn at(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
    }

    /// `chosen` if given, else `SUBROSA_HOME`, else `subrosa` in the XDG data directory.
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
        Ok(Self::at(base.data_dir().join("subrosa")))
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Public facts: version, account id, handle, relay URL, device number.
    #[must_use]
    pub fn account_file(&self) -> PathBuf {
        self.0.join("account.json")
    }

    /// The store's key, wrapped under the passphrase ([`crate::keys`]).
    #[must_use]
    pub fn store_key(&self) -> PathBuf {
        self.0.join("store.key")
    }

    /// The encrypted store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join("store.db")
    }

    /// The lock that decides who runs the engine ([`crate::lock`]).
    #[must_use]
    pub fn engine_lock(&self) -> PathBuf {
        self.0.join("engine.lock")
    }

    /// The engine's socket ([`crate::rpc`]).
    #[must_use]
    pub fn engine_socket(&self) -> PathBuf {
        self.0.join("engine.sock")
    }

    /// Whether an account was set up here.
    #[must_use]
    pub fn has_account(&self) -> bool {
        self.account_file().exists()
    }

    /// Fails with what to do unless an account was set up here.
    ///
    /// # Errors
    /// [`ErrorKind::NoAccount`].
    pub fn require_account(&self) -> Result<(), ApiError> {
        if self.has_account() {
            return Ok(());
        }
        Err(ApiError::new(ErrorKind::NoAccount, format!("no account in {}", self.0.display())).hint(format!(
            "make one with `subrosa init --relay URL --name HANDLE`, or name its directory with --home or {HOME_VARIABLE}"
        )))
    }

    /// Makes the directory (0700) if it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn create(&self) -> Result<(), ApiError> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.0).map_err(|error| {
            storage_error("create the directory", &self.0, &error).hint("choose another directory with --home")
        })
    }

    /// Replaces a file in the directory at once or not at all, readable by its owner only, and on disk when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]; the old content is still there.
    pub fn write_private(&self, file: &Path, content: &[u8]) -> Result<(), ApiError> {
        let failed = |error: io::Error| storage_error("write", file, &error);
        let mut temporary = file.as_os_str().to_owned();
        temporary.push(format!(".{}.new", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let written = write_synced(&temporary, content).and_then(|()| std::fs::rename(&temporary, file));
        if let Err(error) = written {
            // The half-written file is of no use; the first error says more than one of removing it.
            let _ = std::fs::remove_file(&temporary);
            return Err(failed(error));
        }
        File::open(&self.0).and_then(|directory| directory.sync_all()).map_err(failed)
    }
}

/// Opens a file of the account for reading and writing, private from its first moment.
///
/// # Errors
/// Those of the file system.
pub(crate) fn open_private(file: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(file)
}

/// A file-system failure for people.
pub(crate) fn storage_error(action: &str, path: &Path, error: &io::Error) -> ApiError {
    ApiError::new(ErrorKind::Storage, format!("cannot {action} {}: {error}", path.display()))
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
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
}
