//! A thread in simulated time: its clock is that of whoever simulates, and its randomness comes from a seed, so that the same seed is
//! the same life, step by step.

use std::{cell::RefCell, time::Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

struct World {
    random: StdRng,
    clock: fn() -> Instant,
    began: Instant,
    began_ms: u64,
}

/// As long as it lives, its thread is in simulated time.
#[derive(Debug)]
#[must_use = "simulated time ends when it is dropped"]
pub struct Thread(());

impl Drop for Thread {
    fn drop(&mut self) {
        WORLD.with_borrow_mut(|world| *world = None);
    }
}

/// Puts this thread into the time of `clock`, which begins at `began_ms` (ms since 1970).
pub fn begin(seed: u64, clock: fn() -> Instant, began_ms: u64) -> Thread {
    let world = World { random: StdRng::seed_from_u64(seed), clock, began: clock(), began_ms };
    WORLD.with_borrow_mut(|place| *place = Some(world));
    Thread(())
}

/// Whether this thread is in simulated time.
#[must_use]
pub fn is_on() -> bool {
    WORLD.with_borrow(Option::is_some)
}

pub(crate) fn now_ms() -> Option<u64> {
    WORLD.with_borrow(|world| {
        world.as_ref().map(|world| {
            let elapsed = (world.clock)().saturating_duration_since(world.began);
            let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            world.began_ms.saturating_add(elapsed)
        })
    })
}

pub(crate) fn instant() -> Option<Instant> {
    let clock = WORLD.with_borrow(|world| world.as_ref().map(|world| world.clock))?;
    Some(clock())
}

pub(crate) fn fill(buffer: &mut [u8]) -> bool {
    WORLD.with_borrow_mut(|world| world.as_mut().map(|world| world.random.fill_bytes(buffer)).is_some())
}
