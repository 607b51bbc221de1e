//! Time and randomness as a program gets them from its computer.
//!
//! Client and relay ask here and nowhere else (`clippy.toml` forbids the rest), so that a whole engine and a whole relay can
//! live in simulated time: with the feature `simulation`, which no program that is shipped has, a thread gets its clock from
//! whoever simulates, and its randomness from a seed.

#[cfg(feature = "simulation")]
pub mod simulation;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The operating system's random generator failed. Nothing secret can be made; the caller can only stop or try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct RandomnessError;

/// Milliseconds since 1970. A clock before 1970 counts as 1970.
#[must_use]
#[allow(clippy::disallowed_methods)]
pub fn now_ms() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(now_ms) = simulation::now_ms() {
        return now_ms;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// A clock that is never set.
#[must_use]
#[allow(clippy::disallowed_methods)]
pub fn instant() -> Instant {
    #[cfg(feature = "simulation")]
    if let Some(now) = simulation::instant() {
        return now;
    }
    Instant::now()
}

/// Fills the whole buffer from the operating system: a generator in user space would be copied by a snapshot of the process or
/// machine, and then repeat itself.
///
/// # Errors
/// [`RandomnessError`]: the buffer holds nothing to be used.
#[allow(clippy::disallowed_methods)]
pub fn fill(buffer: &mut [u8]) -> Result<(), RandomnessError> {
    #[cfg(feature = "simulation")]
    if simulation::fill(buffer) {
        return Ok(());
    }
    getrandom::fill(buffer).map_err(|_| RandomnessError)
}

/// A random number from 0 to below 1, for waits that are not to fall together. Never for secrets: without randomness it is a half.
#[must_use]
pub fn fraction() -> f64 {
    let mut bytes = [0; 4];
    match fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(RandomnessError) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_below_one_and_differ() {
        let drawn: Vec<f64> = (0..64).map(|_| fraction()).collect();
        assert!(drawn.iter().all(|one| (0.0..1.0).contains(one)), "{drawn:?}");
        assert!(drawn.iter().any(|one| *one < 0.5) && drawn.iter().any(|one| *one >= 0.5), "{drawn:?}");
    }

    #[test]
    fn the_clock_is_the_computers() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert!(u128::from(now_ms()).abs_diff(before) < 60_000);
    }
}
