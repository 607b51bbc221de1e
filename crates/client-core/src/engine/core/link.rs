//! How the connection to the own relay stands.

use std::time::Duration;

use tokio::time::Instant;

use super::copies::other_copy;
use crate::{
    api::{ApiError, Connection, ErrorKind},
    net::NetError,
};

/// Somebody who waits for a message has the next try made at once, but not sooner than this after the last: a script that
/// sends a thousand messages without a network must not make a thousand tries.
pub(crate) const HURRY_AFTER_MS: u64 = 2_000;

/// How the connection to the own relay stands.
#[derive(Debug, Clone)]
pub(crate) struct LinkState {
    pub(crate) connection: Connection,
    pub(crate) error: Option<ApiError>,
    /// Everything that waited when this connection began is committed.
    pub(crate) caught_up: bool,
    /// Attempts that failed since the start.
    pub(crate) failures: u64,
    /// From when on a person may have the next try made. `None`: it is not a pause, or the relay asked for it.
    pub(crate) hurry_from: Option<Instant>,
}

impl LinkState {
    /// Nothing was tried yet.
    pub(in crate::engine) const fn new() -> Self {
        Self { connection: Connection::Connecting, error: None, caught_up: false, failures: 0, hurry_from: None }
    }

    /// Before anything was tried.
    pub(crate) fn first(stands_still: bool) -> Self {
        let mut link = Self::new();
        if stands_still {
            link.other_copy();
        }
        link
    }

    /// A try has failed.
    pub(in crate::engine) fn failed(&mut self, error: &NetError, now: Instant) {
        self.connection = Connection::Offline;
        self.caught_up = false;
        self.failures += 1;
        self.error = Some(error.to_api());
        self.hurry_from = error.retry_after().is_none().then(|| now + Duration::from_millis(HURRY_AFTER_MS));
    }

    /// Another copy of the account was used.
    pub(in crate::engine) fn other_copy(&mut self) {
        self.connection = Connection::Displaced;
        self.caught_up = false;
        self.failures += 1;
        self.error = Some(other_copy());
        self.hurry_from = None;
    }

    /// Whether the next try may be made now because somebody waits for it.
    pub(crate) fn may_hurry(&self, now: Instant) -> bool {
        self.connection == Connection::Offline && self.hurry_from.is_some_and(|from| now >= from)
    }
}

/// What a device is told that was removed.
pub(in crate::engine) const REMOVED: &str = "this device was removed from its account: it sends and gets nothing any more. What is stored here can still be read";

/// Why nothing goes from a device that was removed.
pub(crate) fn removed() -> ApiError {
    ApiError::new(ErrorKind::Refused, REMOVED).hint(
        "to use this machine again, make a new directory and add it as a new device, on the account's first device",
    )
}

/// The link of a device that was removed. `failures`: so many attempts failed before.
pub(in crate::engine) fn removed_link(failures: u64) -> LinkState {
    LinkState {
        connection: Connection::Removed,
        error: Some(removed()),
        caught_up: false,
        // Whoever waits for the relay is not to wait any longer.
        failures: failures.saturating_add(1),
        hurry_from: None,
    }
}
