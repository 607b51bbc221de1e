//! Opening a relay, accepting connections, and stopping cleanly.

use std::{
    fs::File,
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::Router as Routes;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use subrosa_wire::{
    limits::{MAX_BODY_BYTES, MAX_EXPIRY, MAX_SUBMIT_ITEMS, MAX_UNACKED},
    link,
    submit::Limits,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    backend::{Embedded, Store, StoreStopped, lock_data_dir},
    clock::now_ms,
    config::{Config, RelayError},
    http,
    lane::Lane,
    limits::{
        ACCEPT_BACKOFF, DRAIN_TIMEOUT, LAST_COMMIT_TIMEOUT, Limiter, MAX_GO_AWAY_MS, MIN_GO_AWAY_MS,
        RECONNECTS_PER_SECOND,
    },
    router::{LocalRouter, Router},
};

/// Expired rows are deleted this often; pushes leave them out at once.
const EXPIRE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(3600);

/// Header bytes of one HTTP request: an upgrade request has a few hundred.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// What every connection shares.
pub(crate) struct Shared<B, R> {
    pub(crate) store: B,
    pub(crate) router: R,
    pub(crate) config: Config,
    pub(crate) lane: Lane,
    pub(crate) register_rate: Limiter,
    pub(crate) resolve_rate: Limiter,
    pub(crate) devices_rate: Limiter,
    pub(crate) prekeys_rate: Limiter,
    /// Cancelled when the relay stops.
    pub(crate) stopping: CancellationToken,
    /// WebSocket sessions still running.
    pub(crate) tracker: TaskTracker,
    /// The names clients may know this relay by, `host:port`.
    authorities: Vec<String>,
    go_away_spread_ms: AtomicU32,
}

impl<B: Store, R: Router> Shared<B, R> {
    fn new(store: B, router: R, config: Config, authorities: Vec<String>) -> Self {
        let rates = config.rates;
        Self {
            store,
            router,
            lane: Lane::default(),
            register_rate: Limiter::new(rates.register),
            resolve_rate: Limiter::new(rates.resolve),
            devices_rate: Limiter::new(rates.devices),
            prekeys_rate: Limiter::new(rates.prekeys),
            stopping: CancellationToken::new(),
            tracker: TaskTracker::new(),
            authorities,
            go_away_spread_ms: AtomicU32::new(MIN_GO_AWAY_MS),
            config,
        }
    }

    /// Whether a client that signs for this authority and pin means this relay. A relay without
    /// TLS of its own has no certificate to pin.
    pub(crate) fn is_me(&self, authority: &str, pin: Option<&[u8; 32]>) -> bool {
        pin.is_none() && self.authorities.iter().any(|own| own == authority)
    }

    /// A delay for one client that spreads the reconnects of all.
    pub(crate) fn go_away_ms(&self) -> u32 {
        let spread = self.go_away_spread_ms.load(Ordering::Relaxed);
        rand::random_range(0..=spread)
    }

    fn stop(&self) {
        let sessions = u32::try_from(self.router.sessions()).unwrap_or(u32::MAX);
        let spread = sessions.saturating_mul(1_000) / RECONNECTS_PER_SECOND;
        self.go_away_spread_ms.store(spread.clamp(MIN_GO_AWAY_MS, MAX_GO_AWAY_MS), Ordering::Relaxed);
        self.stopping.cancel();
        self.tracker.close();
    }
}

/// The limits a client is told.
pub(crate) fn limits() -> Limits {
    let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Limits {
        max_unacked: count(MAX_UNACKED),
        max_body_bytes: count(MAX_BODY_BYTES),
        max_submit_items: count(MAX_SUBMIT_ITEMS),
        max_expiry_s: u32::try_from(MAX_EXPIRY.as_secs()).unwrap_or(u32::MAX),
    }
}

/// Who is at the other end of a connection. Holds the connection's permit: as long as a request,
/// a session or the connection itself has a copy, the connection counts.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// A relay that has its database and its socket and is about to serve.
pub struct Relay<R = LocalRouter> {
    shared: Arc<Shared<Embedded, R>>,
    stopped: StoreStopped,
    listener: TcpListener,
    address: SocketAddr,
    /// Held until the relay is gone.
    _lock: File,
}

/// Opens a relay and serves until `shutdown` resolves.
///
/// # Errors
/// Everything that keeps it from starting, and a store that stopped by itself.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RelayError> {
    Relay::open(config, listener).await?.serve(shutdown).await
}

/// The names clients may know a relay by.
fn authorities(config: &Config, address: SocketAddr) -> Result<Vec<String>, RelayError> {
    let is_fronted = config.behind_proxy && config.public_url.is_some();
    if !address.ip().is_loopback() && !is_fronted {
        return Err(RelayError::ExposedWithoutProxy(address));
    }
    let Some(url) = &config.public_url else {
        let port = address.port();
        return Ok(["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")).to_vec());
    };
    let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && link::is_loopback(url));
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match link::authority(url) {
        Some(authority) if scheme_fits && is_bare => Ok(vec![authority]),
        _ => Err(RelayError::PublicUrl(url.clone())),
    }
}

impl Relay {
    /// Checks the settings, locks the data directory and opens the database.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub async fn open(config: Config, listener: TcpListener) -> Result<Self, RelayError> {
        Self::open_with(config, listener, LocalRouter::default()).await
    }
}

impl<R: Router> Relay<R> {
    /// As [`Relay::open`], with another router than that of a single process.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub async fn open_with(config: Config, listener: TcpListener, router: R) -> Result<Self, RelayError> {
        let address = listener.local_addr()?;
        let authorities = authorities(&config, address)?;
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let lock = lock_data_dir(&opening.data_dir)?;
            let (store, stopped) = Embedded::open(&opening)?;
            Ok::<_, RelayError>((lock, store, stopped))
        });
        let (lock, store, stopped) = opened.await.map_err(std::io::Error::other)??;
        let shared = Arc::new(Shared::new(store, router, config, authorities));
        Ok(Self { shared, stopped, listener, address, _lock: lock })
    }

    /// How clients reach it: the public URL, or the listener's address.
    #[must_use]
    pub fn url(&self) -> String {
        let trimmed = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        self.shared.config.public_url.as_ref().map_or_else(|| format!("http://{}", self.address), trimmed)
    }

    /// Serves until `shutdown` resolves, then tells every socket to come back later, and returns
    /// when all that was accepted is on disk.
    ///
    /// # Errors
    /// The store stopped by itself.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RelayError> {
        let Self { shared, mut stopped, listener, _lock, .. } = self;
        tracing::info!("serving");
        let expiry = tokio::spawn(expire(Arc::clone(&shared)));
        let failed = tokio::select! {
            () = accept(&shared, &listener) => None,
            () = shutdown => None,
            ended = &mut stopped => Some(ended),
        };
        drop(listener);
        shared.stop();
        if tokio::time::timeout(DRAIN_TIMEOUT, shared.tracker.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
        expiry.abort();
        let _ = expiry.await;
        let ended = match failed {
            Some(ended) => ended,
            None => {
                // The writer ends when the last queue handle is gone; connections that are still
                // being cut hold one for a moment.
                drop(shared);
                tokio::time::timeout(LAST_COMMIT_TIMEOUT, stopped).await.unwrap_or(Ok(Ok(())))
            }
        };
        match ended {
            Ok(Ok(())) => {
                tracing::info!("stopped");
                Ok(())
            }
            Ok(Err(reason)) => Err(RelayError::Store(reason)),
            Err(_) => Err(RelayError::Store("its thread panicked".to_owned())),
        }
    }
}

/// Accepts until it is dropped.
async fn accept<B: Store, R: Router>(shared: &Arc<Shared<B, R>>, listener: &TcpListener) {
    let permits = Arc::new(Semaphore::new(shared.config.max_connections));
    let routes = http::routes(Arc::clone(shared));
    loop {
        // Before accepting: at the limit, connections wait in the kernel and not here.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let peer = Peer { address: from.ip(), _permit: Arc::new(permit) };
                shared.tracker.spawn(connection(Arc::clone(shared), routes.clone(), stream, peer));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Serves HTTP on one connection until it is upgraded, idle for too long, or the relay stops.
async fn connection<B: Store, R: Router>(shared: Arc<Shared<B, R>>, routes: Routes, stream: TcpStream, peer: Peer) {
    // Small frames must not wait for each other.
    let _ = stream.set_nodelay(true);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        hyper::service::Service::call(&routes, request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also ends connections that say nothing, and idle ones that are kept alive.
        .header_read_timeout(shared.config.handshake_timeout)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = shared.stopping.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Deletes what has expired, now and every hour.
async fn expire<B: Store, R: Router>(shared: Arc<Shared<B, R>>) {
    let mut ticks = tokio::time::interval(EXPIRE_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = shared.store.expire(now_ms()).await {
            tracing::warn!(%error, "expired envelopes could not be deleted, trying again in an hour");
        }
        shared.lane.forget_old(std::time::Instant::now());
    }
}
