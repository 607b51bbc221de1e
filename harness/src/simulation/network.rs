//! The network of a simulation: connections from people to one relay, with delays, stalls, cuts, and refusals where nobody listens.
//!
//! A connection keeps its bytes in order, as TCP does; connections overtake each other. What is under way when a connection is cut is
//! lost, and neither end knows how much of it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use subrosa_client_core::net::simulated::{Dial, Stream};
use subrosa_relay::Listen;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split},
    sync::{Notify, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::trace::Trace;

/// Bytes that a connection holds at each end, as a socket's buffers do.
const SOCKET_BYTES: usize = 64 * 1024;

/// Bytes that travel together at most.
const MOST_TOGETHER: usize = 8 * 1024;

/// Where the relay listens, as its clients write it.
pub(super) const AUTHORITY: &str = "127.0.0.1:7000";

/// How slow the network is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Each packet takes up to this long,
    pub(super) latency: Duration,
    /// and of a thousand so many are lost,
    pub(super) lost: u32,
    /// and come this much later, when they are sent again.
    pub(super) again: Duration,
}

impl Weather {
    /// A quick network that loses nothing.
    pub(super) const FAIR: Self = Self { latency: Duration::from_millis(20), lost: 0, again: Duration::ZERO };
}

/// What is under way goes on in the order in which it was stopped: a `watch` channel wakes who waits in any order.
struct Way {
    is_open: AtomicBool,
    opened: Notify,
}

impl Way {
    fn set(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::SeqCst);
        if is_open {
            self.opened.notify_waiters();
        }
    }

    async fn opens(&self) {
        loop {
            let opened = self.opened.notified();
            if self.is_open.load(Ordering::SeqCst) {
                return;
            }
            opened.await;
        }
    }
}

struct Inner {
    random: StdRng,
    weather: Weather,
    listener: Option<mpsc::UnboundedSender<(DuplexStream, SocketAddr)>>,
    /// What ends connections, and whose they are.
    open: Vec<(usize, CancellationToken)>,
    /// Whether there is a way between somebody and the relay.
    ways: Vec<Arc<Way>>,
}

/// Clones are one network.
#[derive(Clone)]
pub(super) struct Internet {
    inner: Arc<Mutex<Inner>>,
    trace: Trace,
}

impl Internet {
    pub(super) fn new(seed: u64, people: usize, trace: Trace) -> Self {
        let inner = Inner {
            random: StdRng::seed_from_u64(seed),
            weather: Weather::FAIR,
            listener: None,
            open: Vec::new(),
            ways: (0..people)
                .map(|_| Arc::new(Way { is_open: AtomicBool::new(true), opened: Notify::new() }))
                .collect(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), trace }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the relay listens on from now on.
    pub(super) fn listen(&self) -> Port {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inner().listener = Some(sender);
        Port(tokio::sync::Mutex::new(receiver))
    }

    /// Nobody listens any more, and all connections are cut.
    pub(super) fn unplug(&self) {
        let mut inner = self.inner();
        inner.listener = None;
        inner.open.drain(..).for_each(|(_, end)| end.cancel());
    }

    /// Somebody's connections are cut.
    pub(super) fn cut(&self, who: usize) {
        self.inner().open.retain(|(whose, end)| {
            if *whose == who {
                end.cancel();
            }
            *whose != who
        });
    }

    /// Nothing comes through between somebody and the relay, or it does again. What is under way waits.
    pub(super) fn set_way(&self, who: usize, is_open: bool) {
        if let Some(way) = self.inner().ways.get(who) {
            way.set(is_open);
        }
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.inner().weather = weather;
    }

    /// A person's way to relays.
    pub(super) fn of(&self, who: usize) -> Arc<dyn Dial> {
        Arc::new(Uplink { internet: self.clone(), who })
    }

    fn delay(&self) -> Duration {
        let inner = &mut *self.inner();
        let delay = inner.weather.latency.mul_f64(inner.random.random());
        let is_lost = inner.random.random_range(0..1_000) < inner.weather.lost;
        if is_lost { delay + inner.weather.again } else { delay }
    }

    fn packet(&self) -> usize {
        // Most messages come whole; some in pieces, as a socket may give them.
        let inner = &mut *self.inner();
        if inner.random.random_range(0..4) == 0 { inner.random.random_range(1..MOST_TOGETHER) } else { MOST_TOGETHER }
    }

    async fn passes(&self, way: &Way) {
        sleep(self.delay()).await;
        way.opens().await;
    }

    async fn carry(
        self,
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        way: Arc<Way>,
        end: CancellationToken,
    ) {
        let carried = async {
            let mut packet = vec![0; MOST_TOGETHER];
            loop {
                let most = self.packet();
                let Ok(length @ 1..) = from.read(&mut packet[..most]).await else { break };
                self.passes(&way).await;
                self.trace.note(format_args!("{length} bytes"));
                if to.write_all(&packet[..length]).await.is_err() {
                    break;
                }
            }
            // Whoever reads there sees the end.
            let _ = to.shutdown().await;
        };
        tokio::select! {
            biased;
            () = end.cancelled() => {}
            () = carried => {}
        }
    }
}

struct Uplink {
    internet: Internet,
    who: usize,
}

impl Dial for Uplink {
    fn connect<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Stream>> {
        async move {
            let Self { internet, who } = self;
            if authority != AUTHORITY {
                return Err(io::ErrorKind::NotFound.into());
            }
            let way = internet.inner().ways.get(*who).cloned().ok_or(io::ErrorKind::NetworkUnreachable)?;
            internet.passes(&way).await;
            let Some(listener) = internet.inner().listener.clone() else {
                internet.trace.note(format_args!("{who} is refused"));
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            let (near, ours) = duplex(SOCKET_BYTES);
            let (far, theirs) = duplex(SOCKET_BYTES);
            let host = u8::try_from(*who).unwrap_or(u8::MAX).saturating_add(1);
            let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), 50_000);
            listener.send((far, from)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            let end = CancellationToken::new();
            internet.inner().open.push((*who, end.clone()));
            let ((our_read, our_write), (their_read, their_write)) = (split(ours), split(theirs));
            tokio::spawn(internet.clone().carry(our_read, their_write, way.clone(), end.clone()));
            tokio::spawn(internet.clone().carry(their_read, our_write, way, end));
            internet.trace.note(format_args!("{who} is connected"));
            Ok(Box::new(near) as Stream)
        }
        .boxed()
    }
}

/// Where the relay listens.
pub(super) struct Port(tokio::sync::Mutex<mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>>);

impl Listen for Port {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.lock().await.recv().await {
            Some(connection) => Ok(connection),
            // Unplugged: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        AUTHORITY.parse().map_err(io::Error::other)
    }
}
