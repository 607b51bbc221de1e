//! A WebSocket as the relay uses it: binary frames, bounded, with a deadline round every send.
//! Generic over stream and sink, so that sessions are not tied to one library.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};

use crate::policy::frames::FrameMemory;

/// The relay stops.
pub(crate) const CLOSE_RESTART: u16 = 1012;
/// Nothing is wrong.
pub(crate) const CLOSE_NORMAL: u16 = 1000;
/// Not a frame of this protocol.
pub(crate) const CLOSE_PROTOCOL: u16 = 1002;
/// A text frame.
pub(crate) const CLOSE_UNSUPPORTED: u16 = 1003;
/// Not authenticated, or silent.
pub(crate) const CLOSE_POLICY: u16 = 1008;
/// A frame above the limit.
pub(crate) const CLOSE_TOO_LARGE: u16 = 1009;
/// Another connection of this device took over.
pub(crate) const CLOSE_DISPLACED: u16 = 4409;

/// How long the end of a closed socket is waited for, so that what the peer still sends does not
/// reset the connection before it has read why.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What the socket is read with at once. Idle connections keep it, so it is small
/// (`docs/performance.md`: 128 KiB each would be the library's default).
const READ_BUFFER_BYTES: usize = 1024;

/// Frames that may be buffered behind one that the peer is slow to take.
const WRITE_BUFFER_FRAMES: usize = 2;

/// Room for the frame header and protobuf around a payload.
const FRAME_SLACK: usize = 1024;

/// Sets the buffers and limits of an upgrade.
pub(crate) fn bounded(upgrade: WebSocketUpgrade, max_frame: usize) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_FRAMES * (max_frame + FRAME_SLACK))
        .max_frame_size(max_frame)
        .max_message_size(max_frame)
}

/// The two halves of a WebSocket.
pub(crate) trait MessageSocket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}
impl<T> MessageSocket for T where
    T: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

/// The peer is gone, or took no bytes for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// What came from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A binary frame.
    Frame(Bytes),
    /// A WebSocket ping or pong: a sign of life.
    Alive,
    /// A text frame: not this protocol.
    Text,
    /// Larger than the limit.
    TooLarge,
    /// No WebSocket frame.
    Garbage,
    /// The end.
    Closed,
}

/// Why a socket cannot be read any further.
fn unreadable(error: axum::Error) -> Incoming {
    use tungstenite::{Error, error::ProtocolError};
    tracing::debug!(%error, "a socket cannot be read any further");
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => Incoming::TooLarge,
        Some(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Incoming::Closed,
        Some(Error::Protocol(_) | Error::Utf8(_)) => Incoming::Garbage,
        _ => Incoming::Closed,
    }
}

/// A WebSocket that carries frames of this protocol.
pub(crate) struct FrameSocket<S> {
    socket: S,
    memory: Arc<FrameMemory>,
    /// How long a peer may take for what is sent at once, at most a page of its mailbox.
    write_timeout: Duration,
}

impl<S: MessageSocket> FrameSocket<S> {
    pub(crate) const fn new(socket: S, memory: Arc<FrameMemory>, write_timeout: Duration) -> Self {
        Self { socket, memory, write_timeout }
    }

    /// The next thing the peer says. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Incoming {
        let next = self.socket.next().await;
        self.memory.finished();
        match next {
            Some(Ok(Message::Binary(bytes))) => Incoming::Frame(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Incoming::Alive,
            Some(Ok(Message::Text(_))) => Incoming::Text,
            Some(Ok(Message::Close(_))) | None => Incoming::Closed,
            Some(Err(error)) => unreadable(error),
        }
    }

    /// Sends one frame.
    pub(crate) async fn send(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.within(|sink| async move { sink.send(Message::Binary(frame)).await }).await
    }

    /// Sends several frames and flushes once.
    pub(crate) async fn send_all(&mut self, frames: impl Iterator<Item = Bytes> + Send) -> Result<(), Gone> {
        self.within(|sink| async move {
            for frame in frames {
                sink.feed(Message::Binary(frame)).await?;
            }
            sink.flush().await
        })
        .await
    }

    /// Says why, and ends.
    pub(crate) async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code, reason: reason.into() };
        // Whether or not the peer still hears it, the connection is over.
        let _ = self.within(|sink| async move { sink.send(Message::Close(Some(frame))).await }).await;
        let _ = tokio::time::timeout(CLOSE_GRACE, async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
    }

    async fn within<'a, F, Fut>(&'a mut self, write: F) -> Result<(), Gone>
    where
        F: FnOnce(&'a mut S) -> Fut,
        Fut: Future<Output = Result<(), axum::Error>> + 'a,
    {
        match tokio::time::timeout(self.write_timeout, write(&mut self.socket)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}
