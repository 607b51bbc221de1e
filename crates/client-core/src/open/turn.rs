//! How long one process may hold an account without serving it, and what is said about it.

use std::time::{Duration, Instant};

use crate::api::{ApiError, EngineOwner, ErrorKind};

/// How long the same process has held the account without serving it. Owners that follow each other, because each is
/// short-lived or killed, are no stuck process: patience begins anew with each.
#[derive(Default)]
pub(super) struct Turn {
    owner: Option<EngineOwner>,
    pub(super) since: Option<Instant>,
}

impl Turn {
    pub(super) fn look(&mut self, owner: Option<&EngineOwner>, now: Instant) {
        // An owner that has not written itself down yet is no other one.
        let another = owner.is_some() && self.owner.as_ref() != owner;
        if another {
            self.owner = owner.cloned();
        }
        if another || self.since.is_none() {
            self.since = Some(now);
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

pub(super) fn busy(owner: Option<EngineOwner>, how: &str) -> ApiError {
    let (who, advice) = match owner {
        Some(EngineOwner { pid, kind }) => {
            (format!("`subrosa {kind}` (pid {pid})"), format!("wait for it to end, or end it: kill {pid}"))
        }
        None => ("another process".to_owned(), "wait for it to end".to_owned()),
    };
    ApiError::new(ErrorKind::AccountBusy, format!("the account is held by {who}, {how}")).hint(advice)
}
