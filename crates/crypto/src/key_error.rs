//! Why a public key is refused, on either form of the curve.

/// A public key that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the canonical encoding of a point on the curve.
    #[error("the public key is not the canonical encoding of a point")]
    NotCanonical,
    /// A point of small order: everybody could sign for it or know what is agreed with it.
    #[error("the public key has a small order")]
    SmallOrder,
}
