//! How far a message got: the table of allowed transitions.
//!
//! Status never moves by comparing numbers. What is not in the table does not happen; above all,
//! nothing comes back from `read`, and a failure is never painted over except by proof of arrival.

use crate::api::MessageStatus::{self, Delivered, Expired, Failed, Queued, Read, Sent};

/// Every allowed move.
const ALLOWED: &[(MessageStatus, MessageStatus)] = &[
    (Queued, Sent),
    // A receipt may overtake the relay's reply.
    (Queued, Delivered),
    (Queued, Read),
    (Queued, Failed),
    (Queued, Expired),
    (Sent, Delivered),
    (Sent, Read),
    (Sent, Expired),
    (Delivered, Read),
    // Proof of arrival beats what we believed.
    (Failed, Delivered),
    (Failed, Read),
    (Expired, Delivered),
    (Expired, Read),
];

/// Whether a message may move from one status to another.
pub(crate) fn allowed(from: MessageStatus, to: MessageStatus) -> bool {
    ALLOWED.contains(&(from, to))
}

/// Whether `status` is at least as far as `wanted` (`sent`, `delivered` or `read`).
pub(crate) fn reached(status: MessageStatus, wanted: MessageStatus) -> bool {
    match wanted {
        Sent => matches!(status, Sent | Delivered | Read),
        Delivered => matches!(status, Delivered | Read),
        Read => status == Read,
        other => status == other,
    }
}

/// The number a status has in the store.
pub(crate) const fn number(status: MessageStatus) -> u32 {
    match status {
        Queued => 1,
        Sent => 2,
        Delivered => 3,
        Read => 4,
        Failed => 5,
        Expired => 6,
    }
}

/// See [`number`].
pub(crate) const fn from_number(number: u32) -> Option<MessageStatus> {
    Some(match number {
        1 => Queued,
        2 => Sent,
        3 => Delivered,
        4 => Read,
        5 => Failed,
        6 => Expired,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [MessageStatus; 6] = [Queued, Sent, Delivered, Read, Failed, Expired];

    #[test]
    fn nothing_comes_back_from_read_and_nothing_moves_to_itself() {
        for status in ALL {
            assert!(!allowed(Read, status));
            assert!(!allowed(status, status));
            assert!(!allowed(status, Queued));
        }
    }

    #[test]
    fn a_failure_is_only_corrected_by_proof_of_arrival() {
        for failed in [Failed, Expired] {
            let ways: Vec<_> = ALL.into_iter().filter(|to| allowed(failed, *to)).collect();
            assert_eq!(ways, [Delivered, Read]);
        }
    }

    #[test]
    fn numbers_round_trip() {
        for status in ALL {
            assert_eq!(from_number(number(status)), Some(status));
        }
        assert_eq!(from_number(0), None);
    }

    #[test]
    fn reaching_is_not_moving() {
        assert!(reached(Read, Sent) && reached(Delivered, Sent) && reached(Sent, Sent));
        assert!(!reached(Queued, Sent) && !reached(Failed, Sent) && !reached(Sent, Delivered));
    }
}
