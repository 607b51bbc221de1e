//! Connections, so many at once.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pause after a connection could not be accepted (descriptors used up): long enough not to spin, short enough not to be noticed.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections as long as there is room for them; others wait in the kernel.
#[derive(Debug)]
pub struct Acceptor {
    /// What it listens for, in the log.
    what: &'static str,
    places: Arc<Semaphore>,
    is_failing: bool,
}

impl Acceptor {
    /// At most `most` at once.
    #[must_use]
    pub fn new(what: &'static str, most: usize) -> Self {
        Self { what, places: Arc::new(Semaphore::new(most)), is_failing: false }
    }

    /// The next connection, and its place: the next one may come when that is dropped. What fails is tried again. Cancel-safe as
    /// `accept` is.
    pub async fn next<S, F>(&mut self, accept: impl Fn() -> F) -> (S, OwnedSemaphorePermit)
    where
        F: Future<Output = io::Result<S>>,
    {
        loop {
            // Before accepting: at the limit, connections wait in the kernel and not here.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // It is never closed.
                std::future::pending().await
            };
            match accept().await {
                Ok(stream) => {
                    self.is_failing = false;
                    return (stream, place);
                }
                Err(error) => {
                    // Once for each time it begins: it would be said twenty times a second.
                    if !self.is_failing {
                        tracing::warn!(%error, to = self.what, "accepting a connection failed, trying again until it succeeds");
                    }
                    self.is_failing = true;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_fails_is_tried_again_and_no_more_are_accepted_than_there_is_room_for() {
        let tries = AtomicU32::new(0);
        let accept = || {
            let number = tries.fetch_add(1, Ordering::Relaxed);
            std::future::ready(if number == 0 { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(number) })
        };
        let mut acceptor = Acceptor::new("a test", 2);
        let (first, place) = acceptor.next(accept).await;
        let (second, _other) = acceptor.next(accept).await;
        assert_eq!((first, second), (1, 2));
        tokio::select! {
            biased;
            _ = acceptor.next(accept) => panic!("a third one"),
            () = tokio::task::yield_now() => {}
        }
        drop(place);
        assert_eq!(acceptor.next(accept).await.0, 3);
    }
}
