//! Nothing of this process's memory reaches the disk or another process of the user: no core file, no debugger.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Call it before any secret is read. What a system does not offer is left as it is.
pub(crate) fn forbid_core_files() {
    // Only the soft limit: programs that we start may raise it again for themselves.
    let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    let limited = setrlimit(Resource::Core, limit);
    // A core that is piped to a program knows no limit; this forbids that, too, and reading /proc/PID/mem and environ.
    #[cfg(target_os = "linux")]
    let limited = limited.and(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if let Err(error) = limited {
        tracing::warn!(%error, "core files could not be forbidden");
    }
}
