//! Opening a relay, accepting connections, and stopping cleanly.

use std::{fs::File, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use subrosa_wire::RelayLink;
use tokio::{net::TcpListener, sync::Notify};

use crate::{
    backend::{
        Mailbox as _,
        embedded::{Embedded, StoreStopped, lock_data_dir},
    },
    clock::now_ms,
    config::{Config, RelayError},
    http::{
        accept::{Listen, accept},
        metrics_page,
    },
    ledger::{Ledger as _, LocalLedger},
    metrics::Metrics,
    names::Names,
    operate::{admin::AdminSocket, supervisor},
    parts::{Parts, Single},
    policy::limits::{DRAIN_TIMEOUT, LAST_COMMIT_TIMEOUT},
    router::{LocalRouter, Router},
    shared::Shared,
    tls::Front,
};

/// Expired rows are deleted this often; pushes leave them out at once.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(3600);

/// A relay that has its database and its socket and is about to serve.
pub struct Relay<R: Router = LocalRouter, L = TcpListener> {
    shared: Arc<Shared<Single<R>>>,
    stopped: StoreStopped,
    listener: L,
    admin: Option<AdminSocket>,
    metrics_listener: Option<TcpListener>,
    /// Held until the relay is gone.
    _lock: File,
}

/// Opens a relay and serves until `shutdown` resolves.
///
/// # Errors
/// Everything that keeps it from starting, and a store that stopped by itself.
pub async fn run(
    config: Config,
    listener: impl Listen,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RelayError> {
    Relay::open(config, listener).await?.serve(shutdown).await
}

impl<L: Listen> Relay<LocalRouter, L> {
    /// Checks the settings, locks the data directory and opens the database.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub async fn open(config: Config, listener: L) -> Result<Self, RelayError> {
        Self::open_with(config, listener, LocalRouter::default()).await
    }
}

impl<R: Router, L: Listen> Relay<R, L> {
    /// As [`Relay::open`], with another router than that of a single process.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub async fn open_with(config: Config, listener: L, router: R) -> Result<Self, RelayError> {
        let listening = listener.local_addr()?;
        let metrics_listener = match config.metrics {
            Some(address) => {
                let failed = |source| RelayError::Metrics { address, source };
                Some(TcpListener::bind(address).await.map_err(failed)?)
            }
            None => None,
        };
        let opening = config.clone();
        let metrics = Metrics::default();
        let commits = metrics.commits.clone();
        let opened = subrosa_tasks::beside(move || {
            let lock = lock_data_dir(&opening.data_dir)?;
            let front = Front::open(&opening, listening)?;
            let names = Names::find(&opening, listening, front.is_some())?;
            let (store, stopped) = Embedded::open(&opening, commits)?;
            Ok::<_, RelayError>((lock, front, names, store, stopped))
        });
        let (lock, front, names, store, stopped) = opened.await.map_err(std::io::Error::other)??;
        // Under the lock, so that a socket that is left over is nobody's.
        let admin = config.admin_socket.as_deref().map(AdminSocket::bind).transpose()?;
        let ledger = LocalLedger::new(&config.rates);
        let shared = Arc::new(Shared::new((store, router, ledger), config, (names, front), listening, metrics));
        Ok(Self { shared, stopped, listener, admin, metrics_listener, _lock: lock })
    }

    /// How clients reach it: the public URL, or the listener's address.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.names.url.clone()
    }

    /// SHA-256 of the key by which clients know a relay that nobody else vouches for.
    #[must_use]
    pub fn pin(&self) -> Option<[u8; 32]> {
        self.shared.pin()
    }

    /// What `subrosa init --relay` takes: address and pin in one paste.
    #[must_use]
    pub fn link(&self) -> Option<RelayLink> {
        self.shared.link(None)
    }

    /// Notify it to have the certificate files read again. `None`: there are none.
    #[must_use]
    pub fn reloader(&self) -> Option<Arc<Notify>> {
        self.shared.front.as_ref().map(Front::reloader)
    }

    /// Where `/metrics` is served, if it is.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref()?.local_addr().ok()
    }

    /// Serves until `shutdown` resolves, then tells every socket to come back later, and returns
    /// when all that was accepted is on disk.
    ///
    /// # Errors
    /// The store stopped by itself.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RelayError> {
        let Self { shared, mut stopped, listener, admin, metrics_listener, _lock } = self;
        tracing::info!(registration = %shared.registration, "serving");
        let expiry = tokio::spawn(expire(Arc::clone(&shared)));
        let admin = admin.map(|socket| tokio::spawn(socket.serve(Arc::clone(&shared))));
        let metrics = metrics_listener.map(|listener| {
            let routes = metrics_page::routes(Arc::clone(&shared));
            tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, routes).await {
                    tracing::warn!(%error, "metrics are served no more");
                }
            })
        });
        let drain = shared.drain.clone();
        let certificates = tokio::spawn(follow_certificates(Arc::clone(&shared)));
        let failed = tokio::select! {
            biased;
            ended = &mut stopped => Some(ended),
            () = shutdown => None,
            () = drain.cancelled() => None,
            () = accept(&shared, &listener) => None,
        };
        drop(listener);
        supervisor::notify("STOPPING=1");
        tracing::info!("stopping: connections are told to come back");
        shared.stop();
        if tokio::time::timeout(DRAIN_TIMEOUT, shared.tracker.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
        for task in admin.into_iter().chain(metrics).chain([expiry, certificates]) {
            task.abort();
            let _ = task.await;
        }
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

/// Shows newer certificates as they come.
async fn follow_certificates<P: Parts>(shared: Arc<Shared<P>>) {
    if let Some(front) = &shared.front {
        front.follow(&shared.config).await;
    }
}

/// Deletes what has expired, now and every hour.
async fn expire<P: Parts>(shared: Arc<Shared<P>>) {
    let mut ticks = tokio::time::interval(EXPIRE_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = shared.store.expire(now_ms()).await {
            tracing::warn!(%error, "expired envelopes could not be deleted, trying again in an hour");
        }
        shared.ledger.forget_old().await;
    }
}
