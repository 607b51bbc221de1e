//! How long the network layer waits for what. Constants in production; tests shorten them.

use std::time::Duration;

use subrosa_wire::limits::{HANDSHAKE_TIMEOUT, PING_INTERVAL, SILENCE_TIMEOUT};

use crate::limits::{RETRY_FIRST, RETRY_MAX};

/// DNS, TCP, TLS and the WebSocket upgrade together: a slow mobile network needs a few seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// One question to a relay over its socket. A relay answers after one disk sync; this is patience
/// for a loaded one, and short enough that a person sees an error.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// One frame into the operating system's buffers: only a dead or stuck peer takes longer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Closing properly: the last acknowledgement has to get out, but nobody waits long for a goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A submit socket without use is closed: a relay holds sockets only for people who write.
const SUBMIT_IDLE: Duration = Duration::from_secs(60);

/// Replies still in flight after a relay said that it goes away.
const GO_AWAY_GRACE: Duration = Duration::from_secs(5);

/// After a refused authentication or version only a change on either side helps: ask rarely.
const REFUSED_RETRY: Duration = Duration::from_secs(15 * 60);

/// A session that lasted this long was a good one: the next failure starts with the first wait.
const GOOD_SESSION: Duration = Duration::from_secs(30);

/// The waits of the sockets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// See [`CONNECT_TIMEOUT`].
    pub connect: Duration,
    /// From the first frame to `Ready` or `Welcome`.
    pub handshake: Duration,
    /// See [`CALL_TIMEOUT`].
    pub call: Duration,
    /// See [`WRITE_TIMEOUT`].
    pub write: Duration,
    /// See [`CLOSE_TIMEOUT`].
    pub close: Duration,
    /// See [`PING_INTERVAL`].
    pub ping: Duration,
    /// See [`SILENCE_TIMEOUT`].
    pub silence: Duration,
    /// See [`SUBMIT_IDLE`].
    pub idle: Duration,
    /// See [`GO_AWAY_GRACE`].
    pub grace: Duration,
    /// See [`RETRY_FIRST`].
    pub retry_first: Duration,
    /// See [`RETRY_MAX`].
    pub retry_max: Duration,
    /// See [`REFUSED_RETRY`].
    pub refused_retry: Duration,
    /// See [`GOOD_SESSION`].
    pub good_session: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            handshake: HANDSHAKE_TIMEOUT,
            call: CALL_TIMEOUT,
            write: WRITE_TIMEOUT,
            close: CLOSE_TIMEOUT,
            ping: PING_INTERVAL,
            silence: SILENCE_TIMEOUT,
            idle: SUBMIT_IDLE,
            grace: GO_AWAY_GRACE,
            retry_first: RETRY_FIRST,
            retry_max: RETRY_MAX,
            refused_retry: REFUSED_RETRY,
            good_session: GOOD_SESSION,
        }
    }
}
