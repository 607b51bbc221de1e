//! The core: the one owner of the account's state.
//!
//! It lives on a thread of its own and runs one command after another; each change is one
//! transaction. Network tasks and interfaces reach it through [`CoreHandle`] and never share state
//! with it. Inside a change, [`Change`] is all there is: the transaction, who we are, and what to
//! wake once it is committed.

pub(in crate::engine) mod arrival;
pub(in crate::engine) mod copies;
pub(in crate::engine) mod faults;
pub(in crate::engine) mod ids;
pub(in crate::engine) mod link;
pub(in crate::engine) mod pair_keys;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde::{Serialize, de::DeserializeOwned};
pub(crate) use subrosa_ambient::now_ms;
use subrosa_crypto::PartyAddress;
#[cfg(feature = "simulation")]
use subrosa_tasks::simulation;
use subrosa_wire::{AccountId, DeviceAddress};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::{
    api::{ApiError, EngineOwner, ErrorKind},
    conversation::ConversationId,
    engine::core::pair_keys::PairKeys,
    home::Home,
    limits::{CORE_QUEUE, INLINE_SEALS, MAX_CLOCK_CORRECTION, millis},
    requests::{self, Request},
    store::{self, Db, account::Own, deliveries::Lane, events::Happened},
};

/// An address as the crypto crate wants it.
pub(crate) const fn party(address: &DeviceAddress) -> PartyAddress {
    PartyAddress { account: address.account.0, device: address.device }
}

/// The opposite of [`party`].
pub(crate) const fn address(party: &PartyAddress) -> DeviceAddress {
    DeviceAddress { account: AccountId(party.account), device: party.device }
}

/// What tasks wait for. Signals only: whoever wakes looks at the state itself.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Newest event cursor.
    pub(crate) events: watch::Sender<u64>,
    /// Something in the outbox may go.
    pub(crate) outbox: Notify,
    /// A relay task waits.
    pub(crate) tasks: Notify,
    /// Receipts wait to be gathered.
    pub(crate) receipts: Notify,
    /// Lines are held, or are not any more.
    pub(crate) held: Notify,
    /// Something may be too old to be kept, or pages may have become free.
    pub(crate) tidy: Notify,
    /// Counts changes of the outbox, for `flush`.
    pub(crate) progress: watch::Sender<u64>,
    /// As the store has it: another copy of this device was used, and this one stands still.
    pub(crate) other_copy: AtomicBool,
    /// The relay was asked for another copy and knew none, or was not reached. Nothing is sealed before: a copy would use ratchets
    /// that the other one has moved.
    pub(crate) may_seal: AtomicBool,
}

/// When a device without prekeys was asked for first, and when it may be asked for again.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct WithoutKeys {
    pub(in crate::engine) since_ms: u64,
    pub(in crate::engine) ask_again_ms: u64,
    /// How long was waited the last time.
    pub(in crate::engine) pause_ms: u64,
}

impl Signals {
    pub(in crate::engine) fn new() -> Self {
        Self {
            events: watch::Sender::new(0),
            outbox: Notify::new(),
            tasks: Notify::new(),
            receipts: Notify::new(),
            held: Notify::new(),
            tidy: Notify::new(),
            progress: watch::Sender::new(0),
            other_copy: AtomicBool::new(false),
            may_seal: AtomicBool::new(false),
        }
    }
}

/// The account's state.
pub(crate) struct Core {
    pub(in crate::engine) db: Db,
    pub(in crate::engine) own: Own,
    pub(in crate::engine) owner: EngineOwner,
    pub(in crate::engine) home: Home,
    pub(in crate::engine) pair_keys: PairKeys,
    /// Devices that have no prekeys at their relay yet.
    pub(in crate::engine) without_keys: HashMap<DeviceAddress, WithoutKeys>,
    /// Lanes whose relay was not reached the last time.
    pub(in crate::engine) struggling: HashSet<Lane>,
    /// Those of them whose next try is at a time of our choice, not of their relay's; and since when (ms since 1970).
    pub(in crate::engine) backing_off: HashMap<Lane, u64>,
    /// Lanes of which something is on its way.
    pub(in crate::engine) busy: HashSet<Lane>,
    /// So many envelopes are sealed where they are taken.
    pub(in crate::engine) inline_seals: usize,
    /// Chats of which old messages are being deleted, and in how many portions so far.
    pub(in crate::engine) deleting: BTreeMap<ConversationId, u32>,
    /// Something was deleted of which nothing is to stay, also in the log.
    scrubs: bool,
    /// The relay's clock minus ours, once it told us.
    pub(in crate::engine) clock_off_ms: Option<i64>,
    /// One-time prekeys that the relay had when it last told us.
    pub(in crate::engine) prekeys_left: Option<subrosa_wire::mailbox::PrekeyCount>,
    pub(in crate::engine) signals: Arc<Signals>,
}

/// One transaction and what it will wake.
pub(crate) struct Change<'a> {
    pub(crate) db: &'a Db,
    pub(crate) own: &'a Own,
    pub(in crate::engine) pair_keys: &'a mut PairKeys,
    pub(crate) now_ms: u64,
    /// The relay's clock minus ours, as far as it is heeded.
    correction_ms: i64,
    newest_event: Option<u64>,
    wake_outbox: bool,
    wake_tasks: bool,
    wake_receipts: bool,
    wake_held: bool,
    reload_own: bool,
    scrubs: bool,
}

impl Change<'_> {
    /// Appends an event; interfaces see it after the commit.
    pub(crate) fn event(&mut self, event: &Happened) -> Result<(), ApiError> {
        self.newest_event = Some(store::events::append(self.db, event)?);
        Ok(())
    }

    /// Something in the outbox may go.
    pub(crate) const fn wake_outbox(&mut self) {
        self.wake_outbox = true;
    }

    /// Receipts wait.
    pub(crate) const fn wake_receipts(&mut self) {
        self.wake_receipts = true;
    }

    /// Lines are held, or need not be any more.
    pub(crate) const fn wake_held(&mut self) {
        self.wake_held = true;
    }

    /// The account row changed.
    pub(crate) const fn reload_own(&mut self) {
        self.reload_own = true;
    }

    /// What was deleted is to stay nowhere, also not in the store's log.
    pub(crate) const fn scrub(&mut self) {
        self.scrubs = true;
    }

    /// Now, by the relay's clock if that is known and near ours.
    pub(crate) const fn corrected_ms(&self) -> u64 {
        self.now_ms.saturating_add_signed(self.correction_ms)
    }

    /// Queues a request to the own relay, in the same transaction as the change it belongs to.
    pub(crate) fn relay_task(&mut self, request: subrosa_wire::mailbox::MailboxRequest) -> Result<i64, ApiError> {
        let frame = subrosa_wire::mailbox::MailboxClientFrame::Request { id: 0, op: request };
        self.wake_tasks = true;
        Ok(store::tasks::put(self.db, &frame.encode())?)
    }

    /// Our party address.
    pub(crate) const fn own_party(&self) -> PartyAddress {
        party(&self.own.address)
    }
}

/// What a committed change wakes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wakes {
    newest_event: Option<u64>,
    outbox: bool,
    tasks: bool,
    receipts: bool,
    held: bool,
}

impl Core {
    pub(in crate::engine) fn new(
        db: Db,
        owner: EngineOwner,
        home: Home,
        signals: Arc<Signals>,
    ) -> Result<Self, ApiError> {
        let own = store::account::load(&db)?;
        signals.other_copy.store(store::copies::other_copy(&db)?, Ordering::SeqCst);
        Ok(Self {
            db,
            own,
            owner,
            home,
            pair_keys: PairKeys::new(),
            without_keys: HashMap::new(),
            struggling: HashSet::new(),
            backing_off: HashMap::new(),
            busy: HashSet::new(),
            inline_seals: INLINE_SEALS,
            deleting: BTreeMap::new(),
            scrubs: false,
            clock_off_ms: None,
            prekeys_left: None,
            signals,
        })
    }

    /// Runs one change in one transaction. An error rolls everything back.
    pub(crate) fn change<R>(&mut self, f: impl FnOnce(&mut Change<'_>) -> Result<R, ApiError>) -> Result<R, ApiError> {
        let (result, wakes) = self.change_quietly(f)?;
        self.publish(wakes);
        Ok(result)
    }

    /// As [`Core::change`], but nobody is woken yet: for receiving, where the acknowledgement goes first.
    pub(crate) fn change_quietly<R>(
        &mut self,
        f: impl FnOnce(&mut Change<'_>) -> Result<R, ApiError>,
    ) -> Result<(R, Wakes), ApiError> {
        // Within a request ([`Core::once`]) its transaction is open already.
        let (begin, commit, rollback) = if self.db.is_autocommit() {
            ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
        } else {
            ("SAVEPOINT change", "RELEASE change", "ROLLBACK TO change; RELEASE change")
        };
        self.db.execute_batch(begin).map_err(store::StoreError::from)?;
        let correction_ms = self.clock_off_ms.filter(|off| off.unsigned_abs() <= millis(MAX_CLOCK_CORRECTION));
        let mut change = Change {
            db: &self.db,
            own: &self.own,
            pair_keys: &mut self.pair_keys,
            now_ms: now_ms(),
            correction_ms: correction_ms.unwrap_or(0),
            newest_event: None,
            wake_outbox: false,
            wake_tasks: false,
            wake_receipts: false,
            wake_held: false,
            reload_own: false,
            scrubs: false,
        };
        let result = f(&mut change);
        let wakes = Wakes {
            newest_event: change.newest_event,
            outbox: change.wake_outbox,
            tasks: change.wake_tasks,
            receipts: change.wake_receipts,
            held: change.wake_held,
        };
        let (reload, scrubs) = (change.reload_own, change.scrubs);
        let result = result.and_then(|result| {
            self.db.execute_batch(commit).map_err(store::StoreError::from)?;
            Ok(result)
        });
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                // A transaction that failed hard is rolled back already; the first error says more.
                let _ = self.db.execute_batch(rollback);
                return Err(error);
            }
        };
        if reload {
            self.own = store::account::load(&self.db)?;
        }
        self.scrubs |= scrubs;
        self.scrub();
        if scrubs {
            self.signals.tidy.notify_one();
        }
        Ok((result, wakes))
    }

    /// Carries a call out once: its result is kept in the same transaction as its change, and the same request again gets
    /// that result. Without a request it is just carried out.
    pub(crate) fn once<R: Serialize + DeserializeOwned>(
        &mut self,
        request: Option<&Request>,
        f: impl FnOnce(&mut Self) -> Result<R, ApiError>,
    ) -> Result<R, ApiError> {
        let Some(request) = request else { return f(self) };
        if let Some((call, result)) = store::requests::get(&self.db, &request.id)? {
            if call != request.call {
                return Err(ApiError::new(ErrorKind::Usage, "this request id was used for another call")
                    .hint("make a new id for each call; use the same only to repeat it"));
            }
            return Ok(serde_json::from_str(&result).map_err(|_| store::StoreError::Damaged("request row"))?);
        }
        self.db.execute_batch("BEGIN IMMEDIATE").map_err(store::StoreError::from)?;
        let done = f(self).and_then(|done| {
            let result = serde_json::to_string(&done)
                .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the result cannot be kept: {error}")))?;
            store::requests::put(&self.db, &request.id, &request.call, &result, now_ms())?;
            self.db.execute_batch("COMMIT").map_err(store::StoreError::from)?;
            Ok(done)
        });
        self.scrub();
        if done.is_err() {
            let _ = self.db.execute_batch("ROLLBACK");
            // A change in it may have brought a new account row, which is undone now.
            self.own = store::account::load(&self.db)?;
        }
        done
    }

    /// The log is emptied, and the store as long as it says.
    pub(in crate::engine) fn empty_log(&mut self) {
        self.scrubs = true;
        self.scrub();
    }

    /// The store's log holds pages as they were. Once a change in which something went for good is committed, it is emptied.
    fn scrub(&mut self) {
        if !self.scrubs || !self.db.is_autocommit() {
            return;
        }
        // Whoever reads meanwhile (a backup) keeps the log; it is emptied by a later checkpoint then.
        let emptied = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        self.scrubs = !matches!(emptied, Ok(0));
    }

    /// Wakes whoever waits for what a change brought.
    pub(crate) fn publish(&self, wakes: Wakes) {
        if let Some(cursor) = wakes.newest_event {
            self.signals.events.send_modify(|newest| *newest = (*newest).max(cursor));
        }
        if wakes.outbox {
            self.signals.outbox.notify_one();
        }
        if wakes.tasks {
            self.signals.tasks.notify_one();
        }
        if wakes.receipts {
            self.signals.receipts.notify_one();
        }
        if wakes.held {
            self.signals.held.notify_one();
        }
        self.signals.progress.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// How long a step of the core takes at most where time is simulated: a commit on a slow disk.
#[cfg(feature = "simulation")]
const SIMULATED_STEP: std::time::Duration = std::time::Duration::from_millis(5);

type Work = Box<dyn FnOnce(&mut Core) + Send>;

enum Command {
    Run(Work),
    /// Close the store; whoever comes later is told that the engine has stopped.
    Stop,
}

/// Sends commands to the core's thread.
#[derive(Clone)]
pub(crate) struct CoreHandle {
    running: Arc<Running>,
}

/// The queue closes before its thread is waited for: the order of these fields.
struct Running {
    commands: mpsc::Sender<Command>,
    thread: CoreThread,
    /// Closes when the task has ended that is the thread.
    #[cfg(feature = "simulation")]
    ended: Option<watch::Receiver<()>>,
}

/// Waits for the thread when it goes. No process may end while a store closes: SQLCipher's handler at the exit frees the heap
/// in which the keys lie that the closing wipes.
struct CoreThread(Mutex<Option<JoinHandle<()>>>);

impl CoreThread {
    fn join(&self) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The core's own thread can drop the last handle, with a command that held one.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic there has been told to whoever waited for an answer.
            let _ = thread.join();
        }
    }
}

impl Drop for CoreThread {
    fn drop(&mut self) {
        self.join();
    }
}

impl CoreHandle {
    /// Starts the core's thread. It ends at [`CoreHandle::stop`] or when the last handle is dropped; both wait for it.
    pub(in crate::engine) fn start(mut core: Core) -> Result<Self, ApiError> {
        let (commands, mut queue) = mpsc::channel::<Command>(CORE_QUEUE);
        #[cfg(feature = "simulation")]
        if simulation::is_on() {
            let (open, ended) = watch::channel(());
            simulation::worker(async move {
                while let Some(Command::Run(work)) = queue.recv().await {
                    simulation::lag(SIMULATED_STEP).await;
                    work(&mut core);
                }
                drop(core);
                drop(open);
            });
            let thread = CoreThread(Mutex::new(None));
            return Ok(Self { running: Arc::new(Running { commands, thread, ended: Some(ended) }) });
        }
        let thread = std::thread::Builder::new()
            .name("subrosa-core".into())
            .spawn(move || {
                while let Some(Command::Run(work)) = queue.blocking_recv() {
                    work(&mut core);
                }
            })
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("no thread for the engine: {error}")))?;
        let thread = CoreThread(Mutex::new(Some(thread)));
        Ok(Self {
            running: Arc::new(Running {
                commands,
                thread,
                #[cfg(feature = "simulation")]
                ended: None,
            }),
        })
    }

    /// Runs `f` on the core and returns its result.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Core) -> Result<R, ApiError> + Send + 'static,
    ) -> Result<R, ApiError> {
        let gone = || ApiError::new(ErrorKind::EngineGone, "the engine has stopped");
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |core| {
            // A caller that has gone away does not want the answer; the change stands.
            let _ = reply.send(f(core));
        });
        self.running.commands.send(Command::Run(work)).await.map_err(|_| gone())?;
        let answer = answer.await.map_err(|_| gone())?;
        #[cfg(feature = "simulation")]
        if simulation::is_on() {
            // What was done is known a moment later, so that a crash may come between.
            simulation::lag(SIMULATED_STEP).await;
            if self.running.commands.is_closed() {
                return Err(gone());
            }
        }
        answer
    }

    /// As [`CoreHandle::run`]; what belongs to a request is done once ([`Core::once`]).
    pub(crate) async fn once<R: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        f: impl FnOnce(&mut Core) -> Result<R, ApiError> + Send + 'static,
    ) -> Result<R, ApiError> {
        let request = requests::current();
        self.run(move |core| core.once(request.as_ref(), f)).await
    }

    /// Ends the core's thread after the commands before this one and waits until the store is closed.
    pub(in crate::engine) async fn stop(&self) {
        // A closed queue means that it has ended already.
        let _ = self.running.commands.send(Command::Stop).await;
        #[cfg(feature = "simulation")]
        if let Some(mut ended) = self.running.ended.clone() {
            while ended.changed().await.is_ok() {}
            return;
        }
        let running = Arc::clone(&self.running);
        // Fails only if the runtime ends meanwhile; then the last handle waits.
        let _ = subrosa_tasks::beside(move || running.thread.join()).await;
    }
}
