//! The script of one round.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    Kind, Plan, Round,
    cast::{Cast, Living},
};
use crate::{
    account::Account,
    journal::{Progress, judge},
};

/// What is written while all is well arrives within this.
const TALK_WITHIN: Duration = Duration::from_secs(60);
/// The waiting messages are all at the relay within this.
const WAITING_WITHIN: Duration = Duration::from_secs(600);
/// After everything is there, reports of delivery may take so much longer.
const REPORTED_WITHIN: Duration = Duration::from_secs(20);
/// Then nothing comes any more; what comes all the same is shown twice.
const LINGER: Duration = Duration::from_secs(2);
/// At most so many messages of each conversation and direction before the copy is made.
const BEFORE: u64 = 12;
/// At most so many that are under way when the directory is lost.
const UNDER_WAY: u64 = 6;
/// So many when the copy lives.
const AFTER: u64 = 3;
/// Longest pause before something that happens at a random moment, milliseconds.
const PAUSE_MS: u64 = 400;
/// Longest time that two copies live before anybody looks, or that a late contact is late, milliseconds.
const LONG_PAUSE_MS: u64 = 2_000;
/// Longest pause between two kills, milliseconds.
const KILL_PAUSE_MS: u64 = 1_500;

async fn pause(random: &mut StdRng, longest_ms: u64) {
    sleep(Duration::from_millis(random.random_range(0..=longest_ms))).await;
}

/// Plays it in an empty directory.
pub(super) async fn run(plan: &Plan, kind: Kind, seed: u64, root: &Path) -> Result<Round> {
    let mut random = StdRng::seed_from_u64(seed);
    let two_relays = random.random();
    let (cast, victim) = Cast::assemble(root, two_relays, &mut random).await?;
    let original = victim.account.clone();
    let copy = match kind {
        Kind::Restore | Kind::Both => original.copy_at("restored", &root.join("vera-restored")),
        Kind::Rollback => original.copy_at("old", &original.home),
    };

    // Everybody writes, and at some moment the copy is made.
    everybody_writes(&cast, &victim, random.random_range(2..=BEFORE));
    pause(&mut random, PAUSE_MS).await;
    match kind {
        Kind::Restore | Kind::Both => cast.back_up(&victim, &copy).await?,
        Kind::Rollback => cast.copy_directory(&victim, &copy).await?,
    }
    // They write on. All of this is delivered and acknowledged: no relay has it any more.
    everybody_writes(&cast, &victim, random.random_range(1..=plan.between.max(1)));
    let settled = |now: &Progress| now.to_show == 0 && now.to_deliver == 0;
    ensure!(reached(&cast, &victim, TALK_WITHIN, settled).await, "the talk before anything was lost did not arrive");
    // It ends in the middle of something.
    everybody_writes(&cast, &victim, random.random_range(0..=UNDER_WAY));
    pause(&mut random, PAUSE_MS).await;

    let original = if kind == Kind::Both {
        let held = victim.keeper.kill_and_hold().await?;
        Some((victim, held))
    } else {
        cast.lose(victim).await?;
        None
    };
    let late = pile_up(plan, &cast, &mut random).await?;

    let (mut victim, lives) = match (kind, original) {
        (Kind::Both, Some((original, held))) => both(&cast, original, held, &copy, &mut random).await?,
        (Kind::Restore | Kind::Both, _) => {
            cast.restore(&copy).await?;
            (Living::start(copy, &cast.around), "restored")
        }
        (Kind::Rollback, _) => {
            cast.put_back(&copy)?;
            let old = Living::start(copy, &cast.around);
            old.stands_still(cast.journal()).await?;
            old.choose(cast.journal()).await?;
            (old, "old")
        }
    };
    victim.keeper.serving().await?;
    if lives != "original" {
        cast.look_at_history(&victim, false).await?;
        victim.write_to(&cast.ids(), cast.journal(), &mut random);
    }
    let late_ones = late.len();
    for (place, held) in late {
        pause(&mut random, LONG_PAUSE_MS).await;
        let _ = held.send(());
        cast.contacts[place].keeper.serving().await?;
    }

    // Everybody is online.
    let online = Instant::now();
    everybody_writes(&cast, &victim, AFTER);
    let complete = async {
        let complete = reached(&cast, &victim, plan.bound(), |now| now.to_show == 0).await;
        complete.then(|| online.elapsed().as_secs_f64())
    };
    let (seconds, killed) = tokio::join!(complete, kill(plan.kills, &cast, &victim, &mut random));
    killed?;
    if seconds.is_some() {
        // What was not reported in time stands in the verdict.
        reached(&cast, &victim, REPORTED_WITHIN, settled).await;
    }
    sleep(LINGER).await;
    for living in cast.contacts.iter().chain([&victim]) {
        living.keeper.serving().await?;
    }
    cast.look_at_history(&victim, true).await?;
    let round = Round {
        kind,
        seed,
        lives: lives.to_owned(),
        two_relays,
        seconds,
        bound_seconds: plan.bound().as_secs_f64(),
        kills: plan.kills,
        late: late_ones,
        verdict: judge(&cast.journal().entries()),
        journal: root.join("journal.jsonl").display().to_string(),
    };
    cast.stop(victim).await;
    Ok(round)
}

fn everybody_writes(cast: &Cast, victim: &Living, count: u64) {
    for living in cast.contacts.iter().chain([victim]) {
        living.release(count);
    }
}

/// Waits until the journal has got so far; says whether it has.
async fn reached(cast: &Cast, victim: &Living, longest: Duration, far_enough: impl Fn(&Progress) -> bool) -> bool {
    // A sender that is about to be answered counts from its answer on.
    let all_accepted = async {
        for living in cast.contacts.iter().chain([victim]) {
            living.all_accepted(cast.journal()).await;
        }
        let mut progress = cast.journal().progress();
        let _ = progress.wait_for(|now| far_enough(now)).await;
    };
    timeout(longest, all_accepted).await.is_ok()
}

/// Nobody fetches, the contacts write; those that come late go offline once the relay has it all.
async fn pile_up(plan: &Plan, cast: &Cast, random: &mut StdRng) -> Result<Vec<(usize, oneshot::Sender<()>)>> {
    let count = cast.contacts.len() as u64;
    for (number, contact) in (0..count).zip(&cast.contacts) {
        contact.release(plan.waiting / count + u64::from(number < plan.waiting % count));
    }
    let all_sent = async {
        for contact in &cast.contacts {
            contact.all_sent(cast.journal()).await?;
        }
        anyhow::Ok(())
    };
    timeout(WAITING_WITHIN, all_sent).await.context("the waiting messages were not sent in time")??;
    let mut late = Vec::new();
    if plan.late {
        let mut places: Vec<usize> = (0..cast.contacts.len()).collect();
        places.shuffle(random);
        for place in places.into_iter().take(random.random_range(1..=cast.contacts.len())) {
            late.push((place, cast.contacts[place].keeper.kill_and_hold().await?));
        }
    }
    Ok(late)
}

/// The original is started again while its backup is restored elsewhere: it must stop by itself. Then one is chosen.
async fn both(
    cast: &Cast,
    original: Living,
    held: oneshot::Sender<()>,
    copy: &Account,
    random: &mut StdRng,
) -> Result<(Living, &'static str)> {
    let journal = cast.journal();
    let _ = held.send(());
    original.keeper.serving().await?;
    pause(random, PAUSE_MS).await;
    cast.restore(copy).await?;
    let restored = Living::start(copy.clone(), &cast.around);
    restored.keeper.serving().await?;
    original.stands_still(journal).await?;
    // Before anybody looks, the others write on.
    cast.contacts.iter().for_each(|contact| contact.release(1));
    pause(random, LONG_PAUSE_MS).await;
    if random.random() {
        cast.lose(original).await?;
        return Ok((restored, "restored"));
    }
    original.choose(journal).await?;
    restored.stands_still(journal).await?;
    cast.lose(restored).await?;
    Ok((original, "original"))
}

/// Kills the living copy and contacts at random moments.
async fn kill(times: u32, cast: &Cast, victim: &Living, random: &mut StdRng) -> Result<()> {
    for _ in 0..times {
        sleep(Duration::from_millis(random.random_range(5..=KILL_PAUSE_MS))).await;
        // The copy, which has the most to do, half of the time.
        let contact = random.random_range(0..2 * cast.contacts.len());
        let killed = cast.contacts.get(contact).unwrap_or(victim);
        killed.keeper.kill(None).await?;
    }
    Ok(())
}
