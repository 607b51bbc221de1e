//! The one thread that changes the database, and the one that checkpoints it.
//!
//! Group commit without a timer: take what is queued, up to a weight and in turn from all who want something
//! (`fair.rs`), `BEGIN IMMEDIATE`, apply all, `COMMIT` (one fsync), then answer all. Each operation runs in its own savepoint, so one that fails takes no
//! other with it. If the commit itself fails (disk full), nothing is half done: the operations are
//! tried again one by one, so that what frees space (acknowledgements) still gets through.

mod operation;

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Instant,
};

use rusqlite::{Connection, hooks::Wal};
use subrosa_crash_point::{CrashPoint, crash_point};
use tokio::sync::oneshot;

use operation::{Applied, Change, Operation, is_fatal, unavailable};
pub(in crate::backend::embedded) use operation::{Kind, OpError};

use super::{
    CommitMetrics, StoreStopped,
    commit_size::CommitSize,
    fair::{self, Bounds, Cost, Entry},
    schema,
};
#[cfg(feature = "simulation")]
use subrosa_tasks::simulation;

use crate::{
    backend::{Source, StoreError},
    config::RelayError,
    lock::lock,
    policy::limits::INTAKE_BYTES,
};

/// Operations waiting for the writer; one address gets half of it. Beyond it callers wait, sockets stop being read.
const QUEUE: Bounds = Bounds { entries: 4_096, bytes: INTAKE_BYTES };
/// Rows of one commit while all comes from one address: nobody else waits for it.
const LONE_WEIGHT: usize = 1_024;
/// How large the log may grow, in pages of 4 KiB.
#[derive(Debug, Clone, Copy)]
struct LogSize {
    /// So much more, and the checkpointer is asked to move it.
    moved: u64,
    /// From here on the writer finishes a checkpoint itself: without writers it reaches the end, and the log starts again at
    /// its beginning. In a log that grows each commit changes the file's size as well.
    restart: u64,
    /// But only if the checkpointer has left no more than this, so that it takes a few milliseconds.
    rest: u64,
    /// Or whatever is left.
    forced: u64,
}

/// 8, 64, 2 and 256 MiB. Commits are slow while a checkpoint syncs: small ones hold up a message for 3 ms, one of 32 MiB for 40
/// (`docs/reliability.md`, attack).
const LOG: LogSize = LogSize { moved: 2_000, restart: 16_000, rest: 500, forced: 64_000 };

/// How long a commit takes at most where time is simulated: a slow disk.
#[cfg(feature = "simulation")]
const SIMULATED_SYNC: std::time::Duration = std::time::Duration::from_millis(20);

/// The queue to the writer thread.
#[derive(Clone)]
pub(in crate::backend::embedded) struct Writer {
    queue: fair::Sender<Source, Box<dyn Operation>>,
    /// For who finds damage elsewhere.
    pub(in crate::backend::embedded) condemned: Condemn,
}

/// Ends the store for damage that a reader found. Weak, so that a writer that died is still noticed.
#[derive(Clone)]
pub(in crate::backend::embedded) struct Condemn(Weak<Mutex<Option<Ended>>>);

/// Tells [`StoreStopped`] that the store has ended, and why.
type Ended = oneshot::Sender<Result<(), String>>;

impl Condemn {
    /// The relay ends with this reason, if the error is damage of the database.
    pub(in crate::backend::embedded) fn judge(&self, error: &rusqlite::Error) {
        if is_fatal(error)
            && let Some(ended) = self.0.upgrade().and_then(|ended| lock(&ended).take())
        {
            let _ = ended.send(Err(format!("the database is damaged ({error})")));
        }
    }
}

impl Writer {
    /// Starts writer and checkpointer. The receiver resolves when the writer has ended; the
    /// writer ends when every [`Writer`] is dropped and the queue is empty.
    pub(in crate::backend::embedded) fn start(
        db: Connection,
        path: &Path,
        min_free_bytes: u64,
        metrics: CommitMetrics,
    ) -> Result<(Self, StoreStopped), RelayError> {
        Self::start_with(LOG, db, path, min_free_bytes, metrics)
    }

    fn start_with(
        log: LogSize,
        mut db: Connection,
        path: &Path,
        min_free_bytes: u64,
        metrics: CommitMetrics,
    ) -> Result<(Self, StoreStopped), RelayError> {
        let (queue, operations) = fair::channel(QUEUE);
        let (ended, stopped) = oneshot::channel();
        let ended = Arc::new(Mutex::new(Some(ended)));
        let condemned = Condemn(Arc::downgrade(&ended));
        let log_pages = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&log_pages);
        let note = move |_: &mut Wal, pages| {
            seen.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        db.wal_hook(Some(note)).map_err(std::io::Error::other)?;
        let moved = Arc::new(AtomicU64::new(0));
        let checkpointer = start_checkpointer(path, Arc::clone(&moved))?;
        let disk = File::open(path)?;
        let writing = Loop {
            db,
            operations,
            checkpointer,
            log_pages,
            moved,
            asked_at: 0,
            restart_at: log.restart,
            log,
            disk,
            min_free_bytes,
            nearly_full: false,
            metrics,
        };
        let end = move |result| {
            if let Some(ended) = lock(&ended).take() {
                let _ = ended.send(result);
            }
        };
        #[cfg(feature = "simulation")]
        if simulation::is_on() {
            simulation::worker(async move { end(writing.run_simulated().await) });
            return Ok((Self { queue, condemned }, stopped));
        }
        thread::Builder::new().name("relay-writer".to_owned()).spawn(move || end(writing.run()))?;
        Ok((Self { queue, condemned }, stopped))
    }

    /// Queues a change; the receiver gets its result once it is durable.
    pub(in crate::backend::embedded) async fn enqueue<T, F>(
        &self,
        source: Source,
        cost: Cost,
        kind: Kind,
        change: F,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, OpError> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let change = Change { change, result: None, reply, kind };
        let queued = self.queue.send(source, cost, Box::new(change)).await;
        queued.map_err(|_| StoreError::Unavailable("the store has stopped".to_owned()))?;
        Ok(result)
    }

    /// Makes a change and waits until it is durable.
    pub(in crate::backend::embedded) async fn change<T, F>(
        &self,
        source: Source,
        cost: Cost,
        change: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, OpError> + Send + 'static,
    {
        let result = self.enqueue(source, cost, Kind::Other, change).await?;
        result.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store has stopped".to_owned())))
    }
}

struct Loop {
    db: Connection,
    operations: fair::Receiver<Source, Box<dyn Operation>>,
    checkpointer: SyncSender<()>,
    /// Pages in the log after the last commit. The log starts again at its beginning once it was moved completely.
    log_pages: Arc<AtomicU64>,
    /// Pages of it that the checkpointer has moved.
    moved: Arc<AtomicU64>,
    log: LogSize,
    /// Pages in the log when the checkpointer was last asked.
    asked_at: u64,
    /// Pages in the log at which the writer next tries to finish a checkpoint.
    restart_at: u64,
    /// On the disk whose space counts.
    disk: File,
    min_free_bytes: u64,
    /// What the last look at the disk said, so that only a change is logged.
    nearly_full: bool,
    metrics: CommitMetrics,
}

impl Loop {
    fn run(mut self) -> Result<(), String> {
        let mut size = CommitSize::new();
        while let Some(taken) = self.operations.take(size.weight(), LONE_WEIGHT) {
            self.turn(&mut size, taken)?;
        }
        self.finish();
        Ok(())
    }

    /// As [`Loop::run`], as a task: it can be ended before each commit, and takes a disk's time for it.
    #[cfg(feature = "simulation")]
    async fn run_simulated(mut self) -> Result<(), String> {
        let mut size = CommitSize::new();
        while let Some(taken) = self.operations.taken(size.weight(), LONE_WEIGHT).await {
            simulation::lag(SIMULATED_SYNC).await;
            self.turn(&mut size, taken)?;
        }
        self.finish();
        Ok(())
    }

    /// Commits what was taken.
    fn turn(&mut self, size: &mut CommitSize, taken: Vec<Entry<Box<dyn Operation>>>) -> Result<(), String> {
        let now = subrosa_ambient::instant();
        let weight = taken.iter().map(Entry::weight).sum();
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        taken.iter().for_each(|entry: &Entry<_>| self.metrics.queued.observe(seconds(entry.since)));
        let batch = self.refuse_if_nearly_full(taken.into_iter().map(|entry| entry.value).collect());
        if !batch.is_empty() {
            self.commit(batch, false)?;
            size.learn(weight, subrosa_ambient::instant().saturating_duration_since(now));
            self.checkpoint()?;
        }
        Ok(())
    }

    /// A clean stop leaves one file: a copy of it is a backup.
    fn finish(&self) {
        if let Err(error) = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the log stays beside the database until the next start");
        }
    }

    /// Answers submissions with "unavailable" while the disk is nearly full; gives the other operations back.
    fn refuse_if_nearly_full(&mut self, batch: Vec<Box<dyn Operation>>) -> Vec<Box<dyn Operation>> {
        if !batch.iter().any(|operation| operation.is_submission()) {
            return batch;
        }
        let is_nearly_full = self.is_nearly_full();
        match (self.nearly_full, is_nearly_full) {
            (false, true) => tracing::warn!(
                min_free_bytes = self.min_free_bytes,
                "the disk is nearly full: nothing new is stored until there is space again"
            ),
            (true, false) => tracing::info!("the disk has space again"),
            _ => {}
        }
        self.nearly_full = is_nearly_full;
        if !is_nearly_full {
            return batch;
        }
        let refusal = StoreError::Unavailable("the disk is nearly full".to_owned());
        let (submissions, others): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|operation| operation.is_submission());
        submissions.into_iter().for_each(|operation| operation.answer(Some(&refusal)));
        others
    }

    fn is_nearly_full(&self) -> bool {
        // A file system that does not tell its space says so at the commit.
        rustix::fs::fstatvfs(&self.disk)
            .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < self.min_free_bytes)
    }

    /// Commits a batch and answers it.
    fn commit(&self, mut batch: Vec<Box<dyn Operation>>, is_retry: bool) -> Result<(), String> {
        match self.transaction(&mut batch) {
            Ok(()) => {
                if batch.iter().any(|operation| operation.is_submission()) {
                    crash_point(CrashPoint::RelayAfterCommit);
                }
                batch.into_iter().for_each(|operation| operation.answer(None));
                return Ok(());
            }
            Err(error) if is_fatal(&error) => return Err(fail(batch, &error)),
            Err(error) if batch.len() == 1 && is_retry => {
                tracing::warn!(%error, "a change could not be committed");
                batch.into_iter().for_each(|operation| operation.answer(Some(&unavailable(&error))));
                return Ok(());
            }
            Err(error) => tracing::warn!(%error, operations = batch.len(), "a commit failed, trying one by one"),
        }
        // If the log could not grow, moving it into the database makes room at its beginning.
        if let Err(error) = passive_checkpoint(&self.db) {
            tracing::warn!(%error, "the log could not be checkpointed");
        }
        batch.into_iter().try_for_each(|operation| self.commit(vec![operation], true))
    }

    /// One transaction over all operations. On an error nothing of it is in the database.
    fn transaction(&self, batch: &mut [Box<dyn Operation>]) -> rusqlite::Result<()> {
        let result = self.apply_all(batch);
        if result.is_err() && !self.db.is_autocommit() {
            // If even the rollback fails, the next BEGIN fails too and says so.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        result
    }

    fn apply_all(&self, batch: &mut [Box<dyn Operation>]) -> rusqlite::Result<()> {
        self.cached("BEGIN IMMEDIATE")?;
        for operation in batch.iter_mut() {
            self.cached("SAVEPOINT operation")?;
            let applied = match operation.apply(&self.db) {
                Ok(applied) => applied,
                // SQLite itself may have rolled the whole transaction back, or the file is broken.
                Err(error) if self.db.is_autocommit() || is_fatal(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "a change failed");
                    Applied::Undo
                }
            };
            if applied == Applied::Undo {
                self.cached("ROLLBACK TO operation")?;
            }
            self.cached("RELEASE operation")?;
        }
        let begun = subrosa_ambient::instant();
        self.cached("COMMIT")?;
        self.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        self.metrics.changes.inc_by(batch.len() as u64);
        Ok(())
    }

    fn cached(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Has the log moved into the database when it has grown enough.
    fn checkpoint(&mut self) -> Result<(), String> {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < self.asked_at {
            // The log has started again.
            self.moved.store(0, Ordering::Relaxed);
            self.asked_at = 0;
            self.restart_at = self.log.restart;
        }
        let rest = pages.saturating_sub(self.moved.load(Ordering::Relaxed));
        if pages >= self.restart_at && (rest <= self.log.rest || pages >= self.log.forced) {
            // Somebody who reads may keep it from its end.
            self.restart_at = pages + self.log.moved;
            match passive_checkpoint(&self.db) {
                Ok(_) => return Ok(()),
                Err(error) if is_fatal(&error) => return Err(error.to_string()),
                Err(error) => tracing::warn!(%error, "the log could not be checkpointed"),
            }
        }
        // Near the end the checkpointer is asked again soon: what came in while it moved much is then little enough to finish.
        let step = if pages >= self.restart_at { self.log.rest } else { self.log.moved };
        if pages - self.asked_at < step {
            return Ok(());
        }
        self.asked_at = pages;
        match self.checkpointer.try_send(()) {
            // Full: it is at it already.
            Ok(()) | Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Disconnected(())) => Err("the checkpoint thread has ended".to_owned()),
        }
    }
}

/// Answers everybody before the relay ends.
fn fail(batch: Vec<Box<dyn Operation>>, error: &rusqlite::Error) -> String {
    batch.into_iter().for_each(|operation| operation.answer(Some(&unavailable(error))));
    error.to_string()
}

/// Moves what can be moved without waiting for anybody; answers how many pages of the log have been moved by now.
fn passive_checkpoint(db: &Connection) -> rusqlite::Result<u64> {
    // Minus one while another checkpoint runs.
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok(row.get::<_, i64>(2)?.try_into().unwrap_or(0)))
}

/// The checkpoint's fsyncs happen on this thread and connection, so that no commit waits for them.
fn start_checkpointer(path: &Path, moved: Arc<AtomicU64>) -> Result<SyncSender<()>, RelayError> {
    let db = schema::open_checkpointer(path)?;
    let (wanted, requests) = sync_channel::<()>(1);
    #[cfg(feature = "simulation")]
    if simulation::is_on() {
        // The log of a simulated life stays short: the writer asks, and that is all.
        simulation::worker(async move {
            let _requests = requests;
            std::future::pending().await
        });
        return Ok(wanted);
    }
    thread::Builder::new().name("relay-checkpoint".to_owned()).spawn(move || {
        while requests.recv().is_ok() {
            match passive_checkpoint(&db) {
                Ok(pages) => moved.store(pages, Ordering::Relaxed),
                // A full disk: the log keeps everything until there is space.
                Err(error) => tracing::warn!(%error, "checkpointing failed"),
            }
        }
    })?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Synchronous;

    fn opened(dir: &Path) -> (Connection, PathBuf) {
        let path = dir.join(schema::FILE_NAME);
        (schema::open(&path, Synchronous::Full, None, None).unwrap().0, path)
    }

    fn start(dir: &Path) -> (Writer, StoreStopped) {
        let (db, path) = opened(dir);
        Writer::start(db, &path, 0, CommitMetrics::default()).unwrap()
    }

    const SOURCE: Source = Source::RELAY;
    const ROW: Cost = Cost::rows(1);

    fn put(key: &'static str) -> impl FnMut(&Connection) -> Result<(), OpError> + Send {
        move |db| {
            db.execute("INSERT INTO meta (key, value) VALUES (?1, x'00')", [key])?;
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_operation_that_fails_takes_no_other_of_its_commit_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, stopped) = start(dir.path());
        // Holds the writer while the others queue up behind it, so that they share one commit.
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let holding = writer.enqueue(SOURCE, ROW, Kind::Other, move |_| Ok(hold.recv().is_ok())).await.unwrap();
        let first = writer.enqueue(SOURCE, ROW, Kind::Other, put("first")).await.unwrap();
        let twice = writer.enqueue(SOURCE, ROW, Kind::Other, put("first")).await.unwrap();
        let half = writer
            .enqueue(SOURCE, ROW, Kind::Other, |db| {
                put("half")(db)?;
                Err::<(), _>(subrosa_wire::submit::Refusal::never(subrosa_wire::ErrorCode::NotFound).into())
            })
            .await
            .unwrap();
        let last = writer.enqueue(SOURCE, ROW, Kind::Other, put("last")).await.unwrap();
        release.send(()).unwrap();
        assert!(holding.await.unwrap().unwrap());
        assert!(first.await.unwrap().is_ok());
        assert!(matches!(twice.await.unwrap(), Err(StoreError::Unavailable(_))));
        assert!(matches!(half.await.unwrap(), Err(StoreError::Refused(_))));
        assert!(last.await.unwrap().is_ok());
        drop(writer);
        assert_eq!(stopped.await.unwrap(), Ok(()));
        let db = schema::open_reader(&dir.path().join(schema::FILE_NAME)).unwrap();
        let keys: Vec<String> = db
            .prepare("SELECT key FROM meta WHERE key <> 'epoch' ORDER BY key")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(keys, ["first", "last"]);
    }

    #[tokio::test]
    async fn a_dead_writer_is_noticed_and_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, stopped) = start(dir.path());
        let died = writer.change(SOURCE, ROW, |_| -> Result<(), OpError> { panic!("planted") }).await;
        assert!(matches!(died, Err(StoreError::Unavailable(_))));
        assert!(stopped.await.is_err(), "what `Relay::serve` ends the process for");
        assert!(matches!(writer.change(SOURCE, ROW, put("late")).await, Err(StoreError::Unavailable(_))));
    }

    const SMALL_LOG: LogSize = LogSize { moved: 100, restart: 400, rest: 100, forced: 1_000 };

    /// Changes a page of 4 KiB in so many commits.
    async fn write(writer: &Writer, commits: u64) {
        for _ in 0..commits {
            let insert = |db: &Connection| {
                db.prepare_cached("INSERT INTO body (refs, bytes) VALUES (1, ?1)")?.execute([&[7_u8; 3_000]])?;
                Ok(())
            };
            writer.change(SOURCE, ROW, insert).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_log_is_moved_into_the_database_while_writing_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = opened(dir.path());
        let log = LogSize { restart: u64::MAX, forced: u64::MAX, ..SMALL_LOG };
        let (writer, _stopped) = Writer::start_with(log, db, &path, 0, CommitMetrics::default()).unwrap();
        write(&writer, 2 * log.moved).await;
        // The checkpoint is made by another thread: go on writing until it is seen.
        let moved = async {
            while std::fs::metadata(&path).unwrap().len() < log.moved * 4_096 {
                writer.change(SOURCE, ROW, |_| Ok(())).await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), moved).await.unwrap();
    }

    #[tokio::test]
    async fn a_log_that_has_grown_starts_again_at_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = opened(dir.path());
        let (writer, _stopped) = Writer::start_with(SMALL_LOG, db, &path, 0, CommitMetrics::default()).unwrap();
        // Each commit adds two pages or more: ten times what is enough, were it never to start again.
        write(&writer, 10 * SMALL_LOG.forced / 2).await;
        let log = std::fs::metadata(dir.path().join(format!("{}-wal", schema::FILE_NAME))).unwrap().len();
        assert!(log < 2 * SMALL_LOG.forced * 4_096, "{log}");
    }
}
