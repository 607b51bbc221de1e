//! The stored form of a chain. It never leaves the client's encrypted store.

use zeroize::Zeroizing;

use crate::redacted::redacted_debug;

/// A [`crate::SendingChain`] or [`crate::MemberChain`] as bytes. Wiped when dropped.
pub struct SerializedChain(Zeroizing<Vec<u8>>);

redacted_debug!(SerializedChain);

impl SerializedChain {
    /// The bytes, to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The concatenation of `parts`, `len` bytes in all.
    pub(crate) fn of<'a>(len: usize, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        // Exact capacity: growing would leave a copy of the secrets behind.
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        for part in parts {
            out.extend_from_slice(part);
        }
        debug_assert_eq!(out.len(), len);
        Self(out)
    }
}
