//! The store's schema and its migrations, each in one transaction.

use rusqlite::Connection;

use super::{StoreError, words};

/// Every migration, oldest first; `user_version` counts those applied.
const MIGRATIONS: &[&str] = &[include_str!("first.sql")];

/// `SBR1`: a store whose migrations are counted from [`MIGRATIONS`]. Development versions before it counted others, and had none.
const APPLICATION_ID: i64 = 0x5342_5231;

/// How many migrations a store has had, if this program can go on from there. Changes nothing.
pub(super) fn check(db: &Connection) -> Result<i64, StoreError> {
    let number = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let (application, applied) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if applied > 0 && application != APPLICATION_ID {
        return Err(StoreError::Development);
    }
    if applied > known {
        return Err(StoreError::Newer { found: applied, known });
    }
    Ok(applied)
}

/// Brings the store to the newest schema.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    words::register(db)?;
    let applied = check(db)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(usize::try_from(applied).unwrap_or(0)) {
        let transaction = db.transaction()?;
        transaction.execute_batch(migration)?;
        transaction
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}", index + 1))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing_and_a_newer_store_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        db.execute_batch("PRAGMA user_version = 999").unwrap();
        assert!(matches!(migrate(&mut db), Err(StoreError::Newer { found: 999, .. })));
    }

    #[test]
    fn a_store_of_a_development_version_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let key = [7; 32];
        let db = crate::store::open_raw(&path, &key, true).unwrap();
        db.execute_batch(
            "CREATE TABLE contact (account BLOB); INSERT INTO contact VALUES (x'01'); PRAGMA user_version = 5",
        )
        .unwrap();
        drop(db);
        let before = std::fs::read(&path).unwrap();
        let refused = crate::store::open(&path, &key, false).unwrap_err();
        assert!(matches!(refused, StoreError::Development), "{refused}");
        assert!(std::fs::read(&path).unwrap() == before);
        let error = crate::ApiError::from(refused);
        assert!(error.message.contains("development version"), "{error:?}");
        assert!(error.hint.unwrap().contains("subrosa export"));
    }
}
