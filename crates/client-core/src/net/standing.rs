//! A socket to a relay that stands: it is written and read at the same time, shows that it lives, and notices when the other side
//! does not.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    NetError, RelayEndpoint,
    calls::until,
    socket::{FrameSource, Incoming, Liveness, Reader, WRITE_QUEUE_SLACK, Writer},
    timing::Timing,
};

/// A call that is in flight for as long as may be.
pub(super) struct Patience {
    /// Until when it may be, if one is in flight.
    pub(super) until: Option<Instant>,
    /// What did not come in time.
    pub(super) what: &'static str,
}

/// See the module.
pub(super) struct Standing {
    relay: RelayEndpoint,
    timing: Timing,
    reader: Reader,
    pump: Pin<Box<dyn Future<Output = Result<(), NetError>> + Send>>,
    frames: mpsc::Sender<Bytes>,
    live: Liveness,
    /// The frame that asks for a sign of life.
    ping: Bytes,
}

impl Standing {
    /// From now on frames are written in the order in which `source` gives them; of those that wait in it there are at most a frame
    /// for each of `most_calls`, and a few.
    pub(super) fn new<S: FrameSource + 'static>(
        (reader, writer): (Reader, Writer),
        source: impl FnOnce(mpsc::Receiver<Bytes>) -> S,
        most_calls: usize,
        ping: Bytes,
        (relay, timing): (&RelayEndpoint, &Timing),
    ) -> Self {
        let (frames, queue) = mpsc::channel(most_calls + WRITE_QUEUE_SLACK);
        let pump = Box::pin(writer.pump(source(queue)));
        let (relay, timing) = (relay.clone(), *timing);
        Self { live: Liveness::new(&timing), relay, timing, reader, pump, frames, ping }
    }

    /// Queues a frame.
    ///
    /// # Errors
    /// [`NetError::Closed`]: nothing is written any more.
    pub(super) fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.frames.try_send(frame).map_err(|_| NetError::Closed)
    }

    /// While nothing is read, silence is ours.
    pub(super) fn excuse(&mut self) {
        self.live.heard();
    }

    /// The next frame; `None` is a sign of life without one. While not `reading` it only writes and pings. Cancel-safe.
    ///
    /// # Errors
    /// The socket's end, and [`NetError::Timeout`] when an answer or a sign of life did not come in time.
    pub(super) async fn next(&mut self, reading: bool, patience: Patience) -> Result<Option<Bytes>, NetError> {
        let silent_at = self.live.deadline();
        loop {
            // Reading comes late: a relay that floods frames must not keep the limits from being noticed.
            tokio::select! {
                biased;
                result = &mut self.pump => return Err(result.err().unwrap_or(NetError::Closed)),
                () = until(patience.until), if reading => {
                    return Err(NetError::timeout(&self.relay, patience.what, self.timing.call));
                }
                () = self.live.ping_due() => {
                    // A full queue is a sign of life enough: what waits in it is answered too.
                    let _ = self.frames.try_send(self.ping.clone());
                }
                incoming = self.reader.next(), if reading => {
                    let incoming = incoming?;
                    self.live.heard();
                    return Ok(match incoming {
                        Incoming::Frame(bytes) => Some(bytes),
                        Incoming::Alive => None,
                    });
                }
                // After reading: a process that was stopped for a while finds what came first.
                () = until(Some(silent_at)), if reading => {
                    return Err(NetError::timeout(&self.relay, "a sign of life", self.timing.silence));
                }
            }
        }
    }

    /// An orderly end: what is queued and a goodbye still go out, but nobody waits for it longer than a moment. What comes meanwhile
    /// is dropped.
    pub(super) async fn close(mut self) {
        drop(self.frames);
        let _ = timeout(self.timing.close, futures_util::future::join(&mut self.pump, self.reader.drain())).await;
    }
}
