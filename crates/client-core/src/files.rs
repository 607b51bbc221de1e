//! Private files and directories, and why the system does not give them.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::api::{ApiError, ErrorKind};

/// Mode of the directory: names of files already say something about the account.
const DIRECTORY_MODE: u32 = 0o700;

/// Mode of every file in it.
pub(crate) const FILE_MODE: u32 = 0o600;

/// The path, taken from the current directory if it is relative.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Makes a directory (0700) and those above it, if they are missing.
pub(crate) fn create_private_directory(path: &Path) -> Result<(), ApiError> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(|error| {
        storage_error("create the directory", path, &error).or_hint("choose another directory with --home")
    })
}

/// Names that were made or removed in a directory are on disk when this returns.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory).and_then(|directory| directory.sync_all())
}

/// Opens a file of the account for reading and writing, private from its first moment.
///
/// # Errors
/// Those of the file system.
pub(crate) fn open_private(file: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(file)
}

/// A file-system failure for people: what was to be done, why it cannot be, and what to do where that is known.
pub(crate) fn storage_error(action: &str, path: &Path, error: &io::Error) -> ApiError {
    use io::ErrorKind as Kind;
    let plain = |why: &str| ApiError::new(ErrorKind::Storage, format!("cannot {action} {}: {why}", path.display()));
    match error.kind() {
        Kind::StorageFull => {
            plain("the disk is full").hint("free some space (df -h shows how much there is), then try again")
        }
        Kind::QuotaExceeded => plain("your share of the disk is used up").hint("free some space, then try again"),
        Kind::ReadOnlyFilesystem => plain("the disk is mounted read-only")
            .hint("mount it for writing; a disk with faults is often mounted read-only by the system (see dmesg)"),
        Kind::PermissionDenied => {
            plain("permission denied").hint("see who owns it and who may write: ls -ld, then chmod or chown")
        }
        _ => plain(&error.to_string()),
    }
}

/// What SQLite puts beside a database.
pub(crate) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
