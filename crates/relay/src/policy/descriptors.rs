//! File descriptors: as many as the system allows, and never more connections than that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not connections: database and log on several threads, event queues, standard
/// streams, listeners, the operator's socket.
const RESERVED: u64 = 64;

/// Raises this process' soft limit to its hard limit and logs what that is.
pub(crate) fn raise() {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    match getrlimit(Resource::Nofile).current {
        Some(files) => tracing::info!(files, "limit of open files"),
        None => tracing::info!("open files are not limited"),
    }
}

/// How many of `wanted` connections there are descriptors for.
pub(crate) fn connections(wanted: usize) -> usize {
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let possible = usize::try_from(room(files)).unwrap_or(usize::MAX);
    if possible < wanted {
        tracing::info!(connections = possible, wanted, "fewer connections: the limit of open files is lower");
    }
    wanted.min(possible)
}

/// A very low limit is shared, so that a relay on it serves somebody at least.
fn room(files: u64) -> u64 {
    files.saturating_sub(RESERVED).max(files / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_database() {
        assert_eq!(room(20_000), 20_000 - RESERVED);
        assert_eq!(room(64), 16);
        assert_eq!(room(1), 1);
    }
}
