//! A step of a session or chain: the only way from its state to a ciphertext or plaintext.

use crate::session::{SerializedSession, Session};

/// Keeps [`StoredState`] to the types of this crate.
mod sealed {
    pub trait Sealed {}
}

pub(crate) use sealed::Sealed;

/// A state that a [`Step`] leads to: of a session ([`Session`]) or of a chain of a group ([`crate::SendingChain`],
/// [`crate::MemberChain`]). Nobody else's type can be one.
pub trait StoredState: Sealed {
    /// Its stored form.
    type Serialized;

    /// The state, for the client's store.
    fn to_store(&self) -> Self::Serialized;
}

impl Sealed for Session {}

impl StoredState for Session {
    type Serialized = SerializedSession;

    fn to_store(&self) -> SerializedSession {
        self.serialize()
    }
}

/// A new state together with what it produced. Neither can be used before the state is stored: [`Step::commit`] is
/// the only way to both.
///
/// A step that is dropped, or whose storing fails, leaves the session or chain as it was. For a ciphertext nothing
/// left the process; the next encryption uses the same message key with another salt, so no AEAD key and nonce is
/// ever used twice.
#[must_use = "a step that is not committed changes nothing"]
pub struct Step<T, S: StoredState = Session> {
    state: S,
    output: T,
}

impl<T, S: StoredState> core::fmt::Debug for Step<T, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Step").finish_non_exhaustive()
    }
}

impl<T, S: StoredState> Step<T, S> {
    pub(crate) fn new(state: S, output: T) -> Self {
        Self { state, output }
    }

    /// Stores the new state with `persist`, and releases it and the output only if that succeeded. `persist` may
    /// write into an open transaction, if the output leaves the process only after that transaction is durable.
    ///
    /// # Errors
    /// Whatever `persist` returns; then the old state is still the current one.
    pub fn commit<E>(self, persist: impl FnOnce(&S::Serialized) -> Result<(), E>) -> Result<(S, T), E> {
        persist(&self.state.to_store())?;
        Ok((self.state, self.output))
    }
}
