//! The store's size: pages that are free go back to the file system.
//!
//! A store gives pages back only if it was made for it (`auto_vacuum`); one of a development version is rewritten once.

use super::{Db, PAGE_BYTES, StoreError, from_sql};
use crate::limits::SPARE_PAGES;

/// SQLite's number for a store that gives pages back when it is told to.
const INCREMENTAL: i64 = 2;

/// How much room a store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Bytes of it that hold nothing.
    pub(crate) free_bytes: u64,
    /// Whether it can give them back.
    pub(crate) gives_back: bool,
}

fn number(db: &Db, pragma: &str) -> Result<u64, StoreError> {
    Ok(from_sql(db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?))
}

/// How much room this store takes.
pub(crate) fn of(db: &Db) -> Result<Space, StoreError> {
    let page = PAGE_BYTES as u64;
    Ok(Space {
        bytes: number(db, "page_count")? * page,
        free_bytes: number(db, "freelist_count")? * page,
        gives_back: gives_back(db)?,
    })
}

fn gives_back(db: &Db) -> Result<bool, StoreError> {
    Ok(number(db, "auto_vacuum")? == from_sql(INCREMENTAL))
}

/// Before anything is in a new store: it is one that can give pages back.
pub(super) fn prepare(db: &Db) -> Result<(), StoreError> {
    Ok(db.pragma_update(None, "auto_vacuum", INCREMENTAL)?)
}

/// Gives back at most so many free pages, except [`SPARE_PAGES`]; how many. The file is shorter after the next checkpoint.
pub(crate) fn give_back(db: &Db, most: u32) -> Result<u64, StoreError> {
    let free = number(db, "freelist_count")?;
    let pages = free.saturating_sub(SPARE_PAGES).min(u64::from(most));
    if pages == 0 || !gives_back(db)? {
        return Ok(0);
    }
    // A page goes with each row.
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(free.saturating_sub(number(db, "freelist_count")?))
}

/// Rewrites a store that cannot give pages back, if it is not larger than `most` bytes; says whether it can now. Nobody else may
/// use it. If it fails (a full disk), the store is as it was.
pub(crate) fn convert(db: &Db, most: u64) -> Result<bool, StoreError> {
    if gives_back(db)? {
        return Ok(true);
    }
    if of(db)?.bytes > most {
        return Ok(false);
    }
    prepare(db)?;
    db.execute_batch("VACUUM")?;
    // The log holds the whole store again.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    gives_back(db)
}

/// Messages, and when the oldest was written (ours) or came.
pub(crate) fn messages(db: &Db) -> Result<(u64, Option<u64>), StoreError> {
    let sql = format!("SELECT count(*), min({}) FROM message", super::retention::AGE);
    Ok(db.query_row(&sql, [], |row| Ok((from_sql(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(from_sql))))?)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::store::{self, params};

    const KEY: [u8; 32] = [7; 32];

    fn fill(db: &Db, rows: u32) {
        for number in 0..rows {
            db.execute(
                "INSERT INTO base_key (hash, seen_ms) VALUES (?1, 1)",
                params![[&number.to_be_bytes()[..], &[3; 4_000]].concat()],
            )
            .unwrap();
        }
    }

    fn checkpoint(db: &Db) {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }

    fn bytes(path: &Path) -> u64 {
        fs::metadata(path).unwrap().len()
    }

    #[test]
    fn a_new_store_gives_back_what_is_free_a_portion_at_a_time_and_keeps_a_little() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let db = store::open(&path, &KEY, true).unwrap();
        fill(&db, 2_000);
        checkpoint(&db);
        let full = bytes(&path);
        assert_eq!(full, of(&db).unwrap().bytes);
        assert_eq!(give_back(&db, 100).unwrap(), 0, "nothing is free");
        db.execute("DELETE FROM base_key", []).unwrap();
        checkpoint(&db);
        assert_eq!(bytes(&path), full, "SQLite alone gives nothing back");
        assert_eq!(give_back(&db, 100).unwrap(), 100);
        while give_back(&db, 500).unwrap() > 0 {}
        checkpoint(&db);
        let left = of(&db).unwrap();
        assert_eq!(left.free_bytes, SPARE_PAGES * PAGE_BYTES as u64);
        assert!(left.gives_back && bytes(&path) == left.bytes && left.bytes < full / 2, "{full} {left:?}");
        assert_eq!(store::check(&db).unwrap(), None);
    }

    /// A store as development versions made it.
    fn of_before(path: &Path) {
        let db = store::open_raw(path, &KEY, true).unwrap();
        db.execute_batch("PRAGMA auto_vacuum = NONE; PRAGMA journal_mode = WAL; CREATE TABLE before_it (a)").unwrap();
        drop(db);
    }

    #[test]
    fn a_store_that_was_not_made_for_it_is_rewritten_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        of_before(&path);
        let db = store::open(&path, &KEY, false).unwrap();
        fill(&db, 500);
        let before = of(&db).unwrap();
        assert!(!before.gives_back);
        db.execute("DELETE FROM base_key WHERE hash < x'00000100'", []).unwrap();
        assert_eq!(give_back(&db, 100).unwrap(), 0);
        assert!(!convert(&db, before.bytes - 1).unwrap(), "too large");
        assert!(convert(&db, before.bytes).unwrap());
        let after = of(&db).unwrap();
        assert!(after.gives_back && after.bytes < before.bytes && after.free_bytes == 0, "{before:?} {after:?}");
        assert_eq!(bytes(&path), after.bytes);
        let left: i64 = db.query_row("SELECT count(*) FROM base_key", [], |row| row.get(0)).unwrap();
        assert_eq!((left, store::check(&db).unwrap()), (500 - 256, None));
        drop(db);
        // It is as encrypted as before, and stays what it is.
        assert!(!fs::read(&path).unwrap().windows(64).any(|window| window == [3; 64]));
        assert!(of(&store::open(&path, &KEY, false).unwrap()).unwrap().gives_back);
    }

    #[test]
    fn a_store_that_cannot_be_rewritten_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        of_before(&path);
        let db = store::open(&path, &KEY, false).unwrap();
        fill(&db, 300);
        let other = store::open(&path, &KEY, false).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        db.execute_batch("PRAGMA busy_timeout = 0").unwrap();
        convert(&db, u64::MAX).unwrap_err();
        other.execute_batch("ROLLBACK").unwrap();
        assert!(!gives_back(&db).unwrap());
        let left: i64 = db.query_row("SELECT count(*) FROM base_key", [], |row| row.get(0)).unwrap();
        assert_eq!((left, store::check(&db).unwrap()), (300, None));
        assert!(convert(&db, u64::MAX).unwrap());
    }
}
