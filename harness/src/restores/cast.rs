//! Who takes part in a round: relays, three contacts, and the one whose directory has copies.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;
use subrosa_client_core::{
    api::{Connection, History, HistoryParams, NoParams, Status},
    chat_id,
};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{
    account::Account,
    caller::Caller,
    journal::{Entry, Journal},
    keeper::{Keeper, Program, SharedLedger, Surroundings},
    programs::Programs,
    sender::{Sender, Target},
};

/// Between two looks at something that has no event.
const POLL: Duration = Duration::from_millis(20);
/// A copy that was put out and does not say so by then never will.
const SAYS_SO_WITHIN: Duration = Duration::from_secs(30);
/// What a copy that stands still tells the person to do.
const COMMAND: &str = "subrosa account keep-this-copy";
/// How it is told in the event stream.
const NOTICE: &str = "\"code\":\"other_copy\"";
/// The most that `history` gives at once.
const PAGE: u32 = 1_000;
/// What the first directory is called.
const ORIGINAL: &str = "original";

/// Messages from one directory to one account, as many as are released.
#[derive(Debug)]
pub(super) struct Talk {
    target: watch::Sender<Target>,
    task: JoinHandle<()>,
}

impl Talk {
    /// So many more.
    pub(super) fn release(&self, more: u64) {
        self.target.send_modify(|now| now.released += more);
    }

    /// How many it may have sent so far.
    fn released(&self) -> u64 {
        self.target.borrow().released
    }

    /// Ends in the middle of whatever it does.
    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A directory, its engine, and what is written there.
#[derive(Debug)]
pub(super) struct Living {
    pub(super) account: Account,
    pub(super) keeper: Keeper,
    talks: Vec<Talk>,
    /// What the directory had accepted before its talks began: a copy begins with that of its original.
    accepted_before: usize,
}

impl Living {
    /// Starts `listen` in a directory.
    pub(super) fn start(account: Account, around: &Surroundings) -> Self {
        let name =
            account.copy.as_ref().map_or_else(|| account.name.clone(), |copy| format!("{}-{copy}", account.name));
        let keeper = Keeper::start(&name, Program::Engine(account.clone()), around, &[]);
        Self { account, keeper, talks: Vec::new(), accepted_before: 0 }
    }

    /// Calls its engine over as many deaths as it takes.
    pub(super) fn caller(&self) -> Caller {
        Caller::new(&self.account, self.keeper.up())
    }

    /// Begins to write to these accounts; nothing is released yet.
    pub(super) fn write_to(&mut self, others: &[String], journal: &Arc<Journal>, random: &mut StdRng) {
        self.accepted_before = journal.accepted_at(&self.account.place());
        self.talks = others
            .iter()
            .map(|to| {
                let (target, watcher) = watch::channel(Target::default());
                let sender = Sender {
                    from: self.account.clone(),
                    to: to.clone(),
                    caller: self.caller(),
                    journal: Arc::clone(journal),
                    random: StdRng::seed_from_u64(random.random()),
                };
                Talk { target, task: tokio::spawn(sender.run(watcher)) }
            })
            .collect();
    }

    /// So many more messages in each conversation.
    pub(super) fn release(&self, more: u64) {
        self.talks.iter().for_each(|talk| talk.release(more));
    }

    /// Asks the engine how it is.
    async fn status(&self) -> Result<Status> {
        self.caller().call("status", &NoParams {}).await.map_err(anyhow::Error::msg)
    }

    /// Waits until everything released has been accepted.
    pub(super) async fn all_accepted(&self, journal: &Journal) {
        let released: u64 = self.talks.iter().map(Talk::released).sum();
        let place = self.account.place();
        while ((journal.accepted_at(&place) - self.accepted_before) as u64) < released {
            sleep(POLL).await;
        }
    }

    /// Waits until everything released has been accepted and the relay has all of it.
    pub(super) async fn all_sent(&self, journal: &Journal) -> Result<()> {
        self.all_accepted(journal).await;
        while self.status().await?.outbox > 0 {
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Ends the engine, and before it whoever calls it.
    async fn stop(self) {
        for talk in self.talks {
            talk.stop().await;
        }
        self.keeper.stop().await;
    }

    /// Waits until this copy has stopped by itself and says so: in its state and in its event stream.
    pub(super) async fn stands_still(&self, journal: &Journal) -> Result<()> {
        let place = self.account.place();
        let told =
            |entry: &Entry| matches!(entry, Entry::Other { at, line, .. } if *at == place && line.contains(NOTICE));
        let waited = tokio::time::timeout(SAYS_SO_WITHIN, async {
            loop {
                let status = self.status().await?;
                let knows = status.relay == Connection::Displaced;
                if knows && status.error.is_some_and(|error| error.contains(COMMAND)) && journal.holds(told) {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        });
        match waited.await {
            Ok(result) => result,
            Err(_) => bail!("{} does not say that another copy was used", self.keeper.name),
        }
    }

    /// Chooses this copy, as a person does who was told that it stands still.
    pub(super) async fn choose(&self, journal: &Journal) -> Result<()> {
        journal.add(Entry::Chosen { at: self.account.place() });
        let line = self.account.run(["account", "keep-this-copy"]).await?;
        let line: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        ensure!(line.get("count").and_then(Value::as_u64) == Some(1), "keep-this-copy chose nothing: {line}");
        Ok(())
    }

    /// The messages of others in the conversation with `other`, oldest first.
    pub(super) async fn history(&self, other: &str) -> Result<Vec<String>> {
        let chat = chat_id(&self.account.id, other).context("no account ids")?;
        let mut caller = self.caller();
        let mut ids = Vec::new();
        let mut params = HistoryParams { chat, limit: Some(PAGE), oldest: true, ..Default::default() };
        loop {
            let page: History = caller.call("history", &params).await.map_err(anyhow::Error::msg)?;
            let last = page.messages.last().map(|message| message.id.clone());
            ids.extend(page.messages.into_iter().filter(|message| !message.outgoing).map(|message| message.id));
            match last {
                Some(last) if page.more_after => {
                    params = HistoryParams { after: Some(last), oldest: false, ..params };
                }
                _ => return Ok(ids),
            }
        }
    }
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) relays: Vec<Keeper>,
    pub(super) contacts: Vec<Living>,
    pub(super) around: Surroundings,
    root: PathBuf,
    passphrase: PathBuf,
}

/// The one whose directory has copies, and the others.
const VICTIM: &str = "vera";
const CONTACTS: [&str; 3] = ["carl", "dora", "emil"];

impl Cast {
    /// Starts everything in an empty directory: the contacts know the victim, whose original directory comes with it.
    pub(super) async fn assemble(root: &Path, two_relays: bool, random: &mut StdRng) -> Result<(Self, Living)> {
        let programs = Programs::locate()?;
        let around = Surroundings {
            programs: programs.clone(),
            journal: Arc::new(Journal::create(&root.join("journal.jsonl"))?),
            ledger: SharedLedger::default(),
            logs: root.to_owned(),
        };
        let mut relays = Vec::new();
        for name in ["relay-a", "relay-b"].iter().take(1 + usize::from(two_relays)) {
            let program = Program::Relay { data: root.join(name), port: 0, arguments: Vec::new() };
            let keeper = Keeper::start(name, program, &around, &[]);
            keeper.serving().await?;
            relays.push(keeper);
        }
        let (own, others) = (relays[0].url(), relays[relays.len() - 1].url());
        let victim = Account::init(&programs, root, VICTIM, &own, &[]).await?.copy_at(ORIGINAL, &root.join(VICTIM));
        let made = CONTACTS.iter().map(|name| Account::init(&programs, root, name, &others, &[]));
        let mut contacts: Vec<Living> =
            try_join_all(made).await?.into_iter().map(|account| Living::start(account, &around)).collect();
        let mut victim = Living::start(victim, &around);
        victim.keeper.serving().await?;
        for contact in &contacts {
            contact.keeper.serving().await?;
            victim.account.befriend(&contact.account).await?;
        }
        for contact in &mut contacts {
            contact.write_to(std::slice::from_ref(&victim.account.id), &around.journal, random);
        }
        let passphrase = root.join("backup.passphrase");
        std::fs::write(&passphrase, "battery staple\n")?;
        std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600))?;
        let cast = Self { relays, contacts, around, root: root.to_owned(), passphrase };
        victim.write_to(&cast.ids(), &cast.around.journal, random);
        Ok((cast, victim))
    }

    /// Account ids of the contacts.
    pub(super) fn ids(&self) -> Vec<String> {
        self.contacts.iter().map(|contact| contact.account.id.clone()).collect()
    }

    /// The journal.
    pub(super) fn journal(&self) -> &Arc<Journal> {
        &self.around.journal
    }

    fn backup_file(&self) -> PathBuf {
        self.root.join("backup")
    }

    /// Makes a backup of a directory whose engine runs; what restores it will be the place `copy`.
    pub(super) async fn back_up(&self, victim: &Living, copy: &Account) -> Result<()> {
        self.journal().add(Entry::CopyBegun { from: victim.account.place(), to: copy.place() });
        let mut arguments = vec!["backup".into(), self.backup_file().into_os_string()];
        arguments.extend(["--backup-passphrase-file".into(), self.passphrase.clone().into_os_string()]);
        victim.account.run(arguments).await?;
        self.journal().add(Entry::CopyDone { to: copy.place() });
        Ok(())
    }

    /// Restores the backup into the directory of `copy`.
    pub(super) async fn restore(&self, copy: &Account) -> Result<()> {
        let mut arguments = vec!["restore".into(), self.backup_file().into_os_string()];
        arguments.extend(["--backup-passphrase-file".into(), self.passphrase.clone().into_os_string()]);
        copy.run(arguments).await.map(|_| ())
    }

    /// Copies the directory of a victim that is stopped for as long; it is to be used later as the place `copy`.
    pub(super) async fn copy_directory(&self, victim: &Living, copy: &Account) -> Result<()> {
        let held = victim.keeper.kill_and_hold().await?;
        self.journal().add(Entry::CopyBegun { from: victim.account.place(), to: copy.place() });
        copy_tree(&victim.account.home, &self.saved())?;
        self.journal().add(Entry::CopyDone { to: copy.place() });
        let _ = held.send(());
        Ok(())
    }

    fn saved(&self) -> PathBuf {
        self.root.join("saved")
    }

    /// Puts the copied directory where the lost one was.
    pub(super) fn put_back(&self, copy: &Account) -> Result<()> {
        std::fs::rename(self.saved(), &copy.home).context("putting the old directory back")
    }

    /// Ends the engine of a directory for good; the directory goes out of the way.
    pub(super) async fn lose(&self, victim: Living) -> Result<()> {
        let account = victim.account.clone();
        victim.stop().await;
        self.journal().add(Entry::Gone { at: account.place() });
        let away = account.home.with_extension("lost");
        std::fs::rename(&account.home, away).context("taking the directory away")
    }

    /// Writes down what stands in the history of a place: as what a copy begins with, or as what it ends with.
    pub(super) async fn look_at_history(&self, victim: &Living, at_the_end: bool) -> Result<()> {
        for other in self.ids() {
            let (at, ids) = (victim.account.place(), victim.history(&other).await?);
            self.journal().add(if at_the_end { Entry::History { at, ids } } else { Entry::Held { at, ids } });
        }
        Ok(())
    }

    /// Ends all processes.
    pub(super) async fn stop(self, victim: Living) {
        for living in self.contacts.into_iter().chain([victim]) {
            living.stop().await;
        }
        for relay in self.relays {
            relay.stop().await;
        }
    }
}

/// Copies files and folders; sockets stay behind.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    std::fs::set_permissions(to, from.metadata()?.permissions())?;
    for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
}
