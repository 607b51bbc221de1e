//! A step of a session: the only way from a session to a ciphertext or plaintext.

use crate::session::SerializedSession;
use crate::session::Session;

/// A new session state together with what it produced. Neither can be used before the state is
/// stored: [`Step::commit`] is the only way to both.
///
/// A step that is dropped, or whose storing fails, leaves the session as it was. For a
/// ciphertext nothing left the process; the next encryption uses the same message key with
/// another salt, so no AEAD key and nonce is ever used twice.
#[must_use = "a step that is not committed changes nothing"]
pub struct Step<T> {
    session: Session,
    output: T,
}

impl<T> core::fmt::Debug for Step<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Step").finish_non_exhaustive()
    }
}

impl<T> Step<T> {
    pub(crate) fn new(session: Session, output: T) -> Self {
        Self { session, output }
    }

    /// Stores the new state with `persist`, and releases the new session and the output only if
    /// that succeeded. `persist` may write into an open transaction, if the output leaves the
    /// process only after that transaction is durable.
    ///
    /// # Errors
    /// Whatever `persist` returns; then the old session is still the current one.
    pub fn commit<E>(self, persist: impl FnOnce(&SerializedSession) -> Result<(), E>) -> Result<(Session, T), E> {
        persist(&self.session.serialize())?;
        Ok((self.session, self.output))
    }
}
