//! The smallest world in which delivery can be tried: two relays, and on each an account with its engine.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use rand::{SeedableRng, rngs::StdRng};
use subrosa_client_core::api::NoParams;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    account::Account,
    caller::Caller,
    journal::{Entry, Journal, Progress},
    keeper::{Keeper, Program, SharedLedger, Surroundings},
    programs::Programs,
    sender::{Sender, Target},
};

/// How long a question about the state may stay open.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The processes in the order of [`World::keepers`].
pub(crate) const ALICES_RELAY: usize = 0;
pub(crate) const BOBS_RELAY: usize = 1;
pub(crate) const ALICE: usize = 2;
pub(crate) const BOB: usize = 3;

/// The handles of the two people; long enough to be searched for in what a relay wrote.
pub const HANDLES: [&str; 2] = ["alice.at.relay-a", "bob.at.relay-b"];

/// Variables set for one of the processes.
pub type Environment<'a> = &'a [(String, String)];

/// Two relays, two engines that know each other, and the journal.
#[derive(Debug)]
pub struct World {
    /// Relay of the first account, relay of the second, first engine, second engine.
    pub keepers: Vec<Keeper>,
    /// The two accounts.
    pub accounts: [Account; 2],
    /// Where everything is written down.
    pub around: Surroundings,
}

impl World {
    /// Starts everything in `root` and makes the two accounts contacts of each other.
    ///
    /// # Errors
    /// Something does not start or does not answer.
    pub async fn start(root: &Path, environment: [Environment<'_>; 4]) -> Result<Self> {
        Self::start_with(Programs::locate()?, root, environment).await
    }

    /// As [`World::start`], with these programs.
    ///
    /// # Errors
    /// Something does not start or does not answer.
    pub async fn start_with(programs: Programs, root: &Path, environment: [Environment<'_>; 4]) -> Result<Self> {
        let world = Self::strangers_with(programs, root, environment).await?;
        world.accounts[0].befriend(&world.accounts[1]).await?;
        Ok(world)
    }

    /// Starts everything in `root`; the two accounts do not know each other.
    ///
    /// # Errors
    /// Something does not start or does not answer.
    pub async fn strangers(root: &Path, environment: [Environment<'_>; 4]) -> Result<Self> {
        Self::strangers_with(Programs::locate()?, root, environment).await
    }

    async fn strangers_with(programs: Programs, root: &Path, environment: [Environment<'_>; 4]) -> Result<Self> {
        let around = Surroundings {
            programs: programs.clone(),
            journal: Arc::new(Journal::create(&root.join("journal.jsonl"))?),
            ledger: SharedLedger::default(),
            logs: root.to_owned(),
        };
        let mut keepers = Vec::new();
        for (name, place) in [("relay-a", ALICES_RELAY), ("relay-b", BOBS_RELAY)] {
            let program = Program::Relay { data: root.join(name), port: 0, arguments: Vec::new() };
            let keeper = Keeper::start(name, program, &around, environment[place]);
            keeper.serving().await?;
            keepers.push(keeper);
        }
        let alice =
            Account::init(&programs, root, HANDLES[0], &keepers[ALICES_RELAY].url(), environment[ALICE]).await?;
        let bob = Account::init(&programs, root, HANDLES[1], &keepers[BOBS_RELAY].url(), environment[BOB]).await?;
        for (account, place) in [(&alice, ALICE), (&bob, BOB)] {
            let program = Program::Engine(account.clone());
            let keeper = Keeper::start(&account.name, program, &around, environment[place]);
            keeper.serving().await?;
            keepers.push(keeper);
        }
        Ok(Self { keepers, accounts: [alice, bob], around })
    }

    /// Calls the engine of account 0 or 1, over as many deaths as it takes.
    #[must_use]
    pub fn caller(&self, of: usize) -> Caller {
        Caller::new(&self.accounts[of], self.keepers[ALICE + of].up())
    }

    /// Starts a sender from account `from` (0 or 1) to the other one.
    #[must_use]
    pub fn sender(&self, from: usize, seed: u64, target: watch::Receiver<Target>) -> JoinHandle<()> {
        let sender = Sender {
            from: self.accounts[from].clone(),
            to: self.accounts[1 - from].id.clone(),
            caller: self.caller(from),
            journal: Arc::clone(&self.around.journal),
            random: StdRng::seed_from_u64(seed),
        };
        tokio::spawn(sender.run(target))
    }

    /// Waits until everything accepted is shown and reported as delivered; says what is missing otherwise.
    pub async fn settle(&self, longest: Duration) -> Progress {
        let mut progress = self.around.journal.progress();
        let settled = |now: &Progress| now.to_show == 0 && now.to_deliver == 0;
        let waited = timeout(longest, progress.wait_for(settled)).await.map(|_| ());
        let now = *self.around.journal.progress().borrow();
        if waited.is_err() {
            self.note(format!("not settled after {longest:?}: {now:?}"));
            self.diagnose().await;
        }
        now
    }

    /// Writes what the engines say of themselves into the journal.
    async fn diagnose(&self) {
        for account in &self.accounts {
            let status = async {
                let mut rpc = account.rpc().await?;
                Ok::<serde_json::Value, anyhow::Error>(rpc.call("status", &NoParams {}, ANSWER_TIMEOUT).await?)
            };
            match status.await {
                Ok(status) => self.note(format!("{} says: {status}", account.name)),
                Err(error) => self.note(format!("{} does not answer: {error:#}", account.name)),
            }
        }
    }

    fn note(&self, text: String) {
        self.around.journal.add(Entry::Process { text });
    }

    /// Ends all processes.
    pub async fn stop(self) {
        for keeper in self.keepers.into_iter().rev() {
            keeper.stop().await;
        }
    }
}
