//! A loopback TCP proxy that counts bytes: what really travels, HTTP and WebSocket framing included.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Bytes of one read.
const BUFFER: usize = 16 * 1024;

/// What has passed, by the path that a connection asked for first.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<String, Bytes>>);

/// Bytes of one kind of connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From clients to the relay.
    pub up: u64,
    /// From the relay to clients.
    pub down: u64,
}

impl Counts {
    /// Everything so far.
    #[must_use]
    pub fn now(&self) -> BTreeMap<String, Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, path: &str, up: u64, down: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(path.to_owned()).or_default();
        count.up += up;
        count.down += down;
    }
}

/// What came on top of an earlier state.
#[must_use]
pub fn since(before: &BTreeMap<String, Bytes>, now: &BTreeMap<String, Bytes>) -> BTreeMap<String, Bytes> {
    let mut change = BTreeMap::new();
    for (path, bytes) in now {
        let old = before.get(path).copied().unwrap_or_default();
        if *bytes != old {
            change.insert(path.clone(), Bytes { up: bytes.up - old.up, down: bytes.down - old.down });
        }
    }
    change
}

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub url: String,
    /// What has passed.
    pub counts: Arc<Counts>,
    target: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Listens on a free port. Connections wait until [`Proxy::forward_to`] has said where they go: a
    /// relay must be told its public address, which is the proxy's, before it starts.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let (target, target_set) = watch::channel(None::<String>);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut target, counts) = (target_set.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(Some(authority)) = target.wait_for(Option::is_some).await.map(|set| set.clone()) else {
                        return;
                    };
                    let Ok(relay) = TcpStream::connect(authority).await else { return };
                    let _ = (client.set_nodelay(true), relay.set_nodelay(true));
                    let (client_in, client_out) = client.into_split();
                    let (relay_in, relay_out) = relay.into_split();
                    let path = OnceLock::new();
                    let path_of = |first: &[u8]| path.get_or_init(|| asked_path(first)).clone();
                    tokio::join!(
                        pass(client_in, relay_out, |bytes| counts.add(&path_of(bytes), bytes.len() as u64, 0)),
                        pass(relay_in, client_out, |bytes| counts.add(&path_of(&[]), 0, bytes.len() as u64))
                    );
                });
            }
        });
        Ok(Self { url, counts, target, task })
    }

    /// Says where everything goes, `host:port`.
    pub fn forward_to(&self, authority: &str) {
        self.target.send_replace(Some(authority.to_owned()));
    }
}

/// The path of an HTTP request's first line.
fn asked_path(first: &[u8]) -> String {
    let line = String::from_utf8_lossy(first.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    line.split(' ').nth(1).unwrap_or("unknown").to_owned()
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, count: impl Fn(&[u8])) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let got = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(got) => got,
        };
        count(&buffer[..got]);
        if to.write_all(&buffer[..got]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
