//! A change of the database: applied in a transaction, perhaps more than once, and answered once.

use rusqlite::{Connection, ErrorCode};
use subrosa_wire::submit::Refusal;
use tokio::sync::oneshot;

use crate::backend::StoreError;

/// What an operation may fail with inside the transaction.
#[derive(Debug)]
pub(in crate::backend::embedded) enum OpError {
    /// The rules say no.
    Refused(Refusal),
    /// The database says no.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for OpError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Refusal> for OpError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What becomes of an operation's savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Keep,
    /// Refused half way: what it changed is undone.
    Undo,
}

/// A queued change. It may be applied more than once (after a failed commit), but is answered once.
pub(super) trait Operation: Send {
    fn apply(&mut self, db: &Connection) -> Result<Applied, rusqlite::Error>;
    /// `failure`: the transaction did not become durable.
    fn answer(self: Box<Self>, failure: Option<&StoreError>);
    fn is_submission(&self) -> bool;
}

pub(super) struct Change<T, F> {
    pub(super) change: F,
    pub(super) result: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
    pub(super) kind: Kind,
}

/// Whether an operation stores mail, which a disk that is nearly full does not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::embedded) enum Kind {
    Submission,
    Other,
}

impl<T, F> Operation for Change<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, OpError> + Send,
{
    fn apply(&mut self, db: &Connection) -> Result<Applied, rusqlite::Error> {
        match (self.change)(db) {
            Ok(value) => {
                self.result = Some(Ok(value));
                Ok(Applied::Keep)
            }
            Err(OpError::Refused(refusal)) => {
                self.result = Some(Err(refusal.into()));
                Ok(Applied::Undo)
            }
            Err(OpError::Sql(error)) => {
                self.result = Some(Err(unavailable(&error)));
                Err(error)
            }
        }
    }

    fn answer(self: Box<Self>, failure: Option<&StoreError>) {
        let missing = || Err(StoreError::Unavailable("the operation was not applied".to_owned()));
        let result = match failure {
            Some(failure) => Err(failure.clone()),
            None => self.result.unwrap_or_else(missing),
        };
        // Nobody may be waiting any more; the change stands or falls without them.
        let _ = self.reply.send(result);
    }

    fn is_submission(&self) -> bool {
        self.kind == Kind::Submission
    }
}

pub(super) fn unavailable(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Whether the database itself is broken, so that going on could only make it worse.
pub(super) fn is_fatal(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
