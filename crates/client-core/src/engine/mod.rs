//! The engine: the one process part that holds an account's ratchets.
//!
//! ```text
//! interfaces ── Client ──► Engine ──► core (one thread, one writer: the store)
//!                            │           ▲   ▲
//!              own mailbox ──┴─ mailbox ─┘   └─ dispatcher ── relays (anonymous)
//! ```
//! Commands go to the core, events come out of its event table. The network tasks hold no state of
//! their own that a crash could lose.
//!
//! The rooms, each of which imports only from those before it: `core` (the one owner of the state), `people` (who somebody is, and what
//! they are to us), `read` (what interfaces ask for), `send` (intent, seal, dispatch, result), `devices` (our own others, and upkeep),
//! `receive` (from the mailbox to what is shown). `acts` has the calls that are more than a function of the core.

mod acts;
mod core;
#[cfg(feature = "simulation")]
mod crash;
mod devices;
mod people;
mod read;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    core::{
        Core, CoreHandle, Signals,
        link::{LinkState, removed_link},
        party,
    },
    devices::RemovalWatch,
    read::leases::Leases,
    receive::mailbox::{Backlog, Mailbox, Signer},
    send::dispatch::Dispatcher,
};
use crate::{
    // The table names the parameters and results of every method.
    api::*,
    client::{Client, method_table},
    content::ContactSync,
    home::Home,
    keys::StoreKey,
    limits::{MAX_REWRITTEN_BYTES, MAX_WAIT, RECEIPT_COALESCE},
    net::{Http, MailboxEvent, MailboxHandle, Network, RelayEndpoint, Submitter, connect},
    store,
};

pub use self::devices::{DeviceRequest, OwnDevice, Provision};
pub(crate) use self::{core::now_ms, read::queries::account_view};

/// Events of the mailbox socket waiting for the engine: a few batches of pushes; beyond it the socket is not read.
const MAILBOX_QUEUE: usize = 8;

/// What could not be stored (full disk) is tried again after this long.
const HELD_RETRY_MS: u64 = 1_000;

/// How often what is too old is looked for.
const UPKEEP_EVERY: Duration = Duration::from_secs(3600);

/// A running engine. Clones share it; [`Engine::shutdown`] ends it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    core: CoreHandle,
    http: Http,
    /// What interfaces are told of the way to the relays.
    proxy: Option<String>,
    handle: MailboxHandle,
    link: watch::Receiver<LinkState>,
    signals: Arc<Signals>,
    leases: Arc<Leases>,
    stop: CancellationToken,
    tracker: TaskTracker,
    /// For readers beside the core: a backup reads for long, and nobody is to wait for it.
    store: PathBuf,
    key: Arc<StoreKey>,
}

impl Engine {
    /// Opens the store and starts working: connects to the own relay, carries on with the outbox.
    /// The caller holds the account's lock.
    ///
    /// # Errors
    /// The store does not open (wrong key, damaged, newer), or the account's relay address is not valid.
    pub async fn start(home: &Home, key: StoreKey, owner: EngineOwner, network: Network) -> Result<Self, ApiError> {
        home.require_account()?;
        let path = home.store();
        let core_home = home.clone();
        let signals = Arc::new(Signals::new());
        let core_signals = Arc::clone(&signals);
        let (key, store_path) = (Arc::new(key), path.clone());
        let store_key = Arc::clone(&key);
        let core = subrosa_tasks::beside(move || {
            let db = store::open(&path, key.as_bytes(), false)?;
            // If it fails (a full disk), the store is as it was; `doctor` says so.
            if let Err(error) = store::space::convert(&db, MAX_REWRITTEN_BYTES) {
                tracing::warn!(%error, "the store could not be made to give room back");
            }
            let mut core = Core::new(db, owner, core_home, core_signals)?;
            core.read_kept()?;
            let newest = store::events::newest(&core.db)?;
            core.signals.events.send_replace(newest);
            Ok::<_, ApiError>(core)
        })
        .await
        .map_err(|_| ApiError::new(ErrorKind::Failed, "the store could not be opened"))??;
        let identity = subrosa_crypto::IdentityKeyPair::from_seed(&core.own.identity.seed());
        let (address, account, removed) = (party(&core.own.address), core.own.address.account, core.is_removed());
        let relay = RelayEndpoint::new(core.own.relay.clone(), core.own.pin).map_err(|error| error.to_api())?;
        let http = Http::new(network.clone());
        let proxy = network.proxy_shown();
        let core = CoreHandle::start(core)?;
        let signer =
            Signer { identity, address, core: core.clone(), signals: Arc::clone(&signals), relay: relay.to_string() };

        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let (events, mailbox_events) = mpsc::channel::<MailboxEvent>(MAILBOX_QUEUE);
        // Whoever was removed does not even knock: without somebody who follows it, the connection ends before it begins.
        let mailbox_events = (!removed).then_some(mailbox_events);
        let handle = connect(network.clone(), relay.clone(), Arc::new(signer), events);
        let other_copy = signals.other_copy.load(Ordering::SeqCst);
        let first = if removed { removed_link(0) } else { LinkState::first(other_copy) };
        let (link_sender, link) = watch::channel(first);
        let dispatcher = Arc::new(Dispatcher {
            core: core.clone(),
            http: http.clone(),
            submitter: Submitter::new(network),
            handle: handle.clone(),
            signals: Arc::clone(&signals),
            tracker: tracker.clone(),
            stop: stop.clone(),
            refreshing: Mutex::new(HashSet::new()),
        });
        let mailbox = Arc::new(Mailbox {
            core: core.clone(),
            handle: handle.clone(),
            link: link_sender.clone(),
            signals: Arc::clone(&signals),
            dispatcher: Arc::clone(&dispatcher),
            displaced: AtomicBool::new(false),
            backlog: Backlog::default(),
        });
        if let Some(mailbox_events) = mailbox_events {
            let follower = tracker.spawn(Arc::clone(&mailbox).follow(mailbox_events, stop.clone()));
            let (core, http, handle, stop) = (core.clone(), http.clone(), handle.clone(), stop.clone());
            let watch = RemovalWatch { core, http, relay, account, handle, link: link_sender, stop };
            tracker.spawn(watch.run(follower));
        }
        tracker.spawn(mailbox.carry_tasks(stop.clone()));
        tracker.spawn(dispatcher.run());
        tracker.spawn(gather_receipts(core.clone(), Arc::clone(&signals), stop.clone()));
        tracker.spawn(release_held(core.clone(), Arc::clone(&signals), stop.clone()));
        tracker.spawn(upkeep(core.clone(), link.clone(), stop.clone()));
        tracker.spawn(tidy_up(core.clone(), Arc::clone(&signals), stop.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                core,
                http,
                proxy,
                handle,
                link,
                signals,
                leases: Arc::new(Leases::new()),
                stop,
                tracker,
                store: store_path,
                key: store_key,
            }),
        })
    }

    /// Ends the engine: a pending acknowledgement goes out, the store is closed. Nothing is lost that a
    /// later start would not carry on with.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.stop.cancel();
        inner.tracker.close();
        inner.tracker.wait().await;
        inner.handle.shutdown().await;
        inner.core.stop().await;
    }

    /// Waits until the relay has everything it must know of us, or the connection fails, or time is up.
    pub(crate) async fn settle(&self, patience: Duration) {
        let settled = async {
            let mut link = self.inner.link.clone();
            let mut progress = self.inner.signals.progress.subscribe();
            loop {
                let waiting = self.inner.core.run(|core| Ok(store::tasks::count(&core.db)?)).await;
                if !matches!(waiting, Ok(1..)) || link.borrow_and_update().failures > 0 {
                    return;
                }
                tokio::select! {
                    biased;
                    _ = link.changed() => {}
                    _ = progress.changed() => {}
                }
            }
        };
        // Whatever is left is carried on with at the next start.
        let _ = timeout(patience, settled).await;
    }

    /// Somebody waits now: a pause that this engine chose after a failure is not sat out. One that the relay asked for is.
    fn hurry(&self) {
        if self.inner.link.borrow().may_hurry(Instant::now()) {
            self.inner.handle.reconnect_now();
        }
    }

    /// Looks at the state again and again, each time something changed, until `look` finds what it wants.
    async fn wait_for<T: Send + 'static>(
        &self,
        timeout_ms: u64,
        mut changed: watch::Receiver<u64>,
        look: impl FnMut(&mut Core) -> Result<Option<T>, ApiError> + Clone + Send + 'static,
    ) -> Result<Option<T>, ApiError> {
        let deadline = Instant::now() + Duration::from_millis(timeout_ms).min(MAX_WAIT);
        loop {
            changed.mark_unchanged();
            if let Some(found) = self.inner.core.run(look.clone()).await? {
                return Ok(Some(found));
            }
            match timeout_at(deadline, changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
                Err(_) => return Ok(None),
            }
        }
    }
}

/// What a new store holds from the first moment: prekeys and keys for the relay, and the contacts that another
/// device of the account knows.
pub(crate) fn first_state(home: &Home, db: store::Db, contacts: &[ContactSync]) -> Result<(), ApiError> {
    let owner = EngineOwner { pid: std::process::id(), kind: "init".into() };
    let mut core = Core::new(db, owner, home.clone(), Arc::new(Signals::new()))?;
    core.change(|change| {
        change.publish_all()?;
        for contact in contacts {
            change.apply_contact_sync(contact)?;
        }
        Ok(())
    })
}

/// Makes a store that was copied from a backup fit to go on from, before any engine sees it. Gives what the device is.
pub(crate) fn begin_restored(db: store::Db, home: &Home) -> Result<store::account::Own, ApiError> {
    let owner = EngineOwner { pid: std::process::id(), kind: "restore".into() };
    let mut core = Core::new(db, owner, home.clone(), Arc::new(Signals::new()))?;
    core.change(|change| {
        store::account::mark_restored(change.db)?;
        // Whoever restores a backup has chosen it.
        store::copies::choose(change.db)?;
        store::events::skip_cursors(change.db)?;
        change.start_anew(
            "this account was restored from a backup: what came after it is asked for again from everybody in it, and new sessions are \
             being started. What this device itself sent after the backup, and contacts made after it, are not in it: exchange links again",
        )
    })?;
    Ok(core.own)
}

async fn gather_receipts(core: CoreHandle, signals: Arc<Signals>, stop: CancellationToken) {
    // Receipts of a life that was cut short go first.
    signals.receipts.notify_one();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = signals.receipts.notified() => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RECEIPT_COALESCE) => {}
        }
        if let Err(error) = core.run(Core::gather_receipts).await {
            tracing::error!(%error, "receipts could not be queued");
        }
    }
}

/// Lets lines go that waited for those before them.
async fn release_held(core: CoreHandle, signals: Arc<Signals>, stop: CancellationToken) {
    loop {
        let next_ms = match core.run(Core::release_held).await {
            Ok(next_ms) => next_ms,
            Err(error) => {
                tracing::error!(%error, "held lines could not be applied");
                Some(now_ms().saturating_add(HELD_RETRY_MS))
            }
        };
        let pause = next_ms.map(|next_ms| Duration::from_millis(next_ms.saturating_sub(now_ms())));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = signals.held.notified() => {}
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
}

async fn upkeep(core: CoreHandle, link: watch::Receiver<LinkState>, stop: CancellationToken) {
    loop {
        let (online, caught_up) = {
            let link = link.borrow();
            (link.connection == Connection::Online, link.caught_up)
        };
        if let Err(error) = core.run(move |core| core.upkeep(online, caught_up)).await {
            tracing::error!(%error, "old things could not be renewed or forgotten");
        }
        if let Err(error) = core.run(Core::renew_list).await {
            tracing::error!(%error, "the device list could not be renewed");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(UPKEEP_EVERY) => {}
        }
    }
}

/// A piece of work for the core; says whether there may be more.
type Portion = fn(&mut Core) -> Result<bool, ApiError>;

/// Deletes what is too old to be kept, then gives free pages back: at the start, whenever upkeep has looked at the clocks, and when
/// something was removed. A portion at a time, each a turn of the core.
async fn tidy_up(core: CoreHandle, signals: Arc<Signals>, stop: CancellationToken) {
    let portions: [Portion; 2] = [Core::forget_messages, Core::give_back];
    loop {
        for portion in portions {
            loop {
                if stop.is_cancelled() {
                    return;
                }
                match core.run(portion).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(%error, "the store could not be tidied up");
                        break;
                    }
                }
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = signals.tidy.notified() => {}
        }
    }
}

/// Carries an act out as its row says. Who is named there has to exist, so the table and what it is made of cannot drift apart.
macro_rules! carried_out {
    ($engine:expr, $method:ident, $params:expr, core) => {
        $engine.inner.core.run(move |core| {
            // Whoever only looks gets nothing to change: what changes something has to say whether it may be done twice.
            let core: &Core = core;
            core.$method(&$params)
        })
    };
    ($engine:expr, $method:ident, $params:expr, once core) => {
        $engine.inner.core.once(move |core| core.$method(&$params))
    };
    ($engine:expr, $method:ident, $params:expr, $(once)? act) => {
        acts::$method($engine, $params)
    };
}

macro_rules! client_for_engine {
    ($($(#[doc = $doc:literal])* $method:ident = $name:literal ($params:ty) -> $result:ty: $($how:ident)+;)*) => {
        impl Client for Engine {
            $(fn $method(&self, params: $params) -> BoxFuture<'_, Result<$result, ApiError>> {
                Box::pin(carried_out!(self, $method, params, $($how)+))
            })*
        }
    };
}

method_table!(client_for_engine);
