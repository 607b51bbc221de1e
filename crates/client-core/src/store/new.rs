//! A store that is being made or restored: under another name, so that what is called `store.db` is always a whole store.

use std::path::Path;

use super::log;
use crate::{
    api::ApiError,
    files::storage_error,
    new_file::{Partial, beside},
};

/// What it is called until then: the store's name and this.
const SUFFIX: &str = "partial-new";

/// What SQLite puts beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A store that has no name yet; removed when dropped.
#[derive(Debug)]
pub(crate) struct NewStore<'a> {
    name: &'a Path,
    partial: Partial,
}

impl<'a> NewStore<'a> {
    /// Begins one that will be `name`. What a killed command left of another one was never anybody's store.
    pub(crate) fn begin(name: &'a Path) -> Result<Self, ApiError> {
        let new = Self { name, partial: Partial::create(beside(name, SUFFIX))? };
        new.remove_companions();
        Ok(new)
    }

    /// Where it is to be written.
    pub(crate) fn path(&self) -> &Path {
        &self.partial.path
    }

    /// Gives it its name, once it is closed and on disk. Nothing is ever replaced.
    pub(crate) fn publish(self) -> Result<(), ApiError> {
        // Closing folds the log in and removes it, unless the disk did not let it.
        if std::fs::metadata(log::path(self.path())).is_ok_and(|log| log.len() > 0) {
            return Err(storage_error("finish", self.name, &std::io::Error::other("its log could not be folded in"))
                .hint("is the disk full? see: df -h"));
        }
        self.partial.publish(self.name, false)
    }

    fn remove_companions(&self) {
        for suffix in COMPANIONS {
            // Mostly there is none.
            let _ = std::fs::remove_file(crate::files::beside(self.path(), suffix));
        }
    }
}

impl Drop for NewStore<'_> {
    fn drop(&mut self) {
        self.remove_companions();
    }
}
