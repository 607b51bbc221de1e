//! What tells two live copies of this device apart: the marks of logins, and whether another copy was used.

use subrosa_wire::{limits::MAX_SHOWN_MARKS, mailbox::LoginMarks};

use super::{Db, StoreError, params};

/// Bytes of a mark.
const MARK: usize = 16;

/// What the next login shows and leaves. `fresh` becomes its mark, unless so many are unanswered that the last one has to do again.
pub(crate) fn next_login(db: &Db, fresh: [u8; MARK]) -> Result<LoginMarks, StoreError> {
    let (bytes, take_over): (Vec<u8>, bool) =
        db.query_row("SELECT login_marks, take_over FROM account", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (marks, rest) = bytes.as_chunks::<MARK>();
    if !rest.is_empty() || marks.len() > MAX_SHOWN_MARKS {
        return Err(StoreError::Damaged("account row"));
    }
    let shown = marks.to_vec();
    let mark = match marks.last() {
        Some(last) if marks.len() == MAX_SHOWN_MARKS => *last,
        _ => {
            db.execute("UPDATE account SET login_marks = ?1", params![[&bytes[..], &fresh].concat()])?;
            fresh
        }
    };
    Ok(LoginMarks { mark, shown, take_over })
}

/// The relay keeps this one now: no other need be shown.
pub(crate) fn confirm(db: &Db, mark: &[u8; MARK]) -> Result<(), StoreError> {
    db.execute("UPDATE account SET login_marks = ?1, take_over = 0", params![mark])?;
    Ok(())
}

/// Whether another copy was used, and nobody has chosen this one.
pub(crate) fn other_copy(db: &Db) -> Result<bool, StoreError> {
    Ok(db.query_row("SELECT other_copy FROM account", [], |row| row.get(0))?)
}

/// Another copy was used.
pub(crate) fn set_other_copy(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE account SET other_copy = 1", [])?;
    Ok(())
}

/// This is the copy that goes on, whichever logged in last.
pub(crate) fn choose(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE account SET other_copy = 0, take_over = 1, login_marks = x''", [])?;
    Ok(())
}
