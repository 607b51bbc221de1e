//! JSON-RPC 2.0 over sockets and streams, one message a line, methods and types those of [`crate::Client`].
//!
//! [`protocol`] knows what a request is, [`connection`] serves one stream of them, [`server`] the sockets; [`client`] makes
//! a [`crate::Client`] of a connection. Anything that can write a line to a unix socket can drive an account this way.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::home::Home;

mod client;
mod connection;
mod line;
mod protocol;
mod server;
mod token;

pub use client::SocketCaller;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use client::parse_answer;
pub use connection::serve_stream;
pub use protocol::{answer_message, error_code};
pub use server::{bind, bind_at, serve};
pub use token::HttpToken;

/// Begins to send events on this connection.
pub const SUBSCRIBE: &str = "events.subscribe";

/// Ends that.
pub const UNSUBSCRIBE: &str = "events.unsubscribe";

/// The notification that carries an event.
pub const EVENT: &str = "event";

/// The notification that a subscription has ended.
pub const ENDED: &str = "events.ended";

/// Answered by the connection itself, without the engine: who is alive answers. (The specification keeps names that begin
/// with `rpc.` for such extensions.)
pub const PING: &str = "rpc.ping";

/// Longest request: the longest text with every byte escaped (`\u0000`), and room for the other fields.
pub const MAX_REQUEST_BYTES: usize = crate::limits::MAX_TEXT_BYTES * 6 + 16 * 1024;

/// Longest answer a client believes: the longest page of history with every byte escaped. It only stops a confused peer
/// from filling the memory: the engine runs as the same user.
pub const MAX_ANSWER_BYTES: usize = crate::limits::MAX_HISTORY_PAGE as usize * MAX_REQUEST_BYTES;

/// Connections at once: more processes of one person than this are a runaway script.
pub const MAX_CONNECTIONS: usize = 128;

/// Calls a connection may have open. At the bound its next line is read when one is answered: the writer waits, nothing is lost.
pub const MAX_IN_FLIGHT: usize = 256;

/// Answers waiting for a connection's writer; with [`WRITE_TIMEOUT`] the bound on what a reader that stopped can hold.
const ANSWER_QUEUE: usize = 16;

/// A client that takes nothing for so long is gone or stuck; its connection is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that closed its writing side (`printf … | nc -N`) still gets what it asked for, but a call that waits longer
/// than this is given up: it cannot be told from a client that went away.
const HALF_CLOSED_LINGER: Duration = Duration::from_secs(30);

/// Requests in one batch: as many as a connection may have open.
pub const MAX_BATCH: usize = MAX_IN_FLIGHT;

/// A name for the socket that fits the system's bound (about 107 bytes), however deep the directory is.
///
/// On Linux a long path is reached through the opened directory: `/proc/self/fd/N/engine.sock`.
struct SocketPath {
    path: PathBuf,
    /// Keeps the descriptor in `path` valid.
    _directory: Option<File>,
}

/// Longest path every unix takes: `sun_path` has 104 bytes on macOS and the BSDs, 108 on Linux, one is the end mark.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

impl SocketPath {
    fn of(home: &Home) -> io::Result<Self> {
        let path = home.engine_socket();
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(Self { path, _directory: None });
        }
        Self::through_descriptor(home, &path)
    }

    #[cfg(target_os = "linux")]
    fn through_descriptor(home: &Home, path: &Path) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;
        let directory = File::open(home.path())?;
        let name = path.file_name().unwrap_or_default();
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(Self { path, _directory: Some(directory) })
    }

    #[cfg(not(target_os = "linux"))]
    fn through_descriptor(_home: &Home, path: &Path) -> io::Result<Self> {
        let reason = format!(
            "{} is longer than the {MAX_SOCKET_PATH} bytes this system allows for a socket: use a shorter --home",
            path.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }
}

#[cfg(test)]
mod tests;
