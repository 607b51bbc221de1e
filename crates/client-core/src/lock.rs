//! The account's lock: who holds it runs the engine, everybody else is its client.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use crate::{
    api::{ApiError, EngineOwner},
    files::{open_private, storage_error},
    home::Home,
};

/// How long an account may be held by a process that does not serve it before that is an error.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The lock file holds one short line of JSON; more is not ours.
const MAX_OWNER_BYTES: u64 = 1024;

/// The account's lock, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct EngineLock {
    /// The operating system's lock lives as long as this file is open.
    _file: File,
    owner: EngineOwner,
}

/// What became of trying to take the lock.
#[derive(Debug)]
pub enum LockAttempt {
    /// It is ours.
    Held(EngineLock),
    /// Somebody else has it; who, if they have written it yet.
    Taken(Option<EngineOwner>),
}

impl EngineLock {
    /// Tries to take the lock of an account without waiting, as a process of this kind (`listen`, `send`, …).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Storage`] when the lock file cannot be opened, locked or written.
    pub fn attempt(home: &Home, kind: &str) -> Result<LockAttempt, ApiError> {
        let path = home.engine_lock();
        let mut file = open_private(&path).map_err(|error| storage_error("open", &path, &error))?;
        match file.try_lock() {
            // Whoever removed the account, or gave it another name, took the file away between opening and locking it: a lock on
            // what nobody else finds keeps nobody out.
            Ok(()) if !is_at(&file, &path) => Ok(LockAttempt::Taken(None)),
            Ok(()) => {
                let owner = EngineOwner { pid: std::process::id(), kind: kind.to_owned() };
                write_owner(&mut file, &owner).map_err(|error| storage_error("write", &path, &error))?;
                Ok(LockAttempt::Held(Self { _file: file, owner }))
            }
            Err(std::fs::TryLockError::WouldBlock) => Ok(LockAttempt::Taken(read_owner(&path))),
            Err(std::fs::TryLockError::Error(error)) => Err(storage_error("lock", &path, &error)),
        }
    }

    /// Us, as others read it.
    #[must_use]
    pub const fn owner(&self) -> &EngineOwner {
        &self.owner
    }
}

/// Who holds an account's lock now, if anybody does.
#[must_use]
pub fn holder(home: &Home) -> Option<EngineOwner> {
    let path = home.engine_lock();
    match File::open(&path).ok()?.try_lock_shared() {
        Err(std::fs::TryLockError::WouldBlock) => read_owner(&path),
        _ => None,
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |held: std::fs::Metadata, found: std::fs::Metadata| (held.dev(), held.ino()) == (found.dev(), found.ino());
    file.metadata().and_then(|held| Ok(same(held, std::fs::metadata(path)?))).unwrap_or(false)
}

fn write_owner(file: &mut File, owner: &EngineOwner) -> std::io::Result<()> {
    let line = serde_json::to_vec(owner)?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&line)
}

/// Who wrote the lock file last; nobody, if it is not readable as that.
fn read_owner(path: &Path) -> Option<EngineOwner> {
    let mut content = Vec::new();
    File::open(path).ok()?.take(MAX_OWNER_BYTES).read_to_end(&mut content).ok()?;
    serde_json::from_slice(&content).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(home: &Home, kind: &str) -> LockAttempt {
        EngineLock::attempt(home, kind).unwrap()
    }

    #[test]
    fn one_holds_it_and_the_others_learn_who() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        let LockAttempt::Held(lock) = attempt(&home, "listen") else { panic!("the lock was free") };
        assert_eq!(lock.owner().kind, "listen");
        let LockAttempt::Taken(Some(owner)) = attempt(&home, "send") else { panic!("the lock was taken") };
        assert_eq!(owner, EngineOwner { pid: std::process::id(), kind: "listen".to_owned() });
        drop(lock);
        let LockAttempt::Held(lock) = attempt(&home, "tui") else { panic!("the lock was given back") };
        assert_eq!(lock.owner().kind, "tui");
        let LockAttempt::Taken(Some(owner)) = attempt(&home, "send") else { panic!("the lock was taken") };
        assert_eq!(owner.kind, "tui", "no rest of the longer line before");
    }

    #[test]
    fn a_lock_file_with_anything_in_it_can_be_taken_and_is_no_owner() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        std::fs::write(home.engine_lock(), vec![b'{'; 100_000]).unwrap();
        assert_eq!(read_owner(&home.engine_lock()), None);
        assert!(matches!(attempt(&home, "send"), LockAttempt::Held(_)));
        assert_eq!(read_owner(&home.engine_lock()).unwrap().kind, "send");
    }

    #[test]
    fn a_lock_on_a_file_that_was_taken_away_is_none() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        let file = open_private(&home.engine_lock()).unwrap();
        assert!(is_at(&file, &home.engine_lock()));
        std::fs::rename(home.engine_lock(), place.path().join("moved")).unwrap();
        assert!(!is_at(&file, &home.engine_lock()));
        std::fs::write(home.engine_lock(), "").unwrap();
        assert!(!is_at(&file, &home.engine_lock()));
    }

    #[test]
    fn a_missing_directory_is_an_error_with_its_name() {
        let place = tempfile::tempdir().unwrap();
        let error = EngineLock::attempt(&Home::at(place.path().join("gone")), "send").unwrap_err();
        assert!(error.message.contains("gone"), "{error}");
    }
}
