//! Connections that only read, so that a page of a mailbox never waits for a commit.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{schema, writer::Condemn};
use crate::{backend::StoreError, config::RelayError, lock::lock};

/// Connections: more than the cores of a small server, since a read may wait for the disk.
const READERS: usize = 4;

pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
    condemned: Condemn,
}

impl Readers {
    pub(super) fn open(path: &Path, condemned: Condemn) -> Result<Self, RelayError> {
        let idle = (0..READERS).map(|_| schema::open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { idle: Mutex::new(idle), free: Arc::new(Semaphore::new(READERS)), condemned })
    }

    /// Runs `query` on a blocking thread with one of the connections.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = || StoreError::Unavailable("the store has stopped".to_owned());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| stopped())?;
        let readers = Arc::clone(self);
        let task = subrosa_tasks::beside(move || {
            let connection = lock(&readers.idle).pop().ok_or_else(stopped)?;
            let result = query(&connection);
            lock(&readers.idle).push(connection);
            // The permit lives here and not in the caller's future: if the caller is dropped, its
            // connection is still in use until now.
            drop(permit);
            result.map_err(|error| {
                tracing::error!(%error, "reading the database failed");
                readers.condemned.judge(&error);
                StoreError::Unavailable(error.to_string())
            })
        });
        task.await.map_err(|_| stopped())?
    }
}
