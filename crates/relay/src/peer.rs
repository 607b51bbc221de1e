//! Who is at the other end of a connection.

use std::{net::IpAddr, sync::Arc};

use subrosa_wire::labels::RELAY_AUTH_EXPORTER_BYTES;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    metrics::Connected,
    policy::{addresses::Guest, frames::FrameMemory},
};

/// Who is at the other end of a connection. Holds the connection's permit: as long as a request,
/// a session or the connection itself has a copy, the connection counts.
#[derive(Clone)]
pub(crate) struct Peer {
    /// The client's address; of a request behind a proxy, the one that the proxy names.
    pub(crate) address: IpAddr,
    /// Its place among the connections of that address; not behind a proxy.
    pub(crate) guest: Option<Arc<Guest>>,
    /// It has too many connections, or makes them too often: all it gets is this many seconds to wait.
    pub(crate) refused: Option<u32>,
    /// What its TLS exports, where the client's TLS ends here: a login is bound to it.
    pub(crate) exporter: Option<Arc<[u8; RELAY_AUTH_EXPORTER_BYTES]>>,
    /// What the connection keeps of frames that are not complete.
    pub(crate) memory: Arc<FrameMemory>,
    pub(crate) _permit: Arc<(OwnedSemaphorePermit, Connected)>,
}
