//! The back end of a single process: one SQLite database in the data directory.

mod capabilities;
mod columns;
mod commit_metrics;
mod commit_size;
#[cfg(test)]
mod conformance;
pub(crate) mod copies;
mod directory;
mod facts;
mod fair;
mod intake;
mod integrity;
mod lists;
mod mailbox;
mod operator;
mod prekeys;
mod readers;
mod schema;
mod writer;

use std::sync::Arc;

use subrosa_wire::MailboxEpoch;
use tokio::sync::oneshot;

use crate::{
    config::{Config, RelayError},
    policy::submission::Quotas,
};

pub(crate) use commit_metrics::CommitMetrics;
pub(crate) use schema::lock_data_dir;

/// The back end of a single process.
#[derive(Clone)]
pub(crate) struct Embedded {
    writer: writer::Writer,
    readers: Arc<readers::Readers>,
    quotas: Quotas,
    epoch: MailboxEpoch,
    refuse_damage: bool,
}

/// Resolves when the embedded store has stopped: with the reason if it stopped by itself.
pub(crate) type StoreStopped = oneshot::Receiver<Result<(), String>>;

impl Embedded {
    /// Opens or creates the database and starts its threads. Blocks on the disk.
    ///
    /// # Errors
    /// A damaged, foreign or newer database, or a directory that cannot be used.
    pub(crate) fn open(config: &Config, metrics: CommitMetrics) -> Result<(Self, StoreStopped), RelayError> {
        let path = config.data_dir.join(schema::FILE_NAME);
        let check = config.refuse_damage.then_some(config.start_check);
        let (db, epoch) = schema::open(&path, config.synchronous, config.max_database_pages, check)?;
        let (writer, stopped) = writer::Writer::start(db, &path, config.min_free_bytes, metrics)?;
        let readers = readers::Readers::open(&path, writer.condemned.clone())?;
        let quotas = Quotas { rows: config.max_mailbox_rows, bytes: config.max_mailbox_bytes };
        let refuse_damage = config.refuse_damage;
        Ok((Self { writer, readers: Arc::new(readers), quotas, epoch, refuse_damage }, stopped))
    }
}
