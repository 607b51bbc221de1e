//! Access to an account's engine: run it here, or reach the process that does.
//!
//! Whoever takes the account's lock runs the engine. Everybody else becomes a client of
//! its socket, without a passphrase. When the owner goes away, the next call of a client takes the lock and goes on:
//! repeating the call that was open is safe, since `send` carries the message's id and every other change a request id
//! ([`crate::requests`]). An owner that lives but gives no sign of life is an error that names it, never a silent wait.

mod turn;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::turn::{Turn, busy};
use crate::{
    api::{ApiError, EngineOwner, ErrorKind, NoParams, TimeoutParams},
    caller::PassedOn,
    client::{Call, Client, HandOn, HandedOn, Remote},
    engine::Engine,
    home::Home,
    keys::{self, StoreKey, StoreSecret},
    lock::{EngineLock, LockAttempt},
    net::Network,
    requests::{self, Request},
    rpc::{self, SocketCaller},
};

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
        attached: Mutex::new(State::Away),
        at: watch::Sender::new(EngineAt::Nowhere),
        proxy_seen: StdMutex::default(),
    });
    access.attached().await?;
    Ok(Opened { client: Arc::new(HandedOn(Arc::clone(&access))), access })
}

impl Opened {
    /// The engine, here or elsewhere; a call that finds it gone goes on with the next one.
    #[must_use]
    pub fn client(&self) -> Arc<dyn Client> {
        Arc::clone(&self.client)
    }

    /// Whether this process runs the engine now.
    pub async fn runs_engine(&self) -> bool {
        matches!(&*self.access.attached.lock().await, State::Attached(attached) if attached.own.is_some())
    }

    /// Where the engine runs, and each change of that.
    #[must_use]
    pub fn engine_at(&self) -> watch::Receiver<EngineAt> {
        self.access.at.subscribe()
    }

    /// Leaves the account. An own engine first gets a moment to send what is due (receipts), and stops in order.
    pub async fn close(self) {
        let state = std::mem::replace(&mut *self.access.attached.lock().await, State::Closed);
        let State::Attached(attached) = state else { return };
        let Some(own) = &attached.own else { return };
        let flush = TimeoutParams { timeout_ms: u64::try_from(FLUSH_ON_CLOSE.as_millis()).unwrap_or(u64::MAX) };
        if let Err(error) = attached.client.flush(flush).await {
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
    attached: Mutex<State>,
    at: watch::Sender<EngineAt>,
    /// The proxy of the last engine that this process was a client of: its work is not carried on without it.
    proxy_seen: StdMutex<Option<String>>,
}

enum State {
    /// Not known, or known to be gone: the next call looks for it.
    Away,
    Attached(Arc<Attached>),
    Closed,
}

/// Where the engine runs.
struct Attached {
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

impl HandOn for Arc<Access> {
    async fn hand_on<P: Clone + Serialize + Send + Sync, R: Send>(
        &self,
        call: Call<P, R>,
        params: P,
    ) -> Result<R, ApiError> {
        // One id for every try; whoever hands a call on for somebody else keeps theirs.
        let request = match (call.once, requests::current()) {
            (false, _) => None,
            (true, Some(request)) => Some(request),
            (true, None) => requests::request(call.name, Some(requests::new_id()?), &params)?,
        };
        loop {
            match (self.attempt(&call, &params, request.as_ref()).await, &self.patience) {
                (Ok(result), _) => return result,
                (Err(error), Some(patience)) if self.lost(&error).await => patience().await,
                (Err(error), _) => return Err(error),
            }
        }
    }
}

impl Access {
    /// Calls the engine wherever it is. The outer error: there is none that can be asked.
    async fn attempt<P: Clone, R>(
        &self,
        call: &Call<P, R>,
        params: &P,
        request: Option<&Request>,
    ) -> Result<Result<R, ApiError>, ApiError> {
        let mut reopened = 0;
        loop {
            let attached = self.attached().await?;
            let asked = (call.make)(&*attached.client, params.clone());
            let result = requests::within(request.cloned(), asked).await;
            match result {
                Err(error)
                    if error.code == ErrorKind::EngineGone && attached.own.is_none() && reopened < MAX_REOPENS =>
                {
                    reopened += 1;
                    debug!(method = call.name, "the engine went away; looking for the next one");
                    self.leave(&attached).await;
                }
                Err(error) if error.code == ErrorKind::AccountBusy && attached.own.is_none() => {
                    self.leave(&attached).await;
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
        let state = self.attached.lock().await;
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
    async fn attached(&self) -> Result<Arc<Attached>, ApiError> {
        let mut state = self.attached.lock().await;
        match &*state {
            State::Attached(attached) => return Ok(Arc::clone(attached)),
            State::Closed => return Err(ApiError::new(ErrorKind::EngineGone, "the account was closed")),
            State::Away => {}
        }
        let attached = Arc::new(self.find().await?);
        *state = State::Attached(Arc::clone(&attached));
        self.at.send_replace(if attached.own.is_some() { EngineAt::Here } else { EngineAt::Elsewhere });
        Ok(attached)
    }

    async fn leave(&self, gone: &Arc<Attached>) {
        let mut state = self.attached.lock().await;
        if matches!(&*state, State::Attached(attached) if Arc::ptr_eq(attached, gone)) {
            *state = State::Away;
            self.at.send_replace(EngineAt::Nowhere);
        }
    }

    async fn find(&self) -> Result<Attached, ApiError> {
        self.home.require_account()?;
        let begun = subrosa_ambient::instant();
        let longest = self.options.lock_timeout * MAX_TURNS;
        let mut turn = Turn::default();
        let patience = self.options.lock_timeout.max(MIN_PATIENCE);
        loop {
            let owner = match EngineLock::attempt(&self.home, &self.options.kind)? {
                LockAttempt::Held(lock) => return self.run_here(lock).await,
                LockAttempt::Taken(owner) => owner,
            };
            turn.look(owner.as_ref(), subrosa_ambient::instant());
            if let Ok(caller) = SocketCaller::connect_patiently(&self.home, patience).await {
                let client: Arc<dyn Client> = Arc::new(Remote(PassedOn(caller)));
                let left = self.options.lock_timeout.saturating_sub(turn.elapsed()).max(LOCK_POLL);
                // A stopped or stuck owner still has connections accepted for it: only an answer counts.
                match timeout(left, client.account(NoParams {})).await {
                    Ok(Ok(info)) => {
                        self.same_way(owner.as_ref(), info.proxy)?;
                        return Ok(Attached { client, own: None });
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

    async fn run_here(&self, lock: EngineLock) -> Result<Attached, ApiError> {
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
        let opening = move || {
            // A question that no answer helps is not asked.
            keys::check(&home)?;
            keys::unlock(&home, passphrase()?)
        };
        let key = subrosa_tasks::beside(opening)
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
        Ok(Attached { client, own: Some(own) })
    }
}
