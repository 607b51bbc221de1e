//! The network layer against hostile relays made here, and against the real one.

mod http;
mod mailbox;
mod mailbox_hostile;
mod proxy;
mod real_relay;
mod submit;
mod tls;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future::BoxFuture};
use subrosa_wire::{
    AccountId, DeviceAddress, MailboxEpoch, Seq,
    limits::{HEAD_BYTES, VERSIONS},
    mailbox::{LoginMarks, MailboxClientFrame, MailboxServerFrame, PrekeyCount, Push, Way},
    submit::{EnvelopeClass, Limits, Submit, SubmitItem},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use super::{
    Login, MailboxEvent, MailboxHandle, MailboxSigner, NetError, Network, Ready, RelayEndpoint, mailbox::connect_with,
    timing::Timing,
};

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails instead of hanging.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Production's waits, but for the pauses between tries.
fn timing() -> Timing {
    Timing { retry_first: Duration::from_millis(5), retry_max: Duration::from_millis(50), ..Timing::default() }
}

const LIMITS: Limits = Limits { max_unacked: 256, max_body_bytes: 65_536, max_submit_items: 1280, max_expiry_s: 60 };

type ServerSocket = WebSocketStream<TcpStream>;

/// A relay that does what a test tells it to.
struct Fake {
    endpoint: RelayEndpoint,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Runs `script` for each connection; it is told how many there were before.
    async fn tcp<F>(script: impl Fn(usize, TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(script(count.fetch_add(1, Ordering::SeqCst), stream));
            }
        });
        Self { endpoint, connections, task }
    }

    /// The same after the WebSocket upgrade.
    async fn websocket<F>(script: impl Fn(usize, ServerSocket) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let script = Arc::new(script);
        Self::tcp(move |count, stream| {
            let script = script.clone();
            async move {
                if let Ok(socket) = accept_async(stream).await {
                    script(count, socket).await;
                }
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Sends raw bytes as a frame; whether the peer is still there is not the script's concern.
async fn put(socket: &mut ServerSocket, bytes: impl Into<Bytes>) {
    let _ = socket.send(Message::Binary(bytes.into())).await;
}

/// The next binary message; `None` at the end.
async fn take(socket: &mut ServerSocket) -> Option<Bytes> {
    loop {
        match socket.next().await? {
            Ok(Message::Binary(bytes)) => return Some(bytes),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// The next frame of a mailbox client other than a ping.
async fn take_mailbox(socket: &mut ServerSocket) -> Option<MailboxClientFrame> {
    loop {
        match MailboxClientFrame::decode(take(socket).await?).unwrap() {
            MailboxClientFrame::Ping => put(socket, MailboxServerFrame::Pong.encode()).await,
            frame => return Some(frame),
        }
    }
}

/// Reads until the peer is gone: keeps a script's socket open.
async fn hold(mut socket: ServerSocket) {
    while take(&mut socket).await.is_some() {}
}

fn challenge() -> MailboxServerFrame {
    MailboxServerFrame::Challenge { version: VERSIONS[0], nonce: [3; 32], tls_bound: false }
}

fn ready(acked: Seq) -> MailboxServerFrame {
    MailboxServerFrame::Ready {
        epoch: MailboxEpoch([4; 16]),
        acked,
        server_time_ms: 1_700_000_000_000,
        limits: LIMITS,
        prekeys: PrekeyCount { one_time_ec: 7, one_time_kem: 8 },
        away_days: 0,
    }
}

/// The relay's side of a login, believing everything.
async fn greet(socket: &mut ServerSocket) {
    greet_at(socket, 0).await;
}

/// The same with a mailbox that is acknowledged up to there.
async fn greet_at(socket: &mut ServerSocket, acked: Seq) {
    assert!(matches!(take_mailbox(socket).await, Some(MailboxClientFrame::Hello(_))));
    put(socket, challenge().encode()).await;
    assert!(matches!(take_mailbox(socket).await, Some(MailboxClientFrame::Auth { .. })));
    put(socket, ready(acked).encode()).await;
}

fn push(seq: Seq, body_bytes: usize) -> Push {
    Push {
        seq,
        class: EnvelopeClass::Durable,
        head: vec![1; HEAD_BYTES].into(),
        body: vec![2; body_bytes].into(),
        received_ms: 5,
        way: Way::DeliveryKey,
    }
}

fn somebody() -> DeviceAddress {
    DeviceAddress { account: AccountId([9; 32]), device: 1 }
}

/// A submission of `items` envelopes with one body.
fn submission(items: usize) -> Submit {
    let item = SubmitItem {
        device: somebody(),
        capability: None,
        class: EnvelopeClass::Durable,
        expiry_s: 0,
        head: [0; HEAD_BYTES],
        body_ref: 0,
        list_version: 1,
    };
    Submit { bodies: vec![vec![6; 512].into()], items: vec![item; items] }
}

/// Signs nothing: the fakes do not look.
struct NoSigner;

impl MailboxSigner for NoSigner {
    fn device(&self) -> DeviceAddress {
        somebody()
    }

    fn may_log_in(&self) -> bool {
        true
    }

    fn marks(&self) -> BoxFuture<'_, Result<LoginMarks, NetError>> {
        Box::pin(async { Ok(LoginMarks::default()) })
    }

    fn sign(&self, _: &Login<'_>) -> [u8; 64] {
        [0; 64]
    }
}

/// An engine's view of a mailbox.
struct Engine {
    handle: MailboxHandle,
    events: mpsc::Receiver<MailboxEvent>,
}

impl Engine {
    fn start(endpoint: &RelayEndpoint, timing: Timing) -> Self {
        Self::with(endpoint, Arc::new(NoSigner), timing, 64)
    }

    fn with(endpoint: &RelayEndpoint, signer: Arc<dyn MailboxSigner>, timing: Timing, capacity: usize) -> Self {
        Self::within(Network::direct(), endpoint, signer, timing, capacity)
    }

    fn within(
        network: Network,
        endpoint: &RelayEndpoint,
        signer: Arc<dyn MailboxSigner>,
        timing: Timing,
        capacity: usize,
    ) -> Self {
        let (sender, events) = mpsc::channel(capacity);
        Self { handle: connect_with(network, endpoint.clone(), signer, sender, timing), events }
    }

    async fn next(&mut self) -> MailboxEvent {
        soon(self.events.recv()).await.expect("the task has ended")
    }

    /// Skips what comes before the next `Ready`.
    async fn ready(&mut self) -> Seq {
        loop {
            if let MailboxEvent::Ready(Ready { acked, .. }) = self.next().await {
                return acked;
            }
        }
    }

    /// Skips what comes before the next `Offline`.
    async fn offline(&mut self) -> (super::NetError, Duration) {
        loop {
            if let MailboxEvent::Offline { error, retry_in } = self.next().await {
                return (error, retry_in);
            }
        }
    }

    /// The next batch of envelopes, skipping notices.
    async fn pushed(&mut self) -> Vec<Push> {
        loop {
            if let MailboxEvent::Pushed(batch) = self.next().await {
                return batch;
            }
        }
    }
}
