//! Acknowledgements of a mailbox: only the newest counts, and it goes out before anything else.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use subrosa_wire::{MailboxEpoch, Seq, mailbox::MailboxClientFrame};
use tokio::sync::{Notify, mpsc};

use super::socket::Source;

/// The newest acknowledgement, and what of it the relay was told.
#[derive(Debug, Default)]
pub(super) struct Acks {
    state: Mutex<AckState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct AckState {
    epoch: Option<MailboxEpoch>,
    wanted: Seq,
    sent: Seq,
}

impl Acks {
    pub(super) fn set(&self, upto: Seq) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wanted = upto;
        self.changed.notify_one();
    }

    /// A session begins: what the relay knows. In a new epoch the numbers of the old one mean nothing.
    pub(super) fn begin(&self, epoch: MailboxEpoch, acked: Seq) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.epoch.is_some_and(|known| known != epoch) {
            state.wanted = 0;
        }
        state.epoch = Some(epoch);
        state.sent = acked;
    }

    fn take(&self) -> Option<Seq> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.wanted <= state.sent {
            return None;
        }
        state.sent = state.wanted;
        Some(state.wanted)
    }

    /// The next one to send. Cancel-safe.
    async fn next(&self) -> Seq {
        loop {
            if let Some(upto) = self.take() {
                return upto;
            }
            self.changed.notified().await;
        }
    }
}

/// Frames of a mailbox socket: acknowledgements first.
pub(super) struct Frames {
    pub(super) acks: Arc<Acks>,
    pub(super) queue: mpsc::Receiver<Bytes>,
}

impl Source for Frames {
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            upto = self.acks.next() => Some(MailboxClientFrame::Ack(upto).encode()),
            frame = self.queue.recv() => frame,
        }
    }
}
