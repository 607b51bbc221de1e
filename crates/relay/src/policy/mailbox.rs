//! Whose copy of a device may log in, and how far it may acknowledge.

use subrosa_wire::{DeviceAddress, ErrorCode, Seq, mailbox::LoginMarks, submit::Refusal};

use sha2::{Digest as _, Sha256};

/// A login of a device that has proven who it is.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// Whose.
    pub(crate) device: DeviceAddress,
    /// SHA-256 of the marks it shows.
    pub(crate) shown: Vec<[u8; 32]>,
    /// SHA-256 of the mark it leaves.
    pub(crate) mark: [u8; 32],
    /// A person chose this copy.
    pub(crate) take_over: bool,
}

impl Login {
    /// Only hashes go on from here.
    pub(crate) fn new(device: DeviceAddress, marks: &LoginMarks) -> Self {
        let hash = |mark: &[u8; 16]| Sha256::digest(mark).into();
        Self {
            device,
            shown: marks.shown.iter().map(hash).collect(),
            mark: hash(&marks.mark),
            take_over: marks.take_over,
        }
    }
}

/// Whether a copy of a device is let in. One without a mark (new here, or the relay was restored from a backup) takes any login.
///
/// # Errors
/// Another copy was let in since this one.
pub(crate) fn judge_login(mark: Option<&[u8; 32]>, login: &Login) -> Result<(), Refusal> {
    if mark.is_some_and(|mark| !login.take_over && !login.shown.contains(mark)) {
        return Err(Refusal::never(ErrorCode::OtherCopy));
    }
    Ok(())
}

/// How far a mailbox is acknowledged now, if that changes: never beyond what was ever given out, never backwards.
#[must_use]
pub(crate) fn judge_ack(acked: Seq, last_seq: Seq, upto: Seq) -> Option<Seq> {
    Some(upto.min(last_seq)).filter(|upto| *upto > acked)
}
