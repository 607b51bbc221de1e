//! A consumer that this command holds: its lease, and how to go on when the engine that gave it is gone.

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{ReceiveCommitParams, ReceiveParams, ReceiveReleaseParams, Received},
    clean::clean_line,
    limits::MAX_WAIT,
};

use crate::{account::millis, errors::Failure};

/// A consumer, held from the first [`Consumer::receive`] on.
pub(super) struct Consumer<'a> {
    client: &'a dyn Client,
    name: String,
    /// As long as somebody else holds it.
    wait: bool,
    share: bool,
    lease: Option<String>,
}

impl<'a> Consumer<'a> {
    pub(super) fn new(client: &'a dyn Client, name: &str, wait: bool, share: bool) -> Self {
        Self { client, name: name.to_owned(), wait, share, lease: None }
    }

    /// At most `max` messages after the consumer's place; waits so long for a first one.
    pub(super) async fn receive(&mut self, max: u32, message_wait_ms: u64) -> Result<Received, Failure> {
        loop {
            let params = ReceiveParams {
                consumer: Some(self.name.clone()),
                max: Some(max),
                lease: self.lease.clone(),
                wait_ms: self.wait.then(|| millis(MAX_WAIT)),
                share: self.share,
                hold_ms: None,
                message_wait_ms,
            };
            match self.client.receive(params).await {
                Ok(received) => {
                    self.lease = Some(received.lease.clone());
                    return Ok(received);
                }
                // The engine that gave it is gone. The next one gives another, unless somebody was quicker.
                Err(error) if error.code == ErrorKind::LeaseLost && self.lease.is_some() => self.lease = None,
                // Who waits as long as it takes is not told after a day.
                Err(error) if error.code == ErrorKind::ConsumerBusy && self.wait => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Everything up to there is done. `false`: the lease was lost meanwhile, and nothing is committed.
    pub(super) async fn commit(&mut self, cursor: u64) -> Result<bool, Failure> {
        let Some(lease) = self.lease.clone() else { return Ok(false) };
        match self.client.receive_commit(ReceiveCommitParams { consumer: Some(self.name.clone()), cursor, lease }).await
        {
            Ok(_) => Ok(true),
            Err(error) if error.code == ErrorKind::LeaseLost => {
                self.lease = None;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that the consumer is still ours, and that nobody moved it beyond `place` while it was not.
    pub(super) async fn still_at(&mut self, place: u64) -> Result<(), Failure> {
        if self.receive(0, 0).await?.cursor <= place { Ok(()) } else { Err(self.taken()) }
    }

    /// Commits as the holder of the consumer at `place`, also if the lease was lost meanwhile.
    pub(super) async fn keep(&mut self, place: u64, cursor: u64) -> Result<(), Failure> {
        while !self.commit(cursor).await? {
            let now = self.receive(0, 0).await?.cursor;
            if now == cursor {
                // The engine that is gone had done it, and could not say so.
                return Ok(());
            }
            if now > place {
                return Err(self.taken());
            }
        }
        Ok(())
    }

    fn taken(&self) -> Failure {
        let name = clean_line(&self.name);
        ApiError::new(
            ErrorKind::ConsumerBusy,
            format!("another reader took the consumer \"{name}\" while the engine changed hands"),
        )
        .hint("start this again: it goes on where the consumer stands now")
        .into()
    }

    /// Gives it back: whoever waits for it need not wait for the end of this process.
    pub(super) async fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            // What could not be given back ends with this process.
            let _ =
                self.client.receive_release(ReceiveReleaseParams { consumer: Some(self.name.clone()), lease }).await;
        }
    }
}
