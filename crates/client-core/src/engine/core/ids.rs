//! Random ids, and those that callers write.

use subrosa_wire::MessageId;

use crate::api::{ApiError, ErrorKind};

/// 16 random bytes from the operating system.
pub(crate) fn random_id() -> Result<[u8; 16], ApiError> {
    let mut id = [0; 16];
    subrosa_ambient::fill(&mut id).map_err(|error| {
        ApiError::new(ErrorKind::Failed, format!("no randomness from the operating system: {error}"))
    })?;
    Ok(id)
}

/// A random number of a range, from the operating system. Uniform up to 1 in 2^64.
pub(crate) fn random_within(range: &std::ops::RangeInclusive<u64>) -> Result<u64, ApiError> {
    let (start, span) = (*range.start(), u128::from(range.end().saturating_sub(*range.start())) + 1);
    let offset = ((u128::from_be_bytes(random_id()?) >> 64) * span) >> 64;
    Ok(start.saturating_add(u64::try_from(offset).unwrap_or(0)))
}

/// Reads a message id made by a caller.
pub(crate) fn parse_id(text: &str) -> Result<MessageId, ApiError> {
    text.parse().map_err(|_| {
        ApiError::new(ErrorKind::Usage, format!("{text:?} is no message id")).hint("an id has 32 hexadecimal digits")
    })
}
