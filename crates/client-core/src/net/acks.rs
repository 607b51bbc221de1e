//! Acknowledgements of a mailbox: only the newest counts, and it goes out before anything else.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use subrosa_wire::{MailboxEpoch, Seq, mailbox::MailboxClientFrame};
use tokio::sync::{Notify, mpsc};

use super::socket::FrameSource;

/// The newest acknowledgement, and what of it the relay was told.
///
/// A relay takes no acknowledgement of what it has not pushed in the same session, so one from
/// before a reconnection waits until the relay pushes again what it covers.
#[derive(Debug, Default)]
pub(super) struct Acks {
    state: Mutex<AckState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct AckState {
    epoch: Option<MailboxEpoch>,
    /// The engine has everything up to here.
    wanted: Seq,
    /// The relay has pushed up to here in this session.
    pushed: Seq,
    /// The relay was told up to here.
    sent: Seq,
}

impl Acks {
    /// The engine has everything up to `upto`.
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
        state.pushed = acked;
        state.sent = acked;
    }

    /// The relay has pushed this one (0: an ephemeral one, which nobody acknowledges).
    pub(super) fn pushed(&self, seq: Seq) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pushed = state.pushed.max(seq);
        if state.wanted > state.sent {
            self.changed.notify_one();
        }
    }

    fn take(&self) -> Option<Seq> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let upto = state.wanted.min(state.pushed);
        if upto <= state.sent {
            return None;
        }
        state.sent = upto;
        Some(upto)
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

impl FrameSource for Frames {
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            upto = self.acks.next() => Some(MailboxClientFrame::Ack(upto).encode()),
            frame = self.queue.recv() => frame,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: MailboxEpoch = MailboxEpoch([1; 16]);

    #[test]
    fn only_the_newest_goes_out_and_only_once() {
        let acks = Acks::default();
        acks.begin(EPOCH, 0);
        for seq in 1..=5 {
            acks.pushed(seq);
            acks.set(seq);
        }
        assert_eq!(acks.take(), Some(5));
        acks.set(4);
        assert_eq!(acks.take(), None);
    }

    #[test]
    fn one_from_before_a_reconnection_waits_for_what_it_covers() {
        let acks = Acks::default();
        acks.begin(EPOCH, 0);
        acks.pushed(5);
        acks.begin(EPOCH, 2);
        acks.set(5);
        assert_eq!(acks.take(), None);
        acks.pushed(3);
        assert_eq!(acks.take(), Some(3));
        acks.pushed(5);
        acks.pushed(0);
        assert_eq!(acks.take(), Some(5));
        acks.pushed(6);
        assert_eq!(acks.take(), None);
    }

    #[test]
    fn one_of_an_older_epoch_is_forgotten() {
        let acks = Acks::default();
        acks.begin(EPOCH, 0);
        acks.pushed(5);
        acks.set(5);
        acks.begin(MailboxEpoch([2; 16]), 0);
        acks.pushed(5);
        assert_eq!(acks.take(), None);
        acks.set(1);
        assert_eq!(acks.take(), Some(1));
    }
}
