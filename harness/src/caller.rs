//! Calls an engine that may die at any moment: what a death cuts off is asked again.

use std::{path::PathBuf, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use subrosa_client_core::api::ErrorKind;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    account::Account,
    keeper::Up,
    rpc::{CallError, Rpc},
};

/// A call that is not answered within this time is given up and made again.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// An engine that died in this moment has not been noticed yet: look again after this.
const NOTICE: Duration = Duration::from_millis(50);

/// A connection to an engine that is made again whenever it breaks.
#[derive(Debug)]
pub struct Caller {
    /// The account's handle, for messages.
    name: String,
    socket: PathBuf,
    up: watch::Receiver<Up>,
    rpc: Option<Rpc>,
}

impl Caller {
    /// For an account whose engine's state is `up`.
    #[must_use]
    pub fn new(account: &Account, up: watch::Receiver<Up>) -> Self {
        Self { name: account.name.clone(), socket: account.socket(), up, rpc: None }
    }

    /// Calls a method until the engine has answered. The method must be one that may be repeated.
    ///
    /// # Errors
    /// The engine refuses, or is no longer kept running.
    pub async fn call<P: Serialize + Sync, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, String> {
        loop {
            let mut connection = match self.rpc.take() {
                Some(connection) => connection,
                None => {
                    let serves = self.up.wait_for(|up| up.serving).await.map(|_| ());
                    serves.map_err(|_| format!("the engine of {} is no longer kept", self.name))?;
                    let Ok(connection) = Rpc::connect(&self.socket).await else {
                        let _ = timeout(NOTICE, self.up.changed()).await;
                        continue;
                    };
                    connection
                }
            };
            match connection.call(method, params, CALL_TIMEOUT).await {
                Ok(answer) => {
                    self.rpc = Some(connection);
                    return Ok(answer);
                }
                Err(CallError::Gone(_)) => {}
                // What needs the relay at once (a link, a join) says so when the relay has just died.
                Err(error) if error.api().is_some_and(|error| error.code == ErrorKind::RelayUnreachable) => {
                    sleep(NOTICE).await;
                }
                Err(refused) => return Err(format!("{method} at {}: {refused}", self.name)),
            }
        }
    }
}
