//! How much goes into one commit: what the disk takes in some milliseconds, because who comes next waits for it.
//!
//! A row of a few hundred bytes changes up to four pages, so that a full commit writes megabytes: nothing for a disk that has
//! nothing else to do, a quarter of a second for one that has. Measured, not configured: the weight is halved when a commit
//! took too long and grows slowly otherwise.

use std::time::Duration;

/// However slow the disk is, so much shares one sync.
const LEAST: usize = 16;
/// However fast: a row costs about 10 µs and a sync 100 µs and more, larger commits would hardly store more in a second.
const MOST: usize = 256;
/// A commit that others do not notice.
const SHORT: Duration = Duration::from_millis(2);
/// On a disk that takes longer for the smallest commit: so many times that. Half of the time is then for the rows.
const TIMES: u32 = 2;
/// One small commit in so many decides what they usually take.
const SMOOTHING: u32 = 8;

/// Decides from how long commits took how large they may be.
#[derive(Debug)]
pub(super) struct CommitSize {
    most: usize,
    /// What a commit of the least weight usually takes.
    small: Duration,
}

impl CommitSize {
    pub(super) const fn new() -> Self {
        Self { most: MOST, small: Duration::ZERO }
    }

    /// Weight of the next commit.
    pub(super) const fn weight(&self) -> usize {
        self.most
    }

    /// A commit of this weight took so long.
    pub(super) fn learn(&mut self, weight: usize, took: Duration) {
        if weight <= LEAST {
            let before = if self.small.is_zero() { took } else { self.small };
            self.small = (before * (SMOOTHING - 1) + took) / SMOOTHING;
        }
        if took > SHORT.max(self.small * TIMES) {
            self.most = (self.most / 2).max(LEAST);
        } else if weight.saturating_mul(2) >= self.most {
            self.most = (self.most + self.most / 8).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a disk that needs `sync` for a commit and `row` for each row is asked to do in the end.
    fn settled(size: &mut CommitSize, sync: Duration, row: Duration) -> usize {
        let weights: Vec<usize> = (0..400)
            .map(|_| {
                let weight = size.weight();
                size.learn(weight, sync + row * u32::try_from(weight).unwrap());
                weight
            })
            .collect();
        *weights[200..].iter().max().unwrap()
    }

    #[test]
    fn commits_are_as_large_as_the_disk_takes_in_a_short_time() {
        let mut size = CommitSize::new();
        let micros = Duration::from_micros;
        assert_eq!(settled(&mut size, micros(150), micros(8)), MOST, "a fast disk");
        let busy = settled(&mut size, micros(500), micros(50));
        assert!((LEAST..=96).contains(&busy), "{busy} rows of 50 µs are 4 ms");
        let choked = settled(&mut size, micros(500), micros(1_000));
        assert!(choked <= 3 * LEAST, "{choked} on a disk that hardly moves");
        assert_eq!(settled(&mut size, micros(150), micros(8)), MOST, "and has recovered");
    }

    #[test]
    fn a_slow_sync_is_shared_by_many() {
        let mut size = CommitSize::new();
        let slow = settled(&mut size, Duration::from_millis(12), Duration::from_micros(40));
        assert!(slow > 4 * LEAST, "{slow}");
    }

    #[test]
    fn a_lone_operation_that_took_long_is_no_measure_for_many() {
        let mut size = CommitSize::new();
        size.learn(1, Duration::from_millis(50));
        assert!(size.weight() >= LEAST);
        for _ in 0..200 {
            size.learn(1, Duration::from_micros(300));
            size.learn(size.weight(), Duration::from_millis(1));
        }
        assert_eq!(size.weight(), MOST);
    }
}
