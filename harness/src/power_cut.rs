//! Power cuts: a process is killed and everything it wrote and did not sync is taken away.
//!
//! SIGKILL leaves the page cache alone, so a kill never shows a missing fsync. Here the process runs
//! with the shim `harness/shim/unsynced.c`, which keeps each file as of its last sync; after the
//! kill these copies take the files' place, and the process must still deliver all it has promised.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    journal::{Verdict, judge},
    programs::workspace,
    sender::Target,
    world::{ALICE, BOB, BOBS_RELAY, Environment, HANDLES, World},
};

/// How long the messages of one round may take to be promised.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// A directory whose unsynced writes can be taken away.
#[derive(Debug, Clone)]
pub struct Shadowed {
    data: PathBuf,
    shadow: PathBuf,
}

impl Shadowed {
    /// For the data directory `data`, whose parent must exist; the copies go beside it.
    ///
    /// # Errors
    /// The parent does not exist.
    pub fn new(data: &Path) -> Result<Self> {
        let parent = data.parent().context("a data directory without parent")?.canonicalize()?;
        let name = data.file_name().context("a data directory without name")?;
        let shadow = parent.join(format!("{}.synced", name.to_string_lossy()));
        Ok(Self { data: parent.join(name), shadow })
    }

    /// What the process needs in its environment to be watched.
    #[must_use]
    pub fn environment(&self, shim: &Path) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("LD_PRELOAD".into(), text(shim)),
            ("SUBROSA_UNSYNCED_DATA".into(), text(&self.data)),
            ("SUBROSA_UNSYNCED_SHADOW".into(), text(&self.shadow)),
        ]
    }

    /// Declares everything that is there now as synced; the process must not run.
    ///
    /// # Errors
    /// The files cannot be copied.
    pub fn sync_all(&self) -> Result<()> {
        copy_over(&self.data, &self.shadow)
    }

    /// The power cut: only what was synced stays; the process must be dead.
    ///
    /// # Errors
    /// The files cannot be replaced, or nothing at all was ever synced.
    pub fn cut(&self) -> Result<()> {
        ensure!(self.shadow.is_dir(), "nothing below {} was ever synced", self.data.display());
        copy_over(&self.shadow, &self.data)
    }
}

/// Makes `to` hold exactly the regular files of `from`.
fn copy_over(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to).with_context(|| format!("emptying {}", to.display()))?;
    }
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, from.metadata()?.permissions())?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_over(&entry.path(), &target)?;
        } else if kind.is_file() {
            // Copies permissions too: an account's files are private and must stay so.
            std::fs::copy(entry.path(), &target).with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Compiles the shim into `folder`.
///
/// # Errors
/// There is no C compiler, or it refuses.
pub fn build_shim(folder: &Path) -> Result<PathBuf> {
    let library = folder.canonicalize()?.join("unsynced.so");
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(workspace().join("harness/shim/unsynced.c"))
        .arg("-ldl")
        .stdin(Stdio::null())
        .output()
        .context("starting cc: a C compiler is needed for the unsynced-write tests")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(library)
}

/// Whose power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The receiver's relay.
    Relay,
    /// The receiver's relay, told not to sync (`SUBROSA_RELAY_SYNCHRONOUS=OFF`): proves that the shim notices.
    UnsyncedRelay,
    /// The sender's engine.
    Sender,
    /// The receiver's engine.
    Receiver,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose power is cut.
    pub victim: Victim,
    /// How often.
    pub rounds: u32,
    /// Messages from each side in a round.
    pub messages: u64,
    /// Everything random comes from it.
    pub seed: u64,
    /// How long everything may take to settle at the end.
    pub settle: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Power cuts.
    pub cuts: u32,
    /// What the journal proves.
    pub verdict: Verdict,
}

/// Runs the scenario in an empty directory: each round releases messages of both sides and cuts the
/// power while they flow. For a relay the receiver is kept away meanwhile, so that what the relay
/// accepted exists nowhere else.
///
/// # Errors
/// Something does not start; violations of the promises are in the report instead.
pub async fn run(config: &Plan, root: &Path) -> Result<Report> {
    let mut random = StdRng::seed_from_u64(config.seed);
    let shim = build_shim(root)?;
    let (place, folder) = match config.victim {
        Victim::Relay | Victim::UnsyncedRelay => (BOBS_RELAY, "relay-b"),
        Victim::Sender => (ALICE, HANDLES[0]),
        Victim::Receiver => (BOB, HANDLES[1]),
    };
    let shadowed = Shadowed::new(&root.join(folder))?;
    let mut watched = shadowed.environment(&shim);
    if config.victim == Victim::UnsyncedRelay {
        watched.push(("SUBROSA_RELAY_SYNCHRONOUS".into(), "OFF".into()));
    }
    let mut environment: [Environment<'_>; 4] = [&[]; 4];
    environment[place] = &watched;
    let world = World::start(root, environment).await?;
    if config.victim == Victim::UnsyncedRelay {
        // Only the messages shall be lost, not the accounts: the set-up counts as synced.
        let held = world.keepers[place].kill_and_hold().await?;
        shadowed.sync_all()?;
        drop(held);
        world.keepers[place].serving().await?;
    }
    let (target, watcher) = watch::channel(Target::default());
    let senders = [world.sender(0, random.random(), watcher.clone()), world.sender(1, random.random(), watcher)];
    let relay = matches!(config.victim, Victim::Relay | Victim::UnsyncedRelay);
    for round in 0..u64::from(config.rounds) {
        let away = if relay { Some(world.keepers[BOB].kill_and_hold().await?) } else { None };
        let before = *world.around.journal.progress().borrow();
        let wanted = before.sent + random.random_range(1..=usize::try_from(config.messages).unwrap_or(1));
        target.send_modify(|now| now.released = (round + 1) * config.messages);
        // Wait until some of this round's messages are promised, then a moment more.
        let mut progress = world.around.journal.progress();
        // `is_ok` at once: the guard inside would keep everybody from the journal.
        let promised = timeout(ROUND_TIMEOUT, progress.wait_for(|now| now.sent >= wanted)).await.is_ok();
        ensure!(promised, "round {round}: too few messages were accepted by a relay: {before:?} before");
        sleep(Duration::from_millis(random.random_range(0..40))).await;
        let held = world.keepers[place].kill_and_hold().await?;
        shadowed.cut()?;
        drop(held);
        drop(away);
        world.keepers[place].serving().await?;
        world.keepers[BOB].serving().await?;
    }
    target.send_modify(|now| now.last = true);
    for sender in senders {
        sender.await.context("a sender")?;
    }
    world.settle(config.settle).await;
    let verdict = judge(&world.around.journal.entries());
    world.stop().await;
    Ok(Report { cuts: config.rounds, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_takes_what_was_not_synced_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let shadowed = Shadowed::new(&root.path().join("data")).unwrap();
        std::fs::create_dir_all(shadowed.data.join("deep")).unwrap();
        let shim = build_shim(root.path()).unwrap();
        let writer = root.path().join("writer");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/shim/writer.c");
        assert!(Command::new("cc").args(["-o"]).arg(&writer).arg(source).status().unwrap().success());
        let status = Command::new(&writer).arg(&shadowed.data).envs(shadowed.environment(&shim)).status().unwrap();
        assert!(status.success());
        shadowed.cut().unwrap();
        let read = |name: &str| std::fs::read_to_string(shadowed.data.join(name)).ok();
        assert_eq!(read("deep/kept").as_deref(), Some("one"));
        assert_eq!(read("b").as_deref(), Some("moved"));
        assert_eq!((read("never"), read("a"), read("gone")), (None, None, None));
    }
}
