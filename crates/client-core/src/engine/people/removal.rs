//! The account's end at its relay.

use std::time::Duration;

use subrosa_wire::mailbox::MailboxRequest;
use tokio::time::{Instant, timeout_at};

use crate::{
    api::{ApiError, Connection, ErrorKind},
    engine::Engine,
};

/// How long the relay may take to be reached.
const REMOVE_PATIENCE: Duration = Duration::from_secs(20);

impl Engine {
    /// Removes the account at its relay. After it no device of the account is let in any more.
    pub(crate) async fn remove_at_relay(&self) -> Result<(), ApiError> {
        let deadline = Instant::now() + REMOVE_PATIENCE;
        let mut link = self.inner.link.clone();
        loop {
            let state = link.borrow_and_update().clone();
            if state.connection == Connection::Online {
                let answer = self.inner.handle.request(MailboxRequest::RemoveAccount).await;
                return answer.map(|_| ()).map_err(|error| error.to_api());
            }
            if let (Some(error), true) = (state.error, state.failures > 0) {
                return Err(error);
            }
            match timeout_at(deadline, link.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
                Err(_) => return Err(ApiError::new(ErrorKind::RelayUnreachable, "the relay is not reached")),
            }
        }
    }
}
