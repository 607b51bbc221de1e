//! What every connection of a relay shares.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use subrosa_wire::{
    RegistrationToken, RelayLink,
    limits::{MAX_BODY_BYTES, MAX_EXPIRY, MAX_SUBMIT_ITEMS, MAX_UNACKED},
    submit::Limits,
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    backend::{Intake as _, Operators as _, Totals},
    config::Config,
    metrics::Metrics,
    names::Names,
    parts::Parts,
    policy::{
        addresses::Addresses,
        descriptors,
        frames::Kept,
        limits::{MAX_CHECKS, MAX_GO_AWAY_MS, MIN_GO_AWAY_MS, RECONNECTS_PER_SECOND},
        registration::RegistrationMode,
    },
    remembered::Remembered,
    router::Router as _,
    tls::Front,
};

/// A commit that takes longer than this is no sign of health.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a look at the store holds: anybody may ask, and each look is a synced write.
const READY_MEMORY: Duration = Duration::from_secs(1);

/// How long sums over all that is stored hold, for `/metrics`: no longer than it is asked by most.
const TOTALS_MEMORY: Duration = Duration::from_secs(10);
/// They read every device row: a hundred times as long as that takes, they hold as well, so that a large relay spends at
/// most a hundredth of one reader on them.
const TOTALS_TIMES: u32 = 100;

/// What every connection shares.
pub(crate) struct Shared<P: Parts> {
    pub(crate) store: P::Store,
    pub(crate) router: P::Router,
    pub(crate) ledger: P::Ledger,
    pub(crate) config: Config,
    pub(crate) addresses: Arc<Addresses>,
    /// Turns at verifying many signatures at once: a flood of them leaves the other cores to the others.
    pub(crate) checks: Arc<Semaphore>,
    /// What all connections keep of unfinished frames.
    pub(crate) kept: Kept,
    /// Connections there are descriptors for.
    pub(crate) max_connections: usize,
    /// Cancelled when the relay stops.
    pub(crate) stopping: CancellationToken,
    /// WebSocket sessions still running.
    pub(crate) tracker: TaskTracker,
    pub(crate) registration: RegistrationMode,
    pub(crate) started: Instant,
    pub(crate) metrics: Arc<Metrics>,
    /// What the last look at the store said.
    readiness: Remembered<Option<String>>,
    /// Sums over all that is stored; `None`: the store did not say.
    totals: Remembered<Option<Totals>>,
    /// Cancelled when the operator asks for the end.
    pub(crate) drain: CancellationToken,
    /// How clients know this relay.
    pub(crate) names: Names,
    /// TLS, if it ends here.
    pub(crate) front: Option<Front>,
    go_away_spread_ms: AtomicU32,
}

impl<P: Parts> Shared<P> {
    pub(crate) fn new(
        (store, router, ledger): (P::Store, P::Router, P::Ledger),
        config: Config,
        (names, front): (Names, Option<Front>),
        address: SocketAddr,
        metrics: Metrics,
    ) -> Self {
        let max_connections = descriptors::connections(config.max_connections);
        // Whatever is configured: the last quarter is for other addresses.
        let most = config.max_connections_per_address.min(max_connections - max_connections / 4).max(1);
        Self {
            store,
            router,
            ledger,
            addresses: Arc::new(Addresses::new(&config.rates, most)),
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
            kept: Kept::default(),
            max_connections,
            stopping: CancellationToken::new(),
            tracker: TaskTracker::new(),
            registration: config
                .registration
                .unwrap_or_else(|| RegistrationMode::default_for(address, config.public_url.as_ref())),
            started: subrosa_ambient::instant(),
            metrics: Arc::new(metrics),
            readiness: Remembered::new(READY_MEMORY, 1),
            totals: Remembered::new(TOTALS_MEMORY, TOTALS_TIMES),
            drain: CancellationToken::new(),
            names,
            front,
            go_away_spread_ms: AtomicU32::new(MIN_GO_AWAY_MS),
            config,
        }
    }

    /// Whether a client that signs for this authority and pin means this relay. Who pins our key means us, by
    /// whichever name: nobody else has that key. Without a pin the name decides.
    pub(crate) fn is_me(&self, authority: &str, pin: Option<&[u8; 32]>) -> bool {
        match pin {
            Some(pin) => self.front.as_ref().is_some_and(|front| front.key_hash() == Some(*pin)),
            None => self.names.authorities.iter().any(|own| own == authority),
        }
    }

    /// SHA-256 of the key by which clients know a relay that nobody else vouches for.
    pub(crate) fn pin(&self) -> Option<[u8; 32]> {
        self.front.as_ref().and_then(Front::pin)
    }

    /// What `subrosa init --relay` takes.
    pub(crate) fn link(&self, registration: Option<RegistrationToken>) -> Option<RelayLink> {
        let relay = Url::parse(&self.names.url).ok()?;
        Some(RelayLink { relay, pin: self.pin(), registration })
    }

    /// A delay for one client that spreads the reconnects of all.
    pub(crate) fn go_away_ms(&self) -> u32 {
        let spread = self.go_away_spread_ms.load(Ordering::Relaxed);
        let delay = Duration::from_millis(spread.into()).mul_f64(subrosa_ambient::fraction());
        u32::try_from(delay.as_millis()).unwrap_or(spread)
    }

    /// Why this relay should get no new work, if it should not.
    pub(crate) async fn not_ready(&self) -> Option<String> {
        if self.stopping.is_cancelled() || self.drain.is_cancelled() {
            return Some("it is stopping".to_owned());
        }
        let look = async {
            match tokio::time::timeout(READY_TIMEOUT, self.store.probe()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the store does not answer".to_owned()),
            }
        };
        self.readiness.get(look).await
    }

    /// Sums over all that is stored, some seconds old.
    pub(crate) async fn totals(&self) -> Option<Totals> {
        self.totals.get(async { self.store.totals().await.ok() }).await
    }

    /// Ends all that is served, and spreads over how long the clients come back.
    pub(crate) fn stop(&self) {
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
