//! Files that are replaced at once or not at all, through links; and files that are set aside instead of being lost.
//!
//! A path may be a link, to a collection of settings or to another disk. Renaming over the link would cut it off from what it
//! points to, so what a link points to is what is replaced.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, ErrorKind as IoKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    api::ApiError,
    files::{FILE_MODE, absolute, storage_error, sync_directory},
};

/// Links that lead to links, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Files set aside in one second under one name; nobody makes more.
const MAX_ASIDE: u32 = 1_000;

/// The date in the name of a file that was set aside: no colons, so that it can be copied anywhere.
const DATE: &str = "%Y-%m-%dT%H-%M-%S";

/// Who may read a file that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner only, whatever it was before.
    Private,
    /// Who could before; its owner only, if it is new.
    AsBefore,
}

/// Where a path leads once every link at its end is followed, whether or not something stands there.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = absolute(path);
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("/")).join(next),
            Err(error) if matches!(error.kind(), IoKind::InvalidInput | IoKind::NotFound) => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its links lead to each other"))
}

/// Replaces a file at once or not at all; it is on disk when this returns.
///
/// # Errors
/// [`crate::ErrorKind::Storage`]; the old content is still there.
pub(crate) fn replace(file: &Path, content: &[u8], access: Access) -> Result<(), ApiError> {
    let failed = |error: io::Error| storage_error("write", file, &error);
    let target = target(file).map_err(failed)?;
    let directory = target.parent().unwrap_or(Path::new("/"));
    let mode = match (access, fs::metadata(&target)) {
        (Access::AsBefore, Ok(found)) => found.permissions().mode() & 0o7777,
        _ => FILE_MODE,
    };
    let mut temporary = target.clone().into_os_string();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_synced(&temporary, content, mode).and_then(|()| fs::rename(&temporary, &target));
    if let Err(error) = written {
        // The half-written file is of no use; the first error says more than one of removing it.
        let _ = fs::remove_file(&temporary);
        return Err(failed(error));
    }
    sync_directory(directory).map_err(failed)
}

fn write_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // Of a process that had our number and was killed.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(content)?;
    if mode != FILE_MODE {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.sync_all()
}

/// Gives a file a dated name beside its own, and says which: `store.db` becomes `store.db.2026-11-30T09-41-00`. A link is
/// renamed, not what it points to.
///
/// # Errors
/// [`crate::ErrorKind::Storage`]; it stands where it stood.
pub(crate) fn set_aside(file: &Path, now_ms: u64) -> Result<PathBuf, ApiError> {
    let failed = |error: io::Error| storage_error("set aside", file, &error);
    let date = i64::try_from(now_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .ok_or_else(|| failed(io::Error::other("the clock is wrong")))?;
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", date.to_zoned(TimeZone::UTC).strftime(DATE)));
    for number in 1..MAX_ASIDE {
        let mut name = name.clone();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let aside = PathBuf::from(name);
        if fs::symlink_metadata(&aside).is_err() {
            fs::rename(file, &aside).map_err(failed)?;
            sync_directory(file.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
            return Ok(aside);
        }
    }
    Err(failed(io::Error::other("too many of its name were set aside")))
}

/// Whether [`set_aside`] gave this name.
pub(crate) fn is_aside(name: &str) -> bool {
    let Some((_, date)) = name.rsplit_once('.') else { return false };
    let Some((date, rest)) = date.split_at_checked("2026-11-30T09-41-00".len()) else { return false };
    let number = rest.is_empty() || rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok());
    number && jiff::civil::DateTime::strptime(DATE, date).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_a_link_points_to_is_replaced_and_the_link_stays() {
        let place = tempfile::tempdir().unwrap();
        let there = place.path().join("there");
        fs::create_dir(&there).unwrap();
        let link = place.path().join("link");
        symlink("second", &link).unwrap();
        symlink("there/file", place.path().join("second")).unwrap();
        replace(&link, b"made", Access::AsBefore).unwrap();
        assert_eq!(fs::read(there.join("file")).unwrap(), b"made", "a link to nothing makes what it points to");
        assert_eq!(mode(&there.join("file")), 0o600);
        fs::set_permissions(there.join("file"), Permissions::from_mode(0o640)).unwrap();
        replace(&link, b"again", Access::AsBefore).unwrap();
        assert_eq!(mode(&there.join("file")), 0o640);
        replace(&link, b"private", Access::Private).unwrap();
        assert_eq!((mode(&there.join("file")), fs::read(&link).unwrap()), (0o600, b"private".to_vec()));
        assert!(link.is_symlink() && place.path().join("second").is_symlink());
        assert_eq!(fs::read_dir(&there).unwrap().count(), 1, "no temporary file is left");

        symlink("round", place.path().join("round")).unwrap();
        let error = replace(&place.path().join("round"), b"x", Access::Private).unwrap_err();
        assert!(error.message.contains("round"), "{error}");
        symlink("gone/file", place.path().join("lost")).unwrap();
        assert!(replace(&place.path().join("lost"), b"x", Access::Private).is_err());
        assert!(place.path().join("lost").is_symlink());
    }

    #[test]
    fn what_is_set_aside_keeps_its_bytes_and_replaces_nothing() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("store.db");
        for (content, name) in [("one", "store.db.2026-11-30T09-41-00"), ("two", "store.db.2026-11-30T09-41-00-2")] {
            fs::write(&file, content).unwrap();
            let aside = set_aside(&file, 1_796_031_660_000).unwrap();
            assert_eq!(aside.file_name().unwrap(), name);
            assert!(is_aside(name) && !file.exists());
            assert_eq!(fs::read_to_string(&aside).unwrap(), content);
        }
        assert_eq!(fs::read_to_string(place.path().join("store.db.2026-11-30T09-41-00")).unwrap(), "one");
        assert!(set_aside(&file, 0).is_err(), "what is not there");
        for name in ["store.db", "store.db-wal", "store.db.2026-11-30", "store.db.2026-13-30T09-41-00", "2026"] {
            assert!(!is_aside(name), "{name}");
        }
    }
}
