//! A connection's bytes: read no faster than its share, and closed when the peer takes none.
//!
//! Reading is delayed, never refused: who sends faster than its share waits in its own socket buffer.
//! A connection that always has more to say lets others have their turn after some thousand bytes: what is done with one of them can be
//! a hundred microseconds of work, and a runtime that is busy with one connection does not see that another has something.
//! The deadline for writing holds for everything that is written: TLS, answers and frames.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Duration, Sleep, sleep},
};

use crate::policy::{frames::FrameMemory, limiter::Meter};

/// Bytes that are read before others have their turn: a dozen messages, or a thousand frames of nothing; about 0.1 ms.
const TURN_BYTES: usize = 8 * 1024;

/// See the module. An idle one costs a hundred bytes: timers exist only while something waits.
pub(crate) struct Metered<S> {
    stream: S,
    own: Meter,
    /// Of the connection's address, if that is known at this level.
    shared: Option<Arc<Meter>>,
    memory: Arc<FrameMemory>,
    /// Bytes read since others had their turn.
    turn: usize,
    /// Reading goes on when it ends.
    pause: Option<Pin<Box<Sleep>>>,
    /// Writing is given up when it ends.
    stalled: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
}

impl<S> Metered<S> {
    pub(crate) const fn new(
        stream: S,
        own: Meter,
        shared: Option<Arc<Meter>>,
        memory: Arc<FrameMemory>,
        write_timeout: Duration,
    ) -> Self {
        Self { stream, own, shared, memory, turn: 0, pause: None, stalled: None, write_timeout }
    }

    fn count(&mut self, bytes: usize) {
        let now = subrosa_ambient::instant();
        let own = self.own.charge(bytes, now);
        let shared = self.shared.as_ref().map_or(Duration::ZERO, |meter| meter.charge(bytes, now));
        let pause = own.max(shared);
        if !pause.is_zero() {
            self.pause = Some(Box::pin(sleep(pause)));
        }
    }

    /// What writing came to; an error when it has come to nothing for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no bytes")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if result.is_pending() {
            self.turn = 0;
        }
        ready!(result)?;
        let read = buf.filled().len() - before;
        self.turn += read;
        self.count(read);
        if !self.memory.read(read) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::OutOfMemory, "too much of unfinished frames")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::limiter::Rate;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn memory() -> Arc<FrameMemory> {
        Arc::new(FrameMemory::new(None, Arc::default()))
    }

    const PLENTY: Rate = Rate { burst: 1 << 20, per_minute: 1 << 20 };

    #[tokio::test]
    async fn more_than_the_share_is_read_later() {
        let (mut far, near) = tokio::io::duplex(1 << 20);
        // 4 KiB at once, then 1 KiB in 10 ms.
        let own = Meter::new(Rate { burst: 4, per_minute: 6_000 });
        let mut near = Metered::new(near, own, None, memory(), Duration::from_secs(10));
        far.write_all(&[1; 9 * 1024]).await.unwrap();
        let began = subrosa_ambient::instant();
        let mut bytes = [0; 1024];
        for _ in 0..9 {
            near.read_exact(&mut bytes).await.unwrap();
        }
        assert!(began.elapsed() >= Duration::from_millis(40), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn who_always_has_more_to_say_lets_others_have_their_turn() {
        let (mut far, near) = tokio::io::duplex(1 << 20);
        let mut near = Metered::new(near, Meter::new(PLENTY), None, memory(), Duration::from_secs(10));
        far.write_all(&[1; 4 * TURN_BYTES]).await.unwrap();
        let mut read = 0;
        let mut bytes = [0; 1024];
        loop {
            let mut reading = std::pin::pin!(near.read(&mut bytes));
            match futures_util::poll!(&mut reading) {
                Poll::Ready(count) => read += count.unwrap(),
                Poll::Pending => break,
            }
        }
        assert_eq!(read, TURN_BYTES, "everything is there, and yet");
        near.read_exact(&mut [0; 3 * TURN_BYTES]).await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_ends_the_connection() {
        let (_far, near) = tokio::io::duplex(16);
        let mut near = Metered::new(near, Meter::new(PLENTY), None, memory(), Duration::from_millis(50));
        let error = near.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
