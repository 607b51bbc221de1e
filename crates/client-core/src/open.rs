//! Access to an account's engine: run it here, or reach the process that does.
//!
//! Whoever takes the account's lock runs the engine (`PROTOCOL.md` 7). Everybody else becomes a client of
//! its socket, without a passphrase. When the owner goes away, the next call of a client takes the lock and goes on:
//! repeating the call that was open is safe, since `send` carries the message's id and every other change a request id
//! ([`crate::requests`]). An owner that lives but gives no sign of life is an error that names it, never a silent wait.

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    api::{ApiError, EngineOwner, ErrorKind, NoParams, TimeoutParams},
    client::{Client, Remote, RemoteCall, dispatch},
    engine::Engine,
    home::Home,
    keys::{self, StoreKey, StoreSecret},
    lock::{EngineLock, LockAttempt},
    net::Network,
    requests::{self, ONCE, REQUEST_ID},
    rpc::{self, SocketCaller},
};

/// How long an account may be held by a process that does not serve it before that is an error.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// An owner that serves gets at least so long to give a sign of life: a busy machine is no stuck process.
const MIN_PATIENCE: Duration = Duration::from_secs(2);

/// How often a taken lock is tried again: a one-shot verb lives for a few hundred milliseconds.
const LOCK_POLL: Duration = Duration::from_millis(25);

/// How many times [`LOCK_TIMEOUT`] a process waits at most while one owner follows the other and none of them comes to serve.
const MAX_TURNS: u32 = 6;

/// How often one call may find its engine gone and go on elsewhere. One-shot owners come and go while many commands run
/// side by side; each time somebody got further, so this bound only ends what would never end.
const MAX_REOPENS: u32 = 100;

/// How long a leaving owner waits until its receipts and messages are out; what is not stays in the outbox.
const FLUSH_ON_CLOSE: Duration = Duration::from_secs(2);

/// Where what opens the account comes from: asked only by the process that will run the engine, and off the asynchronous threads.
pub type PassphraseSource = Arc<dyn Fn() -> Result<StoreSecret, ApiError> + Send + Sync>;

/// How an interface that stays waits when its account cannot be opened again: until trying once more is worth while.
pub type Patience = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Where the engine of an opened account runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAt {
    /// Nowhere that is known: the process that had it is gone, and it is looked for or started here.
    Nowhere,
    /// Nowhere, and why it could not be started here. Tried again after some [`Patience`].
    Lost(ApiError),
    /// In this process.
    Here,
    /// In another process.
    Elsewhere,
}

/// How to get at an account.
#[derive(Clone)]
pub struct OpenOptions {
    /// What this process is, for others to read: `listen`, `send`, …
    pub kind: String,
    /// Serve the socket if the engine runs here, so that others need not wait until this process ends.
    pub serve: bool,
    /// How long to wait for an owner that does not serve; see [`LOCK_TIMEOUT`].
    pub lock_timeout: Duration,
    /// Opens the store.
    pub passphrase: PassphraseSource,
    /// The way to the relays, if the engine runs here.
    pub network: Network,
}

/// An account that can be used, wherever its engine runs.
pub struct Opened {
    client: Arc<dyn Client>,
    access: Arc<Access>,
}

/// Opens the account of a directory.
///
/// # Errors
/// [`ErrorKind::NoAccount`], [`ErrorKind::BadPassphrase`], [`ErrorKind::AccountBusy`] naming the process that holds the
/// account without serving it, and those of the store.
pub async fn open(home: &Home, options: OpenOptions) -> Result<Opened, ApiError> {
    let start = start_engine(options.network.clone());
    open_with(home, options, start, None).await
}

/// As [`open`], for an interface that stays: a call whose engine is gone, and that cannot get another one, waits and then goes on
/// with what it was asked. So nothing is lost, and nothing is done twice. [`Opened::engine_at`] tells what is waited for.
///
/// # Errors
/// As [`open`]: the first time nothing is waited for.
pub async fn open_to_stay(home: &Home, options: OpenOptions, patience: Patience) -> Result<Opened, ApiError> {
    let start = start_engine(options.network.clone());
    open_with(home, options, start, Some(patience)).await
}

fn start_engine(network: Network) -> Start {
    Arc::new(move |home, key, owner| {
        let network = network.clone();
        Box::pin(async move {
            let engine = Engine::start(&home, key, owner, network).await?;
            let stopping = engine.clone();
            let stop: Stop = Box::pin(async move { stopping.shutdown().await });
            Ok((Arc::new(engine) as Arc<dyn Client>, stop))
        })
    })
}

async fn open_with(
    home: &Home,
    options: OpenOptions,
    start: Start,
    patience: Option<Patience>,
) -> Result<Opened, ApiError> {
    let access = Arc::new(Access {
        home: home.clone(),
        options,
        start,
        patience,
        place: Mutex::new(State::Away),
        at: watch::Sender::new(EngineAt::Nowhere),
        proxy_seen: StdMutex::default(),
    });
    access.place().await?;
    Ok(Opened { client: Arc::new(Remote(Arc::clone(&access))), access })
}

impl Opened {
    /// The engine, here or elsewhere; a call that finds it gone goes on with the next one.
    #[must_use]
    pub fn client(&self) -> Arc<dyn Client> {
        Arc::clone(&self.client)
    }

    /// Whether this process runs the engine now.
    pub async fn runs_engine(&self) -> bool {
        matches!(&*self.access.place.lock().await, State::At(place) if place.own.is_some())
    }

    /// Where the engine runs, and each change of that.
    #[must_use]
    pub fn engine_at(&self) -> watch::Receiver<EngineAt> {
        self.access.at.subscribe()
    }

    /// Leaves the account. An own engine first gets a moment to send what is due (receipts), and stops in order.
    pub async fn close(self) {
        let state = std::mem::replace(&mut *self.access.place.lock().await, State::Closed);
        let State::At(place) = state else { return };
        let Some(own) = &place.own else { return };
        let flush = TimeoutParams { timeout_ms: u64::try_from(FLUSH_ON_CLOSE.as_millis()).unwrap_or(u64::MAX) };
        if let Err(error) = place.client.flush(flush).await {
            debug!(%error, "not everything was sent before leaving");
        }
        own.stop(&self.access.home).await;
    }
}

/// Stops an engine.
type Stop = BoxFuture<'static, ()>;

/// Starts an engine: exchangeable, so that the rules of taking over are tested without one.
type Start = Arc<
    dyn Fn(Home, StoreKey, EngineOwner) -> BoxFuture<'static, Result<(Arc<dyn Client>, Stop), ApiError>> + Send + Sync,
>;

struct Access {
    home: Home,
    options: OpenOptions,
    start: Start,
    patience: Option<Patience>,
    place: Mutex<State>,
    at: watch::Sender<EngineAt>,
    /// The proxy of the last engine that this process was a client of: its work is not carried on without it.
    proxy_seen: StdMutex<Option<String>>,
}

enum State {
    /// Not known, or known to be gone: the next call looks for it.
    Away,
    At(Arc<Place>),
    Closed,
}

/// Where the engine runs.
struct Place {
    client: Arc<dyn Client>,
    /// Present: here.
    own: Option<Own>,
}

struct Own {
    stop: StdMutex<Option<Stop>>,
    server: StdMutex<Option<(CancellationToken, JoinHandle<()>)>>,
    /// Given back last, when nothing of the engine runs any more.
    _lock: EngineLock,
}

impl Own {
    async fn stop(&self, home: &Home) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((shutdown, task)) = server {
            shutdown.cancel();
            // It ends by itself; that it panicked would already have been reported.
            let _ = task.await;
            let _ = std::fs::remove_file(home.engine_socket());
        }
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            stop.await;
        }
    }
}

impl RemoteCall for Arc<Access> {
    async fn call(&self, method: &'static str, mut params: Value) -> Result<Value, ApiError> {
        if ONCE.contains(&method)
            && let Some(params) = params.as_object_mut()
            && !params.contains_key(REQUEST_ID)
        {
            params.insert(REQUEST_ID.to_owned(), requests::new_id()?.into());
        }
        loop {
            match (self.attempt(method, &params).await, &self.patience) {
                (Ok(result), _) => return result,
                (Err(error), Some(patience)) if self.lost(&error).await => patience().await,
                (Err(error), _) => return Err(error),
            }
        }
    }
}

impl Access {
    /// Calls the engine wherever it is. The outer error: there is none that can be asked.
    async fn attempt(&self, method: &'static str, params: &Value) -> Result<Result<Value, ApiError>, ApiError> {
        let mut reopened = 0;
        loop {
            let place = self.place().await?;
            let result = dispatch(&*place.client, method, params.clone()).await;
            match result {
                Err(error) if error.code == ErrorKind::EngineGone && place.own.is_none() && reopened < MAX_REOPENS => {
                    reopened += 1;
                    debug!(method, "the engine went away; looking for the next one");
                    self.leave(&place).await;
                }
                Err(error) if error.code == ErrorKind::AccountBusy && place.own.is_none() => {
                    self.leave(&place).await;
                    if let LockAttempt::Taken(owner) = EngineLock::attempt(&self.home, &self.options.kind)? {
                        return Err(busy(owner, "and does not answer"));
                    }
                    // It ended in this moment.
                    reopened += 1;
                }
                result => return Ok(result),
            }
        }
    }

    /// There is no engine, and why. `false`: nobody wants one any more.
    async fn lost(&self, error: &ApiError) -> bool {
        let state = self.place.lock().await;
        if matches!(&*state, State::Away) {
            let lost = EngineAt::Lost(error.clone());
            self.at.send_if_modified(|at| {
                *at != lost && {
                    *at = lost;
                    true
                }
            });
        }
        !matches!(&*state, State::Closed)
    }

    /// Where the engine runs; found, or started here, if that is not known. Other callers wait for it.
    async fn place(&self) -> Result<Arc<Place>, ApiError> {
        let mut state = self.place.lock().await;
        match &*state {
            State::At(place) => return Ok(Arc::clone(place)),
            State::Closed => return Err(ApiError::new(ErrorKind::EngineGone, "the account was closed")),
            State::Away => {}
        }
        let place = Arc::new(self.find().await?);
        *state = State::At(Arc::clone(&place));
        self.at.send_replace(if place.own.is_some() { EngineAt::Here } else { EngineAt::Elsewhere });
        Ok(place)
    }

    async fn leave(&self, gone: &Arc<Place>) {
        let mut state = self.place.lock().await;
        if matches!(&*state, State::At(place) if Arc::ptr_eq(place, gone)) {
            *state = State::Away;
            self.at.send_replace(EngineAt::Nowhere);
        }
    }

    async fn find(&self) -> Result<Place, ApiError> {
        self.home.require_account()?;
        let begun = Instant::now();
        let longest = self.options.lock_timeout * MAX_TURNS;
        let mut turn = Turn::default();
        let patience = self.options.lock_timeout.max(MIN_PATIENCE);
        loop {
            let owner = match EngineLock::attempt(&self.home, &self.options.kind)? {
                LockAttempt::Held(lock) => return self.run_here(lock).await,
                LockAttempt::Taken(owner) => owner,
            };
            turn.look(owner.as_ref(), Instant::now());
            if let Ok(caller) = SocketCaller::connect_patiently(&self.home, patience).await {
                let client: Arc<dyn Client> = Arc::new(Remote(caller));
                let left = self.options.lock_timeout.saturating_sub(turn.elapsed()).max(LOCK_POLL);
                // A stopped or stuck owner still has connections accepted for it: only an answer counts.
                match timeout(left, client.account(NoParams {})).await {
                    Ok(Ok(info)) => {
                        self.same_way(owner.as_ref(), info.proxy)?;
                        return Ok(Place { client, own: None });
                    }
                    Ok(Err(error)) if error.code == ErrorKind::EngineGone => {}
                    Ok(Err(error)) if error.code != ErrorKind::AccountBusy => return Err(error),
                    Ok(Err(_)) | Err(_) => return Err(busy(owner, "and does not answer")),
                }
            }
            if turn.elapsed() >= self.options.lock_timeout || begun.elapsed() >= longest {
                return Err(busy(owner, "and did not finish in time"));
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// The engine decides the way to the relays. Who asked for a proxy must not be sent another way in silence.
    fn same_way(&self, owner: Option<&EngineOwner>, engine: Option<String>) -> Result<(), ApiError> {
        let asked = self.options.network.proxy_shown();
        if asked.is_some() && asked != engine {
            let who = owner.map_or_else(
                || "another process".to_owned(),
                |owner| format!("`subrosa {}` (pid {})", owner.kind, owner.pid),
            );
            let how = engine.map_or_else(|| "without a proxy".to_owned(), |proxy| format!("through {proxy}"));
            return Err(ApiError::new(
                ErrorKind::Failed,
                format!("{who} already runs this account, {how}, and this command would go the same way"),
            )
            .hint("end that one and start it with the same --proxy, or leave --proxy away here"));
        }
        *self.proxy_seen.lock().unwrap_or_else(PoisonError::into_inner) = engine;
        Ok(())
    }

    async fn run_here(&self, lock: EngineLock) -> Result<Place, ApiError> {
        let seen = self.proxy_seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(proxy) = seen
            && self.options.network.proxy_shown().is_none()
        {
            return Err(ApiError::new(
                ErrorKind::EngineGone,
                format!("the process that reached the relay through {proxy} has ended; nothing is sent without it"),
            )
            .hint(format!("run this again with --proxy {proxy}")));
        }
        let home = self.home.clone();
        let passphrase = Arc::clone(&self.options.passphrase);
        // Asking takes as long as a person types, deriving a tenth of a second.
        let key = tokio::task::spawn_blocking(move || keys::unlock(&home, passphrase()?))
            .await
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("opening the store failed: {error}")))??;
        let (client, stop) = (self.start)(self.home.clone(), key, lock.owner().clone()).await?;
        let server = if self.options.serve {
            let listener = match rpc::bind(&self.home, &lock) {
                Ok(listener) => listener,
                Err(error) => {
                    stop.await;
                    return Err(error);
                }
            };
            let shutdown = CancellationToken::new();
            let task = tokio::spawn(rpc::serve(Arc::clone(&client), listener, shutdown.clone()));
            Some((shutdown, task))
        } else {
            None
        };
        let own = Own { stop: StdMutex::new(Some(stop)), server: StdMutex::new(server), _lock: lock };
        Ok(Place { client, own: Some(own) })
    }
}

/// How long the same process has held the account without serving it. Owners that follow each other, because each is
/// short-lived or killed, are no stuck process: patience begins anew with each.
#[derive(Default)]
struct Turn {
    owner: Option<EngineOwner>,
    since: Option<Instant>,
}

impl Turn {
    fn look(&mut self, owner: Option<&EngineOwner>, now: Instant) {
        // An owner that has not written itself down yet is no other one.
        let another = owner.is_some() && self.owner.as_ref() != owner;
        if another {
            self.owner = owner.cloned();
        }
        if another || self.since.is_none() {
            self.since = Some(now);
        }
    }

    fn elapsed(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

fn busy(owner: Option<EngineOwner>, how: &str) -> ApiError {
    let (who, advice) = match owner {
        Some(EngineOwner { pid, kind }) => {
            (format!("`subrosa {kind}` (pid {pid})"), format!("wait for it to end, or end it: kill {pid}"))
        }
        None => ("another process".to_owned(), "wait for it to end".to_owned()),
    };
    ApiError::new(ErrorKind::AccountBusy, format!("the account is held by {who}, {how}")).hint(advice)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use zeroize::Zeroizing;

    use super::*;
    use crate::{api::SendParams, keys::Passphrase};

    /// An engine that answers `account` and `send`, and counts what happened to it.
    #[derive(Default)]
    struct Twin {
        sent: AtomicUsize,
        flushed: AtomicUsize,
        stopped: AtomicUsize,
        started: AtomicUsize,
        proxy: Option<String>,
    }

    impl RemoteCall for Arc<Twin> {
        async fn call(&self, method: &'static str, params: Value) -> Result<Value, ApiError> {
            match method {
                "account" => Ok(json!({
                    "id": "", "name": "alice", "relay": "", "fingerprint": "", "data_dir": "", "device": 1,
                    "proxy": self.proxy
                })),
                "send" => {
                    self.sent.fetch_add(1, Ordering::SeqCst);
                    Ok(json!({"id": params["id"], "chat": "", "status": "queued", "ts_ms": 0, "results": []}))
                }
                "flush" => {
                    self.flushed.fetch_add(1, Ordering::SeqCst);
                    Ok(json!({"done": true}))
                }
                "events" => std::future::pending().await,
                _ => Err(ApiError::new(ErrorKind::Failed, method)),
            }
        }
    }

    fn start(twin: &Arc<Twin>) -> Start {
        let twin = Arc::clone(twin);
        Arc::new(move |_home, _key, _owner| {
            let twin = Arc::clone(&twin);
            twin.started.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let client: Arc<dyn Client> = Arc::new(Remote(Arc::clone(&twin)));
                let stop: Stop = Box::pin(async move {
                    twin.stopped.fetch_add(1, Ordering::SeqCst);
                });
                Ok((client, stop))
            })
        })
    }

    fn options(kind: &str, passphrase: &'static str) -> OpenOptions {
        OpenOptions {
            kind: kind.to_owned(),
            serve: kind == "listen",
            lock_timeout: Duration::from_millis(100),
            passphrase: Arc::new(move || Ok(typed(passphrase))),
            network: Network::direct(),
        }
    }

    fn typed(passphrase: &str) -> StoreSecret {
        (&Passphrase::typed(Zeroizing::new(passphrase.to_owned())).unwrap()).into()
    }

    fn account() -> (tempfile::TempDir, Home) {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        keys::create(&home, &Passphrase::typed(Zeroizing::new("right".to_owned())).unwrap()).unwrap();
        home.write_private(&home.account_file(), b"{}").unwrap();
        (place, home)
    }

    fn message() -> SendParams {
        SendParams { to: "bob".to_owned(), body: "hi".to_owned(), id: Some("00".repeat(16)), ..SendParams::default() }
    }

    async fn refused(home: &Home, options: OpenOptions) -> ApiError {
        match open_with(home, options, start(&Arc::default()), None).await {
            Ok(_) => panic!("was opened"),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn the_first_runs_the_engine_and_the_second_uses_it_without_a_passphrase() {
        let (_place, home) = account();
        let (first, second) = (Arc::new(Twin::default()), Arc::new(Twin::default()));
        let owner = open_with(&home, options("listen", "right"), start(&first), None).await.unwrap();
        let thin = open_with(&home, options("send", "not asked"), start(&second), None).await.unwrap();
        assert!(owner.runs_engine().await && !thin.runs_engine().await);
        thin.client().send(message()).await.unwrap();
        assert_eq!((first.sent.load(Ordering::SeqCst), second.started.load(Ordering::SeqCst)), (1, 0));
        thin.close().await;
        assert_eq!(first.stopped.load(Ordering::SeqCst), 0, "a client does not stop the engine");
        owner.close().await;
        assert_eq!((first.flushed.load(Ordering::SeqCst), first.stopped.load(Ordering::SeqCst)), (1, 1));
        assert!(!home.engine_socket().exists());
    }

    const TOR: &str = "socks5h://127.0.0.1:9050";

    fn through_tor(kind: &str) -> OpenOptions {
        OpenOptions { network: Network::direct().through(TOR.parse().unwrap()), ..options(kind, "right") }
    }

    #[tokio::test]
    async fn who_asks_for_a_proxy_is_not_served_by_an_engine_without_it() {
        let (_place, home) = account();
        let direct = open_with(&home, options("listen", "right"), start(&Arc::default()), None).await.unwrap();
        let error = refused(&home, through_tor("send")).await;
        assert!(error.message.contains("`subrosa listen`") && error.message.contains("without a proxy"), "{error:?}");
        direct.close().await;
        let proxied = Arc::new(Twin { proxy: Some(TOR.to_owned()), ..Twin::default() });
        let owner = open_with(&home, through_tor("listen"), start(&proxied), None).await.unwrap();
        assert!(open_with(&home, through_tor("send"), start(&Arc::default()), None).await.is_ok());
        owner.close().await;
    }

    #[tokio::test]
    async fn the_work_of_an_engine_with_a_proxy_is_not_carried_on_without_it() {
        let (_place, home) = account();
        let proxied = Arc::new(Twin { proxy: Some(TOR.to_owned()), ..Twin::default() });
        let second = Arc::new(Twin::default());
        let owner = open_with(&home, through_tor("listen"), start(&proxied), None).await.unwrap();
        let thin = open_with(&home, options("send", "right"), start(&second), None).await.unwrap();
        thin.client().send(message()).await.unwrap();
        owner.close().await;
        let error = thin.client().send(message()).await.unwrap_err();
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(TOR)), "{error:?}");
        assert_eq!(second.started.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_client_takes_over_when_the_owner_goes_even_in_the_middle_of_a_call() {
        let (_place, home) = account();
        let (first, second) = (Arc::new(Twin::default()), Arc::new(Twin::default()));
        let owner = open_with(&home, options("listen", "right"), start(&first), None).await.unwrap();
        let thin = open_with(&home, options("send", "right"), start(&second), None).await.unwrap();
        let client = thin.client();
        let waits = client.events(crate::api::EventsParams { since: Some(1), max: None, wait_ms: 0 });
        tokio::select! {
            biased;
            _ = waits => panic!("the twin never answers"),
            () = async { owner.close().await; thin.client().send(message()).await.unwrap(); } => {}
        }
        assert!(thin.runs_engine().await);
        assert_eq!(second.sent.load(Ordering::SeqCst), 1);
        assert_eq!(second.started.load(Ordering::SeqCst), 1, "two calls, one engine");
        thin.close().await;
        assert_eq!(second.stopped.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_interface_that_stays_waits_for_what_opens_the_account_and_then_goes_on() {
        let (_place, home) = account();
        let (first, second) = (Arc::new(Twin::default()), Arc::new(Twin::default()));
        let owner = open_with(&home, options("listen", "right"), start(&first), None).await.unwrap();
        let (try_again, _) = watch::channel(());
        let given = Arc::new(StdMutex::new("nothing"));
        let knows = Arc::clone(&given);
        let asks = OpenOptions {
            passphrase: Arc::new(move || {
                let known = *knows.lock().unwrap();
                (known == "right").then(|| typed(known)).ok_or(ApiError::new(ErrorKind::BadPassphrase, "asks"))
            }),
            ..options("tui", "")
        };
        let waits = try_again.clone();
        let patience: Patience = Arc::new(move || {
            let mut again = waits.subscribe();
            Box::pin(async move { drop(again.changed().await) })
        });
        let thin = open_with(&home, asks, start(&second), Some(patience)).await.unwrap();
        let mut at = thin.engine_at();
        assert_eq!(*at.borrow_and_update(), EngineAt::Elsewhere);
        owner.close().await;
        let client = thin.client();
        let sending = tokio::spawn(async move { client.send(message()).await });
        at.wait_for(|at| matches!(at, EngineAt::Lost(error) if error.message == "asks")).await.unwrap();
        // Nobody holds the account while a person is asked: others may have it.
        assert!(matches!(EngineLock::attempt(&home, "daemon").unwrap(), LockAttempt::Held(_)));
        *given.lock().unwrap() = "right";
        while try_again.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        try_again.send(()).unwrap();
        sending.await.unwrap().unwrap();
        assert_eq!(*at.borrow(), EngineAt::Here);
        assert_eq!((first.sent.load(Ordering::SeqCst), second.sent.load(Ordering::SeqCst)), (0, 1));
        let client = thin.client();
        thin.close().await;
        assert_eq!(client.send(message()).await.unwrap_err().code, ErrorKind::EngineGone, "closed is closed");
    }

    #[tokio::test]
    async fn an_owner_that_does_not_serve_is_named() {
        let (_place, home) = account();
        let LockAttempt::Held(lock) = EngineLock::attempt(&home, "receive").unwrap() else { panic!("it was free") };
        let error = refused(&home, options("send", "right")).await;
        assert_eq!(error.code, ErrorKind::AccountBusy);
        assert!(error.message.contains("`subrosa receive`"), "{error}");
        assert!(error.message.contains(&std::process::id().to_string()), "{error}");

        // One that accepts connections and says nothing is no better.
        let _silent = rpc::bind(&home, &lock).unwrap();
        let error = refused(&home, options("send", "right")).await;
        assert_eq!(error.code, ErrorKind::AccountBusy);
        assert!(error.message.contains("does not answer"), "{error}");
    }

    #[test]
    fn patience_begins_anew_with_each_owner() {
        let owner = |pid| EngineOwner { pid, kind: "send".to_owned() };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut turn = Turn::default();
        turn.look(None, at(0));
        assert_eq!(turn.since, Some(at(0)));
        turn.look(Some(&owner(1)), at(1));
        turn.look(Some(&owner(1)), at(2));
        turn.look(None, at(3));
        assert_eq!(turn.since, Some(at(1)), "the same one, also while its file is being written");
        turn.look(Some(&owner(2)), at(4));
        assert_eq!(turn.since, Some(at(4)));
    }

    #[tokio::test]
    async fn a_lock_that_is_given_back_in_time_is_taken() {
        let (_place, home) = account();
        let twin = Arc::new(Twin::default());
        let holder = open_with(&home, options("receive", "right"), start(&twin), None).await.unwrap();
        let (next, ()) = tokio::join!(
            open_with(
                &home,
                OpenOptions { lock_timeout: LOCK_TIMEOUT, ..options("send", "right") },
                start(&twin),
                None
            ),
            holder.close()
        );
        assert!(next.unwrap().runs_engine().await);
    }

    #[tokio::test]
    async fn a_wrong_passphrase_starts_nothing_and_gives_the_lock_back() {
        let (_place, home) = account();
        assert_eq!(refused(&home, options("send", "wrong")).await.code, ErrorKind::BadPassphrase);
        let twin = Arc::new(Twin::default());
        assert!(open_with(&home, options("send", "right"), start(&twin), None).await.is_ok());
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(refused(&Home::at(empty.path()), options("send", "right")).await.code, ErrorKind::NoAccount);
    }
}
