//! A new file that appears whole or not at all: written beside its name, private, then given its name.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, ErrorKind as IoKind},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    api::{ApiError, ErrorKind},
    files::{storage_error, sync_directory},
    replace::target,
};

/// What an unfinished file is called: its name and this.
const SUFFIX: &str = "partial";

/// Only its owner reads it: it holds messages.
const MODE: u32 = 0o600;

/// A file being written. Dropped before [`NewFile::publish`], nothing is left of it.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    partial: Partial,
    force: bool,
}

/// An unfinished file, removed when dropped.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // What was given its name is not there any more under this one.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Partial {
    /// Makes it, locked and empty. What a killed command left is replaced; what a living one writes is not touched.
    pub(crate) fn create(path: PathBuf) -> Result<Self, ApiError> {
        let failed = |error: &io::Error| storage_error("make", &path, error).or_hint("check the directory");
        let new = || OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(&path);
        let file = match new() {
            Err(error) if error.kind() == IoKind::AlreadyExists => {
                let regular = std::fs::symlink_metadata(&path).map_err(|error| failed(&error))?.is_file();
                let left = if regular {
                    File::open(&path).map_err(|error| failed(&error))?
                } else {
                    return Err(failed(&error));
                };
                if left.try_lock().is_err() {
                    return Err(ApiError::new(
                        ErrorKind::Failed,
                        format!("another command is writing {}", path.display()),
                    )
                    .hint("wait for it to end"));
                }
                std::fs::remove_file(&path).map_err(|error| failed(&error))?;
                new()
            }
            made => made,
        };
        let file = file.map_err(|error| failed(&error))?;
        // Best effort: some file systems have no locks, and then two writers of one name are told apart by nothing.
        let _ = file.try_lock();
        Ok(Self { path, file })
    }

    /// Gives it this name, once it is on disk.
    pub(crate) fn publish(&self, name: &Path, force: bool) -> Result<(), ApiError> {
        let failed = |error: io::Error| storage_error("write", name, &error);
        self.file.sync_all().map_err(failed)?;
        // A link never replaces anything; file systems without links get the check and a rename.
        let linked = if force {
            Err(IoKind::Unsupported)
        } else {
            std::fs::hard_link(&self.path, name).map_err(|error| error.kind())
        };
        match linked {
            Ok(()) => {}
            Err(IoKind::AlreadyExists) => check_free(name, false)?,
            Err(_) => {
                check_free(name, force)?;
                std::fs::rename(&self.path, name).map_err(failed)?;
            }
        }
        sync_directory(name.parent().unwrap_or(Path::new("/"))).map_err(failed)
    }
}

impl NewFile {
    /// Begins a file. With `force` it will replace a file of its name.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when something stands there, [`ErrorKind::Storage`].
    pub fn create(path: &Path, force: bool) -> Result<Self, ApiError> {
        let named = std::path::absolute(path).map_err(|error| storage_error("find", path, &error))?;
        if named.file_name().is_none() {
            return Err(ApiError::new(ErrorKind::Usage, format!("{} is not the name of a file", named.display())));
        }
        check_free(&named, force)?;
        // A link stays one, and what it points to is replaced.
        let path = target(&named).map_err(|error| storage_error("find", path, &error))?;
        check_free(&path, force)?;
        let partial = Partial::create(beside(&path, SUFFIX))?;
        Ok(Self { path, partial, force })
    }

    /// Where it will be; where the name is a link, what that points to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// To write to.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.partial.file
    }

    /// Gives it its name, once it is on disk.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when something else took the name meanwhile, [`ErrorKind::Storage`].
    pub fn publish(self) -> Result<(), ApiError> {
        self.partial.publish(&self.path, self.force)
    }
}

/// The unfinished form of a file that [`NewFile`] writes, for those who watch it grow.
#[must_use]
pub fn unfinished(path: &Path) -> PathBuf {
    beside(path, SUFFIX)
}

/// `FILE.suffix`.
pub(crate) fn beside(path: &Path, suffix: impl AsRef<OsStr>) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn check_free(path: &Path, force: bool) -> Result<(), ApiError> {
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => {
            Err(ApiError::new(ErrorKind::Usage, format!("{} is a directory", path.display())).hint("name a file in it"))
        }
        Ok(found) if force && (found.is_file() || found.is_symlink()) => Ok(()),
        Ok(found) if found.is_file() || found.is_symlink() => {
            Err(ApiError::new(ErrorKind::Usage, format!("{} exists already", path.display()))
                .hint("choose another name, or replace it with --force"))
        }
        Ok(_) => Err(ApiError::new(ErrorKind::Usage, format!("{} is not a file that can be replaced", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn names(place: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_whole_and_private_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("copy");
        let new = NewFile::create(&path, false).unwrap();
        new.file().write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(new);
        assert_eq!(names(place.path()), [""; 0]);

        let new = NewFile::create(&path, false).unwrap();
        new.file().write_all(b"whole").unwrap();
        new.publish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(place.path()), ["copy"]);
    }

    #[test]
    fn nothing_is_replaced_unasked() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("copy");
        let late = NewFile::create(&path, false).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        let error = late.publish().unwrap_err();
        assert!(error.message.contains("exists already"), "{error}");
        assert!(NewFile::create(&path, false).unwrap_err().hint.unwrap().contains("--force"));
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");

        let new = NewFile::create(&path, true).unwrap();
        new.file().write_all(b"ours").unwrap();
        new.publish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ours");
        assert_eq!(names(place.path()), ["copy"]);
        assert!(NewFile::create(place.path(), true).unwrap_err().message.contains("directory"));
    }

    #[test]
    fn a_link_is_replaced_only_when_asked_and_then_what_it_points_to() {
        let place = tempfile::tempdir().unwrap();
        let (link, there) = (place.path().join("newest"), place.path().join("there"));
        std::os::unix::fs::symlink("there", &link).unwrap();
        assert!(NewFile::create(&link, false).unwrap_err().message.contains("exists already"));
        for content in ["made", "replaced"] {
            let new = NewFile::create(&link, true).unwrap();
            new.file().write_all(content.as_bytes()).unwrap();
            new.publish().unwrap();
            assert!(link.is_symlink());
            assert_eq!(std::fs::read_to_string(&there).unwrap(), content);
        }
        assert_eq!(names(place.path()), ["newest", "there"]);
    }

    #[test]
    fn two_writers_of_one_name_do_not_mix_and_leftovers_do_not_stop_the_next() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("copy");
        let first = NewFile::create(&path, false).unwrap();
        assert!(NewFile::create(&path, true).unwrap_err().message.contains("another command"));
        first.file().write_all(b"first").unwrap();
        first.publish().unwrap();
        std::fs::write(unfinished(&path), "of a killed command").unwrap();
        let next = NewFile::create(&path, true).unwrap();
        next.publish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
