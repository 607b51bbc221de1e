//! Version negotiation: the client offers, the relay picks the highest both speak.

use crate::{WireError, limits::VERSIONS};

/// Offers of one `Hello`: more than a handful is not a client of ours.
const MAX_OFFERED: usize = 16;

/// Picks the highest version in both lists; `None` when there is none.
#[must_use]
pub fn negotiate(offered: &[u32]) -> Option<u32> {
    VERSIONS.iter().copied().find(|version| offered.contains(version))
}

/// The offered versions of a `Hello`.
///
/// # Errors
/// An empty or an absurdly long list.
pub(crate) fn check_offer(offered: Vec<u32>) -> Result<Vec<u32>, WireError> {
    if offered.is_empty() {
        return Err(WireError::Missing("versions"));
    }
    if offered.len() > MAX_OFFERED {
        return Err(WireError::TooMany { field: "versions", limit: MAX_OFFERED });
    }
    Ok(offered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_wins() {
        assert_eq!(negotiate(&[1]), Some(1));
        assert_eq!(negotiate(&[7, 1, 3]), Some(1));
        assert_eq!(negotiate(&[2, 3]), None);
        assert_eq!(negotiate(&[]), None);
    }
}
