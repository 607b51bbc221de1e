//! The engine: the one process part that holds an account's ratchets.
//!
//! ```text
//! interfaces ── Client ──► Engine ──► core (one thread, one writer: the store)
//!                            │           ▲   ▲
//!              own mailbox ──┴─ mailbox ─┘   └─ dispatcher ── relays (anonymous)
//! ```
//! Commands go to the core, events come out of its event table. The network tasks hold no state of
//! their own that a crash could lose.

mod acquaintance;
mod ageing;
mod audience;
mod checkup;
mod consumers;
mod contents;
mod conversations;
mod copies;
mod core;
#[cfg(feature = "simulation")]
mod crash;
mod deciding;
mod dispatch;
mod exporting;
mod faults;
mod healing;
mod leases;
mod lists;
mod mailbox;
mod naming;
mod open_links;
mod pair_keys;
mod people;
mod queries;
mod reading;
mod receivers;
mod receiving;
mod removal;
mod results;
mod routes;
mod sealed;
mod sealing;
mod search;
mod sending;
mod siblings;
#[cfg(test)]
mod tests;
mod ticks;
mod upkeep;
mod views;
mod waiting;

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
    core::{Core, CoreHandle, Signals, party},
    dispatch::Dispatcher,
    leases::Leases,
    mailbox::{LinkState, Mailbox, Signer},
    sending::{Outgoing, SendId, parse_id, random_id},
};
use crate::{
    api::{
        AccountInfo, ApiError, BackupMade, BackupParams, Chat, ChatDraftParams, ChatSetParams, Chats, ChatsParams,
        Checkup, Connection, Contact, Contacts, Done, EngineOwner, ErrorKind, EventPage, EventsParams, ExportPage,
        ExportParams, History, HistoryParams, Hits, Identity, InfoParams, Invite, InviteParams, InviteRevokeParams,
        Invites, JoinParams, MessageStatus, NoParams, Outbox, OutboxCancelParams, OutboxListParams, OutboxRetryParams,
        ReadParams, Receipts, ReceiveCommitParams, ReceiveParams, ReceiveReleaseParams, Received, Receivers,
        ReceiversParams, RenameParams, SearchParams, SendParams, Sent, Status, StatusWatchParams, TimeoutParams,
        VerifyParams, WaitParams, Waited, WhoParams,
    },
    backup, caller,
    client::Client,
    content::ContactSync,
    home::Home,
    keys::StoreKey,
    limits::{MAX_WAIT, RECEIPT_COALESCE},
    net::{Http, MailboxEvent, MailboxHandle, Network, RelayEndpoint, Submitter, connect},
    receipts, store,
};

pub use self::siblings::{DeviceRequest, Provision};
pub(crate) use self::{core::now_ms, queries::account_view};

/// Events of the mailbox socket waiting for the engine: a few batches of pushes; beyond it the socket is not read.
const MAILBOX_QUEUE: usize = 8;

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
        let core = subrosa_ambient::beside(move || {
            let db = store::open(&path, key.as_bytes(), false)?;
            let mut core = Core::new(db, owner, core_home, core_signals)?;
            core.read_kept()?;
            let newest = store::events::newest(&core.db)?;
            core.signals.events.send_replace(newest);
            Ok::<_, ApiError>(core)
        })
        .await
        .map_err(|_| ApiError::new(ErrorKind::Failed, "the store could not be opened"))??;
        let identity = subrosa_crypto::IdentityKeyPair::from_seed(&core.own.identity.seed());
        let address = party(&core.own.address);
        let relay = RelayEndpoint::new(core.own.relay.clone(), core.own.pin).map_err(|error| error.to_api())?;
        let http = Http::new(network.clone());
        let proxy = network.proxy_shown();
        let core = CoreHandle::start(core)?;
        let signer =
            Signer { identity, address, core: core.clone(), signals: Arc::clone(&signals), relay: relay.to_string() };

        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let (events, mailbox_events) = mpsc::channel::<MailboxEvent>(MAILBOX_QUEUE);
        let handle = connect(network.clone(), relay, Arc::new(signer), events);
        let (link_sender, link) = watch::channel(LinkState::first(signals.other_copy.load(Ordering::SeqCst)));
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
            link: link_sender,
            signals: Arc::clone(&signals),
            dispatcher: Arc::clone(&dispatcher),
            displaced: AtomicBool::new(false),
        });
        tracker.spawn(Arc::clone(&mailbox).follow(mailbox_events, stop.clone()));
        tracker.spawn(mailbox.carry_tasks(stop.clone()));
        tracker.spawn(dispatcher.run());
        tracker.spawn(gather_receipts(core.clone(), Arc::clone(&signals), stop.clone()));
        tracker.spawn(upkeep(core.clone(), link.clone(), stop.clone()));
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
            "this account was restored from a backup: messages that came after it are missing here unless the relay still \
             has them, and new sessions are being started",
        )
    })?;
    Ok(core.own)
}

async fn gather_receipts(core: CoreHandle, signals: Arc<Signals>, stop: CancellationToken) {
    // Receipts of a life that was cut short go first.
    signals.receipts.notify_one();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = signals.receipts.notified() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RECEIPT_COALESCE) => {}
        }
        if let Err(error) = core.run(Core::gather_receipts).await {
            tracing::error!(%error, "receipts could not be queued");
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
            () = stop.cancelled() => return,
            () = tokio::time::sleep(UPKEEP_EVERY) => {}
        }
    }
}

impl Client for Engine {
    fn account(&self, _params: NoParams) -> BoxFuture<'_, Result<AccountInfo, ApiError>> {
        let proxy = self.inner.proxy.clone();
        Box::pin(self.inner.core.run(move |core| Ok(AccountInfo { proxy, ..core.account_info() })))
    }

    fn account_keep(&self, _params: NoParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(async move {
            let done = self.inner.core.once(Core::keep_this_copy).await?;
            self.inner.core.run(|core| core.look_for_other_copy()).await?;
            self.inner.signals.outbox.notify_one();
            self.inner.signals.receipts.notify_one();
            if done.count > 0 {
                self.inner.handle.reconnect_now();
            }
            Ok(done)
        })
    }

    fn status(&self, _params: NoParams) -> BoxFuture<'_, Result<Status, ApiError>> {
        let link = self.inner.link.borrow().clone();
        Box::pin(self.inner.core.run(move |core| core.status(link.connection, link.error.map(|error| error.message))))
    }

    fn status_watch(&self, params: StatusWatchParams) -> BoxFuture<'_, Result<Status, ApiError>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(params.wait_ms).min(MAX_WAIT);
            let mut link = self.inner.link.clone();
            while link.borrow_and_update().connection == params.relay {
                match timeout_at(deadline, link.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
                    Err(_) => break,
                }
            }
            self.status(NoParams {}).await
        })
    }

    fn invite(&self, params: InviteParams) -> BoxFuture<'_, Result<Invite, ApiError>> {
        Box::pin(self.make_link(params))
    }

    fn invite_list(&self, _params: NoParams) -> BoxFuture<'_, Result<Invites, ApiError>> {
        Box::pin(self.inner.core.run(|core| core.invite_list()))
    }

    fn invite_revoke(&self, params: InviteRevokeParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(self.revoke_link(params.id))
    }

    fn join(&self, params: JoinParams) -> BoxFuture<'_, Result<Contact, ApiError>> {
        Box::pin(self.use_link(params))
    }

    fn contact_list(&self, _params: NoParams) -> BoxFuture<'_, Result<Contacts, ApiError>> {
        Box::pin(self.inner.core.run(|core| core.contact_list()))
    }

    fn contact_show(&self, params: WhoParams) -> BoxFuture<'_, Result<Contact, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.contact_show(&params.who)))
    }

    fn contact_accept(&self, params: WhoParams) -> BoxFuture<'_, Result<Contact, ApiError>> {
        Box::pin(self.inner.core.once(move |core| {
            let account = *core.contact_row(&params.who)?.account();
            core.change(|change| change.accept(&account))
        }))
    }

    fn contact_rename(&self, params: RenameParams) -> BoxFuture<'_, Result<Contact, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.contact_rename(&params.who, &params.name)))
    }

    fn contact_block(&self, params: WhoParams) -> BoxFuture<'_, Result<Contact, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.contact_block(&params.who)))
    }

    fn contact_unblock(&self, params: WhoParams) -> BoxFuture<'_, Result<Contact, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.contact_unblock(&params.who)))
    }

    fn contact_remove(&self, params: WhoParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.contact_remove(&params.who)))
    }

    fn verify(&self, params: VerifyParams) -> BoxFuture<'_, Result<Identity, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.verify(&params.who, params.number.as_deref())))
    }

    fn receivers(&self, params: ReceiversParams) -> BoxFuture<'_, Result<Receivers, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.receivers(&params.to)))
    }

    fn send(&self, params: SendParams) -> BoxFuture<'_, Result<Sent, ApiError>> {
        Box::pin(async move {
            sending::check_text(&params.body)?;
            let id = match (params.id, params.key) {
                (Some(_), Some(_)) => {
                    return Err(ApiError::new(ErrorKind::Usage, "an id and a key exclude each other").hint("give one"));
                }
                (Some(id), None) => SendId::Given(parse_id(&id)?.0),
                (None, Some(key)) => {
                    sending::check_key(&key)?;
                    SendId::Key(key)
                }
                (None, None) => SendId::Given(random_id()?),
            };
            let conversation = self.receiver(params.to, params.request).await?;
            let sent = self
                .inner
                .core
                .run(move |core| {
                    let reply_to = params.reply_to.map(|id| core.reply_target(&id)).transpose()?;
                    let text = Outgoing { body: params.body, forwarded: params.forwarded, reply_to, id };
                    core.send(&conversation, &text)
                })
                .await?;
            subrosa_crash_point::crash_point(subrosa_crash_point::CrashPoint::AfterIntent);
            self.hurry();
            Ok(sent)
        })
    }

    fn wait(&self, params: WaitParams) -> BoxFuture<'_, Result<Sent, ApiError>> {
        Box::pin(async move {
            if !matches!(params.status, MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Read) {
                return Err(ApiError::new(ErrorKind::Usage, "wait for sent, delivered or read"));
            }
            let core = &self.inner.core;
            let changed = self.inner.signals.events.subscribe();
            let id = params.id.clone();
            let look = move |core: &mut Core| {
                let sent = core.waited(&id)?;
                let over = matches!(sent.status, MessageStatus::Failed | MessageStatus::Expired);
                Ok((over || receipts::reached(sent.status, params.status)).then_some(sent))
            };
            match self.wait_for(params.timeout_ms, changed, look).await? {
                Some(sent) => Ok(sent),
                None => core.run(move |core| core.waited(&params.id)).await,
            }
        })
    }

    fn drain(&self, params: TimeoutParams) -> BoxFuture<'_, Result<Waited, ApiError>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(params.timeout_ms).min(MAX_WAIT);
            let mut link = self.inner.link.clone();
            let before = link.borrow().failures;
            let first = link.borrow().connection;
            if matches!(first, Connection::Offline) {
                self.inner.handle.reconnect_now();
            }
            loop {
                let state = link.borrow_and_update().clone();
                if state.caught_up {
                    return Ok(Waited { done: true, error: None });
                }
                // One that was just chosen is about to connect.
                let stands_still = self.inner.signals.other_copy.load(Ordering::SeqCst);
                if (state.connection == Connection::Displaced && stands_still) || state.failures > before {
                    return Ok(Waited { done: false, error: state.error.map(|error| error.message) });
                }
                match timeout_at(deadline, link.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
                    Err(_) => {
                        return Ok(Waited { done: false, error: state.error.map(|error| error.message) });
                    }
                }
            }
        })
    }

    fn flush(&self, params: TimeoutParams) -> BoxFuture<'_, Result<Waited, ApiError>> {
        Box::pin(async move {
            let core = &self.inner.core;
            core.run(Core::gather_receipts).await?;
            let changed = self.inner.signals.progress.subscribe();
            let link = self.inner.link.clone();
            let look = move |core: &mut Core| {
                // Requests to the own relay (prekeys, links) can go only while it is reached; then they are part of it.
                let online = link.borrow().connection == Connection::Online;
                let waits = online && store::tasks::count(&core.db)? > 0;
                Ok((!waits && core.is_idle()?).then_some(()))
            };
            let done = self.wait_for(params.timeout_ms, changed, look).await?.is_some();
            Ok(Waited { done, error: None })
        })
    }

    fn events(&self, params: EventsParams) -> BoxFuture<'_, Result<EventPage, ApiError>> {
        if params.since.is_none() {
            // An interface has just been opened.
            self.hurry();
        }
        Box::pin(async move {
            let core = &self.inner.core;
            let changed = self.inner.signals.events.subscribe();
            let first = core.run(move |core| core.events(&params)).await?;
            if !first.events.is_empty() || params.wait_ms == 0 {
                return Ok(first);
            }
            let params = EventsParams { since: Some(first.cursor), ..params };
            let look = move |core: &mut Core| {
                let page = core.events(&params)?;
                Ok((!page.events.is_empty()).then_some(page))
            };
            Ok(self.wait_for(params.wait_ms, changed, look).await?.unwrap_or(first))
        })
    }

    fn receive(&self, params: ReceiveParams) -> BoxFuture<'_, Result<Received, ApiError>> {
        // Asked here: the future may be carried out elsewhere.
        let caller = caller::current();
        Box::pin(self.receive_held(params, caller))
    }

    fn receive_commit(&self, params: ReceiveCommitParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(self.commit_held(params))
    }

    fn receive_release(&self, params: ReceiveReleaseParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(async move { self.release_held(&params) })
    }

    fn chats(&self, params: ChatsParams) -> BoxFuture<'_, Result<Chats, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.chats(params)))
    }

    fn chat_set(&self, params: ChatSetParams) -> BoxFuture<'_, Result<Chat, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.chat_set(&params)))
    }

    fn chat_draft(&self, params: ChatDraftParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.chat_draft(&params)))
    }

    fn search(&self, params: SearchParams) -> BoxFuture<'_, Result<Hits, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.search(&params)))
    }

    fn outbox_list(&self, params: OutboxListParams) -> BoxFuture<'_, Result<Outbox, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.outbox_list(params)))
    }

    fn outbox_retry(&self, params: OutboxRetryParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        if self.inner.link.borrow().connection == Connection::Offline {
            self.inner.handle.reconnect_now();
        }
        Box::pin(self.inner.core.once(move |core| core.outbox_retry(params.id.as_deref())))
    }

    fn outbox_cancel(&self, params: OutboxCancelParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(self.inner.core.once(move |core| core.outbox_cancel(&params.id)))
    }

    fn history(&self, params: HistoryParams) -> BoxFuture<'_, Result<History, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.history(&params)))
    }

    fn export(&self, params: ExportParams) -> BoxFuture<'_, Result<ExportPage, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.export(&params)))
    }

    fn backup(&self, params: BackupParams) -> BoxFuture<'_, Result<BackupMade, ApiError>> {
        Box::pin(async move {
            let account = self.inner.core.run(|core| Ok(core.account_info())).await?;
            let source = backup::Source {
                store: self.inner.store.clone(),
                key: Arc::clone(&self.inner.key),
                account,
                now_ms: now_ms(),
            };
            // Whoever gives up waiting ends it, and so does the engine's end.
            let stop = self.inner.stop.child_token();
            let _ends = stop.clone().drop_guard();
            self.inner
                .tracker
                .spawn_blocking(move || backup::make(&source, &params, &stop))
                .await
                .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the backup failed: {error}")))?
        })
    }

    fn doctor(&self, _params: NoParams) -> BoxFuture<'_, Result<Checkup, ApiError>> {
        Box::pin(async move {
            let (path, key) = (self.inner.store.clone(), Arc::clone(&self.inner.key));
            let reading = self.inner.tracker.spawn_blocking(move || checkup::store_check(&path, &key));
            let store = reading
                .await
                .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the check failed: {error}")))?;
            let link = self.inner.link.borrow().clone();
            let mut checks = vec![store];
            checks.extend(self.inner.core.run(move |core| core.checkup(&link)).await?);
            Ok(Checkup { checks })
        })
    }

    fn info(&self, params: InfoParams) -> BoxFuture<'_, Result<Receipts, ApiError>> {
        Box::pin(self.inner.core.run(move |core| core.receipts(&params.id)))
    }

    fn read(&self, params: ReadParams) -> BoxFuture<'_, Result<Done, ApiError>> {
        Box::pin(self.inner.core.once(move |core| {
            let (chat, upto) = core.read_target(&params.what)?;
            let count = core.read(chat, upto)?;
            let id = upto.map_or_else(|| chat.to_string(), |id| id.to_string());
            Ok(Done { id: Some(id), count })
        }))
    }
}
