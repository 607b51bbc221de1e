//! A WebSocket to a relay: opened with small buffers, read and written at the same time.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use subrosa_wire::labels::{RELAY_AUTH_EXPORTER, RELAY_AUTH_EXPORTER_BYTES};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::{
    NetError, Network, RelayEndpoint, backoff::jitter, network::Connection, proxy::Circuit, timing::Timing, tls,
};

/// Bytes read at once. The library's default (128 KiB, zeroed on each read) costs more than it saves.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that may wait in the socket besides the frame being written: control frames.
const WRITE_SLACK_BYTES: usize = 16 * 1024;

/// Frames waiting to be written, besides one for each call in flight: handshake and pings.
pub(super) const WRITE_QUEUE_SLACK: usize = 8;

type Stream = WebSocketStream<MaybeTlsStream<Connection>>;

/// What was read.
pub(super) enum Incoming {
    /// A binary message, at most as long as the limit given to [`open`].
    Frame(Bytes),
    /// A sign of life without content.
    Alive,
}

/// The reading half.
pub(super) struct Reader {
    relay: RelayEndpoint,
    stream: SplitStream<Stream>,
    /// What the TLS of this connection exports; `None` without TLS.
    exporter: Option<[u8; RELAY_AUTH_EXPORTER_BYTES]>,
}

/// The writing half.
pub(super) struct Writer {
    relay: RelayEndpoint,
    sink: SplitSink<Stream, Message>,
    timeout: Duration,
}

/// Connects and upgrades; the whole takes at most [`Timing::connect`].
///
/// # Errors
/// [`NetError::Unreachable`], [`NetError::Timeout`], or [`NetError::Protocol`] when something else answers.
pub(super) async fn open(
    network: &Network,
    circuit: Circuit,
    relay: &RelayEndpoint,
    path: &str,
    max_frame: usize,
    timing: &Timing,
) -> Result<(Reader, Writer), NetError> {
    let stream = timeout(timing.connect, upgrade(network, circuit, relay, path, max_frame))
        .await
        .map_err(|_| NetError::timeout(relay, "the connection", timing.connect))??;
    let exporter = exporter_of(&stream);
    let (sink, stream) = stream.split();
    Ok((
        Reader { relay: relay.clone(), stream, exporter },
        Writer { relay: relay.clone(), sink, timeout: timing.write },
    ))
}

async fn upgrade(
    network: &Network,
    circuit: Circuit,
    relay: &RelayEndpoint,
    path: &str,
    max_frame: usize,
) -> Result<Stream, NetError> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(max_frame + WRITE_SLACK_BYTES)
        .max_message_size(Some(max_frame))
        .max_frame_size(Some(max_frame));
    let connector = if relay.is_tls() {
        let tls = tls::config(network, relay)
            .map_err(|_| NetError::unreachable(relay, "TLS cannot be set up on this computer"))?;
        Connector::Rustls(tls)
    } else {
        Connector::Plain
    };
    let tcp = network.connect(relay, circuit).await?;
    let (stream, _) = client_async_tls_with_config(relay.websocket(path), tcp, Some(config), Some(connector))
        .await
        .map_err(|error| NetError::connecting(relay, &error))?;
    Ok(stream)
}

fn exporter_of(stream: &Stream) -> Option<[u8; RELAY_AUTH_EXPORTER_BYTES]> {
    match stream.get_ref() {
        MaybeTlsStream::Rustls(tls) => {
            let (_, connection) = tls.get_ref();
            connection.export_keying_material([0; RELAY_AUTH_EXPORTER_BYTES], RELAY_AUTH_EXPORTER, None).ok()
        }
        _ => None,
    }
}

impl Reader {
    /// What this connection's TLS exports for a login (`docs/protocol.md`, "The mailbox socket").
    ///
    /// # Errors
    /// [`NetError::Protocol`]: the connection has no TLS, so who asks for it is not at its other end.
    pub(super) fn exporter(&self) -> Result<[u8; RELAY_AUTH_EXPORTER_BYTES], NetError> {
        self.exporter.ok_or_else(|| NetError::protocol(&self.relay, "a login bound to TLS where there is none"))
    }

    /// The next message. Cancel-safe.
    ///
    /// # Errors
    /// [`NetError::Closed`] at the end; [`NetError::Protocol`] for text, oversized or broken frames.
    pub(super) async fn next(&mut self) -> Result<Incoming, NetError> {
        match self.stream.next().await {
            Some(Ok(Message::Binary(bytes))) => Ok(Incoming::Frame(bytes)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Incoming::Alive),
            Some(Ok(Message::Close(_))) | None => Err(NetError::Closed),
            Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                Err(NetError::protocol(&self.relay, "a text where a frame should be"))
            }
            Some(Err(error)) => Err(NetError::broken(&self.relay, &error)),
        }
    }

    /// The next frame, for a handshake.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub(super) async fn frame(&mut self) -> Result<Bytes, NetError> {
        loop {
            if let Incoming::Frame(bytes) = self.next().await? {
                return Ok(bytes);
            }
        }
    }

    /// Reads and drops until the other side has closed.
    pub(super) async fn drain(&mut self) {
        while self.next().await.is_ok() {}
    }
}

/// Where a [`Writer`] gets its frames from.
pub(super) trait FrameSource: Send {
    /// The next frame; `None` when the socket is to be closed. Called when the one before is written.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

impl Writer {
    /// Writes one frame.
    ///
    /// # Errors
    /// [`NetError::Closed`], or [`NetError::Timeout`] when the other side does not read.
    pub(super) async fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        match timeout(self.timeout, self.sink.send(Message::Binary(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(NetError::broken(&self.relay, &error)),
            Err(_) => Err(NetError::timeout(&self.relay, "sending", self.timeout)),
        }
    }

    /// Writes what `source` gives until it ends, then says goodbye.
    ///
    /// # Errors
    /// As [`Writer::send`].
    pub(super) async fn pump(mut self, mut source: impl FrameSource) -> Result<(), NetError> {
        while let Some(frame) = source.next().await {
            self.send(frame).await?;
        }
        // The goodbye is a courtesy: a socket that is already gone is closed as well.
        let _ = timeout(self.timeout, self.sink.close()).await;
        Ok(())
    }
}

/// Pings of ours, and how long the other side has been silent.
pub(super) struct Liveness {
    pings: Interval,
    heard: Instant,
    silence: Duration,
}

impl Liveness {
    pub(super) fn new(timing: &Timing) -> Self {
        // The first one comes early by chance: a relay's clients must not ping in step after its restart.
        let mut pings = interval_at(Instant::now() + jitter(timing.ping), timing.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { pings, heard: Instant::now(), silence: timing.silence }
    }

    /// Something was read (or we did not listen).
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Time to ping. Cancel-safe.
    pub(super) async fn ping_due(&mut self) {
        self.pings.tick().await;
    }

    /// When the socket counts as dead.
    pub(super) fn deadline(&self) -> Instant {
        self.heard + self.silence
    }
}
