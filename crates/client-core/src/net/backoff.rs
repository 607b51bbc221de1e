//! Waiting between tries: doubling, with full jitter, so that clients of a restarted relay do not
//! come back all at once.

use std::time::Duration;

use crate::limits::{RETRY_FIRST, RETRY_MAX};

/// Shortest wait: jitter may draw zero, and a loop without a pause burns a core.
const RETRY_FLOOR: Duration = Duration::from_millis(20);

/// Doublings that are counted; [`RETRY_MAX`] is reached long before.
const MAX_DOUBLINGS: u32 = 20;

/// The waits of one thing that is tried again and again.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(RETRY_FIRST, RETRY_MAX)
    }
}

impl Backoff {
    /// Waits up to `first`, then up to twice as long each time, up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0 }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let wait = jitter(self.bound(self.tries));
        self.tries = self.tries.saturating_add(1);
        wait
    }

    /// It worked: the next failure starts from the first wait again.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }

    /// Longest wait after `tries` failures before this one.
    fn bound(&self, tries: u32) -> Duration {
        self.first.saturating_mul(1 << tries.min(MAX_DOUBLINGS)).min(self.longest)
    }
}

/// Evenly drawn between nothing (or a few milliseconds) and `bound`.
pub(crate) fn jitter(bound: Duration) -> Duration {
    bound.mul_f64(subrosa_ambient::fraction()).max(RETRY_FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_to_the_longest_wait_and_reset() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.bound(0), RETRY_FIRST);
        assert_eq!(backoff.bound(1), RETRY_FIRST * 2);
        assert_eq!(backoff.bound(3), RETRY_FIRST * 8);
        assert_eq!(backoff.bound(u32::MAX), RETRY_MAX);
        for _ in 0..100 {
            assert!(backoff.next_wait() <= RETRY_MAX);
        }
        backoff.reset();
        assert!(backoff.next_wait() <= RETRY_FIRST);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let waits: Vec<_> = (0..1_000).map(|_| jitter(RETRY_MAX)).collect();
        assert!(waits.iter().any(|wait| *wait < RETRY_MAX / 4));
        assert!(waits.iter().any(|wait| *wait > RETRY_MAX * 3 / 4));
        assert!(waits.iter().all(|wait| (RETRY_FLOOR..=RETRY_MAX).contains(wait)));
    }
}
