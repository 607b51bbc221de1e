//! Two people and their relay in simulated time, on a network that loses, stalls and cuts, in programs that crash.
//!
//! One seed is one life: which packets come late, when who crashes, what is written when, and every random byte come from it, so that
//! a life that goes wrong can be lived again (`simulate --seed`). Everything runs on one thread; the engines, the relay, their
//! protocol and their SQLite are the real ones.
//!
//! What must hold at the end of each life: what `send` accepted is shown to the other one, once, and in one order at both ends; the
//! sender knows that it was delivered; and nobody was told of anything that went wrong for good.

mod cast;
mod network;
mod trace;

use std::{fmt, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use subrosa_tasks::simulation;
use tokio::time::{Instant, sleep};

pub use cast::Stage;
use cast::{Person, RelayHost};
use network::{Internet, Weather};
use trace::Trace;

/// When every life begins: 1 January 2027, in milliseconds since 1970.
const BEGINS_MS: u64 = 1_798_761_600_000;

/// What somebody does with a packet that comes takes about so long.
const MIDDLE: Duration = Duration::from_millis(60);

/// What a life is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Texts that each of the two writes.
    pub texts: usize,
    /// Things that go wrong.
    pub faults: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { texts: 12, faults: 10 }
    }
}

/// A life that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Texts that were accepted, and shown.
    pub texts: usize,
    /// Programs that crashed.
    pub crashes: usize,
    /// How long it was, in simulated time.
    pub lasted: Duration,
    /// Everything that happened, and when: a line each.
    pub trace: String,
}

/// A life that did not, and its last events.
#[derive(Debug)]
pub struct Broken {
    /// Lived again by it.
    pub seed: u64,
    /// What does not hold.
    pub cause: anyhow::Error,
    last: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {:#}\n{}", self.seed, self.cause, self.last)
    }
}

impl std::error::Error for Broken {}

/// Runs something in a simulation.
fn simulated<T>(seed: u64, begins_ms: u64, work: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let _thread = simulation::begin(seed, begins_ms);
        work().await
    })
}

/// Lives one life.
///
/// # Errors
/// What does not hold, with the seed by which it is lived again.
pub fn live(stage: &Stage, seed: u64, plan: &Plan) -> Result<Life, Box<Broken>> {
    let mut last = String::new();
    let lived = simulated(seed, BEGINS_MS + 24 * 3_600_000, async || {
        let trace = Trace::new();
        let lived = life(stage, seed, plan, &trace).await;
        last = trace.last();
        lived
    });
    lived.map_err(|cause| Box::new(Broken { seed, cause, last }))
}

async fn life(stage: &Stage, seed: u64, plan: &Plan, trace: &Trace) -> Result<Life> {
    let began = Instant::now();
    let internet = Internet::new(seed, cast::NAMES.len(), trace.clone());
    let copy = stage.copied()?;
    let mut relay = RelayHost::start(&copy.relay(), &internet).await?;
    let people: Vec<Person> = copy.people(&internet, trace);
    for person in &people {
        person.start().await?;
    }
    let writing = people.iter().enumerate().map(|(who, person)| {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(who as u64));
        person.write(plan.texts, random)
    });
    let mut storm = Storm { random: StdRng::seed_from_u64(!seed), internet, trace: trace.clone(), crashes: 0 };
    let (written, stormed) =
        tokio::join!(futures_util::future::try_join_all(writing), storm.rage(plan.faults, &people, &mut relay, &copy));
    stormed?;
    let written: Vec<Vec<String>> = written?;
    trace.say(format_args!("all is written, and the storm is over"));
    for (person, texts) in people.iter().zip(&written) {
        person.all_delivered(texts).await?;
    }
    let ids: Vec<&String> = written.iter().flatten().collect();
    let histories = [people[0].history().await?, people[1].history().await?];
    for (who, (person, history)) in people.iter().zip(&histories).enumerate() {
        for id in &ids {
            let times = history.iter().filter(|shown| shown == id).count();
            anyhow::ensure!(times == 1, "{} is shown a text {times} times", person.name);
        }
        person.told_once(&written[1 - who]).await?;
    }
    anyhow::ensure!(histories[0] == histories[1], "the order differs: {histories:#?}");
    for (person, texts) in people.iter().zip(&written) {
        let own: Vec<&String> = histories[0].iter().filter(|id| texts.contains(id)).collect();
        anyhow::ensure!(own.into_iter().eq(texts), "what {} wrote is not in the order of writing", person.name);
    }
    for person in &people {
        person.stop().await;
    }
    relay.crash().await;
    Ok(Life { texts: ids.len(), crashes: storm.crashes, lasted: began.elapsed(), trace: trace.all() })
}

/// What goes wrong.
struct Storm {
    random: StdRng,
    internet: Internet,
    trace: Trace,
    crashes: usize,
}

impl Storm {
    fn pause(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.random.random())
    }

    /// One fault after the other; at the end everything runs and the weather is fair.
    async fn rage(
        &mut self,
        faults: usize,
        people: &[Person],
        relay: &mut RelayHost,
        copy: &cast::Copy<'_>,
    ) -> Result<()> {
        let minute = Duration::from_secs(60);
        for _ in 0..faults {
            sleep(self.pause(minute / 2)).await;
            // Mostly in the middle of something.
            if self.random.random_range(0..4) > 0 {
                self.trace.next().await;
                sleep(self.pause(MIDDLE)).await;
            }
            let who = self.random.random_range(0..people.len());
            let person = &people[who];
            let long = if self.random.random_range(0..4) == 0 { 20 * minute } else { minute };
            match self.random.random_range(0..8) {
                0 | 1 => {
                    self.trace.say(format_args!("{} crashes", person.name));
                    self.crashes += 1;
                    self.internet.cut(who);
                    person.crash().await;
                    sleep(self.pause(long)).await;
                    person.start().await.with_context(|| format!("{} starts again", person.name))?;
                    self.trace.say(format_args!("{} is back", person.name));
                }
                2 | 3 => {
                    self.trace.say(format_args!("the relay crashes"));
                    self.crashes += 1;
                    self.internet.unplug();
                    relay.crash().await;
                    sleep(self.pause(long)).await;
                    *relay = RelayHost::start(&copy.relay(), &self.internet).await.context("the relay starts again")?;
                    self.trace.say(format_args!("the relay is back"));
                }
                4 => {
                    self.trace.say(format_args!("{} stops", person.name));
                    person.stop().await;
                    sleep(self.pause(long)).await;
                    person.start().await?;
                    self.trace.say(format_args!("{} is back", person.name));
                }
                5 => {
                    self.trace.say(format_args!("nothing comes through to {}", person.name));
                    self.internet.set_way(who, false);
                    sleep(self.pause(long)).await;
                    self.internet.set_way(who, true);
                    self.trace.say(format_args!("{} is reached again", person.name));
                }
                6 => {
                    self.trace.say(format_args!("the connections of {} are cut", person.name));
                    self.internet.cut(who);
                }
                _ => {
                    let weather = Weather {
                        latency: self.pause(Duration::from_secs(3)),
                        lost: self.random.random_range(0..200),
                        again: Duration::from_secs(1) + self.pause(Duration::from_secs(5)),
                    };
                    self.trace.say(format_args!("{weather:?}"));
                    self.internet.set_weather(weather);
                }
            }
        }
        self.internet.set_weather(Weather::FAIR);
        Ok(())
    }
}

/// Lives many lives, on several threads; gives how many there were, and those that went wrong, in the order of their seeds.
///
/// # Errors
/// The stage is not set.
pub fn live_all(
    seeds: std::ops::Range<u64>,
    threads: usize,
    plan: &Plan,
    lived: impl Fn(&Life) + Sync,
) -> Result<Vec<Broken>> {
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let broken = std::sync::Mutex::new(Vec::new());
    let stage = Stage::set()?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if seed >= seeds.end {
                            return;
                        }
                        match live(&stage, seed, plan) {
                            Ok(life) => lived(&life),
                            Err(one) => {
                                broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(*one);
                            }
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a life panicked")))
    })?;
    let mut broken = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    broken.sort_by_key(|one| one.seed);
    Ok(broken)
}
