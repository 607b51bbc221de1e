//! The demo's temporary directory: removed at the end, or by the next demo if this one is killed.
//!
//! A living demo holds a lock on a file in its directory. Locks end with their process, however it ends; so a directory
//! whose lock is free belongs to a dead demo.

use std::{
    fs::{File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use tempfile::TempDir;

/// Directories of demos begin with it; the process id follows.
const PREFIX: &str = "subrosa-demo-";

const LOCK_FILE: &str = "demo.lock";

/// A directory without a lock file is left alone for so long: it may be one that is being set up.
const SETTLING: Duration = Duration::from_secs(60);

/// A directory for one demo.
pub(super) struct Directory {
    place: TempDir,
    /// Held until the directory is removed.
    _lock: File,
}

impl Directory {
    /// Makes one under the system's directory for temporary files, after removing those of dead demos.
    pub(super) fn create() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let place = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)?;
        // Locked before it has its name: a sweeper never sees a free lock of a living demo.
        let unnamed = place.path().join("new.lock");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        std::fs::rename(&unnamed, place.path().join(LOCK_FILE))?;
        Ok(Self { place, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Removes it, and says so if that fails; dropping it only tries.
    pub(super) fn remove(self) -> io::Result<()> {
        self.place.close()
    }
}

/// Removes what dead demos of this user left. What cannot be removed stays: a demo does not fail for it.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_dead(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_dead(directory: &Path) -> bool {
    // Not through a symbolic link: others may write into the directory for temporary files.
    let Ok(metadata) = std::fs::symlink_metadata(directory) else { return false };
    let own = std::fs::metadata("/proc/self").map(|process| process.uid());
    if !metadata.is_dir() || own.is_ok_and(|own| own != metadata.uid()) {
        return false;
    }
    match File::open(directory.join(LOCK_FILE)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
            age.is_some_and(|age| age > SETTLING)
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_directories_of_dead_demos_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, lock: bool| {
            let path = parent.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("store.db"), "x").unwrap();
            lock.then(|| File::create(path.join(LOCK_FILE)).unwrap())
        };
        let living = make("subrosa-demo-1-a", true).unwrap();
        living.lock().unwrap();
        drop(make("subrosa-demo-2-b", true));
        make("subrosa-demo-3-new", false);
        make("subrosa-demo-4-old", false);
        File::open(parent.path().join("subrosa-demo-4-old"))
            .unwrap()
            .set_modified(SystemTime::now() - 2 * SETTLING)
            .unwrap();
        make("other", false);
        let precious = tempfile::tempdir().unwrap();
        File::create(precious.path().join(LOCK_FILE)).unwrap();
        std::os::unix::fs::symlink(precious.path(), parent.path().join("subrosa-demo-5-link")).unwrap();

        sweep(parent.path());
        let mut left: Vec<_> = std::fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["other", "subrosa-demo-1-a", "subrosa-demo-3-new", "subrosa-demo-5-link"]);
        assert!(precious.path().join(LOCK_FILE).exists());
    }
}
