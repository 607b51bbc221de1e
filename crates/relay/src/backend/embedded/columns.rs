//! Columns that several tables have.

use subrosa_wire::AccountId;

/// Reads an account id.
pub(super) fn account_id(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<AccountId> {
    row.get::<_, [u8; 32]>(column).map(AccountId)
}
