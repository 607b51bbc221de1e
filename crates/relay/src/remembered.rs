//! An answer that costs something and that many ask for: looked up now and then, whoever asks how often.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

/// See the module. Those who ask while it is looked up wait for the same answer.
pub(crate) struct Remembered<T> {
    /// Holds at least this long.
    least: Duration,
    /// And at least so many times as long as it took to look up.
    times: u32,
    last: Mutex<Option<Last<T>>>,
}

struct Last<T> {
    answer: T,
    until: Instant,
}

impl<T: Clone> Remembered<T> {
    pub(crate) fn new(least: Duration, times: u32) -> Self {
        Self { least, times, last: Mutex::new(None) }
    }

    /// The answer, at most so old as it holds.
    pub(crate) async fn get(&self, look_up: impl Future<Output = T>) -> T {
        self.get_by(subrosa_ambient::instant, look_up).await
    }

    async fn get_by(&self, now: impl Fn() -> Instant, look_up: impl Future<Output = T>) -> T {
        let mut last = self.last.lock().await;
        if let Some(Last { answer, until }) = &*last
            && now() < *until
        {
            return answer.clone();
        }
        let begun = now();
        let answer = look_up.await;
        let holds = self.least.max(now().saturating_duration_since(begun).saturating_mul(self.times));
        *last = Some(Last { answer: answer.clone(), until: now() + holds });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn it_is_looked_up_no_more_often_than_it_holds() {
        let (clock, count) = (Cell::new(subrosa_ambient::instant()), Cell::new(0));
        let remembered = Remembered::new(15 * SECOND, 100);
        let look_up = |takes: Duration| {
            let (clock, count) = (&clock, &count);
            remembered.get_by(|| clock.get(), async move {
                // Others come to ask meanwhile.
                tokio::task::yield_now().await;
                clock.set(clock.get() + takes);
                count.set(count.get() + 1);
                count.get()
            })
        };
        assert_eq!(look_up(Duration::ZERO).await, 1);
        for _ in 0..100 {
            assert_eq!(look_up(Duration::ZERO).await, 1);
        }
        clock.set(clock.get() + 16 * SECOND);
        assert_eq!(tokio::join!(look_up(SECOND), look_up(SECOND), look_up(SECOND)), (2, 2, 2), "one look for all");
        clock.set(clock.get() + 99 * SECOND);
        assert_eq!(look_up(SECOND).await, 2, "what takes a second is not looked up again within a hundred");
        clock.set(clock.get() + 2 * SECOND);
        assert_eq!(look_up(SECOND).await, 3);
    }
}
