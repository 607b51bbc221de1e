//! What the writer thread counts.

use prometheus_client::metrics::{
    counter::Counter,
    histogram::{Histogram, exponential_buckets},
};

/// Commits from 50 µs (a disk that lies, or memory) to 1.6 s (a disk that dies), doubling.
const COMMIT_BUCKETS: (f64, f64, u16) = (0.000_05, 2.0, 16);

/// What the writer thread counts.
#[derive(Debug, Clone)]
pub(crate) struct CommitMetrics {
    pub(crate) seconds: Histogram,
    /// Until a change was taken for a commit.
    pub(crate) queued: Histogram,
    pub(crate) changes: Counter,
}

impl Default for CommitMetrics {
    fn default() -> Self {
        let (first, factor, count) = COMMIT_BUCKETS;
        let times = || Histogram::new(exponential_buckets(first, factor, count));
        Self { seconds: times(), queued: times(), changes: Counter::default() }
    }
}
