//! How far a message got: the table of allowed transitions.
//!
//! Status never moves by comparing numbers. What is not in the table does not happen; above all,
//! nothing comes back from `read`, and a failure is never painted over except by proof of arrival.

use crate::{
    api::MessageStatus::{self, Delivered, Expired, Failed, Queued, Read, Sent},
    content::Withholds,
};

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

/// How far a message got with one of its receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) status: MessageStatus,
    /// Full, idle, or behind a silent relay: the others do not wait for them.
    pub(crate) unreached: bool,
    /// Receipts that they do not send: nobody waits for those.
    pub(crate) withholds: Withholds,
}

/// How far a message got altogether: as far as with everybody who can be reached. It fails only if it failed with all; what nobody
/// else is to get is read.
pub(crate) fn overall(receivers: &[Reached]) -> MessageStatus {
    let any = |status| receivers.iter().any(|one| one.status == status);
    if receivers.iter().any(|one| one.status == Queued && !one.unreached) {
        return Queued;
    }
    if receivers.is_empty() {
        return Read;
    }
    if ![Sent, Delivered, Read].into_iter().any(any) {
        return [Queued, Expired].into_iter().find(|status| any(*status)).unwrap_or(Failed);
    }
    // Whoever got it and says that they will not tell more is not waited for, but counts once they do.
    let all = |wanted, silent: fn(&Withholds) -> bool| {
        let mut counted = receivers.iter().filter(|one| reached(one.status, Sent)).peekable();
        let told = |one: &&Reached| reached(one.status, wanted);
        counted.clone().any(|one| told(&one)) && counted.all(|one| told(&one) || silent(&one.withholds))
    };
    if all(Read, |withholds| withholds.read) {
        Read
    } else if all(Delivered, |withholds| withholds.delivered) {
        Delivered
    } else {
        Sent
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
    fn a_message_got_as_far_as_with_everybody_who_can_be_reached() {
        let tells = Withholds::default();
        let one = |status| Reached { status, unreached: false, withholds: tells };
        let away = |status| Reached { unreached: true, ..one(status) };
        let quiet = |status| Reached { withholds: Withholds { delivered: true, read: true }, ..one(status) };
        let of = |receivers: &[Reached]| overall(receivers);
        assert_eq!(of(&[]), Read, "a note");
        for status in ALL {
            assert_eq!(of(&[one(status)]), status, "one receiver");
        }
        assert_eq!(of(&[one(Sent), one(Queued)]), Queued);
        assert_eq!(of(&[one(Sent), away(Queued)]), Sent);
        assert_eq!(of(&[away(Queued), away(Queued)]), Queued, "nobody has it");
        assert_eq!(of(&[one(Read), one(Delivered)]), Delivered);
        assert_eq!(of(&[one(Read), one(Sent)]), Sent);
        assert_eq!(of(&[one(Read), quiet(Sent)]), Read);
        assert_eq!(of(&[quiet(Sent)]), Sent, "nobody says that it was read");
        assert_eq!(of(&[quiet(Delivered), one(Delivered)]), Delivered);
        assert_eq!(of(&[one(Failed), one(Read)]), Read, "refused by one, read by all others");
        assert_eq!(of(&[one(Failed), one(Failed)]), Failed);
        assert_eq!(of(&[one(Failed), one(Expired)]), Expired);
        assert_eq!(of(&[one(Failed), away(Queued)]), Queued);
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
