//! Contents of types that this program does not know and that are not shown: kept as they came, for a newer program.

use subrosa_wire::{AccountId, DeviceAddress};

use super::{Db, StoreError, array, from_sql, params, to_sql};
use crate::limits::MAX_KEPT_CONTENTS;

/// One of them.
pub(crate) struct KeptRow {
    pub(crate) id: i64,
    pub(crate) sender: DeviceAddress,
    pub(crate) content: Vec<u8>,
    /// When the relay got it.
    pub(crate) received_ms: u64,
}

/// Keeps one; of this sender's, the oldest makes room.
pub(crate) fn put(db: &Db, sender: &DeviceAddress, content: &[u8], received_ms: u64) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO kept_content (account, device, content, received_ms) VALUES (?1, ?2, ?3, ?4)",
        params![sender.account.0, sender.device, content, to_sql(received_ms)],
    )?;
    db.execute(
        "DELETE FROM kept_content WHERE account = ?1 AND id NOT IN
             (SELECT id FROM kept_content WHERE account = ?1 ORDER BY id DESC LIMIT ?2)",
        params![sender.account.0, MAX_KEPT_CONTENTS],
    )?;
    Ok(())
}

/// All of them, oldest first.
pub(crate) fn all(db: &Db) -> Result<Vec<KeptRow>, StoreError> {
    db.prepare("SELECT id, account, device, content, received_ms FROM kept_content ORDER BY id")?
        .query_and_then([], |row| {
            let account = AccountId(array(&row.get::<_, Vec<u8>>(1)?, "kept content")?);
            Ok(KeptRow {
                id: row.get(0)?,
                sender: DeviceAddress { account, device: row.get(2)? },
                content: row.get(3)?,
                received_ms: from_sql(row.get(4)?),
            })
        })?
        .collect()
}

/// It has been read.
pub(crate) fn delete(db: &Db, id: i64) -> Result<(), StoreError> {
    db.execute("DELETE FROM kept_content WHERE id = ?1", params![id])?;
    Ok(())
}
